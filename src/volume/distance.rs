//! The exact Euclidean distance transform: how far every voxel is from a mask, in mm.
//!
//! Guards `d(x) = min over m in mask of |x - m|`, centre to centre, for any positive spacing, in f64. It is separable:
//! along the first axis two sweeps count voxels, along each other axis the squared distance is the lower envelope of one
//! parabola per voxel (Felzenszwalb and Huttenlocher 2012). Each axis is linear in its length, and each line is computed
//! by one thread from numbers that no other line writes, so the number of threads cannot change a bit.
//!
//! It does not answer for an empty mask: every number would be an invention (`SciPy` 1.17 measures to a phantom voxel
//! outside the volume). Neither does it sign distances; a caller that needs both sides asks for both masks.

use rayon::prelude::*;

use super::Volume;

/// Columns taken together when a line is not contiguous: eight f64 are one cache line.
const TILE: usize = 8;

/// Distance of every voxel to the nearest voxel of `mask`, centre to centre, in mm: 0 in the mask itself.
///
/// `None` if no voxel of `mask` is set.
///
/// ```
/// use lossgen::volume::{distance::distance, Grid, Volume};
///
/// let mask = Volume::new(Grid::aligned([1, 1, 4], [1.0, 1.0, 0.5]), vec![true, false, false, false])?;
/// let distances = distance(&mask).expect("the mask has a voxel");
/// assert_eq!(distances.voxels, [0.0, 0.5, 1.0, 1.5]);
/// # Ok::<(), lossgen::fault::Fault>(())
/// ```
pub fn distance(mask: &Volume<bool>) -> Option<Volume<f64>> {
    transform(mask, f64::sqrt)
}

/// The square of [`distance`], in mm²: what the Hausdorff loss wants, and exact on whole spacings.
pub fn squared_distance(mask: &Volume<bool>) -> Option<Volume<f64>> {
    transform(mask, |square| square)
}

fn transform(mask: &Volume<bool>, finish: impl Fn(f64) -> f64 + Sync) -> Option<Volume<f64>> {
    let [depth, height, width] = mask.grid.shape;
    let spacing = mask.grid.spacing;
    if !mask.voxels.contains(&true) {
        return None;
    }
    // Turned to (j, i, k) so that every thread owns whole slabs in both phases, without a lock or a strided write.
    let mut turned = vec![0.0; mask.voxels.len()];
    turned.par_chunks_mut(depth * width).enumerate().for_each_init(Envelope::default, |envelope, (j, slab)| {
        count_voxels(slab, width, |i| &mask.voxels[(i * height + j) * width..][..width]);
        for steps in slab.iter_mut() {
            *steps = (*steps * spacing[0]).powi(2);
        }
        slab.chunks_exact_mut(width).for_each(|line| envelope.descend(line, spacing[2]));
    });
    let mut squares = vec![0.0; mask.voxels.len()];
    let workspace = || (Envelope::default(), vec![0.0; TILE * height]);
    squares.par_chunks_mut(height * width).enumerate().for_each_init(workspace, |(envelope, tile), (i, slab)| {
        for first in (0..width).step_by(TILE) {
            let columns = TILE.min(width - first);
            for j in 0..height {
                let row = &turned[(j * depth + i) * width + first..][..columns];
                row.iter().enumerate().for_each(|(column, value)| tile[column * height + j] = *value);
            }
            tile.chunks_exact_mut(height).take(columns).for_each(|line| envelope.descend(line, spacing[1]));
            for j in 0..height {
                let row = &mut slab[j * width + first..][..columns];
                row.iter_mut().enumerate().for_each(|(column, value)| *value = finish(tile[column * height + j]));
            }
        }
    });
    Some(Volume { grid: mask.grid.clone(), voxels: squares })
}

/// Voxels to the nearest set voxel along the rows of a slab, infinite where a column has none: one sweep each way, a
/// whole row at a time.
fn count_voxels<'a>(slab: &mut [f64], width: usize, mask: impl Fn(usize) -> &'a [bool]) {
    let mut above = vec![f64::INFINITY; width];
    for (i, row) in slab.chunks_exact_mut(width).enumerate() {
        for ((steps, above), set) in row.iter_mut().zip(&mut above).zip(mask(i)) {
            *above = if *set { 0.0 } else { *above + 1.0 };
            *steps = *above;
        }
    }
    let mut below = above;
    for row in slab.chunks_exact_mut(width).rev() {
        for (steps, below) in row.iter_mut().zip(&mut below) {
            *below = steps.min(*below + 1.0);
            *steps = *below;
        }
    }
}

/// The parabolas that are lowest somewhere along one line, from left to right.
#[derive(Default)]
struct Envelope {
    parabolas: Vec<Parabola>,
    /// `1 / 2d` for every distance `d` of two voxels: a product costs less than a quotient, and its rounding can only
    /// decide between two parabolas that are equally low.
    half_inverses: Vec<f64>,
}

/// `base + (spacing (x - position))²`, the lowest from voxel `from` to the next parabola's.
struct Parabola {
    position: usize,
    from: usize,
    base: f64,
    /// `base / spacing² + position²`: two parabolas cross where half the difference of these over the distance is.
    key: f64,
}

impl Envelope {
    /// Replaces `line` (mm², infinite = no voxel seen so far) by `min over q of line[q] + (spacing (x - q))²`.
    fn descend(&mut self, line: &mut [f64], spacing: f64) {
        let known = self.half_inverses.len();
        self.half_inverses.extend((known..line.len()).map(|d| 0.5 / d as f64));
        self.parabolas.clear();
        let mut end = line.len();
        let last_position = end as f64 - 1.0;
        let scale = (spacing * spacing).recip();
        for (position, base) in line.iter().copied().enumerate().filter(|(_, base)| base.is_finite()) {
            let key = base * scale + (position * position) as f64;
            let mut crossing = 0.0;
            while let Some(last) = self.parabolas.last() {
                crossing = (key - last.key) * self.half_inverses[position - last.position];
                if crossing > last.from as f64 {
                    break;
                }
                self.parabolas.pop();
                crossing = 0.0;
            }
            // What becomes the lowest right of the line never is.
            if crossing <= last_position {
                let below = crossing as usize;
                let from = below + usize::from((below as f64) < crossing);
                self.parabolas.push(Parabola { position, from, base, key });
            }
        }
        for parabola in self.parabolas.iter().rev() {
            // Narrow integers, because the machine turns four of them into f64 at once and cannot do so with wide ones.
            let first = parabola.from as i32 - parabola.position as i32;
            for (step, value) in line[parabola.from..end].iter_mut().enumerate() {
                *value = parabola.base + (f64::from(first + step as i32) * spacing).powi(2);
            }
            end = parabola.from;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::Grid;
    use proptest::prelude::*;

    fn mask(shape: [usize; 3], spacing: [f64; 3], set: impl Fn([usize; 3]) -> bool) -> Volume<bool> {
        let [depth, height, width] = shape;
        let at = |index: usize| [index / (height * width), index / width % height, index % width];
        Volume {
            grid: Grid::aligned(shape, spacing),
            voxels: (0..depth * height * width).map(|v| set(at(v))).collect(),
        }
    }

    /// The definition.
    fn brute_force(mask: &Volume<bool>) -> Vec<f64> {
        let [_, height, width] = mask.grid.shape;
        let at = |index: usize| [index / (height * width), index / width % height, index % width];
        let sites: Vec<_> = (0..mask.voxels.len()).filter(|v| mask.voxels[*v]).map(at).collect();
        let square = |x: [usize; 3], m: &[usize; 3]| -> f64 {
            (0..3).map(|axis| (x[axis].abs_diff(m[axis]) as f64 * mask.grid.spacing[axis]).powi(2)).sum()
        };
        (0..mask.voxels.len()).map(|v| sites.iter().map(|m| square(at(v), m)).fold(f64::INFINITY, f64::min)).collect()
    }

    #[test]
    fn an_empty_mask_has_no_distances() {
        assert_eq!(distance(&mask([3, 4, 5], [1.0; 3], |_| false)), None);
        assert_eq!(distance(&mask([0, 4, 5], [1.0; 3], |_| true)), None);
        assert_eq!(distance(&mask([2, 2, 2], [1.0; 3], |_| true)).unwrap().voxels, [0.0; 8]);
    }

    #[test]
    fn distances_agree_with_scipy_and_are_the_same_at_any_thread_count() {
        let mask = mask([17, 23, 29], [3.0, 0.8, 0.5], |[i, j, k]| (i * 7 + j * 13 + k * 29) % 97 == 0);
        let threads = |count| rayon::ThreadPoolBuilder::new().num_threads(count).build().unwrap();
        let one = threads(1).install(|| distance(&mask)).unwrap();
        let five = threads(5).install(|| distance(&mask)).unwrap();
        assert_eq!(one, five);
        // SciPy 1.17.1: distance_transform_edt(~mask, sampling=(3, .8, .5)), sum, maximum and one voxel.
        assert!((one.voxels.iter().sum::<f64>() - SCIPY[0]).abs() < 1e-8);
        assert!((one.voxels.iter().copied().fold(0.0, f64::max) - SCIPY[1]).abs() < 1e-12);
        assert!((one.voxels[one.index([9, 3, 20])] - SCIPY[2]).abs() < 1e-12);
    }

    const SCIPY: [f64; 3] = [39_324.905_795_511_906, 10.049_875_621_120_89, 1.676_305_461_424_021_1];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        #[test]
        fn the_transform_is_the_minimum_over_all_voxels_of_the_mask(
            shape in prop::array::uniform3(1_usize..12),
            spacing in prop::array::uniform3(0.05_f64..8.0),
            density in 1_u64..60,
            seed in any::<u64>(),
        ) {
            let draw = |[i, j, k]: [usize; 3]| {
                let mixed = (seed ^ (i as u64) << 40 ^ (j as u64) << 20 ^ k as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                (mixed ^ mixed >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 32
            };
            let mask = mask(shape, spacing, |voxel| draw(voxel) % 60 < density);
            let expected = brute_force(&mask);
            match squared_distance(&mask) {
                None => prop_assert!(!mask.voxels.contains(&true)),
                Some(squares) => for (found, expected) in squares.voxels.iter().zip(expected) {
                    prop_assert!((found - expected).abs() <= 1e-12 * expected, "{} is not {}", found, expected);
                }
            }
        }
    }
}
