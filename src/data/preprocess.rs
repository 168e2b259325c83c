//! From scanner intensities to what a network expects, with the truth kept in step.
//!
//! Percentile clipping, zero mean and unit variance on the native voxels, then (if asked) one spacing for all. Statistics
//! come before resampling, as in nnU-Net: they describe what was measured, not what was interpolated.
//! The mask follows the geometry and the choice of classes; it never follows the intensities.

use serde::{Deserialize, Serialize};

use super::header::MOST_VOXELS;
use crate::fault::{Fault, Result};
use crate::volume::{Grid, Volume, resample};

/// What is done to every case before training and before prediction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Preprocess {
    /// Intensities below the first and above the second percentile (0 to 100) are clipped to it.
    pub clip_percentiles: (f64, f64),
    /// Spacing to resample to, in mm along i, j, k; none keeps each image as it is.
    pub spacing: Option<[f64; 3]>,
    /// What a class is.
    pub labels: LabelMode,
}

impl Default for Preprocess {
    fn default() -> Self {
        Self { clip_percentiles: (0.5, 99.5), spacing: None, labels: LabelMode::Foreground }
    }
}

/// What a class is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LabelMode {
    /// All labels are one foreground.
    Foreground,
    /// Every label is a class of its own.
    Classes,
}

impl LabelMode {
    /// Number of classes that these label values make.
    pub fn count(self, values: &[u8]) -> usize {
        match self {
            Self::Foreground => 1,
            Self::Classes => values.len(),
        }
    }
}

impl Preprocess {
    /// Checks the numbers of a configuration.
    ///
    /// # Errors
    /// If percentiles are not ordered within 0 to 100, or a spacing is no distance.
    pub fn validate(&self) -> Result<()> {
        let (low, high) = self.clip_percentiles;
        if !(0.0 <= low && low < high && high <= 100.0) {
            return Err(Fault::new("percentiles cannot clip")
                .field("clip_percentiles")
                .expected("0 <= low < high <= 100")
                .found(format!("({low}, {high})")));
        }
        match self.spacing {
            Some(spacing) if !spacing.iter().all(|s| s.is_finite() && *s > 0.0) => {
                Err(Fault::new("spacing is no distance")
                    .field("spacing")
                    .expected("three positive numbers of mm")
                    .found(format!("{spacing:?}")))
            }
            _ => Ok(()),
        }
    }

    /// The shape that an image on `grid` gets.
    ///
    /// # Errors
    /// If the wanted spacing is so fine that the result would not fit in memory.
    pub fn shape(&self, grid: &Grid) -> Result<[usize; 3]> {
        let Some(spacing) = self.spacing else { return Ok(grid.shape) };
        let shape = resample::shape_at(grid, spacing);
        // In floating point, because the product of absurd shapes overflows.
        if shape.iter().map(|n| *n as f64).product::<f64>() > MOST_VOXELS as f64 {
            return Err(Fault::new("resampled image would be impossibly large")
                .field("spacing")
                .expected(format!("at most {MOST_VOXELS} voxels"))
                .found(format!("{shape:?} voxels at {spacing:?} mm")));
        }
        Ok(shape)
    }

    /// Clips, normalises and resamples an image.
    ///
    /// # Errors
    /// If the image is constant between its percentiles, or see [`Preprocess::shape`].
    pub fn image(&self, image: &Volume<f32>) -> Result<Volume<f32>> {
        let (low, high) = self.clip_percentiles;
        let mut sorted = image.voxels.clone();
        sorted.sort_unstable_by(f32::total_cmp);
        let (low, high) = (percentile(&sorted, low), percentile(&sorted, high));
        let mut normal = image.map(|value| value.clamp(low, high));
        let count = normal.voxels.len() as f64;
        let mean = normal.voxels.iter().map(|v| f64::from(*v)).sum::<f64>() / count;
        let variance = normal.voxels.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / count;
        let deviation = variance.sqrt();
        // The relative bound catches images that are constant up to rounding.
        if deviation.is_nan() || deviation <= 1e-7 * mean.abs() || deviation <= f64::from(f32::MIN_POSITIVE) {
            return Err(Fault::new("image has no contrast")
                .expected("different intensities between the clipping percentiles")
                .found(format!("{low} to {high}"))
                .hint("the image is empty or nearly so; remove the case, or widen clip_percentiles to (0, 100)"));
        }
        normal.voxels.iter_mut().for_each(|value| *value = ((f64::from(*value) - mean) / deviation) as f32);
        let shape = self.shape(&image.grid)?;
        Ok(if shape == image.grid.shape { normal } else { resample::linear(&normal, shape) })
    }
}

/// Percentile `q` of ascending values, linear between neighbours: the rule of NumPy, R type 7.
///
/// # Panics
/// If there is no value.
fn percentile(sorted: &[f32], q: f64) -> f32 {
    let place = q / 100.0 * (sorted.len() - 1) as f64;
    let (lower, upper) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    (f64::from(lower) + (f64::from(upper) - f64::from(lower)) * place.fract()) as f32
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these values are exact")]
mod tests {
    use super::*;

    fn volume(voxels: Vec<f32>) -> Volume<f32> {
        Volume::new(Grid::aligned([1, 1, voxels.len()], [1.0, 1.0, 2.0]), voxels).unwrap()
    }

    #[test]
    fn percentiles_are_those_of_numpy() {
        // NumPy 2.4.6: percentile([1, 2, 4, 8, 16], [0, 0.5, 30, 50, 99.5, 100]).
        let golden = [(0.0, 1.0), (0.5, 1.02), (30.0, 2.4), (50.0, 4.0), (99.5, 15.84), (100.0, 16.0)];
        for (q, value) in golden {
            assert!((percentile(&[1.0, 2.0, 4.0, 8.0, 16.0], q) - value).abs() < 1e-6, "{q}");
        }
    }

    #[test]
    fn images_are_clipped_and_normalised_whatever_their_unit() {
        let image = volume((0..1000).map(|i| if i == 7 { 1e6 } else { (i % 10) as f32 }).collect());
        let normal = Preprocess::default().image(&image).unwrap();
        let mean = normal.voxels.iter().sum::<f32>() / 1000.0;
        let variance = normal.voxels.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / 1000.0;
        assert!(mean.abs() < 1e-5 && (variance - 1.0).abs() < 1e-4, "mean {mean}, variance {variance}");
        assert_eq!(normal.voxels[7], normal.voxels[9], "the outlier is clipped to the highest tissue");
        let brighter = Preprocess::default().image(&image.map(|v| 300.0 * v + 40.0)).unwrap();
        assert!(normal.voxels.iter().zip(&brighter.voxels).all(|(a, b)| (a - b).abs() < 1e-3));
    }

    #[test]
    fn constant_images_are_faults() {
        for value in [0.0, -3.0, 1e30] {
            let fault = Preprocess::default().image(&volume(vec![value; 50])).unwrap_err();
            assert_eq!(fault.summary(), "image has no contrast");
        }
        let mut spike = vec![0.0; 1000];
        spike[3] = 5.0;
        assert!(Preprocess::default().image(&volume(spike)).is_err(), "one bright voxel is no contrast");
    }

    #[test]
    fn spacing_is_reached_as_nearly_as_whole_voxels_allow() {
        let mut wish = Preprocess { spacing: Some([1.0, 1.0, 4.0]), ..Preprocess::default() };
        let out = wish.image(&volume((0..10).map(|i| i as f32).collect())).unwrap();
        assert_eq!((out.grid.shape, out.grid.spacing), ([1, 1, 5], [1.0, 1.0, 4.0]));
        wish.spacing = Some([1.0, 1.0, 1e-12]);
        assert!(wish.image(&volume(vec![0.0, 1.0])).unwrap_err().to_string().contains("impossibly large"));
    }

    #[test]
    fn numbers_that_make_no_sense_are_refused() {
        let with = |clip_percentiles, spacing| Preprocess { clip_percentiles, spacing, ..Preprocess::default() };
        assert!(Preprocess::default().validate().is_ok());
        for clip in [(99.5, 0.5), (-1.0, 50.0), (0.0, 101.0), (f64::NAN, 50.0)] {
            assert!(with(clip, None).validate().is_err(), "{clip:?}");
        }
        assert!(with((0.5, 99.5), Some([1.0, 0.0, 1.0])).validate().is_err());
        assert!(ron::from_str::<Preprocess>("(clip: (1, 99))").is_err(), "unknown fields are errors");
    }
}
