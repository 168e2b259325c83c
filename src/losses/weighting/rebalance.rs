//! The schedule of Kervadec et al. 2019 ("Boundary loss for highly unbalanced segmentation"): training begins with a
//! region loss and moves towards a boundary loss, which alone has trivial optima.

use serde::{Deserialize, Serialize};

/// A schedule over the whole training, for two terms.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rebalance {
    /// How the weights move.
    pub form: Form,
    /// Weight of the second term at the first step.
    pub start: f64,
    /// Weight of the second term at the last step.
    pub end: f64,
}

/// How the weights move.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Form {
    /// (1 - a) first + a second; a grows by the same amount every step.
    Convex,
    /// The weight of the first term falls from 1 as that of the second grows, never below the floor. The authors'
    /// `StealWeight` with an amount of 0.01 an epoch over 100 epochs is this with 0.01, 1 and a floor of 0.1.
    Additive {
        /// Least weight of the first term.
        floor: f64,
    },
}

impl Default for Rebalance {
    /// As in the talk: convex, from 0.01 to 0.99, by a constant increment per step.
    fn default() -> Self {
        Self { form: Form::Convex, start: 0.01, end: 0.99 }
    }
}

impl Rebalance {
    /// The additive form with the numbers of the authors' code.
    pub fn additive() -> Self {
        Self { form: Form::Additive { floor: 0.1 }, start: 0.01, end: 1.0 }
    }

    /// Weights of both terms at a training progress from 0 to 1.
    pub fn weights(&self, progress: f64) -> Vec<f64> {
        let second = self.start + (self.end - self.start) * progress.clamp(0.0, 1.0);
        let first = match self.form {
            Form::Convex => 1.0 - second,
            Form::Additive { floor } => (1.0 - (second - self.start)).max(floor),
        };
        vec![first, second]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_convex_form_moves_by_a_constant_amount_and_sums_to_one() {
        let weights: Vec<Vec<f64>> = (0..=4).map(|i| Rebalance::default().weights(f64::from(i) / 4.0)).collect();
        for (found, second) in weights.iter().zip([0.01, 0.255, 0.5, 0.745, 0.99]) {
            assert!((found[1] - second).abs() < 1e-12 && (found[0] + found[1] - 1.0).abs() < 1e-12, "{found:?}");
        }
    }

    #[test]
    fn the_additive_form_is_that_of_the_authors() {
        // StealWeight(0.01) from [1, 0.01], epoch by epoch: a = max(0.1, a - 0.01), b = b + 0.01.
        let (mut first, mut second) = (1.0f64, 0.01f64);
        for epoch in 0..100 {
            let found = Rebalance::additive().weights(f64::from(epoch) / 99.0);
            assert!((found[0] - first).abs() < 1e-9 && (found[1] - second).abs() < 1e-9, "{epoch}: {found:?}");
            first = (first - 0.01).max(0.1);
            second += 0.01;
        }
    }
}
