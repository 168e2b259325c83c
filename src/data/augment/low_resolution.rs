//! Simulated low resolution: a patch as a coarser scan would show it, brought back to its voxels.
//!
//! Voxels are averaged to fewer and then interpolated; a coarse axis is left alone, because it is coarse already. nnU-Net
//! (`SimulateLowResolution`) keeps every n-th voxel instead of averaging, which no scanner does, with a zoom from 0.5 to 1,
//! probability 0.25 for a patch and then 0.5 for each channel.

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{between, happens, validate_number, validate_probability, validate_range};
use crate::fault::Result;
use crate::volume::{Grid, Volume, resample};

/// How often and how much resolution is lost.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LowResolution {
    /// Probability for each channel of a patch.
    pub probability: f64,
    /// Range of the share of voxels that are left along an axis.
    pub zoom: (f64, f64),
}

impl Default for LowResolution {
    fn default() -> Self {
        Self { probability: 0.125, zoom: (0.5, 1.0) }
    }
}

impl LowResolution {
    /// Checks the numbers of a configuration.
    ///
    /// # Errors
    /// If the range is empty or reaches beyond 0.05 or 1, or the probability is none.
    pub fn validate(&self) -> Result<()> {
        validate_probability("low_resolution.probability", self.probability)?;
        validate_range("low_resolution.zoom", self.zoom, 0.05)?;
        validate_number("low_resolution.zoom", self.zoom.1, (0.05, 1.0))
    }

    /// Draws a share of voxels, if there is to be a change.
    pub fn draw(&self, rng: &mut ChaCha8Rng) -> Option<f64> {
        happens(self.probability, rng).then(|| between(self.zoom, rng))
    }
}

/// Brings values of `shape`, in voxels of `spacing` mm, to a share `zoom` of the voxels along an axis and back.
pub fn apply(values: &mut [f32], shape: [usize; 3], spacing: [f64; 3], zoom: f64) {
    let coarse = resample::coarse_axis(spacing);
    let fewer = [0, 1, 2].map(|axis| {
        if coarse == Some(axis) { shape[axis] } else { ((shape[axis] as f64 * zoom).round() as usize).max(1) }
    });
    if fewer != shape {
        let patch = Volume { grid: Grid::aligned(shape, spacing), voxels: values.to_vec() };
        let again = resample::linear(&resample::linear(&patch, fewer, None), shape, None);
        values.copy_from_slice(&again.voxels);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detail_is_lost_in_the_plane_and_the_mean_stays() {
        let stripes: Vec<f32> = (0..2 * 8 * 3).map(|n| if n / 3 % 2 == 0 { 1.0 } else { -1.0 }).collect();
        let mut values = stripes.clone();
        apply(&mut values, [2, 8, 3], [1.0; 3], 0.5);
        assert!(values.iter().all(|value| value.abs() < 1e-6), "stripes of one voxel are grey to half of the voxels");
        let mut across = stripes.clone();
        apply(&mut across, [2, 8, 3], [1.0, 4.0, 1.0], 0.5);
        assert_eq!(across, stripes, "a coarse axis is left alone");
        apply(&mut across, [2, 8, 3], [1.0; 3], 1.0);
        assert_eq!(across, stripes);
    }
}
