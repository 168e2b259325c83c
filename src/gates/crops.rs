//! Crops of a segmentation on which gate 5 lets predictions follow a loss, and from where they start.
//!
//! Three structures in cubes of 16 voxels, each with a start of its own: random logits, those of a half-trained network
//! (the right structure a little off, uncertain and noisy), and those of a network that has seen only the coarse, whose
//! predictions can be moved by a coarse grid alone. The last is there because no real network fits voxels one by one.
//! Fixed: no seed, no library of random numbers, no transcendental function.

use std::sync::LazyLock;

use super::grid::Grid;
use crate::losses::analysis::shapes::Shape;
use crate::volume::Volume;
use crate::volume::distance::distance;

/// Voxels along an edge.
pub(super) const SIDE: usize = 16;

/// Voxels of a crop.
pub(super) const VOXELS: usize = SIDE * SIDE * SIDE;

/// A structure, and predictions of it that are to be improved.
pub(super) struct Crop {
    /// What the predictions start as.
    pub(super) name: &'static str,
    /// 0 or 1.
    pub(super) targets: Vec<f32>,
    /// What can be moved: logits of voxels, or of a coarse grid.
    pub(super) start: Vec<f32>,
    /// From a coarse grid to voxels, if that is what can be moved.
    pub(super) grid: Option<Grid>,
}

/// Always the same; first the one at which most losses fail.
pub(super) static CROPS: LazyLock<[Crop; 3]> = LazyLock::new(|| [coarse(), random(), half_trained()]);

fn targets(mask: &Volume<bool>) -> Vec<f32> {
    mask.voxels.iter().map(|inside| f32::from(u8::from(*inside))).collect()
}

fn random() -> Crop {
    let start = (0..VOXELS).map(|voxel| 1.5 * noise(1, voxel)).collect();
    Crop { name: "random", targets: targets(&Shape::Vertebra.mask(SIDE, 500)), start, grid: None }
}

fn half_trained() -> Crop {
    let target = Shape::Ellipsoid.mask(SIDE, 300);
    // What is predicted is larger and two voxels away.
    let predicted = Shape::Ellipsoid.mask(SIDE, 420);
    let depth = |mask: &Volume<bool>| distance(mask).map_or(vec![0.0; VOXELS], |map| map.voxels);
    let (to_inside, to_outside) = (depth(&predicted), depth(&predicted.map(|inside| !inside)));
    let start = (0..VOXELS)
        .map(|voxel| {
            let from = if voxel % SIDE >= 2 { voxel - 2 } else { voxel };
            let signed = to_outside[from] - to_inside[from];
            0.6 * signed.clamp(-3.0, 3.0) as f32 + 0.8 * noise(2, voxel)
        })
        .collect();
    Crop { name: "half trained", targets: targets(&target), start, grid: None }
}

fn coarse() -> Crop {
    let grid = Grid::new();
    let start = (0..grid.size()).map(|point| 1.5 * noise(3, point)).collect();
    Crop { name: "coarse", targets: targets(&Shape::Sphere.mask(SIDE, 700)), start, grid: Some(grid) }
}

/// A deviate of mean 0 and variance 1 for every place of a series: the sum of four uniform numbers, hashed by splitmix64.
fn noise(series: u64, place: usize) -> f32 {
    let uniform = |part: u64| {
        let mut z = (series << 40 | (place as u64) << 2 | part).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 24) as f32
    };
    ((0..4).map(uniform).sum::<f32>() - 2.0) * 1.732_050_8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_wrong_and_half_trained_ones_less_so() {
        let dice = |crop: &Crop| {
            let mut logits = crop.start.clone();
            if let Some(grid) = &crop.grid {
                logits = vec![0.0; VOXELS];
                grid.interpolate(&crop.start, &mut logits);
            }
            super::super::descent::hard_dice(&logits, &crop.targets)
        };
        let [coarse, random, half] = [0, 1, 2].map(|crop| dice(&CROPS[crop]));
        assert!((0.1..0.3).contains(&random) && (0.4..0.7).contains(&half) && coarse < 0.5, "{random} {half} {coarse}");
    }

    #[test]
    fn deviates_have_mean_0_and_variance_1() {
        let all: Vec<f64> = (0..10_000).map(|place| f64::from(noise(5, place))).collect();
        let mean = all.iter().sum::<f64>() / 1e4;
        let variance = all.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 1e4;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }
}
