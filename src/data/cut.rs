//! A patch out of a case: voxel for voxel, or turned and deformed and read between voxels.
//!
//! Only the part of a volume is read in which the patch can lie. What reaches past the volume is zero: the mean of a
//! normalised image, and background.

use std::ops::Range;

use super::augment::affine::Placement;
use super::augment::elastic::Field;
use super::case::Case;
use super::store::{Number, Voxels};
use crate::fault::Result;
use crate::volume::resample;

/// The patch of `shape` that begins at `origin`.
pub(super) fn copied<T: Number>(volume: &Voxels<T>, origin: [usize; 3], shape: [usize; 3]) -> Result<Vec<T>> {
    let whole = volume.grid().shape;
    let ends = [0, 1, 2].map(|axis| (origin[axis] + shape[axis]).min(whole[axis]));
    let part = volume.part([0, 1, 2].map(|axis| origin[axis]..ends[axis]))?;
    let [depth, height, width] = shape;
    let length = ends[2] - origin[2];
    let mut patch = vec![T::default(); depth * height * width];
    for i in origin[0]..ends[0] {
        for j in origin[1]..ends[1] {
            let from = part.volume.index([i - part.first[0], j - part.first[1], origin[2] - part.first[2]]);
            let to = ((i - origin[0]) * height + j - origin[1]) * width;
            patch[to..to + length].copy_from_slice(&part.volume.voxels[from..from + length]);
        }
    }
    Ok(patch)
}

/// The patch of `shape` about the centre of that at `origin`, deformed by `field` and then placed: intensities, channel by
/// channel, and classes.
pub(super) fn sampled(
    case: &Case,
    origin: [usize; 3],
    shape: [usize; 3],
    placement: Placement,
    field: Option<&Field>,
) -> Result<(Vec<f32>, Vec<u8>)> {
    let half = shape.map(|n| (n as f64 - 1.0) / 2.0);
    let centre: [f64; 3] = std::array::from_fn(|axis| origin[axis] as f64 + half[axis]);
    let source = |offset: [f64; 3]| {
        let from = placement.source(offset);
        std::array::from_fn::<f64, 3, _>(|axis| centre[axis] + from[axis])
    };
    let moved = field.map(|field| field.over(shape));
    let [depth, height, width] = shape;
    let mut points = Vec::with_capacity(depth * height * width);
    for i in 0..depth {
        for j in 0..height {
            for k in 0..width {
                let mut offset = [i as f64 - half[0], j as f64 - half[1], k as f64 - half[2]];
                if let Some(moved) = &moved {
                    let at = points.len();
                    (0..3).for_each(|axis| offset[axis] += f64::from(moved[axis][at]));
                }
                points.push(source(offset));
            }
        }
    }
    let reach = field.map_or([0.0; 3], |field| field.reach);
    let range = bounds(half, reach, source, case.grid().shape);
    let mut image = Vec::with_capacity(case.channels.len() * points.len());
    for channel in &case.channels {
        let part = channel.part(range.clone())?;
        image.extend(points.iter().map(|point| resample::linear_at(&part.volume, part.first, *point)));
    }
    let part = case.label.part(range)?;
    let label = points.iter().map(|point| resample::nearest_at(&part.volume, part.first, *point)).collect();
    Ok((image, label))
}

/// The voxels between which the points of a patch can lie: its corners, moved outwards by `reach`, bound them all, because
/// the map from offsets to points is linear.
fn bounds(
    half: [f64; 3],
    reach: [f64; 3],
    source: impl Fn([f64; 3]) -> [f64; 3],
    shape: [usize; 3],
) -> [Range<usize>; 3] {
    // A displacement is rounded to single precision.
    let far: [f64; 3] = std::array::from_fn(|axis| half[axis] + reach[axis] * 1.001 + 1e-3);
    let corners: [[f64; 3]; 8] = std::array::from_fn(|corner| {
        source(std::array::from_fn(|axis| if corner >> axis & 1 == 1 { far[axis] } else { -far[axis] }))
    });
    std::array::from_fn(|axis| {
        let along = corners.iter().map(|corner| corner[axis]);
        let (low, high) = along.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
        let last = shape[axis] as f64;
        let start = low.floor().clamp(0.0, last) as usize;
        start..((high.ceil() + 1.0).clamp(0.0, last) as usize).max(start)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Preprocess;
    use crate::data::augment::{Affine, Elastic};
    use crate::volume::{Grid, Volume};
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    proptest! {
        #[test]
        fn the_part_that_is_read_has_every_point_of_the_patch(
            shape in prop::array::uniform3(1_usize..7),
            origin in prop::array::uniform3(0_usize..6),
            seed: u64,
        ) {
            let spacing = [1.0, 2.0, 4.0];
            let grid = Grid::aligned([9, 8, 7], spacing);
            let image = Volume { voxels: (0..grid.voxels()).map(|n| (n * n % 97) as f32).collect(), grid };
            let mask = image.map(|value| u8::from(*value > 50.0));
            let case = Case::new("a", &[image], &mask, &[1], &Preprocess::default()).unwrap();
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let affine = Affine { probability: 1.0, shear: 0.3, translation: 4.0, ..Affine::default() };
            let placement = affine.draw(spacing, &mut rng).unwrap();
            let elastic = Elastic { probability: 1.0, grid: 8.0, displacement: 3.2 };
            let field = elastic.draw(shape, spacing, &mut rng).unwrap();
            let (values, label) = sampled(&case, origin, shape, placement, Some(&field)).unwrap();
            // The same from the whole volume.
            let half = shape.map(|n| (n as f64 - 1.0) / 2.0);
            let moved = field.over(shape);
            let range = bounds(
                half,
                field.reach,
                |offset| {
                    let from = placement.source(offset);
                    std::array::from_fn(|axis| origin[axis] as f64 + half[axis] + from[axis])
                },
                case.grid().shape,
            );
            let whole = case.channels[0].whole().unwrap();
            for index in 0..values.len() {
                let voxel = [index / (shape[1] * shape[2]), index / shape[2] % shape[1], index % shape[2]];
                let offset = std::array::from_fn(|axis| voxel[axis] as f64 - half[axis] + f64::from(moved[axis][index]));
                let from = placement.source(offset);
                let point: [f64; 3] = std::array::from_fn(|axis| origin[axis] as f64 + half[axis] + from[axis]);
                prop_assert_eq!(values[index], resample::linear_at(&whole, [0; 3], point));
                prop_assert!(label[index] <= 1);
                for axis in 0..3 {
                    let (low, high) = (point[axis].floor(), point[axis].floor() + 1.0);
                    for corner in [low, high] {
                        let exists = (0.0..whole.grid.shape[axis] as f64).contains(&corner);
                        prop_assert!(!exists || range[axis].contains(&(corner as usize)), "{point:?} {range:?}");
                    }
                }
            }
        }
    }
}
