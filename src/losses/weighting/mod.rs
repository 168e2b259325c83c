//! Weights of the terms of a compound loss that move while a network trains.
//!
//! A weighting is a small state machine: each step it is told the values of the terms and gives their weights. It knows
//! no tensors and no gradients, and its whole state can be saved, so a training that is continued goes on as if it had
//! never stopped. The published forms are here as published, with their failings; the default of each family is the form
//! in which those are mended.

mod cov;
mod rebalance;
mod softadapt;

use serde::{Deserialize, Serialize};

pub use cov::Cov;
pub use rebalance::{Form as RebalanceForm, Rebalance};
pub use softadapt::{SoftAdapt, Variant};

/// How terms are weighted, and where the weighting stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Weighting {
    /// From a region loss to a boundary loss.
    Rebalance(Rebalance),
    /// By how fast each term falls.
    SoftAdapt(SoftAdapt),
    /// By how much each term varies.
    Cov(Cov),
}

impl Weighting {
    /// The weights of this step's terms, from their values and the training progress (0 at the first step, 1 at the last).
    pub fn step(&mut self, values: &[f64], progress: f64) -> Vec<f64> {
        match self {
            Self::Rebalance(rebalance) => rebalance.weights(progress),
            Self::SoftAdapt(softadapt) => softadapt.step(values),
            Self::Cov(cov) => cov.step(values),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_state_goes_on_as_if_it_had_never_stopped() {
        let all = [
            Weighting::Rebalance(Rebalance::default()),
            Weighting::SoftAdapt(SoftAdapt::new(2, Variant::Corrected)),
            Weighting::SoftAdapt(SoftAdapt::new(2, Variant::LossWeighted)),
            Weighting::Cov(Cov::published(2)),
            Weighting::Cov(Cov::guarded(2)),
        ];
        let values = |step: usize| [1.0 / (1.0 + step as f64), 2.0 + (step as f64).sin()];
        for mut whole in all {
            let mut half = whole.clone();
            for step in 0..20 {
                let expected = whole.step(&values(step), step as f64 / 19.0);
                half = serde_json::from_str(&serde_json::to_string(&half).unwrap()).unwrap();
                assert_eq!(half.step(&values(step), step as f64 / 19.0), expected, "{half:?}");
            }
        }
    }
}
