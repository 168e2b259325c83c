//! What a loss does, apart from how it is written and how large it is: its gradient on fixed probes.
//!
//! Two formulas whose gradients by the logits point in the same direction train alike, because the optimiser ignores a
//! positive factor. The factor is removed once over all probes together: removed per probe, Dice, IoU and their powers
//! would look alike although they weigh samples differently. The probes are part of the version: they have no seed and
//! change only with [`PROBES_VERSION`].

use super::eval::{Inputs, gradient};
use super::plan::Plan;

/// Changes whenever the probes change; part of every run's context and of every key of a behaviour.
pub const PROBES_VERSION: u32 = 2;

/// Depth, height and width of a sample of a probe.
pub const SHAPE: [usize; 3] = [3, 4, 4];
/// Voxels per sample of a probe.
pub const VOXELS: usize = SHAPE[0] * SHAPE[1] * SHAPE[2];
/// Samples per probe: two, so that batch reductions differ from those per sample.
pub const SAMPLES: usize = 2;

/// The distance below which two losses count as one: a twentieth of what a change of a constant by 10 % moves.
pub const SAME: f64 = 1e-3;

/// One fixed batch of logits and targets.
#[derive(Debug, Clone)]
pub struct Probe {
    /// What it stands for.
    pub name: &'static str,
    /// `[2, 1, 3, 4, 4]`.
    pub logits: Vec<f64>,
    /// 0 or 1, `[2, 1, 3, 4, 4]`.
    pub targets: Vec<f64>,
    /// Training progress.
    pub progress: f64,
    /// Whether gradients may vanish here for a good reason: saturation, or a class that is absent.
    pub extreme: bool,
}

impl Probe {
    /// What a loss is computed from: voxels 1 mm apart.
    pub fn inputs(&self) -> Inputs<'_, f64> {
        Inputs { progress: self.progress, shape: SHAPE, ..Inputs::new(SAMPLES, 1, &self.logits, &self.targets) }
    }
}

/// How a formula answers to a probe.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The loss.
    pub value: f64,
    /// dL/dlogit, `[2, 1, 3, 4, 4]`.
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
    RECIPES.iter().map(|recipe| recipe.probe(&mut noise)).collect()
}

/// Name; share of foreground in both samples; how far their logits follow the target; mean, scatter and kind of the
/// rest; training progress; whether the probe is extreme.
struct Recipe(&'static str, [f64; SAMPLES], [f64; SAMPLES], f64, f64, Texture, f64, bool);

/// In what logits differ from their targets.
#[derive(Clone, Copy, PartialEq)]
enum Texture {
    /// Every voxel on its own.
    Voxels,
    /// A grid of eight values, interpolated: what a network says that has seen only the coarse.
    Coarse,
    /// The distance to a border that lies a little outside of the target's in the first sample, a little inside in the
    /// second.
    Border,
}

use Texture::{Border, Coarse, Voxels};

/// 10 probes of 96 voxels: everything that a loss meets while a network learns, within 1,024 voxels.
#[rustfmt::skip]
const RECIPES: [Recipe; 10] = [
    Recipe("random, rare foreground",  [0.10, 0.04], [ 0.0,   0.0],  0.0, 1.5, Voxels, 0.0, false),
    Recipe("random, balanced",         [0.50, 0.35], [ 0.0,   0.0],  0.0, 2.0, Voxels, 0.3, false),
    Recipe("half trained",             [0.10, 0.25], [ 1.5,   1.5],  0.0, 1.5, Voxels, 0.6, false),
    Recipe("nearly trained",           [0.15, 0.65], [ 4.0,   4.0],  0.0, 2.0, Voxels, 1.0, false),
    Recipe("all background predicted", [0.10, 0.20], [ 0.0,   0.0], -3.0, 0.5, Voxels, 0.1, false),
    Recipe("coarse",                   [0.40, 0.90], [ 0.5,   0.5],  0.0, 1.5, Coarse, 0.2, false),
    Recipe("border missed",            [0.30, 0.15], [ 3.0,   3.0],  0.0, 0.5, Border, 0.8, false),
    Recipe("empty and filled sample",  [0.00, 0.30], [ 0.5,   0.5],  0.0, 1.5, Voxels, 0.5, true),
    Recipe("full and filled sample",   [1.00, 0.75], [ 0.5,   0.5],  0.0, 1.5, Coarse, 0.5, true),
    Recipe("saturated right and wrong", [0.20, 0.10], [90.0, -90.0], 0.0, 1.0, Voxels, 0.5, true),
];

/// Of each sample the middle of its foreground, in voxels: off the grid, so that no two voxels are equally near.
const CENTRES: [[f64; 3]; SAMPLES] = [[0.91, 1.23, 1.67], [1.12, 2.34, 0.58]];

impl Recipe {
    fn probe(&self, noise: &mut Noise) -> Probe {
        let Self(name, shares, follow, bias, scatter, texture, progress, extreme) = *self;
        let (mut logits, mut targets) = (Vec::new(), Vec::new());
        for sample in 0..SAMPLES {
            // The foreground is a ball: the voxels that are nearest to its middle.
            let radii: Vec<f64> = (0..VOXELS).map(|v| squared_distance(v, CENTRES[sample]).sqrt()).collect();
            let mut sorted = radii.clone();
            sorted.sort_by(f64::total_cmp);
            let count = (0..VOXELS).filter(|rank| *rank as f64 + 0.5 < shares[sample] * VOXELS as f64).count();
            let inside = |v: usize| sorted[..count].last().is_some_and(|last| radii[v] <= *last);
            let corners: Vec<f64> = (0..8).map(|_| if texture == Coarse { noise.next() } else { 0.0 }).collect();
            let moved = sorted[count.min(VOXELS - 1)] + if sample == 0 { 0.6 } else { -0.6 };
            for (v, radius) in radii.iter().enumerate() {
                let y = f64::from(inside(v));
                let told = match texture {
                    Voxels | Coarse => follow[sample] * (2.0 * y - 1.0),
                    Border => follow[sample] * (moved - radius),
                };
                let rest = if texture == Coarse { interpolated(&corners, v) } else { noise.next() };
                logits.push(bias + told + scatter * rest);
                targets.push(y);
            }
        }
        Probe { name, logits, targets, progress, extreme }
    }
}

/// Depth, height and width of a voxel.
fn place(voxel: usize) -> [f64; 3] {
    let [_, height, width] = SHAPE;
    [voxel / (height * width), voxel / width % height, voxel % width].map(|at| at as f64)
}

fn squared_distance(voxel: usize, centre: [f64; 3]) -> f64 {
    place(voxel).iter().zip(centre).map(|(at, middle)| (at - middle).powi(2)).sum()
}

/// Between the values at the eight corners of a sample, linear along every axis.
fn interpolated(corners: &[f64], voxel: usize) -> f64 {
    let place = place(voxel);
    let share = |axis: usize, far: usize| {
        let towards = place[axis] / (SHAPE[axis] - 1) as f64;
        if far == 1 { towards } else { 1.0 - towards }
    };
    corners.iter().enumerate().map(|(c, value)| value * share(0, c >> 2) * share(1, c >> 1 & 1) * share(2, c & 1)).sum()
}

/// The answers of a formula to the probes, in their order.
pub fn answers(plan: &Plan, probes: &[Probe]) -> Vec<Answer> {
    let answer = |probe: &Probe| {
        let mut slopes = vec![0.0; probe.logits.len()];
        let value = gradient(plan, &probe.inputs(), &mut slopes);
        Answer { value, gradient: slopes }
    };
    probes.iter().map(answer).collect()
}

/// Root mean square of dL/dlogit over all probes: the factor by which the loss acts as a learning rate.
pub fn scale(answers: &[Answer]) -> f64 {
    root_mean_square(answers.iter().flat_map(|answer| &answer.gradient))
}

fn root_mean_square<'a>(slopes: impl Iterator<Item = &'a f64>) -> f64 {
    let (sum, count) = slopes.fold((0.0, 0usize), |(sum, count), g| (sum + g * g, count + 1));
    (sum / count.max(1) as f64).sqrt()
}

/// The gradient over all probes with root mean square 1. `None` if it is not finite or vanishes.
pub fn direction(answers: &[Answer]) -> Option<Vec<f32>> {
    normalised(&answers.iter().flat_map(|answer| answer.gradient.iter().copied()).collect::<Vec<_>>())
}

/// The same from the slopes of all probes, one after the other.
pub fn normalised(slopes: &[f64]) -> Option<Vec<f32>> {
    let scale = root_mean_square(slopes.iter());
    (scale.is_finite() && scale > 0.0).then(|| slopes.iter().map(|slope| (slope / scale) as f32).collect())
}

/// How differently two losses push, from 0 (alike) to 2 (opposite): the root mean square of the difference of their
/// directions. Compared, not hashed: rounding to a grid parts neighbours that lie on two sides of an edge, and of the
/// 960 values of a direction some always do.
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
