//! Contrast: values stretched about the mean of the patch, within the range that they had.
//!
//! nnU-Net's `ContrastAugmentation` with `preserve_range`, its range and probability: the darkest and the brightest value
//! stay, so more contrast saturates both ends.

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{between, happens, mean, range, validate_probability, validate_range};
use crate::fault::Result;

/// How often and how much the contrast changes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Contrast {
    /// Probability for each channel of a patch.
    pub probability: f64,
    /// Range of the factor.
    pub factor: (f64, f64),
}

impl Default for Contrast {
    fn default() -> Self {
        Self { probability: 0.15, factor: (0.75, 1.25) }
    }
}

impl Contrast {
    /// Checks the numbers of a configuration.
    ///
    /// # Errors
    /// If the range is empty or negative, or the probability is none.
    pub fn validate(&self) -> Result<()> {
        validate_probability("contrast.probability", self.probability)?;
        validate_range("contrast.factor", self.factor, 0.0)
    }

    /// Draws a factor, if there is to be a change.
    pub fn draw(&self, rng: &mut ChaCha8Rng) -> Option<f32> {
        happens(self.probability, rng).then(|| between(self.factor, rng) as f32)
    }
}

/// Stretches values about their mean.
pub fn apply(values: &mut [f32], factor: f32) {
    let (centre, (low, high)) = (mean(values) as f32, range(values));
    for value in values {
        // This form leaves everything in place at a factor of one.
        *value = (*value + (factor - 1.0) * (*value - centre)).clamp(low, high);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_move_away_from_the_mean_and_stay_in_their_range() {
        let mut values = [0.0, 1.0, 3.0, 4.0];
        apply(&mut values, 1.25);
        assert_eq!(values, [0.0, 0.75, 3.25, 4.0]);
        apply(&mut values, 1.0);
        assert_eq!(values, [0.0, 0.75, 3.25, 4.0]);
    }
}
