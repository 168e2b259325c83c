//! Learning rates swept: whether a loss wins by its shape, or by the step size that it happens to suit.
//!
//! All losses get the gradient of Dice + CE in size, by one factor, and are trained at one learning rate. That is fair
//! on the probes and need not be in a training. So the losses of the headroom report are also trained at a third and at
//! three times the rate, all steps, from the same starts and on the same patches; a loss that leads at the common rate and
//! not where each has its own would have won by its step size.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::event::Watch;
use super::fitness::{Trial, control};
use super::ledger::{Ledger, Stage};
use crate::fault::Result;
use crate::formula::Formula;
use crate::stats::kendall::tau;
use crate::stats::summary::mean;

/// What the learning rate is multiplied with, as fractions. The common rate is among them.
const FACTORS: [(u32, u32); 3] = [(1, 3), (1, 1), (3, 1)];

/// Place of the common rate.
const COMMON: usize = 1;

/// Trainings of each loss at each rate: a choice between three rates needs less than a place in a ranking.
const REPLICATES: u32 = 2;

/// What the losses of a headroom report reach at other learning rates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sweep {
    /// What the learning rate is multiplied with.
    pub factors: Vec<f64>,
    /// Trainings of each loss at each rate.
    pub replicates: usize,
    /// Mean Dice less the control's at the common rate, in the same replicates: `[loss][factor]`, the control first; none
    /// of a loss that failed.
    pub gains: Vec<Vec<Option<f64>>>,
}

/// A loss at the rate at which it is best.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Best {
    /// What the learning rate is multiplied with.
    pub factor: f64,
    /// Mean Dice less the control's at the control's own best rate.
    pub gain: f64,
}

/// The training of all steps at a multiple of the learning rate.
fn trial((times, over): (u32, u32), replicate: u32) -> Trial {
    if times == over { Trial::full(replicate) } else { Trial::Rate { times, over, replicate } }
}

impl Sweep {
    /// Trains losses at every rate, the control with them; `None` if the watcher wants to stop.
    ///
    /// # Errors
    /// As [`Ledger::train`].
    pub(super) fn measure(losses: &[&Formula], ledger: &mut Ledger<'_>, watch: Watch<'_>) -> Result<Option<Self>> {
        let own = control();
        let all: Vec<&Formula> = std::iter::once(&own).chain(losses.iter().copied()).collect();
        for factor in FACTORS {
            for replicate in 0..REPLICATES {
                if !ledger.train(Stage::Headroom, trial(factor, replicate), &all, watch)? {
                    return Ok(None);
                }
            }
        }
        let gain = |loss: &Formula, factor| -> Option<f64> {
            let one = |replicate| {
                let score = ledger.outcome(trial(factor, replicate), loss)?.score()?;
                Some(score.over(ledger.control(Trial::full(replicate))?).mean())
            };
            Some(mean(&(0..REPLICATES).map(one).collect::<Option<Vec<f64>>>()?))
        };
        let gains = all.iter().map(|loss| FACTORS.map(|factor| gain(loss, factor)).to_vec()).collect();
        let factors = FACTORS.map(|(times, over)| f64::from(times) / f64::from(over)).to_vec();
        Ok(Some(Self { factors, replicates: REPLICATES as usize, gains }))
    }

    /// A loss at its own best rate, beside the control at that of its own; none of a loss that failed at all of them.
    pub fn best(&self, loss: usize) -> Option<Best> {
        let (factor, gain) = self.peak(loss)?;
        Some(Best { factor, gain: gain - self.peak(0)?.1 })
    }

    /// Of rates that are equally good, the one nearest to the common one.
    fn peak(&self, loss: usize) -> Option<(f64, f64)> {
        let found =
            self.factors.iter().zip(self.gains.get(loss)?).filter_map(|(factor, gain)| Some((*factor, (*gain)?)));
        let far = |factor: f64| factor.ln().abs();
        found.max_by(|a, b| a.1.total_cmp(&b.1).then(far(b.0).total_cmp(&far(a.0))))
    }

    /// The loss that leads, by what is told of each; none if all failed.
    fn leader(&self, gain: impl Fn(usize) -> Option<f64>) -> Option<(usize, f64)> {
        // Of equals the first, which is the simpler one in the order of the catalog.
        let found = (0..self.gains.len()).filter_map(|loss| Some((loss, gain(loss)?)));
        found.reduce(|best, next| if next.1 > best.1 { next } else { best })
    }

    /// In words: who leads at the common rate, who where each loss has its own, and what that means. Differences below
    /// `clear` are noise.
    pub fn verdict(&self, names: &[String], clear: f64) -> String {
        let common = |loss: usize| self.gains[loss][COMMON];
        let own = |loss: usize| self.best(loss).map(|best| best.gain);
        let (Some(first), Some(second)) = (self.leader(common), self.leader(own)) else {
            return "no loss trained at the common learning rate".to_string();
        };
        let mut text = format!(
            "At one learning rate for all, {} leads ({:+.4} to Dice + CE); with a rate of its own for each, {} does \
             ({:+.4}): ",
            names[first.0], first.1, names[second.0], second.1
        );
        let behind = own(first.0).map_or(f64::INFINITY, |gain| second.1 - gain);
        let _ = if first.0 == second.0 {
            write!(text, "the one that leads does not owe it to its step size.")
        } else if behind > clear {
            write!(
                text,
                "{} would have won by its step size; it is {behind:.4} behind then. Judge with `proxy.recipe.learning_rate` \
                 nearer to what most losses want.",
                names[first.0]
            )
        } else {
            write!(text, "the two are {behind:.4} apart then, which this proxy cannot tell from nothing.")
        };
        let both: Vec<(f64, f64)> =
            (0..self.gains.len()).filter_map(|loss| Some((common(loss)?, own(loss)?))).collect();
        let (firsts, seconds): (Vec<f64>, Vec<f64>) = both.into_iter().unzip();
        let agreement = tau(&firsts, &seconds);
        if agreement.is_finite() {
            let _ = write!(text, " Kendall's correlation of the two rankings is {agreement:+.2}.");
        }
        let best: Vec<f64> = (0..self.gains.len()).filter_map(|loss| Some(self.best(loss)?.factor)).collect();
        let at = |factor: f64| best.iter().filter(|best| **best == factor).count();
        // At an end of the sweep, the best may lie beyond it.
        let ends = [(self.factors.first(), "lower"), (self.factors.last(), "raise")];
        for (factor, cure) in ends.into_iter().filter_map(|(factor, cure)| Some((*factor?, cure))) {
            if 2 * at(factor) > best.len() {
                let (count, of) = (at(factor), best.len());
                let _ = write!(
                    text,
                    " {count} of {of} losses are best at {factor:.2} times the rate: {cure} `proxy.recipe.learning_rate`."
                );
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep(gains: &[[f64; 3]]) -> Sweep {
        let row = |row: &[f64; 3]| row.iter().map(|gain| gain.is_finite().then_some(*gain)).collect();
        Sweep { factors: vec![1.0 / 3.0, 1.0, 3.0], replicates: 2, gains: gains.iter().map(row).collect() }
    }

    fn names() -> Vec<String> {
        ["dice_ce", "ce", "dice"].map(String::from).to_vec()
    }

    #[test]
    fn a_loss_that_leads_at_one_rate_alone_would_have_won_by_its_step_size() {
        let found = sweep(&[[0.0, 0.0, 0.05], [0.0, 0.02, 0.01], [-0.02, 0.0, 0.08]]);
        let verdict = found.verdict(&names(), 0.01);
        assert!(verdict.contains("ce would have won by its step size; it is 0.0600 behind"), "{verdict}");
        assert_eq!(found.best(2), Some(Best { factor: 3.0, gain: 0.08 - 0.05 }));
        assert!(found.verdict(&names(), 0.1).contains("cannot tell from nothing"));
        assert!(verdict.contains("2 of 3 losses are best at 3.00 times the rate: raise"), "{verdict}");
    }

    #[test]
    fn a_loss_that_leads_at_its_own_rate_too_owes_it_nothing() {
        let found = sweep(&[[-0.1, 0.0, -0.1], [-0.1, 0.03, f64::NAN], [f64::NAN; 3]]);
        let verdict = found.verdict(&names(), 0.001);
        assert!(
            verdict.contains("does not owe it to its step size") && !verdict.contains("times the rate"),
            "{verdict}"
        );
        assert_eq!((found.best(1).unwrap().factor, found.best(2)), (1.0, None));
    }

    #[test]
    fn of_rates_that_are_equally_good_the_common_one_is_taken() {
        assert_eq!(sweep(&[[0.0, 0.0, 0.0]]).best(0), Some(Best { factor: 1.0, gain: 0.0 }));
        let failed = sweep(&[[f64::NAN; 3], [f64::NAN; 3]]);
        assert!(failed.verdict(&names(), 0.0).contains("no loss trained"));
    }
}
