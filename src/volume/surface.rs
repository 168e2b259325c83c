//! The surface of a mask and how far two surfaces are from each other, in mm.
//!
//! Guards one definition, the one that MONAI, `medpy` and `MetricsReloaded` share: a surface is the set of *edge voxels*,
//! those of the mask with a neighbour across a face that is not in the mask, and what is outside the image counts as not
//! in the mask, so that an object cut by the image's border has a face there. Distances go from centre to centre of edge
//! voxels. Surfaces between voxels (marching cubes, weighted surface elements) are another definition with other
//! numbers, and not offered.

use std::ops::Range;

use super::distance::squared_distance;
use super::{Grid, Volume};

/// Distances of two surfaces, one number per edge voxel, in mm.
#[derive(Debug, Clone, PartialEq)]
pub struct SurfaceDistances {
    /// From every edge voxel of the first mask to the nearest of the second, in the order of the voxels.
    pub from_first: Vec<f64>,
    /// From every edge voxel of the second mask to the nearest of the first.
    pub from_second: Vec<f64>,
}

/// The edge voxels of `mask`: its voxels with at least one of six neighbours outside the mask or outside the image.
#[must_use]
pub fn edge(mask: &Volume<bool>) -> Volume<bool> {
    let [depth, height, width] = mask.grid.shape;
    let (slab, row) = (height * width, width);
    let mut edge = mask.clone();
    // Only what is strictly inside the image can be surrounded; everything else of the mask is edge already.
    for i in 1..depth.saturating_sub(1) {
        for j in 1..height.saturating_sub(1) {
            for v in i * slab + j * row + 1..(i * slab + (j + 1) * row).saturating_sub(1) {
                let m = &mask.voxels;
                let surrounded = m[v - 1] & m[v + 1] & m[v - row] & m[v + row] & m[v - slab] & m[v + slab];
                edge.voxels[v] = m[v] && !surrounded;
            }
        }
    }
    edge
}

/// Distances between the surfaces of `class` in two masks on the same grid; the spacing is the first mask's. `None` if
/// the class is absent from either: there is no distance to nothing.
///
/// Works in the smallest box that holds the class in both, which loses nothing, as no edge voxel is outside it: a small
/// structure costs what its own box costs.
///
/// # Panics
/// If the masks differ in shape.
pub fn surface_distances(first: &Volume<u8>, second: &Volume<u8>, class: u8) -> Option<SurfaceDistances> {
    assert_eq!(first.grid.shape, second.grid.shape, "masks on grids of different shape have no common surface");
    let (one, other) = (bounding_box(first, class)?, bounding_box(second, class)?);
    let both = std::array::from_fn(|axis| {
        let (one, other): (&Range<usize>, &Range<usize>) = (&one[axis], &other[axis]);
        one.start.min(other.start)..one.end.max(other.end)
    });
    let (first, second) = (edge(&crop(first, class, &both)), edge(&crop(second, class, &both)));
    Some(SurfaceDistances { from_first: directed(&first, &second)?, from_second: directed(&second, &first)? })
}

/// Distance from every voxel of `from` to the nearest of `to`.
fn directed(from: &Volume<bool>, to: &Volume<bool>) -> Option<Vec<f64>> {
    let squares = squared_distance(to)?;
    let edges = from.voxels.iter().zip(&squares.voxels).filter(|(edge, _)| **edge);
    Some(edges.map(|(_, square)| square.sqrt()).collect())
}

/// The smallest box that holds every voxel of `class`; `None` if there is none.
pub fn bounding_box(mask: &Volume<u8>, class: u8) -> Option<[Range<usize>; 3]> {
    let [_, height, width] = mask.grid.shape;
    let mut corners: Option<[Range<usize>; 3]> = None;
    for (line, row) in mask.voxels.chunks_exact(width.max(1)).enumerate() {
        // Most rows have none, and the library's search for a byte looks at many at once.
        if !row.contains(&class) {
            continue;
        }
        let is_class = |voxel: &u8| *voxel == class;
        let (Some(start), Some(last)) = (row.iter().position(is_class), row.iter().rposition(is_class)) else {
            continue;
        };
        let (i, j) = (line / height, line % height);
        let here = [i..i + 1, j..j + 1, start..last + 1];
        corners = Some(match corners {
            None => here,
            Some(corners) => std::array::from_fn(|axis| {
                corners[axis].start.min(here[axis].start)..corners[axis].end.max(here[axis].end)
            }),
        });
    }
    corners
}

/// Where `mask` has `class` within a box, at the mask's spacing.
fn crop(mask: &Volume<u8>, class: u8, [i, j, k]: &[Range<usize>; 3]) -> Volume<bool> {
    let mut voxels = Vec::with_capacity(i.len() * j.len() * k.len());
    for slab in i.clone() {
        for line in j.clone() {
            let row = &mask.voxels[mask.index([slab, line, k.start])..][..k.len()];
            voxels.extend(row.iter().map(|voxel| *voxel == class));
        }
    }
    Volume { grid: Grid::aligned([i.len(), j.len(), k.len()], mask.grid.spacing), voxels }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(shape: [usize; 3], spacing: [f64; 3], class: impl Fn([usize; 3]) -> u8) -> Volume<u8> {
        let [depth, height, width] = shape;
        let at = |v: usize| [v / (height * width), v / width % height, v % width];
        Volume {
            grid: Grid::aligned(shape, spacing),
            voxels: (0..depth * height * width).map(|v| class(at(v))).collect(),
        }
    }

    #[test]
    fn a_solid_cube_has_an_edge_of_one_voxel_and_none_inside() {
        let cube = labels([5, 5, 5], [1.0; 3], |_| 1).map(|v| *v == 1);
        let edge = edge(&cube);
        assert_eq!(edge.voxels.iter().filter(|v| **v).count(), 125 - 27, "the image's border is a face");
        assert!(!edge.voxels[edge.index([2, 2, 2])]);
        for shape in [[1, 1, 1], [1, 4, 4], [2, 1, 5]] {
            let flat = labels(shape, [1.0; 3], |_| 1).map(|v| *v == 1);
            assert_eq!(super::edge(&flat), flat, "what is one voxel thick is all edge");
        }
    }

    #[test]
    fn two_voxels_are_as_far_as_their_centres() {
        let voxel = |at: [usize; 3]| labels([4, 5, 6], [3.0, 0.8, 0.5], move |v| if v == at { 7 } else { 0 });
        let found = surface_distances(&voxel([0, 0, 0]), &voxel([3, 4, 5]), 7).unwrap();
        let expected = (81.0_f64 + 3.2 * 3.2 + 2.5 * 2.5).sqrt();
        assert!((found.from_first[0] - expected).abs() < 1e-12 && found.from_first == found.from_second);
        assert_eq!(bounding_box(&voxel([3, 4, 5]), 7), Some([3..4, 4..5, 5..6]));
    }

    #[test]
    fn there_is_no_distance_to_nothing() {
        let full = labels([3, 3, 3], [1.0; 3], |_| 1);
        let empty = labels([3, 3, 3], [1.0; 3], |_| 0);
        assert_eq!(surface_distances(&full, &empty, 1), None);
        assert_eq!(surface_distances(&empty, &full, 1), None);
        assert_eq!(surface_distances(&empty, &empty, 1), None);
        assert_eq!(bounding_box(&Volume { grid: Grid::aligned([2, 3, 0], [1.0; 3]), voxels: vec![] }, 1), None);
    }

    proptest! {
        #[test]
        fn the_box_does_not_matter(
            shape in prop::array::uniform3(1_usize..8),
            margin in prop::array::uniform3(0_usize..4),
            seed in any::<u64>(),
        ) {
            // The definition, without a box: every edge voxel against every other.
            let draw = |[i, j, k]: [usize; 3], salt: u64| {
                let mixed = (seed ^ salt ^ (i as u64) << 40 ^ (j as u64) << 20 ^ k as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                u8::from((mixed ^ mixed >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 62 == 0)
            };
            let spacing = [2.5, 1.0, 0.7];
            let image = std::array::from_fn(|axis| shape[axis] + 2 * margin[axis]);
            let mask = |salt| labels(image, spacing, |voxel| {
                let inside = (0..3).all(|axis| (margin[axis]..margin[axis] + shape[axis]).contains(&voxel[axis]));
                if inside { draw(voxel, salt) } else { 0 }
            });
            let (first, second) = (mask(1), mask(2));
            let edges = |mask: &Volume<u8>| -> Vec<[f64; 3]> {
                let edge = edge(&mask.map(|v| *v == 1));
                let at = |v: usize| [v / (image[1] * image[2]), v / image[2] % image[1], v % image[2]];
                let set = (0..edge.voxels.len()).filter(|v| edge.voxels[*v]).map(at);
                set.map(|v| std::array::from_fn(|axis| v[axis] as f64 * spacing[axis])).collect()
            };
            let nearest = |from: &[f64; 3], to: &[[f64; 3]]| {
                let square = |to: &[f64; 3]| (0..3).map(|axis| (from[axis] - to[axis]).powi(2)).sum::<f64>();
                to.iter().map(square).fold(f64::INFINITY, f64::min).sqrt()
            };
            let (one, other) = (edges(&first), edges(&second));
            let found = surface_distances(&first, &second, 1);
            prop_assert_eq!(found.is_none(), one.is_empty() || other.is_empty());
            if let Some(found) = found {
                prop_assert_eq!(found.from_first.len(), one.len());
                prop_assert_eq!(found.from_second.len(), other.len());
                for (distance, voxel) in found.from_first.iter().zip(&one) {
                    prop_assert!((distance - nearest(voxel, &other)).abs() < 1e-9);
                }
                for (distance, voxel) in found.from_second.iter().zip(&other) {
                    prop_assert!((distance - nearest(voxel, &one)).abs() < 1e-9);
                }
            }
        }
    }
}
