//! Gaussian blur: the same anatomy through a softer point spread.
//!
//! In voxels, because the point spread of a scan is about as wide as its voxels along each axis. nnU-Net blurs a patch with
//! probability 0.2 and then each channel with 0.5, by 0.5 to 1 voxels; each channel is drawn on its own here, with the
//! product of the two.

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{between, happens, validate_number, validate_probability, validate_range};
use crate::fault::Result;
use crate::volume::resample::{Weights, weighted};

/// How often and how much is blurred.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Blur {
    /// Probability for each channel of a patch.
    pub probability: f64,
    /// Range of the Gaussian's standard deviation, in voxels.
    pub deviation: (f64, f64),
}

impl Default for Blur {
    fn default() -> Self {
        Self { probability: 0.1, deviation: (0.5, 1.0) }
    }
}

/// The widest Gaussian, in voxels; beyond it a patch is one grey.
const WIDEST: f64 = 20.0;

impl Blur {
    /// Checks the numbers of a configuration.
    ///
    /// # Errors
    /// If the range is empty, negative or above 20 voxels, or the probability is none.
    pub fn validate(&self) -> Result<()> {
        validate_probability("blur.probability", self.probability)?;
        validate_range("blur.deviation", self.deviation, 0.0)?;
        validate_number("blur.deviation", self.deviation.1, (0.0, WIDEST))
    }

    /// Draws a standard deviation, if there is to be a blur.
    pub fn draw(&self, rng: &mut ChaCha8Rng) -> Option<f64> {
        happens(self.probability, rng).then(|| between(self.deviation, rng))
    }
}

/// Blurs values of `shape` by a Gaussian of `deviation` voxels, cut at three deviations; the rim is repeated by giving
/// what lies inside all of the weight.
pub fn apply(values: &mut [f32], shape: [usize; 3], deviation: f64) {
    if deviation > 0.0 {
        let blurred = weighted(values, shape, &shape.map(|length| gaussian(length, deviation)));
        values.copy_from_slice(&blurred);
    }
}

fn gaussian(length: usize, deviation: f64) -> Weights {
    let radius = (3.0 * deviation).ceil() as usize;
    let around = |centre: usize| {
        let places = centre.saturating_sub(radius)..(centre + radius + 1).min(length);
        let height = |place: usize| (-0.5 * (place.abs_diff(centre) as f64 / deviation).powi(2)).exp();
        let total: f64 = places.clone().map(height).sum();
        places.map(|place| (place, (height(place) / total) as f32)).collect()
    };
    (0..length).map(around).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_becomes_a_gaussian_and_a_constant_stays() {
        let mut values = vec![0.0; 15 * 15];
        values[7 * 15 + 7] = 1.0;
        apply(&mut values, [1, 15, 15], 1.0);
        assert!((values.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        // exp(-1/2) of the centre one voxel away, exp(-1) on the diagonal.
        let centre = values[7 * 15 + 7];
        assert!((values[7 * 15 + 8] / centre - (-0.5_f32).exp()).abs() < 1e-4);
        assert!((values[6 * 15 + 6] / centre - (-1.0_f32).exp()).abs() < 1e-4);
        let mut constant = vec![3.0; 60];
        apply(&mut constant, [3, 4, 5], 2.0);
        assert!(constant.iter().all(|value| (value - 3.0).abs() < 1e-5));
        let mut still = vec![1.0, 5.0, 2.0];
        apply(&mut still, [1, 1, 3], 0.0);
        assert_eq!(still, [1.0, 5.0, 2.0]);
    }
}
