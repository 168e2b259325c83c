//! Between which bounds the value of a formula and its gradient lie, whatever a network says.
//!
//! A [`Frame`] is a set of batches: how large they are, how much foreground they have, between which bounds the logits of
//! either side of the target lie. Values per voxel have one interval for y = 0 and one for y = 1, which are joined where
//! voxels are summed; the way back is that of the evaluator with intervals for adjoints. Sound for every batch of the
//! frame (tested on random formulas), sharp where the frame is thin.

use super::interval::Interval;
use super::operations::operation;
use crate::formula::kernel::{Block, LeafKernel};
use crate::formula::level::Level;
use crate::formula::maps::Side;
use crate::formula::plan::{Plan, Step};
use crate::formula::real::Real;
use crate::formula::word::{Op, Rank, Reduction};

/// A set of batches of one class.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    /// Samples of a batch.
    pub(super) samples: f64,
    /// Voxels of a sample.
    pub(super) voxels: f64,
    /// How many of them are foreground; any number if this is not said.
    pub(super) foreground: Option<f64>,
    /// Training progress.
    pub(super) progress: Interval,
    /// Largest distance of two voxels, in voxels or mm.
    pub(super) distance: f64,
    /// What a leaf may ask of the voxels of either side.
    columns: [Columns; 2],
}

/// p, q, y, -log p and -log q where the logit is lowest, nearest to 0, and highest.
type Columns = [[f64; 3]; 5];

/// Between which bounds everything lies.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Enclosure {
    /// The loss.
    pub(super) value: Interval,
    /// dL/dlogit of any voxel of either side.
    pub(super) slopes: [Interval; 2],
    /// For each step, the values of either side; the same twice for values per sample. A side without voxels is 0.
    pub(super) steps: Vec<[Interval; 2]>,
}

/// A value of either side.
type Sides = [Interval; 2];

const SILENT: Sides = [Interval::ZERO; 2];

impl Frame {
    /// Batches of two samples of so many voxels, `foreground` of them with y = 1, any number if this is not said; with
    /// logits within these bounds where y = 0 and where y = 1.
    pub(super) fn new(
        voxels: f64,
        foreground: Option<f64>,
        logits: [Interval; 2],
        progress: Interval,
        distance: f64,
    ) -> Self {
        let columns = [0, 1].map(|side| {
            let Interval { low, high } = logits[side];
            let logits = [low, 0f64.clamp(low, high), high];
            let [mut p, mut q, mut neg_log_p, mut neg_log_q] = [[0.0; 3]; 4];
            f64::sigmoid(Level::Portable, &logits, [&mut p, &mut q, &mut neg_log_p, &mut neg_log_q]);
            [p, q, [side as f64; 3], neg_log_p, neg_log_q]
        });
        Self { samples: 2.0, voxels, foreground, progress, distance, columns }
    }

    /// Whether some voxels may be of a side.
    pub(super) fn has(&self, side: usize) -> bool {
        let count = if side == 1 { self.foreground } else { self.foreground.map(|count| self.voxels - count) };
        count.is_none_or(|count| count > 0.0)
    }

    fn join(&self, values: Sides) -> Interval {
        let present = (0..2).filter(|side| self.has(*side)).map(|side| values[side]);
        present.reduce(Interval::hull).unwrap_or(Interval::ZERO)
    }

    /// The sum over the voxels of a sample.
    fn sum(&self, values: Sides) -> Interval {
        let sum = match self.foreground {
            Some(count) => {
                let parts = [(0, self.voxels - count), (1, count)];
                parts.map(|(side, n)| Interval::point(n) * values[side]).into_iter().fold(Interval::ZERO, |a, b| a + b)
            }
            None => Interval::point(self.voxels) * self.join(values),
        };
        // Values of both signs cancel down to the rounding error of their sizes.
        if sum.low < 0.0 && sum.high > 0.0 {
            let slack = 1e-12 * self.voxels * self.join(values).size();
            return Interval::new(sum.low - slack, sum.high + slack);
        }
        sum
    }

    /// Encloses a formula.
    pub(super) fn enclose(&self, plan: &Plan) -> Enclosure {
        let mut run = Run { frame: self, plan, values: vec![SILENT; plan.steps.len()], adjoints: Vec::new() };
        for s in 0..plan.steps.len() {
            run.values[s] = run.value(&plan.steps[s]);
        }
        let slopes = run.slopes();
        let value = run.values.last().map_or(Interval::ZERO, |root| root[0]);
        Enclosure { value, slopes, steps: run.values }
    }
}

struct Run<'a> {
    frame: &'a Frame,
    plan: &'a Plan,
    values: Vec<Sides>,
    /// dL/dvalue: of either side of any voxel for values per voxel, of any sample for others.
    adjoints: Vec<Sides>,
}

impl Run<'_> {
    fn value(&self, step: &Step) -> Sides {
        let argument = |position: usize| self.values[step.arguments[position]];
        match &step.word.word().op {
            Op::Number | Op::Parameter { .. } => [Interval::point(step.value); 2],
            Op::Progress => [self.frame.progress; 2],
            Op::Classes => [Interval::point(1.0); 2],
            Op::Class => [Interval::UNIT; 2],
            Op::VolumeWeight => [self.volume_weight(); 2],
            Op::Leaf(kernel) => self.leaf(kernel).map(|(value, _)| value),
            Op::Map(map) => {
                let least = if map.of == Side::SignedTarget { -self.frame.distance } else { 0.0 };
                [Interval::new(least, self.frame.distance); 2]
            }
            Op::Pointwise(_) => {
                let (a, b) = (argument(0), argument(step.arguments.len() - 1));
                let of = |side: usize| operation(step.word.word().name).map(|row| (row.value)(a[side], b[side]));
                [0, 1].map(|side| of(side).unwrap_or(Interval::new(f64::NAN, f64::NAN)))
            }
            Op::Reduce(reduction) => [self.reduced(*reduction, argument(step.arguments.len() - 1)); 2],
            Op::OverClasses(_) => argument(1),
        }
    }

    fn reduced(&self, reduction: Reduction, values: Sides) -> Interval {
        let (n, samples) = (self.frame.voxels, self.frame.samples);
        match reduction {
            Reduction::Sum => self.frame.sum(values),
            Reduction::SumBatch => Interval::point(samples) * self.frame.sum(values),
            Reduction::Mean | Reduction::MeanBatch => Interval::point(1.0 / n) * self.frame.sum(values),
            Reduction::MeanTop => self.frame.join(values).widened(),
        }
    }

    fn volume_weight(&self) -> Interval {
        match self.frame.foreground {
            Some(count) => Interval::point(if count > 0.0 { count.powi(2).recip() } else { 1.0 }).widened(),
            None => Interval::new(self.frame.voxels.powi(2).recip(), 1.0).widened(),
        }
    }

    /// Values and slopes of a leaf. Leaves are monotone in the logit; their slopes have their extremes at its bounds or
    /// where p = 0.5.
    fn leaf(&self, kernel: &LeafKernel) -> [(Interval, Interval); 2] {
        self.frame.columns.map(|[p, q, y, neg_log_p, neg_log_q]| {
            let block = Block { p: &p, q: &q, y: &y, neg_log_p: &neg_log_p, neg_log_q: &neg_log_q };
            let (mut value, mut slope) = ([0.0; 3], [0.0; 3]);
            (kernel.double.value)(&block, &mut value);
            (kernel.double.push)(&block, &[1.0; 3], &mut slope);
            // One value for the whole frame is that of the kernel, bit by bit: nothing is added to an exact 1.
            let bounds = |all: [f64; 3]| {
                let bounds = Interval::of(all);
                if bounds.low < bounds.high { bounds.widened() } else { bounds }
            };
            (bounds(value), bounds(slope))
        })
    }

    /// dL/dlogit of any voxel of either side.
    fn slopes(&mut self) -> Sides {
        let plan = self.plan;
        self.adjoints = vec![SILENT; plan.steps.len()];
        let root = plan.steps.len() - 1;
        self.adjoints[root] = [Interval::point(1.0 / self.frame.samples); 2];
        let mut slopes = SILENT;
        for level in (1..=plan.passes.len()).rev() {
            for s in (0..plan.steps.len()).rev() {
                let step = &plan.steps[s];
                if step.level == level && step.rank != Rank::Voxel {
                    self.hand_down(s, step);
                }
            }
            self.sweep(level, &mut slopes);
        }
        slopes
    }

    /// One pass backward.
    fn sweep(&mut self, level: usize, to: &mut Sides) {
        let plan = self.plan;
        let pass = &plan.passes[level - 1];
        let between = |s: &&usize| plan.steps[**s].rank != Rank::Voxel;
        let known: Vec<(usize, Sides)> = pass.iter().filter(between).map(|s| (*s, self.adjoints[*s])).collect();
        for s in pass {
            self.adjoints[*s] = SILENT;
        }
        for target in plan.reductions(level) {
            let step = &plan.steps[target];
            if let (Op::Reduce(reduction), Some(argument)) = (&step.word.word().op, step.arguments.last()) {
                let seed = self.seed(*reduction, self.adjoints[target][0]);
                self.add(*argument, [seed; 2]);
            }
        }
        for s in pass.iter().rev() {
            let step = &plan.steps[*s];
            if let (Op::Leaf(kernel), own) = (&step.word.word().op, self.adjoints[*s]) {
                let slopes = self.leaf(kernel);
                *to = [0, 1].map(|side| to[side] + own[side] * slopes[side].1);
            } else if step.rank == Rank::Voxel {
                self.hand_down(*s, step);
            }
        }
        for (s, before) in known {
            let sum = self.frame.sum(self.adjoints[s]);
            self.adjoints[s] = before.map(|before| before + sum);
        }
    }

    /// What a reduction hands back to each voxel.
    fn seed(&self, reduction: Reduction, adjoint: Interval) -> Interval {
        let (n, samples) = (self.frame.voxels, self.frame.samples);
        match reduction {
            Reduction::Sum => adjoint,
            Reduction::SumBatch => Interval::point(samples) * adjoint,
            Reduction::Mean | Reduction::MeanBatch => Interval::point(1.0 / n) * adjoint,
            // Nothing to a voxel that is not kept; all of the batch to the only one.
            Reduction::MeanTop => (Interval::point(samples) * adjoint).hull(Interval::ZERO),
        }
    }

    /// Hands the adjoint of an operation to its arguments.
    fn hand_down(&mut self, s: usize, step: &Step) {
        let own = self.adjoints[s];
        match &step.word.word().op {
            Op::OverClasses(_) => self.add(step.arguments[1], own),
            Op::Pointwise(_) => {
                let Some(row) = operation(step.word.word().name) else { return };
                let (left, right) = (step.arguments[0], step.arguments[step.arguments.len() - 1]);
                let slopes = [0, 1].map(|side| (row.slopes)(self.values[left][side], self.values[right][side]));
                self.add(left, [0, 1].map(|side| own[side] * slopes[side].0));
                if step.arguments.len() > 1 {
                    self.add(right, [0, 1].map(|side| own[side] * slopes[side].1));
                }
            }
            _ => {}
        }
    }

    fn add(&mut self, s: usize, more: Sides) {
        let to = self.adjoints[s];
        self.adjoints[s] = [0, 1].map(|side| to[side] + more[side]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formula::Formula;
    use crate::formula::fingerprint::{answers, probes};
    use crate::formula::words::WORDS;
    use crate::grammar::Grammar;
    use crate::losses::catalog::CATALOG;
    use crate::rng::{Purpose, stream};

    /// Of all batches that the probes are among.
    fn frame() -> Frame {
        let voxels = probes()[0].logits.len() as f64 / 2.0;
        Frame::new(voxels, None, [Interval::new(-100.0, 100.0); 2], Interval::UNIT, voxels)
    }

    #[track_caller]
    fn holds(loss: &Formula) {
        let plan = Plan::new(loss);
        let found = frame().enclose(&plan);
        for (probe, answer) in probes().iter().zip(answers(&plan, &probes())) {
            assert!(
                found.value.holds(answer.value),
                "{loss} on {}: {} not in {:?}",
                probe.name,
                answer.value,
                found.value
            );
            for (slope, y) in answer.gradient.iter().zip(&probe.targets) {
                let bounds = found.slopes[usize::from(*y > 0.5)];
                assert!(bounds.holds(*slope), "{loss} on {}: {slope} not in {bounds:?}", probe.name);
            }
        }
    }

    #[test]
    fn values_and_gradients_of_random_losses_lie_within_their_bounds() {
        let grammar = Grammar::polarity();
        for slot in 0..10_000 {
            holds(&grammar.sample_loss(25, &mut stream(17, Purpose::Birth, 0, slot)));
        }
    }

    #[test]
    fn so_do_those_of_the_catalog_and_of_every_odd_word() {
        for entry in CATALOG {
            holds(&entry.formula());
        }
        for text in [
            "(- (mean (* p p)) (mean (- y (* 2 p))))",
            "(mean (* (/ (- (mean tp) (mean fp)) (mean ce_bg)) ce_fg))",
            "(^ (mean (- fp 0.2)) (+ 0.5 t))",
            "(mean (^ (max fp (- 0.3 fn)) (+ 0.5 t)))",
            "(ratio (- (sum tp) (sum fp)) (mean_top 5 ce_fg))",
            "(neg_log_ratio (mean_batch tp) (- (sum_batch fn) 1))",
            "(* volume_weight (log1p (sum_classes 1 (sum (* neg_log_q y)))))",
        ] {
            holds(&text.parse().unwrap());
        }
    }

    /// On what [`Run::leaf`] rests.
    #[test]
    fn leaves_are_monotone_and_their_slopes_are_extreme_at_the_ends_or_in_the_middle() {
        let plan = Plan::new(&Formula::number(1.0));
        for kernel in WORDS.iter().filter_map(|word| if let Op::Leaf(kernel) = &word.op { Some(kernel) } else { None })
        {
            for centre in [-40.0, -3.0, -0.1, 0.0, 0.2, 5.0, 60.0] {
                let within =
                    |low: f64, high: f64| Frame::new(48.0, None, [Interval::new(low, high); 2], Interval::UNIT, 9.0);
                let wide = within(centre - 2.0, centre + 2.0);
                let of =
                    |frame: &Frame| Run { frame, plan: &plan, values: Vec::new(), adjoints: Vec::new() }.leaf(kernel);
                for step in 0..=40 {
                    let z = centre - 2.0 + f64::from(step) / 10.0;
                    let thin = within(z, z);
                    for ((value, slope), (at, slope_at)) in of(&wide).iter().zip(of(&thin)) {
                        let middle = |x: Interval| f64::midpoint(x.low, x.high);
                        assert!(value.holds(middle(at)) && slope.holds(middle(slope_at)), "at {z}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_thin_frame_is_enclosed_sharply() {
        let point = Interval::point;
        let frame = Frame::new(48.0, Some(8.0), [point(1.0), point(-2.0)], point(0.5), 9.0);
        let found = frame.enclose(&Plan::new(&"(^ (ratio (sum tp) (* 0.5 (sum abs_diff))) 0.75)".parse().unwrap()));
        assert!(found.value.high - found.value.low < 1e-9 && found.value.low > 0.5, "{found:?}");
    }
}
