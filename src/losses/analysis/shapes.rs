//! Controlled shapes: what a target looks like, with nothing random in it.
//!
//! Guards equal volume to the voxel. A shape is a level function, about the distance to its surface in voxels, and a mask
//! is the wanted number of voxels with the lowest levels; scaling a shape until its volume about fits, the usual way,
//! leaves differences of a few per cent, which is what a loss is asked to tell apart. Anatomy for trainings is
//! elsewhere (`data::Phantom`): these shapes are for looking at losses.

use crate::volume::{Grid, Volume};

/// What a structure looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// The least surface that a volume can have.
    Sphere,
    /// Axes 2 : 1 : 1.
    Ellipsoid,
    /// A body, an arch around a canal, a spinous and two transverse processes.
    Vertebra,
    /// A disc three voxels thick.
    Plate,
}

/// Half the thickness of the plate without its middle voxel.
const HALF_PLATE: f64 = 1.0;

impl Shape {
    /// From the least surface to the most.
    pub const ALL: [Self; 4] = [Self::Sphere, Self::Ellipsoid, Self::Vertebra, Self::Plate];

    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sphere => "sphere",
            Self::Ellipsoid => "ellipsoid",
            Self::Vertebra => "vertebra",
            Self::Plate => "thin plate",
        }
    }

    /// The shape in a cube of `side` voxels, with exactly `voxels` voxels unless the cube has fewer.
    pub fn mask(self, side: usize, voxels: usize) -> Volume<bool> {
        let levels: Vec<f64> = positions(side).map(|at| self.level(at)).collect();
        let mut order: Vec<usize> = (0..levels.len()).collect();
        // Stable: of voxels at the same level the first are taken.
        order.sort_by(|a, b| levels[*a].total_cmp(&levels[*b]));
        let mut mask = vec![false; levels.len()];
        order.into_iter().take(voxels).for_each(|voxel| mask[voxel] = true);
        Volume { grid: Grid::aligned([side; 3], [1.0; 3]), voxels: mask }
    }

    /// Rises from the inside of the shape to the outside. The position is (depth, height, width) from the middle, in
    /// voxels; the vertebra is seen from above, its spinous process towards larger heights.
    fn level(self, [i, j, k]: [f64; 3]) -> f64 {
        match self {
            Self::Sphere => length([i, j, k]),
            Self::Ellipsoid => length([i, j, k / 2.0]),
            Self::Vertebra => vertebra([i, j, k.abs()]),
            Self::Plate if i.abs() > HALF_PLATE => f64::INFINITY,
            Self::Plate => length([0.0, j, k]),
        }
    }
}

/// The voxels of a cube that are at most `radius` voxels from its middle.
pub fn ball(side: usize, radius: f64) -> Volume<bool> {
    let voxels = positions(side).map(|at| length(at) <= radius).collect();
    Volume { grid: Grid::aligned([side; 3], [1.0; 3]), voxels }
}

/// Every voxel of a cube, from its middle voxel, which is the later one of two.
fn positions(side: usize) -> impl Iterator<Item = [f64; 3]> {
    let from_middle = move |index: usize| index as f64 - (side / 2) as f64;
    (0..side * side * side)
        .map(move |v| [from_middle(v / side / side), from_middle(v / side % side), from_middle(v % side)])
}

fn length(v: [f64; 3]) -> f64 {
    v.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// About the distance to the surface of a vertebra some 32 voxels long, of which `k >= 0` is one half.
fn vertebra([i, j, k]: [f64; 3]) -> f64 {
    let body = (length([0.0, (j + 7.0) / 6.5, k / 9.0]) - 1.0) * 6.5;
    let body = body.max(i.abs() - 5.0);
    let ring = length([0.0, j - 3.5, k]) - 5.5;
    let arch = length([i / 2.0, ring, 0.0]) - 1.6;
    let spinous = capsule([i, j, k], [0.0, 9.0, 0.0], [0.0, 16.0, 0.0]) - 1.8;
    let transverse = capsule([i, j, k], [0.0, 3.0, 5.5], [0.0, 6.0, 13.0]) - 1.6;
    body.min(arch).min(spinous).min(transverse)
}

/// Distance to a line between two points.
fn capsule(at: [f64; 3], from: [f64; 3], to: [f64; 3]) -> f64 {
    let along: [f64; 3] = std::array::from_fn(|axis| to[axis] - from[axis]);
    let here: [f64; 3] = std::array::from_fn(|axis| at[axis] - from[axis]);
    let dot = |a: [f64; 3], b: [f64; 3]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let share = (dot(here, along) / dot(along, along)).clamp(0.0, 1.0);
    length(std::array::from_fn(|axis| here[axis] - share * along[axis]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::surface::edge;

    #[test]
    fn shapes_have_the_same_volume_and_ever_more_surface() {
        let count = |mask: &Volume<bool>| mask.voxels.iter().filter(|m| **m).count();
        let masks = Shape::ALL.map(|shape| shape.mask(40, 2400));
        assert_eq!(masks.each_ref().map(count), [2400; 4]);
        let surfaces = masks.each_ref().map(|mask| count(&edge(mask)));
        assert!(surfaces.is_sorted() && surfaces[3] > 2 * surfaces[0], "{surfaces:?}");
    }

    #[test]
    fn no_shape_touches_the_border() {
        for shape in Shape::ALL {
            let mask = shape.mask(40, 2400);
            for voxel in (0..mask.voxels.len()).filter(|v| mask.voxels[*v]) {
                let at = [voxel / 1600, voxel / 40 % 40, voxel % 40];
                assert!(at.iter().all(|x| (1..39).contains(x)), "{} at {at:?}", shape.name());
            }
        }
    }

    #[test]
    fn a_vertebra_has_a_canal() {
        let mask = Shape::Vertebra.mask(40, 2400);
        let at = |j: usize, k: usize| mask.voxels[mask.index([20, j, k])];
        assert!(at(12, 20) && !at(23, 20) && at(29, 20), "body, canal, arch");
        assert!((0..20).all(|k| at(25, 20 - k) == at(25, 20 + k)), "left is right");
    }

    #[test]
    fn a_ball_is_a_ball() {
        assert_eq!(ball(5, 1.0).voxels.iter().filter(|m| **m).count(), 7);
        assert_eq!(ball(5, 0.0).voxels.iter().position(|m| *m), Some(62));
    }
}
