//! Steps with one value per sample and class: forward and backward, level by level.

use super::batch::divisor;
use super::{Machine, operands};
use crate::formula::real::Real;
use crate::formula::word::{Op, Rank};

impl<R: Real> Machine<'_, R> {
    /// The steps of a level with one value per sample and class, reductions apart.
    pub(super) fn region_steps(&mut self, level: usize) {
        for (s, step) in self.plan.steps.iter().enumerate() {
            if step.level != level || step.rank == Rank::Voxel {
                continue;
            }
            let (before, after) = self.values.split_at_mut(s);
            let out = &mut after[0];
            match &step.word.word().op {
                Op::Number | Op::Parameter { .. } => out.fill(step.value),
                Op::Progress => out.fill(self.batch.progress),
                Op::Classes => out.fill(self.batch.classes as f64),
                Op::Class => {
                    let wanted = &before[step.arguments[0]];
                    for (region, out) in out.iter_mut().enumerate() {
                        *out = f64::from((region % self.batch.classes) as f64 == wanted[region]);
                    }
                }
                Op::VolumeWeight => out.copy_from_slice(&self.batch.volume_weights()),
                Op::OverClasses(reduction) => {
                    let [background, argument] = [step.arguments[0], step.arguments[1]];
                    let counted = self.batch.counted(before[background][0]);
                    let divisor = divisor(*reduction, &counted);
                    for (out, row) in
                        out.chunks_mut(self.batch.classes).zip(before[argument].chunks(self.batch.classes))
                    {
                        out.fill(row[counted.clone()].iter().sum::<f64>() / divisor);
                    }
                }
                Op::Pointwise(kernel) => {
                    // One region at a time: the kernel of powers takes one exponent for a whole block.
                    let (left, right) = operands(step);
                    for region in 0..self.batch.regions {
                        let one = region..region + 1;
                        (kernel.double.value)(&before[left][one.clone()], &before[right][one.clone()], &mut out[one]);
                    }
                }
                Op::Leaf(_) | Op::Map(_) | Op::Reduce(_) => {}
            }
        }
    }

    /// Hands the adjoints of the level's region steps to their arguments.
    pub(super) fn region_adjoints(&mut self, level: usize) {
        for (s, step) in self.plan.steps.iter().enumerate().rev() {
            if step.level != level || step.rank == Rank::Voxel {
                continue;
            }
            if let Op::OverClasses(reduction) = step.word.word().op {
                let counted = self.batch.counted(self.values[step.arguments[0]][0]);
                let divisor = divisor(reduction, &counted);
                let (before, own) = self.adjoints.split_at_mut(s);
                let to = before[step.arguments[1]].chunks_mut(self.batch.classes);
                for (to, own) in to.zip(own[0].chunks(self.batch.classes)) {
                    let share = own.iter().sum::<f64>() / divisor;
                    to[counted.clone()].iter_mut().for_each(|to| *to += share);
                }
            }
            let Op::Pointwise(kernel) = &step.word.word().op else { continue };
            let (left, right) = operands(step);
            for region in 0..self.batch.regions {
                let (mut to_left, mut to_right) = ([0.0], [0.0]);
                let one = region..region + 1;
                let operands = [&self.values[left][one.clone()], &self.values[right][one.clone()]];
                (kernel.double.push)(operands, &self.adjoints[s][one], [&mut to_left, &mut to_right]);
                self.adjoints[left][region] += to_left[0];
                if step.arguments.len() > 1 {
                    self.adjoints[right][region] += to_right[0];
                }
            }
        }
    }
}
