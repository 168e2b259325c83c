//! For tests: volumes made up of balls, to be drawn.

use crate::volume::{Grid, Volume};

/// A ball of a label; centre and radius in mm from the corner of the grid.
pub(super) fn ball(grid: &Grid, centre: [f64; 3], radius: f64, label: u8) -> Volume<u8> {
    let [_, height, width] = grid.shape;
    let is_in = |index: usize| {
        let place = [index / (height * width), index / width % height, index % width];
        let square = |axis: usize| ((place[axis] as f64 + 0.5) * grid.spacing[axis] - centre[axis]).powi(2);
        (0..3).map(square).sum::<f64>() <= radius * radius
    };
    Volume { voxels: (0..grid.voxels()).map(|index| u8::from(is_in(index)) * label).collect(), grid: grid.clone() }
}

/// An image with two bodies that touch, the truth, and a prediction beside its place with a speck.
pub(super) fn phantom(shape: [usize; 3], spacing: [f64; 3]) -> (Volume<f32>, Volume<u8>, Volume<u8>) {
    let grid = Grid::aligned(shape, spacing);
    let extent: [f64; 3] = std::array::from_fn(|axis| shape[axis] as f64 * spacing[axis]);
    let at = |shares: [f64; 3]| -> [f64; 3] { std::array::from_fn(|axis| shares[axis] * extent[axis]) };
    let radius = 0.22 * extent.iter().copied().fold(f64::INFINITY, f64::min);
    let both = |shift: f64| {
        let mut mask = ball(&grid, at([0.5, 0.35 + shift, 0.5]), radius, 1);
        let other = ball(&grid, at([0.5, 0.65 + shift, 0.55]), 0.9 * radius, 2);
        mask.voxels.iter_mut().zip(&other.voxels).filter(|(_, new)| **new > 0).for_each(|(own, new)| *own = *new);
        mask
    };
    let (truth, mut prediction) = (both(0.0), both(0.05));
    let speck = prediction.index([shape[0] / 2, shape[1] / 8, shape[2] * 7 / 8]);
    prediction.voxels[speck] = 1;
    let [_, height, width] = shape;
    let voxels = truth.voxels.iter().enumerate().map(|(index, label)| {
        let place = [index / (height * width), index / width % height, index % width];
        let wave = place.iter().zip([0.3, 0.23, 0.41]).map(|(n, rate)| (*n as f64 * rate).sin()).sum::<f64>();
        (200.0 + 60.0 * f64::from(*label) + 25.0 * wave) as f32
    });
    (Volume { voxels: voxels.collect(), grid: grid.clone() }, truth, prediction)
}
