//! A mask as a body with a smooth surface: the signed distance to it, everywhere.
//!
//! Guards that smoothing invents and loses nothing: the centre of every labelled voxel stays inside of the surface and the
//! centre of every other one outside, so a single voxel is a body and two bodies with a gap between them stay two. Between
//! slices that are far apart, distances are interpolated and not grey values, which gives the shape in between (Raya and
//! Udupa 1990). Places are in mm as in [`super::view`]; axes of volumes here run to the right, front and head.

use super::view::Vector;
use crate::report::slices::Region;
use crate::volume::distance::distance;
use crate::volume::orientation::{Orientation, turned};
use crate::volume::resample::{Weights, weighted};
use crate::volume::{Grid, Volume};

/// Voxels of background around a body, so that it closes where it is cut off by the image.
const RIM: usize = 3;

/// Standard deviation of the smoothing of the surface, in voxels.
const SMOOTH: f64 = 1.1;

/// Smoothing leaves a voxel at least and at most such shares of its distance to the surface.
const KEPT: [f32; 2] = [0.35, 1.5];

/// Standard deviation of the smoothing that shading sees, in the finest and in the coarsest spacing: steps of voxels are
/// no shape of a body.
const SHADE: [f64; 2] = [1.8, 0.6];

/// The part of a volume within a region of the file's axes, with axes that run to the right, front and head.
pub(super) fn upright<T: Copy>(volume: &Volume<T>, region: &Region) -> Volume<T> {
    let wanted = Orientation { direction: [0, 1, 2], reversed: [false; 3] };
    let (order, flipped) = Orientation::of(&volume.grid.affine).turn_to(&wanted);
    let mut grid = turned(&volume.grid, order, flipped);
    grid.shape = order.map(|axis| region[axis].len());
    let [depth, height, width] = grid.shape;
    let mut voxels = Vec::with_capacity(grid.voxels());
    let source = |n: usize, place: usize| {
        let range = &region[order[n]];
        if flipped[n] { range.end - 1 - place } else { range.start + place }
    };
    for i in 0..depth {
        for j in 0..height {
            for k in 0..width {
                let mut voxel = [0; 3];
                for (n, place) in [i, j, k].into_iter().enumerate() {
                    voxel[order[n]] = source(n, place);
                }
                voxels.push(volume.voxels[volume.index(voxel)]);
            }
        }
    }
    Volume { grid, voxels }
}

/// A body and its labels, in the box around it.
pub(super) struct Body {
    /// Signed distance to the surface in mm, negative inside.
    distances: Volume<f32>,
    /// The same, smoother.
    shading: Volume<f32>,
    labels: Volume<u8>,
    /// The place of the centre of the first voxel.
    first: Vector,
}

impl Body {
    /// The body of all labels together, with distances in the box `inner` and around it, which holds all labelled voxels;
    /// `None` of an empty mask.
    pub(super) fn of(mask: &Volume<u8>, inner: &Region) -> Option<Self> {
        let spacing = mask.grid.spacing;
        let shape = [0, 1, 2].map(|axis| inner[axis].len() + 2 * RIM);
        let mut labels = Volume { voxels: vec![0; shape.iter().product()], grid: Grid::aligned(shape, spacing) };
        for i in inner[0].clone() {
            for j in inner[1].clone() {
                let row = &mask.voxels[mask.index([i, j, inner[2].start])..][..inner[2].len()];
                let to = labels.index([i - inner[0].start + RIM, j - inner[1].start + RIM, RIM]);
                labels.voxels[to..to + row.len()].copy_from_slice(row);
            }
        }
        let first = [0, 1, 2].map(|axis| (inner[axis].start as f64 - RIM as f64 + 0.5) * spacing[axis]);
        let sharp = signed_distances(&labels)?;
        let ends = spacing.iter().fold([f64::INFINITY, 0.0_f64], |[low, high], s| [low.min(*s), high.max(*s)]);
        let deviation = (SHADE[0] * ends[0]).max(SHADE[1] * ends[1]);
        let shading = blurred(&sharp, spacing.map(|s| (deviation / s).clamp(0.8, 4.0)));
        Some(Self { distances: smoothed(&sharp), shading, labels, first })
    }

    /// The box within which the surface lies.
    pub(super) fn bounds(&self) -> [Vector; 2] {
        let Grid { shape, spacing, .. } = &self.labels.grid;
        let last = [0, 1, 2].map(|axis| self.first[axis] + (shape[axis] as f64 - 1.0) * spacing[axis]);
        [self.first, last]
    }

    /// Smallest spacing in mm.
    pub(super) fn finest(&self) -> f64 {
        self.labels.grid.spacing.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// Signed distance to the surface at a place, in mm: linear between centres of voxels, and beyond the box at least the
    /// way to it.
    pub(super) fn distance(&self, place: Vector) -> f64 {
        self.between(&self.distances, place)
    }

    fn between(&self, volume: &Volume<f32>, place: Vector) -> f64 {
        let (corner, fraction, beyond) = self.locate(place);
        let [_, height, width] = volume.grid.shape;
        let base = (corner[0] * height + corner[1]) * width + corner[2];
        let at = |i: usize, j: usize, k: usize| f64::from(volume.voxels[base + (i * height + j) * width + k]);
        let mix = |a: f64, b: f64, share: f64| a + share * (b - a);
        let line = |i: usize, j: usize| mix(at(i, j, 0), at(i, j, 1), fraction[2]);
        let plane = |i: usize| mix(line(i, 0), line(i, 1), fraction[1]);
        mix(plane(0), plane(1), fraction[0]) + beyond
    }

    /// The direction in which the distance grows: out of the body.
    pub(super) fn slope(&self, place: Vector) -> Vector {
        [0, 1, 2].map(|axis| {
            let step = 0.75 * self.labels.grid.spacing[axis];
            let at = |sign: f64| {
                let mut near = place;
                near[axis] += sign * step;
                self.between(&self.shading, near)
            };
            (at(1.0) - at(-1.0)) / (2.0 * step)
        })
    }

    /// The label of the body at a place of its surface: that which fills most of the cell.
    pub(super) fn label(&self, place: Vector) -> u8 {
        let (corner, fraction, _) = self.locate(place);
        let mut weights = [(0_u8, 0.0); 8];
        for step in 0..8_usize {
            let up = [step >> 2 & 1, step >> 1 & 1, step & 1];
            let weight: f64 = (0..3).map(|n| if up[n] == 1 { fraction[n] } else { 1.0 - fraction[n] }).product();
            let label = self.labels.voxels[self.labels.index([0, 1, 2].map(|n| corner[n] + up[n]))];
            let slot = weights.iter().position(|(own, _)| *own == label || *own == 0).unwrap_or(0);
            if label > 0 {
                weights[slot] = (label, weights[slot].1 + weight);
            }
        }
        weights.iter().fold((0, 0.0), |best, own| if own.1 > best.1 { *own } else { best }).0
    }

    /// The centres of all voxels of the body that have a neighbour outside.
    pub(super) fn rim(&self) -> Vec<Vector> {
        let [depth, height, width] = self.labels.grid.shape;
        let mut found = Vec::new();
        // The rim of background leaves a neighbour on every side.
        for i in 1..depth - 1 {
            for j in 1..height - 1 {
                for k in 1..width - 1 {
                    let is = |voxel: [usize; 3]| self.labels.voxels[self.labels.index(voxel)] > 0;
                    let near =
                        [[i - 1, j, k], [i + 1, j, k], [i, j - 1, k], [i, j + 1, k], [i, j, k - 1], [i, j, k + 1]];
                    if is([i, j, k]) && !near.into_iter().all(is) {
                        let place = [i, j, k].map(|n| n as f64);
                        found.push([0, 1, 2].map(|n| self.first[n] + place[n] * self.labels.grid.spacing[n]));
                    }
                }
            }
        }
        found
    }

    /// The first voxel of the cell around a place, where in the cell it is, and how far beyond the box.
    fn locate(&self, place: Vector) -> ([usize; 3], Vector, f64) {
        let Grid { shape, spacing, .. } = &self.labels.grid;
        let (mut corner, mut fraction, mut beyond) = ([0; 3], [0.0; 3], 0.0_f64);
        for axis in 0..3 {
            let index = (place[axis] - self.first[axis]) / spacing[axis];
            let last = shape[axis] as f64 - 1.0;
            let within = index.clamp(0.0, last);
            beyond = beyond.max((index - within).abs() * spacing[axis]);
            corner[axis] = (within as usize).min(shape[axis] - 2);
            fraction[axis] = within - corner[axis] as f64;
        }
        (corner, fraction, beyond)
    }
}

/// Signed distances to the faces between the voxels of the body and the others.
fn signed_distances(labels: &Volume<u8>) -> Option<Volume<f32>> {
    let inside = labels.map(|label| *label > 0);
    let outside = labels.map(|label| *label == 0);
    let (to_body, to_rest) = (distance(&inside)?, distance(&outside)?);
    // Both are measured from centre to centre, and the surface lies half-way.
    let half = 0.5 * labels.grid.spacing.iter().copied().fold(f64::INFINITY, f64::min);
    let signed = |(out, within): (&f64, &f64)| if *out > 0.0 { (out - half) as f32 } else { (half - within) as f32 };
    let voxels = to_body.voxels.iter().zip(&to_rest.voxels).map(signed).collect();
    Some(Volume { voxels, grid: labels.grid.clone() })
}

/// Smoothed as far as no voxel changes sides; parts of one or two voxels stay as they are, because nothing would be left of
/// them.
fn smoothed(sharp: &Volume<f32>) -> Volume<f32> {
    let [_, height, width] = sharp.grid.shape;
    let finest = sharp.grid.spacing.iter().copied().fold(f64::INFINITY, f64::min) as f32;
    let mut smooth = blurred(sharp, [SMOOTH; 3]);
    for (index, value) in smooth.voxels.iter_mut().enumerate() {
        let own = sharp.voxels[index];
        let ends = KEPT.map(|share| share * own);
        *value = value.clamp(ends[0].min(ends[1]), ends[0].max(ends[1]));
        if own < 0.0 {
            // The rim of background leaves a neighbour on every side.
            let near = [0, 1, 2].map(|n| index - width + n * width - 1).into_iter();
            let rows = near.flat_map(|row| [row - height * width, row, row + height * width]);
            let deepest = rows.flat_map(|row| &sharp.voxels[row..row + 3]).copied().fold(0.0, f32::min);
            if deepest > -0.8 * finest {
                *value = own;
            }
        }
    }
    smooth
}

/// Blurred by Gaussians of these standard deviations, in voxels.
fn blurred(volume: &Volume<f32>, deviations: [f64; 3]) -> Volume<f32> {
    let tables = [0, 1, 2].map(|axis| gaussian(volume.grid.shape[axis], deviations[axis]));
    Volume { voxels: weighted(&volume.voxels, volume.grid.shape, &tables), grid: volume.grid.clone() }
}

/// Weights of a Gaussian along an axis of `length` voxels; the rim repeats.
fn gaussian(length: usize, deviation: f64) -> Weights {
    let reach = (3.0 * deviation).ceil() as i64;
    let weight = |step: i64| (-0.5 * (step as f64 / deviation).powi(2)).exp();
    let whole: f64 = (-reach..=reach).map(weight).sum();
    let of = |place: i64| {
        let source = |step: i64| ((place + step).clamp(0, length as i64 - 1) as usize, (weight(step) / whole) as f32);
        (-reach..=reach).map(source).collect()
    };
    (0..length as i64).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::scene::{ball, phantom};
    use crate::report::slices::{around, everything};

    fn body_of(mask: &Volume<u8>) -> Option<Body> {
        Body::of(mask, &around([mask, mask], 0.0))
    }

    #[test]
    fn the_distance_to_a_ball_is_that_of_geometry() {
        let grid = Grid::aligned([30, 30, 30], [1.0; 3]);
        let body = body_of(&ball(&grid, [15.0; 3], 9.0, 1)).unwrap();
        for (place, expected) in [([15.0, 15.0, 27.0], 3.0), ([15.0, 20.0, 15.0], -4.0), ([15.0, 15.0, 60.0], 36.0)] {
            assert!((body.distance(place) - expected).abs() < 0.5, "{place:?}: {}", body.distance(place));
        }
        let slope = body.slope([15.0, 15.0, 24.0]);
        assert!(slope[2] > 0.8 && slope[0].abs() < 0.1 && slope[1].abs() < 0.1, "{slope:?}");
        assert!(body_of(&ball(&grid, [15.0; 3], 0.1, 1)).is_none());
    }

    #[test]
    fn smoothing_moves_no_voxel_to_the_other_side() {
        let grid = Grid::aligned([12, 9, 7], [0.8, 1.0, 3.0]);
        // Every third voxel alone, a plane, and a hole.
        let pattern = |index: usize| u8::from(index.is_multiple_of(3) || (200..260).contains(&index) && index != 230);
        let mask = Volume { voxels: (0..grid.voxels()).map(pattern).collect(), grid };
        let body = body_of(&mask).unwrap();
        for (index, label) in mask.voxels.iter().enumerate() {
            let voxel = [index / 63, index / 7 % 9, index % 7];
            let place = [0, 1, 2].map(|n| (voxel[n] as f64 + 0.5) * mask.grid.spacing[n]);
            assert_eq!(body.distance(place) < 0.0, *label > 0, "{voxel:?}");
        }
    }

    #[test]
    fn a_body_has_the_labels_of_its_mask_on_either_side() {
        let (_, mask, _) = phantom([40; 3], [1.0; 3]);
        let body = body_of(&mask).unwrap();
        assert_eq!([body.label([20.0, 8.0, 20.0]), body.label([20.0, 32.0, 22.0])], [1, 2]);
        assert!(body.rim().iter().all(|place| body.distance(*place).abs() < 2.0) && body.rim().len() > 300);
    }

    #[test]
    fn turning_upright_keeps_every_voxel_at_its_place_in_the_patient() {
        let mut grid = Grid::aligned([3, 4, 5], [1.0; 3]);
        // i runs to the feet, j to the right, k to the back.
        grid.affine = [[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, -1.0, 0.0], [-1.0, 0.0, 0.0, 0.0]];
        let volume = Volume { voxels: (0..60_u8).collect(), grid };
        let found = upright(&volume, &everything(&volume.grid));
        assert_eq!(found.grid.shape, [4, 5, 3]);
        // Right-most, front-most, at the head: j = 3, k = 0, i = 0.
        assert_eq!(found.voxels[found.index([3, 4, 2])], volume.voxels[volume.index([0, 3, 0])]);
        let part = upright(&volume, &[1..3, 2..4, 0..2]);
        assert_eq!(part.grid.shape, [2, 2, 2]);
        assert_eq!(part.voxels[part.index([0, 0, 0])], volume.voxels[volume.index([2, 2, 1])]);
    }
}
