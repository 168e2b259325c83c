//! How a network is trained, apart from the loss.

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
    /// Learning rate of Adam at the first step; it decays as (1 - step / steps)^0.9, nnU-Net's polynomial.
    pub learning_rate: f64,
    /// How patches are chosen.
    pub patches: PatchSampler,
    /// How they are varied.
    pub augment: Augment,
    /// Precision of the convolutions. Predictions and metrics are of 32-bit floats in any case.
    pub precision: Precision,
}

/// Exponent of the polynomial decay.
const DECAY: f64 = 0.9;

impl Default for Recipe {
    fn default() -> Self {
        Self {
            steps: 300,
            learning_rate: 1e-3,
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
        self.patches.validate().map_err(|fault| fault.within("patches"))?;
        self.augment.validate().map_err(|fault| fault.within("augment"))
    }
}
