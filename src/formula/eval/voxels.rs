//! Steps with one value per voxel: one pass over the voxels per level, forward to fill its reductions, backward from their
//! adjoints to the logits.

use super::blocks::{BLOCK, Blocks, Chunk, block_ranges, both, in_parallel, largest};
use super::inputs::CHUNK;
use super::{Machine, operands, reduced, reduction};
use crate::formula::real::Real;
use crate::formula::word::{Op, Rank, Reduction};

/// What a reduction hands back to each voxel of what it reduces.
struct Seed<'a> {
    step: usize,
    /// Per region.
    weights: Vec<f64>,
    /// For `mean_top`, which voxels were kept.
    kept: Option<&'a [bool]>,
}

impl<R: Real> Machine<'_, R> {
    /// Fills the reductions of a level by one pass over the voxels.
    pub(super) fn reduce(&mut self, level: usize) {
        let targets: Vec<usize> = self.plan.reductions(level).collect();
        let pass = &self.plan.passes[level - 1];
        let tops: Vec<usize> =
            targets.iter().copied().filter(|s| reduction(&self.plan.steps[*s]) == Reduction::MeanTop).collect();
        let partial = in_parallel(self.batch.chunks.clone(), |chunk| {
            let mut sums = vec![0.0; targets.len()];
            let mut kept = vec![Vec::new(); tops.len()];
            let mut blocks = self.blocks(pass, chunk.region);
            for (start, length) in block_ranges(chunk) {
                self.fill(pass, start, length, &mut blocks);
                for (sum, target) in sums.iter_mut().zip(&targets) {
                    *sum += self.batch.sum(blocks.value(reduced(&self.plan.steps[*target]), length), start);
                }
                for (kept, top) in kept.iter_mut().zip(&tops) {
                    let values = blocks.value(reduced(&self.plan.steps[*top]), length);
                    kept.extend(values.iter().map(|value| value.wide()));
                }
            }
            (sums, kept)
        });

        for (i, target) in targets.iter().enumerate() {
            let mut sums = vec![0.0; self.batch.regions];
            for (chunk, (partial, _)) in self.batch.chunks.iter().zip(&partial) {
                sums[chunk.region] += partial[i];
            }
            let step = &self.plan.steps[*target];
            self.values[*target] = match reduction(step) {
                Reduction::Mean => self.batch.per_voxel(&sums),
                Reduction::Sum => sums,
                Reduction::MeanBatch => {
                    self.batch.over_batch(&sums).iter().map(|sum| sum / self.batch.batch_voxels()).collect()
                }
                Reduction::SumBatch => self.batch.over_batch(&sums),
                Reduction::MeanTop => {
                    let top = tops.iter().position(|s| s == target).expect("every mean_top of the level is listed");
                    let all: Vec<f64> = partial.iter().flat_map(|(_, kept)| kept[top].iter().copied()).collect();
                    let percent = self.values[step.arguments[0]][0];
                    let kept = largest(&all, percent, |voxel| self.batch.is_valid(voxel));
                    let count = kept.iter().filter(|k| **k).count().max(1) as f64;
                    let mean = all.iter().zip(&kept).filter(|(_, k)| **k).map(|(v, _)| v).sum::<f64>() / count;
                    self.kept.push((*target, kept));
                    vec![mean; self.batch.regions]
                }
            };
        }
    }

    /// One pass backward: from the adjoints of the level's reductions to dL/dlogit and to the adjoints of the values
    /// per sample which the pass used.
    pub(super) fn voxel_adjoints(&mut self, level: usize, by_logit: &mut [R]) {
        let plan = self.plan;
        let targets: Vec<usize> = plan.reductions(level).collect();
        let pass = &plan.passes[level - 1];
        let used: Vec<usize> = pass.iter().copied().filter(|s| plan.steps[*s].rank == Rank::Region).collect();
        let seeds: Vec<Seed<'_>> = targets.iter().map(|target| self.seed(*target)).collect();

        let slices = by_logit.chunks_mut(self.batch.voxels).flat_map(|region| region.chunks_mut(CHUNK));
        let work: Vec<(Chunk, &mut [R])> = self.batch.chunks.iter().copied().zip(slices).collect();
        let partial = in_parallel(work, |(chunk, out)| {
            let mut sums = vec![0.0; used.len()];
            let mut blocks = self.blocks(pass, chunk.region);
            for (start, length) in block_ranges(chunk) {
                self.fill(pass, start, length, &mut blocks);
                blocks.clear(pass);
                for seed in &seeds {
                    self.plant(seed, chunk.region, start, blocks.adjoint(seed.step, length));
                }
                let out = &mut out[start - chunk.start..][..length];
                self.sweep(pass, start, length, &mut blocks, out);
                for (sum, step) in sums.iter_mut().zip(&used) {
                    *sum += R::sum(self.batch.level, blocks.adjoint(*step, length));
                }
            }
            sums
        });
        for (chunk, sums) in self.batch.chunks.iter().zip(partial) {
            for (step, sum) in used.iter().zip(sums) {
                self.adjoints[*step][chunk.region] += sum;
            }
        }
    }

    /// Adds what a reduction hands back to each voxel of a block.
    fn plant(&self, seed: &Seed<'_>, region: usize, start: usize, adjoint: &mut [R]) {
        let weight = R::of(seed.weights[region]);
        if seed.kept.is_none() && !self.batch.is_masked() {
            for adjoint in adjoint {
                *adjoint += weight;
            }
            return;
        }
        for (i, adjoint) in adjoint.iter_mut().enumerate() {
            let counts = seed.kept.map_or_else(|| self.batch.is_valid(start + i), |kept| kept[start + i]);
            *adjoint += if counts { weight } else { R::ZERO };
        }
    }

    fn seed(&self, target: usize) -> Seed<'_> {
        let adjoint = &self.adjoints[target];
        let step = &self.plan.steps[target];
        let kept = self.kept.iter().find(|(s, _)| *s == target).map(|(_, kept)| kept.as_slice());
        let weights = match reduction(step) {
            Reduction::Mean => self.batch.per_voxel(adjoint),
            Reduction::Sum => adjoint.clone(),
            Reduction::MeanBatch => {
                self.batch.over_batch(adjoint).iter().map(|a| a / self.batch.batch_voxels()).collect()
            }
            Reduction::SumBatch => self.batch.over_batch(adjoint),
            Reduction::MeanTop => {
                let count = kept.map_or(1, |kept| kept.iter().filter(|k| **k).count()).max(1);
                vec![adjoint.iter().sum::<f64>() / count as f64; self.batch.regions]
            }
        };
        Seed { step: reduced(step), weights, kept }
    }

    /// Blocks for a pass over the voxels of a region, in which what does not differ between them stands already.
    fn blocks(&self, pass: &[usize], region: usize) -> Blocks<R> {
        let mut blocks = Blocks::new(self.plan.steps.len());
        for s in pass.iter().filter(|s| self.plan.steps[**s].rank != Rank::Voxel) {
            blocks.values[s * BLOCK..][..BLOCK].fill(R::of(self.values[*s][region]));
        }
        blocks
    }

    /// Computes the steps of a pass for one block.
    fn fill(&self, pass: &[usize], start: usize, length: usize, blocks: &mut Blocks<R>) {
        let leaves = self.batch.leaves.block(start, length);
        for s in pass {
            let step = &self.plan.steps[*s];
            let (before, out) = blocks.values.split_at_mut(s * BLOCK);
            let out = &mut out[..length];
            match &step.word.word().op {
                _ if step.rank != Rank::Voxel => {}
                Op::Leaf(kernel) => R::leaf(kernel, self.batch.level, &leaves, out),
                Op::Map(map) => out.copy_from_slice(self.batch.leaves.map(*map, start, length)),
                Op::Pointwise(kernel) => {
                    let (left, right) = operands(step);
                    let (left, right) = (&before[left * BLOCK..][..length], &before[right * BLOCK..][..length]);
                    R::binary(kernel, self.batch.level, left, right, out);
                }
                _ => unreachable!("a step with a value per voxel is a leaf or an operation"),
            }
        }
    }

    /// Sweeps one block in reverse and adds dL/dlogit to `out`.
    fn sweep(&self, pass: &[usize], start: usize, length: usize, blocks: &mut Blocks<R>, out: &mut [R]) {
        let leaves = self.batch.leaves.block(start, length);
        for s in pass.iter().rev() {
            let step = &self.plan.steps[*s];
            if step.rank != Rank::Voxel {
                continue;
            }
            let (before, own) = blocks.adjoints.split_at_mut(s * BLOCK);
            let own = &own[..length];
            match &step.word.word().op {
                Op::Leaf(kernel) => R::leaf_push(kernel, self.batch.level, &leaves, own, out),
                Op::Pointwise(kernel) => {
                    let (left, right) = operands(step);
                    let values = [left, right].map(|argument| &blocks.values[argument * BLOCK..][..length]);
                    if left == right {
                        let mut to_right = [R::ZERO; BLOCK];
                        let to = [&mut before[left * BLOCK..][..length], &mut to_right[..length]];
                        R::binary_push(kernel, self.batch.level, values, own, to);
                        if step.arguments.len() > 1 {
                            let to = &mut before[left * BLOCK..][..length];
                            to.iter_mut().zip(to_right).for_each(|(to, more)| *to += more);
                        }
                    } else {
                        let to = both(before, left, right, length);
                        R::binary_push(kernel, self.batch.level, values, own, to);
                    }
                }
                Op::Map(_) => {}
                _ => unreachable!("a step with a value per voxel is a leaf or an operation"),
            }
        }
    }
}
