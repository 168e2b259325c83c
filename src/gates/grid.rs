//! A coarse grid over a crop: linear interpolation to its voxels, and the way back for gradients.
//!
//! Guards that the way back is the adjoint of interpolation, so that moving the grid against it is gradient descent among
//! the predictions that the grid can make.

use super::crops::{SIDE, VOXELS};

/// Points along an edge; they lie 3.75 voxels apart, the outermost on the outermost voxels.
const POINTS: usize = 5;

/// Weights of interpolation along an axis, `[voxel][point]`.
pub(super) struct Grid {
    weights: [[f32; POINTS]; SIDE],
}

impl Grid {
    pub(super) fn new() -> Self {
        let mut weights = [[0.0; POINTS]; SIDE];
        for (voxel, row) in weights.iter_mut().enumerate() {
            let place = (voxel * (POINTS - 1)) as f32 / (SIDE - 1) as f32;
            let before = (place as usize).min(POINTS - 2);
            row[before + 1] = place - before as f32;
            row[before] = 1.0 - row[before + 1];
        }
        Self { weights }
    }

    /// Number of points.
    #[expect(clippy::unused_self, reason = "the size of a grid, though all are alike")]
    pub(super) fn size(&self) -> usize {
        POINTS * POINTS * POINTS
    }

    /// Values at the voxels.
    pub(super) fn interpolate(&self, points: &[f32], voxels: &mut [f32]) {
        let (mut one, mut two) = ([0.0; SIDE * POINTS * POINTS], [0.0; SIDE * SIDE * POINTS]);
        self.spread(points, &mut one, POINTS * POINTS);
        for (from, to) in one.chunks(POINTS * POINTS).zip(two.chunks_mut(SIDE * POINTS)) {
            self.spread(from, to, POINTS);
        }
        for (from, to) in two.chunks(POINTS).zip(voxels.chunks_mut(SIDE)) {
            self.spread(from, to, 1);
        }
    }

    /// What interpolation makes of the gradient by the voxels: that by the points.
    pub(super) fn gather(&self, voxels: &[f32], points: &mut [f32]) {
        let (mut one, mut two) = ([0.0; SIDE * POINTS * POINTS], [0.0; SIDE * SIDE * POINTS]);
        debug_assert_eq!(voxels.len(), VOXELS);
        for (from, to) in voxels.chunks(SIDE).zip(two.chunks_mut(POINTS)) {
            self.collect(from, to, 1);
        }
        for (from, to) in two.chunks(SIDE * POINTS).zip(one.chunks_mut(POINTS * POINTS)) {
            self.collect(from, to, POINTS);
        }
        self.collect(&one, points, POINTS * POINTS);
    }

    /// From `[point][stride]` to `[voxel][stride]`.
    fn spread(&self, from: &[f32], to: &mut [f32], stride: usize) {
        for (weights, to) in self.weights.iter().zip(to.chunks_mut(stride)) {
            to.fill(0.0);
            for (weight, from) in weights.iter().zip(from.chunks(stride)) {
                to.iter_mut().zip(from).for_each(|(to, from)| *to += weight * from);
            }
        }
    }

    /// From `[voxel][stride]` to `[point][stride]`.
    fn collect(&self, from: &[f32], to: &mut [f32], stride: usize) {
        to.fill(0.0);
        for (weights, from) in self.weights.iter().zip(from.chunks(stride)) {
            for (weight, to) in weights.iter().zip(to.chunks_mut(stride)) {
                to.iter_mut().zip(from).for_each(|(to, from)| *to += weight * from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpolation_is_linear_and_gathering_is_its_adjoint() {
        let grid = Grid::new();
        // A plane stays a plane.
        let points: Vec<f32> = (0..grid.size()).map(|at| (at / 25) as f32 + 2.0 * (at % 5) as f32).collect();
        let mut voxels = vec![0.0; VOXELS];
        grid.interpolate(&points, &mut voxels);
        for (at, voxel) in voxels.iter().enumerate() {
            let exact = ((at / (SIDE * SIDE)) as f32 + 2.0 * (at % SIDE) as f32) * 4.0 / 15.0;
            assert!((voxel - exact).abs() < 1e-5, "{voxel} {exact}");
        }
        // <grid x, y> = <x, adjoint y>.
        let y: Vec<f32> = (0..VOXELS).map(|at| (at * 37 % 101) as f32 / 101.0 - 0.5).collect();
        let mut back = vec![0.0; grid.size()];
        grid.gather(&y, &mut back);
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
        let (left, right) = (dot(&voxels, &y), dot(&points, &back));
        assert!((left - right).abs() < 1e-3 * left.abs().max(1.0), "{left} {right}");
    }
}
