//! Real volumes, read as other tools read them. Tests only; they need the folder named by `LOSSGEN_TEST_DATA`, with
//! `hippocampus_msd` and `lumbar_myosegmentum` in it, and say so when it is missing.

#![expect(clippy::float_cmp, reason = "values read are the values stored")]

use std::io::Write as _;
use std::path::PathBuf;

use super::{Dataset, LabelMode, Preprocess, nifti};

fn folder(name: &str) -> Option<PathBuf> {
    let Some(root) = std::env::var_os("LOSSGEN_TEST_DATA") else {
        // Not `eprintln!`, which the harness keeps to itself when a test passes.
        let reason = "skipped: LOSSGEN_TEST_DATA does not name the folder of real volumes";
        writeln!(std::io::stderr().lock(), "{reason}").unwrap();
        return None;
    };
    Some(PathBuf::from(root).join(name))
}

/// Loads a dataset and holds it against the facts in its `cases.csv`, which were made with nibabel.
fn agrees_with_its_table(name: &str, count: usize, classes: &[&str]) {
    let Some(folder) = folder(name) else { return };
    let preprocess = Preprocess { labels: LabelMode::Classes, ..Preprocess::default() };
    let dataset = Dataset::load(&folder, &preprocess, None).unwrap();
    assert_eq!(
        (dataset.cases.len(), dataset.classes.iter().map(String::as_str).collect::<Vec<_>>()),
        (count, classes.to_vec())
    );
    let mut table = csv::Reader::from_path(folder.join("cases.csv")).unwrap();
    let header = table.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = table.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), count);
    for row in rows {
        let field = |name: &str| row.get(header.iter().position(|column| column == name).unwrap()).unwrap();
        let case = dataset.cases.iter().find(|case| case.id == field("id")).unwrap();
        let numbers = |text: &str| text.split('x').map(|n| n.parse::<f64>().unwrap()).collect::<Vec<_>>();
        assert_eq!(case.grid().shape.map(|n| n as f64).to_vec(), numbers(field("shape")), "{}", case.id);
        assert_eq!(case.grid().spacing.to_vec(), numbers(field("spacing_mm")), "{}", case.id);
        for (class, voxels) in case.voxels_of_class.iter().enumerate() {
            let stated = field(&format!("voxels_label_{}", class + 1));
            assert_eq!(voxels.len().to_string(), stated, "{} class {class}", case.id);
        }
        let image = case.channels[0].whole().unwrap();
        let mean = image.voxels.iter().map(|v| f64::from(*v)).sum::<f64>() / image.voxels.len() as f64;
        assert!(mean.abs() < 1e-4, "{}: mean {mean}", case.id);
    }
}

#[test]
fn every_hippocampus_is_read_as_its_table_says() {
    agrees_with_its_table("hippocampus_msd", 60, &["Anterior", "Posterior"]);
}

#[test]
fn every_lumbar_spine_is_read_as_its_table_says() {
    agrees_with_its_table("lumbar_myosegmentum", 30, &["L1", "L2", "L3", "L4", "L5"]);
}

#[test]
fn voxels_sums_affines_and_normalised_values_are_those_of_nibabel() {
    // nibabel 5.4.2, NumPy 2.4.6: value at a voxel, sum of all, value there after percentile clipping and z-score in
    // float32 as in the reference training.
    let golden = [
        ("hippocampus_msd", "hippocampus_019", [17, 23, 20], 403.626_16, 51_877_199.102_911_95, -1.036_342_3),
        ("hippocampus_msd", "hippocampus_390", [17, 23, 20], 666.620_1, 33_023_915.043_188_095, 0.645_469_4),
        ("lumbar_myosegmentum", "lumbar_03", [112, 100, 10], 71.0, 50_679_785.0, 0.472_732_13),
        ("lumbar_myosegmentum", "lumbar_16", [50, 60, 5], 76.0, 54_808_459.0, 0.478_809_36),
    ];
    for (dataset, id, voxel, value, sum, normal) in golden {
        let Some(folder) = folder(dataset) else { return };
        let image = nifti::read_image(&folder.join(format!("imagesTr/{id}.nii.gz"))).unwrap();
        assert_eq!(image.voxels[image.index(voxel)], value, "{id}");
        let total: f64 = image.voxels.iter().map(|v| f64::from(*v)).sum();
        assert!((total / sum - 1.0).abs() < 1e-12, "{id}: {total}");
        let affine = match dataset {
            "hippocampus_msd" => [[1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 0.0, 1.0], [0.0, 0.0, 1.0, 1.0]],
            _ => [[0.0, 0.0, 4.0, 0.0], [0.0, -1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]],
        };
        assert_eq!(image.grid.affine, affine, "{id}");
        let out = Preprocess::default().prepare(std::slice::from_ref(&image)).unwrap().channels.remove(0);
        assert!((out.voxels[out.index(voxel)] - normal).abs() < 1e-4, "{id}: {}", out.voxels[out.index(voxel)]);
    }
}

#[test]
fn a_prediction_lies_on_its_image_bit_by_bit() {
    let Some(folder) = folder("lumbar_myosegmentum") else { return };
    let scratch = tempfile::tempdir().unwrap();
    let mask = nifti::read_label(&folder.join("labelsTr/lumbar_03.nii.gz")).unwrap();
    let path = scratch.path().join("lumbar_03.nii.gz");
    nifti::write_label(&path, &mask, &folder.join("imagesTr/lumbar_03.nii.gz")).unwrap();
    assert_eq!(nifti::read_label(&path).unwrap(), mask);
}
