//! A loss that goes on learning while it trains a network (Raymond et al. 2025, AdaLFL): behind every step of the network
//! comes one of the loss.
//!
//! The loss follows one training to its end instead of what helps trainings in general, so it is never saved: the network
//! is the result.

use burn::optim::GradientsParams;
use burn::tensor::Tensor;

use super::adam::Adam;
use super::teaching::{Taken, Task, inputs};
use crate::data::patches::Batch;
use crate::formula::Formula;
use crate::losses::learned::Learned;
use crate::nn::{self, UNet3d, floats};

/// Learning rate of the loss: a fifth of that with which it is learned beforehand, because one network says little.
const RATE: f64 = 1e-3;

/// What goes on learning, and by what.
pub(in crate::training) struct Online {
    task: Task,
    /// Moves the loss.
    adam: Adam,
    /// Follows what the optimiser of the network divides by; empty before the first step.
    network: Adam,
}

/// What a step leaves for the loss to learn from.
pub(in crate::training) struct Before {
    network: UNet3d,
    image: Tensor<5>,
    outputs: Vec<f32>,
    gradient: Vec<f32>,
}

impl Before {
    pub(in crate::training) fn new(network: &UNet3d, image: &Tensor<5>, logits: &Tensor<5>) -> Self {
        let outputs = floats(logits.clone());
        Self { network: network.clone(), image: image.clone(), outputs, gradient: Vec::new() }
    }

    /// The gradient with which the step is taken.
    pub(in crate::training) fn remember(&mut self, gradients: &GradientsParams) {
        self.gradient = nn::flatten(&self.network, gradients);
    }
}

impl Online {
    pub(in crate::training) fn new(task: &Formula, loss: &Learned) -> Self {
        Self { task: Task::new(task), adam: Adam::new(loss.net().weights().len()), network: Adam::new(0) }
    }

    /// Steps and moments of both optimisers.
    pub(in crate::training) fn standing(&self) -> (Vec<u32>, Vec<Vec<f64>>) {
        let both = [&self.adam, &self.network];
        let moments = both.iter().flat_map(|adam| [adam.first.clone(), adam.second.clone()]).collect();
        (both.iter().map(|adam| adam.steps).collect(), moments)
    }

    /// Goes to where they stood; whether that can be.
    #[must_use]
    pub(in crate::training) fn stand(&mut self, steps: &[u32], moments: Vec<Vec<f64>>) -> bool {
        let ([loss, network], Ok([a, b, c, d])) = (steps, <[Vec<f64>; 4]>::try_from(moments)) else { return false };
        if a.len() != self.adam.first.len() || a.len() != b.len() || c.len() != d.len() {
            return false;
        }
        self.adam = Adam { steps: *loss, first: a, second: b };
        self.network = Adam { steps: *network, first: c, second: d };
        true
    }

    /// Moves the loss by what the step from `before` to `after` on `batch` did for the task on `other` patches; the cosine
    /// between the gradients of both, not a number where there was nothing to learn.
    pub(in crate::training) fn learn(
        &mut self,
        loss: &mut Learned,
        progress: f64,
        before: &Before,
        after: &UNet3d,
        [batch, other]: [&Batch; 2],
    ) -> f64 {
        let gradient: Vec<f64> = before.gradient.iter().map(|g| f64::from(*g)).collect();
        if self.network.steps == 0 {
            self.network = Adam::new(gradient.len());
        }
        self.network.step(&gradient);
        let inputs = inputs(batch, &before.outputs, progress);
        let taken = Taken {
            before: &before.network,
            after,
            image: &before.image,
            inputs: &inputs,
            loss,
            table: &loss.table(progress),
            gradient: &before.gradient,
            spread: &self.network.spread(),
        };
        let Some(learnt) = taken.teach(&self.task, other) else { return f64::NAN };
        let downhill: Vec<f64> = learnt.uphill.iter().map(|slope| -slope).collect();
        let way = self.adam.step(&downhill);
        loss.weights_mut().iter_mut().zip(way).for_each(|(weight, way)| *weight -= RATE * way);
        learnt.cosine
    }
}
