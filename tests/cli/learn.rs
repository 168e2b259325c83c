//! `lossgen learn`, and training with what was learned.

use std::path::Path;

use predicates::prelude::*;

use super::road::kill_at;
use super::{lossgen, tiny};

fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let learn = "learn: (lessons: 150, networks: 2, hidden: 4, recipe: (steps: 8, patches: (patch: (8, 8, 8), batch: 1, foreground_share: 0.5))),";
    let text = tiny().replacen("train:", &format!("{learn}\n        train:"), 1);
    std::fs::write(home.path().join("tiny.ron"), text).unwrap();
    home
}

fn bytes(home: &Path, file: &str) -> Vec<u8> {
    std::fs::read(home.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[test]
fn a_loss_is_learned_and_trained_with_on_cases_it_never_saw() {
    let home = home();
    for threads in ["1", "2", "8"] {
        let line = ["learn", "tiny.ron", "--lessons", "5", "--out", threads, "--threads", threads];
        lossgen(home.path()).args(line).assert().success().stdout(predicate::str::contains("nearest known losses"));
        for file in ["learned.safetensors", "lessons.csv", "learned.ron", "learned.svg"] {
            let [first, this] = ["1", threads].map(|run| bytes(home.path(), &format!("{run}/{file}")));
            assert!(first == this, "{file} depends on the number of threads");
        }
    }
    let losses = ["learned(1)", "learned(1, online=dice)", "rebalance(dice, ce)"];
    let losses: Vec<&str> = losses.iter().flat_map(|loss| ["--loss", loss]).collect();
    let train = [&["train", "tiny.ron", "--out", "trained"], &losses[..]].concat();
    lossgen(home.path())
        .args(train)
        .assert()
        .success()
        .stderr(predicate::str::contains("none of them seen by the search of 1"))
        .stdout(predicate::str::contains("learned(1)").and(predicate::str::contains("learned(1, online=dice)")));
    let text = |file: &str| String::from_utf8(bytes(home.path(), file)).unwrap();
    assert!(text("trained/loss3-fold1-curve.svg").contains(">weight_1<"));
    assert!(!home.path().join("trained/loss1-fold1-curve.svg").exists());
    // The first step is the same; behind it the loss that goes on learning is another one.
    let losses = |loss: usize| -> Vec<f64> {
        let curve = text(&format!("trained/loss{loss}-fold1-curve.csv"));
        curve.lines().skip(1).map(|line| line.split(',').nth(1).unwrap().parse().unwrap()).collect()
    };
    let (still, online) = (losses(1), losses(2));
    assert!(still[0] == online[0] && still[1..] != online[1..], "{still:?} and {online:?}");
    let curve = text("trained/loss2-fold1-curve.csv");
    let cosines = || curve.lines().skip(1).map(|line| line.split(',').nth(2).unwrap().parse::<f64>().unwrap());
    assert!(curve.starts_with("step,loss,cosine\n") && cosines().all(|cosine| cosine.abs() <= 1.0), "{curve}");

    // The manifest of a training holds the loss itself: where it was learned may be gone.
    let first = bytes(home.path(), "trained/loss2-fold2-curve.csv");
    std::fs::remove_dir_all(home.path().join("1")).unwrap();
    std::fs::remove_file(home.path().join("trained/cells.jsonl")).unwrap();
    lossgen(home.path()).args(["train", "--resume", "trained"]).assert().success();
    assert!(first == bytes(home.path(), "trained/loss2-fold2-curve.csv"));
}

#[test]
fn a_killed_learning_continues_as_if_it_had_not_been() {
    let home = home();
    let learn = ["learn", "tiny.ron", "--quiet", "--out"];
    lossgen(home.path()).args(learn).arg("whole").assert().success();
    let arguments = [&learn[..], &["killed"]].concat();
    // The first time that the course is saved.
    assert!(kill_at(home.path(), &arguments, &home.path().join("killed/course.safetensors"), 1));
    assert!(!home.path().join("killed/learned.safetensors").exists());
    let resume = ["learn", "--resume", "killed", "--threads", "1"];
    lossgen(home.path())
        .args(resume)
        .assert()
        .success()
        .stderr(predicate::str::contains("lessons, 0 of them given").not());
    for file in ["learned.safetensors", "lessons.csv", "learned.ron", "course.safetensors"] {
        assert!(
            bytes(home.path(), &format!("killed/{file}")) == bytes(home.path(), &format!("whole/{file}")),
            "{file}"
        );
    }
    // A run that is over says the same again.
    lossgen(home.path()).args(resume).assert().success().stdout(predicate::str::contains("nearest known losses"));
    std::fs::write(home.path().join("killed/course.safetensors"), b"abc").unwrap();
    let broken = lossgen(home.path()).args(resume).assert().code(2);
    broken.stderr(predicate::str::contains("not the state of this learning"));
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
    lossgen(home.path()).args(["learn", "tiny.ron", "--lessons", "3", "--out", "run", "--quiet"]).assert().success();
    complain(&["train", "softmax.ron", "--loss", "learned(run)"], "sigmoid for every class");
    complain(&["train", "tiny.ron", "--loss", "learned(run, online=dise)"], "dice");
    complain(&["train", "tiny.ron", "--loss", "learned(run, onlin=dice)"], "online");
    complain(&["train", "tiny.ron", "--loss", "learned(run, dice)"], "no losses inside");
    // Losses learn through steps of Adam, whatever trains the network in the end.
    let sgd = |section: &str| {
        let text = std::fs::read_to_string(home.path().join("tiny.ron")).unwrap();
        let (before, after) = text.split_once(section).unwrap();
        let after = after.replacen("recipe: (", "recipe: (optimizer: Sgd(momentum: 0.9), ", 1);
        std::fs::write(home.path().join("sgd.ron"), format!("{before}{section}{after}")).unwrap();
    };
    sgd("learn: (");
    complain(&["learn", "sgd.ron"], "learn.recipe.optimizer");
    sgd("train: (");
    complain(&["train", "sgd.ron", "--loss", "learned(run, online=dice)"], "train.recipe.optimizer");
    let plain = ["train", "sgd.ron", "--loss", "learned(run)", "--quiet", "--out", "sgd"];
    lossgen(home.path()).args(plain).assert().success();
    complain(&["evolve", "--resume", "run"], "`lossgen learn --resume run` continues it");
    complain(&["train", "--resume", "run"], "`lossgen learn --resume run` continues it");
    complain(&["learn", "--resume", "nowhere"], "not a run of `lossgen learn`");
}
