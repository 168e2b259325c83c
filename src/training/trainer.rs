//! The training loop on one page.
//!
//! What happens between the outputs of the network and the gradients of its parameters stands in [`Moment`]. A loss or a
//! gradient that is not finite ends a training before the optimiser takes it: a divergence is an outcome, not a crash.

use std::sync::Arc;

use burn::optim::ModuleOptimizer;
use burn::tensor::{Tensor, TensorData};

use super::Recipe;
use super::learn::online::Before;
use super::moment::{Moment, Moved};
use super::objective::Objective;
use crate::data::Case;
use crate::fault::{Fault, Result};
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

/// Largest norm of the gradient over all parameters together, nnU-Net's. With the factor below it bounds outliers only.
pub(super) const CLIP: f64 = 12.0;

/// Trains a network.
pub fn train(network: UNet3d, job: &Job<'_>, watch: Watch<'_>) -> Outcome {
    train_in_phases(network, job, &mut |phase| phase::end(phase.into()), watch)
}

/// As [`train`]; `mark` is told the end of every part of a step, so that somebody with a clock can say where time goes.
pub fn train_in_phases(network: UNet3d, job: &Job<'_>, mark: &mut dyn FnMut(Phase), watch: Watch<'_>) -> Outcome {
    State::begin(network, job).run(job, mark, &mut |_, step| Ok(watch(step)))
}

/// A training in progress: everything that its next step depends on, beside its job.
pub(super) struct State {
    /// The next step.
    pub(super) step: usize,
    pub(super) network: UNet3d,
    pub(super) optimizer: ModuleOptimizer,
    pub(super) objective: Objective,
}

/// Who is told every finished step and what the next one depends on, and says whether to go on.
pub(super) type Witness<'a> = &'a mut dyn FnMut(&State, &Step) -> Result<bool>;

impl State {
    /// Before the first step.
    pub(super) fn begin(network: UNet3d, job: &Job<'_>) -> Self {
        Self { step: 0, network, optimizer: job.recipe.optimizer.begin(), objective: Objective::new(job.loss) }
    }

    /// All steps that are left.
    pub(super) fn run(mut self, job: &Job<'_>, mark: &mut dyn FnMut(Phase), witness: Witness<'_>) -> Outcome {
        while self.step < job.recipe.steps {
            let made;
            (self, made) = match self.advance(job, mark) {
                Ok(advanced) => advanced,
                Err(end) => return end,
            };
            match witness(&self, &made) {
                Ok(true) => {}
                Ok(false) => return Outcome::Stopped,
                Err(fault) => return Outcome::Failed(fault),
            }
        }
        Outcome::Finished(Box::new(self.network))
    }

    /// One step, or how the training ended in it.
    fn advance(self, job: &Job<'_>, mark: &mut dyn FnMut(Phase)) -> Result<(Self, Step), Outcome> {
        let Job { recipe, .. } = job;
        let Self { step, network, mut optimizer, mut objective } = self;
        let device = nn::device().autodiff();
        let draw = |purpose| {
            let rng = &mut stream(job.seed, purpose, job.sequence, step as u64);
            recipe.patches.batch(job.cases, &recipe.augment, rng).map_err(Outcome::Failed)
        };
        let mut batch = draw(Purpose::Batch)?;
        mark(Phase::Batch);
        let image = std::mem::take(&mut batch.image);
        let image = Tensor::<5>::from_data(TensorData::new(image, batch.shape), &device);
        let logits = network.forward_at(recipe.precision, image.clone());
        let mut before = objective.learns().then(|| Before::new(&network, &image, &logits));
        let moment = Moment { job, step, network: &network, optimizer: &optimizer, batch: &batch, image, logits };
        let moved = moment.propagate(&mut objective, mark).map_err(Outcome::Failed)?;
        let Moved { mut reading, trials, mut gradients } = moved.ok_or(Outcome::Diverged { step })?;
        mark(Phase::Backward);
        if !nn::clip_global_norm(&network, &mut gradients, CLIP).is_finite() {
            return Err(Outcome::Diverged { step });
        }
        if let Some(before) = &mut before {
            before.remember(&gradients);
        }
        let network = optimizer.step(recipe.rate(step), network, gradients);
        if let Some(before) = before {
            let other = draw(Purpose::Trial)?;
            let cosine = objective.learn(recipe.progress(step), &before, &network, [&batch, &other]);
            reading.moving = vec![cosine];
        }
        mark(Phase::Optimizer);
        let made = Step { number: step, loss: reading.loss, moving: reading.moving, trials };
        Ok((Self { step: step + 1, network, optimizer, objective }, made))
    }
}
