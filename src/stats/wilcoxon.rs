//! Wilcoxon's signed-rank test: are positive and negative differences equally far from zero?
//!
//! Guards the conditional distribution of the rank sum given the ranks at hand. Zero differences are dropped (Wilcoxon
//! 1945, `SciPy`'s default), tied ones share their mean rank. Up to [`EXACT`] differences the p-value is exact, *with*
//! ties: doubled mean ranks are whole numbers, so one table counts the signs. `SciPy` 1.17 does the same by enumeration
//! up to 13 and is approximate beyond when there are ties.

use super::distribution::normal_tail;

/// Up to so many non-zero differences the p-value is exact: 2^50 sign patterns are still exact numbers in f64.
pub const EXACT: usize = 50;

/// The smallest p-value that `n` differences can have, all of one sign: `2^(1 - n)`. With five subjects no outcome
/// whatever is below 0.05.
pub fn least_p(n: usize) -> f64 {
    2.0_f64.powi(1 - n.min(1000) as i32).min(1.0)
}

/// Result of the test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SignedRank {
    /// Number of differences other than zero.
    pub n: usize,
    /// Sum of the ranks of positive differences.
    pub positive: f64,
    /// Sum of the ranks of negative differences.
    pub negative: f64,
    /// Two-sided p-value; 1 if every difference is zero.
    pub p: f64,
    /// Matched-pairs rank-biserial correlation, `(positive - negative) / (positive + negative)`: the effect size of
    /// this test, from -1 to 1, 0 if every difference is zero.
    pub rank_biserial: f64,
}

impl SignedRank {
    /// The test of `differences`, which are finite.
    pub fn of(differences: &[f64]) -> Self {
        let mut sorted: Vec<f64> = differences.iter().copied().filter(|d| *d != 0.0).collect();
        sorted.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
        let n = sorted.len();
        let doubled = doubled_ranks(&sorted);
        let sum = |positive: bool| -> usize {
            sorted.iter().zip(&doubled).filter(|(d, _)| (**d > 0.0) == positive).map(|(_, rank)| rank).sum()
        };
        let (positive, negative) = (sum(true), sum(false));
        let p = match n {
            0 => 1.0,
            1..=EXACT => exact(&doubled, positive.min(negative)),
            _ => approximate(&doubled, positive),
        };
        let total = (n * (n + 1)).max(1) as f64;
        Self {
            n,
            positive: positive as f64 / 2.0,
            negative: negative as f64 / 2.0,
            p,
            rank_biserial: (positive as f64 - negative as f64) / total,
        }
    }
}

/// Twice the mean rank of every magnitude, in ascending order of magnitude.
fn doubled_ranks(sorted: &[f64]) -> Vec<usize> {
    let mut ranks = Vec::with_capacity(sorted.len());
    for tied in sorted.chunk_by(|a, b| a.abs().total_cmp(&b.abs()).is_eq()) {
        // Ranks first + 1 ..= first + len have twice the mean 2 first + len + 1.
        let twice = 2 * ranks.len() + tied.len() + 1;
        ranks.extend(std::iter::repeat_n(twice, tied.len()));
    }
    ranks
}

/// Twice the share of all sign patterns whose doubled rank sum is at most `smaller`, at most 1.
fn exact(doubled: &[usize], smaller: usize) -> f64 {
    let mut patterns = vec![0.0; smaller + 1];
    patterns[0] = 1.0;
    for rank in doubled {
        for sum in (*rank..=smaller).rev() {
            patterns[sum] += patterns[sum - rank];
        }
    }
    (2.0 * patterns.iter().sum::<f64>() / 2.0_f64.powi(doubled.len() as i32)).min(1.0)
}

/// The normal approximation, its variance corrected for ties, without a correction for continuity (`SciPy`'s default).
fn approximate(doubled: &[usize], positive: usize) -> f64 {
    let n = doubled.len() as f64;
    let mean = n * (n + 1.0) / 4.0;
    // A sum of independent signs: a quarter of the squared ranks, which carries the ties' correction in itself.
    let variance = doubled.iter().map(|rank| (*rank as f64 / 2.0).powi(2)).sum::<f64>() / 4.0;
    2.0 * normal_tail((positive as f64 / 2.0 - mean).abs() / variance.sqrt())
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these numbers are exact")]
mod tests {
    use super::*;

    #[test]
    fn small_samples_agree_with_scipy() {
        for (differences, positive, p) in SMALL {
            let found = SignedRank::of(differences);
            assert!((found.p - p).abs() < 1e-12 && (found.positive - positive).abs() < 1e-12, "{found:?} is not {p}");
        }
    }

    #[test]
    fn large_samples_agree_with_scipy() {
        for (n, shift, p) in LARGE {
            let differences: Vec<f64> = (0..n).map(|i| f64::from((i * 37) % 101) - shift).collect();
            let found = SignedRank::of(&differences);
            assert!((found.p - p).abs() < 1e-11 * p, "{found:?} is not {p}");
        }
    }

    #[test]
    fn the_best_p_of_n_subjects_is_two_in_two_to_the_n() {
        for n in 1..=12 {
            let all_better: Vec<f64> = (1..=n).map(f64::from).collect();
            let found = SignedRank::of(&all_better);
            assert_eq!(found.p, 2.0_f64.powi(1 - n));
            assert_eq!(found.p, least_p(n as usize));
            assert_eq!(found.rank_biserial, 1.0);
        }
        assert_eq!((SignedRank::of(&[0.0; 5]).p, SignedRank::of(&[]).p, least_p(0)), (1.0, 1.0, 1.0));
        assert!(least_p(5) > 0.05 && least_p(6) < 0.05);
    }

    /// Differences, sum of positive ranks, p of `SciPy` 1.17.1 `wilcoxon(d)`; the last but one by enumeration
    /// (`method=PermutationMethod(n_resamples=2**14 + 1)`), the last, 25 with ties and two zeros, by counting all 2^25
    /// sign patterns of `scipy.stats.rankdata` in `NumPy` 2.4.6.
    const SMALL: [(&[f64], f64, f64); 7] = [
        (&[1.5, -0.5, 2.0, 3.0, -1.0, 4.0, 0.75, 2.5], 32.0, 0.054_687_5),
        (&[1.0, -1.0, 2.0, 3.0, -2.0, 4.0, 5.0, 6.0, 1.0, 2.0], 48.0, 0.041_015_625),
        (&[0.0, 1.0, 2.0, -1.0, 3.0, 0.0, 4.0], 13.5, 0.1875),
        (&[-3.0], 0.0, 1.0),
        (
            &[
                0.02, -0.01, 0.08, 0.012, 0.19, 0.03, 0.07, 0.005, -0.04, 0.06, 0.09, -0.13, 0.11, 0.025, 0.15, -0.085,
                0.12, 0.17, 0.045, 0.055,
            ],
            171.0,
            0.012_079_238_891_601_562,
        ),
        (&[1.0, -1.0, 2.0, 3.0, -2.0, 4.0, 5.0, 6.0, 1.0, 2.0, 7.0, -3.0, 8.0, 9.0], 90.5, 0.014_648_437_5),
        (
            &[
                -4.0, 3.0, -3.0, 4.0, -2.0, 5.0, -1.0, 6.0, 0.0, 7.0, 1.0, 8.0, 2.0, -4.0, 3.0, -3.0, 4.0, -2.0, 5.0,
                -1.0, 6.0, 0.0, 7.0, 1.0, 8.0, 2.0, -4.0,
            ],
            241.0,
            0.033_095_777_034_759_52,
        ),
    ];

    /// Number and shift of the differences, p of `SciPy` 1.17.1 `wilcoxon(d)`: ties, zeros, and thirty and 25 without
    /// ties.
    const LARGE: [(i32, f64, f64); 6] = [
        (60, 35.5, 0.001_294_801_498_034_924),
        (101, 50.0, 1.0),
        (101, 47.5, 0.401_767_378_818_716_7),
        (101, 41.0, 0.004_632_352_801_274_583),
        (30, 35.5, 0.038_418_417_796_492_58),
        (25, 35.5, 0.066_701_591_014_862_06),
    ];
}
