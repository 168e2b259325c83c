//! Gradients against central differences, and finite values everywhere.

use lossgen::formula::Formula;
use lossgen::formula::eval::{Activation, Inputs, gradient, value};
use lossgen::formula::plan::Plan;
use lossgen::grammar::Grammar;
use lossgen::losses::catalog::CATALOG;
use lossgen::losses::form::{Classes, Form};
use lossgen::rng::{Purpose, stream};

use crate::support::{Batch, batches};

/// Largest difference between the gradient and central differences, as a share of the largest slope.
fn error(loss: &Formula, batch: &Batch) -> f64 {
    let (_, slopes) = batch.gradient(loss);
    let largest = slopes.iter().fold(0.0, |m: f64, s| m.max(s.abs()));
    let step = 1e-5;
    // Of large batches every hundredth voxel is enough.
    let stride = (slopes.len() / 200).max(1);
    let mut worst: f64 = 0.0;
    for i in (0..slopes.len()).step_by(stride) {
        let shifted = |by: f64| {
            let mut moved = batch.clone();
            moved.logits[i] += by;
            moved.value(loss)
        };
        worst = worst.max((slopes[i] - (shifted(step) - shifted(-step)) / (2.0 * step)).abs());
    }
    // Central differences of a value near 1 cannot see below about 1e-11.
    worst / largest.max(1e-5)
}

#[test]
fn the_gradient_of_every_loss_of_the_catalog_is_that_of_its_value() {
    for entry in CATALOG {
        for (name, batch) in batches() {
            // Equal voxels are ties of the top-k set, which has no derivative there.
            if entry.formula().to_string().contains("mean_top")
                && batch.logits.iter().all(|z| z.abs() == batch.logits[0].abs())
            {
                continue;
            }
            let error = error(&entry.formula(), &batch);
            assert!(error < 2e-5, "{} on {name}: {error:e}", entry.name);
        }
    }
}

/// Two samples of 3 x 4 x 5 voxels: name, targets `[2, classes, 60]` and the spread of the logits.
fn volumes(classes: usize) -> Vec<(String, Vec<f64>, f64)> {
    let label = |name: &str, i: usize| match name {
        "residues" => i * i % 7 % 3,
        "empty" => 0,
        "full" => 1,
        "single voxel" => usize::from(i % 60 == 31),
        "a block" => usize::from((20..40).contains(&(i % 60)) && i % 5 < 3),
        _ => usize::from(i < 60 && i % 4 == 1),
    };
    let names = ["residues", "empty", "full", "single voxel", "a block", "empty second sample"];
    let targets = |name: &str| -> Vec<f64> {
        let member = |r: usize, v: usize| {
            let label = label(name, r / classes * 60 + v);
            f64::from(if classes == 1 { label > 0 } else { label == r % classes })
        };
        (0..2 * classes).flat_map(|r| (0..60).map(move |v| (r, v))).map(|(r, v)| member(r, v)).collect()
    };
    let each = |name: &str| [1.0, 4.0].map(|spread| (format!("{name}, logits of {spread}"), targets(name), spread));
    names.iter().flat_map(|name| each(name)).collect()
}

#[test]
fn the_gradient_is_that_of_the_value_for_every_activation_mask_and_distance() {
    let mask: Vec<bool> = (0..120).map(|i| i % 11 != 3).collect();
    let forms = [
        (1, Form { batch: true, spacing: true, alpha: true, label_smoothing: true, ..Form::default() }),
        (3, Form { classes: Classes::Sigmoid(3), class_weights: vec![0.5, 1.0, 2.0], ..Form::default() }),
        (3, Form { classes: Classes::Softmax(3), background: true, squared: true, ..Form::default() }),
        (3, Form { classes: Classes::Softmax(3), class_weights: vec![1.0, 2.0], alpha: true, ..Form::default() }),
    ];
    for (classes, form) in &forms {
        for (name, targets, spread) in volumes(*classes) {
            let logits: Vec<f64> = (0..targets.len()).map(|i| spread * (0.7 * i as f64 + 0.3).sin()).collect();
            for entry in CATALOG {
                let loss = Plan::new(&entry.formula_in(form));
                let inputs = |logits: &[f64]| -> f64 { value(&loss, &frame(logits, &targets, form, &mask)) };
                let mut slopes = vec![0.0; logits.len()];
                gradient(&loss, &frame(&logits, &targets, form, &mask), &mut slopes);
                let largest = slopes.iter().fold(0.0, |m: f64, s| m.max(s.abs()));
                for i in (0..logits.len()).step_by(7) {
                    let shifted = |by: f64| {
                        let mut moved = logits.clone();
                        moved[i] += by;
                        inputs(&moved)
                    };
                    let expected = (shifted(1e-5) - shifted(-1e-5)) / 2e-5;
                    let error = (slopes[i] - expected).abs() / largest.max(1e-4);
                    assert!(error < 1e-5, "{} in {form:?} on {name}, logit {i}: {error:e}", entry.name);
                }
            }
        }
    }
}

#[test]
fn every_form_is_finite_on_saturated_logits() {
    let mask = vec![true; 120];
    for (classes, kind) in [(1, Classes::Foreground), (3, Classes::Sigmoid(3)), (3, Classes::Softmax(3))] {
        for (name, targets, _) in volumes(classes) {
            for size in [90.0, -90.0] {
                let logits: Vec<f64> = targets.iter().map(|y| size * (2.0 * y - 1.0)).collect();
                for entry in CATALOG {
                    let form = Form { classes: kind, ..Form::default() };
                    let mut slopes = vec![0.0; logits.len()];
                    let loss = Plan::new(&entry.formula_in(&form));
                    let value = gradient(&loss, &frame(&logits, &targets, &form, &mask), &mut slopes);
                    let finite = value.is_finite() && slopes.iter().all(|slope| slope.is_finite());
                    assert!(finite, "{} as {kind:?} on {name}, logits of {size}: {value}", entry.name);
                }
            }
        }
    }
}

fn frame<'a>(logits: &'a [f64], targets: &'a [f64], form: &Form, mask: &'a [bool]) -> Inputs<'a, f64> {
    let softmax = matches!(form.classes, Classes::Softmax(_));
    let classes = targets.len() / 120;
    Inputs {
        shape: [3, 4, 5],
        spacing: &[[3.0, 0.8, 0.5], [1.0; 3]],
        activation: if softmax { Activation::Softmax } else { Activation::Sigmoid },
        background: classes > 1,
        mask: Some(mask),
        ..Inputs::new(2, classes, logits, targets)
    }
}

#[test]
fn the_gradient_of_random_losses_is_that_of_their_value() {
    let grammar = Grammar::polarity();
    let batch = Batch::random(6, [2, 1, 40], 1.2, 0.3);
    let mut checked = 0;
    for slot in 0..400 {
        let loss = grammar.sample_loss(25, &mut stream(9, Purpose::Birth, 0, slot));
        // Words with kinks have no derivative where they bend.
        if loss.genes().iter().any(|gene| matches!(gene.word.word().name, "max" | "mean_top")) {
            continue;
        }
        let (value, slopes) = batch.gradient(&loss);
        assert!(value.is_finite() && slopes.iter().all(|s| s.is_finite()), "{loss}");
        // Differences of very large values lose their digits.
        if value.abs() < 1e4 {
            let error = error(&loss, &batch);
            assert!(error < 1e-3, "{loss}: {error:e}");
            checked += 1;
        }
    }
    assert!(checked > 200, "only {checked} could be checked");
}

#[test]
fn every_loss_of_the_catalog_is_finite_everywhere() {
    for entry in CATALOG {
        for (name, batch) in batches() {
            let (value, slopes) = batch.gradient(&entry.formula());
            assert!(value.is_finite(), "{} on {name}: {value}", entry.name);
            assert!(slopes.iter().all(|s| s.is_finite()), "{} on {name}: gradient", entry.name);
        }
    }
}
