//! `lossgen learn`, and training with what was learned.

use predicates::prelude::*;

use super::{lossgen, tiny};

fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let learn = "learn: (lessons: 5, networks: 2, hidden: 4, recipe: (steps: 4, patches: (patch: (8, 8, 8), batch: 2, foreground_share: 0.5))),";
    let text = tiny().replacen("train:", &format!("{learn}\n        train:"), 1);
    std::fs::write(home.path().join("tiny.ron"), text).unwrap();
    home
}

#[test]
fn a_loss_is_learned_and_trained_with_on_cases_it_never_saw() {
    let home = home();
    let learn = |out: &str, threads: &str| {
        let line = ["learn", "tiny.ron", "--out", out, "--threads", threads];
        lossgen(home.path()).args(line).assert().success().stdout(predicate::str::contains("nearest known losses"));
        std::fs::read(home.path().join(out).join("learned.safetensors")).unwrap()
    };
    assert!(learn("one", "1") == learn("three", "3"), "the loss depends on the number of threads");
    for file in ["manifest.ron", "lessons.csv", "learned.ron", "learned.svg"] {
        assert!(home.path().join("one").join(file).is_file(), "{file}");
    }
    let train = ["train", "tiny.ron", "--loss", "learned(one)", "--loss", "rebalance(dice, ce)", "--out", "trained"];
    lossgen(home.path())
        .args(train)
        .assert()
        .success()
        .stderr(predicate::str::contains("none of them seen by the search of one"))
        .stdout(predicate::str::contains("learned(one)"));
    let picture = std::fs::read_to_string(home.path().join("trained/loss2-fold1-curve.svg")).unwrap();
    assert!(picture.contains(">weight_1<") && !home.path().join("trained/loss1-fold1-curve.svg").exists());

    // The manifest of a training holds the loss itself: where it was learned may be gone.
    std::fs::remove_dir_all(home.path().join("one")).unwrap();
    lossgen(home.path()).args(["train", "--resume", "trained"]).assert().success();
}

#[test]
fn what_cannot_be_learned_or_used_is_said() {
    let home = home();
    let complain = |line: &[&str], part: &str| {
        lossgen(home.path()).args(line).assert().code(2).stderr(predicate::str::contains(part));
    };
    complain(&["learn", "tiny.ron", "--task", "dise"], "dice");
    complain(&["learn", "tiny.ron", "--lessons", "0"], "at least 1");
    complain(&["train", "tiny.ron", "--loss", "learned(nowhere)"], "learned.safetensors");
    complain(&["train", "tiny.ron", "--loss", "learned()"], "names no learned loss");
    complain(&["train", "tiny.ron", "--loss", "learned(net=1.2.3)"], "not a learned loss");
    std::fs::write(home.path().join("broken.safetensors"), b"abc").unwrap();
    complain(&["train", "tiny.ron", "--loss", "learned(broken.safetensors)"], "broken.safetensors");
    let softmax = std::fs::read_to_string(home.path().join("tiny.ron")).unwrap();
    let softmax = softmax.replacen("levels: 2", "levels: 2, activation: Softmax", 1);
    std::fs::write(home.path().join("softmax.ron"), softmax).unwrap();
    complain(&["learn", "softmax.ron"], "sigmoid for every class");
    lossgen(home.path()).args(["learn", "tiny.ron", "--out", "run", "--quiet"]).assert().success();
    complain(&["train", "softmax.ron", "--loss", "learned(run)"], "sigmoid for every class");
    complain(&["evolve", "--resume", "run"], "a run of `lossgen learn`");
}
