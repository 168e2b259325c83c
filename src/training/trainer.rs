//! The training loop on one page.
//!
//! What happens between the outputs of the network and the gradients of its parameters stands in [`Moment`]. A loss or a
//! gradient that is not finite ends a training before the optimiser takes it: a divergence is an outcome, not a crash.

use std::sync::Arc;

use burn::optim::AdamConfig;
use burn::tensor::{Tensor, TensorData};

use super::Recipe;
use super::learn::online::Before;
use super::moment::{Moment, Moved};
use super::objective::Objective;
use crate::data::Case;
use crate::fault::Fault;
use crate::losses::strategy::Strategy;
use crate::nn::{self, UNet3d};
use crate::phase;
use crate::rng::{Purpose, stream};

/// What to train on, with which loss and how.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// Training cases.
    pub cases: &'a [Arc<Case>],
    /// What is minimised.
    pub loss: &'a Strategy,
    /// How.
    pub recipe: &'a Recipe,
    /// Seed of patches and augmentation.
    pub seed: u64,
    /// Which sequence of patches under the seed: one per fold.
    pub sequence: u64,
}

/// How a training ended.
#[derive(Debug)]
pub enum Outcome {
    /// After all steps.
    Finished(Box<UNet3d>),
    /// Loss or gradient ceased to be finite.
    Diverged {
        /// The step, from 0.
        step: usize,
    },
    /// The watcher said so.
    Stopped,
    /// Cases could not be read any more.
    Failed(Fault),
}

/// A finished step.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Its number, from 0.
    pub number: usize,
    /// The loss of its batch.
    pub loss: f64,
    /// Where the weights or parameters of the loss stood; empty where nothing moves. What they are,
    /// [`names`](super::objective::names) tells.
    pub moving: Vec<f64>,
    /// Passes of the network that trials of the loss's parameters took, beside those of the step itself.
    pub trials: Passes,
}

/// Passes of a batch through a network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Passes {
    /// From images to logits.
    pub forward: usize,
    /// From slopes of the logits to gradients of all parameters.
    pub backward: usize,
}

/// Who is told every finished step and says whether to go on.
pub type Watch<'a> = &'a mut dyn FnMut(&Step) -> bool;

/// A part of a step, in the order in which they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Patches are cut and varied.
    Batch,
    /// From image to logits.
    Forward,
    /// From logits to the loss and dL/dlogit.
    Loss,
    /// From dL/dlogit to the gradients of all parameters.
    Backward,
    /// Clipping, and the step itself.
    Optimizer,
}

impl From<Phase> for phase::Phase {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Batch => Self::Batch,
            Phase::Forward => Self::Forward,
            Phase::Loss => Self::Loss,
            Phase::Backward => Self::Backward,
            Phase::Optimizer => Self::Optimizer,
        }
    }
}

/// Adam's guard against division by zero, as in PyTorch. Burn's default of 1e-5 is of the order of real gradients of a
/// normalised network and would make the learning rate depend on the scale of the loss.
pub(super) const EPSILON: f32 = 1e-8;

/// Largest norm of the gradient over all parameters together, nnU-Net's. With the factor below it bounds outliers only.
pub(super) const CLIP: f64 = 12.0;

/// Trains a network.
pub fn train(network: UNet3d, job: &Job<'_>, watch: Watch<'_>) -> Outcome {
    train_in_phases(network, job, &mut |phase| phase::end(phase.into()), watch)
}

/// As [`train`]; `mark` is told the end of every part of a step, so that somebody with a clock can say where time goes.
pub fn train_in_phases(mut network: UNet3d, job: &Job<'_>, mark: &mut dyn FnMut(Phase), watch: Watch<'_>) -> Outcome {
    let Job { recipe, .. } = job;
    let device = nn::device().autodiff();
    let mut objective = Objective::new(job.loss);
    let mut optimizer = AdamConfig::new().with_epsilon(EPSILON).init();
    for step in 0..recipe.steps {
        let rng = &mut stream(job.seed, Purpose::Batch, job.sequence, step as u64);
        let mut batch = match recipe.patches.batch(job.cases, &recipe.augment, rng) {
            Ok(batch) => batch,
            Err(fault) => return Outcome::Failed(fault),
        };
        mark(Phase::Batch);
        let image = std::mem::take(&mut batch.image);
        let image = Tensor::<5>::from_data(TensorData::new(image, batch.shape), &device);
        let logits = network.forward_at(recipe.precision, image.clone());
        let mut before = objective.learns().then(|| Before::new(&network, &image, &logits));
        let moment = Moment { job, step, network: &network, optimizer: &optimizer, batch: &batch, image, logits };
        let Moved { mut reading, trials, mut gradients } = match moment.propagate(&mut objective, mark) {
            Ok(Some(moved)) => moved,
            Ok(None) => return Outcome::Diverged { step },
            Err(fault) => return Outcome::Failed(fault),
        };
        mark(Phase::Backward);
        if !nn::clip_global_norm(&network, &mut gradients, CLIP).is_finite() {
            return Outcome::Diverged { step };
        }
        if let Some(before) = &mut before {
            before.remember(&gradients);
        }
        network = optimizer.step(recipe.rate(step), network, gradients);
        if let Some(before) = before {
            let rng = &mut stream(job.seed, Purpose::Trial, job.sequence, step as u64);
            let other = match recipe.patches.batch(job.cases, &recipe.augment, rng) {
                Ok(other) => other,
                Err(fault) => return Outcome::Failed(fault),
            };
            let cosine = objective.learn(recipe.progress(step), &before, &network, [&batch, &other]);
            reading.moving = vec![cosine];
        }
        mark(Phase::Optimizer);
        if !watch(&Step { number: step, loss: reading.loss, moving: reading.moving, trials }) {
            return Outcome::Stopped;
        }
    }
    Outcome::Finished(Box::new(network))
}
