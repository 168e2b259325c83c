//! What may be claimed: paired comparisons of per-subject values, and the words for their outcome.
//!
//! Guards one rule: the subject is the unit. Every function takes one number per subject, paired by position; folds,
//! seeds and classes are averaged per subject before they come here, because counting them as subjects would shrink
//! every p-value without a single new patient. A difference that the data cannot resolve has a name of its own, so that
//! it can be neither hidden nor called equality.

use std::fmt;

use rand_chacha::ChaCha8Rng;

use crate::fault::Result;

pub mod bootstrap;
pub mod distribution;
pub mod holm;
pub mod kendall;
pub mod paired;
pub mod pairwise;
pub mod ranking;
pub mod resampled;
pub mod summary;
pub mod wilcoxon;

use bootstrap::{RESAMPLES, resampled_means};
use paired::Paired;
use wilcoxon::SignedRank;

/// Confidence of every interval.
pub const CONFIDENCE: f64 = 0.95;

/// Which values are good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
}

impl Direction {
    /// A difference as a gain: positive when it is an improvement.
    pub fn gain(self, difference: f64) -> f64 {
        match self {
            Self::Higher => difference,
            Self::Lower => -difference,
        }
    }
}

/// Two numbers that enclose another with a stated confidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// Whether `value` is within the interval, ends included.
    pub fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }
}

/// Everything known about the difference of two methods on the same subjects.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Mean, deviation, t interval and test of the differences, first minus second.
    pub paired: Paired,
    /// Wilcoxon's signed-rank test of the same differences: the test that decides, as it asks for no normal shape.
    pub signed_rank: SignedRank,
    /// Bootstrap interval (`BCa`) of the mean difference.
    pub bootstrap: Interval,
    /// The smallest true mean difference that this many subjects of this spread would reveal, see
    /// [`paired::detectable`]: what "not resolvable" still leaves possible.
    pub detectable: f64,
    /// Pairs left out because a value was undefined or infinite.
    pub dropped: usize,
}

/// Compares two lists of one value per subject; pairs with an undefined or infinite value are dropped and counted.
///
/// # Errors
/// If the lists differ in length, which cannot be a pairing.
pub fn compare(first: &[f64], second: &[f64], rng: &mut ChaCha8Rng) -> Result<Comparison> {
    let differences = paired::differences(first, second)?;
    let paired = Paired::of(&differences);
    let means = resampled_means(&differences, RESAMPLES, rng);
    Ok(Comparison {
        paired,
        signed_rank: SignedRank::of(&differences),
        bootstrap: bootstrap::bias_corrected(&means, &differences, CONFIDENCE),
        detectable: paired::detectable(paired.sd, paired.n),
        dropped: first.len() - differences.len(),
    })
}

impl Comparison {
    /// The verdict on the first method at `level`; `p` is that of the signed-rank test, corrected for the number of
    /// comparisons where there are several ([`holm::adjusted`]).
    ///
    /// A few large differences may oppose many small ones, so that mean and ranks point in opposite directions: the test
    /// then speaks against the mean that is reported, and neither direction is claimed.
    pub fn verdict(&self, direction: Direction, p: f64, level: f64) -> Verdict {
        let agree = self.paired.mean * self.signed_rank.rank_biserial > 0.0;
        let gain = if agree { direction.gain(self.paired.mean) } else { 0.0 };
        Verdict::of(gain, p, self.paired.n, level)
    }
}

/// What a comparison allows to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The first is better than the second.
    Better,
    /// The first is worse than the second.
    Worse,
    /// The data of `n` subjects allow neither.
    NotResolvable {
        /// Number of pairs.
        n: usize,
    },
}

impl Verdict {
    /// The verdict on a `gain` (positive when the first is better, whatever the metric's direction) with p-value `p`,
    /// corrected for the number of comparisons where there are several ([`holm::adjusted`]).
    pub fn of(gain: f64, p: f64, n: usize, level: f64) -> Self {
        match p < level {
            true if gain > 0.0 => Self::Better,
            true if gain < 0.0 => Self::Worse,
            _ => Self::NotResolvable { n },
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Better => f.write_str("better"),
            Self::Worse => f.write_str("worse"),
            Self::NotResolvable { n } => write!(f, "not resolvable with n = {n}"),
        }
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these numbers are exact")]
mod tests {
    use super::*;
    use crate::rng::{Purpose, stream};

    #[test]
    fn a_verdict_needs_a_small_p_and_a_direction() {
        assert_eq!(Verdict::of(0.02, 0.01, 12, 0.05).to_string(), "better");
        assert_eq!(Verdict::of(-0.02, 0.01, 12, 0.05).to_string(), "worse");
        assert_eq!(Verdict::of(0.02, 0.05, 12, 0.05).to_string(), "not resolvable with n = 12");
        assert_eq!(Verdict::of(0.0, 0.01, 12, 0.05), Verdict::NotResolvable { n: 12 });
        assert_eq!(Verdict::of(f64::NAN, f64::NAN, 0, 0.05), Verdict::NotResolvable { n: 0 });
    }

    #[test]
    fn a_verdict_follows_the_metric_and_needs_mean_and_ranks_to_agree() {
        let of = |first: &[f64]| compare(first, &[0.0; 12], &mut stream(1, Purpose::Bootstrap, 0, 0)).unwrap();
        let verdict = |found: &Comparison, direction| found.verdict(direction, found.signed_rank.p, 0.05);
        let more = of(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0]);
        assert_eq!(verdict(&more, Direction::Higher), Verdict::Better);
        assert_eq!(verdict(&more, Direction::Lower), Verdict::Worse);
        // Eleven subjects lose a little and one gains much: significant, but against the mean.
        let torn = of(&[-1.0, -2.0, -3.0, -4.0, -5.0, -6.0, -7.0, -8.0, -9.0, -10.0, -11.0, 120.0]);
        assert!(torn.signed_rank.p < 0.05 && torn.paired.mean > 0.0 && torn.signed_rank.rank_biserial < 0.0);
        assert_eq!(verdict(&torn, Direction::Higher), Verdict::NotResolvable { n: 12 });
    }

    #[test]
    fn a_comparison_is_antisymmetric_and_drops_undefined_pairs() {
        let first = [0.90, 0.85, 0.91, f64::NAN, 0.88, 0.79, 0.93, f64::INFINITY];
        let second = [0.88, 0.86, 0.87, 0.5, 0.83, 0.70, 0.90, 1.0];
        let rng = || stream(1, Purpose::Bootstrap, 0, 0);
        let there = compare(&first, &second, &mut rng()).unwrap();
        let back = compare(&second, &first, &mut rng()).unwrap();
        assert_eq!((there.paired.n, there.dropped), (6, 2));
        assert_eq!(there.paired.mean, -back.paired.mean);
        assert_eq!(there.signed_rank.p, back.signed_rank.p);
        assert_eq!(there.signed_rank.rank_biserial, -back.signed_rank.rank_biserial);
        assert!(there.bootstrap.contains(there.paired.mean));
        assert_eq!(there, compare(&first, &second, &mut rng()).unwrap(), "the same stream is the same interval");
        assert!(compare(&first, &second[1..], &mut rng()).is_err());
    }

    #[test]
    fn identical_methods_and_no_subjects_are_not_resolvable() {
        for values in [&[0.5, 0.7, 0.9][..], &[]] {
            let found = compare(values, values, &mut stream(1, Purpose::Bootstrap, 0, 0)).unwrap();
            let verdict = Verdict::of(found.paired.mean, found.signed_rank.p, found.paired.n, 0.05);
            assert_eq!(verdict, Verdict::NotResolvable { n: values.len() });
        }
    }
}
