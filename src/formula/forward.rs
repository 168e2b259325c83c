//! Parts of formulas on the probes, bottom-up: values, and how they move with every logit.
//!
//! [`eval`](super::eval) goes backward, which is right for one loss and many voxels. Whoever looks at a million losses that
//! share their parts wants every part computed once: so values carry their slopes forward. A value per voxel depends on
//! the logit of its own voxel, so it has one slope; a value per sample is a function of a few sums over voxels, so it
//! carries the slopes of what is summed and, for every probe, how it moves with the sum of either sample. A voxel's value
//! that depends on such a sum would need the slopes of all voxels: such a part is [tangled](Part::Tangled), as is what
//! rests on words of several classes, and who wants it asks the definition, to which tests hold this file.

use std::sync::Arc;

use super::Formula;
use super::eval::largest;
use super::fingerprint::{Probe, SAMPLES, VOXELS, answers, probes};
use super::kernel::{BinaryKernel, Block, LeafKernel};
use super::level::Level;
use super::plan::Plan;
use super::real::Real;
use super::word::{Argument, Cover, Op, Reduction, Word, WordId};

/// Voxels of a probe.
const PER_PROBE: usize = SAMPLES * VOXELS;

/// The probes as columns, ready for every word.
#[derive(Debug)]
pub struct Screen {
    probes: Vec<Probe>,
    p: Vec<f64>,
    q: Vec<f64>,
    y: Vec<f64>,
    neg_log_p: Vec<f64>,
    neg_log_q: Vec<f64>,
    ones: Vec<f64>,
}

/// A part of a formula on all probes.
#[derive(Debug, Clone)]
pub enum Part {
    /// One value per voxel, `[probe][sample][voxel]`.
    Voxels {
        /// The values.
        value: Arc<[f64]>,
        /// Their derivatives by the voxel's own logit, if any is not 0.
        slope: Option<Arc<[f64]>>,
    },
    /// One value per sample, and numbers, `[probe][sample]`.
    Samples {
        /// The values.
        value: Vec<f64>,
        /// How they move with the logits.
        terms: Vec<Term>,
    },
    /// Only the definition knows it.
    Tangled,
}

/// How values per sample move with one sum over voxels.
#[derive(Debug, Clone)]
pub struct Term {
    /// The slope of what is summed, for every voxel of every probe.
    base: Arc<[f64]>,
    /// `[probe][of the value of this sample][by the sum of that sample]`.
    weights: Vec<[[f64; SAMPLES]; SAMPLES]>,
}

impl Default for Screen {
    fn default() -> Self {
        let probes = probes();
        let all = |of: fn(&Probe) -> &Vec<f64>| probes.iter().flat_map(of).copied().collect::<Vec<f64>>();
        let (logits, y) = (all(|probe| &probe.logits), all(|probe| &probe.targets));
        let [mut p, mut q, mut neg_log_p, mut neg_log_q] = [(); 4].map(|()| vec![0.0; logits.len()]);
        f64::sigmoid(Level::Portable, &logits, [&mut p, &mut q, &mut neg_log_p, &mut neg_log_q]);
        let ones = vec![1.0; logits.len()];
        Self { probes, p, q, y, neg_log_p, neg_log_q, ones }
    }
}

impl Screen {
    /// Number of voxels of all probes.
    pub fn voxels(&self) -> usize {
        self.y.len()
    }

    /// The probes themselves.
    pub fn probes(&self) -> &[Probe] {
        &self.probes
    }

    /// The part that a word makes of its arguments; `value` is the constant of a number.
    pub fn part(&self, word: WordId, value: f64, arguments: &[&Part]) -> Part {
        let row = word.word();
        match &row.op {
            Op::Number | Op::Parameter { .. } => self.silent(|_| value),
            Op::Progress => self.silent(|probe| probe.progress),
            Op::Leaf(kernel) => self.leaf(row, kernel),
            Op::Map(map) => {
                let of = |(number, probe): (usize, &Probe)| {
                    map.compute(&probe.inputs(), &self.p[number * PER_PROBE..][..PER_PROBE])
                };
                Part::Voxels { value: self.probes.iter().enumerate().flat_map(of).collect(), slope: None }
            }
            Op::Pointwise(kernel) => self.pointwise(row, kernel, arguments),
            Op::Reduce(reduction) => self.reduce(*reduction, arguments),
            Op::Classes | Op::Class | Op::VolumeWeight | Op::OverClasses(_) => Part::Tangled,
        }
    }

    /// A loss on all probes: its value for each, the mean over samples, and dL/dlogit of every voxel.
    ///
    /// # Panics
    /// If the formula has a value per voxel.
    pub fn answer(&self, loss: &Formula) -> (Vec<f64>, Vec<f64>) {
        let part =
            loss.fold(|gene, below: &[Part]| self.part(gene.word, gene.value, &below.iter().collect::<Vec<_>>()));
        if let Part::Samples { value, terms } = &part {
            let mean = |samples: &[f64]| samples.iter().sum::<f64>() / SAMPLES as f64;
            return (value.chunks_exact(SAMPLES).map(mean).collect(), self.slopes(terms));
        }
        let answers = answers(&Plan::new(loss), &self.probes);
        let values = answers.iter().map(|answer| answer.value).collect();
        (values, answers.into_iter().flat_map(|answer| answer.gradient).collect())
    }

    /// dL/dlogit on all probes, where the loss is the mean over the samples of each; `None` if only the definition knows
    /// it, if it has a value per voxel, or if some value is not finite.
    pub fn gradient(&self, part: &Part) -> Option<Vec<f64>> {
        let Part::Samples { value, terms } = part else { return None };
        let slopes = self.slopes(terms);
        (value.iter().all(|v| v.is_finite()) && slopes.iter().all(|v| v.is_finite())).then_some(slopes)
    }

    fn slopes(&self, terms: &[Term]) -> Vec<f64> {
        let mut slopes = vec![0.0; self.voxels()];
        for term in terms {
            let samples = slopes.chunks_exact_mut(VOXELS).zip(term.base.chunks_exact(VOXELS));
            for (number, (out, base)) in samples.enumerate() {
                let rows = &term.weights[number / SAMPLES];
                let weight = rows.iter().map(|row| row[number % SAMPLES]).sum::<f64>() / SAMPLES as f64;
                out.iter_mut().zip(base).for_each(|(out, base)| *out += weight * base);
            }
        }
        slopes
    }

    /// A number for every probe.
    fn silent(&self, of: impl Fn(&Probe) -> f64) -> Part {
        let value = self.probes.iter().flat_map(|probe| [of(probe); SAMPLES]).collect();
        Part::Samples { value, terms: Vec::new() }
    }

    fn leaf(&self, word: &Word, kernel: &LeafKernel) -> Part {
        let block =
            Block { p: &self.p, q: &self.q, y: &self.y, neg_log_p: &self.neg_log_p, neg_log_q: &self.neg_log_q };
        let [mut value, mut slope] = [(); 2].map(|()| vec![0.0; self.voxels()]);
        (kernel.double.value)(&block, &mut value);
        (kernel.double.push)(&block, &self.ones, &mut slope);
        Part::Voxels { value: value.into(), slope: (word.cover != Cover::Neutral).then(|| slope.into()) }
    }

    fn pointwise(&self, word: &Word, kernel: &BinaryKernel, arguments: &[&Part]) -> Part {
        let (left, right) = (arguments[0], arguments[arguments.len() - 1]);
        // A word with one argument ignores the second operand.
        let slope_by_right = arguments.len() > 1;
        if let (Part::Samples { value: a, terms }, Part::Samples { value: b, terms: more }) = (left, right) {
            let moves = !(terms.is_empty() && more.is_empty());
            let [value, by_left, by_right] = self.apply(word, kernel, [a, b], SAMPLES, moves);
            let mut all: Vec<Term> = terms.iter().map(|term| term.times(&by_left)).collect();
            for term in more.iter().filter(|_| slope_by_right).map(|term| term.times(&by_right)) {
                match all.iter_mut().find(|known| Arc::ptr_eq(&known.base, &term.base)) {
                    Some(known) => known.add(&term),
                    None => all.push(term),
                }
            }
            return Part::Samples { value, terms: all };
        }
        let (Some((a, slope_a)), Some((b, slope_b))) = (per_voxel(left), per_voxel(right)) else {
            return Part::Tangled;
        };
        let slope_b = slope_b.filter(|_| slope_by_right);
        let moves = slope_a.is_some() || slope_b.is_some();
        let [value, mut by_left, by_right] = self.apply(word, kernel, [&a, &b], PER_PROBE, moves);
        let times = |slope: &mut Vec<f64>, inner: &[f64]| slope.iter_mut().zip(inner).for_each(|(s, x)| *s *= x);
        let slope = match (slope_a, slope_b) {
            (None, None) => None,
            (Some(inner), None) => {
                times(&mut by_left, inner);
                Some(by_left)
            }
            (None, Some(inner)) => {
                by_left.copy_from_slice(&by_right);
                times(&mut by_left, inner);
                Some(by_left)
            }
            (Some(one), Some(other)) => {
                times(&mut by_left, one);
                by_left.iter_mut().zip(by_right.iter().zip(other)).for_each(|(s, (by, x))| *s += by * x);
                Some(by_left)
            }
        };
        Part::Voxels { value: value.into(), slope: slope.map(Into::into) }
    }

    /// Values and, if wanted, the slopes by both operands. The kernel of powers takes one exponent for a whole block, so
    /// probes with exponents of their own are `per_probe` numbers each.
    fn apply(
        &self,
        word: &Word,
        kernel: &BinaryKernel,
        [a, b]: [&[f64]; 2],
        per_probe: usize,
        slopes: bool,
    ) -> [Vec<f64>; 3] {
        let one_number = word.arguments.get(1) == Some(&Argument::Number) && b.iter().any(|number| *number != b[0]);
        let length = if one_number { per_probe } else { a.len() };
        let mut value = vec![0.0; a.len()];
        let [mut by_left, mut by_right] = [(); 2].map(|()| vec![0.0; if slopes { a.len() } else { 0 }]);
        for start in (0..a.len()).step_by(length) {
            let range = start..start + length;
            let operands = [&a[range.clone()], &b[range.clone()]];
            (kernel.double.value)(operands[0], operands[1], &mut value[range.clone()]);
            if slopes {
                let to = [&mut by_left[range.clone()], &mut by_right[range]];
                (kernel.double.push)(operands, &self.ones[..length], to);
            }
        }
        [value, by_left, by_right]
    }

    fn reduce(&self, reduction: Reduction, arguments: &[&Part]) -> Part {
        let Part::Voxels { value, slope } = arguments[arguments.len() - 1] else { return Part::Tangled };
        if reduction == Reduction::MeanTop {
            return match arguments[0] {
                Part::Samples { value: percent, .. } => mean_top(percent, value, slope.as_deref()),
                _ => Part::Tangled,
            };
        }
        let sums: Vec<f64> = value.chunks_exact(VOXELS).map(|sample| sample.iter().sum()).collect();
        let count = VOXELS as f64;
        // How the value of either sample moves with the sums of both.
        let (own, other) = match reduction {
            Reduction::Mean => (1.0 / count, 0.0),
            Reduction::Sum | Reduction::MeanTop => (1.0, 0.0),
            Reduction::MeanBatch => (1.0 / (SAMPLES as f64 * count), 1.0 / (SAMPLES as f64 * count)),
            Reduction::SumBatch => (1.0, 1.0),
        };
        let row = |to: usize| std::array::from_fn(|from| if to == from { own } else { other });
        let weights: [[f64; SAMPLES]; SAMPLES] = std::array::from_fn(row);
        let of = |sums: &[f64], row: &[f64; SAMPLES]| sums.iter().zip(row).map(|(sum, weight)| sum * weight).sum();
        let value = sums.chunks_exact(SAMPLES).flat_map(|sums| weights.map(|row| of(sums, &row))).collect();
        let term = |base: &Arc<[f64]>| Term { base: base.clone(), weights: vec![weights; self.probes.len()] };
        Part::Samples { value, terms: slope.iter().map(term).collect() }
    }
}

/// The values and slopes at every voxel; a value per sample that moves with the logits has none.
#[expect(clippy::type_complexity, reason = "borrowed or spread out, used once")]
fn per_voxel(part: &Part) -> Option<(std::borrow::Cow<'_, [f64]>, Option<&[f64]>)> {
    match part {
        Part::Voxels { value, slope } => Some((value.as_ref().into(), slope.as_deref())),
        Part::Samples { value, terms } if terms.is_empty() => {
            Some((value.iter().flat_map(|v| std::iter::repeat_n(*v, VOXELS)).collect::<Vec<f64>>().into(), None))
        }
        _ => None,
    }
}

/// The mean of the largest values of each probe: which they are does not move with the logits.
fn mean_top(percent: &[f64], value: &[f64], slope: Option<&[f64]>) -> Part {
    let (mut means, mut weights, mut base) = (Vec::new(), Vec::new(), vec![0.0; value.len()]);
    for (number, values) in value.chunks_exact(PER_PROBE).enumerate() {
        let kept = largest(values, percent[number * SAMPLES], |_| true);
        let share = 1.0 / kept.iter().filter(|kept| **kept).count().max(1) as f64;
        let sum: f64 = values.iter().zip(&kept).filter(|(_, kept)| **kept).map(|(v, _)| v).sum();
        means.extend([sum * share; SAMPLES]);
        weights.push([[share; SAMPLES]; SAMPLES]);
        if let Some(slope) = slope {
            for at in (0..PER_PROBE).filter(|at| kept[*at]) {
                base[number * PER_PROBE + at] = slope[number * PER_PROBE + at];
            }
        }
    }
    let terms = slope.map(|_| Term { base: base.into(), weights }).into_iter().collect();
    Part::Samples { value: means, terms }
}

impl Term {
    /// The same, each sample's value moving so much more.
    fn times(&self, factors: &[f64]) -> Self {
        let mut weights = self.weights.clone();
        let rows = weights.iter_mut().flatten().zip(factors);
        rows.for_each(|(row, factor)| row.iter_mut().for_each(|weight| *weight *= factor));
        Self { base: self.base.clone(), weights }
    }

    /// Adds how values move with the same sums.
    fn add(&mut self, other: &Self) {
        let ours = self.weights.iter_mut().flatten().flatten();
        ours.zip(other.weights.iter().flatten().flatten()).for_each(|(ours, theirs)| *ours += theirs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::Grammar;
    use crate::losses::catalog::CATALOG;
    use crate::rng::{Purpose, stream};

    fn gradient(screen: &Screen, loss: &Formula) -> Option<Vec<f64>> {
        let part =
            loss.fold(|gene, below: &[Part]| screen.part(gene.word, gene.value, &below.iter().collect::<Vec<_>>()));
        screen.gradient(&part)
    }

    #[track_caller]
    fn agrees(screen: &Screen, loss: &Formula) {
        let found = gradient(screen, loss);
        let answers = answers(&Plan::new(loss), &screen.probes);
        if !answers.iter().all(super::super::fingerprint::Answer::is_finite) {
            assert!(found.is_none(), "{loss} is not finite");
            return;
        }
        let found = found.unwrap_or_else(|| panic!("{loss} is not known"));
        let slopes: Vec<f64> = answers.iter().flat_map(|answer| answer.gradient.iter().copied()).collect();
        // Of all probes: where a saturated voxel ties two operands of a maximum, its slope is that of either.
        let largest = slopes.iter().fold(1e-300, |most: f64, slope| most.max(slope.abs()));
        for (at, (a, b)) in slopes.iter().zip(&found).enumerate() {
            assert!((a - b).abs() <= 1e-9 * largest, "{loss}: {a} and {b} at {at}");
        }
    }

    #[test]
    fn random_losses_agree_with_the_definition() {
        let (screen, grammar) = (Screen::default(), Grammar::polarity());
        for slot in 0..3000 {
            agrees(&screen, &grammar.sample_loss(25, &mut stream(14, Purpose::Birth, 0, slot)));
        }
    }

    #[test]
    fn all_words_but_those_of_classes_agree_with_the_definition() {
        let screen = Screen::default();
        for entry in CATALOG.iter().filter(|entry| entry.name != "generalised_dice") {
            agrees(&screen, &entry.formula());
        }
        for text in [
            "(ratio (mean_top 20 ce_fg) (sum_batch abs_diff))",
            "(^ (mean (^ fp (+ 0.5 t))) t)",
            "(/ (mean (max (- 1 p) tn)) (mean_batch (- tp neg_log_q)))",
            "(* (sum_batch tp) (mean (* target_distance_mm neg_log_p)))",
            "(- 1 t)",
        ] {
            agrees(&screen, &text.parse().unwrap());
        }
    }

    #[test]
    fn tangles_are_left_to_the_definition() {
        let screen = Screen::default();
        for text in ["(mean (* (ratio (mean tp) (mean fp)) ce_fg))", "(* volume_weight (sum fp))"] {
            assert!(gradient(&screen, &text.parse().unwrap()).is_none(), "{text}");
        }
    }
}
