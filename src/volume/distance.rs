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
        slab.iter_mut().for_each(|steps| *steps = (*steps * spacing[0]).powi(2));
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
        let scale = (spacing * spacing).recip();
        for (position, base) in line.iter().copied().enumerate().filter(|(_, base)| base.is_finite()) {
            let key = base.mul_add_exact(scale, position);
            let mut from = 0;
            while let Some(last) = self.parabolas.last() {
                let crossing = ((key - last.key) * self.half_inverses[position - last.position]).ceil();
                // A cast saturates: what crosses left of the line is the lowest from its first voxel on.
                from = crossing as usize;
                if from > last.from {
                    break;
                }
                self.parabolas.pop();
                from = 0;
            }
            // What becomes the lowest right of the line never is.
            if from < line.len() {
                self.parabolas.push(Parabola { position, from, base, key });
            }
        }
        let mut end = line.len();
        for parabola in self.parabolas.iter().rev() {
            let centre = parabola.position as f64;
            for (x, value) in line[..end].iter_mut().enumerate().skip(parabola.from) {
                *value = parabola.base + ((x as f64 - centre) * spacing).powi(2);
            }
            end = parabola.from;
        }
    }
}
