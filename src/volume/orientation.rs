//! Which way the axes of an image run: the nearest of the 48 ways to lie along left-right, front-back and feet-head.
//!
//! Guards one rule: turning an image is permuting and flipping its axes; nothing is interpolated. An oblique image is
//! named by the directions that its axes are nearest to, as a whole: each direction is used once (nibabel's
//! `aff2axcodes` gives the same letters).

use super::Grid;
use super::affine::{Affine, column_norms};

/// How the axes i, j, k of a file lie in space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Orientation {
    /// For i, j, k: 0 for left-right, 1 for front-back, 2 for feet-head.
    pub direction: [usize; 3],
    /// For i, j, k: whether indices grow towards left, back or feet.
    pub reversed: [bool; 3],
}

/// All orders of three axes.
const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

impl Orientation {
    /// The nearest orientation of an affine.
    pub fn of(affine: &Affine) -> Self {
        let norms = column_norms(affine);
        let cosine = |axis: usize, direction: usize| affine[direction][axis] / norms[axis].max(f64::MIN_POSITIVE);
        let along = |order: &[usize; 3]| (0..3).map(|axis| cosine(axis, order[axis]).abs()).sum::<f64>();
        // The first of the best, so that a perfect diagonal has one answer too.
        let best = ORDERS.iter().rev().max_by(|a, b| along(a).total_cmp(&along(b)));
        let direction = *best.expect("there are six orders");
        Self { direction, reversed: std::array::from_fn(|axis| cosine(axis, direction[axis]) < 0.0) }
    }

    /// The directions in which i, j and k grow: `RAS`, `LPI`, ...
    pub fn letters(&self) -> String {
        let letter = |axis: usize| match (self.direction[axis], self.reversed[axis]) {
            (0, false) => 'R',
            (0, true) => 'L',
            (1, false) => 'A',
            (1, true) => 'P',
            (_, false) => 'S',
            (_, true) => 'I',
        };
        (0..3).map(letter).collect()
    }

    /// The axis of the file that runs along a direction (0 to 2), and whether backwards.
    pub fn axis_along(&self, direction: usize) -> (usize, bool) {
        let axis = self.direction.iter().position(|d| *d == direction).expect("every direction has an axis");
        (axis, self.reversed[axis])
    }
}

/// The grid of the same voxels in another order: axis n of the result is axis `order[n]` of `grid`, run backwards where
/// `flipped[n]`.
#[must_use]
pub fn turned(grid: &Grid, order: [usize; 3], flipped: [bool; 3]) -> Grid {
    let mut affine = grid.affine;
    for (row, old) in affine.iter_mut().zip(&grid.affine) {
        row[3] = old[3];
        for axis in 0..3 {
            let from = order[axis];
            row[axis] = if flipped[axis] { -old[from] } else { old[from] };
            if flipped[axis] {
                row[3] += old[from] * (grid.shape[from] as f64 - 1.0);
            }
        }
    }
    Grid { shape: order.map(|axis| grid.shape[axis]), spacing: order.map(|axis| grid.spacing[axis]), affine }
}

/// Every way of permuting and flipping three axes; the first leaves them as they are.
pub(super) fn turns() -> impl Iterator<Item = ([usize; 3], [bool; 3])> {
    ORDERS
        .into_iter()
        .flat_map(|order| (0..8_usize).map(move |bits| (order, [0, 1, 2].map(|axis| bits >> axis & 1 == 1))))
}

#[cfg(test)]
mod tests {
    use super::super::affine::difference;
    use super::*;

    #[test]
    fn letters_are_those_of_nibabel() {
        // nibabel 5.4.2, `"".join(nib.aff2axcodes(affine))`.
        let oblique = [[0.1, -0.2, 3.9, 0.0], [0.1, -0.9, -0.7, 0.0], [1.0, 0.1, 0.2, 0.0]];
        let cases: [(Affine, &str); 4] = [
            ([[1.0, 0.0, 0.0, 5.0], [0.0, 1.0, 0.0, 5.0], [0.0, 0.0, 1.0, 5.0]], "RAS"),
            ([[0.0, 0.0, 4.0, 0.0], [0.0, -1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]], "SPR"),
            ([[-0.5, 0.0, 0.0, 0.0], [0.0, -0.5, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]], "LPS"),
            (oblique, "SPR"),
        ];
        for (affine, letters) in cases {
            assert_eq!(Orientation::of(&affine).letters(), letters, "{affine:?}");
        }
    }

    #[test]
    fn turning_and_turning_back_is_the_same_grid() {
        let grid = Grid {
            shape: [3, 4, 5],
            spacing: [1.0, 2.0, 3.0],
            affine: [[0.0, -1.2, 2.4, 5.0], [1.0, 0.0, 0.0, -6.0], [0.0, 1.6, 1.8, 7.0]],
        };
        for (order, flipped) in turns() {
            let there = turned(&grid, order, flipped);
            let back: [usize; 3] = std::array::from_fn(|axis| order.iter().position(|n| *n == axis).unwrap());
            let again = turned(&there, back, back.map(|axis| flipped[axis]));
            assert!(difference(&grid, &again).is_none(), "{order:?} {flipped:?}: {again:?}");
        }
        assert_eq!(turns().count(), 48);
    }
}
