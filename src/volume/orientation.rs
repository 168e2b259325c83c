//! Which way the axes of an image run: the nearest of the 48 ways to lie along left-right, front-back and feet-head.
//!
//! Guards one rule: turning an image is permuting and flipping its axes; nothing is interpolated. An oblique image is
//! named by the directions that its axes are nearest to, as a whole: each direction is used once (nibabel's
//! `aff2axcodes` gives the same letters).

use serde::{Deserialize, Serialize};

use super::Grid;
use super::affine::{Affine, column_norms};

/// How the axes i, j, k of a file lie in space; written as letters, `"RAS"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
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

    /// The orientation that these letters name.
    ///
    /// # Errors
    /// If they are not three, or leave a direction out.
    pub fn parse(letters: &str) -> Result<Self, String> {
        let read = |letter: char| match letter.to_ascii_uppercase() {
            'R' => Some((0, false)),
            'L' => Some((0, true)),
            'A' => Some((1, false)),
            'P' => Some((1, true)),
            'S' => Some((2, false)),
            'I' => Some((2, true)),
            _ => None,
        };
        let axes: Option<Vec<(usize, bool)>> = letters.chars().map(read).collect();
        let axes: Option<[(usize, bool); 3]> = axes.and_then(|axes| axes.try_into().ok());
        let whole = axes.filter(|axes| (0..3).all(|direction| axes.iter().any(|axis| axis.0 == direction)));
        let Some(axes) = whole else {
            return Err(format!(
                "`{letters}` names no directions; expected three letters, one each of R or L, A or P, S or I, as in RAS"
            ));
        };
        Ok(Self { direction: axes.map(|axis| axis.0), reversed: axes.map(|axis| axis.1) })
    }

    /// The order and the flips, as for [`turned`], that bring axes of this orientation to `wanted`.
    pub fn turn_to(&self, wanted: &Self) -> ([usize; 3], [bool; 3]) {
        let order = wanted.direction.map(|direction| self.axis_along(direction).0);
        (order, [0, 1, 2].map(|axis| self.reversed[order[axis]] != wanted.reversed[axis]))
    }

    /// The axis of the file that runs along a direction (0 to 2), and whether backwards.
    pub fn axis_along(&self, direction: usize) -> (usize, bool) {
        let axis = self.direction.iter().position(|d| *d == direction).expect("every direction has an axis");
        (axis, self.reversed[axis])
    }
}

impl TryFrom<String> for Orientation {
    type Error = String;

    fn try_from(letters: String) -> Result<Self, String> {
        Self::parse(&letters)
    }
}

impl From<Orientation> for String {
    fn from(orientation: Orientation) -> Self {
        orientation.letters()
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
    fn letters_name_all_48_orientations_and_a_turn_leads_to_each() {
        let grid = Grid::aligned([3, 4, 5], [1.0, 2.0, 3.0]);
        let mut names = std::collections::BTreeSet::new();
        for (order, flipped) in turns() {
            let other = turned(&grid, order, flipped);
            let orientation = Orientation::of(&other.affine);
            assert_eq!(Orientation::parse(&orientation.letters()), Ok(orientation));
            names.insert(orientation.letters());
            let (order, flipped) = orientation.turn_to(&Orientation::of(&grid.affine));
            assert!(difference(&turned(&other, order, flipped), &grid).is_none(), "{}", orientation.letters());
        }
        assert_eq!(names.len(), 48);
        for wrong in ["RA", "RASP", "RAL", "XYZ", ""] {
            assert!(Orientation::parse(wrong).unwrap_err().contains("as in RAS"), "{wrong}");
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
