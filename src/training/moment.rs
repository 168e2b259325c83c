//! One step of a training between the network's outputs and the gradients of its parameters.
//!
//! On the CPU a loss needs no automatic differentiation: its value and dL/dlogit come from the evaluator, and what is
//! back-propagated is sum(logits * dL/dlogit), whose gradient by the logits is exactly dL/dlogit. Where tensors live on a
//! device, a formula that does not move is computed there, because a copy of the logits costs more than the loss.

use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Tensor, TensorData};

use super::greedy::Trials;
use super::objective::{Objective, Reading};
use super::trainer::{Job, Passes, Phase};
use crate::data::patches::{Batch, with_background};
use crate::fault::Result;
use crate::formula::eval::{Activation, Inputs};
use crate::formula::plan::Plan;
use crate::nn::formula::{Scene, value};
use crate::nn::{self, Place, UNet3d, floats};
use crate::rng::{Purpose, stream};

/// Where a step stands when the network has spoken.
pub(super) struct Moment<'a> {
    pub(super) job: &'a Job<'a>,
    /// Its number, from 0.
    pub(super) step: usize,
    pub(super) network: &'a UNet3d,
    pub(super) optimizer: &'a ModuleOptimizer,
    /// The patches, whose image has become a tensor.
    pub(super) batch: &'a Batch,
    pub(super) image: Tensor<5>,
    pub(super) logits: Tensor<5>,
}

/// What a step found out before the optimiser takes it.
pub(super) struct Moved {
    pub(super) reading: Reading,
    /// Passes of trials of the loss's parameters.
    pub(super) trials: Passes,
    pub(super) gradients: GradientsParams,
}

impl Moment<'_> {
    /// The loss and the gradients of the parameters; `None` if one of them is not finite.
    ///
    /// # Errors
    /// If a loss that moves is to be judged on cases that cannot be read any more.
    pub(super) fn propagate(self, objective: &mut Objective, mark: &mut dyn FnMut(Phase)) -> Result<Option<Moved>> {
        let factor = objective.factor();
        match (nn::place(), objective.fixed()) {
            (Place::Cuda(_), Some(plan)) => Ok(self.on_device(plan, factor, mark)),
            _ => self.on_host(objective, mark),
        }
    }

    fn on_device(self, plan: &Plan, factor: f64, mark: &mut dyn FnMut(Phase)) -> Option<Moved> {
        let target = TensorData::new(self.targets(), self.logits.dims());
        let scene = Scene {
            targets: Tensor::from_data(target, &self.logits.device()),
            progress: self.progress(),
            spacing: &self.batch.spacing,
            activation: self.activation(),
            background: self.is_softmax(),
            logits: self.logits,
        };
        mark(Phase::Forward);
        let loss = value(plan, &scene);
        let reading = Reading { loss: f64::from(floats(loss.clone())[0]), moving: Vec::new() };
        mark(Phase::Loss);
        // A gradient that is not finite shows in its length, which is looked at before the optimiser takes it.
        let gradients = (loss * factor).backward();
        let gradients = GradientsParams::from_grads(gradients, self.network);
        reading.loss.is_finite().then(|| Moved { reading, trials: Passes::default(), gradients })
    }

    fn on_host(self, objective: &mut Objective, mark: &mut dyn FnMut(Phase)) -> Result<Option<Moved>> {
        let shape = self.logits.dims();
        let [samples, channels, depth, height, width] = shape;
        let target = self.targets();
        let outputs = floats(self.logits.clone());
        mark(Phase::Forward);
        let inputs = Inputs {
            progress: self.progress(),
            shape: [depth, height, width],
            spacing: &self.batch.spacing,
            activation: self.activation(),
            background: self.is_softmax(),
            ..Inputs::new(samples, channels, &outputs, &target)
        };
        let trials = self.adapt(objective, &inputs)?;
        let mut slopes = vec![0f32; outputs.len()];
        let reading = objective.gradient(&inputs, &mut slopes);
        if !reading.loss.is_finite() || slopes.iter().any(|slope| !slope.is_finite()) {
            return Ok(None);
        }
        mark(Phase::Loss);
        let slopes = Tensor::<5>::from_data(TensorData::new(slopes, shape), &self.logits.device());
        let gradients = (self.logits * slopes).sum().backward();
        Ok(Some(Moved { reading, trials, gradients: GradientsParams::from_grads(gradients, self.network) }))
    }

    /// Moves the parameters of the loss, if that is due; what it took.
    fn adapt(&self, objective: &mut Objective, inputs: &Inputs<'_, f32>) -> Result<Passes> {
        let Some(adaptation) = objective.due(self.step) else { return Ok(Passes::default()) };
        let Job { recipe, cases, seed, sequence, .. } = self.job;
        let held_out = adaptation.held_out.then(|| -> Result<_> {
            let rng = &mut stream(*seed, Purpose::Trial, *sequence, self.step as u64);
            let other = recipe.patches.batch(cases, &recipe.augment, rng)?;
            let target = self.targets_of(&other);
            Ok((Tensor::<5>::from_data(TensorData::new(other.image, other.shape), &nn::device()), target))
        });
        let held_out = held_out.transpose()?;
        let rate = recipe.rate(self.step);
        let trials = Trials {
            network: self.network,
            optimizer: self.optimizer,
            rate,
            precision: recipe.precision,
            image: &self.image,
            inputs,
            held_out,
        };
        let (scores, passes) = trials.scores(adaptation);
        objective.choose(&scores);
        Ok(passes)
    }

    fn progress(&self) -> f64 {
        self.job.recipe.progress(self.step)
    }

    /// One output more than classes is that of the background: the outputs of a softmax.
    fn is_softmax(&self) -> bool {
        self.logits.dims()[1] > self.batch.classes
    }

    fn activation(&self) -> Activation {
        if self.is_softmax() { Activation::Softmax } else { Activation::Sigmoid }
    }

    fn targets(&self) -> Vec<f32> {
        self.targets_of(self.batch)
    }

    /// Membership in each output's class.
    fn targets_of(&self, batch: &Batch) -> Vec<f32> {
        let [_, _, depth, height, width] = batch.shape;
        if self.is_softmax() {
            with_background(&batch.target, batch.classes, depth * height * width)
        } else {
            batch.target.clone()
        }
    }
}
