//! Comparisons as a person makes, stops, extends and reads them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use predicates::prelude::*;
use serde_json::Value;

use super::{lossgen, tiny};

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A folder with a tiny configuration in it.
fn home(change: impl Fn(String) -> String) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("tiny.ron"), change(tiny())).unwrap();
    home
}

fn compare(home: &Path, line: &[&str]) -> assert_cmd::assert::Assert {
    lossgen(home).arg("compare").args(line).args(["--quiet", "--no-pictures"]).assert()
}

/// The lines of a journal as they are.
fn journal(run: &Path) -> Vec<String> {
    text(&run.join("cells.jsonl")).lines().map(String::from).collect()
}

fn record(line: &str) -> Value {
    serde_json::from_str(line.split_once(' ').unwrap().1).unwrap()
}

/// State of every cell by name, as the grid has it.
fn states(run: &Path) -> BTreeMap<String, String> {
    let mut reader = csv::Reader::from_path(run.join("grid.csv")).unwrap();
    let rows = reader.records().map(Result::unwrap);
    rows.map(|row| (row[0].to_string(), row[5].to_string())).collect()
}

#[test]
fn a_comparison_is_extended_without_training_again_and_ends_where_a_whole_one_does() {
    let home = home(|tiny| tiny);
    let run = |name: &str| home.path().join(name);
    let two = ["tiny.ron", "--loss", "dice", "--loss", "softadapt(dice, ce)", "--seeds", "3,4", "--out", "run"];
    compare(home.path(), &two)
        .success()
        .stdout(predicate::str::contains("NSD").and(predicate::str::contains("against")));
    let before = journal(&run("run"));
    assert_eq!(before.len(), 8, "two losses, two folds, two seeds");
    let states_then = states(&run("run"));
    assert!(states_then.len() == 8 && states_then.values().all(|state| state == "done"), "{states_then:?}");
    for file in [
        "report.html",
        "table.csv",
        "table.tex",
        "table.txt",
        "voxels.csv",
        "splits_final.json",
        "loss1-fold1/model.ron",
        "loss2-fold2-seed4/weights.safetensors",
        "loss2-fold1-curve.svg",
        "tensorboard/loss1-fold1-dice/events.out.tfevents.0.lossgen",
    ] {
        assert!(run("run").join(file).is_file(), "{file}");
    }
    // Every case is predicted once with each loss and seed, and its mask kept.
    let masks = |stem: &str| std::fs::read_dir(run("run").join(stem).join("masks")).unwrap().count();
    assert_eq!(masks("loss1-fold1") + masks("loss1-fold2"), 9);
    let tex = text(&run("run/table.tex"));
    assert!(tex.contains("\\toprule") && tex.contains("softadapt(dice, ce) & $"), "{tex}");

    compare(home.path(), &["--resume", "run", "--loss", "focal_dice"]).success();
    let after = journal(&run("run"));
    assert_eq!(after[..8], before[..], "what was there is as it was");
    assert!(after.len() == 12 && after[8..].iter().all(|line| record(line)["loss"] == 2));
    compare(home.path(), &["--resume", "run", "--seeds", "5", "--only", "dice/fold1"]).success();
    let added: Vec<Value> = journal(&run("run"))[12..].iter().map(|line| record(line)).collect();
    let of = |record: &Value| {
        (record["loss"].as_u64().unwrap(), record["fold"].as_u64().unwrap(), record["seed"].as_u64().unwrap())
    };
    assert_eq!(added.iter().map(of).collect::<BTreeSet<_>>(), BTreeSet::from([(0, 0, 5), (2, 0, 5)]));

    let whole = [
        "tiny.ron",
        "--loss",
        "dice",
        "--loss",
        "softadapt(dice, ce)",
        "--loss",
        "focal_dice",
        "--seeds",
        "3,4",
        "--threads",
        "1",
    ];
    compare(home.path(), &[&whole[..], &["--out", "whole"]].concat()).success();
    let cases = |name: &str| -> BTreeSet<String> {
        text(&run(name).join("cases.csv"))
            .lines()
            .filter(|line| !line.contains(",5,phantom"))
            .map(String::from)
            .collect()
    };
    assert_eq!(cases("run"), cases("whole"));
    let weights = |name: &str| std::fs::read(run(name).join("loss3-fold2-seed4/weights.safetensors")).unwrap();
    assert!(weights("run") == weights("whole"));
}

#[test]
fn cells_are_chosen_retried_and_estimated() {
    let home = home(|tiny| tiny);
    let run = home.path().join("run");
    let losses = ["tiny.ron", "--loss", "dice", "--loss", "ce", "--out", "run"];
    let dry = |line: &[&str]| -> Value {
        let line = [line, &["--dry-run", "--json"]].concat();
        serde_json::from_slice(&compare(home.path(), &line).success().get_output().stdout).unwrap()
    };
    let estimate = dry(&losses);
    assert!(!run.exists(), "a dry run writes nothing");
    assert_eq!((estimate["open"].as_u64(), estimate["measured"].as_bool()), (Some(4), Some(true)), "{estimate}");
    assert!(estimate["seconds"].as_f64().unwrap() > 0.0 && estimate["disk_mib"].as_f64().unwrap() > 0.0, "{estimate}");
    compare(home.path(), &[&losses[..], &["--only", "*/fold7/*"]].concat())
        .code(2)
        .stderr(predicate::str::contains("no cell is called so").and(predicate::str::contains("dice/fold1/seed3")));
    assert!(!run.exists());

    compare(home.path(), &[&losses[..], &["--only", "*/fold1/*"]].concat()).success();
    let estimate = dry(&["--resume", "run"]);
    let of = |estimate: &Value, name: &str| {
        let cell = estimate["cells"].as_array().unwrap().iter().find(|cell| cell["cell"] == name).unwrap();
        cell["state"].as_str().unwrap().to_string()
    };
    assert_eq!((of(&estimate, "ce/fold1/seed3"), of(&estimate, "ce/fold2/seed3")), ("done".into(), "pending".into()));
    assert_eq!(estimate["measured"], false, "cells that are done say how long others take");

    // A file where the folder of a model has to be.
    std::fs::write(run.join("loss2-fold2"), "").unwrap();
    compare(home.path(), &["--resume", "run"]).success();
    let failed = states(&run)["ce/fold2/seed3"].clone();
    assert!(failed.starts_with("failed(") && failed.contains("loss2-fold2"), "{failed}");
    assert!(text(&run.join("report.html")).contains("What failed"));
    std::fs::remove_file(run.join("loss2-fold2")).unwrap();
    compare(home.path(), &["--resume", "run"]).success();
    assert_eq!((journal(&run).len(), states(&run)["ce/fold2/seed3"].clone()), (4, failed), "nobody asked to try again");
    compare(home.path(), &["--resume", "run", "--retry-failed"]).success();
    assert_eq!((journal(&run).len(), states(&run)["ce/fold2/seed3"].clone()), (5, "done".into()));

    let table = text(&run.join("table.csv"));
    compare(home.path(), &["--resume", "run", "--redo", "--only", "dice/fold1"]).success();
    assert_eq!((journal(&run).len(), text(&run.join("table.csv"))), (6, table), "the same training, the same result");
    compare(home.path(), &["tiny.ron", "--out", "none"])
        .code(2)
        .stderr(predicate::str::contains("no loss to train with"));
}

#[cfg(unix)]
#[test]
fn a_training_killed_in_its_middle_goes_on_from_its_checkpoint() {
    let home = home(|tiny| {
        tiny.replace("train: (folds: 2,", "train: (folds: 2, checkpoint: 4,").replace("steps: 5", "steps: 120")
    });
    let line = ["tiny.ron", "--loss", "greedy(tversky, every=3)", "--threads", "1", "--out"];
    compare(home.path(), &[&line[..], &["whole"]].concat()).success();
    let killed = home.path().join("killed");
    interrupted(home.path(), &[&line[..], &["killed"]].concat(), &killed, "KILL");
    let running = states(&killed).into_iter().find(|(_, state)| state == "running").expect("a cell was running").0;

    // What is damaged is told, and not begun anew in silence.
    let kept = checkpoints(&killed).remove(0);
    let bytes = std::fs::read(&kept).unwrap();
    std::fs::write(&kept, &bytes[..bytes.len() / 2]).unwrap();
    compare(home.path(), &["--resume", "killed", "--only", &running]).success();
    let state = states(&killed)[&running].clone();
    assert!(state.contains("not a checkpoint of this training"), "{state}");
    std::fs::create_dir_all(killed.join("checkpoints")).unwrap();
    std::fs::write(&kept, &bytes).unwrap();
    compare(home.path(), &["--resume", "killed", "--retry-failed"]).success();
    let stopped = home.path().join("stopped");
    let code = interrupted(home.path(), &[&line[..], &["stopped"]].concat(), &stopped, "INT");
    assert_eq!(code, Some(3), "stopped by a signal and resumable");
    assert!(states(&stopped).values().all(|state| state != "running"));
    compare(home.path(), &["--resume", "stopped"]).success();
    for run in ["killed", "stopped"] {
        assert!(checkpoints(&home.path().join(run)).is_empty(), "what is over needs no checkpoint");
        for file in ["cases.csv", "table.csv", "loss1-fold1-curve.csv", "loss1-fold1/weights.safetensors"] {
            let of = |run: &str| std::fs::read(home.path().join(run).join(file)).unwrap();
            assert!(of(run) == of("whole"), "{file} of {run}");
        }
    }
}

/// The checkpoints in a run.
#[cfg(unix)]
fn checkpoints(run: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(run.join("checkpoints")).into_iter().flatten();
    let files = entries.map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|end| end == "safetensors")).collect()
}

/// Starts a comparison and sends it a signal as soon as it has a checkpoint; its exit code.
#[cfg(unix)]
fn interrupted(home: &Path, line: &[&str], run: &Path, signal: &str) -> Option<i32> {
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_lossgen"))
        .current_dir(home)
        .arg("compare")
        .args(line)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while checkpoints(run).is_empty() {
        assert!(child.try_wait().unwrap().is_none(), "the comparison ended before it was interrupted");
        std::thread::sleep(Duration::from_millis(1));
    }
    let kill = ["-s", signal, &child.id().to_string()].map(String::from);
    assert!(std::process::Command::new("kill").args(kill).status().unwrap().success());
    child.wait().unwrap().code()
}

#[test]
fn learning_rates_are_chosen_on_training_cases_alone() {
    let home = home(|tiny| {
        tiny.replace("version: 1,", "version: 1, compare: (losses: [\"dice\"], learning_rates: [0.1, 10.0]),")
    });
    compare(home.path(), &["tiny.ron", "--loss", "ce", "--out", "run"])
        .success()
        .stdout(predicate::str::contains("learning rate times"));
    let run = home.path().join("run");
    let folds: Value = serde_json::from_str(&text(&run.join("splits_final.json"))).unwrap();
    let records: Vec<Value> = journal(&run).iter().map(|line| record(line)).collect();
    let (trials, results): (Vec<&Value>, Vec<&Value>) = records.iter().partition(|record| record["trial"] == true);
    assert_eq!((trials.len(), results.len()), (8, 4));
    let dice = |record: &Value| -> f64 {
        let rows = record["ending"]["Trained"].as_array().unwrap();
        let of = |row: &Value| {
            let count = |name: &str| row["metrics"]["confusion"][name].as_f64().unwrap();
            let [tp, fp, fn_] = ["true_positive", "false_positive", "false_negative"].map(count);
            2.0 * tp / (2.0 * tp + fp + fn_)
        };
        rows.iter().map(of).sum::<f64>() / rows.len() as f64
    };
    for result in results {
        let same = |other: &&&Value| (&other["loss"], &other["fold"]) == (&result["loss"], &result["fold"]);
        let of: Vec<&&Value> = trials.iter().filter(same).collect();
        let best = of.iter().max_by(|a, b| dice(a).total_cmp(&dice(b))).unwrap();
        assert_eq!((of.len(), &result["rate_factor"]), (2, &best["rate_factor"]));
        let val = folds[result["fold"].as_u64().unwrap() as usize]["val"].to_string();
        for row in of.iter().flat_map(|trial| trial["ending"]["Trained"].as_array().unwrap()) {
            assert!(!val.contains(row["case"].as_str().unwrap()), "a trial saw a test case");
        }
    }
}

#[test]
fn the_report_needs_nothing_else_and_can_be_made_again() {
    let home = home(|tiny| tiny);
    lossgen(home.path()).args(["data", "phantom", "set", "--cases", "4"]).assert().success();
    let line = ["tiny.ron", "--data", "set", "--loss", "dice", "--loss", "cov(dice, ce)", "--out", "run"];
    lossgen(home.path()).arg("compare").args(line).arg("--quiet").assert().success();
    let file = home.path().join("run/report.html");
    let first = text(&file);
    for foreign in ["http:", "https:", "<script", "<link", "@import", "src=\"/", "url("] {
        assert!(!first.contains(foreign), "{foreign}");
    }
    for part in [
        "Table",
        "How stable the ranking is",
        "What moved in the losses",
        "<math",
        "data:image/png;base64,",
        "Environment",
    ] {
        assert!(first.contains(part), "{part}");
    }
    // Three cases of each loss, twice.
    assert_eq!(first.matches("<img").count(), 12);
    assert!(!first.contains(&home.path().display().to_string()), "where somebody works is nobody's business");
    std::fs::remove_file(&file).unwrap();
    let report = |line: &[&str]| lossgen(home.path()).args(["report", "run", "--quiet"]).args(line).assert();
    report(&[]).success();
    assert!(text(&file) == first, "the same run, the same report");
    // Without the data there are no pictures, and everything else.
    std::fs::rename(home.path().join("set"), home.path().join("away")).unwrap();
    report(&[]).code(2).stderr(predicate::str::contains("dataset folder does not exist"));
    report(&["--no-pictures"]).success();
    let without = text(&file);
    assert!(!without.contains("<img") && without.contains("How stable the ranking is"));
    report(&["--data", "away"]).success();
    let moved = text(&file);
    assert!(moved.matches("<img").count() == 12 && moved.contains("Losses compared: away"));
}

#[test]
fn a_run_of_train_is_extended_by_compare() {
    let home = home(|tiny| tiny);
    let train = ["train", "tiny.ron", "--loss", "dice", "--out", "run", "--quiet"];
    lossgen(home.path()).args(train).assert().success();
    compare(home.path(), &["--resume", "run", "--loss", "ce", "--seeds", "9"]).success();
    let run = home.path().join("run");
    assert_eq!(journal(&run).len(), 8);
    assert!(states(&run).values().all(|state| state == "done"));
    lossgen(home.path()).args(["train", "--resume", "run", "--quiet"]).assert().success();
    assert_eq!(journal(&run).len(), 8);
}

#[test]
fn losses_of_several_runs_are_judged_on_cases_that_none_of_them_saw() {
    let home = home(|tiny| {
        let learn = "learn: (lessons: 2, networks: 1, hidden: 4, recipe: (steps: 4, patches: (patch: (8, 8, 8), batch: 1))), train:";
        tiny.replace("generations: 2", "generations: 0").replacen("train:", learn, 1)
    });
    for line in [["evolve", "evolved", "3"], ["learn", "learned", "3"], ["learn", "other", "9"]] {
        let [command, out, seed] = line;
        lossgen(home.path()).args([command, "tiny.ron", "--quiet", "--out", out, "--seed", seed]).assert().success();
    }
    let losses = ["--loss", "evolved/best", "--loss", "learned(learned)", "--out", "run"];
    compare(home.path(), &[&["tiny.ron"], &losses[..]].concat()).success();
    let held_out = |run: &str| -> BTreeSet<String> {
        let manifest = text(&home.path().join(run).join("manifest.ron"));
        let list = manifest.split("held_out: [").last().unwrap().split(']').next().unwrap().to_string();
        list.split('"').filter(|part| part.starts_with("phantom")).map(String::from).collect()
    };
    let mut reader = csv::Reader::from_path(home.path().join("run/cases.csv")).unwrap();
    let tested: BTreeSet<String> = reader.records().map(|row| row.unwrap()[2].to_string()).collect();
    assert_eq!(held_out("evolved"), held_out("learned"), "the same seed keeps the same cases apart");
    assert_eq!(tested, held_out("learned"));
    assert_ne!(held_out("other"), tested);
    compare(home.path(), &["--resume", "run", "--loss", "learned(other)"])
        .code(2)
        .stderr(predicate::str::contains("has seen a case of this comparison"));
}
