//! What a loss is computed from: logits, targets, progress; and what every formula may ask of a voxel, computed once for
//! all passes.

use rayon::prelude::*;

use super::kernel::Block;
use super::plan::Plan;

/// Voxels per unit of parallel work.
pub(super) const CHUNK: usize = 8192;

/// A number type in which logits, targets and gradients are stored; arithmetic is in `f64` throughout.
pub trait Sample: Copy + Send + Sync + Into<f64> {
    /// Rounds to the storage type.
    fn round(value: f64) -> Self;
}

impl Sample for f32 {
    fn round(value: f64) -> Self {
        value as Self
    }
}

impl Sample for f64 {
    fn round(value: f64) -> Self {
        value
    }
}

/// What a loss is computed from. Arrays are `[samples, classes, voxels]`, the last axis contiguous.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a, T> {
    /// Number of samples in the batch.
    pub samples: usize,
    /// Number of classes, each predicted by a sigmoid of its own.
    pub classes: usize,
    /// Logits.
    pub logits: &'a [T],
    /// Targets in [0, 1].
    pub targets: &'a [T],
    /// Training progress in [0, 1].
    pub progress: f64,
}

/// Columns of all voxels of a batch; the logarithms are empty if the plan needs none.
pub(super) struct Leaves {
    p: Vec<f64>,
    q: Vec<f64>,
    y: Vec<f64>,
    neg_log_p: Vec<f64>,
    neg_log_q: Vec<f64>,
}

impl Leaves {
    pub(super) fn new<T: Sample>(plan: &Plan, inputs: &Inputs<'_, T>) -> Self {
        // The logarithms cost more than the rest, and most region losses need none.
        let logs = plan.steps.iter().any(|step| matches!(step.word.word().name, "ce_fg" | "ce_bg"));
        let n = inputs.logits.len();
        let mut leaves = Self {
            p: vec![0.0; n],
            q: vec![0.0; n],
            y: inputs.targets.iter().map(|y| (*y).into()).collect(),
            neg_log_p: vec![0.0; if logs { n } else { 0 }],
            neg_log_q: vec![0.0; if logs { n } else { 0 }],
        };
        let outputs = leaves.p.par_chunks_mut(CHUNK).zip(leaves.q.par_chunks_mut(CHUNK));
        outputs.zip(inputs.logits.par_chunks(CHUNK)).for_each(|((p, q), logits)| {
            for ((p, q), z) in p.iter_mut().zip(q).zip(logits) {
                let z: f64 = (*z).into();
                let small = (-z.abs()).exp();
                let (near, far) = (1.0 / (1.0 + small), small / (1.0 + small));
                (*p, *q) = if z >= 0.0 { (near, far) } else { (far, near) };
            }
        });
        let outputs = leaves.neg_log_p.par_chunks_mut(CHUNK).zip(leaves.neg_log_q.par_chunks_mut(CHUNK));
        outputs.zip(inputs.logits.par_chunks(CHUNK)).for_each(|((log_p, log_q), logits)| {
            for ((log_p, log_q), z) in log_p.iter_mut().zip(log_q).zip(logits) {
                let z: f64 = (*z).into();
                let rest = (-z.abs()).exp().ln_1p();
                (*log_p, *log_q) = ((-z).max(0.0) + rest, z.max(0.0) + rest);
            }
        });
        leaves
    }

    pub(super) fn block(&self, start: usize, length: usize) -> Block<'_> {
        let range = start..start + length;
        // Without logarithms any slice will do: no kernel of the plan reads it.
        let (log_p, log_q) =
            if self.neg_log_p.is_empty() { (&self.p, &self.p) } else { (&self.neg_log_p, &self.neg_log_q) };
        Block {
            p: &self.p[range.clone()],
            q: &self.q[range.clone()],
            y: &self.y[range.clone()],
            neg_log_p: &log_p[range.clone()],
            neg_log_q: &log_q[range],
        }
    }
}
