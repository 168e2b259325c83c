//! One evaluation on a panel: forward level by level, backward level by level, as in the definition.

use super::{Panel, Scratch};
use crate::formula::eval::blocks::largest;
use crate::formula::eval::{operands, reduced, reduction};
use crate::formula::kernel::BinaryKernel;
use crate::formula::plan::{Plan, Step};
use crate::formula::word::{Op, Rank, Reduction};

/// One evaluation.
pub(super) struct Run<'a> {
    pub(super) panel: &'a Panel,
    pub(super) plan: &'a Plan,
    pub(super) s: &'a mut Scratch,
}

impl Run<'_> {
    pub(super) fn forward(&mut self) {
        self.region_steps(0);
        for level in 1..=self.plan.passes.len() {
            self.fill(level);
            self.reduce(level);
            self.region_steps(level);
        }
    }

    pub(super) fn backward(&mut self) {
        let regions = self.panel.regions();
        let root = (self.plan.steps.len() - 1) * regions;
        self.s.row_adjoints[root..][..regions].fill(1.0 / self.panel.samples as f64);
        for level in (1..=self.plan.passes.len()).rev() {
            self.region_adjoints(level);
            self.voxel_adjoints(level);
        }
    }

    /// The steps of a level with one value per sample, reductions apart.
    fn region_steps(&mut self, level: usize) {
        let (panel, regions) = (self.panel, self.panel.regions());
        for (s, step) in self.plan.steps.iter().enumerate() {
            if step.level != level || step.rank == Rank::Voxel {
                continue;
            }
            let (before, after) = self.s.rows.split_at_mut(s * regions);
            let out = &mut after[..regions];
            let row = |argument: usize| &before[argument * regions..][..regions];
            match &step.word.word().op {
                Op::Number | Op::Parameter { .. } => out.fill(step.value),
                Op::Progress => {
                    out.chunks_mut(panel.samples).zip(&panel.progress).for_each(|(out, t)| out.fill(*t));
                }
                Op::Classes => out.fill(1.0),
                Op::Class => {
                    let number = row(step.arguments[0]);
                    out.iter_mut().zip(number).for_each(|(out, number)| *out = f64::from(*number == 0.0));
                }
                Op::VolumeWeight => out.copy_from_slice(&panel.volume_weights),
                // The only class, whatever is counted; divided by 1 as in the definition.
                Op::OverClasses(_) => out.copy_from_slice(row(step.arguments[1])),
                Op::Pointwise(kernel) => {
                    let (left, right) = operands(step);
                    let (left, right) = (row(left), row(right));
                    for range in runs(step, right, panel.samples) {
                        (kernel.double.value)(&left[range.clone()], &right[range.clone()], &mut out[range]);
                    }
                }
                Op::Leaf(_) | Op::Map(_) | Op::Reduce(_) => {}
            }
        }
    }

    /// Computes the steps that the reductions of a level need at every voxel.
    fn fill(&mut self, level: usize) {
        let (panel, all, regions) = (self.panel, self.panel.all(), self.panel.regions());
        for s in &self.plan.passes[level - 1] {
            if std::mem::replace(&mut self.s.filled[*s], true) {
                continue;
            }
            let step = &self.plan.steps[*s];
            let (before, after) = self.s.values.split_at_mut(s * all);
            let out = &mut after[..all];
            match &step.word.word().op {
                _ if step.rank != Rank::Voxel => {
                    let row = &self.s.rows[s * regions..][..regions];
                    out.chunks_mut(panel.voxels).zip(row).for_each(|(out, value)| out.fill(*value));
                }
                Op::Leaf(kernel) => (kernel.double.value)(&panel.block(), out),
                Op::Map(wanted) => {
                    let found = panel.maps.iter().find(|(map, _)| map == wanted);
                    out.copy_from_slice(&found.expect("every map of the language is computed").1);
                }
                Op::Pointwise(kernel) => {
                    let (left, right) = operands(step);
                    let (left, right) = (&before[left * all..][..all], &before[right * all..][..all]);
                    for range in runs(step, right, panel.samples * panel.voxels) {
                        (kernel.double.value)(&left[range.clone()], &right[range.clone()], &mut out[range]);
                    }
                }
                _ => unreachable!("a step with a value per voxel is a leaf or an operation"),
            }
        }
    }

    fn reduce(&mut self, level: usize) {
        let (panel, all, regions) = (self.panel, self.panel.all(), self.panel.regions());
        let (samples, voxels) = (panel.samples, panel.voxels);
        for target in self.plan.reductions(level) {
            let step = &self.plan.steps[target];
            let values = &self.s.values[reduced(step) * all..][..all];
            let kind = reduction(step);
            if kind == Reduction::MeanTop {
                let mut marks = Vec::with_capacity(all);
                for (batch, values) in values.chunks(samples * voxels).enumerate() {
                    let percent = self.s.rows[step.arguments[0] * regions + batch * samples];
                    let kept = largest(values, percent, |_| true);
                    let count = kept.iter().filter(|kept| **kept).count().max(1) as f64;
                    let sum: f64 = values.iter().zip(&kept).filter(|(_, kept)| **kept).map(|(v, _)| v).sum();
                    self.s.rows[target * regions + batch * samples..][..samples].fill(sum / count);
                    marks.extend(kept);
                }
                self.s.kept.push((target, marks));
                continue;
            }
            let out = &mut self.s.rows[target * regions..][..regions];
            for (out, values) in out.iter_mut().zip(values.chunks(voxels)) {
                *out = 0.0 + values.iter().sum::<f64>();
            }
            self.panel.spread(kind, out);
        }
    }

    /// Hands the adjoints of the level's region steps to their arguments.
    fn region_adjoints(&mut self, level: usize) {
        let regions = self.panel.regions();
        for (s, step) in self.plan.steps.iter().enumerate().rev() {
            if step.level != level || step.rank == Rank::Voxel {
                continue;
            }
            let (before, own) = self.s.row_adjoints.split_at_mut(s * regions);
            let own = &own[..regions];
            match &step.word.word().op {
                Op::OverClasses(_) => {
                    let to = &mut before[step.arguments[1] * regions..][..regions];
                    to.iter_mut().zip(own).for_each(|(to, own)| *to += own);
                }
                Op::Pointwise(kernel) => {
                    let (left, right) = operands(step);
                    let values = [left, right].map(|argument| &self.s.rows[argument * regions..][..regions]);
                    let [to_left, to_right] = &mut self.s.spare;
                    let to = [&mut to_left[..regions], &mut to_right[..regions]].map(cleared);
                    push(step, kernel, values, own, to, self.panel.samples);
                    let add = |to: &mut [f64], more: &[f64]| to.iter_mut().zip(more).for_each(|(to, more)| *to += more);
                    add(&mut before[left * regions..][..regions], to_left);
                    if step.arguments.len() > 1 {
                        add(&mut before[right * regions..][..regions], to_right);
                    }
                }
                _ => {}
            }
        }
    }

    /// From the adjoints of a level's reductions to dL/dlogit and to the adjoints of the values per sample in between.
    fn voxel_adjoints(&mut self, level: usize) {
        let (panel, all, regions) = (self.panel, self.panel.all(), self.panel.regions());
        let pass = &self.plan.passes[level - 1];
        for s in pass {
            self.s.adjoints[s * all..][..all].fill(0.0);
        }
        for target in self.plan.reductions(level) {
            self.seed(target);
        }
        let block = panel.block();
        for s in pass.iter().rev() {
            let step = &self.plan.steps[*s];
            if step.rank != Rank::Voxel {
                continue;
            }
            let (before, own) = self.s.adjoints.split_at_mut(s * all);
            let own = &own[..all];
            match &step.word.word().op {
                Op::Leaf(kernel) => (kernel.double.push)(&block, own, &mut self.s.slopes),
                Op::Pointwise(kernel) => {
                    let (left, right) = operands(step);
                    let values = [left, right].map(|argument| &self.s.values[argument * all..][..all]);
                    let [_, spare] = &mut self.s.spare;
                    let batch = panel.samples * panel.voxels;
                    if left == right {
                        spare.fill(0.0);
                        let to = &mut before[left * all..][..all];
                        push(step, kernel, values, own, [to, spare], batch);
                        if step.arguments.len() > 1 {
                            let to = &mut before[left * all..][..all];
                            to.iter_mut().zip(spare).for_each(|(to, more)| *to += *more);
                        }
                    } else {
                        push(step, kernel, values, own, pair(before, left, right, all), batch);
                    }
                }
                _ => {}
            }
        }
        for s in pass.iter().filter(|s| self.plan.steps[**s].rank == Rank::Region) {
            let sums = self.s.adjoints[s * all..][..all].chunks(panel.voxels);
            for (to, adjoints) in self.s.row_adjoints[s * regions..][..regions].iter_mut().zip(sums) {
                *to += 0.0 + adjoints.iter().sum::<f64>();
            }
        }
    }

    /// Adds what a reduction hands back to each voxel.
    fn seed(&mut self, target: usize) {
        let (panel, all, regions) = (self.panel, self.panel.all(), self.panel.regions());
        let step = &self.plan.steps[target];
        let mut weights = self.s.row_adjoints[target * regions..][..regions].to_vec();
        let kept = self.s.kept.iter().find(|(s, _)| *s == target).map(|(_, kept)| kept);
        if let Some(kept) = kept {
            let size = panel.samples * panel.voxels;
            for (weights, kept) in weights.chunks_mut(panel.samples).zip(kept.chunks(size)) {
                let count = kept.iter().filter(|kept| **kept).count().max(1) as f64;
                let share = weights.iter().sum::<f64>() / count;
                weights.fill(share);
            }
        } else {
            panel.spread(reduction(step), &mut weights);
        }
        let adjoints = self.s.adjoints[reduced(step) * all..][..all].chunks_mut(panel.voxels);
        for (region, (adjoints, weight)) in adjoints.zip(weights).enumerate() {
            match kept {
                None => adjoints.iter_mut().for_each(|adjoint| *adjoint += weight),
                Some(kept) => {
                    let kept = &kept[region * panel.voxels..][..panel.voxels];
                    adjoints
                        .iter_mut()
                        .zip(kept)
                        .for_each(|(adjoint, kept)| *adjoint += if *kept { weight } else { 0.0 });
                }
            }
        }
    }
}

/// The same, all 0.
fn cleared(row: &mut [f64]) -> &mut [f64] {
    row.fill(0.0);
    row
}

/// The runs over which a kernel is told the truth: that of powers takes one exponent for a whole run, which may differ
/// from batch to batch with the training progress.
fn runs(step: &Step, right: &[f64], batch: usize) -> impl Iterator<Item = std::ops::Range<usize>> + use<> {
    let differs = step.word.word().name == "^" && right.iter().any(|exponent| *exponent != right[0]);
    let length = if differs { batch } else { right.len() };
    (0..right.len()).step_by(length.max(1)).map(move |start| start..start + length)
}

/// Adds what an operation hands back to its operands; to rows of regions after they were cleared.
fn push(
    step: &Step,
    kernel: &BinaryKernel,
    [left, right]: [&[f64]; 2],
    own: &[f64],
    [to_left, to_right]: [&mut [f64]; 2],
    batch: usize,
) {
    for range in runs(step, right, batch) {
        let to = [&mut to_left[range.clone()], &mut to_right[range.clone()]];
        (kernel.double.push)([&left[range.clone()], &right[range.clone()]], &own[range], to);
    }
}

/// The rows of two different steps.
fn pair(rows: &mut [f64], one: usize, other: usize, length: usize) -> [&mut [f64]; 2] {
    let (before, after) = rows.split_at_mut(one.max(other) * length);
    let (first, second) = (&mut before[one.min(other) * length..][..length], &mut after[..length]);
    if one < other { [first, second] } else { [second, first] }
}
