//! From scanner intensities to what a network expects, with the truth kept in step.
//!
//! Axes are turned, empty borders cut off, intensities clipped at percentiles and brought to zero mean and unit variance,
//! and then the image gets the resolution that is asked for. Statistics come before resampling, as in nnU-Net: they
//! describe what was measured, not what was interpolated. The mask follows the geometry ([`Way`]) and the choice of
//! classes; it never follows the intensities. Settings are plain values, kept with a model so that it sees other images
//! the same way.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::nifti;
use super::way::Way;
use crate::fault::{Fault, Result};
use crate::phase::{self, Phase};
use crate::volume::orientation::Orientation;
use crate::volume::{Volume, affine};

/// Makes the fault of an image that has not as many channels as it should: the file, how many
/// were expected and how many there are.
pub(crate) type OtherChannels = fn(&Path, usize, usize) -> Fault;

/// What is done to every case before training and before prediction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Preprocess {
    /// Directions in which the axes of every image are to run, as in `"RAS"`: axes are permuted and flipped, nothing is
    /// interpolated. None keeps the axes of each file.
    pub axes: Option<Orientation>,
    /// Whether images are cut to the box of voxels that are not zero in some channel.
    pub crop: bool,
    /// Intensities below the first and above the second percentile (0 to 100) are clipped to it.
    pub clip_percentiles: (f64, f64),
    /// Numbers of voxels along i, j, k (after turning) that are averaged to one.
    pub average: [usize; 3],
    /// Spacing to resample to instead, in mm along i, j, k (after turning); none keeps that of each image.
    pub spacing: Option<[f64; 3]>,
    /// What happens along an axis that is more than three times as coarse as another.
    pub through_plane: ThroughPlane,
    /// What a class is.
    pub labels: LabelMode,
}

impl Default for Preprocess {
    fn default() -> Self {
        Self {
            axes: None,
            crop: false,
            clip_percentiles: (0.5, 99.5),
            average: [1; 3],
            spacing: None,
            through_plane: ThroughPlane::Nearest,
            labels: LabelMode::Foreground,
        }
    }
}

/// How a coarse axis gets more voxels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ThroughPlane {
    /// Slices are repeated, as masks are.
    Nearest,
    /// Slices are blended linearly, as along every other axis.
    Linear,
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
        // Averages of more voxels than a scanner makes are a slip of the key.
        if !self.average.iter().all(|n| (1..=64).contains(n)) {
            return Err(Fault::new("numbers of voxels cannot be averaged")
                .field("average")
                .expected("three numbers from 1 to 64")
                .found(format!("{:?}", self.average)));
        }
        let Some(spacing) = self.spacing else { return Ok(()) };
        if !spacing.iter().all(|s| s.is_finite() && *s > 0.0) {
            return Err(Fault::new("spacing is no distance")
                .field("spacing")
                .expected("three positive numbers of mm")
                .found(format!("{spacing:?}")));
        }
        if self.average != [1; 3] {
            return Err(Fault::new("two resolutions are asked for")
                .field("average, spacing")
                .expected("one of the two")
                .found(format!("average {:?} and spacing {spacing:?}", self.average))
                .hint("averaging divides the resolution of every image, spacing gives all images the same"));
        }
        Ok(())
    }

    /// Whether every image keeps its voxels and their order.
    pub fn keeps_the_grid(&self) -> bool {
        self.axes.is_none() && !self.crop && self.average == [1; 3] && self.spacing.is_none()
    }

    /// Makes an image, one channel at least, ready for a network.
    ///
    /// # Errors
    /// If channels are on different grids or one has no contrast between the percentiles, or the image would be
    /// impossibly large at the spacing asked for.
    pub fn prepare(&self, channels: &[Volume<f32>]) -> Result<Prepared> {
        self.prepare_with(channels, &|_, fault| fault)
    }

    /// Reads an image of `channels` channels, one file or a file for each, and makes it ready for a network.
    ///
    /// # Errors
    /// As [`nifti::read_channels`] and [`Preprocess::prepare`], with the file that is to blame, or if the image has not as
    /// many channels, for which `other` has the words.
    ///
    /// # Panics
    /// If there is no file.
    pub(crate) fn read(&self, images: &[PathBuf], channels: usize, other: OtherChannels) -> Result<Prepared> {
        let mut volumes = Vec::with_capacity(channels);
        let mut origin = Vec::with_capacity(channels);
        for path in images {
            let read = nifti::read_channels(path)?;
            phase::end(Phase::Read);
            origin.extend(std::iter::repeat_n(path, read.len()));
            volumes.extend(read);
        }
        if volumes.len() != channels {
            return Err(other(&images[0], channels, volumes.len()));
        }
        self.prepare_with(&volumes, &|channel, fault| fault.file(origin[channel]))
    }

    /// `blame` is told the channel at which a fault is seen.
    fn prepare_with(&self, channels: &[Volume<f32>], blame: &dyn Fn(usize, Fault) -> Fault) -> Result<Prepared> {
        for (number, channel) in channels.iter().enumerate().skip(1) {
            if let Some(difference) = affine::difference(&channels[0].grid, &channel.grid) {
                let fault = Fault::new(format!("channels are on different grids: {} differs", difference.what))
                    .expected(format!("{}, as the first channel", difference.first))
                    .found(difference.second)
                    .hint("resample the channels to one of them; nothing here guesses which");
                return Err(blame(number, fault));
            }
        }
        let way = Way::new(self, channels).map_err(|fault| blame(0, fault))?;
        let prepare = |(number, channel)| -> Result<Volume<f32>> {
            let normal = self.normalised(way.cut(channel).into_owned()).map_err(|fault| blame(number, fault))?;
            Ok(way.resampled(normal))
        };
        let channels = channels.iter().enumerate().map(prepare).collect::<Result<_>>()?;
        Ok(Prepared { channels, way })
    }

    /// Clips and normalises.
    fn normalised(&self, mut image: Volume<f32>) -> Result<Volume<f32>> {
        let (low, high) = self.clip_percentiles;
        let mut values = image.voxels.clone();
        let (low, high) = (percentile(&mut values, low), percentile(&mut values, high));
        image.voxels.iter_mut().for_each(|value| *value = value.clamp(low, high));
        let count = image.voxels.len() as f64;
        let mean = image.voxels.iter().map(|v| f64::from(*v)).sum::<f64>() / count;
        let variance = image.voxels.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / count;
        let deviation = variance.sqrt();
        // The relative bound catches images that are constant up to rounding.
        if deviation.is_nan() || deviation <= 1e-7 * mean.abs() || deviation <= f64::from(f32::MIN_POSITIVE) {
            return Err(Fault::new("image has no contrast")
                .expected("different intensities between the clipping percentiles")
                .found(format!("{low} to {high}"))
                .hint("the image is empty or nearly so; remove the case, or widen clip_percentiles to (0, 100)"));
        }
        image.voxels.iter_mut().for_each(|value| *value = ((f64::from(*value) - mean) / deviation) as f32);
        Ok(image)
    }
}

/// An image as a network sees it, and its way back to its own grid.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// One volume for each channel, on the grid of the network.
    pub channels: Vec<Volume<f32>>,
    /// How it got there, and how maps of classes, logits or probabilities get back.
    pub way: Way,
}

/// Percentile `q` of values, which are put in another order; linear between neighbours: the rule of NumPy, R type 7.
///
/// # Panics
/// If there is no value.
fn percentile(values: &mut [f32], q: f64) -> f32 {
    let place = q / 100.0 * (values.len() - 1) as f64;
    // Selecting is five times as fast as sorting, which was most of the time of preprocessing.
    let (_, lower, above) = values.select_nth_unstable_by(place.floor() as usize, f32::total_cmp);
    let lower = *lower;
    let upper = above.iter().copied().min_by(f32::total_cmp).filter(|_| place.fract() > 0.0).unwrap_or(lower);
    (f64::from(lower) + (f64::from(upper) - f64::from(lower)) * place.fract()) as f32
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these values are exact")]
mod tests {
    use super::*;
    use crate::data::case::other_channels;
    use crate::volume::Grid;

    fn image(settings: &Preprocess, image: &Volume<f32>) -> Result<Volume<f32>> {
        Ok(settings.prepare(std::slice::from_ref(image))?.channels.remove(0))
    }

    fn volume(voxels: Vec<f32>) -> Volume<f32> {
        Volume::new(Grid::aligned([1, 1, voxels.len()], [1.0, 1.0, 2.0]), voxels).unwrap()
    }

    #[test]
    fn percentiles_are_those_of_numpy() {
        // NumPy 2.4.6: percentile([1, 2, 4, 8, 16], [0, 0.5, 30, 50, 99.5, 100]).
        let golden = [(0.0, 1.0), (0.5, 1.02), (30.0, 2.4), (50.0, 4.0), (99.5, 15.84), (100.0, 16.0)];
        for (q, value) in golden {
            assert!((percentile(&mut [4.0, 2.0, 16.0, 1.0, 8.0], q) - value).abs() < 1e-6, "{q}");
        }
    }

    #[test]
    fn images_are_clipped_and_normalised_whatever_their_unit() {
        let scan = volume((0..1000).map(|i| if i == 7 { 1e6 } else { (i % 10) as f32 }).collect());
        let normal = image(&Preprocess::default(), &scan).unwrap();
        let mean = normal.voxels.iter().sum::<f32>() / 1000.0;
        let variance = normal.voxels.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / 1000.0;
        assert!(mean.abs() < 1e-5 && (variance - 1.0).abs() < 1e-4, "mean {mean}, variance {variance}");
        assert_eq!(normal.voxels[7], normal.voxels[9], "the outlier is clipped to the highest tissue");
        let brighter = image(&Preprocess::default(), &scan.map(|v| 300.0 * v + 40.0)).unwrap();
        assert!(normal.voxels.iter().zip(&brighter.voxels).all(|(a, b)| (a - b).abs() < 1e-3));
    }

    #[test]
    fn constant_images_are_faults() {
        for value in [0.0, -3.0, 1e30] {
            let fault = image(&Preprocess::default(), &volume(vec![value; 50])).unwrap_err();
            assert_eq!(fault.summary(), "image has no contrast");
        }
        let mut spike = vec![0.0; 1000];
        spike[3] = 5.0;
        assert!(image(&Preprocess::default(), &volume(spike)).is_err(), "one bright voxel is no contrast");
    }

    #[test]
    fn spacing_is_reached_as_nearly_as_whole_voxels_allow() {
        let mut wish = Preprocess { spacing: Some([1.0, 1.0, 4.0]), ..Preprocess::default() };
        let out = image(&wish, &volume((0..10).map(|i| i as f32).collect())).unwrap();
        assert_eq!((out.grid.shape, out.grid.spacing), ([1, 1, 5], [1.0, 1.0, 4.0]));
        wish.spacing = Some([1.0, 1.0, 1e-12]);
        assert!(image(&wish, &volume(vec![0.0, 1.0])).unwrap_err().to_string().contains("impossibly large"));
    }

    #[test]
    fn numbers_that_make_no_sense_are_refused() {
        let with = |clip_percentiles, spacing| Preprocess { clip_percentiles, spacing, ..Preprocess::default() };
        assert!(Preprocess::default().validate().is_ok());
        for clip in [(99.5, 0.5), (-1.0, 50.0), (0.0, 101.0), (f64::NAN, 50.0)] {
            assert!(with(clip, None).validate().is_err(), "{clip:?}");
        }
        assert!(with((0.5, 99.5), Some([1.0, 0.0, 1.0])).validate().is_err());
        for average in [[0, 1, 1], [1, 1, 65]] {
            assert!(Preprocess { average, ..Preprocess::default() }.validate().is_err(), "{average:?}");
        }
        let both = Preprocess { average: [2, 2, 1], ..with((0.5, 99.5), Some([1.0; 3])) };
        assert!(both.validate().unwrap_err().to_string().contains("one of the two"));
        assert!(ron::from_str::<Preprocess>("(clip: (1, 99))").is_err(), "unknown fields are errors");
        assert!(ron::from_str::<Preprocess>("(axes: Some(\"RAL\"))").unwrap_err().to_string().contains("as in RAS"));
    }

    #[test]
    fn settings_survive_being_written() {
        let text = "(axes: Some(\"SPR\"), crop: true, average: (2, 2, 1), through_plane: Linear, labels: Classes)";
        let settings: Preprocess = ron::from_str(text).unwrap();
        assert_eq!((settings.axes.unwrap().letters(), settings.average), ("SPR".to_string(), [2, 2, 1]));
        assert_eq!(ron::from_str::<Preprocess>(&ron::to_string(&settings).unwrap()).unwrap(), settings);
        assert_eq!(ron::from_str::<Preprocess>("()").unwrap(), Preprocess::default());
    }

    #[test]
    fn statistics_are_those_of_what_is_kept() {
        let mut padded = vec![0.0; 30];
        padded.extend((0..20).map(|i| 100.0 + (i % 5) as f32));
        let crop = Preprocess { crop: true, ..Preprocess::default() };
        let kept = image(&crop, &volume(padded.clone())).unwrap();
        assert_eq!(kept.voxels, image(&crop, &volume(padded[30..].to_vec())).unwrap().voxels);
        assert_eq!(kept.grid.affine[2][3], 60.0);
    }

    #[test]
    fn images_that_no_mask_belongs_to_are_read_the_same_way() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a.nii.gz", "b.nii.gz"].map(|name| folder.path().join(name));
        let scan = volume((0..60).map(|i| (i % 7) as f32).collect());
        for path in &paths {
            nifti::write_new_image(path, &scan.map(|v| *v as i16)).unwrap();
        }
        let settings = Preprocess { average: [1, 1, 2], ..Preprocess::default() };
        let prepared = settings.read(&paths, 2, other_channels).unwrap();
        assert_eq!(prepared, settings.prepare(&[scan.clone(), scan.clone()]).unwrap());
        assert_eq!(prepared.way.restore(vec![0.0; 30], 0.0).unwrap().grid, nifti::read_grid(&paths[0]).unwrap());
        assert!(settings.read(&paths, 1, other_channels).unwrap_err().to_string().contains("a.nii.gz"));
        nifti::write_new_image(&paths[1], &scan.map(|_| 3_i16)).unwrap();
        let text = settings.read(&paths, 2, other_channels).unwrap_err().to_string();
        assert!(text.contains("no contrast") && text.contains("b.nii.gz"), "{text}");
        nifti::write_new_image(&paths[1], &volume(vec![1.0; 61]).map(|v| *v as i16)).unwrap();
        let text = settings.read(&paths, 2, other_channels).unwrap_err().to_string();
        assert!(text.contains("channels are on different grids") && text.contains("b.nii.gz"), "{text}");
    }
}
