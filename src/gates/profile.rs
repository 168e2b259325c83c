//! Gate 3: how the gradient is spread over voxels that it can move.
//!
//! On the ordinary probes together it has to be finite, to move both sides of the target, to move most of either side
//! towards the target, and not to sit in a few voxels. Where all of it points the wrong way the loss is only written the
//! wrong way round, which is told apart from a loss that contradicts itself. Silence on a sample without the class is a
//! property and no fault: Dice has it, and cross-entropy has not.

use super::Rejection;
use crate::formula::fingerprint::Probe;

/// Least share of the gradient on either side that has to push towards the target (the measure of `NeuroLoss` is 90 % of
/// the mass), and the largest share at which the sign counts as reversed.
const MOSTLY: f64 = 0.9;

/// Largest slope over the median of those that are not 0. The catalog reaches a few hundred where a loss is sharp; steep
/// beyond that, one voxel decides every step of the optimiser.
const RANGE: f64 = 1e4;

/// An empty sample is silent if its slopes are so much smaller than those of ordinary probes, in root mean square.
const SILENT: f64 = 1e-2;

/// What a gradient looks like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Profile {
    /// Root mean square of dL/dlogit over all probes together.
    pub scale: f64,
    /// Whether samples without the class have next to no gradient.
    pub silent_on_empty: bool,
    /// Whether all of it has the wrong sign, so that the loss has to be negated.
    pub reversed: bool,
    /// Largest slope over the median of those that are not 0.
    pub range: f64,
}

impl Profile {
    /// Of a loss whose profile nobody judges.
    pub(super) fn unjudged(probes: &[Probe], slopes: &[f64]) -> Self {
        let scale = root_mean_square(slopes);
        Self { scale, silent_on_empty: is_silent_on_empty(probes, slopes, scale), reversed: false, range: f64::NAN }
    }
}

fn root_mean_square(slopes: &[f64]) -> f64 {
    (slopes.iter().map(|slope| slope * slope).sum::<f64>() / slopes.len().max(1) as f64).sqrt()
}

/// The profile of a loss: `losses` has its value for every probe, `slopes` dL/dlogit of all voxels of all probes.
///
/// # Errors
/// If no optimiser could follow it.
pub(super) fn pass(probes: &[Probe], losses: &[f64], slopes: &[f64]) -> Result<Profile, Rejection> {
    let scale = root_mean_square(slopes);
    if !losses.iter().all(|loss| loss.is_finite()) || !scale.is_finite() {
        return Err(Rejection::NotFinite);
    }
    let size = slopes.len() / probes.len().max(1);
    let voxels = || {
        let ordinary = probes.iter().zip(slopes.chunks(size)).filter(|(probe, _)| !probe.extreme);
        ordinary.flat_map(|(probe, slopes)| probe.targets.iter().zip(slopes))
    };
    // Of background and foreground: how much pushes towards the target, and how much away from it.
    let mut pushes = [[0.0f64; 2]; 2];
    let mut sizes: Vec<f64> = Vec::with_capacity(slopes.len());
    for (y, slope) in voxels() {
        let towards = if *y > 0.5 { -slope } else { *slope };
        pushes[usize::from(*y > 0.5)][usize::from(towards < 0.0)] += slope.abs();
        if *slope != 0.0 {
            sizes.push(slope.abs());
        }
    }
    if sizes.is_empty() {
        return Err(Rejection::NoGradient);
    }
    if pushes.iter().any(|[towards, away]| towards + away == 0.0) {
        return Err(Rejection::OneSided);
    }
    let share = |[towards, away]: [f64; 2]| towards / (towards + away);
    let reversed = pushes.iter().all(|push| share(*push) <= 1.0 - MOSTLY);
    if !reversed && !pushes.iter().all(|push| share(*push) >= MOSTLY) {
        return Err(Rejection::WrongSign);
    }
    let largest = sizes.iter().copied().fold(0.0, f64::max);
    let middle = sizes.len() / 2;
    let (_, median, _) = sizes.select_nth_unstable_by(middle, f64::total_cmp);
    let range = largest / *median;
    if range > RANGE {
        return Err(Rejection::Uneven);
    }
    Ok(Profile { scale, silent_on_empty: is_silent_on_empty(probes, slopes, scale), reversed, range })
}

/// Whether samples of probes that have no foreground get next to no gradient.
fn is_silent_on_empty(probes: &[Probe], slopes: &[f64], scale: f64) -> bool {
    let size = slopes.len() / probes.len().max(1);
    let samples = probes.iter().zip(slopes.chunks(size)).flat_map(|(probe, slopes)| {
        // Two samples per probe.
        let half = size / 2;
        probe.targets.chunks(half).zip(slopes.chunks(half))
    });
    let empty = samples.filter(|(targets, _)| targets.iter().all(|y| *y == 0.0));
    let (sum, count) = empty.flat_map(|(_, slopes)| slopes).fold((0.0, 0usize), |(sum, n), g| (sum + g * g, n + 1));
    count > 0 && (sum / count as f64).sqrt() < SILENT * scale
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formula::fingerprint::{answers, probes};
    use crate::formula::plan::Plan;

    fn profile(text: &str) -> Result<Profile, Rejection> {
        let probes = probes();
        let answers = answers(&Plan::new(&text.parse().unwrap()), &probes);
        let losses: Vec<f64> = answers.iter().map(|answer| answer.value).collect();
        let slopes: Vec<f64> = answers.into_iter().flat_map(|answer| answer.gradient).collect();
        pass(&probes, &losses, &slopes)
    }

    #[test]
    fn dice_is_silent_on_empty_samples_and_cross_entropy_is_not() {
        assert!(profile("(ratio (+ (sum tp) 1e-5) (* 0.5 (sum abs_diff)))").unwrap().silent_on_empty);
        assert!(!profile("(mean (+ ce_fg ce_bg))").unwrap().silent_on_empty);
        assert!(!profile("(ratio (sum_batch tp) (sum_batch abs_diff))").unwrap().silent_on_empty);
    }

    #[test]
    fn a_reversed_loss_is_told_from_one_that_contradicts_itself() {
        assert!(profile("(mean (- 1 abs_diff))").unwrap().reversed);
        assert!(!profile("(mean abs_diff)").unwrap().reversed);
        assert_eq!(profile("(mean (+ fp tp))"), Err(Rejection::WrongSign));
        assert_eq!(profile("(mean (* (- fp 0.5) (- fp 0.5)))"), Err(Rejection::OneSided));
    }
}
