//! Brightness: all values of a channel multiplied by one factor.
//!
//! Values are normalised, so the factor stretches them about the mean of the whole image; nnU-Net's
//! `MultiplicativeBrightness` with its range and probability.

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{between, happens, validate_probability, validate_range};
use crate::fault::Result;

/// How often and how much the brightness changes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Brightness {
    /// Probability for each channel of a patch.
    pub probability: f64,
    /// Range of the factor.
    pub factor: (f64, f64),
}

impl Default for Brightness {
    fn default() -> Self {
        Self { probability: 0.15, factor: (0.75, 1.25) }
    }
}

impl Brightness {
    /// Checks the numbers of a configuration.
    ///
    /// # Errors
    /// If the range is empty or negative, or the probability is none.
    pub fn validate(&self) -> Result<()> {
        validate_probability("brightness.probability", self.probability)?;
        validate_range("brightness.factor", self.factor, 0.0)
    }

    /// Draws a factor, if there is to be a change.
    pub fn draw(&self, rng: &mut ChaCha8Rng) -> Option<f32> {
        happens(self.probability, rng).then(|| between(self.factor, rng) as f32)
    }
}

/// Multiplies all values.
pub fn apply(values: &mut [f32], factor: f32) {
    for value in values {
        *value *= factor;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_values_are_multiplied() {
        let mut values = [1.0, -2.0, 0.0];
        apply(&mut values, 1.5);
        assert_eq!(values, [1.5, -3.0, 0.0]);
    }
}
