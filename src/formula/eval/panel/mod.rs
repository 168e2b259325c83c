//! Many small batches at once: the probes on which every candidate of a search is looked at.
//!
//! Guards that its bits are those of [`gradient`](super::gradient), batch by batch: the same operations in the same order.
//! What it saves is everything but arithmetic: what a formula may ask of a voxel is computed once for all formulas, an
//! operation runs over the voxels of all batches in one go, values stay for the way back, and memory is used again. One
//! class, no mask and no threads, because probes need none of them.

mod run;

use super::inputs::{Activation, Inputs};
use crate::formula::kernel::Block;
use crate::formula::level::Level;
use crate::formula::maps::Map;
use crate::formula::plan::Plan;
use crate::formula::real::Real;
use crate::formula::word::{Op, Rank, Reduction};
use crate::formula::words::WORDS;
use run::Run;

/// Batches of one class and equal size, `[batch][sample][voxel]`, ready for every word.
#[derive(Debug)]
pub struct Panel {
    progress: Vec<f64>,
    /// Samples of a batch.
    samples: usize,
    /// Voxels of a sample.
    voxels: usize,
    /// p, q, y, -log p and -log q.
    columns: [Vec<f64>; 5],
    maps: Vec<(Map, Vec<f64>)>,
    /// Per sample.
    volume_weights: Vec<f64>,
}

/// Memory of evaluations, to be used again by the next.
#[derive(Debug, Default)]
pub struct Scratch {
    /// `[step][voxel of all batches]`.
    values: Vec<f64>,
    adjoints: Vec<f64>,
    /// `[step][sample of all batches]`.
    rows: Vec<f64>,
    row_adjoints: Vec<f64>,
    /// For each `mean_top`: which voxels are kept.
    kept: Vec<(usize, Vec<bool>)>,
    filled: Vec<bool>,
    spare: [Vec<f64>; 2],
    slopes: Vec<f64>,
}

impl Panel {
    /// Batches of the same size, each as it would be given to the definition.
    ///
    /// # Panics
    /// If there is no batch, or they differ in size, have several classes, a mask or a softmax.
    pub fn new(batches: &[Inputs<'_, f64>]) -> Self {
        let (samples, voxels) = (batches[0].samples, batches[0].voxels());
        let is_like_the_first = |batch: &Inputs<'_, f64>| {
            (batch.samples, batch.classes, batch.voxels()) == (samples, 1, voxels)
                && batch.mask.is_none()
                && batch.activation == Activation::Sigmoid
        };
        assert!(batches.iter().all(is_like_the_first), "batches of a panel are alike and of one class");
        let logits: Vec<f64> = batches.iter().flat_map(|batch| batch.logits.iter().copied()).collect();
        let y: Vec<f64> = batches.iter().flat_map(|batch| batch.targets.iter().copied()).collect();
        let [mut p, mut q, mut neg_log_p, mut neg_log_q] = [(); 4].map(|()| vec![0.0; logits.len()]);
        f64::sigmoid(Level::Portable, &logits, [&mut p, &mut q, &mut neg_log_p, &mut neg_log_q]);
        let size = samples * voxels;
        let everywhere = |map: Map| {
            let of = |(batch, inputs): (usize, &Inputs<'_, f64>)| map.compute(inputs, &p[batch * size..][..size]);
            (map, batches.iter().enumerate().flat_map(of).collect())
        };
        let known = WORDS.iter().filter_map(|word| if let Op::Map(map) = word.op { Some(map) } else { None });
        // Of a single class that is absent, nothing but 1 can stand in.
        let weight = |volume: f64| if volume > 0.0 { volume.powi(2).recip() } else { 1.0 };
        Self {
            progress: batches.iter().map(|batch| batch.progress).collect(),
            samples,
            voxels,
            maps: known.map(everywhere).collect(),
            volume_weights: y.chunks(voxels).map(|sample| weight(sample.iter().sum())).collect(),
            columns: [p, q, y, neg_log_p, neg_log_q],
        }
    }

    /// The loss of every batch and dL/dlogit of every voxel, batch after batch.
    ///
    /// # Panics
    /// If the plan has a value per voxel.
    pub fn gradient<'s>(&self, plan: &Plan, scratch: &'s mut Scratch) -> (Vec<f64>, &'s [f64]) {
        assert!(plan.steps.last().is_some_and(|root| root.rank != Rank::Voxel), "a loss has no value per voxel");
        scratch.reset(plan.steps.len(), self.all(), self.regions());
        let mut run = Run { panel: self, plan, s: scratch };
        run.forward();
        run.backward();
        let root = &scratch.rows[(plan.steps.len() - 1) * self.regions()..][..self.regions()];
        let losses = root.chunks(self.samples).map(|rows| rows.iter().sum::<f64>() / self.samples as f64).collect();
        (losses, &scratch.slopes)
    }

    /// Voxels of all batches.
    fn all(&self) -> usize {
        self.columns[0].len()
    }

    /// Samples of all batches.
    fn regions(&self) -> usize {
        self.progress.len() * self.samples
    }

    fn block(&self) -> Block<'_, f64> {
        let [p, q, y, neg_log_p, neg_log_q] = &self.columns;
        Block { p, q, y, neg_log_p, neg_log_q }
    }
}

impl Scratch {
    /// Adjoints and slopes begin at 0; values are written before they are read.
    fn reset(&mut self, steps: usize, all: usize, regions: usize) {
        self.values.resize(steps * all, 0.0);
        self.adjoints.resize(steps * all, 0.0);
        self.rows.resize(steps * regions, 0.0);
        self.row_adjoints.clear();
        self.row_adjoints.resize(steps * regions, 0.0);
        self.filled.clear();
        self.filled.resize(steps, false);
        self.slopes.clear();
        self.slopes.resize(all, 0.0);
        self.kept.clear();
        self.spare.iter_mut().for_each(|spare| spare.resize(all, 0.0));
    }
}

impl Panel {
    /// From sums over the voxels of each sample to what the reduction makes of them; also the way of its adjoint.
    fn spread(&self, kind: Reduction, rows: &mut [f64]) {
        if matches!(kind, Reduction::MeanBatch | Reduction::SumBatch) {
            for batch in rows.chunks_mut(self.samples) {
                let sum: f64 = batch.iter().sum();
                batch.fill(sum);
            }
        }
        let divisor = match kind {
            Reduction::Mean => self.voxels as f64,
            Reduction::MeanBatch => (self.samples * self.voxels) as f64,
            Reduction::Sum | Reduction::SumBatch | Reduction::MeanTop => return,
        };
        for row in rows {
            *row /= divisor.max(1.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formula::Formula;
    use crate::formula::eval::gradient;
    use crate::formula::fingerprint::{Probe, probes};
    use crate::grammar::Grammar;
    use crate::losses::catalog::CATALOG;
    use crate::rng::{Purpose, stream};

    fn inputs(probe: &Probe) -> Inputs<'_, f64> {
        Inputs { progress: probe.progress, ..Inputs::new(2, 1, &probe.logits, &probe.targets) }
    }

    #[test]
    fn every_bit_is_that_of_the_definition() {
        let probes = probes();
        let panel = Panel::new(&probes.iter().map(inputs).collect::<Vec<_>>());
        let mut scratch = Scratch::default();
        let grammar = Grammar::polarity();
        let random = (0..2000).map(|slot| grammar.sample_loss(25, &mut stream(23, Purpose::Birth, 0, slot)));
        let odd = [
            "(- 1 t)",
            "(* volume_weight (log1p (mean_classes 0 (sum (* neg_log_q y)))))",
            "(mean (* (ratio (mean_batch tp) (mean fp)) (* target_distance (* abs_diff (+ abs_diff (class 0))))))",
            "(+ (^ (mean (^ fp (+ 0.5 t))) t) (mean_top (+ 5 (* 10 t)) (* ce_fg (/ y classes))))",
        ];
        let odd = odd.iter().map(|text| text.parse::<Formula>().unwrap());
        for loss in random.chain(CATALOG.iter().map(crate::losses::catalog::Entry::formula)).chain(odd) {
            let plan = Plan::new(&loss);
            let (losses, slopes) = panel.gradient(&plan, &mut scratch);
            for (number, probe) in probes.iter().enumerate() {
                let mut exact = vec![0.0; probe.logits.len()];
                let value = gradient(&plan, &inputs(probe), &mut exact);
                let found = &slopes[number * exact.len()..][..exact.len()];
                assert_eq!(losses[number], value, "{loss} on {}", probe.name);
                assert_eq!(found, exact, "{loss} on {}", probe.name);
            }
        }
    }
}
