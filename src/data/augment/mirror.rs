//! Mirroring a patch along its axes.
//!
//! Flips are exact: no voxel changes its value, only its place. A flip of i or j turns the spine upside down or front to
//! back, which no scanner produces; it is still a cheap way to show one volume as eight.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// An axis of the network's grid: of `preprocess.axes` if images are turned, else of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Axis {
    /// The first axis.
    I,
    /// The second axis.
    J,
    /// The third axis.
    K,
}

impl Axis {
    /// Which of i, j and k are among `axes`.
    pub fn chosen(axes: &[Self]) -> [bool; 3] {
        [Self::I, Self::J, Self::K].map(|axis| axes.contains(&axis))
    }
}

/// Draws which axes are flipped: each of `axes` with probability one half.
pub fn draw(axes: &[Axis], rng: &mut ChaCha8Rng) -> [bool; 3] {
    let mut flipped = [false; 3];
    for axis in axes {
        flipped[*axis as usize] = rng.random::<bool>();
    }
    flipped
}

/// Flips values of `shape` (last axis contiguous) in place.
pub fn apply<T>(values: &mut [T], [depth, height, width]: [usize; 3], [i, j, k]: [bool; 3]) {
    if k {
        values.chunks_exact_mut(width).for_each(<[T]>::reverse);
    }
    if j {
        values.chunks_exact_mut(height * width).for_each(|slab| swap_rows(slab, height, width));
    }
    if i {
        swap_rows(values, depth, height * width);
    }
}

/// Reverses the order of `count` rows of `length` values.
fn swap_rows<T>(values: &mut [T], count: usize, length: usize) {
    for row in 0..count / 2 {
        let (head, tail) = values.split_at_mut((count - 1 - row) * length);
        head[row * length..(row + 1) * length].swap_with_slice(&mut tail[..length]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn a_flip_sends_every_voxel_to_its_mirror_place() {
        let shape = [3, 4, 5];
        let at = |[i, j, k]: [usize; 3]| (i * 4 + j) * 5 + k;
        for flips in [[true, false, false], [false, true, false], [false, false, true], [true, true, true]] {
            let mut values: Vec<usize> = (0..60).collect();
            apply(&mut values, shape, flips);
            for voxel in [[0, 0, 0], [1, 2, 3], [2, 3, 4], [0, 3, 1]] {
                let mirrored: [usize; 3] =
                    std::array::from_fn(|a| if flips[a] { shape[a] - 1 - voxel[a] } else { voxel[a] });
                assert_eq!(values[at(voxel)], at(mirrored), "{flips:?} {voxel:?}");
            }
            apply(&mut values, shape, flips);
            assert!(values.iter().enumerate().all(|(place, value)| place == *value), "twice is nothing");
        }
    }

    #[test]
    fn only_the_named_axes_are_flipped_half_of_the_time() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let draws: Vec<[bool; 3]> = (0..1000).map(|_| draw(&[Axis::J], &mut rng)).collect();
        assert!(draws.iter().all(|flips| !flips[0] && !flips[2]));
        let flipped = draws.iter().filter(|flips| flips[1]).count();
        assert!((400..600).contains(&flipped), "{flipped}");
    }
}
