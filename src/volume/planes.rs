//! A volume resized while it comes, plane by plane: as [`super::resample::linear`], to the bit, without the volume.
//!
//! What is kept is what a plane of the result is made of: two planes where it grows, as many as one covers where it shrinks.

use std::collections::VecDeque;

use super::resample::{Weights, along, sources};

/// Takes planes of `[channels, height, width]` along the first axis and gives those of another shape.
pub struct Planes {
    channels: usize,
    old: [usize; 3],
    new: [usize; 3],
    /// For each axis, which old positions make a new one.
    sources: [Weights; 3],
    /// Old planes that are still needed; the first has the number `first`.
    held: VecDeque<Vec<f32>>,
    first: usize,
    /// The next plane to give.
    next: usize,
}

impl Planes {
    /// From `old` voxels to `new` ones in the same box; along the axis `coarse`, if any, planes are repeated.
    pub fn new(channels: usize, old: [usize; 3], new: [usize; 3], coarse: Option<usize>) -> Self {
        let as_it_is = |n: usize| (0..n).map(|position| vec![(position, 1.0)]).collect();
        let sources = std::array::from_fn(|axis| {
            if old[axis] == new[axis] {
                as_it_is(old[axis])
            } else {
                sources(coarse == Some(axis), old[axis], new[axis])
            }
        });
        Self { channels, old, new, sources, held: VecDeque::new(), first: 0, next: 0 }
    }

    /// Takes the next plane and gives every plane that can be made by now, in their order, with its number.
    ///
    /// # Errors
    /// Those of `give`.
    ///
    /// # Panics
    /// If the plane has another number of values, or there were enough.
    pub fn push<E>(&mut self, plane: &[f32], mut give: impl FnMut(usize, &[f32]) -> Result<(), E>) -> Result<(), E> {
        let [depth, height, width] = self.old;
        assert_eq!(plane.len(), self.channels * height * width, "a plane of another size");
        let number = self.first + self.held.len();
        assert!(number < depth, "there were {depth} planes already");
        if self.old == self.new {
            (self.first, self.next) = (number + 1, number + 1);
            return give(number, plane);
        }
        self.held.push_back(plane.to_vec());
        while let Some(sources) = self.sources[0].get(self.next) {
            if sources.iter().any(|(source, _)| *source > number) {
                break;
            }
            let mut made = vec![0.0; plane.len()];
            for (source, weight) in sources {
                let from = &self.held[source - self.first];
                made.iter_mut().zip(from).for_each(|(to, from)| *to += weight * from);
            }
            for (axis, shape) in [(1, [self.channels, height, width]), (2, [self.channels, self.new[1], width])] {
                if self.old[axis] != self.new[axis] {
                    made = along(axis, &made, shape, &self.sources[axis]);
                }
            }
            give(self.next, &made)?;
            self.next += 1;
        }
        let least = |list: &Vec<(usize, f32)>| list.iter().map(|(source, _)| *source).min().unwrap_or(number);
        let needed = self.sources[0].get(self.next).map_or(number + 1, least);
        while self.first < needed && self.held.pop_front().is_some() {
            self.first += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Grid, Volume, resample};
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn planes_are_those_of_the_whole_volume(
            old in [1_usize..7, 1_usize..7, 1_usize..7],
            new in [1_usize..7, 1_usize..7, 1_usize..7],
            channels in 1_usize..3,
            coarse in prop::option::of(0_usize..3),
        ) {
            let value = |channel: usize, voxel: usize| ((3 * channel + 1) as f32 * voxel as f32 * 0.7).sin();
            let whole: Vec<Vec<f32>> = (0..channels)
                .map(|channel| {
                    let grid = Grid::aligned(old, [1.0; 3]);
                    let voxels = (0..grid.voxels()).map(|voxel| value(channel, voxel)).collect();
                    resample::linear(&Volume { grid, voxels }, new, coarse).voxels
                })
                .collect();
            let (from, to) = (old[1] * old[2], new[1] * new[2]);
            let mut planes = Planes::new(channels, old, new, coarse);
            let mut given = 0;
            for plane in 0..old[0] {
                let values: Vec<f32> = (0..channels * from)
                    .map(|at| value(at / from, plane * from + at % from))
                    .collect();
                planes.push(&values, |number, made| {
                    assert_eq!(number, given);
                    for (channel, part) in made.chunks_exact(to).enumerate() {
                        assert_eq!(part, &whole[channel][number * to..(number + 1) * to], "{old:?} to {new:?}");
                    }
                    given += 1;
                    Ok::<(), ()>(())
                }).unwrap();
                prop_assert!(planes.held.len() <= 2 + old[0].div_ceil(new[0]));
            }
            prop_assert_eq!(given, new[0]);
        }
    }
}
