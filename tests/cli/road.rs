//! The whole road: search, look, train; and the same road after a kill or on other numbers of threads.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use predicates::prelude::*;

use super::{lossgen, tiny};

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn evolve(home: &Path, out: &str, threads: &str) {
    std::fs::write(home.join("tiny.ron"), tiny()).unwrap();
    let arguments = ["evolve", "tiny.ron", "--out", out, "--threads", threads];
    lossgen(home).args(arguments).assert().success().stdout(predicate::str::contains("lossgen train --loss"));
}

#[test]
fn a_search_is_looked_at_and_its_winner_is_trained_on_cases_it_never_saw() {
    let home = tempfile::tempdir().unwrap();
    evolve(home.path(), "run", "2");

    let overview = lossgen(home.path()).args(["inspect", "run"]).assert().success();
    overview.stdout(predicate::str::contains("Pareto front").and(predicate::str::contains("generation 2")));
    let best = lossgen(home.path()).args(["inspect", "run", "--id", "best"]).assert().success();
    best.stdout(predicate::str::contains("LaTeX").and(predicate::str::contains("ancestors")));
    for graph in [&["--id", "best", "--dot"][..], &["--lineage"]] {
        lossgen(home.path())
            .args(["inspect", "run"])
            .args(graph)
            .assert()
            .success()
            .stdout(predicate::str::starts_with("digraph"));
    }
    let whole = lossgen(home.path()).args(["inspect", "run", "--lineage", "--svg"]).assert().success();
    whole.stdout(predicate::str::starts_with("<svg").and(predicate::str::contains("generation 2")));
    let own = lossgen(home.path()).args(["inspect", "run", "--lineage", "--svg", "--id", "best"]).assert().success();
    own.stdout(predicate::str::contains("ancestors of individual").and(predicate::str::contains("the one asked for")));

    let train =
        ["train", "--loss", "run/best", "--loss", "dice_ce", "--loss", "(mean (+ ce_fg ce_bg))", "--out", "trained"];
    lossgen(home.path()).args(train).assert().success().stdout(
        predicate::str::contains("Accuracy [%]")
            .and(predicate::str::contains("HD [mm]"))
            .and(predicate::str::contains("against dice_ce")),
    );
    let manifest = text(&home.path().join("run/manifest.ron"));
    let held_out = manifest.split("held_out: [").last().unwrap();
    let cases = text(&home.path().join("trained/cases.csv"));
    let ids: std::collections::BTreeSet<&str> =
        cases.lines().skip(1).map(|line| line.rsplit(',').nth(5).unwrap()).collect();
    assert!(
        !ids.is_empty() && ids.iter().all(|id| held_out.contains(&format!("\"{id}\""))),
        "{ids:?} are not all in {held_out}"
    );
    assert_eq!(ids.len(), held_out.matches('"').count() / 2, "every held-out case is tested once");
    for metric in ["brier", "ece"] {
        let middle = format!(",{metric},");
        let value =
            |line: &str| line.split(&middle).nth(1).map(|end| end.trim_end_matches(',').parse::<f64>().unwrap());
        let values: Vec<f64> = cases.lines().filter_map(value).collect();
        assert!(values.len() >= 3 * ids.len() && values.iter().all(|v| *v > 0.0 && *v < 1.0), "{metric}: {values:?}");
        assert!(text(&home.path().join("trained/table.csv")).contains(&middle), "{metric}");
    }
    for file in
        ["table.csv", "table.txt", "manifest.ron", "cells.jsonl", "loss3-fold2/model.ron", "loss1-fold1-curve.csv"]
    {
        assert!(home.path().join("trained").join(file).is_file(), "{file}");
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    for threads in ["1", "2", "8"] {
        evolve(home.path(), &format!("run-{threads}"), threads);
    }
    let newest = |threads: &str| text(&home.path().join(format!("run-{threads}/generation-0002.ron")));
    assert_eq!(newest("1"), newest("2"));
    assert_eq!(newest("1"), newest("8"));
}

/// Starts the program and kills it as soon as `journal` has so many lines; whether it was still at work.
pub(super) fn kill_at(home: &Path, arguments: &[&str], journal: &Path, lines: usize) -> bool {
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_lossgen"))
        .current_dir(home)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let count = || std::fs::read(journal).map_or(0, |bytes| String::from_utf8_lossy(&bytes).lines().count());
    while count() < lines && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let at_work = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    at_work
}

#[test]
fn a_killed_search_continues_as_if_it_had_not_been() {
    let home = tempfile::tempdir().unwrap();
    evolve(home.path(), "whole", "2");
    let newest = |run: &str| text(&home.path().join(run).join("generation-0002.ron"));
    let mut interrupted = 0;
    for lines in [1, 4, 7, 10, 13] {
        let out = format!("killed-{lines}");
        let journal = home.path().join(&out).join("journal.jsonl");
        let arguments = ["evolve", "tiny.ron", "--quiet", "--out", &out];
        interrupted += usize::from(kill_at(home.path(), &arguments, &journal, lines));
        lossgen(home.path()).args(["evolve", "--resume", &out, "--quiet"]).assert().success();
        assert_eq!(newest(&out), newest("whole"), "killed after {lines} trainings");
    }
    assert!(interrupted > 2, "only {interrupted} runs were killed in their middle");
}

#[cfg(unix)]
#[test]
fn a_signal_ends_a_search_with_code_3_and_it_continues_as_if_there_had_been_none() {
    let home = tempfile::tempdir().unwrap();
    evolve(home.path(), "whole", "2");
    let results = |run: &str| ["generation-0002.ron", "winner.ron"].map(|file| text(&home.path().join(run).join(file)));
    for (signal, lines) in [("INT", 6), ("TERM", 25)] {
        let journal = home.path().join(signal).join("journal.jsonl");
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_lossgen"))
            .current_dir(home.path())
            .args(["evolve", "tiny.ron", "--quiet", "--out", signal])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while std::fs::read_to_string(&journal).map_or(0, |text| text.lines().count()) < lines {
            assert!(child.try_wait().unwrap().is_none(), "the search ended before the signal");
            std::thread::sleep(Duration::from_millis(1));
        }
        let kill = ["-s", signal, &child.id().to_string()].map(String::from);
        assert!(std::process::Command::new("kill").args(kill).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(3), "SIG{signal}");
        lossgen(home.path()).args(["evolve", "--resume", signal, "--quiet"]).assert().success();
        assert_eq!(results(signal), results("whole"), "SIG{signal}");
    }
}

#[test]
fn headroom_budgets_and_strategies_are_asked_for_by_name() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("tiny.ron"), tiny().replace("generations: 2", "generations: 50, rungs: 1"))
        .unwrap();
    let stopped = |line: &[&str]| -> serde_json::Value {
        let assert = lossgen(home.path()).args(line).args(["--json", "--quiet"]).assert().success();
        serde_json::from_slice(&assert.get_output().stdout).unwrap()
    };
    let found = stopped(&["evolve", "tiny.ron", "--out", "few", "--most-trainings", "12", "--strategy", "random"]);
    assert!(found["stopped"] == "trainings" && found["spent"]["trainings"].as_u64().unwrap() >= 12, "{found}");
    let explained = lossgen(home.path()).args(["inspect", "few"]).assert().success();
    explained.stdout(
        predicate::str::contains("winner:")
            .and(predicate::str::contains("the last race"))
            .and(predicate::str::contains("which of it paid"))
            .and(predicate::str::contains("the budget of trainings is spent")),
    );
    let plain = ["--strategy", "plain", "--gates", "none", "--grammar", "untyped", "--most-steps", "40", "--seed", "5"];
    let found = stopped(&[&["evolve", "tiny.ron", "--out", "plain"][..], &plain[..]].concat());
    assert_eq!(found["stopped"], "steps", "{found}");
    let refused = lossgen(home.path()).args(["evolve", "tiny.ron", "--strategy", "magic"]).assert().code(2);
    refused.stderr(predicate::str::contains("hillclimb"));

    let found = stopped(&["evolve", "tiny.ron", "--out", "room", "--headroom"]);
    assert!(found["losses"].as_array().unwrap().len() > 10 && found["verdict"].is_string(), "{found}");
    assert!(home.path().join("room/headroom.ron").is_file());
}

#[test]
fn a_killed_training_continues_as_if_it_had_not_been() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("tiny.ron"), tiny()).unwrap();
    // Losses that move have a state of their own, which begins anew with the training.
    let losses = ["--loss", "greedy(tversky, every=3, held_out=true)", "--loss", "softadapt(dice, ce, priors=[2, 1])"];
    let train = ["train", "tiny.ron", "--quiet", "--steps", "12", "--folds", "4"];
    let train = [&train[..], &losses[..], &["--out"]].concat();
    lossgen(home.path()).args(&train).arg("whole").assert().success();
    let files = ["table.csv", "cases.csv", "loss1-fold4-curve.csv", "loss2-fold1-curve.csv", "loss2-fold4-curve.svg"];
    let results = |run: &str| files.map(|file| text(&home.path().join(run).join(file)));
    let [.., greedy, _, _] = results("whole");
    let first = "step,loss,fp_weight,fn_weight,trial_forward_passes,trial_backward_passes";
    assert!(greedy.starts_with(first) && greedy.lines().nth(1).unwrap().ends_with(",13,4"), "{greedy}");
    assert!(greedy.lines().nth(2).unwrap().ends_with(",0,0"), "{greedy}");
    let mut interrupted = 0;
    for lines in [1, 3, 5] {
        let out = format!("killed-{lines}");
        let journal = home.path().join(&out).join("cells.jsonl");
        interrupted += usize::from(kill_at(home.path(), &[&train[..], &[&out]].concat(), &journal, lines));
        let resume = ["train", "--resume", &out, "--threads", "1", "--quiet"];
        lossgen(home.path()).args(resume).assert().success();
        assert_eq!(results(&out), results("whole"), "killed after {lines} trainings");
    }
    assert!(interrupted > 0, "no run was killed in its middle");
    lossgen(home.path()).args(["train", "--resume", "nowhere"]).assert().code(2);
}

#[test]
fn losses_and_grammars_explain_themselves() {
    let home = tempfile::tempdir().unwrap();
    lossgen(home.path()).args(["loss", "list"]).assert().success().stdout(predicate::str::contains("focal_tversky"));
    let show = lossgen(home.path()).args(["loss", "show", "tversky(fp_weight=0.4)"]).assert().success();
    show.stdout(
        predicate::str::contains("fp_weight=0.4")
            .and(predicate::str::contains("Salehi"))
            .and(predicate::str::contains(r"\frac")),
    );
    lossgen(home.path()).args(["grammar", "show"]).assert().success().stdout(predicate::str::contains("polarity"));
    lossgen(home.path())
        .args(["grammar", "check", "dice_ce"])
        .assert()
        .success()
        .stdout(predicate::str::contains("error_map"));
}

#[test]
fn classes_stay_apart_when_asked_and_images_are_resampled() {
    let home = tempfile::tempdir().unwrap();
    let preprocess = "version: 1, preprocess: (labels: Classes, spacing: (6.0, 6.0, 6.0)),";
    std::fs::write(home.path().join("classes.ron"), tiny().replace("version: 1,", preprocess)).unwrap();
    lossgen(home.path()).args(["evolve", "classes.ron", "--out", "run", "--generations", "0"]).assert().success();
    lossgen(home.path()).args(["train", "--loss", "run/best", "--out", "trained"]).assert().success();
    let cases = text(&home.path().join("trained/cases.csv"));
    let classes: std::collections::BTreeSet<&str> =
        cases.lines().skip(1).map(|line| line.rsplit(',').nth(3).unwrap()).collect();
    assert_eq!(classes.into_iter().collect::<Vec<_>>(), ["1", "2", "3", "4", "5"]);
}

#[test]
fn phantoms_on_disk_are_data() {
    let home = tempfile::tempdir().unwrap();
    lossgen(home.path()).args(["data", "phantom", "phantoms", "--cases", "4"]).assert().success();
    std::fs::write(home.path().join("tiny.ron"), tiny()).unwrap();
    let train =
        ["train", "tiny.ron", "--data", "phantoms", "--loss", "ce", "--steps", "2", "--out", "trained", "--json"];
    lossgen(home.path()).args(train).assert().success().stdout(predicate::str::contains("\"metric\":\"dice\""));
    // A folder that has results is not written over.
    lossgen(home.path()).args(train).assert().code(2).stderr(predicate::str::contains("not empty"));
}

#[test]
fn a_run_is_continued_from_any_directory_and_with_data_that_moved() {
    let home = tempfile::tempdir().unwrap();
    let away = tempfile::tempdir().unwrap();
    lossgen(home.path()).args(["data", "phantom", "set", "--cases", "9"]).assert().success();
    let tiny = tiny().replace("generations: 2", "generations: 0");
    std::fs::write(home.path().join("tiny.ron"), tiny).unwrap();
    lossgen(home.path()).args(["evolve", "tiny.ron", "--data", "set", "--out", "run"]).assert().success();
    let train = ["train", "--loss", "run/best", "--steps", "2", "--out", "trained"];
    lossgen(home.path()).args(train).assert().success();
    let run = home.path().join("run").display().to_string();
    let evolve = ["evolve", "--resume", &run, "--generations", "1"];
    lossgen(away.path()).args(evolve).assert().success();

    std::fs::rename(home.path().join("set"), home.path().join("moved")).unwrap();
    let moved = home.path().join("moved").display().to_string();
    let trained = home.path().join("trained").display().to_string();
    for command in [["evolve", "--resume", &run], ["train", "--resume", &trained]] {
        lossgen(away.path()).args(command).assert().code(2).stderr(predicate::str::contains("does not exist"));
        lossgen(away.path()).args(command).args(["--data", &moved]).assert().success();
        // The new place was written down.
        lossgen(away.path()).args(command).assert().success();
    }
    // Other data are refused, whatever their name.
    lossgen(home.path()).args(["data", "phantom", "other", "--cases", "9", "--seed", "5"]).assert().success();
    let other = home.path().join("other").display().to_string();
    let refused = lossgen(away.path()).args(["evolve", "--resume", &run, "--data", &other]).assert().code(2);
    refused.stderr(predicate::str::contains("the data are not those of the run"));
    // A run is continued by the command that made it.
    let wrong = lossgen(home.path()).args(["train", "--resume", "run"]).assert().code(2);
    wrong.stderr(predicate::str::contains("`lossgen evolve --resume run` continues it"));
    let wrong = lossgen(home.path()).args(["evolve", "--resume", "trained"]).assert().code(2);
    wrong.stderr(predicate::str::contains("`lossgen train --resume trained` continues it"));
}

#[test]
fn every_command_prints_json_when_asked() {
    let home = tempfile::tempdir().unwrap();
    let tiny = tiny().replace("generations: 2", "generations: 1");
    std::fs::write(home.path().join("tiny.ron"), tiny).unwrap();
    let json = |line: &[&str]| -> serde_json::Value {
        let assert = lossgen(home.path()).args(line).args(["--json", "--quiet"]).assert().success();
        serde_json::from_slice(&assert.get_output().stdout).unwrap_or_else(|error| panic!("{line:?}: {error}"))
    };
    assert!(json(&["evolve", "tiny.ron", "--out", "run"])["validation"].is_array());
    let population = json(&["inspect", "run"]);
    let individuals = population["individuals"].as_array().unwrap();
    let confirmed = individuals.iter().filter(|one| one["confirmed"] == true).count();
    assert!(confirmed >= 1 && confirmed < individuals.len(), "{population}");
    let best = json(&["inspect", "run", "--id", "best"]);
    assert!(best["latex"].is_string() && best["confirmed"] == true, "{best}");
    assert!(json(&["inspect", "run", "--id", "best", "--dot"])["dot"].as_str().unwrap().starts_with("digraph"));
    let family = json(&["inspect", "run", "--lineage"]);
    assert_eq!(family["individuals"].as_array().unwrap().len(), individuals.len());
    assert!(!family["edges"].as_array().unwrap().is_empty(), "{family}");
    let child = family["edges"][0][1].to_string();
    let own = json(&["inspect", "run", "--lineage", "--id", &child]);
    let ids: Vec<String> = own["individuals"].as_array().unwrap().iter().map(|one| one["id"].to_string()).collect();
    assert!(ids.contains(&child) && ids.contains(&family["edges"][0][0].to_string()), "{own}");
    assert!(ids.len() < individuals.len(), "only those from whom it descends: {own}");
    assert_eq!(json(&["grammar", "show"])["losses"].as_array().unwrap().len(), 8);
    assert_eq!(json(&["grammar", "check", "dice_ce"])["grammar"], "polarity");
    assert_eq!(json(&["data", "phantom", "set", "--cases", "2"])["cases"], 2);

    let front = text(&home.path().join("run/front.csv"));
    assert!(
        front.starts_with("size,dice,hd95_mm,gain,hd95_gain_mm,replicates,scratch_dice,confirmed,id,loss\n"),
        "{front}"
    );
    let table = lossgen(home.path()).args(["inspect", "run", "--all"]).assert().success();
    let table = String::from_utf8_lossy(&table.get_output().stdout).into_owned();
    assert!(table.contains(&format!("(individual {})", best["id"])), "{table}");
    assert!(table.contains("unconfirmed"), "{table}");
}

#[test]
fn what_a_person_may_not_know_is_said_before_it_is_paid_for() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("tiny.ron"), tiny()).unwrap();
    let population = "(version: 2, generation: 0, next_id: 1, individuals: [(id: 0, birth: 0, parents: [], origin: Random, \
        loss: \"(mean y)\", part: 9, outcome: Diverged(step: 1))])";
    std::fs::write(home.path().join("p.ron"), population).unwrap();
    let train = ["train", "tiny.ron", "--steps", "2", "--out", "trained", "--loss", "p.ron#0"];
    lossgen(home.path()).args(train).assert().success().stderr(
        predicate::str::contains("no manifest beside it")
            .and(predicate::str::contains("does not look at the prediction")),
    );
}

#[test]
fn structures_that_are_missed_and_values_that_are_undefined_are_counted_in_the_table() {
    let home = tempfile::tempdir().unwrap();
    let steep = tiny().replace("(steps: 5,", "(steps: 40, learning_rate: 0.05,");
    std::fs::write(home.path().join("tiny.ron"), steep).unwrap();
    // It is silent about the foreground, so it empties every mask.
    let train = ["train", "tiny.ron", "--loss", "(mean fp)", "--out", "trained"];
    lossgen(home.path()).args(train).assert().success().stdout(
        predicate::str::contains("(mean fp): 9 missed and 0 spurious structures")
            .and(predicate::str::contains("(mean fp): Precision of 9 masks is 0/0 and left out")),
    );
}

#[test]
fn a_search_begins_with_guesses_but_not_with_what_was_found_on_cases_that_it_keeps_apart() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("tiny.ron"), tiny()).unwrap();
    let evolve = |more: &[&str]| {
        let mut command = lossgen(home.path());
        command.args(["evolve", "tiny.ron", "--quiet", "--generations", "0"]).args(more).assert()
    };
    evolve(&["--out", "first"]).success();
    let typed = "tversky(fp_weight=0.7, fn_weight=0.3)";
    evolve(&["--out", "second", "--guess", typed, "--guess", "first/best"]).success();
    let manifest = std::fs::read_to_string(home.path().join("second/manifest.ron")).unwrap();
    assert!(manifest.contains(typed) && !manifest.contains("first/best"), "{manifest}");
    std::fs::remove_dir_all(home.path().join("first")).unwrap();
    let resume = ["evolve", "--resume", "second", "--quiet", "--generations", "1"];
    lossgen(home.path()).args(resume).assert().success();

    let apart = evolve(&["--out", "third", "--seed", "4", "--guess", "second/best"]).code(2);
    apart.stderr(predicate::str::contains("--guess").and(predicate::str::contains("split: (seed: N)")));
    evolve(&["--out", "third", "--guess", "boundary"]).code(2).stderr(predicate::str::contains("search.guesses[0]"));
    evolve(&["--out", "third", "--guess", "tverski"])
        .code(2)
        .stderr(predicate::str::contains("did you mean `tversky`?"));
    assert!(!home.path().join("third").exists(), "something was left behind");
}
