//! The training loop on one page.
//!
//! A formula needs no automatic differentiation: its value and dL/dlogit come from the formula's own evaluator, and the
//! network is trained by back-propagating sum(logits * dL/dlogit), whose gradient by the logits is exactly dL/dlogit.
//! So a loss is checked to be finite before anything is propagated, and a divergence is an outcome.

use std::sync::Arc;

use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Tensor, TensorData};

use super::Recipe;
use crate::data::Case;
use crate::data::patches::with_background;
use crate::formula::Formula;
use crate::formula::eval::{Activation, Inputs, gradient};
use crate::formula::fingerprint::{answers, probes, scale};
use crate::formula::plan::Plan;
use crate::losses::catalog;
use crate::nn::{self, UNet3d, floats};
use crate::rng::{Purpose, stream};

/// What to train on, with which loss and how.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// Training cases.
    pub cases: &'a [Arc<Case>],
    /// What is minimised.
    pub loss: &'a Formula,
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
}

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

/// Adam's guard against division by zero, as in PyTorch. Burn's default of 1e-5 is of the order of real gradients of a
/// normalised network and would make the learning rate depend on the scale of the loss.
const EPSILON: f32 = 1e-8;

/// Largest norm of the gradient over all parameters together, nnU-Net's. With the factor below it bounds outliers only.
const CLIP: f64 = 12.0;

/// Trains a network. `watch` is told every finished step with its loss and says whether to go on.
pub fn train(network: UNet3d, job: &Job<'_>, watch: &mut dyn FnMut(usize, f64) -> bool) -> Outcome {
    train_in_phases(network, job, &mut |_| {}, watch)
}

/// As [`train`]; `mark` is told the end of every part of a step, so that somebody with a clock can say where time goes.
pub fn train_in_phases(
    mut network: UNet3d,
    job: &Job<'_>,
    mark: &mut dyn FnMut(Phase),
    watch: &mut dyn FnMut(usize, f64) -> bool,
) -> Outcome {
    let Job { recipe, .. } = job;
    let device = nn::device().autodiff();
    let plan = Plan::new(job.loss);
    let factor = gradient_factor(&plan);
    let mut optimizer = AdamConfig::new().with_epsilon(EPSILON).init();
    for step in 0..recipe.steps {
        let batch = recipe.patches.batch(
            job.cases,
            &recipe.augment,
            &mut stream(job.seed, Purpose::Batch, job.sequence, step as u64),
        );
        mark(Phase::Batch);
        let image = Tensor::<5>::from_data(TensorData::new(batch.image, batch.shape), &device);
        let logits = network.forward(image);

        let output_shape = logits.dims();
        let [samples, channels, depth, height, width] = output_shape;
        // One output more than classes is that of the background: the outputs of a softmax.
        let softmax = channels > batch.classes;
        let target =
            if softmax { with_background(&batch.target, batch.classes, depth * height * width) } else { batch.target };
        let outputs = floats(logits.clone());
        mark(Phase::Forward);
        let mut slopes = vec![0f32; outputs.len()];
        let inputs = Inputs {
            progress: recipe.progress(step),
            shape: [depth, height, width],
            spacing: &batch.spacing,
            activation: if softmax { Activation::Softmax } else { Activation::Sigmoid },
            background: softmax,
            ..Inputs::new(samples, channels, &outputs, &target)
        };
        let loss = gradient(&plan, &inputs, &mut slopes);
        if !loss.is_finite() || slopes.iter().any(|slope| !slope.is_finite()) {
            return Outcome::Diverged { step };
        }
        for slope in &mut slopes {
            *slope *= factor;
        }
        mark(Phase::Loss);

        let slopes = Tensor::<5>::from_data(TensorData::new(slopes, output_shape), &device);
        let gradients = (logits * slopes).sum().backward();
        let mut gradients = GradientsParams::from_grads(gradients, &network);
        mark(Phase::Backward);
        if !nn::clip_global_norm(&network, &mut gradients, CLIP).is_finite() {
            return Outcome::Diverged { step };
        }
        network = optimizer.step(recipe.rate(step), network, gradients);
        mark(Phase::Optimizer);
        if !watch(step, loss) {
            return Outcome::Stopped;
        }
    }
    Outcome::Finished(Box::new(network))
}

/// The factor that gives a loss the gradient of Dice + CE, in root mean square over all probes together: losses compete
/// on the shape of their gradient, not on a learning rate in disguise. 1 for Dice + CE itself.
fn gradient_factor(plan: &Plan) -> f32 {
    let probes = probes();
    let size = |plan: &Plan| scale(&answers(plan, &probes));
    let reference = catalog::find("dice_ce").map_or(1.0, |entry| size(&Plan::new(&entry.formula())));
    let factor = reference / size(plan);
    // A formula without gradient on the probes is no loss, but a person may insist on training with it.
    if factor.is_finite() { factor as f32 } else { 1.0 }
}
