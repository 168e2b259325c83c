//! `lossgen loss eval`: arrays in, a value and a gradient out, or one clear error.

use std::path::Path;

use lossgen::data::npy;
use serde_json::Value;

use super::lossgen;

/// Two samples, two channels, eight voxels.
const SHAPE: [usize; 5] = [2, 2, 2, 2, 2];

fn write(home: &Path, name: &str, shape: &[usize], values: &[f32]) {
    std::fs::write(home.join(name), npy::encode(shape, values).unwrap()).unwrap();
}

fn arrays(home: &Path) {
    let logits: Vec<f32> = (0..32).map(|i| (0.7 * f64::from(i)).sin() as f32).collect();
    write(home, "logits.npy", &SHAPE, &logits);
    write(home, "one.npy", &[2, 1, 2, 2, 2], &logits[..16]);
    let labels: Vec<f32> = (0..16).map(|i| f32::from(i % 3 == 0)).collect();
    write(home, "labels.npy", &[2, 1, 2, 2, 2], &labels);
    write(home, "broken.npy", &[2, 1, 2, 2, 2], &[f32::NAN; 16]);
    write(home, "other.npy", &[2, 1, 2, 2, 1], &[0.0; 8]);
    write(home, "many.npy", &[2, 1, 2, 2, 2], &[7.0; 16]);
}

fn eval(home: &Path, arguments: &[&str]) -> Value {
    let output = lossgen(home).args(["loss", "eval"]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

const ARRAYS: [&str; 4] = ["--logits", "logits.npy", "--target", "labels.npy"];

#[test]
fn values_come_as_json_and_gradients_as_arrays() {
    let home = tempfile::tempdir().unwrap();
    arrays(home.path());
    let of = |loss: &str, more: &[&str]| eval(home.path(), &[&[loss], &ARRAYS[..], more].concat());
    let mean = of("dice(background=true)", &["--grad", "g.npy"])["value"].as_f64().unwrap();
    let gradient = npy::read(&home.path().join("g.npy")).unwrap();
    assert_eq!(gradient.shape, SHAPE);
    // The probabilities of a softmax do not change when all logits of a voxel are shifted.
    assert!((0..8).all(|v| (gradient.values[v] + gradient.values[8 + v]).abs() < 1e-8));

    let apart = of("dice(background=true)", &["--reduction", "none"])["value"].clone();
    let apart: Vec<f64> = apart
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|row| row.as_array().unwrap().clone())
        .map(|value| value.as_f64().unwrap())
        .collect();
    assert_eq!(apart.len(), 4);
    assert!((apart.iter().sum::<f64>() / 4.0 - mean).abs() < 1e-12);
    let sum = of("dice(background=true)", &["--reduction", "sum"])["value"].as_f64().unwrap();
    assert!((sum - 4.0 * mean).abs() < 1e-12);

    let plain = of("ce", &["--activation", "sigmoid", "--f64"])["value"].as_f64().unwrap();
    assert!((plain - of("ce", &["--f64"])["value"].as_f64().unwrap()).abs() > 1e-3, "activations differ");
    let voxels = of("boundary", &[])["value"].as_f64().unwrap();
    let mm = of("boundary", &["--spacing", "3,0.5,0.5"])["value"].as_f64().unwrap();
    assert_ne!(voxels, mm);
    assert_eq!(voxels, of("boundary(spacing=false)", &["--spacing", "3,0.5,0.5"])["value"].as_f64().unwrap());
    let ignoring = of("ce", &["--ignore-label", "1"])["value"].as_f64().unwrap();
    assert_ne!(ignoring, of("ce", &[])["value"].as_f64().unwrap());
}

#[test]
fn wrong_arrays_are_named() {
    let home = tempfile::tempdir().unwrap();
    arrays(home.path());
    let refused = |arguments: &[&str], parts: &[&str]| {
        let output = lossgen(home.path()).args(["loss", "eval"]).args(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).to_string();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(parts.iter().all(|part| text.contains(part)), "{parts:?} in {text}");
        assert!(!home.path().join("g.npy").exists());
    };
    refused(&["ce", "--logits", "missing.npy", "--target", "labels.npy"], &["missing.npy"]);
    refused(&["ce", "--logits", "broken.npy", "--target", "labels.npy"], &["not finite", "broken.npy"]);
    refused(
        &["ce", "--logits", "logits.npy", "--target", "other.npy"],
        &["another shape", "[2, 1, 2, 2, 2]", "[2, 1, 2, 2, 1]"],
    );
    refused(
        &["ce", "--logits", "logits.npy", "--target", "many.npy"],
        &["out of range", "whole numbers from 0 to 1", "7"],
    );
    refused(&["ce", "--logits", "one.npy", "--target", "many.npy"], &["out of range", "0 to 1", "7"]);
    refused(&["ce", "--logits", "one.npy", "--target", "labels.npy", "--activation", "softmax"], &["two channels"]);
    refused(
        &["ce", "--logits", "one.npy", "--target", "labels.npy", "--spacing", "1,2"],
        &["spacing", "three positive"],
    );
    refused(&["tverksy", "--logits", "one.npy", "--target", "labels.npy", "--grad", "g.npy"], &["tversky"]);
    std::fs::write(home.path().join("text.npy"), "no array").unwrap();
    refused(&["ce", "--logits", "text.npy", "--target", "labels.npy"], &["not an array", "text.npy", "numpy.save"]);
}
