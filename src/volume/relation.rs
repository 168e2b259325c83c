//! How the grid of a mask lies to that of its image, and what can be done about it.
//!
//! Guards one distinction: a wrong header is cured by another header, another grid is not. Two grids of the same shape
//! whose headers differ are usually the first (a tool that lost the header on its way); a mask whose voxels stand in
//! another order has a *right* header, and giving it the image's would lay it mirrored over the image.

use super::Grid;
use super::affine::difference;
use super::orientation::{turned, turns};

/// The four cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// The same grid, up to the rounding of writers.
    Same,
    /// The same voxels in another order: axes permuted or run backwards.
    Turned,
    /// As many voxels, placed elsewhere.
    OtherHeader,
    /// Other voxels.
    OtherGrid,
}

impl Relation {
    /// The relation of two grids.
    pub fn of(image: &Grid, mask: &Grid) -> Self {
        let same = |grid: &Grid| difference(image, grid).is_none();
        if same(mask) {
            return Self::Same;
        }
        if turns().any(|(order, flipped)| same(&turned(mask, order, flipped))) {
            return Self::Turned;
        }
        if image.shape == mask.shape { Self::OtherHeader } else { Self::OtherGrid }
    }

    /// What a person can do.
    pub fn cure(self) -> &'static str {
        match self {
            Self::Same => "nothing to do",
            Self::Turned => {
                "the mask has the voxels of the image in another order; save it with the axes of the image (permute and \
                 flip, do not interpolate)"
            }
            Self::OtherHeader => {
                "as many voxels, so probably only the header is wrong: look with `lossgen data show`; if the mask fits, \
                 `lossgen data check DIR --copy-geometry image --out FOLDER` writes masks with the header of their image"
            }
            Self::OtherGrid => {
                "these are other voxels, so no header can mend it: resample the mask to its image (nearest neighbour), or \
                 find the image on which it was drawn"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Change = fn(&mut Grid);

    #[test]
    fn noise_turns_headers_and_grids_are_told_apart() {
        let image = Grid {
            shape: [4, 5, 6],
            spacing: [1.0, 2.0, 3.0],
            affine: [[0.0, -1.2, 2.4, 5.0], [1.0, 0.0, 0.0, -6.0], [0.0, 1.6, 1.8, 7.0]],
        };
        let cases: [(Change, Relation); 7] = [
            (|_| (), Relation::Same),
            (|g| g.affine[0][1] += 1e-6, Relation::Same),
            (|g| *g = turned(g, [0, 1, 2], [true, false, false]), Relation::Turned),
            (|g| *g = turned(g, [2, 0, 1], [false, true, true]), Relation::Turned),
            (|g| *g = Grid::aligned(g.shape, [1.0; 3]), Relation::OtherHeader),
            (|g| g.affine[1][3] += 0.5, Relation::OtherHeader),
            (|g| g.shape[2] = 7, Relation::OtherGrid),
        ];
        for (number, (change, relation)) in cases.into_iter().enumerate() {
            let mut mask = image.clone();
            change(&mut mask);
            assert_eq!(Relation::of(&image, &mask), relation, "case {number}");
        }
    }
}
