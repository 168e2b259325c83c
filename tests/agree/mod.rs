//! Losses against independent tools: `losses.json`, whose sources and inputs `README.md` in this folder describes.

use lossgen::formula::eval::{Activation, Inputs, Sample, gradient};
use lossgen::formula::plan::Plan;
use lossgen::losses::form::{Classes, Form};
use lossgen::losses::named_in;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    activation: String,
    shape: [usize; 5],
    logits: String,
    scale: f64,
    target: String,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    loss: String,
    spacing: Option<[f64; 3]>,
    value: f64,
    /// Largest slope.
    largest: f64,
    /// Sum of all slopes.
    sum: f64,
    gradient: Vec<(usize, f64)>,
}

/// Largest relative difference of values, of slopes as a share of the largest.
struct Tolerance {
    value: f64,
    slope: f64,
}

impl Case {
    /// Membership in each class, `[samples, classes, voxels]`.
    fn targets(&self) -> Vec<f64> {
        let [samples, classes, depth, height, width] = self.shape;
        let voxels = depth * height * width;
        let label = |i: usize| {
            let (n, v) = (i / voxels, i % voxels);
            let from = |at: usize, length: usize| at as i64 - (length / 2) as i64;
            let [d, h, w] = [v / (height * width), v / width % height, v % width];
            let middle = [from(d, depth), from(h, height), from(w, width)];
            let several = classes > 1;
            let residues = if several { i * i % 7 % 3 } else { usize::from(i * i % 7 < 2) };
            match self.target.as_str() {
                "residues" => residues,
                "blob" => {
                    let [a, b, c] = middle;
                    let inside = 9 * a * a + 5 * b * b + 4 * (c + n as i64).pow(2) <= 5 * depth as i64;
                    usize::from(inside) * (1 + usize::from(several && c >= 0))
                }
                "empty" => 0,
                "full" => 1,
                "single" => usize::from(middle == [0; 3]),
                "half_empty" => residues * usize::from(n == 0),
                "absent" => i * i % 7 % 2,
                other => panic!("unknown target {other}"),
            }
        };
        let labels: Vec<usize> = (0..samples * voxels).map(label).collect();
        let member = |region: usize, voxel: usize| {
            let class = if classes == 1 { 1 } else { region % classes };
            f64::from(labels[region / classes * voxels + voxel] == class)
        };
        (0..samples * classes).flat_map(|r| (0..voxels).map(move |v| (r, v))).map(|(r, v)| member(r, v)).collect()
    }

    fn logits(&self, targets: &[f64]) -> Vec<f64> {
        let [_, classes, depth, height, width] = self.shape;
        let voxels = depth * height * width;
        let class_before =
            |i: usize| if (i / voxels).is_multiple_of(classes) { i + (classes - 1) * voxels } else { i - voxels };
        let of = |i: usize| match self.logits.as_str() {
            "sine" => self.scale * (0.7 * i as f64 + 0.3).sin(),
            "towards" => self.scale * (2.0 * targets[i] - 1.0),
            "away" => self.scale * (2.0 * targets[class_before(i)] - 1.0),
            "constant" => self.scale,
            other => panic!("unknown logits {other}"),
        };
        (0..targets.len()).map(of).collect()
    }

    /// Compares every row with numbers of type `T`; how many were compared, and what differs.
    fn check<T: Sample>(&self, tolerance: &Tolerance, trouble: &mut Vec<String>) -> usize {
        let [samples, classes, depth, height, width] = self.shape;
        let targets = self.targets();
        let logits: Vec<T> = self.logits(&targets).iter().map(|z| T::round(*z)).collect();
        let targets: Vec<T> = targets.iter().map(|y| T::round(*y)).collect();
        let softmax = self.activation == "softmax";
        let kind = match (classes, softmax) {
            (1, _) => Classes::Foreground,
            (n, true) => Classes::Softmax(n),
            (n, false) => Classes::Sigmoid(n),
        };
        let mut compared = 0;
        for row in &self.rows {
            // MONAI gives a sample without any class no loss and no gradient; ours pushes false positives down.
            if row.loss.starts_with("generalised_dice") && ["empty", "half_empty"].contains(&self.target.as_str()) {
                continue;
            }
            let form = Form { classes: kind, ..Form::default() };
            let formula = named_in(&row.loss, form).unwrap().formula;
            let spacing = vec![row.spacing.unwrap_or([1.0; 3]); samples];
            let inputs = Inputs {
                shape: [depth, height, width],
                spacing: &spacing,
                activation: if softmax { Activation::Softmax } else { Activation::Sigmoid },
                background: classes > 1,
                ..Inputs::new(samples, classes, &logits, &targets)
            };
            let mut slopes = vec![T::round(0.0); logits.len()];
            let value = gradient(&Plan::new(&formula), &inputs, &mut slopes);
            let slopes: Vec<f64> = slopes.iter().map(|s| (*s).into()).collect();
            compared += 1;

            let off = (value - row.value).abs() / row.value.abs().max(1e-30);
            // Slopes below 1e-30 of a saturated batch are nothing in any format.
            let scale = row.largest.max(1e-30);
            let worst = row.gradient.iter().map(|(i, slope)| (slopes[*i] - slope).abs() / scale).fold(0.0, f64::max);
            let largest = (slopes.iter().fold(0.0, |m: f64, s| m.max(s.abs())) - row.largest).abs() / scale;
            let sum = (slopes.iter().sum::<f64>() - row.sum).abs() / scale / slopes.len() as f64;
            if off > tolerance.value || worst.max(largest).max(sum) > tolerance.slope {
                trouble.push(format!(
                    "{} {} {:?} {} {} {}: value {value:e} for {:e}, slopes off by {worst:e}, {largest:e}, {sum:e}",
                    row.loss, self.activation, self.shape, self.logits, self.scale, self.target, row.value
                ));
            }
        }
        compared
    }
}

fn check<T: Sample>(tolerance: &Tolerance) {
    let golden: Golden = serde_json::from_str(include_str!("losses.json")).unwrap();
    let mut trouble = Vec::new();
    let compared: usize = golden.cases.iter().map(|case| case.check::<T>(tolerance, &mut trouble)).sum();
    assert!(trouble.is_empty(), "{} of {compared} rows:\n{}", trouble.len(), trouble.join("\n"));
    assert!(compared > 700, "only {compared} rows");
}

#[test]
fn values_and_gradients_are_those_of_the_references() {
    check::<f64>(&Tolerance { value: 1e-9, slope: 1e-8 });
}

#[test]
fn so_are_those_of_single_precision() {
    check::<f32>(&Tolerance { value: 1e-5, slope: 5e-4 });
}
