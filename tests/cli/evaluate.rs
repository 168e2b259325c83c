//! `lossgen evaluate`: numbers that can be worked out by hand, where they are written, and what is refused.

use std::collections::BTreeSet;
use std::path::Path;

use lossgen::data::nifti::{write_new_image, write_new_label};
use lossgen::metrics::Metric;
use lossgen::volume::{Grid, Volume};
use predicates::prelude::*;
use serde_json::{Value, json};

use super::lossgen;

/// A row of ten voxels, 1 x 1 x 2 mm: its volume is 0.02 ml, its diagonal sqrt(402) mm.
fn write(home: &Path, name: &str, labels: [u8; 10]) {
    let path = home.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mask = Volume { grid: Grid::aligned([1, 1, 10], [1.0, 1.0, 2.0]), voxels: labels.to_vec() };
    write_new_label(&path, &mask).unwrap();
}

/// Three cases: `a` is one voxel off in class 1, `b` misses class 1, `c` has class 3 where it is not.
fn study(home: &Path) {
    write(home, "truth/a.nii.gz", [0, 1, 1, 1, 1, 0, 0, 0, 0, 0]);
    write(home, "predicted/a.nii.gz", [0, 0, 1, 1, 1, 1, 0, 0, 0, 0]);
    write(home, "truth/b.nii", [0, 1, 1, 0, 0, 0, 0, 0, 0, 0]);
    write(home, "predicted/b.nii.gz", [0; 10]);
    write(home, "truth/c.nii.gz", [0; 10]);
    write(home, "predicted/c.nii.gz", [0, 0, 0, 0, 0, 0, 3, 3, 0, 0]);
    std::fs::write(home.join("truth/._a.nii.gz"), "a shadow").unwrap();
}

fn evaluated(home: &Path, more: &[&str]) -> Value {
    let assert = lossgen(home).args(["evaluate", "predicted", "truth", "--json"]).args(more).assert().success();
    serde_json::from_slice(&assert.get_output().stdout).unwrap()
}

/// The line of `list` with these entries, without them.
#[track_caller]
fn line(list: &Value, keys: &Value) -> Value {
    let has = |line: &&Value| keys.as_object().unwrap().iter().all(|(key, value)| line[key] == *value);
    let mut line = list.as_array().unwrap().iter().find(has).unwrap_or_else(|| panic!("no {keys}")).clone();
    keys.as_object().unwrap().keys().for_each(|key| drop(line.as_object_mut().unwrap().remove(key)));
    line
}

fn value(document: &Value, case: &str, class: u8, metric: &str) -> Value {
    line(&document["cases"], &json!({"case": case, "class": class, "metric": metric}))["value"].clone()
}

#[test]
fn values_are_those_of_a_calculation_by_hand() {
    let home = tempfile::tempdir().unwrap();
    study(home.path());
    let found = evaluated(home.path(), &[]);
    assert_eq!(found.as_object().unwrap().len(), 2);
    assert_eq!(found["cases"].as_array().unwrap().len(), 3 * 2 * Metric::of_masks().count(), "class 3 in every case");
    // tp 3, fp 1, fn 1, tn 5. All four voxels are surface, since the image is one voxel thick: one of each mask is off,
    // by 2 mm.
    let by_hand = json!({
        "accuracy": 0.8, "dice": 0.75, "f2": 0.75, "iou": 0.6, "precision": 0.75, "recall": 0.75,
        "specificity": 5.0 / 6.0, "volume_difference": 0.0, "hd": 2.0, "hd95": 1.7, "assd": 0.5, "masd": 0.5, "nsd": 0.75,
    });
    for (metric, expected) in by_hand.as_object().unwrap() {
        let found = value(&found, "a", 1, metric).as_f64().unwrap();
        assert!((found - expected.as_f64().unwrap()).abs() < 1e-12, "{metric}: {found}, not {expected}");
    }
    // Missed: worst overlap, infinite distance. Absent from both: undefined. 0.004 ml are two voxels.
    let all = |case, class, metrics: [&str; 5]| metrics.map(|metric| value(&found, case, class, metric));
    let some = ["dice", "recall", "precision", "hd95", "nsd"];
    assert_eq!(all("b", 1, some), [json!(0.0), json!(0.0), Value::Null, json!("inf"), json!(0.0)]);
    assert_eq!(all("c", 3, some), [json!(0.0), Value::Null, json!(0.0), json!("inf"), json!(0.0)]);
    assert_eq!(all("a", 3, some), [const { Value::Null }; 5]);
    assert_eq!(value(&found, "b", 1, "volume_difference"), json!(0.004));

    let mean = |class: u8, metric: &str| line(&found["summary"], &json!({"class": class, "metric": metric}));
    assert_eq!(found["summary"].as_array().unwrap().len(), 2 * Metric::of_masks().count());
    let (dice, hd) = (mean(1, "dice"), mean(1, "hd"));
    let counts = |line: &Value| ["n", "undefined", "missed", "spurious", "replaced"].map(|key| line[key].clone());
    assert_eq!(dice["mean"], json!(0.375));
    assert!((dice["sd"].as_f64().unwrap() - 0.75 / 2.0_f64.sqrt()).abs() < 1e-15);
    assert_eq!(counts(&dice), [2, 1, 1, 0, 0].map(|count| json!(count)));
    assert_eq!(counts(&hd), [2, 1, 1, 0, 1].map(|count| json!(count)));
    assert!((hd["mean"].as_f64().unwrap() - f64::midpoint(2.0, 402.0_f64.sqrt())).abs() < 1e-12, "the diagonal");
    assert_eq!((&hd["unit"], &dice["unit"]), (&json!("mm"), &json!("")));
    let spurious = mean(3, "dice");
    assert_eq!(counts(&spurious), [1, 2, 0, 1, 0].map(|count| json!(count)));
    assert_eq!((&spurious["mean"], &spurious["sd"]), (&json!(0.0), &Value::Null), "one value has no spread");
    let recall = mean(3, "recall");
    assert_eq!((&recall["mean"], &recall["sd"], &recall["n"]), (&Value::Null, &Value::Null, &json!(0)));
}

#[test]
fn the_tolerance_is_asked_for_and_said() {
    let home = tempfile::tempdir().unwrap();
    study(home.path());
    for (tolerance, expected) in [("0", 0.75), ("1.99", 0.75), ("2", 1.0)] {
        let found = evaluated(home.path(), &["--nsd-tolerance", tolerance]);
        assert_eq!(value(&found, "a", 1, "nsd"), json!(expected), "{tolerance} mm");
    }
    let table = lossgen(home.path()).args(["evaluate", "predicted", "truth", "--nsd-tolerance", "2.5"]).assert();
    let parts = ["NSD at 2.5 mm [%]", "missed", "spurious", "over 3 cases", "count as the volume diagonal"];
    let output = table.success().get_output().stdout.clone();
    let text = String::from_utf8(output).unwrap();
    for part in parts {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn values_per_case_are_written_beside_the_predictions_and_never_over_others() {
    let home = tempfile::tempdir().unwrap();
    study(home.path());
    let read = |name: &str| std::fs::read_to_string(home.path().join(name)).unwrap();
    evaluated(home.path(), &[]);
    let first = read("predicted/evaluation.csv");
    assert!(first.starts_with("case,class,metric,value,unit\na,1,accuracy,0.8,\na,1,dice,0.75,\n"), "{first}");
    assert!(first.contains("\nb,1,hd,inf,mm\n") && first.contains("\na,3,dice,NaN,\n"));
    evaluated(home.path(), &[]);
    assert!(!home.path().join("predicted/evaluation-1.csv").exists(), "the same values again are no other values");
    evaluated(home.path(), &["--nsd-tolerance", "2"]);
    assert_eq!(read("predicted/evaluation-1.csv"), first);
    assert_ne!(read("predicted/evaluation.csv"), first);

    evaluated(home.path(), &["--out", "results/mine"]);
    assert_eq!(read("results/mine/cases.csv"), first);
    let again = ["evaluate", "predicted", "truth", "--out", "results/mine"];
    lossgen(home.path()).args(again).assert().code(2).stderr(predicate::str::contains("not empty"));
    assert_eq!(std::fs::read_dir(home.path().join("results/mine")).unwrap().count(), 1);
}

#[test]
fn two_files_are_one_case() {
    let home = tempfile::tempdir().unwrap();
    study(home.path());
    let pair = ["evaluate", "predicted/a.nii.gz", "truth/a.nii.gz", "--json"];
    let assert = lossgen(home.path()).args(pair).assert().success();
    let found: Value = serde_json::from_slice(&assert.get_output().stdout).unwrap();
    assert_eq!(value(&found, "a", 1, "hd"), json!(2.0));
    assert!(home.path().join("predicted/a-evaluation.csv").is_file());
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    lossgen(home.path()).args(["data", "phantom", "p", "--cases", "5"]).assert().success();
    lossgen(home.path()).args(["data", "phantom", "q", "--cases", "5", "--seed", "9"]).assert().success();
    let mut seen = BTreeSet::new();
    for threads in ["1", "2", "7"] {
        let out = format!("out-{threads}");
        let line = ["evaluate", "p/labelsTr", "q/labelsTr", "--json", "--threads", threads, "--out", &out];
        let assert = lossgen(home.path()).args(line).assert().success();
        let csv = std::fs::read(home.path().join(out).join("cases.csv")).unwrap();
        seen.insert((assert.get_output().stdout.clone(), csv));
    }
    assert_eq!(seen.len(), 1);
    let (text, _) = seen.first().unwrap();
    let found: Value = serde_json::from_slice(text).unwrap();
    assert!(line(&found["summary"], &json!({"class": 1, "metric": "dice"}))["mean"].as_f64().unwrap() > 0.0);
}

#[test]
fn what_cannot_be_compared_is_refused_and_nothing_is_written() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    study(home);
    let refused = |line: &[&str], parts: &[&str]| {
        let mut assert = lossgen(home).arg("evaluate").args(line).assert().code(2).stdout(predicate::str::is_empty());
        for part in parts {
            assert = assert.stderr(predicate::str::contains(*part));
        }
        assert.stderr(predicate::str::contains("panicked").not());
        assert!(!home.join("predicted/evaluation.csv").exists() && !home.join("out").exists());
    };
    let both = ["predicted", "truth"];
    refused(&["nowhere", "truth"], &["no such file or folder", "nowhere"]);
    refused(&["predicted/a.nii.gz", "truth"], &["a file cannot be compared with a folder"]);
    refused(&["predicted", "truth", "--nsd-tolerance", "-1"], &["--nsd-tolerance", "at least 0"]);
    refused(&["predicted", "truth", "--nsd-tolerance", "inf"], &["--nsd-tolerance", "found:    inf"]);
    std::fs::create_dir_all(home.join("empty/labelsTr")).unwrap();
    refused(&["empty", "truth"], &["folder has no masks", "did you mean `empty/labelsTr`?"]);
    refused(&["predicted", "empty", "--out", "out"], &["folder has no masks", "empty"]);
    refused(&["truth/c.nii.gz", "truth/c.nii.gz"], &["nothing to evaluate", "truth/c.nii.gz"]);

    write(home, "truth/d.nii.gz", [1; 10]);
    refused(&both, &["truth has no prediction", "truth/d.nii.gz", "predicted/d.nii.gz", "predict the missing cases"]);
    std::fs::rename(home.join("truth/d.nii.gz"), home.join("predicted/d.nii.gz")).unwrap();
    refused(&both, &["prediction has no truth", "predicted/d.nii.gz", "truth/d.nii.gz", "name of its truth"]);

    let other = Volume { grid: Grid::aligned([1, 1, 10], [1.0, 1.0, 2.5]), voxels: vec![1; 10] };
    write_new_label(&home.join("truth/d.nii.gz"), &other).unwrap();
    refused(&both, &["spacing differs", "predicted/d.nii.gz", "truth/d.nii.gz", "1 x 1 x 2 mm", "1 x 1 x 2.5 mm"]);
    let image = Volume { grid: other.grid.clone(), voxels: vec![-3_i16; 10] };
    write_new_image(&home.join("truth/d.nii.gz"), &image).unwrap();
    refused(&both, &["no label", "truth/d.nii.gz", "voxel (0, 0, 0)", "whole number from 0 to 255", "found:    -3"]);
    halves(&home.join("truth/d.nii"));
    std::fs::remove_file(home.join("truth/d.nii.gz")).unwrap();
    refused(&both, &["no label", "truth/d.nii", "found:    0.5"]);
}

/// A mask that went through an interpolation: the voxels of a written one, read as halves by a slope of 0.5.
fn halves(path: &Path) {
    let mask = Volume { grid: Grid::aligned([1, 1, 10], [1.0, 1.0, 2.0]), voxels: vec![1_u8; 10] };
    write_new_label(path, &mask).unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    bytes[112..116].copy_from_slice(&0.5_f32.to_le_bytes());
    std::fs::write(path, bytes).unwrap();
}
