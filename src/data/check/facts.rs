//! What a case is like, in numbers: the same ones in the table of all cases and in the view of one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::data::nifti::{is_label, nearest_label};
use crate::volume::Volume;
use crate::volume::orientation::Orientation;

/// A case in numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// The case.
    pub id: String,
    /// Voxels along i, j, k.
    pub shape: [usize; 3],
    /// In mm along i, j, k.
    pub spacing_mm: [f64; 3],
    /// Directions in which i, j, k grow: R or L, A or P, S or I.
    pub axes: String,
    /// Intensities of each channel.
    pub channels: Vec<ChannelFacts>,
    /// Voxels of every label that occurs, background left out; empty without a mask.
    pub labels: BTreeMap<u8, usize>,
    /// Share of voxels with a label, 0 to 1; none without a mask.
    pub foreground: Option<f64>,
}

/// Intensities of one channel, over the voxels that have a value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ChannelFacts {
    /// Smallest.
    pub min: f32,
    /// 0.5th percentile.
    pub low: f32,
    /// Median.
    pub median: f32,
    /// 99.5th percentile.
    pub high: f32,
    /// Largest.
    pub max: f32,
}

impl Facts {
    /// Facts of an image with one channel at least, and of its mask.
    ///
    /// # Panics
    /// If there is no channel.
    pub fn of<'a>(id: &str, channels: impl IntoIterator<Item = &'a Volume<f32>>, mask: Option<&Volume<f32>>) -> Self {
        let channels: Vec<&Volume<f32>> = channels.into_iter().collect();
        let grid = &channels[0].grid;
        let labels = mask.map(counts).unwrap_or_default();
        let labelled: usize = labels.values().sum();
        Self {
            id: id.to_string(),
            shape: grid.shape,
            // Rounded far below the tolerance: 0.8 in float32 is 0.800000011920929.
            spacing_mm: grid.spacing.map(|s| (s * 1e6).round() / 1e6),
            axes: Orientation::of(&grid.affine).letters(),
            channels: channels.iter().map(|channel| ChannelFacts::of(&channel.voxels)).collect(),
            labels,
            foreground: mask.map(|mask| labelled as f64 / mask.voxels.len() as f64),
        }
    }

    /// Volume of a voxel in mm³.
    pub fn voxel_mm3(&self) -> f64 {
        self.spacing_mm.iter().product()
    }
}

/// Voxels of every value that is a label, background left out.
pub(super) fn counts(mask: &Volume<f32>) -> BTreeMap<u8, usize> {
    let mut counts = [0_usize; 256];
    for value in mask.voxels.iter().filter(|value| is_label(**value)) {
        counts[usize::from(nearest_label(*value))] += 1;
    }
    (1..=u8::MAX).zip(&counts[1..]).filter(|(_, count)| **count > 0).map(|(value, count)| (value, *count)).collect()
}

impl ChannelFacts {
    /// Of any values; all zero if none is finite.
    pub fn of(voxels: &[f32]) -> Self {
        let mut values: Vec<f32> = voxels.iter().copied().filter(|value| value.is_finite()).collect();
        if values.is_empty() {
            return Self { min: 0.0, low: 0.0, median: 0.0, high: 0.0, max: 0.0 };
        }
        // Selection, not sorting: ten times faster, and nearest ranks are enough to look at.
        let last = (values.len() - 1) as f64;
        let mut at = |share: f64| *values.select_nth_unstable_by((share * last).round() as usize, f32::total_cmp).1;
        Self { min: at(0.0), low: at(0.005), median: at(0.5), high: at(0.995), max: at(1.0) }
    }
}
