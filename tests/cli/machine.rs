//! What a person asks before anything is trained: is this machine fit, what would a configuration do, how are commands typed.

use predicates::prelude::*;

use super::{lossgen, tiny};

#[test]
fn the_doctor_finds_this_machine_fit_and_says_so_in_both_forms() {
    let home = tempfile::tempdir().unwrap();
    let line = ["doctor", "--device", "cpu", "--threads", "2"];
    let told = lossgen(home.path()).args(line).assert().success();
    let words = ["processor", "memory", "kernels", "gpu", "device", "disk", "a training step"];
    let told = String::from_utf8_lossy(&told.get_output().stdout).into_owned();
    assert!(words.iter().all(|word| told.contains(word)) && !told.contains("FAILS"), "{told}");
    let json = lossgen(home.path()).args(line).arg("--json").assert().success();
    let json: serde_json::Value = serde_json::from_slice(&json.get_output().stdout).unwrap();
    let checks = json["checks"].as_array().unwrap();
    assert!(
        checks.len() == 4 && checks.iter().all(|check| check["ok"] == true && check["difference"].is_f64()),
        "{json}"
    );
    assert!(
        json["ok"] == true && json["environment"]["device"]["in_use"] == "cpu" && json["step_ms"].is_f64(),
        "{json}"
    );
    // Other kernels round differently: what is compared is not one and the same computation.
    let steps = |kernels: &str| {
        let line = ["doctor", "--reference", "--device", "cpu", "--quiet"];
        let told = lossgen(home.path()).args(line).env("LOSSGEN_KERNELS", kernels).assert().success();
        serde_json::from_slice::<Vec<f64>>(&told.get_output().stdout).unwrap()
    };
    let portable = steps("portable");
    assert!(portable.len() == 3 && portable[2] < portable[0], "{portable:?} does not learn");
    if json["environment"]["kernels"]["path"] != "portable" {
        assert_ne!(portable, steps(json["environment"]["kernels"]["path"].as_str().unwrap()));
    }
}

#[test]
fn a_configuration_is_shown_whole_and_reads_back() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("tiny.ron"), tiny()).unwrap();
    let show = |file: &str| {
        let told = lossgen(home.path()).args(["config", "show", file]).assert().success();
        String::from_utf8_lossy(&told.get_output().stdout).into_owned()
    };
    let whole = show("tiny.ron");
    assert!(whole.contains("toll_per_word") && whole.contains("warm_steps: 6"), "{whole}");
    std::fs::write(home.path().join("whole.ron"), &whole).unwrap();
    assert_eq!(show("whole.ron"), whole);
    let fault = lossgen(home.path()).args(["config", "show", "none.ron"]).assert().code(2);
    fault.stderr(predicate::str::contains("none.ron"));
}

#[test]
fn a_configuration_is_checked_alone_and_with_data() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("tiny.ron"), tiny()).unwrap();
    std::fs::write(home.path().join("bad.ron"), tiny().replace("levels: 2", "levels: 9")).unwrap();
    lossgen(home.path())
        .args(["data", "phantom", "set", "--cases", "9", "--shape", "16", "16", "12"])
        .assert()
        .success();
    let check = |line: &[&str]| lossgen(home.path()).args(["config", "check"]).args(line).assert();
    check(&["tiny.ron"]).success().stdout(predicate::str::contains("tiny.ron can be run"));
    check(&["bad.ron"]).code(2).stderr(predicate::str::contains("network.levels"));
    let told = check(&["tiny.ron", "--data", "set"]).success();
    told.stdout(
        predicate::str::contains("9 of ")
            .and(predicate::str::contains("3 cases train candidates, 2 judge them, 4 are kept apart"))
            .and(predicate::str::contains("2 folds"))
            .and(predicate::str::contains("width 2")),
    );
    check(&["tiny.ron", "--data", "nowhere"]).code(2);
}

#[test]
fn fields_are_explained_one_by_one_and_strangers_are_asked_about() {
    let home = tempfile::tempdir().unwrap();
    let explain = |line: &[&str]| lossgen(home.path()).args(["config", "explain"]).args(line).assert();
    let all = explain(&[]).success();
    let all = String::from_utf8_lossy(&all.get_output().stdout).into_owned();
    assert!(all.contains("train.recipe.steps: 1000 [optimiser steps]"), "{all}");
    let one = explain(&["search.toll_per_word"]).success();
    one.stdout(
        predicate::str::starts_with("search.toll_per_word: 0.0002 [Dice]\n").and(predicate::str::contains("may be")),
    );
    let section = explain(&["proxy.recipe.augment.gamma", "--json"]).success();
    let rows: serde_json::Value = serde_json::from_slice(&section.get_output().stdout).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 4, "{rows}");
    explain(&["toll_per_word"]).code(2).stderr(predicate::str::contains("did you mean `search.toll_per_word`"));
}

#[test]
fn completions_and_pages_know_every_command() {
    let home = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let told = lossgen(home.path()).args(["generate", "completions", shell]).assert().success();
        told.stdout(predicate::str::contains("evolve").and(predicate::str::contains("headroom")));
    }
    lossgen(home.path())
        .args(["generate", "man", "pages"])
        .assert()
        .success()
        .stdout(predicate::str::contains("lossgen.1"));
    for page in ["lossgen.1", "lossgen-evolve.1", "lossgen-data-check.1"] {
        let text = std::fs::read_to_string(home.path().join("pages").join(page)).unwrap();
        assert!(text.contains(".TH"), "{page}");
    }
}
