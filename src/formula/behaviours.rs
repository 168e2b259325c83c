//! Everything that is known to behave, found by how it behaves: which of many directions lies within
//! [`SAME`] of a given one.
//!
//! Directions are compared, never rounded into a key. Projections of a direction on a few fixed axes say in which cell
//! of a grid it lies; no projection moves more than the distance itself, so whoever is within `SAME` lies in the same
//! cell or in one whose edge is that near, and only those few are compared. The answer is that of a scan of all.

use std::collections::HashMap;

use rayon::prelude::*;

use super::fingerprint::{Probe, SAME, VOXELS, probes};

/// Axes of the grid.
const AXES: usize = 4;

/// Edge of a cell: a few times `SAME`, so that most look-ups end in one cell, and far below the spread of losses.
const CELL: f64 = 8.0 * SAME;

/// Directions, numbered in the order of their arrival.
#[derive(Debug, Clone)]
pub struct Behaviours {
    known: Vec<Vec<f32>>,
    cells: HashMap<[i32; AXES], Vec<u32>>,
    /// For each axis the sign that every voxel has.
    axes: [Vec<f32>; AXES],
}

impl Default for Behaviours {
    /// Nothing is known.
    fn default() -> Self {
        Self { known: Vec::new(), cells: HashMap::new(), axes: std::array::from_fn(|axis| signs(axis, &probes())) }
    }
}

/// The signs of an axis: for all voxels of one side of a sample the same, against the direction in which losses push
/// them, so that their pushes add up instead of cancelling; else every loss would lie near 0.
fn signs(axis: usize, probes: &[Probe]) -> Vec<f32> {
    let side = |(at, y): (usize, &f64)| {
        let block = 2 * (at / VOXELS) + usize::from(*y > 0.5);
        // A different, balanced half of the blocks for every axis: a bit of a Weyl sequence.
        let half = (block as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (63 - axis) & 1;
        let sign = if half == 1 { 1.0 } else { -1.0 };
        if *y > 0.5 { -sign } else { sign }
    };
    probes.iter().flat_map(|probe| &probe.targets).enumerate().map(side).collect()
}

impl Behaviours {
    /// How many are known.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// All of them, in the order of their arrival.
    pub fn directions(&self) -> &[Vec<f32>] {
        &self.known
    }

    /// The first arrival that behaves the same.
    pub fn find(&self, direction: &[f32]) -> Option<usize> {
        let at = self.projections(direction);
        // For each axis the own cell, and a neighbour whose edge is within reach.
        let near = at.map(|x| {
            let own = x.floor();
            let reach = 1.01 * SAME / CELL;
            let other = if x - own < reach { own - 1.0 } else { own + 1.0 };
            let needed = x - own < reach || own + 1.0 - x < reach;
            [Some(own as i32), needed.then_some(other as i32)]
        });
        let mut first: Option<u32> = None;
        for choice in 0..1usize << AXES {
            let cell: Option<Vec<i32>> = (0..AXES).map(|axis| near[axis][choice >> axis & 1]).collect();
            let Some(cell) = cell.and_then(|cell| <[i32; AXES]>::try_from(cell).ok()) else { continue };
            let alike = |other: &&u32| difference(&self.known[**other as usize], direction, SAME) < SAME;
            let found = self.cells.get(&cell).and_then(|cell| cell.iter().find(alike)).copied();
            first = found.into_iter().chain(first).min();
        }
        first.map(|number| number as usize)
    }

    /// Adds a direction, whether it is new or not; its number.
    pub fn insert(&mut self, direction: Vec<f32>) -> usize {
        let number = self.known.len();
        let cell = self.projections(&direction).map(|x| x.floor() as i32);
        self.cells.entry(cell).or_default().push(number as u32);
        self.known.push(direction);
        number
    }

    /// The nearest of them and its distance, of equals the first; `None` if none is known.
    pub fn nearest(&self, direction: &[f32]) -> Option<(usize, f64)> {
        let distances: Vec<f64> =
            self.known.par_iter().map(|known| difference(known, direction, f64::INFINITY)).collect();
        distances.into_iter().enumerate().min_by(|(_, a), (_, b)| a.total_cmp(b))
    }

    /// Where a direction stands on every axis, in cells.
    fn projections(&self, direction: &[f32]) -> [f64; AXES] {
        let scale = direction.len().max(1) as f64 * CELL;
        std::array::from_fn(|axis| f64::from(lanes(direction, &self.axes[axis], |a, sign| a * sign)) / scale)
    }
}

/// Root mean square of the difference of two directions, as [`distance`](super::fingerprint::distance); whatever is
/// farther than `enough` may come out too small, but not below it.
pub fn difference(a: &[f32], b: &[f32], enough: f64) -> f64 {
    let most = enough * enough * a.len() as f64;
    let mut sum = 0.0;
    for (a, b) in a.chunks(2 * VOXELS).zip(b.chunks(2 * VOXELS)) {
        sum += f64::from(lanes(a, b, |a, b| (a - b) * (a - b)));
        if sum > most {
            break;
        }
    }
    (sum / a.len().max(1) as f64).sqrt()
}

/// A sum over pairs, sixteen side by side: the order of additions is the same on every machine.
#[inline(always)]
fn lanes(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut sums = [0f32; 16];
    let (blocks_a, blocks_b) = (a.chunks_exact(16), b.chunks_exact(16));
    let rest = blocks_a.remainder().iter().zip(blocks_b.remainder()).map(|(a, b)| f(*a, *b)).sum::<f32>();
    for (a, b) in blocks_a.zip(blocks_b) {
        for lane in 0..16 {
            sums[lane] += f(a[lane], b[lane]);
        }
    }
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formula::fingerprint::{answers, direction, distance};
    use crate::formula::plan::Plan;
    use crate::grammar::Grammar;
    use crate::rng::{Purpose, stream};

    #[test]
    fn look_ups_find_what_a_scan_finds() {
        let (grammar, probes) = (Grammar::polarity(), probes());
        let mut behaviours = Behaviours::default();
        let mut hits = 0;
        for slot in 0..1500 {
            let loss = grammar.sample_loss(7, &mut stream(15, Purpose::Birth, 0, slot));
            let Some(pushes) = direction(&answers(&Plan::new(&loss), &probes)) else { continue };
            // Neighbours at all distances around the limit, on all sides.
            let nudged: Vec<f32> = pushes
                .iter()
                .enumerate()
                .map(|(at, push)| push + if at.is_multiple_of(3) { 1.7e-3 * (slot % 3) as f32 / 2.0 } else { 0.0 })
                .collect();
            for pushes in [pushes, nudged] {
                let scanned = behaviours.known.iter().position(|known| distance(known, &pushes) < SAME);
                assert_eq!(behaviours.find(&pushes), scanned, "{loss}");
                match scanned {
                    Some(_) => hits += 1,
                    None => assert_eq!(behaviours.insert(pushes) + 1, behaviours.len()),
                }
            }
        }
        assert!(hits > 300 && behaviours.len() > 300, "{hits} of {}", behaviours.len());
    }

    #[test]
    fn cells_are_small() {
        let (grammar, probes) = (Grammar::polarity(), probes());
        let mut behaviours = Behaviours::default();
        for slot in 0..1000 {
            let loss = grammar.sample_loss(12, &mut stream(16, Purpose::Birth, 0, slot));
            let pushes = direction(&answers(&Plan::new(&loss), &probes));
            if let Some(pushes) = pushes.filter(|pushes| behaviours.find(pushes).is_none()) {
                behaviours.insert(pushes);
            }
        }
        let fullest = behaviours.cells.values().map(Vec::len).max().unwrap();
        assert!(fullest * 20 < behaviours.len(), "{fullest} of {} in one cell", behaviours.len());
    }

    #[test]
    fn the_nearest_is_the_first_of_equals() {
        let mut behaviours = Behaviours::default();
        assert_eq!(behaviours.nearest(&[0.0; 960]), None);
        for value in [3.0, 1.0, 1.0, 2.0] {
            behaviours.insert(vec![value; 960]);
        }
        assert_eq!(behaviours.nearest(&[0.5; 960]), Some((1, 0.5)));
    }
}
