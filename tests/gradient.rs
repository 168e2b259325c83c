//! Gradients against central differences, and finite values everywhere.

use lossgen::formula::Formula;
use lossgen::grammar::Grammar;
use lossgen::losses::catalog::CATALOG;
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
