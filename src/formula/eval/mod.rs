//! The value of a formula and its gradient by the logits, in `f64`: the definition of what a formula means.
//!
//! Every level of the plan is one pass over the voxels in blocks that stay in cache. Forward, a pass fills the sums of
//! its reductions. Backward, it recomputes the block, seeds the reduced steps with the adjoints of their reductions and
//! sweeps the block in reverse, writing dL/dlogit. No tape of the volume's size is kept.
//!
//! The loss is the mean of the root over samples and classes. Chunks have a fixed size and their sums are added in
//! order, so the result does not depend on the number of threads.

mod batch;
mod blocks;
mod inputs;
mod panel;
mod regions;
mod voxels;

use batch::Batch;
pub use inputs::{Activation, Inputs, Sample};
pub use panel::{Panel, Scratch};

use super::level::Level;
use super::plan::{Plan, Step};
use super::real::Real;
use super::word::{Op, Rank, Reduction};

/// The loss.
///
/// # Panics
/// If the arrays do not have the announced size, or the plan has a value per voxel: both are errors of the caller.
pub fn value<T: Sample>(plan: &Plan, inputs: &Inputs<'_, T>) -> f64 {
    let mut machine = Machine::<f64>::new(plan, inputs, Level::Portable);
    machine.forward();
    machine.loss()
}

/// The loss of every sample and class, `[samples, classes]`; their mean is the loss.
///
/// # Panics
/// As [`value`].
pub fn values<T: Sample>(plan: &Plan, inputs: &Inputs<'_, T>) -> Vec<f64> {
    let mut machine = Machine::<f64>::new(plan, inputs, Level::Portable);
    machine.forward();
    machine.values.pop().unwrap_or_default()
}

/// The loss; dL/dlogit is written to `gradient`, which has the size of the logits.
///
/// # Panics
/// As [`value`].
pub fn gradient<T: Sample>(plan: &Plan, inputs: &Inputs<'_, T>, gradient: &mut [T]) -> f64 {
    assert_eq!(gradient.len(), inputs.logits.len(), "gradient and logits differ in size");
    let mut machine = Machine::<f64>::new(plan, inputs, Level::Portable);
    machine.forward();
    // Adjoints by logit are summed in f64 over the passes and rounded once.
    let mut by_logit = vec![0.0; gradient.len()];
    machine.backward(&mut by_logit);
    for (out, value) in gradient.iter_mut().zip(by_logit) {
        *out = T::round(value);
    }
    machine.loss()
}

pub(super) struct Machine<'a, R> {
    plan: &'a Plan,
    batch: Batch<'a, R>,
    /// `[step][region]`; empty for steps with a value per voxel.
    values: Vec<Vec<f64>>,
    /// dL/dvalue, as `values`.
    adjoints: Vec<Vec<f64>>,
    /// For each `mean_top`: which voxels are kept.
    kept: Vec<(usize, Vec<bool>)>,
}

/// An evaluation in progress. Values per voxel are of type `R`, sums and values per sample always `f64`.
impl<'a, R: Real> Machine<'a, R> {
    pub(super) fn new<T: Sample>(plan: &'a Plan, inputs: &Inputs<'a, T>, level: Level) -> Self {
        assert!(plan.steps.last().is_some_and(|root| root.rank != Rank::Voxel), "a loss has no value per voxel");
        let batch = Batch::new(plan, inputs, level);
        let row = |step: &Step| vec![0.0; if step.rank == Rank::Voxel { 0 } else { batch.regions }];
        let values: Vec<Vec<f64>> = plan.steps.iter().map(row).collect();
        Self { plan, batch, adjoints: values.clone(), values, kept: Vec::new() }
    }

    pub(super) fn loss(&self) -> f64 {
        self.values.last().map_or(0.0, |root| root.iter().sum::<f64>() / self.batch.regions as f64)
    }

    pub(super) fn forward(&mut self) {
        self.region_steps(0);
        for level in 1..=self.plan.passes.len() {
            self.reduce(level);
            self.region_steps(level);
        }
    }

    /// Adds dL/dlogit to `by_logit`, which is zero.
    pub(super) fn backward(&mut self, by_logit: &mut [R]) {
        let root = self.plan.steps.len() - 1;
        self.adjoints[root] = vec![1.0 / self.batch.regions as f64; self.batch.regions];
        for level in (1..=self.plan.passes.len()).rev() {
            self.region_adjoints(level);
            self.voxel_adjoints(level, by_logit);
        }
        if self.batch.activation == Activation::Softmax {
            self.batch.leaves.couple(by_logit, self.batch.classes, self.batch.voxels);
        }
    }
}

/// The operands of an operation; one with a single argument ignores the second.
fn operands(step: &Step) -> (usize, usize) {
    (step.arguments[0], *step.arguments.last().expect("an operation has arguments"))
}

/// The step that a reduction reduces.
fn reduced(step: &Step) -> usize {
    *step.arguments.last().expect("a reduction has an argument")
}

fn reduction(step: &Step) -> Reduction {
    match step.word.word().op {
        Op::Reduce(reduction) => reduction,
        _ => unreachable!("only reductions are asked for"),
    }
}
