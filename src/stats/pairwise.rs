//! Every method against every other one: who is better than whom, and whether anybody is better than all.
//!
//! Guards the family: the tests of all pairs are corrected together (Holm), so "the best of twenty" is no cheaper to say than
//! any other of the claims that could have been made. The rule of [`Verdict`] holds for each pair: mean and ranks agree.

use super::paired::{Paired, differences};
use super::wilcoxon::SignedRank;
use super::{Direction, Verdict, holm};
use crate::fault::Result;

/// Two methods on the subjects that both have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairTest {
    /// Mean gain of the first over the second: positive where the first is better.
    pub gain: f64,
    /// p-value of Wilcoxon's signed-rank test, corrected for the number of pairs.
    pub p: f64,
    /// What may be said of the first.
    pub verdict: Verdict,
}

/// All pairs of some methods.
#[derive(Debug, Clone, PartialEq)]
pub struct Pairwise {
    methods: usize,
    /// Pairs (0, 1), (0, 2), ..., (1, 2), ...
    tests: Vec<PairTest>,
}

impl Pairwise {
    /// Tests `values[method][subject]`, where NaN is undefined, at `level`.
    ///
    /// # Errors
    /// If the methods differ in their number of subjects.
    pub fn of(values: &[Vec<f64>], direction: Direction, level: f64) -> Result<Self> {
        let methods = values.len();
        let pairs = (0..methods).flat_map(|first| (first + 1..methods).map(move |second| (first, second)));
        let test = |(first, second): (usize, usize)| -> Result<_> {
            let differences = differences(&values[first], &values[second])?;
            Ok((Paired::of(&differences), SignedRank::of(&differences)))
        };
        let tests: Vec<(Paired, SignedRank)> = pairs.map(test).collect::<Result<_>>()?;
        let corrected = holm::adjusted(&tests.iter().map(|(_, ranks)| ranks.p).collect::<Vec<f64>>());
        let judge = |((paired, ranks), p): (&(Paired, SignedRank), f64)| {
            let gain = direction.gain(paired.mean);
            let agree = paired.mean * ranks.rank_biserial > 0.0;
            let verdict = Verdict::of(if agree { gain } else { 0.0 }, p, paired.n, level);
            PairTest { gain, p, verdict }
        };
        Ok(Self { methods, tests: tests.iter().zip(corrected).map(judge).collect() })
    }

    /// The first against the second; none of a method against itself.
    pub fn test(&self, first: usize, second: usize) -> Option<PairTest> {
        let place = |a: usize, b: usize| a * (2 * self.methods - a - 1) / 2 + b - a - 1;
        match first.cmp(&second) {
            std::cmp::Ordering::Equal => None,
            std::cmp::Ordering::Less => Some(self.tests[place(first, second)]),
            std::cmp::Ordering::Greater => {
                let PairTest { gain, p, verdict } = self.tests[place(second, first)];
                let verdict = match verdict {
                    Verdict::Better => Verdict::Worse,
                    Verdict::Worse => Verdict::Better,
                    open @ Verdict::NotResolvable { .. } => open,
                };
                Some(PairTest { gain: -gain, p, verdict })
            }
        }
    }

    /// The method that is better than every other one, if there is such a one.
    pub fn best(&self) -> Option<usize> {
        let beats =
            |first: usize, second: usize| self.test(first, second).is_none_or(|test| test.verdict == Verdict::Better);
        let all = |first: &usize| (0..self.methods).all(|second| beats(*first, second));
        if self.methods < 2 { None } else { (0..self.methods).find(all) }
    }

    /// The methods to which no other one is better: who may still be the best.
    pub fn leaders(&self) -> Vec<usize> {
        let loses =
            |first: usize, second: usize| self.test(first, second).is_some_and(|test| test.verdict == Verdict::Worse);
        (0..self.methods).filter(|first| !(0..self.methods).any(|second| loses(*first, second))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twelve subjects: the second method is better than the first by different amounts, the third is like the second.
    fn values() -> Vec<Vec<f64>> {
        let first: Vec<f64> = (0..12).map(|n| 0.5 + 0.01 * f64::from(n)).collect();
        let second: Vec<f64> = first.iter().enumerate().map(|(n, v)| v + 0.05 + 0.001 * n as f64).collect();
        let third: Vec<f64> =
            second.iter().enumerate().map(|(n, v)| v + if n % 2 == 0 { 1e-3 } else { -1e-3 }).collect();
        vec![first, second, third]
    }

    #[test]
    fn a_best_one_needs_to_beat_all_and_leaders_are_who_is_beaten_by_none() {
        let found = Pairwise::of(&values(), Direction::Higher, 0.05).unwrap();
        assert_eq!(found.test(1, 0).unwrap().verdict, Verdict::Better);
        assert!((found.best(), found.leaders()) == (None, vec![1, 2]), "{found:?}");
        let two = Pairwise::of(&values()[..2], Direction::Higher, 0.05).unwrap();
        assert_eq!((two.best(), two.leaders()), (Some(1), vec![1]));
        let lower = Pairwise::of(&values()[..2], Direction::Lower, 0.05).unwrap();
        assert_eq!(lower.best(), Some(0));
        let alone = Pairwise::of(&values()[..1], Direction::Higher, 0.05).unwrap();
        assert_eq!((alone.best(), alone.leaders()), (None, vec![0]));
    }

    #[test]
    fn pairs_are_antisymmetric_and_corrected_together() {
        let found = Pairwise::of(&values(), Direction::Higher, 0.05).unwrap();
        for first in 0..3 {
            assert!(found.test(first, first).is_none());
            for second in (0..3).filter(|second| *second != first) {
                let (there, back) = (found.test(first, second).unwrap(), found.test(second, first).unwrap());
                assert_eq!((there.gain, there.p), (-back.gain, back.p));
            }
        }
        // Two-sided exact p of twelve differences of one sign is 2 / 2^12; the smallest of three is multiplied by 3.
        assert!((found.test(0, 1).unwrap().p - 3.0 * 2.0 / 4096.0).abs() < 1e-12);
        let alone = Pairwise::of(&values()[..2], Direction::Higher, 0.05).unwrap();
        assert!((alone.test(0, 1).unwrap().p - 2.0 / 4096.0).abs() < 1e-12);
        assert!(Pairwise::of(&[vec![0.0; 3], vec![0.0; 4]], Direction::Higher, 0.05).is_err());
    }
}
