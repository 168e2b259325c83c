//! Models on disk and masks on images, as a person makes them.

use std::io::{Read as _, Write as _};
use std::path::Path;

use lossgen::data::nifti::{read_grid, read_label};
use predicates::prelude::*;

use super::{lossgen, tiny};

/// A dataset of phantoms with two labels, 3 and 7, and two trainings on it: `run/loss1-fold1` to `run/loss2-fold2`.
fn trained(home: &Path) {
    trained_with(home, "labels: Classes");
}

fn trained_with(home: &Path, preprocess: &str) {
    lossgen(home).args(["data", "phantom", "set", "--cases", "4"]).assert().success();
    for id in 0..4 {
        let file = home.join(format!("set/labelsTr/phantom_{id:04}.nii.gz"));
        let mut bytes = decompressed(&file);
        let values = bytes.len() - 40 * 40 * 24;
        for voxel in &mut bytes[values..] {
            *voxel = [0, 3, 3, 7, 7, 7][usize::from(*voxel)];
        }
        compress(&file, &bytes);
    }
    let json = r#"{"name": "Spine", "modality": {"0": "T2"}, "labels": {"0": "background", "3": "low", "7": "high"}}"#;
    std::fs::write(home.join("set/dataset.json"), json).unwrap();
    let config = tiny().replace("version: 1,", &format!("version: 1, preprocess: ({preprocess}),"));
    std::fs::write(home.join("c.ron"), config.replace("steps: 5", "learning_rate: 2e-2, steps: 25")).unwrap();
    let train =
        ["train", "c.ron", "--data", "set", "--loss", "dice_ce", "--loss", "ce", "--folds", "2", "--out", "run"];
    lossgen(home).args(train).assert().success();
}

fn decompressed(file: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(std::fs::File::open(file).unwrap()).read_to_end(&mut bytes).unwrap();
    bytes
}

fn compress(file: &Path, bytes: &[u8]) {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    std::fs::write(file, encoder.finish().unwrap()).unwrap();
}

fn put(bytes: &mut [u8], at: usize, values: &[f32]) {
    for (n, value) in values.iter().enumerate() {
        bytes[at + 4 * n..][..4].copy_from_slice(&value.to_le_bytes());
    }
}

/// The image with everything about its place taken away: pixdim of 1.5 x 1.5 x 3 mm, neither qform nor sform.
fn without_place(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    put(&mut bytes, 76, &[1.0, 1.5, 1.5, 3.0]);
    bytes[252..328].fill(0);
    bytes
}

/// All of a header but its length in the other byte order; voxels of 16 bits as well.
fn big_endian(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let fields: [(usize, usize, usize); 8] =
        [(0, 1, 4), (32, 1, 4), (40, 8, 2), (56, 3, 4), (68, 4, 2), (76, 8, 4), (108, 3, 4), (252, 2, 2)];
    for (at, count, size) in fields.into_iter().chain([(256, 18, 4), (352, (bytes.len() - 352) / 2, 2)]) {
        (0..count).for_each(|n| bytes[at + n * size..][..size].reverse());
    }
    bytes
}

#[test]
fn a_mask_stands_bit_by_bit_where_its_image_stands() {
    let home = tempfile::tempdir().unwrap();
    trained(home.path());
    let image = decompressed(&home.path().join("set/imagesTr/phantom_0001.nii.gz"));
    assert_eq!(image[70..74], [4, 0, 16, 0], "phantoms are of 16-bit whole numbers");
    let sform = |rows: [[f32; 4]; 3]| {
        let mut bytes = without_place(&image);
        bytes[254] = 1;
        put(&mut bytes, 280, &rows.concat());
        bytes
    };
    let mut qform = without_place(&image);
    qform[252] = 1;
    put(&mut qform, 76, &[-1.0]);
    put(&mut qform, 256, &[0.1, -0.2, 0.3, -10.25, 20.1, 5.5]);
    let (c, s) = (0.8_f32, 0.6_f32);
    let ras = sform([[1.5, 0.0, 0.0, -20.1], [0.0, 1.5, 0.0, 7.3], [0.0, 0.0, 3.0, 0.7]]);
    let images = [
        ("big", big_endian(&qform)),
        ("lps", sform([[-1.5, 0.0, 0.0, 20.1], [0.0, -1.5, 0.0, 7.3], [0.0, 0.0, 3.0, -0.7]])),
        ("none", without_place(&image)),
        ("oblique", sform([[1.5 * c, 0.0, -3.0 * s, 1.0], [0.0, -1.5, 0.0, 2.0], [1.5 * s, 0.0, 3.0 * c, 3.0]])),
        ("qform", qform),
        ("ras", ras),
        ("sagittal", sform([[0.0, 0.0, 3.0, 1.0], [0.0, -1.5, 0.0, 2.0], [1.5, 0.0, 0.0, 3.0]])),
    ];
    std::fs::create_dir(home.path().join("images")).unwrap();
    for (name, bytes) in &images {
        compress(&home.path().join(format!("images/{name}.nii.gz")), bytes);
    }
    std::fs::write(home.path().join("images/plain.nii"), &images[5].1).unwrap();
    let predict = ["predict", "run/loss1-fold1", "images", "-o", "masks"];
    let assert = lossgen(home.path()).args(predict).assert().success();
    assert.stdout(predicate::str::contains("low [ml]").and(predicate::str::contains("sagittal")));
    let mut first = None;
    for name in ["big", "lps", "none", "oblique", "plain", "qform", "ras", "sagittal"] {
        let mask = home.path().join(format!("masks/{name}.nii.gz"));
        let image = home.path().join(format!("images/{name}.nii{}", if name == "plain" { "" } else { ".gz" }));
        let grids = [read_grid(&image).unwrap(), read_grid(&mask).unwrap()];
        assert_eq!(grids[0], grids[1], "{name}");
        let (image, written) = if name == "plain" || name == "big" { continue } else { (image, decompressed(&mask)) };
        let image = decompressed(&image);
        assert_eq!(written[76..92], image[76..92], "{name}: pixdim");
        assert_eq!(written[252..328], image[252..328], "{name}: qform and sform");
        assert_eq!(written[70..74], [2, 0, 8, 0], "{name}: 8-bit whole numbers");
        // The same voxels under another header are the same mask.
        let voxels = read_label(&mask).unwrap().voxels;
        assert_eq!(*first.get_or_insert_with(|| voxels.clone()), voxels, "{name}");
    }
    let values: std::collections::BTreeSet<u8> = first.unwrap().into_iter().collect();
    assert!(values.len() > 1 && values.iter().all(|value| [0, 3, 7].contains(value)), "{values:?}");
}

#[test]
fn what_is_turned_cut_and_resampled_comes_back_to_its_file() {
    let home = tempfile::tempdir().unwrap();
    trained_with(home.path(), "labels: Classes, axes: \"RAS\", crop: true, spacing: (3.0, 2.5, 2.5)");
    let mut image = decompressed(&home.path().join("set/imagesTr/phantom_0001.nii.gz"));
    // Axes of acquisition, mm and s, repetition time.
    (image[39], image[123]) = (57, 10);
    put(&mut image, 92, &[2.5, 0.0, 0.0, 0.0]);
    let voxel = |[i, j, k]: [usize; 3]| 352 + 2 * (i + 40 * (j + 40 * k));
    for (j, k) in (0..40).flat_map(|j| (0..24).map(move |k| (j, k))) {
        (0..4).for_each(|i| image[voxel([i, j, k])..][..2].fill(0));
    }
    // The same scan as a file whose axes are the third backwards, the first, and the second.
    let old = |[i, j, k]: [usize; 3]| [j, k, 23 - i];
    let mut turned = image.clone();
    for (at, count) in [(42, 24_i16), (44, 40), (46, 40)] {
        turned[at..at + 2].copy_from_slice(&count.to_le_bytes());
    }
    put(&mut turned, 80, &[3.0, 2.0, 2.0]);
    for row in [280, 296, 312] {
        let [a, b, c, origin] =
            [0, 4, 8, 12].map(|at| f32::from_le_bytes(image[row + at..row + at + 4].try_into().unwrap()));
        put(&mut turned, row, &[-c, a, b, origin + 23.0 * c]);
    }
    let all = || (0..24).flat_map(|i| (0..40).flat_map(move |j| (0..40).map(move |k| [i, j, k])));
    for (place, [i, j, k]) in all().map(|new| (old(new), new)) {
        let (from, to) = (voxel(place), 352 + 2 * (i + 24 * (j + 40 * k)));
        turned[to..to + 2].copy_from_slice(&image[from..from + 2]);
    }
    std::fs::create_dir(home.path().join("images")).unwrap();
    for (name, bytes) in [("straight", &image), ("turned", &turned)] {
        compress(&home.path().join(format!("images/{name}.nii.gz")), bytes);
    }
    lossgen(home.path())
        .args(["predict", "run/loss1-fold1", "images", "-o", "masks", "-v"])
        .assert()
        .success()
        .stderr(predicate::str::contains("writing"));
    let [straight, back] = [("straight", &image), ("turned", &turned)].map(|(name, image)| {
        let file = home.path().join(format!("masks/{name}.nii.gz"));
        let written = decompressed(&file);
        for (field, bytes) in
            [("dim_info", 39..40), ("dim", 40..56), ("pixdim", 76..108), ("xyzt_units", 123..124), ("place", 252..328)]
        {
            assert_eq!(written[bytes.clone()], image[bytes], "{name}: {field}");
        }
        read_label(&file).unwrap()
    });
    for new in all() {
        assert_eq!(back.voxels[back.index(new)], straight.voxels[straight.index(old(new))], "{new:?}");
    }
    assert!(straight.voxels.contains(&3) || straight.voxels.contains(&7));
    assert!(straight.voxels[..4 * 40 * 24].iter().all(|value| *value == 0), "what was cut away is background");
}

#[test]
fn folds_are_averaged_and_what_cannot_be_predicted_costs_no_other() {
    let home = tempfile::tempdir().unwrap();
    trained(home.path());
    let run = |words: &[&str]| lossgen(home.path()).args(["predict"]).args(words).assert();
    let refused = |words: &[&str], parts: &[&str]| {
        let mut assert = run(words).code(2).stderr(predicate::str::contains("panicked").not());
        for part in parts {
            assert = assert.stderr(predicate::str::contains(*part));
        }
        for part in ["  expected: ", "  found: ", "help: "] {
            assert = assert.stderr(predicate::str::contains(part));
        }
    };
    // Whatever is wrong is found before anything is made.
    refused(&["run", "set", "-o", "m"], &["--loss", "`ce`, `dice_ce`"]);
    refused(&["run", "set", "-o", "m", "--loss", "dise_ce"], &["--loss", "`dise_ce`"]);
    refused(&["set", "set", "-o", "m"], &["no model", "model.ron"]);
    refused(&["run/loss1-fold1", "set"], &["--out"]);
    refused(&["run/loss1-fold1", "nowhere", "-o", "m"], &["no such image", "nowhere"]);
    refused(&["run/loss1-fold1", "set", "-o", "run"], &["not empty"]);
    refused(&["run/loss1-fold1", "set", "-o", "m", "--mirror", "x"], &["--mirror", "ijk"]);
    refused(&["run/loss1-fold1", "set", "-o", "m", "--overlap", "1"], &["--overlap"]);
    assert!(!home.path().join("m").exists());

    let bad = home.path().join("set/imagesTr/phantom_0002.nii.gz");
    let whole = std::fs::read(&bad).unwrap();
    std::fs::write(&bad, &whole[..whole.len() / 2]).unwrap();
    let both = ["run", "set", "--loss", "dice_ce", "--largest", "--mirror", "k", "-o", "m"];
    let told = run(&both).code(2).stderr(predicate::str::contains("2 models").and(predicate::str::contains("cut off")));
    let told = told.stderr(predicate::str::contains("phantom_0002").and(predicate::str::contains("1 that cannot")));
    told.stderr(predicate::str::contains("the model was trained on")).stdout(predicate::str::contains("phantom_0003"));
    let masks = || {
        let names = std::fs::read_dir(home.path().join("m")).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    };
    let without = ["phantom_0000.nii.gz", "phantom_0001.nii.gz", "phantom_0003.nii.gz", "predictions.ron"];
    assert_eq!(masks(), without);
    let kept = std::fs::read(home.path().join("m/phantom_0000.nii.gz")).unwrap();
    std::fs::write(&bad, &whole).unwrap();
    refused(&both, &["not empty", "--continue"]);
    let other = ["run", "set", "--loss", "dice_ce", "--largest", "-o", "m", "--continue"];
    refused(&other, &["made otherwise", "mirror"]);
    let json = run(&[&both[..], &["--continue", "--json"]].concat()).success().get_output().stdout.clone();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!((json.as_array().unwrap().len(), &json[0]["case"]), (1, &serde_json::json!("phantom_0002")));
    assert_eq!(json[0]["labels"][1]["value"], 7);
    assert_eq!(masks().len(), 5);
    assert_eq!(std::fs::read(home.path().join("m/phantom_0000.nii.gz")).unwrap(), kept);
    // One file goes where it is told to.
    let one = ["run/loss2-fold1", "set/imagesTr/phantom_0003.nii.gz", "-o", "one/mask.nii"];
    run(&one).success();
    refused(&one, &["there is a file already"]);
    assert_eq!(std::fs::read_dir(home.path().join("one")).unwrap().count(), 1);
    // Masks and truths have the same names.
    lossgen(home.path()).args(["evaluate", "m", "set/labelsTr"]).assert().success();

    let weights = home.path().join("run/loss1-fold1/weights.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&weights, bytes).unwrap();
    refused(&["run/loss1-fold1", "set", "-o", "x"], &["weights are not those of the model", "weights.safetensors"]);
}

#[test]
fn a_prediction_does_not_depend_on_the_number_of_threads() {
    let home = tempfile::tempdir().unwrap();
    trained(home.path());
    let mask = |threads: &str| {
        let out = format!("{threads}.nii.gz");
        let words = ["predict", "run/loss1-fold2", "set/imagesTr/phantom_0000.nii.gz", "-o", &out];
        lossgen(home.path()).args(words).args(["--threads", threads]).assert().success();
        std::fs::read(home.path().join(out)).unwrap()
    };
    let one = mask("1");
    assert!(one == mask("2") && one == mask("8"));
}
