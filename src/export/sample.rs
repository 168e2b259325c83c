//! A small batch on which an exported file tests itself, with what the evaluator says of it.

use rand::RngExt;

use super::Export;
use crate::formula::eval::{Activation, Inputs, gradient};
use crate::formula::plan::Plan;
use crate::rng::{Purpose, stream};

/// Depth, height and width; samples.
pub(super) const SHAPE: [usize; 3] = [3, 4, 5];
pub(super) const SAMPLES: usize = 2;
/// Distances of voxels in mm.
pub(super) const SPACING: [[f64; 3]; SAMPLES] = [[3.0, 0.8, 0.5], [1.0; 3]];
/// Training progress.
pub(super) const PROGRESS: f64 = 0.3;

/// A batch with its loss.
pub(super) struct Sample {
    pub(super) classes: usize,
    pub(super) logits: Vec<f64>,
    pub(super) targets: Vec<f64>,
    pub(super) value: f64,
    pub(super) gradient: Vec<f64>,
}

impl Sample {
    /// A batch whose second sample has one class only, and what the loss says of it. Logits are rounded to 32 bits, so that
    /// both precisions start from the same numbers.
    pub(super) fn new(export: &Export<'_>) -> Self {
        let softmax = export.activation == Activation::Softmax;
        let classes = export.classes;
        let voxels: usize = SHAPE.iter().product();
        let mut rng = stream(1, Purpose::Probe, 1, 0);
        let mut round = |_| f64::from((f64::from(rng.random_range(-4000..4000i32)) / 1000.0) as f32);
        let logits: Vec<f64> = (0..SAMPLES * classes * voxels).map(&mut round).collect();
        let mut targets = vec![0.0; logits.len()];
        for place in 0..SAMPLES * voxels {
            let (sample, voxel) = (place / voxels, place % voxels);
            // Blobs: a class is a range of rows, so that there are insides and borders.
            let class = if sample == 0 {
                (voxel / 2) % (classes + usize::from(!softmax))
            } else {
                classes * usize::from(!softmax)
            };
            if class < classes {
                targets[(sample * classes + class) * voxels + voxel] = 1.0;
            }
        }
        let inputs = Inputs {
            shape: SHAPE,
            spacing: &SPACING,
            progress: PROGRESS,
            activation: export.activation,
            background: softmax,
            ..Inputs::new(SAMPLES, classes, &logits, &targets)
        };
        let mut slopes = vec![0.0; logits.len()];
        let value = gradient(&Plan::new(export.formula), &inputs, &mut slopes);
        Self { classes, logits, targets, value, gradient: slopes }
    }
}
