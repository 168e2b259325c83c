//! The corrected resampled t-test of Nadeau and Bengio: what repeated k-fold alone says of a difference.
//!
//! Guards the variance `(1 / n + n_test / n_train) sd²` of the mean of n fold differences (Nadeau and Bengio 2003,
//! "Inference for the generalization error"; for repeated k-fold Bouckaert and Frank 2004). Trainings that share cases
//! are not independent; the plain t-test takes them for it and finds differences among equals.
//!
//! Descriptive only. Its n is a number of trainings, which anybody can raise; the correction is a rule of thumb, not a
//! theorem. Subjects are the unit of a claim: [`super::compare`] and [`super::Verdict`] never see these numbers.

use super::distribution::{student_quantile, student_two_sided};
use super::summary::{mean, standard_deviation};
use super::{CONFIDENCE, Interval};
use crate::fault::{Fault, Result};

/// Mean difference over trainings and the corrected view of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Resampled {
    /// Number of trainings of each method: folds times repeats.
    pub n: usize,
    /// Mean of the fold differences.
    pub mean: f64,
    /// Their sample standard deviation, not corrected.
    pub sd: f64,
    /// Interval of the mean at [`CONFIDENCE`].
    pub interval: Interval,
    /// Corrected statistic, with n - 1 degrees of freedom.
    pub t: f64,
    /// Two-sided p-value.
    pub p: f64,
}

impl Resampled {
    /// The test of `differences`, one per fold of every repeat: the mean of one method over the fold's test cases less
    /// that of the other. `test` and `train` are the numbers of cases in the two parts of a fold.
    ///
    /// Without spread it behaves as [`super::paired::Paired::of`]: n < 2 gives NaN, equal differences an infinite t,
    /// differences that are all zero t = 0 and p = 1.
    ///
    /// # Errors
    /// If a part of the folds is empty: the correction is their ratio.
    pub fn of(differences: &[f64], test: usize, train: usize) -> Result<Self> {
        if test == 0 || train == 0 {
            return Err(Fault::new("a fold without cases has no corrected variance")
                .expected("at least one case to train on and one to test on")
                .found(format!("{train} to train on, {test} to test on")));
        }
        let n = differences.len();
        let (mean, sd) = (mean(differences), standard_deviation(differences));
        let error = sd * (1.0 / n as f64 + test as f64 / train as f64).sqrt();
        let freedom = n as f64 - 1.0;
        let t = if mean == 0.0 && sd == 0.0 { 0.0 } else { mean / error };
        let (reach, p) = match n {
            0 | 1 => (f64::NAN, f64::NAN),
            _ => (error * student_quantile(f64::midpoint(1.0, CONFIDENCE), freedom), student_two_sided(t, freedom)),
        };
        Ok(Self { n, mean, sd, interval: Interval { low: mean - reach, high: mean + reach }, t, p })
    }
}

#[cfg(test)]
mod tests {
    use super::super::paired::Paired;
    use super::*;

    const DIFFERENCES: [f64; 10] = [0.031, -0.004, 0.022, 0.015, 0.048, 0.009, -0.012, 0.027, 0.036, 0.011];

    #[test]
    fn two_times_five_folds_and_hold_outs_agree_with_scipy() {
        for (n, test, train, expected) in SCIPY {
            let found = Resampled::of(&DIFFERENCES[..n], test, train).unwrap();
            let numbers = [found.t, found.p, found.interval.low, found.interval.high, found.mean, found.sd];
            for (found, expected) in numbers.into_iter().zip(expected) {
                assert!((found - expected).abs() < 1e-12, "{n}: {found} is not {expected}");
            }
        }
    }

    #[test]
    fn the_correction_only_ever_widens_and_vanishes_without_a_test_part() {
        let plain = Paired::of(&DIFFERENCES);
        let mut last = plain.p;
        for test in [1, 5, 12, 30] {
            let found = Resampled::of(&DIFFERENCES, test, 60 - test).unwrap();
            assert!(found.p > last && found.interval.low < plain.interval.low, "{test}: {found:?}");
            last = found.p;
        }
        let nearly = Resampled::of(&DIFFERENCES, 1, usize::MAX).unwrap();
        assert!((nearly.p - plain.p).abs() < 1e-15 && (nearly.t - plain.t).abs() < 1e-14);
    }

    #[test]
    fn repeating_the_same_trainings_does_not_make_a_difference_certain() {
        // The plain test halves the error with every fourfold repetition; the corrected one keeps n_test / n_train.
        let repeated = DIFFERENCES.repeat(100);
        assert!(Paired::of(&repeated).p < 1e-100);
        assert!(Resampled::of(&repeated, 12, 48).unwrap().t < 2.2);
    }

    #[test]
    fn without_spread_or_cases_it_says_so() {
        let of = |differences: &[f64]| Resampled::of(differences, 1, 4).unwrap();
        assert_eq!((of(&[0.0; 5]).t, of(&[0.0; 5]).p), (0.0, 1.0));
        assert_eq!((of(&[0.5; 5]).t, of(&[0.5; 5]).p), (f64::INFINITY, 0.0));
        assert!(of(&[0.5]).p.is_nan() && of(&[]).interval.low.is_nan());
        assert!(Resampled::of(&DIFFERENCES, 0, 5).is_err() && Resampled::of(&DIFFERENCES, 5, 0).is_err());
    }

    /// Differences, cases to test and to train on; t, p, interval, mean, sd by NumPy 2.4.6 (`std(ddof=1)`) and SciPy
    /// 1.17.1 (`t.sf`, `t.interval`) from the formula of the paper.
    const SCIPY: [(usize, usize, usize, [f64; 6]); 2] = [
        (
            10,
            12,
            48,
            [
                1.690_844_344_524_207_6,
                0.125_124_863_109_344_56,
                -0.006_183_315_813_943_907,
                0.042_783_315_813_943_915,
                0.018_3,
                0.018_294_200_659_711_202,
            ],
        ),
        (
            6,
            12,
            39,
            [
                1.621_290_252_341_582_4,
                0.165_881_805_020_134_94,
                -0.011_807_908_486_545_157,
                0.052_141_241_819_878_49,
                0.020_166_666_666_666_666,
                0.018_060_084_901_978_357,
            ],
        ),
    ];
}
