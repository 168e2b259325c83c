//! What a loss is computed from: logits, targets, progress, geometry; and what every formula may ask of a voxel, computed
//! once for all passes.

use serde::{Deserialize, Serialize};

use super::blocks::in_parallel;
use crate::formula::kernel::Block;
use crate::formula::level::Level;
use crate::formula::maps::Map;
use crate::formula::plan::Plan;
use crate::formula::real::Real;
use crate::formula::word::Op;

/// Voxels per unit of parallel work.
pub(super) const CHUNK: usize = 8192;

/// A number type in which logits, targets and gradients are stored; arithmetic is in `f64` throughout.
pub trait Sample: Copy + Send + Sync + Into<f64> {
    /// Rounds to the storage type.
    fn round(value: f64) -> Self;
}

impl Sample for f32 {
    fn round(value: f64) -> Self {
        value as Self
    }
}

impl Sample for f64 {
    fn round(value: f64) -> Self {
        value
    }
}

/// How logits become probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Activation {
    /// Every class on its own.
    #[default]
    Sigmoid,
    /// The classes of a voxel sum to 1.
    Softmax,
}

/// What a loss is computed from. Arrays are `[samples, classes, voxels]`, the last axis contiguous.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a, T> {
    /// Number of samples in the batch.
    pub samples: usize,
    /// Number of classes.
    pub classes: usize,
    /// Logits.
    pub logits: &'a [T],
    /// Targets in [0, 1].
    pub targets: &'a [T],
    /// Training progress in [0, 1].
    pub progress: f64,
    /// Depth, height and width; their product is the number of voxels.
    pub shape: [usize; 3],
    /// Distance of voxel centres along depth, height and width in mm, one for each sample; 1 mm where it is missing.
    pub spacing: &'a [[f64; 3]],
    /// How logits become probabilities.
    pub activation: Activation,
    /// Whether class 0 is the background.
    pub background: bool,
    /// Which voxels count, `[samples, voxels]`: the others leave every sum and every count.
    pub mask: Option<&'a [bool]>,
}

impl<'a, T> Inputs<'a, T> {
    /// Every class with a sigmoid of its own, voxels in a row 1 mm apart, at the first step of a training.
    ///
    /// # Panics
    /// If the samples and classes do not divide the logits.
    pub fn new(samples: usize, classes: usize, logits: &'a [T], targets: &'a [T]) -> Self {
        let regions = samples * classes;
        assert!(regions > 0 && logits.len().is_multiple_of(regions), "regions do not divide the voxels");
        Self {
            samples,
            classes,
            logits,
            targets,
            progress: 0.0,
            shape: [1, 1, logits.len() / regions],
            spacing: &[],
            activation: Activation::Sigmoid,
            background: false,
            mask: None,
        }
    }

    /// Voxels of one sample and class.
    pub(crate) fn voxels(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Columns of all voxels of a batch; the logarithms are empty if the plan needs none.
pub(super) struct Leaves<R> {
    /// Voxels of one sample and class.
    voxels: usize,
    p: Vec<R>,
    q: Vec<R>,
    y: Vec<R>,
    neg_log_p: Vec<R>,
    neg_log_q: Vec<R>,
    maps: Vec<(Map, Vec<R>)>,
}

/// Voxels that are brought from their storage type to that of the evaluator at a time.
const RUN: usize = 1024;

/// Below this probability single precision runs out of exponents and so of digits.
const VANISHING: f64 = 1e-30;

impl<R: Real> Leaves<R> {
    pub(super) fn new<T: Sample>(plan: &Plan, inputs: &Inputs<'_, T>, level: Level) -> Self {
        // The logarithms cost more than the rest, and most region losses need none.
        let logs = plan
            .steps
            .iter()
            .any(|step| matches!(step.word.word().name, "ce_fg" | "ce_bg" | "neg_log_p" | "neg_log_q"));
        let n = inputs.logits.len();
        let rest = if logs { n } else { 0 };
        let mut leaves = Self {
            voxels: inputs.voxels().max(1),
            p: vec![R::ZERO; n],
            q: vec![R::ZERO; n],
            y: inputs.targets.iter().map(|y| R::of((*y).into())).collect(),
            neg_log_p: vec![R::ZERO; rest],
            neg_log_q: vec![R::ZERO; rest],
            maps: Vec::new(),
        };
        match inputs.activation {
            Activation::Sigmoid => leaves.sigmoid(inputs, level),
            Activation::Softmax => leaves.softmax(inputs, level),
        }
        for step in &plan.steps {
            if let Op::Map(map) = step.word.word().op {
                let values = map.compute(inputs, &leaves.p).into_iter().map(R::of).collect();
                leaves.maps.push((map, values));
            }
        }
        leaves
    }

    fn sigmoid<T: Sample>(&mut self, inputs: &Inputs<'_, T>, level: Level) {
        let logits = inputs.logits;
        self.columns(level, |start, z| {
            for (z, logit) in z.iter_mut().zip(&logits[start..]) {
                *z = R::of((*logit).into());
            }
        });
    }

    /// A softmax is a sigmoid of the logit against all others together: `z_k - log(sum exp z_c)` over the other classes c. So
    /// q = 1 - p is computed from the others, and neither p nor q loses digits near its end of the scale.
    fn softmax<T: Sample>(&mut self, inputs: &Inputs<'_, T>, level: Level) {
        let (voxels, classes, logits) = (inputs.voxels(), inputs.classes, inputs.logits);
        self.columns(level, |start, apart| {
            let (region, voxel) = (start / voxels, start % voxels);
            let (first, class) = (region / classes * classes, region % classes);
            let mut z = vec![R::ZERO; classes * apart.len()];
            for (other, z) in z.chunks_exact_mut(apart.len()).enumerate() {
                for (z, logit) in z.iter_mut().zip(&logits[(first + other) * voxels + voxel..]) {
                    *z = R::of((*logit).into());
                }
            }
            R::apart(level, &z, class, apart);
        });
    }

    /// Fills the columns from logits that `write` gives for runs of voxels, by their first place; a run lies in one region.
    fn columns(&mut self, level: Level, write: impl Fn(usize, &mut [R]) + Send + Sync) {
        let voxels = self.voxels;
        let regions = self.p.chunks_mut(voxels).zip(self.q.chunks_mut(voxels));
        let chunks = regions.flat_map(|(p, q)| p.chunks_mut(CHUNK).zip(q.chunks_mut(CHUNK)));
        let mut logs = {
            let regions = self.neg_log_p.chunks_mut(voxels).zip(self.neg_log_q.chunks_mut(voxels));
            regions.flat_map(|(p, q)| p.chunks_mut(CHUNK).zip(q.chunks_mut(CHUNK)))
        };
        let mut start = 0;
        let work: Vec<_> = chunks
            .map(|(p, q)| {
                let (log_p, log_q) = logs.next().unwrap_or((&mut [], &mut []));
                start += p.len();
                (start - p.len(), p, q, log_p, log_q)
            })
            .collect();
        in_parallel(work, |(start, p, q, log_p, log_q)| {
            let mut z = [R::ZERO; RUN];
            let mut logs = log_p.chunks_mut(RUN).zip(log_q.chunks_mut(RUN));
            for (run, (p, q)) in p.chunks_mut(RUN).zip(q.chunks_mut(RUN)).enumerate() {
                let z = &mut z[..p.len()];
                write(start + run * RUN, z);
                let (log_p, log_q) = logs.next().unwrap_or((&mut [], &mut []));
                R::sigmoid(level, z, [p, q, log_p, log_q]);
            }
        });
    }

    pub(super) fn block(&self, start: usize, length: usize) -> Block<'_, R> {
        let range = start..start + length;
        // Without logarithms any slice will do: no kernel of the plan reads it.
        let (log_p, log_q) =
            if self.neg_log_p.is_empty() { (&self.p, &self.p) } else { (&self.neg_log_p, &self.neg_log_q) };
        Block {
            p: &self.p[range.clone()],
            q: &self.q[range.clone()],
            y: &self.y[range.clone()],
            neg_log_p: &log_p[range.clone()],
            neg_log_q: &log_q[range],
        }
    }

    /// A distance map of the plan.
    pub(super) fn map(&self, wanted: Map, start: usize, length: usize) -> &[R] {
        let found = self.maps.iter().find(|(map, _)| *map == wanted);
        &found.expect("every map of the plan is computed").1[start..start + length]
    }

    /// Voxels of the target of one sample and class that count.
    pub(super) fn target_volume(&self, start: usize, length: usize, counts: impl Fn(usize) -> bool) -> f64 {
        let counted = self.y[start..start + length].iter().enumerate().filter(|(voxel, _)| counts(*voxel));
        counted.map(|(_, y)| y.wide()).sum()
    }

    /// From dL/dlogit as if every class had a sigmoid of its own to dL/dlogit of a softmax. With h the former,
    /// `dL/dz_k = h_k - sum over the other classes c of h_c p_k / q_c`, in which no large numbers cancel: `q_c` holds `p_k`.
    pub(super) fn couple(&self, by_logit: &mut [R], classes: usize, voxels: usize) {
        let mut own = vec![0.0; classes];
        for sample in by_logit.chunks_exact_mut(classes * voxels).enumerate() {
            let (sample, slopes) = sample;
            let start = sample * classes * voxels;
            for voxel in 0..voxels {
                for (class, own) in own.iter_mut().enumerate() {
                    *own = slopes[class * voxels + voxel].wide();
                }
                for class in 0..classes {
                    let here = start + class * voxels + voxel;
                    let others = (0..classes).filter(|other| *other != class);
                    let share = |other: usize| self.share(here, start + other * voxels + voxel);
                    let coupled: f64 = others.map(|other| own[other] * share(other)).sum();
                    slopes[class * voxels + voxel] = R::of(own[class] - coupled);
                }
            }
        }
    }

    /// `p_k / q_c`: the share of a class k at place `here` in what is left by the class c at place `other`. Where both
    /// vanish it is still a number like 0.5, and all that the other classes get of the cross-entropy of a class that is wrong
    /// and certain; so it is taken from the logarithms there. A plan without them has slopes that vanish with q.
    fn share(&self, here: usize, other: usize) -> f64 {
        let q = self.q[other].wide();
        if q < VANISHING && !self.neg_log_q.is_empty() {
            return (self.neg_log_q[other].wide() - self.neg_log_p[here].wide()).exp();
        }
        self.p[here].wide() / q.max(f64::MIN_POSITIVE)
    }
}
