//! Bad input: exit code 2, one message that names the place and the cure, and nothing half-made.

use std::io::{Read as _, Write as _};
use std::path::Path;

use predicates::prelude::*;

use super::{lossgen, tiny};

/// Runs `lossgen` with the words of `line` and demands the parts of the message.
#[track_caller]
fn refused(home: &Path, line: &[&str], parts: &[&str]) {
    let before = listing(home);
    let mut assert = lossgen(home).args(line).assert().code(2).stdout(predicate::str::is_empty());
    for part in parts {
        assert = assert.stderr(predicate::str::contains(*part));
    }
    assert.stderr(predicate::str::contains("panicked").not());
    assert_eq!(listing(home), before, "something was left behind");
}

fn listing(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path().display().to_string()).collect();
    names.sort();
    names
}

#[test]
fn configurations() {
    let home = tempfile::tempdir().unwrap();
    let write = |text: String| std::fs::write(home.path().join("c.ron"), text).unwrap();
    let line = ["evolve", "c.ron", "--out", "run"];
    refused(home.path(), &["evolve", "missing.ron"], &["missing.ron", "does not exist"]);
    write(tiny().replace("population:", "popluation:"));
    refused(home.path(), &line, &["c.ron", "unknown field `popluation`", "did you mean `population`?"]);
    write(tiny().replace("population: 6", "population: 1"));
    refused(home.path(), &line, &["c.ron", "search.population", "at least 2", "found:    1"]);
    write(tiny().replace("patch: (8, 8, 8)", "patch: (8, 7, 8)"));
    refused(home.path(), &line, &["c.ron", "proxy.recipe.patches.patch", "multiples of 2"]);
    write(tiny().replace("version: 1", "version: 7"));
    refused(home.path(), &line, &["c.ron", "version"]);
    write(tiny().replace("held_out: 0.45", "held_out: 0.9"));
    refused(home.path(), &line, &["held_out"]);
    write(tiny()[..tiny().len() / 2].to_string());
    refused(home.path(), &line, &["c.ron"]);
    write(tiny());
    refused(home.path(), &["evolve", "c.ron", "--grammar", "nowhere.ron"], &["nowhere.ron", "polarity"]);
    refused(home.path(), &["evolve", "c.ron", "--device", "tpu"], &["--device", "auto or cpu", "tpu"]);
    refused(home.path(), &["evolve", "c.ron", "--threads", "0"], &["--threads"]);
    refused(home.path(), &["evolve", "--resume", "nowhere"], &["nowhere", "manifest.ron"]);
    write(tiny().replace("seed: 3", "seed: -3"));
    refused(home.path(), &line, &["c.ron", "field:    seed", "expected:", "found:", "help:"]);
    write(tiny().replace("generations: 2", "generations: 2, tournament: 100000000000"));
    refused(home.path(), &line, &["c.ron", "search.tournament", "1 to the population", "100000000000"]);
    write(tiny().replace("window: Sliding(patch: (8, 8, 8)", "window: Sliding(patch: (90000, 90000, 90000)"));
    refused(home.path(), &line, &["c.ron", "train.window", "1e9 voxels"]);
    std::fs::create_dir(home.path().join("folder")).unwrap();
    refused(home.path(), &["evolve", "folder"], &["folder", "expected: a file", "found:    a folder"]);
    // A language without a loss that trains: found before a run is made.
    write(tiny());
    let grammar = r#"(version: 1, name: "mute", start: "error", max_size: 9, sorts: {"error": Tree}, rules: [(gives: "error", form: "(mean (- 1 abs_diff))")])"#;
    std::fs::write(home.path().join("g.ron"), grammar).unwrap();
    refused(
        home.path(),
        &["evolve", "c.ron", "--grammar", "g.ron", "--out", "run"],
        &["no loss that passes the gates", "mute", "help:"],
    );
}

#[test]
fn losses() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("c.ron"), tiny()).unwrap();
    let train =
        |loss: &str, parts: &[&str]| refused(home.path(), &["train", "c.ron", "--loss", loss, "--out", "t"], parts);
    train("tverksy", &["unknown loss `tverksy`", "did you mean `tversky`?"]);
    train("focal(gamma=-1)", &["gamma", "0 to 8"]);
    train("(mean (tp))", &["takes no arguments"]);
    train("(mean (maen tp))", &["unknown word `maen`", "did you mean `mean`?"]);
    train("(+ tp fp)", &["one value per voxel"]);
    train("nowhere/best", &["nowhere"]);
    train("nowhere.ron#3", &["nowhere.ron"]);
    refused(
        home.path(),
        &["grammar", "check", "(mean ce_fg)"],
        &["outside the language `polarity`", "foreground only"],
    );
    refused(home.path(), &["grammar", "check", "(* 99 (mean (+ ce_fg ce_bg)))"], &["outside the language"]);
    refused(home.path(), &["train", "c.ron", "--loss", "ce", "--folds", "99", "--out", "t"], &["folds", "99"]);
}

#[test]
fn populations() {
    let home = tempfile::tempdir().unwrap();
    refused(home.path(), &["inspect", "nowhere"], &["no such run or population", "nowhere"]);
    std::fs::write(home.path().join("p.ron"), "(version: 1, generation: 0, next_id: 1, individuals: [(id: 0, birth: 0, parents: [], origin: Random, loss: \"(mean tq)\", outcome: Diverged(step: 1))])").unwrap();
    refused(home.path(), &["inspect", "p.ron"], &["p.ron", "unknown word `tq`", "loss of individual 0"]);
    std::fs::write(home.path().join("p.ron"), "not a population").unwrap();
    refused(home.path(), &["inspect", "p.ron"], &["p.ron", "expected:", "found:", "help:"]);
    std::fs::write(home.path().join("p.ron"), [0x1f, 0x8b, 0xff, 0xfe]).unwrap();
    refused(home.path(), &["inspect", "p.ron"], &["p.ron", "no text", "expected: text", "found:    other bytes"]);
    std::fs::write(home.path().join("p.ron"), "(version: 1, generation: 0, next_id: 1, individuals: [])").unwrap();
    refused(home.path(), &["inspect", "p.ron"], &["p.ron", "field:    individuals", "at least one", "none", "help:"]);
}

#[test]
fn data_folders() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("set");
    let evolve = |parts: &[&str]| refused(home.path(), &["evolve", "--data", "set", "--out", "run"], parts);
    evolve(&["dataset folder does not exist", "set"]);
    std::fs::create_dir_all(folder.join("imagesTr")).unwrap();
    std::fs::create_dir_all(folder.join("labelsTr")).unwrap();
    evolve(&["dataset.json", "does not exist"]);
    lossgen(home.path()).args(["data", "phantom", "good", "--cases", "4"]).assert().success();
    std::fs::copy(home.path().join("good/dataset.json"), folder.join("dataset.json")).unwrap();
    evolve(&["imagesTr", "expected:"]);

    let copy = |what: &str| {
        for entry in std::fs::read_dir(home.path().join("good").join(what)).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, folder.join(what).join(path.file_name().unwrap())).unwrap();
        }
    };
    copy("imagesTr");
    evolve(&["labelsTr"]);
    copy("labelsTr");
    let label = std::fs::read_dir(folder.join("labelsTr")).unwrap().next().unwrap().unwrap().path();
    let name = label.file_name().unwrap().to_str().unwrap().to_string();
    let whole = std::fs::read(&label).unwrap();
    std::fs::write(&label, &whole[..whole.len() / 2]).unwrap();
    evolve(&[&name, "expected:", "found:", "help:"]);
    // An image is no label: its values are whole numbers, but far above any class.
    std::fs::copy(folder.join("imagesTr").join(&name), &label).unwrap();
    evolve(&[&name, "field:", "expected:", "found:"]);

    let bytes = decompressed(&whole);
    // The header says float32 (code 16) with the voxels as they are: one byte more than whole numbers need.
    let voxels = bytes.len() - 352;
    let mut halves = bytes[..352].to_vec();
    halves[70..74].copy_from_slice(&[16, 0, 32, 0]);
    halves.extend((0..voxels).flat_map(|v| (if v == 7 { 0.5f32 } else { 0.0 }).to_le_bytes()));
    std::fs::write(&label, compressed(&halves)).unwrap();
    evolve(&[&name, "whole", "expected:", "found:    0.5"]);
    // One slice less than the image has.
    let size = |axis: usize| usize::from(bytes[40 + 2 * axis]);
    let mut short = bytes[..352 + size(1) * size(2) * (size(3) - 1)].to_vec();
    short[46] -= 1;
    std::fs::write(&label, compressed(&short)).unwrap();
    evolve(&[&name, "grid", "expected:", "found:", "help:"]);
}

fn decompressed(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut out).unwrap();
    out
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
