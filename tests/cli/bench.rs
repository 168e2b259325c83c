//! Benchmarks run, keep the keys that scripts rely on, and refuse what they cannot measure. No test asserts a time.

use serde_json::Value;

use super::lossgen;

/// The object that `lossgen bench` prints for the words of `line`.
#[track_caller]
fn measured(line: &[&str]) -> Value {
    let home = tempfile::tempdir().unwrap();
    let once = ["--repeats", "1", "--warm-up", "1", "--threads", "1", "--json"];
    let assert = lossgen(home.path()).arg("bench").args(line).args(once).assert().success();
    let object: Value = serde_json::from_slice(&assert.get_output().stdout).unwrap();
    assert_eq!((object["benchmark"].as_str(), object["threads"].as_u64()), (Some(line[0]), Some(1)));
    object
}

#[test]
fn a_step_has_its_parts_and_its_figures() {
    let object = measured(&["step", "--width", "2", "--levels", "2", "--batch", "1", "--size", "8,8,8"]);
    for part in ["batch", "forward", "loss", "backward", "optimizer", "step", "formula"] {
        let [median, min] = ["ms", "ms_min"].map(|unit| object[format!("{part}_{unit}")].as_f64().unwrap());
        assert!(0.0 < min && min <= median, "{part}: {object}");
    }
    for figure in ["steps_per_second", "gflop_per_second", "proxy_trainings_per_hour", "formulas_per_second"] {
        assert!(object[figure].as_f64().unwrap() > 0.0, "{figure}: {object}");
    }
    assert_eq!(object["peak_rss_mib"].is_f64(), cfg!(target_os = "linux"));
    let moving = ["step", "--width", "2", "--levels", "2", "--size", "8,8,8", "--loss", "greedy(tversky, every=1)"];
    assert_eq!(measured(&moving)["loss"], "greedy(tversky, every=1)");
}

#[test]
fn gates_have_their_figures() {
    let object = measured(&["gates", "--losses", "40", "--descents", "2"]);
    for figure in ["losses_per_second", "descents_per_second", "starts_per_second"] {
        assert!(object[figure].as_f64().unwrap() > 0.0, "{figure}: {object}");
    }
    assert!(object["results"]["duplicates"].is_u64() && object["losses"] == 40, "{object}");
}

#[test]
fn distances_and_surfaces_are_those_of_other_tools() {
    let agrees = |object: &Value, name: &str, expected: f64| {
        let found = object["results"][name].as_f64().unwrap();
        assert!((found - expected).abs() < 1e-9 * expected, "{name} is {found}, not {expected}");
    };
    // SciPy 1.17.1 and MONAI 1.6.1 (float32), as `benches/` has them.
    let bodies = measured(&["distance"]);
    agrees(&bodies, "mean_mm", MEAN_MM[0]);
    agrees(&measured(&["distance", "--mask", "strewn"]), "mean_mm", MEAN_MM[1]);
    agrees(&measured(&["surfaces"]), "hd95_mm", HD95_MM);
}

const MEAN_MM: [f64; 2] = [15.919_097_326_943_133, 3.283_930_380_964_353];
const HD95_MM: f64 = 5.0;

#[test]
fn what_cannot_be_measured_is_refused() {
    let home = tempfile::tempdir().unwrap();
    for (line, part) in [
        (["step", "--size", "32,48,30"], "multiples of 4"),
        (["step", "--size", "32x48x32"], "three numbers"),
        (["step", "--width", "0"], "width"),
        (["step", "--loss", "dise"], "did you mean `dice`"),
        (["distance", "--repeats", "0"], "1..=100000"),
    ] {
        let assert = lossgen(home.path()).arg("bench").args(line).assert().code(2);
        assert.stderr(predicates::str::contains(part));
    }
}
