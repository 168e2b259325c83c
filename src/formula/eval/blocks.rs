//! The units of the evaluator's work: chunks of voxels for threads, blocks of voxels for the cache, and the choice of the
//! largest values.

use rayon::prelude::*;

use crate::formula::real::Real;

/// Voxels per block: all values and adjoints of a 30-word formula stay in the second-level cache.
pub(super) const BLOCK: usize = 256;

/// A run of voxels of one sample and class.
#[derive(Clone, Copy)]
pub(super) struct Chunk {
    pub(super) region: usize,
    /// First voxel, counted over all regions.
    pub(super) start: usize,
    pub(super) length: usize,
}

/// First voxel and length of the blocks of a chunk.
pub(super) fn block_ranges(chunk: Chunk) -> impl Iterator<Item = (usize, usize)> {
    (0..chunk.length).step_by(BLOCK).map(move |from| (chunk.start + from, BLOCK.min(chunk.length - from)))
}

/// Marks the `percent` largest of the values that count, at least one; of equals the first. No mark if none counts.
pub(in crate::formula) fn largest(values: &[f64], percent: f64, counts: impl Fn(usize) -> bool) -> Vec<bool> {
    let mut order: Vec<usize> = (0..values.len()).filter(|i| counts(*i)).collect();
    // A third of 10 % of 72 voxels times 3 classes are 7 voxels and not, by rounding, 6.
    let count = (order.len() as f64 * percent / 100.0 + 1e-9).floor() as usize;
    let count = count.clamp(order.len().min(1), order.len());
    if count < order.len() {
        order.select_nth_unstable_by(count, |a, b| values[*b].total_cmp(&values[*a]).then(a.cmp(b)));
    }
    let mut kept = vec![false; values.len()];
    for i in &order[..count] {
        kept[*i] = true;
    }
    kept
}

/// Values and adjoints of all steps for one block of voxels.
pub(super) struct Blocks<R> {
    pub(super) values: Vec<R>,
    pub(super) adjoints: Vec<R>,
}

impl<R: Real> Blocks<R> {
    pub(super) fn new(steps: usize) -> Self {
        Self { values: vec![R::ZERO; steps * BLOCK], adjoints: vec![R::ZERO; steps * BLOCK] }
    }

    pub(super) fn value(&self, step: usize, length: usize) -> &[R] {
        &self.values[step * BLOCK..][..length]
    }

    pub(super) fn adjoint(&mut self, step: usize, length: usize) -> &mut [R] {
        &mut self.adjoints[step * BLOCK..][..length]
    }

    pub(super) fn clear(&mut self, pass: &[usize]) {
        for s in pass {
            self.adjoints[s * BLOCK..][..BLOCK].fill(R::ZERO);
        }
    }
}

/// The blocks of two different steps.
pub(super) fn both<R>(blocks: &mut [R], one: usize, other: usize, length: usize) -> [&mut [R]; 2] {
    let (before, after) = blocks.split_at_mut(one.max(other) * BLOCK);
    let (first, second) = (&mut before[one.min(other) * BLOCK..][..length], &mut after[..length]);
    if one < other { [first, second] } else { [second, first] }
}

/// Does all of the work and returns the results in its order; alone on the calling thread if there is one piece only,
/// because waking another thread takes longer than that.
pub(super) fn in_parallel<T: Send, U: Send>(work: Vec<T>, f: impl Fn(T) -> U + Send + Sync) -> Vec<U> {
    if work.len() == 1 { work.into_iter().map(f).collect() } else { work.into_par_iter().map(f).collect() }
}
