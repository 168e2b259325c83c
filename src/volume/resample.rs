//! The same box with another number of voxels, and values between voxels.
//!
//! Growing interpolates linearly; shrinking takes the mean of the old voxels that a new one covers, weighted by the
//! covered length, so that it never aliases and keeps the volume's mean. Both are separable: three passes of short
//! weight lists. Along a coarse axis growing repeats the nearest slice instead: between slices of 4 mm a line through both
//! is a ghost of two anatomies (nnU-Net treats such an axis apart as well). Outside the volume there is nothing to see:
//! resampling repeats the rim, sampling at a point gives zero.

use std::borrow::Cow;

use super::affine::refilled;
use super::{Grid, Volume};

/// Number of voxels that brings `grid` closest to `spacing` (mm) while filling the same box.
pub fn shape_at(grid: &Grid, spacing: [f64; 3]) -> [usize; 3] {
    std::array::from_fn(|axis| ((grid.shape[axis] as f64 * grid.spacing[axis] / spacing[axis]).round() as usize).max(1))
}

/// Ratio of the largest to the smallest spacing above which the axis of the largest is coarse: nnU-Net's threshold.
const COARSE: f64 = 3.0;

/// The axis across the slices of a stack: more than three times as coarse as the finest, and coarser than both others.
pub fn coarse_axis(spacing: [f64; 3]) -> Option<usize> {
    let finest = spacing.iter().copied().fold(f64::INFINITY, f64::min);
    let is_coarse = |axis: &usize| {
        let others = (0..3).filter(|other| other != axis);
        spacing[*axis] > COARSE * finest && others.into_iter().all(|other| spacing[*axis] > spacing[other])
    };
    (0..3).find(is_coarse)
}

/// An image with `shape` voxels in the same box; along the axis `coarse`, if any, slices are repeated and not blended.
#[must_use]
pub fn linear(image: &Volume<f32>, shape: [usize; 3], coarse: Option<usize>) -> Volume<f32> {
    let grid = refilled(&image.grid, shape);
    let weights = |axis: usize, old: usize, new: usize| sources(coarse == Some(axis), old, new);
    Volume { voxels: resized(&image.voxels, image.grid.shape, shape, weights), grid }
}

/// A mask with `shape` voxels in the same box: each new voxel takes the class that fills most of it, a draw goes to the
/// higher class.
///
/// The nearest old voxel is the same when growing, but when shrinking by two it always reads the same neighbour and
/// shifts the mask by a quarter of a new voxel against its image.
#[must_use]
pub fn labels(mask: &Volume<u8>, shape: [usize; 3]) -> Volume<u8> {
    let grid = refilled(&mask.grid, shape);
    let mut present = [false; 256];
    mask.voxels.iter().for_each(|class| present[usize::from(*class)] = true);
    let mut winner = vec![0_u8; grid.voxels()];
    let mut most = vec![0.0_f32; grid.voxels()];
    for class in (0..=u8::MAX).filter(|class| present[usize::from(*class)]) {
        let share: Vec<f32> = mask.voxels.iter().map(|voxel| f32::from(u8::from(*voxel == class))).collect();
        for (new, share) in
            resized(&share, mask.grid.shape, shape, |_, old, new| covering(old, new)).into_iter().enumerate()
        {
            // A draw is a draw up to rounding of the weights.
            if share + 1e-5 >= most[new] {
                (most[new], winner[new]) = (share, class);
            }
        }
    }
    Volume { grid, voxels: winner }
}

/// The value at `point` (voxel indices), linear between voxel centres, falling to zero within one voxel outside the volume.
/// `image` begins at the voxel `first` of what the point is given in.
#[inline]
pub fn linear_at(image: &Volume<f32>, first: [usize; 3], point: [f64; 3]) -> f32 {
    let floor = point.map(f64::floor);
    let fraction: [f32; 3] = std::array::from_fn(|axis| (point[axis] - floor[axis]) as f32);
    let corner: [i64; 3] = std::array::from_fn(|axis| floor[axis] as i64 - first[axis] as i64);
    let mut value = 0.0;
    for step in 0..8_u8 {
        let up = [step >> 2 & 1, step >> 1 & 1, step & 1];
        let Some(index) = inside(image, std::array::from_fn(|axis| corner[axis] + i64::from(up[axis]))) else {
            continue;
        };
        let weight = (0..3).map(|axis| if up[axis] == 1 { fraction[axis] } else { 1.0 - fraction[axis] });
        value += weight.product::<f32>() * image.voxels[index];
    }
    value
}

/// The class at the voxel nearest to `point` (voxel indices), 0 outside the volume. `mask` begins at the voxel `first` of
/// what the point is given in.
#[inline]
pub fn nearest_at(mask: &Volume<u8>, first: [usize; 3], point: [f64; 3]) -> u8 {
    let nearest = std::array::from_fn(|axis| (point[axis] + 0.5).floor() as i64 - first[axis] as i64);
    inside(mask, nearest).map_or(0, |index| mask.voxels[index])
}

/// Position of a voxel, if it exists.
#[inline]
fn inside<T>(volume: &Volume<T>, voxel: [i64; 3]) -> Option<usize> {
    let shape = volume.grid.shape;
    let exists = (0..3).all(|axis| voxel[axis] >= 0 && (voxel[axis] as usize) < shape[axis]);
    exists.then(|| volume.index(voxel.map(|v| v as usize)))
}

/// For every new position along an axis, which old positions count how much.
pub type Weights = Vec<Vec<(usize, f32)>>;

/// Sums of `values`, of `shape`, with the products of weights along each axis: interpolation, filters and splines, whatever
/// is separable. The result has as many positions along an axis as its table.
pub fn weighted(values: &[f32], mut shape: [usize; 3], tables: &[Weights; 3]) -> Vec<f32> {
    let mut result = Cow::Borrowed(values);
    for (axis, table) in tables.iter().enumerate() {
        result = Cow::Owned(along(axis, &result, shape, table));
        shape[axis] = table.len();
    }
    result.into_owned()
}

/// One pass per axis that changes.
fn resized(
    voxels: &[f32],
    old: [usize; 3],
    new: [usize; 3],
    weights: impl Fn(usize, usize, usize) -> Weights,
) -> Vec<f32> {
    let mut shape = old;
    let mut values = Cow::Borrowed(voxels);
    for axis in (0..3).filter(|axis| old[*axis] != new[*axis]) {
        values = Cow::Owned(along(axis, &values, shape, &weights(axis, old[axis], new[axis])));
        shape[axis] = new[axis];
    }
    values.into_owned()
}

/// Applies `weights` (one list of source and weight per new position) along one axis.
pub(super) fn along(axis: usize, values: &[f32], shape: [usize; 3], weights: &[Vec<(usize, f32)>]) -> Vec<f32> {
    let inner: usize = shape[axis + 1..].iter().product();
    let outer: usize = shape[..axis].iter().product();
    let mut out = vec![0.0; outer * weights.len() * inner];
    for (slab, lines) in values.chunks_exact(shape[axis] * inner).zip(out.chunks_exact_mut(weights.len() * inner)) {
        for (line, sources) in lines.chunks_exact_mut(inner).zip(weights) {
            for (source, weight) in sources {
                let from = &slab[source * inner..(source + 1) * inner];
                line.iter_mut().zip(from).for_each(|(to, from)| *to += weight * from);
            }
        }
    }
    out
}

/// The length of each old voxel that a new one covers.
fn covering(old: usize, new: usize) -> Weights {
    let ratio = old as f64 / new as f64;
    let sources = |position: usize| {
        let (from, to) = (position as f64 * ratio, ((position + 1) as f64 * ratio).min(old as f64));
        let covered = |source: usize| (to.min(source as f64 + 1.0) - from.max(source as f64)) / ratio;
        let last = (to.ceil() as usize - 1).min(old - 1);
        (from.floor() as usize..=last).map(|source| (source, covered(source) as f32)).collect()
    };
    (0..new).map(sources).collect()
}

/// The nearest old voxel when growing, all covered ones when shrinking.
fn repeating(old: usize, new: usize) -> Weights {
    if new < old {
        return covering(old, new);
    }
    // Where a new centre falls on a border, the later slice, as labels go to the higher class: neither is nearer.
    let nearest = |position: usize| ((position as f64 + 0.5) * old as f64 / new as f64).floor() as usize;
    (0..new).map(|position| vec![(nearest(position).min(old - 1), 1.0)]).collect()
}

/// What an image is made of along an axis, a coarse one or another.
pub(super) fn sources(is_coarse: bool, old: usize, new: usize) -> Weights {
    if is_coarse { repeating(old, new) } else { interpolating(old, new) }
}

/// The two old voxels around a new centre when growing, all covered ones when shrinking.
fn interpolating(old: usize, new: usize) -> Weights {
    if new < old {
        return covering(old, new);
    }
    let last = old - 1;
    let sources = |position: usize| {
        let place = ((position as f64 + 0.5) * old as f64 / new as f64 - 0.5).clamp(0.0, last as f64);
        let (lower, fraction) = (place.floor() as usize, place.fract() as f32);
        vec![(lower, 1.0 - fraction), ((lower + 1).min(last), fraction)]
    };
    (0..new).map(sources).collect()
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these values are exact")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ramp(shape: [usize; 3]) -> Volume<f32> {
        let grid = Grid::aligned(shape, [1.0, 1.0, 2.0]);
        let mut voxels = Vec::new();
        for i in 0..shape[0] {
            for j in 0..shape[1] {
                for k in 0..shape[2] {
                    voxels.push((i as f32) + 10.0 * (j as f32) - 3.0 * (k as f32));
                }
            }
        }
        Volume { grid, voxels }
    }

    #[test]
    fn halving_is_the_mean_of_two_and_the_same_shape_is_the_same_image() {
        let volume = Volume { grid: Grid::aligned([1, 1, 4], [1.0; 3]), voxels: vec![1.0, 3.0, 10.0, 20.0] };
        assert_eq!(linear(&volume, [1, 1, 2], None).voxels, [2.0, 15.0]);
        assert_eq!(linear(&volume, [1, 1, 4], None), volume);
        // PyTorch 2.15: interpolate(mode="linear", align_corners=False) of the same four numbers to eight.
        let doubled = linear(&volume, [1, 1, 8], None).voxels;
        assert_eq!(doubled, [1.0, 1.5, 2.5, 4.75, 8.25, 12.5, 17.5, 20.0]);
    }

    #[test]
    fn slices_of_a_coarse_axis_are_repeated_or_averaged_never_blended() {
        let volume =
            Volume { grid: Grid::aligned([1, 2, 3], [1.0, 1.0, 4.0]), voxels: vec![1.0, 5.0, 9.0, 3.0, 7.0, 1.0] };
        let finer = linear(&volume, [1, 2, 8], Some(2)).voxels;
        assert_eq!(finer[..8], [1.0, 1.0, 1.0, 5.0, 5.0, 9.0, 9.0, 9.0]);
        assert_eq!(linear(&volume, [1, 2, 1], Some(2)).voxels, linear(&volume, [1, 2, 1], None).voxels);
        assert_eq!(linear(&volume, [1, 4, 3], Some(2)), linear(&volume, [1, 4, 3], None), "in the plane as ever");
    }

    #[test]
    fn the_coarse_axis_is_that_of_a_stack() {
        for (spacing, axis) in [
            ([1.0, 1.0, 4.0], Some(2)),
            ([5.0, 0.5, 0.75], Some(0)),
            ([1.0, 1.0, 3.0], None),
            ([1.0, 1.0, 1.0], None),
            ([0.25, 1.25, 1.25], None),
        ] {
            assert_eq!(coarse_axis(spacing), axis, "{spacing:?}");
        }
    }

    #[test]
    fn values_between_voxels_are_exact_on_a_ramp_and_zero_outside() {
        let volume = ramp([4, 5, 6]);
        assert!((linear_at(&volume, [0; 3], [1.25, 2.5, 3.75]) - (1.25 + 25.0 - 11.25)).abs() < 1e-5);
        assert_eq!(linear_at(&volume, [0; 3], [-1.0, 2.0, 2.0]), 0.0);
        let mask = volume.map(|v| u8::from(*v > 10.0));
        assert_eq!(nearest_at(&mask, [0; 3], [1.4, 2.4, 0.6]), mask.voxels[mask.index([1, 2, 1])]);
        assert_eq!(nearest_at(&mask, [0; 3], [-0.6, 0.0, 0.0]), 0);
    }

    #[test]
    fn a_box_keeps_its_place_when_halved_and_doubled() {
        let grid = Grid::aligned([8, 8, 8], [1.0; 3]);
        let mut mask = Volume { voxels: vec![0_u8; grid.voxels()], grid };
        for i in 2..6 {
            for j in 2..6 {
                for k in 4..8 {
                    let index = mask.index([i, j, k]);
                    mask.voxels[index] = 3;
                }
            }
        }
        let half = labels(&mask, [4, 4, 4]);
        assert_eq!(half.voxels.iter().map(|v| usize::from(*v)).sum::<usize>(), 8 * 3);
        assert_eq!(labels(&half, [8, 8, 8]), mask);
    }

    proptest! {
        #[test]
        fn weights_sum_to_one_and_shrinking_keeps_the_mean(old in 1_usize..40, new in 1_usize..40) {
            let table = interpolating(old, new);
            prop_assert_eq!(table.len(), new);
            for list in table.iter().chain(&covering(old, new)).chain(&repeating(old, new)) {
                prop_assert!((list.iter().map(|(_, w)| f64::from(*w)).sum::<f64>() - 1.0).abs() < 1e-5);
                prop_assert!(list.iter().all(|(source, w)| *source < old && *w >= -1e-6));
            }
            if new < old {
                for source in 0..old {
                    let used: f64 = table.iter().flatten().filter(|(s, _)| *s == source).map(|(_, w)| f64::from(*w)).sum();
                    prop_assert!((used - new as f64 / old as f64).abs() < 1e-4, "voxel {} counts {}", source, used);
                }
            }
        }
    }
}
