//! Gaussian noise on the normalised image.
//!
//! The deviation is in units of the image's own standard deviation, because images are normalised before. Real scanner
//! noise is Rician; at the signal levels of tissue the two are alike (Gudbjartsson and Patz, 1995).

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use super::validate_range;
use crate::fault::Result;

/// How strong the noise is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Noise {
    /// Range of the noise's standard deviation, one draw per patch.
    pub deviation: (f64, f64),
}

impl Default for Noise {
    fn default() -> Self {
        Self { deviation: (0.0, 0.1) }
    }
}

impl Noise {
    /// Checks the numbers of a configuration.
    ///
    /// # Errors
    /// If the range is empty, negative or not finite.
    pub fn validate(&self) -> Result<()> {
        validate_range("noise.deviation", self.deviation, 0.0)
    }

    /// Draws the standard deviation of one patch.
    pub fn draw(&self, rng: &mut ChaCha8Rng) -> f32 {
        let (low, high) = self.deviation;
        (low + (high - low) * rng.random::<f64>()) as f32
    }
}

/// Adds noise of standard deviation `deviation`.
pub fn apply(values: &mut [f32], deviation: f32, rng: &mut ChaCha8Rng) {
    for value in values {
        let draw: f32 = StandardNormal.sample(rng);
        *value += deviation * draw;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn noise_has_no_mean_and_the_deviation_that_was_drawn() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let deviation = Noise { deviation: (0.25, 0.25) }.draw(&mut rng);
        let mut values = vec![1.0; 20_000];
        apply(&mut values, deviation, &mut rng);
        let mean = values.iter().sum::<f32>() / 20_000.0;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / 20_000.0;
        assert!((mean - 1.0).abs() < 0.01 && (variance.sqrt() - 0.25).abs() < 0.01, "{mean} {variance}");
    }
}
