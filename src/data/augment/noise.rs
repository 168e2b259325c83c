//! Gaussian noise on the normalised image.
//!
//! The deviation is in units of the image's own standard deviation, because images are normalised before; range and
//! probability are those of MONAI's `RandGaussianNoise`. Real scanner noise is Rician; at the signal levels of tissue the
//! two are alike (Gudbjartsson and Patz, 1995). What is drawn is the deviation and the seed of a generator, so that noise
//! can be added later and on any thread.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use super::{between, happens, validate_probability, validate_range};
use crate::fault::Result;

/// How often and how strongly there is noise.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Noise {
    /// Probability for each channel of a patch.
    pub probability: f64,
    /// Range of the noise's standard deviation.
    pub deviation: (f64, f64),
}

impl Default for Noise {
    fn default() -> Self {
        Self { probability: 0.1, deviation: (0.0, 0.1) }
    }
}

/// One draw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grain {
    /// Standard deviation.
    pub deviation: f32,
    /// What the values of the noise follow from.
    pub seed: u64,
}

impl Noise {
    /// Checks the numbers of a configuration.
    ///
    /// # Errors
    /// If the range is empty, negative or not finite, or the probability is none.
    pub fn validate(&self) -> Result<()> {
        validate_probability("noise.probability", self.probability)?;
        validate_range("noise.deviation", self.deviation, 0.0)
    }

    /// Draws the noise of one channel, if there is to be any.
    pub fn draw(&self, rng: &mut ChaCha8Rng) -> Option<Grain> {
        happens(self.probability, rng)
            .then(|| Grain { deviation: between(self.deviation, rng) as f32, seed: rng.random() })
    }
}

/// Adds noise.
pub fn apply(values: &mut [f32], grain: Grain) {
    let mut rng = ChaCha8Rng::seed_from_u64(grain.seed);
    for value in values {
        let draw: f32 = StandardNormal.sample(&mut rng);
        *value += grain.deviation * draw;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_has_no_mean_and_the_deviation_that_was_drawn() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let grain = Noise { probability: 1.0, deviation: (0.25, 0.25) }.draw(&mut rng).unwrap();
        let mut values = vec![1.0; 20_000];
        apply(&mut values, grain);
        let mean = values.iter().sum::<f32>() / 20_000.0;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / 20_000.0;
        assert!((mean - 1.0).abs() < 0.01 && (variance.sqrt() - 0.25).abs() < 0.01, "{mean} {variance}");
        let mut again = vec![1.0; 20_000];
        apply(&mut again, grain);
        assert_eq!(values, again);
    }
}
