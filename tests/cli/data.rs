//! Datasets checked, shown and divided as a person does it.

use std::path::Path;

use predicates::prelude::*;

use super::{lossgen, tiny};

fn phantoms(home: &Path, cases: usize) {
    lossgen(home).args(["data", "phantom", "set", "--cases", &cases.to_string()]).assert().success();
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// The bytes of a mask without compression, changed, in its place.
fn change_mask(home: &Path, id: &str, change: impl FnOnce(&mut Vec<u8>)) {
    use std::io::{Read as _, Write as _};
    let path = home.join(format!("set/labelsTr/{id}.nii.gz"));
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(std::fs::File::open(&path).unwrap()).read_to_end(&mut bytes).unwrap();
    change(&mut bytes);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&bytes).unwrap();
    std::fs::write(&path, encoder.finish().unwrap()).unwrap();
}

#[test]
fn a_good_set_passes_and_a_bad_one_names_every_case() {
    let home = tempfile::tempdir().unwrap();
    phantoms(home.path(), 6);
    let check = |words: &[&str]| lossgen(home.path()).args(["data", "check", "set"]).args(words).assert();
    let good = check(&[]).success().stdout(predicate::str::contains("nothing is wrong with it"));
    good.stdout(predicate::str::contains("phantom_0005").and(predicate::str::contains("40 x 40 x 24")));
    check(&[]).success().stderr(predicate::str::contains("have been checked before"));
    check(&["--fresh"]).success().stderr(predicate::str::contains("before").not());
    check(&["--fresh", "-v"]).success().stderr(predicate::str::contains("examining"));
    // One wrong header, one file cut off: both are told, and so are the good cases.
    change_mask(home.path(), "phantom_0002", |bytes| bytes[292..296].copy_from_slice(&55.0_f32.to_le_bytes()));
    let cut = home.path().join("set/imagesTr/phantom_0004.nii.gz");
    let bytes = std::fs::read(&cut).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let bad = check(&[]).code(2).stderr(predicate::str::contains("dataset cannot be used as it is"));
    let mut bad = bad.stderr(predicate::str::contains("found:    2 of them"));
    for part in
        ["phantom_0001", "mask has another header", "phantom_0002", "--copy-geometry image", "cut off", "phantom_0004"]
    {
        bad = bad.stdout(predicate::str::contains(part));
    }
    let json = check(&["--json"]).code(2).get_output().stdout.clone();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!((json["usable"].as_bool(), json["unusable"].as_u64()), (Some(false), Some(2)));
    assert_eq!(json["findings"][0]["case"], "phantom_0002");
    assert_eq!(json["cases"].as_array().unwrap().len(), 5);
    // Training says all of it before it begins, wherever it was told of the data.
    let configured =
        tiny().replace("data: Phantoms((cases: 9, shape: (16, 16, 12), seed: 2)),", "data: Decathlon(\"set\"),");
    std::fs::write(home.path().join("c.ron"), configured).unwrap();
    for data in [["--data", "set"].as_slice(), &["c.ron"]] {
        let train = [["train", "--loss", "dice", "--out", "run"].as_slice(), data].concat();
        let mut train = lossgen(home.path()).args(train).assert().code(2);
        for part in ["case phantom_0002, origin", "case phantom_0004", "cut off", "2 findings", "tells all"] {
            train = train.stderr(predicate::str::contains(part));
        }
    }
    assert!(!home.path().join("run").exists());
    // Mended, but for the file that nothing can mend.
    std::fs::write(&cut, &bytes).unwrap();
    check(&["--copy-geometry", "image"]).code(2).stderr(predicate::str::contains("--out"));
    let mended = check(&["--copy-geometry", "image", "--out", "masks"]).success();
    mended.stdout(predicate::str::contains("masks/phantom_0002.nii.gz").and(predicate::str::contains("0001").not()));
    std::fs::remove_dir_all(home.path().join("set/labelsTr")).unwrap();
    std::fs::rename(home.path().join("masks"), home.path().join("set/labelsTr")).unwrap();
    check(&[]).success();
}

#[test]
fn a_case_without_a_usable_mask_is_not_counted_as_empty() {
    let home = tempfile::tempdir().unwrap();
    phantoms(home.path(), 4);
    let mask = home.path().join("set/labelsTr/phantom_0001.nii.gz");
    let bytes = std::fs::read(&mask).unwrap();
    std::fs::write(&mask, &bytes[..bytes.len() / 2]).unwrap();
    let check = |words: &[&str]| lossgen(home.path()).args(["data", "check", "set"]).args(words).assert().code(2);
    let json: serde_json::Value = serde_json::from_slice(&check(&["--json"]).get_output().stdout).unwrap();
    let shares: Vec<Option<f64>> =
        json["cases"].as_array().unwrap().iter().map(|case| case["foreground"].as_f64()).collect();
    assert_eq!((shares.len(), shares[1]), (4, None));
    let mean = 100.0 * shares.iter().flatten().sum::<f64>() / 3.0;
    let told = check(&[]).stdout(predicate::str::contains("as it is: 1 finding is in the way; 0 warnings"));
    let told = String::from_utf8(told.get_output().stdout.clone()).unwrap();
    let line = told.lines().find(|line| line.ends_with("% on average")).unwrap();
    let found: f64 = line.split(' ').nth(1).unwrap().parse().unwrap();
    assert!((found - mean).abs() < 1e-3 * mean, "{line}, not {mean}");
}

#[test]
fn a_case_is_shown_by_its_id_or_its_file() {
    let home = tempfile::tempdir().unwrap();
    phantoms(home.path(), 2);
    let show = |words: &[&str]| lossgen(home.path()).args(["data", "show"]).args(words).assert();
    show(&["set/phantom_0001"]).success().stdout(predicate::str::contains("i runs feet to head"));
    show(&["set/imagesTr/phantom_0001.nii.gz", "--out", "file.png"])
        .success()
        .stdout(predicate::str::contains("body 1"));
    show(&["phantom_0001", "--data", "set", "--out", "id.png"]).success();
    let bytes = std::fs::read(home.path().join("phantom_0001.png")).unwrap();
    assert_eq!(bytes[..8], *b"\x89PNG\r\n\x1a\n");
    for other in ["file.png", "id.png"] {
        assert_eq!(std::fs::read(home.path().join(other)).unwrap(), bytes, "{other}");
    }
    show(&["set/phantom_0001", "--slice", "k=3", "--out", "k.png"]).success().stdout(predicate::str::contains("k = 3"));
    assert_ne!(std::fs::read(home.path().join("k.png")).unwrap(), bytes);
    let refused = |words: &[&str], part: &str| drop(show(words).code(2).stderr(predicate::str::contains(part)));
    // The mask of another case, as a prediction would be.
    let other = ["set/phantom_0001", "--mask", "set/labelsTr/phantom_0000.nii.gz", "--out", "other.png"];
    show(&other).success().stdout(predicate::str::contains("phantom_0000.nii.gz"));
    assert_ne!(std::fs::read(home.path().join("other.png")).unwrap(), bytes);
    refused(&["set/phantom_0001", "--mask", "nowhere.nii", "--out", "x.png"], "nowhere.nii");
    refused(&["set/phantom_001"], "did you mean `phantom_0001`?");
    refused(&["set/phantom_0001", "--slice", "k=24"], "k=0 to k=23");
    refused(&["set/phantom_0001", "--channel", "1"], "0 to 0");
    refused(&["set/phantom_0001", "--out", "x.jpg"], "ends in .png");
    refused(&["nowhere"], "DATASET/ID");
}

#[test]
fn a_case_that_is_refused_elsewhere_is_shown_and_what_is_wrong_is_said() {
    let home = tempfile::tempdir().unwrap();
    phantoms(home.path(), 1);
    let show = |part: &str| {
        let shown = lossgen(home.path()).args(["data", "show", "set/phantom_0000", "--out", "x.png"]).assert();
        shown.success().stderr(predicate::str::contains(part));
        std::fs::remove_file(home.path().join("x.png")).unwrap();
    };
    // The origin of the sform moved by many mm.
    change_mask(home.path(), "phantom_0000", |bytes| bytes[292..296].copy_from_slice(&99.0_f32.to_le_bytes()));
    show("warning: mask is on another grid than the image");
    show("only the header is wrong");
    show("drawn voxel by voxel");
    // scl_slope: labels become 0.5, 1, ...
    change_mask(home.path(), "phantom_0000", |bytes| bytes[112..116].copy_from_slice(&0.5_f32.to_le_bytes()));
    show("warning: mask has a voxel that is no label");
}

#[test]
fn masks_that_were_compressed_again_are_one_subject_in_split_and_training() {
    let home = tempfile::tempdir().unwrap();
    phantoms(home.path(), 3);
    let path = |id: &str| home.path().join(format!("set/labelsTr/{id}.nii.gz"));
    std::fs::copy(path("phantom_0000"), path("phantom_0001")).unwrap();
    let before = std::fs::read(path("phantom_0001")).unwrap();
    // Bytes of the description in the header: other bytes of the file, the same voxels.
    change_mask(home.path(), "phantom_0001", |bytes| bytes[148] = b'x');
    assert_ne!(std::fs::read(path("phantom_0001")).unwrap(), before);
    let run = |words: &[&str]| lossgen(home.path()).args(words).assert();
    run(&["data", "split", "set", "--folds", "2"])
        .success()
        .stderr(predicate::str::contains("1 case counts as of the same subject"));
    run(&["data", "split", "set", "--folds", "3", "--out", "x.json"])
        .code(2)
        .stderr(predicate::str::contains("2 to 2, the number of subjects").and(predicate::str::contains("equal")));
    run(&["train", "--data", "set", "--loss", "dice", "--steps", "2", "--folds", "3", "--out", "run"])
        .code(2)
        .stderr(predicate::str::contains("3 cases are of 2 subjects"));
}

#[test]
fn two_channels_of_an_nnunet_folder_train_and_predict() {
    let home = tempfile::tempdir().unwrap();
    phantoms(home.path(), 4);
    let (images, set) = (home.path().join("two/imagesTr"), home.path().join("set"));
    std::fs::create_dir_all(&images).unwrap();
    for (n, other) in [1, 2, 3, 0].into_iter().enumerate() {
        let from = |n: usize| set.join(format!("imagesTr/phantom_{n:04}.nii.gz"));
        std::fs::copy(from(n), images.join(format!("spine_{n}_0000.nii.gz"))).unwrap();
        std::fs::copy(from(other), images.join(format!("spine_{n}_0001.nii.gz"))).unwrap();
        let mask = home.path().join(format!("two/labelsTr/spine_{n}.nii.gz"));
        std::fs::create_dir_all(mask.parent().unwrap()).unwrap();
        std::fs::copy(set.join(format!("labelsTr/phantom_{n:04}.nii.gz")), mask).unwrap();
    }
    let json = r#"{"channel_names": {"0": "T1", "1": "T2"}, "file_ending": ".nii.gz", "numTraining": 4,
        "labels": {"background": 0, "L5": 1, "L4": 2, "L3": 3, "L2": 4, "L1": 5}}"#;
    std::fs::write(home.path().join("two/dataset.json"), json).unwrap();
    let check = lossgen(home.path()).args(["data", "check", "two"]).assert().success();
    check.stdout(predicate::str::contains("nnU-Net raw").and(predicate::str::contains("channels: T1, T2")));
    std::fs::write(home.path().join("c.ron"), tiny()).unwrap();
    let train = ["train", "c.ron", "--data", "two", "--loss", "dice", "--steps", "2", "--folds", "2", "--out", "run"];
    lossgen(home.path()).args(train).assert().success();
    std::fs::remove_file(images.join("spine_2_0001.nii.gz")).unwrap();
    let check = lossgen(home.path()).args(["data", "check", "two"]).assert().code(2);
    check.stdout(predicate::str::contains("case lacks a channel").and(predicate::str::contains("spine_2_0001.nii.gz")));
}

#[test]
fn folds_are_written_for_nnunet_and_train_keeps_to_them() {
    let home = tempfile::tempdir().unwrap();
    phantoms(home.path(), 6);
    let split = |words: &[&str]| lossgen(home.path()).args(["data", "split", "set"]).args(words).assert();
    split(&["--folds", "3", "--seed", "4"]).success().stdout(predicate::str::contains("with body 1"));
    let folds: serde_json::Value = serde_json::from_str(&text(&home.path().join("splits_final.json"))).unwrap();
    let folds = folds.as_array().unwrap();
    assert_eq!(folds.len(), 3);
    assert!(folds.iter().all(|fold| fold["train"].as_array().unwrap().len() == 4));
    split(&["--folds", "3"]).code(2).stderr(predicate::str::contains("folds already"));
    split(&["--folds", "3", "--seed", "4", "--out", "again.json"]).success();
    assert_eq!(text(&home.path().join("again.json")), text(&home.path().join("splits_final.json")));
    split(&["--folds", "7", "--out", "x.json"]).code(2).stderr(predicate::str::contains("2 to 6, the number of cases"));

    // Subjects: three pairs.
    let rows: String = (0..6).map(|n| format!("phantom_{n:04},person {}\n", n / 2)).collect();
    std::fs::write(home.path().join("who.csv"), format!("case,subject\n{rows}")).unwrap();
    split(&["--folds", "3", "--groups", "who.csv", "--out", "who.json"]).success();
    let grouped: serde_json::Value = serde_json::from_str(&text(&home.path().join("who.json"))).unwrap();
    for fold in grouped.as_array().unwrap() {
        let val: Vec<&str> = fold["val"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
        let number = |id: &str| id[8..].parse::<usize>().unwrap() / 2;
        assert!(val.len() == 2 && number(val[0]) == number(val[1]), "{val:?}");
    }
    std::fs::write(home.path().join("who.csv"), "case,subject\nphantom_0000,a\n").unwrap();
    split(&["--groups", "who.csv", "--out", "y.json"]).code(2).stderr(predicate::str::contains("phantom_0001"));
    split(&["--subject-parts", "3", "--out", "y.json"]).code(2).stderr(predicate::str::contains("1 to 2"));

    // Training on them, and on folds that are none.
    std::fs::write(home.path().join("c.ron"), tiny()).unwrap();
    let train = ["train", "c.ron", "--data", "set", "--loss", "dice", "--steps", "2", "--splits"];
    let run = |file: &str| lossgen(home.path()).args(train).args([file, "--out", "run"]).assert();
    run("splits_final.json").success().stderr(predicate::str::contains("1 losses x 3 folds"));
    let tested = text(&home.path().join("run/cells.jsonl"));
    let tested: Vec<bool> = tested
        .lines()
        .map(|line| {
            let cell: serde_json::Value = serde_json::from_str(line.split_once(' ').unwrap().1).unwrap();
            let val = folds[cell["fold"].as_u64().unwrap() as usize]["val"].as_array().unwrap().clone();
            val.iter().all(|id| line.contains(id.as_str().unwrap()))
        })
        .collect();
    assert_eq!(tested, [true; 3], "each fold tests the cases of its `val`");
    lossgen(home.path()).args(["train", "--resume", "run"]).assert().success();
    std::fs::remove_dir_all(home.path().join("run")).unwrap();
    let broken = text(&home.path().join("splits_final.json")).replacen("phantom_0000", "phantom_00", 1);
    std::fs::write(home.path().join("broken.json"), broken).unwrap();
    run("broken.json")
        .code(2)
        .stderr(predicate::str::contains("broken.json").and(predicate::str::contains("did you mean")));
    assert!(!home.path().join("run").exists());
}

#[test]
fn a_set_in_files_trains_like_one_in_memory_and_is_checked_first() {
    use std::io::{Read as _, Write as _};
    let home = tempfile::tempdir().unwrap();
    phantoms(home.path(), 4);
    let settings = "version: 1, preprocess: (axes: \"RAS\", average: (1, 2, 2), crop: true),";
    let memory = tiny().replace("version: 1,", settings);
    let disk = memory.replace("version: 1,", "version: 1, cache: (above_gib: 0, folder: \"cases\"),");
    std::fs::write(home.path().join("memory.ron"), memory).unwrap();
    std::fs::write(home.path().join("disk.ron"), disk).unwrap();
    let train = |config: &str, out: &str| {
        let words = ["train", config, "--data", "set", "--loss", "ce", "--steps", "3", "--out", out, "-v"];
        lossgen(home.path()).args(words).assert()
    };
    train("memory.ron", "one").success().stderr(predicate::str::contains("s, in memory"));
    assert!(!home.path().join("cases").exists());
    train("disk.ron", "two").success().stderr(predicate::str::contains("s, kept in files"));
    assert_eq!(std::fs::read_dir(home.path().join("cases")).unwrap().count(), 4);
    assert_eq!(text(&home.path().join("one/cases.csv")), text(&home.path().join("two/cases.csv")));
    // The same voxels in other bytes: reading does not see it, the check does.
    let image = |id: &str| home.path().join(format!("set/imagesTr/{id}.nii.gz"));
    let mut bytes = Vec::new();
    let file = std::fs::File::open(image("phantom_0001")).unwrap();
    flate2::read::GzDecoder::new(file).read_to_end(&mut bytes).unwrap();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    encoder.write_all(&bytes).unwrap();
    std::fs::write(image("phantom_0002"), encoder.finish().unwrap()).unwrap();
    let refused = train("memory.ron", "three").code(2);
    refused.stderr(
        predicate::str::contains("image is that of another case").and(predicate::str::contains("case phantom_0002")),
    );
    assert!(!home.path().join("three").exists());
}
