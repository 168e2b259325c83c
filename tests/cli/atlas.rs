//! Atlases as a person asks for them.

use predicates::prelude::*;

use super::lossgen;

#[test]
fn an_atlas_is_told_drawn_and_never_overwritten() {
    let home = tempfile::tempdir().unwrap();
    let atlas = |line: &[&str]| lossgen(home.path()).arg("atlas").args(line).assert();
    let line = ["--max-size", "4", "--spread", "3", "--duplicates", "--out", "map"];
    let text = String::from_utf8(atlas(&line).success().get_output().stdout.clone()).unwrap();
    for part in ["structures", "focal_tversky", "differ most", "random losses", "(mean abs_diff)"] {
        assert!(predicate::str::contains(part).eval(&text), "{part} is missing in {text}");
    }
    let read = |name: &str| std::fs::read_to_string(home.path().join("map").join(name)).unwrap();
    assert!(read("atlas.svg").contains(">focal_dice<") && read("atlas.ron").contains("\"polarity\""));
    assert_eq!(read("atlas.csv").lines().count(), 22);
    atlas(&line).code(2).stderr(predicate::str::contains("never overwrites"));
    atlas(&["--max-size", "0"]).code(2);
    atlas(&["nowhere.ron"]).code(2).stderr(predicate::str::contains("grammar not found"));
}

#[test]
fn numbers_are_printed_as_json_on_any_number_of_threads() {
    let home = tempfile::tempdir().unwrap();
    let numbers = |threads: &str| {
        let line = ["atlas", "--max-size", "5", "--constants", "2", "--json", "--threads", threads];
        let text = lossgen(home.path()).args(line).assert().success().get_output().stdout.clone();
        let mut parsed: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert!(parsed["seconds"].take().as_f64().unwrap() > 0.0);
        parsed
    };
    let one = numbers("1");
    assert_eq!(one, numbers("3"));
    assert_eq!((one["grammar"].as_str(), one["sizes"][1]["structures"].as_u64()), (Some("polarity"), Some(1)));
    assert_eq!(one["catalog"][0]["name"], "ce");
}
