//! Masks for the benchmarks: five flat bodies in a row, as vertebrae stand, or voxels strewn all over the volume.
//!
//! Whole numbers only, so that `benches/scene.py` makes the very same voxels and results can be compared to the last
//! digit. Nothing here is meant to look real.

use clap::ValueEnum;

use crate::volume::{Grid, Volume};

/// Voxels along each axis.
pub(super) const SHAPE: [usize; 3] = [128; 3];
/// Their distance in mm: the slices of a sagittal spine MRI are several times thicker than its pixels.
pub(super) const SPACING: [f64; 3] = [3.0, 0.8, 0.5];

/// What is in the mask.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Mask {
    /// Five flat bodies: 11 % of the voxels, far from most others
    Bodies,
    /// Every 97th voxel: near to all others
    Strewn,
}

/// The mask of class 1.
pub(super) fn mask(mask: Mask) -> Volume<u8> {
    match mask {
        Mask::Bodies => bodies([0, 0, 0], 32),
        Mask::Strewn => volume(|[i, j, k]| (i * 7 + j * 13 + k * 29) % 97 == 0),
    }
}

/// What a network could have made of [`Mask::Bodies`]: a little shifted, a little smaller.
pub(super) fn prediction() -> Volume<u8> {
    bodies([1, 2, -3], 30)
}

/// Ellipsoids of half axes `radius / 3`, `radius`, `radius` voxels, 25 voxels apart along the first axis.
fn bodies(shift: [i64; 3], radius: i64) -> Volume<u8> {
    volume(|voxel| {
        (0..5).any(|body| {
            let centre = [14 + 25 * body, 64, 64];
            let [i, j, k]: [i64; 3] = std::array::from_fn(|axis| voxel[axis] - centre[axis] - shift[axis]);
            9 * i * i + j * j + k * k <= radius * radius
        })
    })
}

fn volume(set: impl Fn([i64; 3]) -> bool) -> Volume<u8> {
    let [depth, height, width] = SHAPE.map(|n| n as i64);
    let at = |v: i64| [v / (height * width), v / width % height, v % width];
    let voxels = (0..depth * height * width).map(|v| u8::from(set(at(v)))).collect();
    Volume { grid: Grid::aligned(SHAPE, SPACING), voxels }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_masks_have_the_voxels_of_the_scripts() {
        // `benches/scene.py`, counted by NumPy.
        let count = |volume: Volume<u8>| volume.voxels.into_iter().map(usize::from).sum::<usize>();
        assert_eq!([count(mask(Mask::Bodies)), count(mask(Mask::Strewn)), count(prediction())], VOXELS);
    }

    const VOXELS: [usize; 3] = [229_025, 21_621, 187_725];
}
