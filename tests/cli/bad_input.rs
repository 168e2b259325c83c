//! Bad input: exit code 2, one message that names the place and the cure, and nothing half-made.

use std::io::{Read as _, Write as _};
use std::path::Path;

use predicates::prelude::*;

use super::{lossgen, tiny};

/// Runs `lossgen` with the words of `line` and demands the parts of the message, and that it is whole: where it is
/// wrong, what would be right, what was there, and the cure.
#[track_caller]
fn refused(home: &Path, line: &[&str], parts: &[&str]) {
    let before = listing(home);
    let mut assert = lossgen(home).args(line).assert().code(2).stdout(predicate::str::is_empty());
    for part in parts {
        assert = assert.stderr(predicate::str::contains(*part));
    }
    let place = predicate::str::contains("  file: ").or(predicate::str::contains("  field: "));
    assert = assert.stderr(place);
    for part in ["  expected: ", "  found: ", "help: "] {
        assert = assert.stderr(predicate::str::contains(part));
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
    refused(home.path(), &["evolve", "c.ron", "--device", "tpu"], &["--device", "auto, cpu, cuda or cuda:N", "tpu"]);
    refused(home.path(), &["train", "c.ron", "--loss", "ce", "--device", "cuda:99"], &["--device", "CUDA"]);
    refused(home.path(), &["evolve", "c.ron", "--threads", "0"], &["--threads"]);
    refused(home.path(), &["evolve", "--resume", "nowhere"], &["nowhere", "manifest.ron"]);
    write(tiny().replace("seed: 3", "seed: -3"));
    refused(home.path(), &line, &["c.ron", "field:    seed", "neither negative", "found:    `-3`"]);
    write(tiny().replace("steps: 4", "steps: \"four\""));
    refused(home.path(), &line, &["c.ron", "field:    proxy.recipe.steps", "integer", "`\"four\"`"]);
    write(tiny().replace("steps: 4", "steps: 0"));
    refused(home.path(), &line, &["c.ron", "field:    proxy.recipe.steps", "at least 1", "found:    0"]);
    write(tiny().replace("batch: 2", "batch: 0"));
    refused(home.path(), &line, &["c.ron", "field:    proxy.recipe.patches.patch, batch", "1 to 1e9 voxels"]);
    write(tiny().replace("population: 6", "population: 6, zebra: 1"));
    refused(home.path(), &line, &["c.ron", "field:    search.zebra", "remove it"]);
    std::fs::write(home.path().join("c.ron"), [0x28, 0xff, 0xfe]).unwrap();
    refused(home.path(), &line, &["c.ron", "it is not text", "expected: a RON text file"]);
    refused(home.path(), &["evolve", "c.ron/inside"], &["c.ron/inside", "a file stands where a folder is needed"]);
    // Each size is fine alone.
    write(tiny().replace("width: 2, levels: 2", "width: 512, levels: 4"));
    refused(home.path(), &line, &["c.ron", "network.width, network.levels", "at most 200000000 parameters"]);
    write(
        tiny()
            .replace("width: 2, levels: 2", "width: 64, levels: 2")
            .replace("patch: (8, 8, 8), batch", "patch: (512, 512, 64), batch"),
    );
    refused(home.path(), &line, &["c.ron", "field:    proxy.recipe.patches", "at most 1e9 values"]);
    write(tiny().replace("population: 6", "population: 100000000"));
    refused(home.path(), &line, &["c.ron", "search.population", "at most 100000"]);
    write(tiny().replace("cases: 9, shape: (16, 16, 12)", "cases: 9000, shape: (512, 512, 512)"));
    refused(home.path(), &line, &["at most 4e9 voxels"]);
    write(tiny().replace("generations: 2", "generations: 2, tournament: 100000000000"));
    refused(home.path(), &line, &["c.ron", "search.tournament", "1 to the population", "100000000000"]);
    write(tiny().replace("window: Sliding(patch: (8, 8, 8)", "window: Sliding(patch: (90000, 90000, 90000)"));
    refused(home.path(), &line, &["c.ron", "train.window", "1e9 voxels"]);
    std::fs::create_dir(home.path().join("folder")).unwrap();
    refused(
        home.path(),
        &["evolve", "folder"],
        &["folder", "it is a folder", "expected: a RON text file", "found:    a folder"],
    );
    // A language without a loss that trains: found before a run is made.
    write(tiny());
    let grammar = r#"(version: 1, name: "mute", start: "error", max_size: 9, sorts: {"error": Tree}, rules: [(gives: "error", form: "(mean (- 1 abs_diff))")])"#;
    std::fs::write(home.path().join("g.ron"), grammar).unwrap();
    refused(
        home.path(),
        &["evolve", "c.ron", "--grammar", "g.ron", "--out", "run"],
        &["no loss that passes the gates", "search.grammar", "mute", "pushes voxels away from their target"],
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
    refused(
        home.path(),
        &["train", "c.ron", "--loss", "dice", "--loss", "ce", "--loss", "dice", "--out", "t"],
        &["the same loss twice", "--loss", "`dice` again"],
    );
}

#[test]
fn populations() {
    let home = tempfile::tempdir().unwrap();
    refused(home.path(), &["inspect", "nowhere"], &["no such run or population", "nowhere"]);
    std::fs::write(home.path().join("p.ron"), "(version: 2, generation: 0, next_id: 1, individuals: [(id: 0, birth: 0, parents: [], origin: Random, loss: \"(mean tq)\", part: 9, outcome: Diverged(step: 1))])").unwrap();
    refused(home.path(), &["inspect", "p.ron"], &["p.ron", "unknown word `tq`", "loss of individual 0"]);
    std::fs::write(home.path().join("p.ron"), "not a population").unwrap();
    refused(home.path(), &["inspect", "p.ron"], &["p.ron", "not of the expected form", "found:    `not`"]);
    let one = |id: u64, dice: &str| {
        format!(
            "(id: {id}, birth: 0, parents: [], origin: Random, loss: \"(mean fp)\", part: 1, \
             outcome: Trained((dice: {dice}, hd95_mm: [1.0, 2.0])), gains: [(dice: [0.1, 0.1], hd95_mm: 0.0)])"
        )
    };
    let fine = [one(0, "[0.5, 0.5]"), one(1, "[0.6, 0.5]")];
    let population = |file: &str, generation: usize, next_id: u64, all: &[String], parts: &[&str]| {
        let all = all.join(", ");
        let text = format!("(version: 2, generation: {generation}, next_id: {next_id}, individuals: [{all}])");
        std::fs::write(home.path().join(file), text).unwrap();
        if parts.is_empty() {
            lossgen(home.path()).args(["inspect", file]).assert().success();
        } else {
            refused(home.path(), &["inspect", file], &[&[file, "help: the file was edited"], parts].concat());
        }
    };
    population("p.ron", 3, 2, &fine, &[]);
    population("generation-0003.ron", 3, 2, &fine, &[]);
    population("generation-0003.ron", 4, 2, &fine, &["field:    generation", "3, as in the name", "found:    4"]);
    population("p.ron", 3, 1, &fine, &["field:    id", "below next_id, 1", "found:    1"]);
    let twins = [fine[0].clone(), one(0, "[0.6, 0.5]")];
    population("p.ron", 3, 2, &twins, &["the same id", "found:    0 again"]);
    for (dice, found) in
        [("[]", "0"), ("[0.5]", "1"), ("[0.5, NaN]", "NaN"), ("[0.5, 1.5]", "1.5"), ("[-inf, 0]", "-inf")]
    {
        let ill = [fine[0].clone(), one(1, dice)];
        population("p.ron", 3, 2, &ill, &["field:    dice of individual 1", &format!("found:    {found}\n")]);
    }
    std::fs::write(home.path().join("p.ron"), "(version: 2, generation: 0,").unwrap();
    refused(home.path(), &["inspect", "p.ron"], &["p.ron", "ends too early", "found:    the end of the file"]);
    std::fs::write(home.path().join("p.ron"), [0x1f, 0x8b, 0xff, 0xfe]).unwrap();
    refused(home.path(), &["inspect", "p.ron"], &["p.ron", "it is not text", "expected: a RON text file"]);
    std::fs::write(home.path().join("p.ron"), "(version: 2, generation: 0, next_id: 1, individuals: [])").unwrap();
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
    evolve(&["dataset has no image", "imagesTr", "files named ID.nii.gz", "found:    none"]);

    let copy = |what: &str| {
        for entry in std::fs::read_dir(home.path().join("good").join(what)).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, folder.join(what).join(path.file_name().unwrap())).unwrap();
        }
    };
    copy("imagesTr");
    evolve(&["image has no mask", "labelsTr", "found:    no such file"]);
    copy("labelsTr");
    let label = std::fs::read_dir(folder.join("labelsTr")).unwrap().next().unwrap().unwrap().path();
    let name = label.file_name().unwrap().to_str().unwrap().to_string();
    let whole = std::fs::read(&label).unwrap();
    std::fs::write(&label, &whole[..whole.len() / 2]).unwrap();
    evolve(&["compressed file is cut off", &name, "found:    the end of the file"]);
    // An image is no label: its values are whole numbers, but far above any class.
    std::fs::copy(folder.join("imagesTr").join(&name), &label).unwrap();
    evolve(&["mask has values that are no labels", &name, "field:    case phantom_", "whole numbers from 0 to 255"]);

    let bytes = decompressed(&whole);
    // The header says float32 (code 16) with the voxels as they are: one byte more than whole numbers need.
    let voxels = bytes.len() - 352;
    let mut halves = bytes[..352].to_vec();
    halves[70..74].copy_from_slice(&[16, 0, 32, 0]);
    halves.extend((0..voxels).flat_map(|v| (if v == 7 { 0.5f32 } else { 0.0 }).to_le_bytes()));
    std::fs::write(&label, compressed(&halves)).unwrap();
    evolve(&[
        "mask has values that are no labels",
        &name,
        "whole numbers",
        "found:    1 of 38400 voxels, for example 0.5",
    ]);
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
