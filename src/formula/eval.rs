//! The value of a formula and its gradient by the logits, in `f64`: the definition of what a formula means.
//!
//! Every level of the plan is one pass over the voxels in blocks that stay in cache. Forward, a pass fills the sums of
//! its reductions. Backward, it recomputes the block, seeds the reduced steps with the adjoints of their reductions and
//! sweeps the block in reverse, writing dL/dlogit. No tape of the volume's size is kept.
//!
//! The loss is the mean of the root over samples and classes. Chunks have a fixed size and their sums are added in
//! order, so the result does not depend on the number of threads.

use rayon::prelude::*;

use super::inputs::{CHUNK, Leaves};
pub use super::inputs::{Inputs, Sample};
use super::plan::{Plan, Step};
use super::word::{Op, Rank, Reduction};

/// Voxels per block: all values and adjoints of a 30-word formula stay in the second-level cache.
const BLOCK: usize = 256;

/// The loss.
///
/// # Panics
/// If the arrays do not have the announced size, or the plan has a value per voxel: both are errors of the caller.
pub fn value<T: Sample>(plan: &Plan, inputs: &Inputs<'_, T>) -> f64 {
    let mut machine = Machine::new(plan, inputs);
    machine.forward();
    machine.loss()
}

/// The loss; dL/dlogit is written to `gradient`, which has the size of the logits.
///
/// # Panics
/// As [`value`].
pub fn gradient<T: Sample>(plan: &Plan, inputs: &Inputs<'_, T>, gradient: &mut [T]) -> f64 {
    assert_eq!(gradient.len(), inputs.logits.len(), "gradient and logits differ in size");
    let mut machine = Machine::new(plan, inputs);
    machine.forward();
    machine.backward(gradient);
    machine.loss()
}

/// What a reduction hands back to each voxel of what it reduces.
struct Seed<'a> {
    step: usize,
    /// Per region.
    weights: Vec<f64>,
    /// For `mean_top`, which voxels were kept.
    kept: Option<&'a [bool]>,
}

/// A run of voxels of one sample and class.
#[derive(Clone, Copy)]
struct Chunk {
    region: usize,
    /// First voxel, counted over all regions.
    start: usize,
    length: usize,
}

struct Machine<'a> {
    plan: &'a Plan,
    classes: usize,
    progress: f64,
    /// Voxels of one sample and class.
    voxels: usize,
    regions: usize,
    chunks: Vec<Chunk>,
    leaves: Leaves,
    /// `[step][region]`; empty for steps with a value per voxel.
    values: Vec<Vec<f64>>,
    /// dL/dvalue, as `values`.
    adjoints: Vec<Vec<f64>>,
    /// For each `mean_top`: which voxels are kept.
    kept: Vec<(usize, Vec<bool>)>,
}

impl<'a> Machine<'a> {
    fn new<T: Sample>(plan: &'a Plan, inputs: &Inputs<'_, T>) -> Self {
        let regions = inputs.samples * inputs.classes;
        assert_eq!(inputs.logits.len(), inputs.targets.len(), "logits and targets differ in size");
        assert!(regions > 0 && inputs.logits.len().is_multiple_of(regions), "regions do not divide the voxels");
        assert!(plan.steps.last().is_some_and(|root| root.rank != Rank::Voxel), "a loss has no value per voxel");
        let voxels = inputs.logits.len() / regions;
        let chunks = (0..regions)
            .flat_map(|region| {
                (0..voxels).step_by(CHUNK).map(move |start| Chunk {
                    region,
                    start: region * voxels + start,
                    length: CHUNK.min(voxels - start),
                })
            })
            .collect();
        let rows = || plan.steps.iter().map(|s| vec![0.0; if s.rank == Rank::Voxel { 0 } else { regions }]).collect();
        Self {
            plan,
            classes: inputs.classes,
            progress: inputs.progress,
            voxels,
            regions,
            chunks,
            leaves: Leaves::new(plan, inputs),
            values: rows(),
            adjoints: rows(),
            kept: Vec::new(),
        }
    }

    fn loss(&self) -> f64 {
        self.values.last().map_or(0.0, |root| root.iter().sum::<f64>() / self.regions as f64)
    }

    fn forward(&mut self) {
        self.region_steps(0);
        for level in 1..=self.plan.passes.len() {
            self.reduce(level);
            self.region_steps(level);
        }
    }

    /// The steps of a level with one value per sample and class, reductions apart.
    fn region_steps(&mut self, level: usize) {
        for (s, step) in self.plan.steps.iter().enumerate() {
            if step.level != level || step.rank == Rank::Voxel {
                continue;
            }
            let (before, after) = self.values.split_at_mut(s);
            let out = &mut after[0];
            match &step.word.word().op {
                Op::Number | Op::Parameter { .. } => out.fill(step.value),
                Op::Progress => out.fill(self.progress),
                Op::Pointwise(kernel) => {
                    // One region at a time: the kernel of powers takes one exponent for a whole block.
                    let (left, right) = operands(step);
                    for region in 0..self.regions {
                        let one = region..region + 1;
                        (kernel.value)(&before[left][one.clone()], &before[right][one.clone()], &mut out[one]);
                    }
                }
                Op::Leaf(_) | Op::Reduce(_) => {}
            }
        }
    }

    /// Fills the reductions of a level by one pass over the voxels.
    fn reduce(&mut self, level: usize) {
        let targets: Vec<usize> = self.plan.reductions(level).collect();
        let pass = &self.plan.passes[level - 1];
        let tops: Vec<usize> =
            targets.iter().copied().filter(|s| reduction(&self.plan.steps[*s]) == Reduction::MeanTop).collect();
        let partial: Vec<(Vec<f64>, Vec<Vec<f64>>)> = self
            .chunks
            .par_iter()
            .map(|chunk| {
                let mut sums = vec![0.0; targets.len()];
                let mut kept = vec![Vec::new(); tops.len()];
                let mut blocks = Blocks::new(self.plan.steps.len());
                for (start, length) in block_ranges(*chunk) {
                    self.fill(pass, chunk.region, start, length, &mut blocks);
                    for (sum, target) in sums.iter_mut().zip(&targets) {
                        *sum += blocks.value(reduced(&self.plan.steps[*target]), length).iter().sum::<f64>();
                    }
                    for (kept, top) in kept.iter_mut().zip(&tops) {
                        kept.extend_from_slice(blocks.value(reduced(&self.plan.steps[*top]), length));
                    }
                }
                (sums, kept)
            })
            .collect();

        for (i, target) in targets.iter().enumerate() {
            let mut sums = vec![0.0; self.regions];
            for (chunk, (partial, _)) in self.chunks.iter().zip(&partial) {
                sums[chunk.region] += partial[i];
            }
            let step = &self.plan.steps[*target];
            let one = self.voxels as f64;
            let batch = (self.regions / self.classes) as f64;
            self.values[*target] = match reduction(step) {
                Reduction::Mean => sums.iter().map(|sum| sum / one).collect(),
                Reduction::Sum => sums,
                Reduction::MeanBatch => self.over_batch(&sums).iter().map(|sum| sum / (one * batch)).collect(),
                Reduction::SumBatch => self.over_batch(&sums),
                Reduction::MeanTop => {
                    let top = tops.iter().position(|s| s == target).expect("every mean_top of the level is listed");
                    let all: Vec<f64> = partial.iter().flat_map(|(_, kept)| kept[top].iter().copied()).collect();
                    let percent = self.values[step.arguments[0]][0];
                    let kept = largest(&all, percent);
                    let count = kept.iter().filter(|k| **k).count() as f64;
                    let mean = all.iter().zip(&kept).filter(|(_, k)| **k).map(|(v, _)| v).sum::<f64>() / count;
                    self.kept.push((*target, kept));
                    vec![mean; self.regions]
                }
            };
        }
    }

    /// For each region the sum over all samples of its class.
    fn over_batch(&self, rows: &[f64]) -> Vec<f64> {
        (0..self.regions).map(|r| rows[r % self.classes..].iter().step_by(self.classes).sum()).collect()
    }

    fn backward<T: Sample>(&mut self, gradient: &mut [T]) {
        // Adjoints by logit are summed in f64 over the passes and rounded once.
        let mut by_logit = vec![0.0; gradient.len()];
        let root = self.plan.steps.len() - 1;
        self.adjoints[root] = vec![1.0 / self.regions as f64; self.regions];
        for level in (1..=self.plan.passes.len()).rev() {
            self.region_adjoints(level);
            self.voxel_adjoints(level, &mut by_logit);
        }
        for (out, value) in gradient.iter_mut().zip(by_logit) {
            *out = T::round(value);
        }
    }

    /// Hands the adjoints of the level's region steps to their arguments.
    fn region_adjoints(&mut self, level: usize) {
        for (s, step) in self.plan.steps.iter().enumerate().rev() {
            let Op::Pointwise(kernel) = &step.word.word().op else { continue };
            if step.level != level || step.rank == Rank::Voxel {
                continue;
            }
            let (left, right) = operands(step);
            for region in 0..self.regions {
                let (mut by_left, mut by_right) = ([0.0], [0.0]);
                let one = region..region + 1;
                (kernel.slope)(&self.values[left][one.clone()], &self.values[right][one], &mut by_left, &mut by_right);
                let adjoint = self.adjoints[s][region];
                self.adjoints[left][region] += adjoint * by_left[0];
                if step.arguments.len() > 1 {
                    self.adjoints[right][region] += adjoint * by_right[0];
                }
            }
        }
    }

    /// One pass backward: from the adjoints of the level's reductions to dL/dlogit and to the adjoints of the values
    /// per sample which the pass used.
    fn voxel_adjoints(&mut self, level: usize, by_logit: &mut [f64]) {
        let plan = self.plan;
        let targets: Vec<usize> = plan.reductions(level).collect();
        let pass = &plan.passes[level - 1];
        let used: Vec<usize> = pass.iter().copied().filter(|s| plan.steps[*s].rank != Rank::Voxel).collect();
        let seeds: Vec<Seed<'_>> = targets.iter().map(|target| self.seed(*target)).collect();

        let slices: Vec<&mut [f64]> =
            by_logit.chunks_mut(self.voxels).flat_map(|region| region.chunks_mut(CHUNK)).collect();
        let partial: Vec<Vec<f64>> = self
            .chunks
            .par_iter()
            .zip(slices)
            .map(|(chunk, out)| {
                let mut sums = vec![0.0; used.len()];
                let mut blocks = Blocks::new(plan.steps.len());
                for (start, length) in block_ranges(*chunk) {
                    self.fill(pass, chunk.region, start, length, &mut blocks);
                    blocks.clear(pass);
                    for Seed { step, weights, kept } in &seeds {
                        let weight = weights[chunk.region];
                        for (i, adjoint) in blocks.adjoint(*step, length).iter_mut().enumerate() {
                            *adjoint += if kept.is_none_or(|kept| kept[start + i]) { weight } else { 0.0 };
                        }
                    }
                    let out = &mut out[start - chunk.start..][..length];
                    self.sweep(pass, start, length, &mut blocks, out);
                    for (sum, step) in sums.iter_mut().zip(&used) {
                        *sum += blocks.adjoint(*step, length).iter().sum::<f64>();
                    }
                }
                sums
            })
            .collect();
        for (chunk, sums) in self.chunks.iter().zip(partial) {
            for (step, sum) in used.iter().zip(sums) {
                self.adjoints[*step][chunk.region] += sum;
            }
        }
    }

    fn seed(&self, target: usize) -> Seed<'_> {
        let adjoint = &self.adjoints[target];
        let one = self.voxels as f64;
        let batch = (self.regions / self.classes) as f64;
        let step = &self.plan.steps[target];
        let scaled = |rows: &[f64], divisor: f64| rows.iter().map(|a| a / divisor).collect::<Vec<f64>>();
        let kept = self.kept.iter().find(|(s, _)| *s == target).map(|(_, kept)| kept.as_slice());
        let weights = match reduction(step) {
            Reduction::Mean => scaled(adjoint, one),
            Reduction::Sum => adjoint.clone(),
            Reduction::MeanBatch => scaled(&self.over_batch(adjoint), one * batch),
            Reduction::SumBatch => self.over_batch(adjoint),
            Reduction::MeanTop => {
                let count = kept.map_or(1, |kept| kept.iter().filter(|k| **k).count());
                vec![adjoint.iter().sum::<f64>() / count as f64; self.regions]
            }
        };
        Seed { step: reduced(step), weights, kept }
    }

    /// Computes the steps of a pass for one block.
    fn fill(&self, pass: &[usize], region: usize, start: usize, length: usize, blocks: &mut Blocks) {
        let leaves = self.leaves.block(start, length);
        for s in pass {
            let step = &self.plan.steps[*s];
            let (before, out) = blocks.values.split_at_mut(s * BLOCK);
            let out = &mut out[..length];
            match &step.word.word().op {
                _ if step.rank != Rank::Voxel => out.fill(self.values[*s][region]),
                Op::Leaf(kernel) => (kernel.value)(&leaves, out),
                Op::Pointwise(kernel) => {
                    let (left, right) = operands(step);
                    (kernel.value)(&before[left * BLOCK..][..length], &before[right * BLOCK..][..length], out);
                }
                _ => unreachable!("a step with a value per voxel is a leaf or an operation"),
            }
        }
    }

    /// Sweeps one block in reverse and adds dL/dlogit to `out`.
    fn sweep(&self, pass: &[usize], start: usize, length: usize, blocks: &mut Blocks, out: &mut [f64]) {
        let leaves = self.leaves.block(start, length);
        let (mut by_left, mut by_right) = ([0.0; BLOCK], [0.0; BLOCK]);
        for s in pass.iter().rev() {
            let step = &self.plan.steps[*s];
            if step.rank != Rank::Voxel {
                continue;
            }
            let (before, own) = blocks.adjoints.split_at_mut(s * BLOCK);
            let own = &own[..length];
            match &step.word.word().op {
                Op::Leaf(kernel) => {
                    (kernel.slope)(&leaves, &mut by_left[..length]);
                    for ((out, slope), adjoint) in out.iter_mut().zip(&by_left).zip(own) {
                        *out += slope * adjoint;
                    }
                }
                Op::Pointwise(kernel) => {
                    let (left, right) = operands(step);
                    let values = &blocks.values;
                    let (x, y) = (&values[left * BLOCK..][..length], &values[right * BLOCK..][..length]);
                    (kernel.slope)(x, y, &mut by_left[..length], &mut by_right[..length]);
                    let slopes = [&by_left, &by_right];
                    for (argument, slopes) in step.arguments.iter().zip(slopes) {
                        let adjoints = &mut before[argument * BLOCK..][..length];
                        for ((to, slope), adjoint) in adjoints.iter_mut().zip(slopes).zip(own) {
                            *to += slope * adjoint;
                        }
                    }
                }
                _ => unreachable!("a step with a value per voxel is a leaf or an operation"),
            }
        }
    }
}

/// The operands of an operation; one with a single argument ignores the second.
fn operands(step: &Step) -> (usize, usize) {
    (step.arguments[0], *step.arguments.last().expect("an operation has arguments"))
}

/// The step that a reduction reduces.
fn reduced(step: &Step) -> usize {
    *step.arguments.last().expect("a reduction has an argument")
}

fn reduction(step: &Step) -> Reduction {
    match step.word.word().op {
        Op::Reduce(reduction) => reduction,
        _ => unreachable!("only reductions are asked for"),
    }
}

/// First voxel and length of the blocks of a chunk.
fn block_ranges(chunk: Chunk) -> impl Iterator<Item = (usize, usize)> {
    (0..chunk.length).step_by(BLOCK).map(move |from| (chunk.start + from, BLOCK.min(chunk.length - from)))
}

/// Marks the `percent` largest values, at least one; of equals the first.
fn largest(values: &[f64], percent: f64) -> Vec<bool> {
    let count = ((values.len() as f64 * percent / 100.0).floor() as usize).clamp(1, values.len());
    let mut order: Vec<usize> = (0..values.len()).collect();
    if count < values.len() {
        order.select_nth_unstable_by(count, |a, b| values[*b].total_cmp(&values[*a]).then(a.cmp(b)));
    }
    let mut kept = vec![false; values.len()];
    for i in &order[..count] {
        kept[*i] = true;
    }
    kept
}

/// Values and adjoints of all steps for one block of voxels.
struct Blocks {
    values: Vec<f64>,
    adjoints: Vec<f64>,
}

impl Blocks {
    fn new(steps: usize) -> Self {
        Self { values: vec![0.0; steps * BLOCK], adjoints: vec![0.0; steps * BLOCK] }
    }

    fn value(&self, step: usize, length: usize) -> &[f64] {
        &self.values[step * BLOCK..][..length]
    }

    fn adjoint(&mut self, step: usize, length: usize) -> &mut [f64] {
        &mut self.adjoints[step * BLOCK..][..length]
    }

    fn clear(&mut self, pass: &[usize]) {
        for s in pass {
            self.adjoints[s * BLOCK..][..BLOCK].fill(0.0);
        }
    }
}
