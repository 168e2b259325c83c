//! Weights by the coefficient of variation of each term's loss ratio (Groenendijk et al. 2021, "Multi-loss weighting with
//! coefficient of variations"): a term that still varies still teaches.
//!
//! Published as it stands, the ratio of a value to its mean is meaningless for a term that crosses zero, as the boundary
//! loss does. The guarded form measures each term from the least value seen, in units of its spread so far.

use serde::{Deserialize, Serialize};

/// Running statistics of the terms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cov {
    /// Whether terms may be negative.
    guarded: bool,
    /// How much of the old means stays at each step, below 1; without it, they are those of the whole past.
    pub decay: Option<f64>,
    steps: usize,
    /// Least and largest value of each term so far.
    range: Vec<Option<(f64, f64)>>,
    /// Means of the values and of their ratios, and the sum of squares of Welford's algorithm.
    mean: Vec<f64>,
    mean_ratio: Vec<f64>,
    squares: Vec<f64>,
    deviation: Vec<f64>,
}

impl Cov {
    /// As published, for terms that are positive.
    pub fn published(terms: usize) -> Self {
        Self::new(terms, false)
    }

    /// For any terms: values are moved to [0.5, 1.5] over the range seen so far before the ratio is taken.
    pub fn guarded(terms: usize) -> Self {
        Self::new(terms, true)
    }

    fn new(terms: usize, guarded: bool) -> Self {
        let zeros = || vec![0.0; terms];
        Self {
            guarded,
            decay: None,
            steps: 0,
            range: vec![None; terms],
            mean: zeros(),
            mean_ratio: zeros(),
            squares: zeros(),
            deviation: zeros(),
        }
    }

    /// Weights for the values of this step; they sum to 1.
    pub fn step(&mut self, values: &[f64]) -> Vec<f64> {
        let terms = self.mean.len();
        let weights = match self.steps {
            // The first two steps have no variance yet.
            0 | 1 => vec![1.0 / terms as f64; terms],
            _ => {
                let variation: Vec<f64> = (0..terms).map(|i| self.deviation[i] / self.mean_ratio[i]).collect();
                let sum: f64 = variation.iter().sum();
                variation.iter().map(|c| c / sum).collect()
            }
        };
        for (i, value) in values.iter().enumerate() {
            let value = if self.guarded { self.moved(i, *value) } else { *value };
            self.learn(i, value);
        }
        self.steps += 1;
        weights
    }

    /// A value as its place in the range seen so far, from 0.5 to 1.5.
    fn moved(&mut self, term: usize, value: f64) -> f64 {
        let (least, largest) = self.range[term].map_or((value, value), |(low, high)| (value.min(low), value.max(high)));
        self.range[term] = Some((least, largest));
        if largest > least { 0.5 + (value - least) / (largest - least) } else { 1.0 }
    }

    /// Welford's update of one term, exactly in the order of the authors' code.
    fn learn(&mut self, term: usize, value: f64) {
        let step = self.steps as f64;
        let ratio = if self.steps == 0 { 1.0 } else { value / self.mean[term] };
        let keep = if self.steps == 0 { 0.0 } else { self.decay.unwrap_or(1.0 - 1.0 / (step + 1.0)) };
        let mean_ratio = keep * self.mean_ratio[term] + (1.0 - keep) * ratio;
        self.squares[term] += (ratio - self.mean_ratio[term]) * (ratio - mean_ratio);
        self.mean_ratio[term] = mean_ratio;
        self.deviation[term] = (self.squares[term] / (step + 1.0) + 1e-8).sqrt();
        self.mean[term] = keep * self.mean[term] + (1.0 - keep) * value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_update_is_that_of_the_authors_by_hand() {
        let mut cov = Cov::published(2);
        assert_eq!(cov.step(&[2.0, 1.0]), [0.5, 0.5]);
        assert_eq!(cov.step(&[1.0, 1.0]), [0.5, 0.5]);
        // Ratios of the first term: 1, then 1 / 2; mean 0.75, sum of squares (0.5 - 1)(0.5 - 0.75) = 0.125. Its first value
        // enters with a mean of 0 before it, (1 - 0)(1 - 1) = 0. The second term: ratios 1 and 1, no spread.
        let first = ((0.125f64 / 2.0 + 1e-8).sqrt()) / 0.75;
        let second = 1e-8f64.sqrt();
        let found = cov.step(&[1.0, 1.0]);
        assert!((found[0] - first / (first + second)).abs() < 1e-12, "{found:?}");
        assert!((found[0] + found[1] - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_term_that_crosses_zero_breaks_the_published_form_and_not_the_guarded_one() {
        let values = |step: usize| [1.0 - 0.01 * step as f64, 0.02 - 0.01 * step as f64];
        let run = |mut cov: Cov| (0..20).map(|step| cov.step(&values(step))).collect::<Vec<_>>();
        let within = |weights: &[f64]| weights.iter().all(|w| (0.0..=1.0).contains(w));
        assert!(!run(Cov::published(2)).iter().all(|weights| within(weights)));
        assert!(run(Cov::guarded(2)).iter().all(|weights| within(weights)));
    }

    #[test]
    fn means_over_the_whole_past_freeze_late_in_training() {
        let mut cov = Cov::published(2);
        let mut last = vec![0.5, 0.5];
        let mut moves = Vec::new();
        for step in 0..2000 {
            let now = cov.step(&[1.0 + 0.5 * f64::from(step % 7), 2.0 + 0.1 * f64::from(step % 3)]);
            moves.push((now[0] - last[0]).abs());
            last = now;
        }
        let early: f64 = moves[2..100].iter().sum();
        let late: f64 = moves[1900..].iter().sum();
        assert!(late < 0.02 * early, "{late} after {early}");
    }

    #[test]
    fn decaying_means_follow_the_authors_by_hand() {
        let mut cov = Cov { decay: Some(0.9), ..Cov::published(2) };
        for values in [[2.0, 1.0], [1.0, 1.0]] {
            cov.step(&values);
        }
        // The ratio of the second value is 1 / 2, its mean 0.9 + 0.05, the sum of squares (0.5 - 1)(0.5 - 0.95); the mean of
        // the values is 0.9 * 2 + 0.1.
        assert!((cov.mean_ratio[0] - 0.95).abs() < 1e-12 && (cov.squares[0] - 0.225).abs() < 1e-12);
        assert!((cov.mean[0] - 1.9).abs() < 1e-12);
    }
}
