//! A batch as the evaluator sees it: regions (one sample and class), which voxels and classes count, and what sums over
//! them are divided by.

use super::blocks::Chunk;
use super::inputs::{Activation, CHUNK, Inputs, Leaves, Sample};
use crate::formula::level::Level;
use crate::formula::plan::Plan;
use crate::formula::real::Real;
use crate::formula::word::ClassReduction;

/// What stays the same while a formula is evaluated.
pub(super) struct Batch<'a, R> {
    pub(super) level: Level,
    pub(super) classes: usize,
    pub(super) progress: f64,
    pub(super) activation: Activation,
    background: bool,
    mask: Option<&'a [bool]>,
    /// Voxels of one sample and class.
    pub(super) voxels: usize,
    /// Those that count, for each sample.
    counts: Vec<f64>,
    /// Samples times classes.
    pub(super) regions: usize,
    pub(super) chunks: Vec<Chunk>,
    pub(super) leaves: Leaves<R>,
}

impl<'a, R: Real> Batch<'a, R> {
    pub(super) fn new<T: Sample>(plan: &Plan, inputs: &Inputs<'a, T>, level: Level) -> Self {
        let regions = inputs.samples * inputs.classes;
        let voxels = inputs.voxels();
        assert_eq!(inputs.logits.len(), inputs.targets.len(), "logits and targets differ in size");
        assert!(regions > 0 && inputs.logits.len() == regions * voxels, "logits are not of the announced shape");
        assert!(inputs.mask.is_none_or(|mask| mask.len() == inputs.samples * voxels), "the mask is of another shape");
        let chunks = (0..regions)
            .flat_map(|region| {
                (0..voxels).step_by(CHUNK).map(move |start| Chunk {
                    region,
                    start: region * voxels + start,
                    length: CHUNK.min(voxels - start),
                })
            })
            .collect();
        let valid = |sample: usize| match inputs.mask {
            Some(mask) => mask[sample * voxels..][..voxels].iter().filter(|counts| **counts).count() as f64,
            None => voxels as f64,
        };
        Self {
            classes: inputs.classes,
            progress: inputs.progress,
            activation: inputs.activation,
            background: inputs.background,
            mask: inputs.mask,
            voxels,
            counts: (0..inputs.samples).map(valid).collect(),
            regions,
            chunks,
            leaves: Leaves::new(plan, inputs, level),
            level,
        }
    }

    /// The classes that count: with a background class, `included` says whether it is one of them.
    pub(super) fn counted(&self, included: f64) -> std::ops::Range<usize> {
        usize::from(self.background && included == 0.0 && self.classes > 1)..self.classes
    }

    /// Whether some voxels may not count.
    pub(super) fn is_masked(&self) -> bool {
        self.mask.is_some()
    }

    /// Whether a voxel, counted over all regions, counts.
    pub(super) fn is_valid(&self, voxel: usize) -> bool {
        let sample = voxel / (self.voxels * self.classes);
        self.mask.is_none_or(|mask| mask[sample * self.voxels + voxel % self.voxels])
    }

    /// 1 / volume² of every target. An absent class has the largest weight of its sample (Sudre et al. 2017 leave it
    /// infinite), 1 if all are absent: MONAI's 0 would end the training on such samples.
    pub(super) fn volume_weights(&self) -> Vec<f64> {
        let of = |region: usize| {
            let start = region * self.voxels;
            self.leaves.target_volume(start, self.voxels, |voxel| self.is_valid(start + voxel)).powi(2).recip()
        };
        let mut weights: Vec<f64> = (0..self.regions).map(of).collect();
        for sample in weights.chunks_mut(self.classes) {
            let largest = sample.iter().copied().filter(|w| w.is_finite()).fold(0.0, f64::max);
            let stand_in = if largest > 0.0 { largest } else { 1.0 };
            sample.iter_mut().filter(|w| !w.is_finite()).for_each(|w| *w = stand_in);
        }
        weights
    }

    /// Sum over the voxels that count of a block that begins at `start`.
    pub(super) fn sum(&self, values: &[R], start: usize) -> f64 {
        match self.mask {
            None => R::sum(self.level, values),
            Some(_) => values.iter().enumerate().filter(|(i, _)| self.is_valid(start + i)).map(|(_, v)| v.wide()).sum(),
        }
    }

    /// Each region's number over the voxels of its sample; 0 where none counts.
    pub(super) fn per_voxel(&self, rows: &[f64]) -> Vec<f64> {
        rows.iter().enumerate().map(|(region, row)| row / self.counts[region / self.classes].max(1.0)).collect()
    }

    /// Voxels of a class in the batch.
    pub(super) fn batch_voxels(&self) -> f64 {
        self.counts.iter().sum::<f64>().max(1.0)
    }

    /// For each region the sum over all samples of its class.
    pub(super) fn over_batch(&self, rows: &[f64]) -> Vec<f64> {
        (0..self.regions).map(|r| rows[r % self.classes..].iter().step_by(self.classes).sum()).collect()
    }
}

/// What the sum over the classes is divided by.
pub(super) fn divisor(reduction: ClassReduction, counted: &std::ops::Range<usize>) -> f64 {
    match reduction {
        ClassReduction::Mean => counted.len() as f64,
        ClassReduction::Sum => 1.0,
    }
}
