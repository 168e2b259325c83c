//! What a loss does, apart from how it is written and how large it is: its gradient on fixed probes.
//!
//! Two formulas whose gradients by the logits point in the same direction train alike, because the optimiser ignores a
//! positive factor. The factor is removed once over all probes together: removed per probe, Dice, IoU and their powers
//! would look alike although they weigh samples differently. The probes are part of the version: they have no seed and
//! change only with [`VERSION`].

use super::eval::{Inputs, gradient};
use super::plan::Plan;

/// Changes whenever the probes or the rounding change; part of every key.
pub const VERSION: u32 = 1;

/// Voxels per sample of a probe.
const VOXELS: usize = 48;
/// Samples per probe: two, so that batch reductions differ from those per sample.
const SAMPLES: usize = 2;
/// Steps of rounding per root mean square of the gradient.
const STEPS: f64 = 1e3;

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
    // Shares of foreground in both samples, how strongly logits follow the target, how much they scatter.
    #[rustfmt::skip]
    let recipes: [(&str, [f64; 2], f64, f64, f64, bool); 9] = [
        ("random, rare foreground",     [0.10, 0.04],  0.0,  1.5, 0.0, false),
        ("random, balanced",            [0.50, 0.35],  0.0,  2.0, 0.3, false),
        ("half trained",                [0.10, 0.25],  1.5,  1.5, 0.6, false),
        ("nearly trained",              [0.15, 0.08],  4.0,  2.0, 1.0, false),
        ("all background predicted",    [0.10, 0.20],  0.0,  0.5, 0.1, false),
        ("empty and filled sample",     [0.00, 0.30],  0.5,  1.5, 0.5, true),
        ("full and filled sample",      [1.00, 0.30],  0.5,  1.5, 0.5, true),
        ("saturated and right",         [0.20, 0.10], 90.0,  1.0, 0.5, true),
        ("saturated and wrong",         [0.20, 0.10], -90.0, 1.0, 0.5, true),
    ];
    let mut noise = Noise(0);
    recipes
        .into_iter()
        .map(|(name, shares, follow, scatter, progress, extreme)| {
            let bias = if name.starts_with("all background") { -3.0 } else { 0.0 };
            let targets: Vec<f64> = (0..SAMPLES * VOXELS)
                .map(|i| f64::from((i % VOXELS) as f64 + 0.5 < shares[i / VOXELS] * VOXELS as f64))
                .collect();
            let logits = targets.iter().map(|y| bias + follow * (2.0 * y - 1.0) + scatter * noise.next()).collect();
            Probe { name, logits, targets, progress, extreme }
        })
        .collect()
}

/// The answers of a formula to the probes, in their order.
pub fn answers(plan: &Plan, probes: &[Probe]) -> Vec<Answer> {
    let answer = |probe: &Probe| {
        let mut slopes = vec![0.0; probe.logits.len()];
        let inputs = Inputs { samples: SAMPLES, classes: 1, logits: &probe.logits, targets: &probe.targets, progress: probe.progress };
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

/// The behaviour as a short text: equal for formulas whose gradients agree in direction to about 1e-3. `None` if the
/// gradient is not finite or vanishes.
pub fn fingerprint(answers: &[Answer]) -> Option<String> {
    let scale = scale(answers);
    if !(scale.is_finite() && scale > 0.0) {
        return None;
    }
    let mut hash = blake3::Hasher::new();
    hash.update(&VERSION.to_le_bytes());
    for slope in answers.iter().flat_map(|answer| &answer.gradient) {
        // An irrational offset keeps common values (0, halves) away from the edges of the rounding.
        let step = (slope / scale * STEPS + std::f64::consts::FRAC_1_PI).round() as i64;
        hash.update(&step.to_le_bytes());
    }
    Some(hash.finalize().to_hex()[..16].to_string())
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

    fn print_of(text: &str) -> Option<String> {
        let plan = Plan::new(&text.parse().unwrap());
        fingerprint(&answers(&plan, &probes()))
    }

    #[test]
    fn a_positive_factor_or_another_writing_changes_nothing() {
        let dice = print_of("(ratio (mean tp) (* 0.5 (mean abs_diff)))");
        assert!(dice.is_some());
        assert_eq!(print_of("(* 7 (ratio (* 2 (mean tp)) (+ (mean fp) (mean fn))))"), dice);
    }

    #[test]
    fn relatives_that_weigh_samples_differently_are_told_apart() {
        let dice = print_of("(ratio (mean tp) (* 0.5 (mean abs_diff)))");
        assert_ne!(print_of("(ratio (mean tp) (mean abs_diff))"), dice);
        assert_ne!(print_of("(^ (ratio (mean tp) (* 0.5 (mean abs_diff))) 0.75)"), dice);
        assert_ne!(print_of("(ratio (mean_batch tp) (* 0.5 (mean_batch abs_diff)))"), dice);
    }

    #[test]
    fn a_formula_without_gradient_has_no_fingerprint() {
        assert_eq!(print_of("(mean y)"), None);
    }
}
