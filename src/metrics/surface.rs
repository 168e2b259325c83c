//! Metrics of surface distance, in mm.
//!
//! Guards definitions that tools disagree on by millimetres: HD95 is the larger of the two *directed* 95th percentiles,
//! interpolated linearly (MONAI, `MetricsReloaded`); pooling both directions first (`medpy`) gives 0 for a missed second
//! component. ASSD pools both surfaces, MASD averages the two directed means; both are here under their own names. NSD
//! pools. Edge voxels are defined in [`crate::volume::surface`]. Empty masks are not decided here.

use serde::{Deserialize, Serialize};

use crate::stats::summary::{mean, quantile};
use crate::volume::surface::SurfaceDistances;

/// Tolerance of surface Dice unless another is asked for, in mm: about one voxel of clinical spine MRI in plane.
pub const NSD_TOLERANCE_MM: f64 = 1.0;

/// All metrics of two surfaces; every number is finite.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SurfaceMetrics {
    /// Hausdorff distance: the larger of the two directed maxima, in mm.
    pub hd: f64,
    /// The larger of the two directed 95th percentiles, in mm.
    pub hd95: f64,
    /// Average symmetric surface distance: the mean over both surfaces pooled, in mm.
    pub assd: f64,
    /// Mean average surface distance: the mean of the two directed means, in mm.
    pub masd: f64,
    /// Normalised surface Dice (Nikolov et al. 2018): the share of both surfaces within the tolerance of the other.
    pub nsd: f64,
}

impl SurfaceMetrics {
    /// The metrics of two surfaces, neither of which is empty; `nsd_tolerance` in mm.
    pub fn of(distances: SurfaceDistances, nsd_tolerance: f64) -> Self {
        let nsd = surface_dice(&distances, nsd_tolerance);
        let mut directed = [distances.from_first, distances.from_second];
        for list in &mut directed {
            list.sort_unstable_by(f64::total_cmp);
        }
        let [first, second] = directed;
        let larger = |q: f64| quantile(&first, q).max(quantile(&second, q));
        let sum = first.iter().sum::<f64>() + second.iter().sum::<f64>();
        Self {
            hd: larger(1.0),
            hd95: larger(0.95),
            assd: sum / (first.len() + second.len()) as f64,
            masd: f64::midpoint(mean(&first), mean(&second)),
            nsd,
        }
    }
}

/// Share of the edge voxels of both masks that are at most `tolerance` (mm) from the other surface.
///
/// Headers keep spacings in float32, where 0.8 mm is 0.800000012: one millionth is granted, so that one voxel of 0.8 mm
/// is within 0.8 mm, as it is for tools that compare in float32.
pub fn surface_dice(distances: &SurfaceDistances, tolerance: f64) -> f64 {
    let tolerance = tolerance * (1.0 + 1e-6);
    let both = || distances.from_first.iter().chain(&distances.from_second);
    both().filter(|distance| **distance <= tolerance).count() as f64 / both().count() as f64
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these numbers are exact")]
mod tests {
    use super::*;

    #[test]
    fn each_definition_is_its_own() {
        let from_first = vec![3.0, 0.0, 0.0, 0.0];
        let from_second = vec![1.0, 1.0];
        let found = SurfaceMetrics::of(SurfaceDistances { from_first, from_second }, NSD_TOLERANCE_MM);
        assert_eq!((found.hd, found.assd), (3.0, 5.0 / 6.0));
        assert_eq!(found.masd, 0.875, "the mean of 0.75 and 1");
        assert!((found.hd95 - 2.55).abs() < 1e-15, "0.85 of the way from 0 to 3");
        assert_eq!(found.nsd, 5.0 / 6.0);
    }

    #[test]
    fn the_tolerance_is_included() {
        let distances = SurfaceDistances { from_first: vec![2.0], from_second: vec![2.5] };
        assert_eq!(surface_dice(&distances, 2.0), 0.5);
        assert_eq!(surface_dice(&distances, 1.999), 0.0);
        let from_header =
            SurfaceDistances { from_first: vec![f64::from(0.8_f32)], from_second: vec![f64::from(2.4_f32)] };
        assert_eq!(surface_dice(&from_header, 0.8), 0.5);
        assert_eq!(surface_dice(&from_header, 2.4), 1.0);
    }
}
