//! What a loss does, apart from how it is written and how large it is: its gradient on fixed probes.
//!
//! Two formulas whose gradients by the logits point in the same direction train alike, because the optimiser ignores a
//! positive factor. The factor is removed once over all probes together: removed per probe, Dice, IoU and their powers
//! would look alike although they weigh samples differently. The probes are part of the version: they have no seed and
//! change only with [`VERSION`].

use super::eval::{Inputs, gradient};
use super::plan::Plan;

/// Changes whenever the probes change; part of every run's context.
pub const VERSION: u32 = 1;

/// Voxels per sample of a probe.
const VOXELS: usize = 48;
/// Samples per probe: two, so that batch reductions differ from those per sample.
const SAMPLES: usize = 2;

/// The distance below which two losses count as one: a twentieth of what a change of a constant by 10 % moves.
pub const SAME: f64 = 1e-3;

/// One fixed batch of logits and targets.
#[derive(Debug, Clone)]
pub struct Probe {
    /// What it stands for.
    pub name: &'static str,
    /// `[2, 1, 48]`.
    pub logits: Vec<f64>,
    /// 0 or 1, `[2, 1, 48]`.
    pub targets: Vec<f64>,
    /// Training progress.
    pub progress: f64,
    /// Whether gradients may vanish here for a good reason: saturation, or a class that is absent.
    pub extreme: bool,
}

/// How a formula answers to a probe.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The loss.
    pub value: f64,
    /// dL/dlogit, `[2, 1, 48]`.
    pub gradient: Vec<f64>,
}

impl Answer {
    /// Whether the loss and its whole gradient are finite.
    pub fn is_finite(&self) -> bool {
        self.value.is_finite() && self.gradient.iter().all(|g| g.is_finite())
    }
}

/// The probes, always the same.
pub fn probes() -> Vec<Probe> {
    let mut noise = Noise(0);
    let make = |recipe: &Recipe| {
        let Recipe(name, shares, follow, bias, scatter, progress, extreme) = *recipe;
        let foreground = |i: usize| (i % VOXELS) as f64 + 0.5 < shares[i / VOXELS] * VOXELS as f64;
        let targets: Vec<f64> = (0..SAMPLES * VOXELS).map(|i| f64::from(foreground(i))).collect();
        let logits = targets.iter().map(|y| bias + follow * (2.0 * y - 1.0) + scatter * noise.next()).collect();
        Probe { name, logits, targets, progress, extreme }
    };
    RECIPES.iter().map(make).collect()
}

/// Name; share of foreground in both samples; how far logits follow the target; their mean and scatter; training
/// progress; whether the probe is extreme.
struct Recipe(&'static str, [f64; 2], f64, f64, f64, f64, bool);

#[rustfmt::skip]
const RECIPES: [Recipe; 9] = [
    Recipe("random, rare foreground",  [0.10, 0.04],   0.0,  0.0, 1.5, 0.0, false),
    Recipe("random, balanced",         [0.50, 0.35],   0.0,  0.0, 2.0, 0.3, false),
    Recipe("half trained",             [0.10, 0.25],   1.5,  0.0, 1.5, 0.6, false),
    Recipe("nearly trained",           [0.15, 0.08],   4.0,  0.0, 2.0, 1.0, false),
    Recipe("all background predicted", [0.10, 0.20],   0.0, -3.0, 0.5, 0.1, false),
    Recipe("empty and filled sample",  [0.00, 0.30],   0.5,  0.0, 1.5, 0.5, true),
    Recipe("full and filled sample",   [1.00, 0.30],   0.5,  0.0, 1.5, 0.5, true),
    Recipe("saturated and right",      [0.20, 0.10],  90.0,  0.0, 1.0, 0.5, true),
    Recipe("saturated and wrong",      [0.20, 0.10], -90.0,  0.0, 1.0, 0.5, true),
];

/// The answers of a formula to the probes, in their order.
pub fn answers(plan: &Plan, probes: &[Probe]) -> Vec<Answer> {
    let answer = |probe: &Probe| {
        let mut slopes = vec![0.0; probe.logits.len()];
        let inputs = Inputs { progress: probe.progress, ..Inputs::new(SAMPLES, 1, &probe.logits, &probe.targets) };
        let value = gradient(plan, &inputs, &mut slopes);
        Answer { value, gradient: slopes }
    };
    probes.iter().map(answer).collect()
}

/// Root mean square of dL/dlogit over all probes: the factor by which the loss acts as a learning rate.
pub fn scale(answers: &[Answer]) -> f64 {
    let all = answers.iter().flat_map(|answer| &answer.gradient);
    let (sum, count) = all.fold((0.0, 0usize), |(sum, count), g| (sum + g * g, count + 1));
    (sum / count.max(1) as f64).sqrt()
}

/// The gradient over all probes with root mean square 1. `None` if it is not finite or vanishes.
pub fn direction(answers: &[Answer]) -> Option<Vec<f32>> {
    let scale = scale(answers);
    let unit = |slope: &f64| (slope / scale) as f32;
    (scale.is_finite() && scale > 0.0).then(|| answers.iter().flat_map(|answer| &answer.gradient).map(unit).collect())
}

/// How differently two losses push, from 0 (alike) to 2 (opposite): the root mean square of the difference of their
/// directions. Compared, not hashed: rounding to a grid parts neighbours that lie on two sides of an edge, and of the
/// 864 values of a direction some always do.
pub fn distance(a: &[f32], b: &[f32]) -> f64 {
    let sum: f64 = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum();
    (sum / a.len().max(1) as f64).sqrt()
}

/// Deviates of mean 0 and variance 1, the sum of four uniform numbers from the splitmix64 sequence: simple enough to
/// be the same on every machine, without the transcendental functions of a true normal deviate.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        let sum: f64 = (0..4).map(|_| self.uniform()).sum();
        (sum - 2.0) * 3f64.sqrt()
    }

    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn direction_of(text: &str) -> Option<Vec<f32>> {
        let plan = Plan::new(&text.parse().unwrap());
        direction(&answers(&plan, &probes()))
    }

    const DICE: &str = "(ratio (sum tp) (* 0.5 (sum abs_diff)))";

    fn from_dice(text: &str) -> f64 {
        distance(&direction_of(text).unwrap(), &direction_of(DICE).unwrap())
    }

    #[test]
    fn a_factor_another_writing_or_a_whiff_of_smoothing_changes_nothing() {
        assert!(from_dice("(* 7 (ratio (* 2 (mean tp)) (+ (mean fp) (mean fn))))") < 1e-6);
        assert!(from_dice("(ratio (+ (sum tp) 1e-5) (* 0.5 (sum abs_diff)))") < SAME);
    }

    #[test]
    fn relatives_that_weigh_samples_or_voxels_differently_are_told_apart() {
        for text in [
            "(ratio (sum tp) (sum abs_diff))",
            "(^ (ratio (sum tp) (* 0.5 (sum abs_diff))) 0.75)",
            "(ratio (sum_batch tp) (* 0.5 (sum_batch abs_diff)))",
            "(ratio (sum tp) (* 0.55 (sum abs_diff)))",
        ] {
            assert!(from_dice(text) > 10.0 * SAME, "{text}: {}", from_dice(text));
        }
    }

    #[test]
    fn a_formula_without_gradient_has_no_direction() {
        assert_eq!(direction_of("(mean y)"), None);
    }
}
