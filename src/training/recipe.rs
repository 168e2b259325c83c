//! How a network is trained, apart from the loss.

use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{AdamConfig, ModuleOptimizer, SgdConfig};
use serde::{Deserialize, Serialize};

use crate::data::{Augment, PatchSampler};
use crate::fault::{Fault, Result};
use crate::nn::Precision;

/// Settings of one training. Budgets are optimiser steps, never time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recipe {
    /// Optimiser steps.
    pub steps: usize,
    /// Learning rate at the first step; it decays as (1 - step / steps)^0.9, nnU-Net's polynomial.
    pub learning_rate: f64,
    /// What makes a step of a gradient.
    pub optimizer: Optimizer,
    /// How patches are chosen.
    pub patches: PatchSampler,
    /// How they are varied.
    pub augment: Augment,
    /// Precision of the convolutions. Predictions and metrics are of 32-bit floats in any case.
    pub precision: Precision,
}

/// What makes a step of a gradient.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub enum Optimizer {
    /// Kingma and Ba 2015, with decays of 0.9 and 0.999.
    #[default]
    Adam,
    /// Steepest descent with momentum: nnU-Net's is `Sgd(momentum: 0.99, nesterov: true, weight_decay: 3e-5)`.
    Sgd {
        /// Share of the last step in the next one, 0 to below 1.
        momentum: f64,
        /// Whether the gradient counts as if the step had been made (Nesterov).
        #[serde(default)]
        nesterov: bool,
        /// Share of every weight that is added to its gradient.
        #[serde(default)]
        weight_decay: f64,
    },
}

/// Adam's guard against division by zero, as in PyTorch. Burn's default of 1e-5 is of the order of real gradients of a
/// normalised network and would make the learning rate depend on the scale of the loss.
pub(super) const EPSILON: f32 = 1e-8;

impl Optimizer {
    /// The optimiser before its first step.
    pub(super) fn begin(self) -> ModuleOptimizer {
        match self {
            Self::Adam => AdamConfig::new().with_epsilon(EPSILON).init(),
            Self::Sgd { momentum, nesterov, weight_decay } => {
                // PyTorch's momentum, and so nnU-Net's, is not dampened; Burn's default is.
                let momentum =
                    MomentumConfig::new().with_momentum(momentum).with_dampening(0.0).with_nesterov(nesterov);
                let decay = (weight_decay > 0.0).then(|| WeightDecayConfig::new(weight_decay as f32));
                SgdConfig::new().with_momentum(Some(momentum)).with_weight_decay(decay).init()
            }
        }
    }

    fn check(self) -> Result<()> {
        let Self::Sgd { momentum, weight_decay, .. } = self else { return Ok(()) };
        let out = |field: &str, expected: &str, found: f64| {
            Err(Fault::new("setting out of range").field(field).expected(expected).found(found))
        };
        if !(0.0..1.0).contains(&momentum) {
            return out("momentum", "0 to below 1", momentum);
        }
        if !(0.0..1.0).contains(&weight_decay) {
            return out("weight_decay", "0 to below 1", weight_decay);
        }
        Ok(())
    }
}

/// Exponent of the polynomial decay.
const DECAY: f64 = 0.9;

impl Default for Recipe {
    fn default() -> Self {
        Self {
            steps: 300,
            learning_rate: 1e-3,
            optimizer: Optimizer::default(),
            patches: PatchSampler::default(),
            augment: Augment::default(),
            precision: Precision::default(),
        }
    }
}

impl Recipe {
    /// Learning rate of a step, from 0.
    pub fn rate(&self, step: usize) -> f64 {
        self.learning_rate * (1.0 - step as f64 / self.steps as f64).powf(DECAY)
    }

    /// Training progress of a step, from 0 to 1.
    pub fn progress(&self, step: usize) -> f64 {
        step as f64 / (self.steps.max(2) - 1) as f64
    }

    /// Whether a training can be made of it.
    ///
    /// # Errors
    /// The first value out of its range.
    pub fn check(&self) -> Result<()> {
        if self.steps == 0 {
            return Err(Fault::new("setting out of range").field("steps").expected("at least 1").found(0));
        }
        if !(self.learning_rate > 0.0 && self.learning_rate.is_finite()) {
            return Err(Fault::new("setting out of range")
                .field("learning_rate")
                .expected("a positive number")
                .found(self.learning_rate));
        }
        self.optimizer.check().map_err(|fault| fault.within("optimizer"))?;
        self.patches.validate().map_err(|fault| fault.within("patches"))?;
        self.augment.validate().map_err(|fault| fault.within("augment"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{self, UNet3d, UNet3dConfig, Weights};
    use crate::notation;
    use crate::rng::{Purpose, stream};

    const NNUNET: Optimizer = Optimizer::Sgd { momentum: 0.99, nesterov: true, weight_decay: 3e-5 };

    fn weights(network: &UNet3d) -> Vec<f32> {
        Weights::of(network).values().collect()
    }

    #[test]
    fn momentum_is_that_of_pytorch() {
        let config = UNet3dConfig { width: 2, levels: 2, ..UNet3dConfig::default() };
        let mut network = config.init(&mut stream(1, Purpose::Weights, 0, 0), &nn::device().autodiff());
        let mut expected: Vec<f64> = weights(&network).iter().map(|w| f64::from(*w)).collect();
        let mut velocity = vec![0.0; expected.len()];
        let mut optimizer = NNUNET.begin();
        for step in 0..5 {
            let gradient: Vec<f32> = (0..expected.len()).map(|i| (0.7 * i as f32 + 2.0 * step as f32).sin()).collect();
            network = optimizer.step(1e-2, network.clone(), nn::unflatten(&network, &gradient));
            // torch.optim.SGD: g += decay w; v = momentum v + g (v = g at first); w -= rate (g + momentum v).
            for ((w, v), g) in expected.iter_mut().zip(&mut velocity).zip(&gradient) {
                let g = f64::from(*g) + 3e-5 * *w;
                *v = 0.99 * *v + g;
                *w -= 1e-2 * (g + 0.99 * *v);
            }
        }
        let worst = weights(&network).iter().zip(&expected).map(|(w, e)| (f64::from(*w) - e).abs()).fold(0.0, f64::max);
        assert!(worst < 1e-6, "{worst}");
    }

    #[test]
    fn optimizers_are_read_and_judged() {
        assert_eq!(notation::from_text::<Recipe>("recipe", "(steps: 3)").unwrap().optimizer, Optimizer::Adam);
        let recipe = Recipe { optimizer: NNUNET, ..Recipe::default() };
        let text = notation::to_text(&recipe).unwrap();
        assert_eq!(notation::from_text::<Recipe>("recipe", &text).unwrap(), recipe);
        let wild = Optimizer::Sgd { momentum: 1.0, nesterov: false, weight_decay: 0.0 };
        let fault = Recipe { optimizer: wild, ..Recipe::default() }.check().unwrap_err().to_string();
        assert!(fault.contains("optimizer.momentum"), "{fault}");
    }
}
