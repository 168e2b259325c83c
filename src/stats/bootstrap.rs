//! The bootstrap of a mean: an interval without a formula for the shape.
//!
//! Subjects are drawn with replacement from a stream that the caller addresses, so an interval can be recomputed to the
//! bit. Two readings of the same resamples: the plain percentiles, and Efron's bias-corrected and accelerated ones
//! (`BCa`, 1987), which are second-order right for skewed differences. Neither cures a sample of five.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::Interval;
use super::distribution::{normal_quantile, normal_tail};
use super::summary::{mean, quantile};

/// Resamples of a reported interval: the ends then move by about one percent of its length from stream to stream.
pub const RESAMPLES: usize = 10_000;

/// Means of `resamples` draws of as many values as there are, with replacement, in ascending order.
pub fn resampled_means(values: &[f64], resamples: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    if values.is_empty() {
        return Vec::new();
    }
    let mut draw = || (0..values.len()).map(|_| values[rng.random_range(0..values.len())]).sum::<f64>();
    let mut means: Vec<f64> = (0..resamples).map(|_| draw() / values.len() as f64).collect();
    means.sort_unstable_by(f64::total_cmp);
    means
}

/// The middle `confidence` of the resampled means, which are in ascending order.
pub fn percentile(means: &[f64], confidence: f64) -> Interval {
    let tail = (1.0 - confidence) / 2.0;
    Interval { low: quantile(means, tail), high: quantile(means, 1.0 - tail) }
}

/// The same, shifted for bias and skewness of the mean of `values`: `Φ(z0 + (z0 + z) / (1 - a (z0 + z)))` in place of
/// `Φ(z)`, z0 from the share of resampled means below the mean, a from the jackknife.
pub fn bias_corrected(means: &[f64], values: &[f64], confidence: f64) -> Interval {
    let centre = mean(values);
    // Half of the ties count as below, or a sample of few distinct values would look biased.
    let below = means.partition_point(|m| *m < centre) + means.partition_point(|m| *m <= centre);
    let bias = normal_quantile(below as f64 / (2 * means.len()) as f64);
    // Leaving one value out moves a mean in proportion to that value's distance from it; the factor cancels.
    let moment = |power: i32| values.iter().map(|value| (value - centre).powi(power)).sum::<f64>();
    let acceleration = if moment(2) > 0.0 { moment(3) / (6.0 * moment(2).powf(1.5)) } else { 0.0 };
    let place = |p: f64| {
        let shifted = bias + normal_quantile(p);
        normal_tail(-(bias + shifted / (1.0 - acceleration * shifted)))
    };
    let tail = (1.0 - confidence) / 2.0;
    let (low, high) = (place(tail), place(1.0 - tail));
    if low.is_nan() || high.is_nan() {
        // No resample, or none on one side of the mean, as with values that are all equal: nothing to correct with.
        return percentile(means, confidence);
    }
    Interval { low: quantile(means, low), high: quantile(means, high) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, stream};

    // Multiples of 1/64, whose sums are exact: ties are ties in both programs.
    const VALUES: [f64; 5] = [0.03125, -0.015_625, 0.125, 0.015_625, 0.296_875];

    /// Every one of the 5^5 resamples once: what infinitely many draws would tend to.
    fn all_means() -> Vec<f64> {
        let draw = |index: usize| (0..5).map(|place| VALUES[index / 5_usize.pow(place) % 5]).sum::<f64>() / 5.0;
        let mut means: Vec<f64> = (0..3125).map(draw).collect();
        means.sort_unstable_by(f64::total_cmp);
        means
    }

    #[test]
    fn intervals_agree_with_scipy_on_every_resample() {
        let found = [percentile(&all_means(), 0.95), bias_corrected(&all_means(), &VALUES, 0.95)];
        for (found, (low, high)) in found.iter().zip(SCIPY) {
            assert!(
                (found.low - low).abs() < 1e-12 && (found.high - high).abs() < 1e-12,
                "{found:?} is not {low}, {high}"
            );
        }
    }

    #[test]
    fn draws_tend_to_every_resample() {
        let means = resampled_means(&VALUES, RESAMPLES, &mut stream(3, Purpose::Bootstrap, 0, 0));
        let (drawn, all) = (percentile(&means, 0.95), percentile(&all_means(), 0.95));
        assert!((drawn.low - all.low).abs() < 0.01 && (drawn.high - all.high).abs() < 0.01, "{drawn:?} is not {all:?}");
    }

    #[test]
    fn equal_values_have_no_width_and_no_values_no_interval() {
        let means = resampled_means(&[0.25; 7], 100, &mut stream(3, Purpose::Bootstrap, 0, 0));
        assert_eq!(bias_corrected(&means, &[0.25; 7], 0.95), Interval { low: 0.25, high: 0.25 });
        assert!(bias_corrected(&[], &[], 0.95).low.is_nan());
    }

    // SciPy 1.17.1 on the same 3125 means: numpy.percentile, and the interval of `bootstrap(method="BCa")`
    // (_resampling._bca_interval, alpha = 0.0592, 0.9936).
    const SCIPY: [(f64, f64); 2] = [(0.00625, 0.2), (0.015_625, 0.234_375)];
}
