//! Pictures of losses as a person asks for them.

use std::path::Path;

use predicates::prelude::*;

use super::lossgen;

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn losses_are_drawn_on_one_sheet_or_one_file_each() {
    let home = tempfile::tempdir().unwrap();
    let plot = |line: &[&str]| lossgen(home.path()).args(["loss", "plot"]).args(line).assert();
    let line = ["dice", "focal(gamma=3)", "(mean (* fp 2))", "--only", "size,profile"];
    plot(&line).code(2).stderr(predicate::str::contains("--out"));
    plot(&[&line[..], &["--out", "a.svg"]].concat()).success().stdout(predicate::str::is_empty());
    let sheet = std::fs::read_to_string(home.path().join("a.svg")).unwrap();
    assert!(sheet.contains("focal(gamma=3)") && sheet.contains("structure size") && !sheet.contains("thin plate"));
    plot(&[&line[..], &["--out", "a.svg"]].concat()).code(2).stderr(predicate::str::contains("never overwrite"));

    plot(&[&line[..], &["--out", "b"]].concat()).success();
    assert_eq!(files(&home.path().join("b")), ["profile.svg", "size.svg"]);
    plot(&[&line[..], &["--out", "b"]].concat()).code(2);
    plot(&[&line[..], &["--out", "nowhere/c.svg"]].concat()).code(2).stderr(predicate::str::contains("does not exist"));
    assert_eq!(files(home.path()), ["a.svg", "b"]);
}

#[test]
fn numbers_are_printed_as_json_on_any_number_of_threads() {
    let home = tempfile::tempdir().unwrap();
    let numbers = |threads: &str| {
        let line = ["loss", "plot", "hausdorff", "(* t dice)", "--json", "--progress", "0.5", "--threads", threads];
        String::from_utf8(lossgen(home.path()).args(line).assert().success().get_output().stdout.clone()).unwrap()
    };
    let text = numbers("1");
    assert_eq!(text, numbers("3"));
    let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(parsed[1]["loss"], "(* t dice)");
    assert_eq!(parsed[0]["slice"]["magnitude"].as_array().unwrap().len(), 1600);
    assert!(parsed[1]["size"][0]["loss"].as_f64().unwrap() > 0.0);
}

#[test]
fn slips_are_refused_before_anything_is_drawn() {
    let home = tempfile::tempdir().unwrap();
    let refused = |line: &[&str], part: &str| {
        let line = [&["loss", "plot", "--out", "x.svg"], line].concat();
        lossgen(home.path()).args(line).assert().code(2).stderr(predicate::str::contains(part));
    };
    refused(&["dcie"], "did you mean `dice`?");
    refused(&["dice", "--only", "sizes"], "did you mean `size`?");
    refused(&["dice", "--progress", "2"], "from 0 to 1");
    refused(&["(+ tp fp)"], "one value per voxel");
    refused(&["dice"; 29], "at most 28");
    refused(&[], "required");
    assert!(files(home.path()).is_empty());
}

#[test]
fn the_page_replaces_only_itself() {
    let home = tempfile::tempdir().unwrap();
    let docs = |folder: &str| lossgen(home.path()).args(["loss", "docs", folder]).assert();
    std::fs::create_dir(home.path().join("mine")).unwrap();
    std::fs::write(home.path().join("mine/losses.md"), "mine").unwrap();
    docs("mine").code(2).stderr(predicate::str::contains("not written by this program"));
    assert_eq!(files(&home.path().join("mine")), ["losses.md"]);
    docs("new").success();
    docs("new").success();
    assert_eq!(files(&home.path().join("new")), ["losses", "losses.md"]);
}
