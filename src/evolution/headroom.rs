//! Headroom: whether the proxy can tell losses apart, before a night is spent on it.
//!
//! Losses that people use are trained on every rung with several replicates, each beside the control. A search can find
//! what lies above the noise of these differences and nothing else; and a lower rung that ranks them unlike the last one
//! sends the wrong ones on.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::config::SearchConfig;
use super::event::Watch;
use super::fitness::{Evaluator, Gain, Trial, control};
use super::ledger::{Ledger, Stage};
use super::sweep::Sweep;
use crate::fault::Result;
use crate::formula::Formula;
use crate::losses::catalog::{CATALOG, find};
use crate::stats::kendall::tau;
use crate::stats::summary::{mean, quantile, standard_deviation};

/// The file.
pub const HEADROOM: &str = "headroom.ron";

/// Losses of the short report, in this order: nobody mistakes one for the other.
const SHORT: [&str; 4] = ["ce", "dice", "tversky", "focal"];

/// A difference counts as told apart if it is so many standard errors.
const CLEAR: f64 = 2.5;

/// What a proxy can tell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Headroom {
    /// The losses, the control first.
    pub losses: Vec<String>,
    /// Trainings of each on each rung.
    pub replicates: usize,
    /// The rungs, shortest first; then, if they count, trainings from scratch, and what both say by
    /// their weights. The last is what a search ranks by.
    pub rungs: Vec<Rung>,
    /// What other learning rates would change; none in the short report.
    #[serde(default)]
    pub sweep: Option<Sweep>,
}

/// Which trainings are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// From shared starts, with the steps of the proxy over this.
    Start(u32),
    /// From scratch, with the steps of that over this.
    Sift(u32),
    /// From scratch.
    Scratch,
    /// The longest from shared starts and those from scratch, by their weights.
    Both,
}

/// What a rung can tell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rung {
    /// Of which trainings.
    pub kind: Kind,
    /// Optimiser steps.
    pub steps: u64,
    /// Mean Dice of each loss less the control's, over cases and replicates; none of a loss that failed.
    pub gains: Vec<Option<f64>>,
    /// Standard deviation of the paired difference of two losses from one replicate to the next: that of the median pair,
    /// because a loss that trains now and then would make all others look alike.
    pub noise: f64,
    /// Its standard error from the cases alone, of the median pair.
    pub noise_of_cases: f64,
    /// Standard deviation between losses.
    pub spread: f64,
    /// Pairs of losses that differ by more than 2.5 standard errors.
    pub told_apart: usize,
    /// Pairs of losses.
    pub pairs: usize,
    /// Kendall's rank correlation with what a search ranks by; none where there is no order.
    pub tau: Option<f64>,
}

impl Headroom {
    /// Losses of the catalog beside the control, as many as there are, or the few of the short report.
    pub(super) fn losses(most: Option<usize>) -> Vec<(String, Formula)> {
        let control = control().canonical();
        let names: Vec<&str> = match most {
            Some(most) if most <= SHORT.len() => SHORT[..most].to_vec(),
            _ => CATALOG.iter().map(|entry| entry.name).collect(),
        };
        let found = names.into_iter().filter_map(find).map(|entry| (entry.name.to_string(), entry.formula()));
        found.filter(|(_, formula)| formula.canonical() != control).take(most.unwrap_or(usize::MAX)).collect()
    }

    /// Trains losses on every rung; the longest from starts also where it does not count, if `whole`. `None` if the watcher
    /// wants to stop.
    ///
    /// # Errors
    /// As [`Ledger::train`].
    pub(super) fn measure(
        losses: &[(String, Formula)],
        replicates: usize,
        whole: bool,
        config: &SearchConfig,
        evaluator: &dyn Evaluator,
        ledger: &mut Ledger<'_>,
        watch: Watch<'_>,
    ) -> Result<Option<Self>> {
        let formulas: Vec<&Formula> = losses.iter().map(|(_, formula)| formula).collect();
        let own = control();
        // Gains of every loss, replicate by replicate; of one that failed, fewer. The control's to itself are nothing.
        let mut measured = |trial: &dyn Fn(u32) -> Trial| -> Result<Option<Vec<Vec<Gain>>>> {
            let mut gains: Vec<Vec<Gain>> = vec![Vec::new(); losses.len() + 1];
            for replicate in 0..replicates as u32 {
                if !ledger.train(Stage::Headroom, trial(replicate), &formulas, watch)? {
                    return Ok(None);
                }
                for (row, loss) in gains.iter_mut().zip(std::iter::once(&own).chain(formulas.iter().copied())) {
                    row.extend(ledger.gain(trial(replicate), loss));
                }
            }
            Ok(Some(gains))
        };
        let mut rungs: Vec<Rung> = Vec::new();
        let mut last: Vec<Vec<Gain>> = Vec::new();
        let judges = |part: u32| part > 1 || config.scratch_weight < 1.0;
        for part in config.parts().into_iter().filter(|part| whole || judges(*part)) {
            let trial = |replicate| config.rung(part, replicate);
            let Some(gains) = measured(&trial)? else { return Ok(None) };
            let kind = if matches!(trial(0), Trial::Sift { .. }) { Kind::Sift(part) } else { Kind::Start(part) };
            rungs.push(Rung::of(kind, evaluator.steps(trial(0)), &gains, replicates));
            last = gains;
        }
        if config.scratch_weight > 0.0 {
            let trial = |replicate| Trial::Scratch { replicate };
            let Some(scratch) = measured(&trial)? else { return Ok(None) };
            let steps = evaluator.steps(trial(0));
            rungs.push(Rung::of(Kind::Scratch, steps, &scratch, replicates));
            if config.scratch_weight < 1.0 {
                let both = |(starts, scratch): (&Vec<Gain>, &Vec<Gain>)| -> Vec<Gain> {
                    let pairs = starts.iter().zip(scratch);
                    pairs.map(|(start, scratch)| start.with(scratch, config.scratch_weight)).collect()
                };
                let both: Vec<Vec<Gain>> = last.iter().zip(&scratch).map(both).collect();
                rungs.push(Rung::of(Kind::Both, steps + evaluator.steps(Trial::FULL), &both, replicates));
            }
        }
        let means = |rung: &Rung| rung.gains.iter().map(|gain| gain.unwrap_or(-1.0)).collect::<Vec<f64>>();
        let judged_by = rungs.last().map(means).unwrap_or_default();
        for rung in &mut rungs {
            let tau = tau(&means(rung), &judged_by);
            rung.tau = tau.is_finite().then_some(tau);
        }
        let losses = std::iter::once("dice_ce".to_string()).chain(losses.iter().map(|(name, _)| name.clone()));
        Ok(Some(Self { losses: losses.collect(), replicates, rungs, sweep: None }))
    }

    /// Whether the last rung tells at least half of the pairs apart.
    pub fn is_enough(&self) -> bool {
        self.rungs.last().is_some_and(|rung| 2 * rung.told_apart >= rung.pairs && rung.pairs > 0)
    }

    /// In words: what can be told, what cannot, and what to enlarge.
    pub fn verdict(&self) -> String {
        let Some(last) = self.rungs.last() else { return "nothing was measured".to_string() };
        let of_the_mean = last.noise / (self.replicates as f64).sqrt();
        let mut text = format!(
            "{} of {} pairs of losses differ by more than {CLEAR} standard errors (noise of one paired difference \
             {:.4} Dice, spread between losses {:.4}): ",
            last.told_apart, last.pairs, last.noise, last.spread,
        );
        let longer = if last.kind == Kind::Scratch { "proxy.scratch_steps" } else { "proxy.recipe.steps" };
        text += &if self.is_enough() {
            "this proxy can tell losses apart.".to_string()
        } else if last.noise_of_cases > of_the_mean {
            "this proxy cannot tell losses apart. The cases vary more than the trainings: judge on more validation volumes \
             (`split.validation`)."
                .to_string()
        } else {
            format!(
                "this proxy cannot tell losses apart. The trainings vary more than the cases: train longer (`{longer}`), on \
                 larger batches or more volumes, or repeat more (`search.replicates`)."
            )
        };
        for rung in &self.rungs[..self.rungs.len() - 1] {
            match (rung.kind, rung.tau) {
                // All steps from a start, and trainings from scratch, may disagree: they do not sift.
                (Kind::Start(part) | Kind::Sift(part), Some(tau)) if part > 1 && tau < 0.3 => {
                    let _ = write!(
                        text,
                        " The rung of {} steps ranks them unlike the last one (Kendall {tau:+.2}): use fewer rungs \
                         (`search.rungs`) or more steps.",
                        rung.steps
                    );
                }
                _ => {}
            }
        }
        if let Some(sweep) = &self.sweep {
            let from_starts = self.rungs.iter().find(|rung| rung.kind == Kind::Start(1)).unwrap_or(last);
            let error = from_starts.noise / (sweep.replicates as f64).sqrt();
            let _ = write!(text, "\n{}", sweep.verdict(&self.losses, CLEAR * error));
        }
        text
    }
}

impl Rung {
    /// From the gains of every loss, replicate by replicate; fewer of one that failed.
    fn of(kind: Kind, steps: u64, gains: &[Vec<Gain>], replicates: usize) -> Self {
        let whole: Vec<&Vec<Gain>> = gains.iter().filter(|own| own.len() == replicates).collect();
        let means = |own: &[Gain]| mean(&own.iter().map(Gain::mean).collect::<Vec<_>>());
        let (mut differences, mut noises, mut case_noises) = (Vec::new(), Vec::new(), Vec::new());
        for (at, first) in whole.iter().enumerate() {
            for second in &whole[..at] {
                let of = |replicate: usize| first[replicate].mean() - second[replicate].mean();
                let own: Vec<f64> = (0..replicates).map(of).collect();
                differences.push(mean(&own));
                noises.push(if replicates > 1 { standard_deviation(&own).powi(2) } else { f64::NAN });
                let cases = first.first().map_or(0, |gain| gain.dice.len());
                let over =
                    |case: usize| (0..replicates).map(|r| first[r].dice[case] - second[r].dice[case]).sum::<f64>();
                let by_case: Vec<f64> = (0..cases).map(|case| over(case) / replicates as f64).collect();
                case_noises.push(if cases > 1 {
                    standard_deviation(&by_case).powi(2) / cases as f64
                } else {
                    f64::NAN
                });
            }
        }
        noises.sort_by(f64::total_cmp);
        case_noises.sort_by(f64::total_cmp);
        // The median of a variance of so many degrees of freedom is smaller than its mean (Wilson and Hilferty 1931).
        let noise = if noises.is_empty() { 0.0 } else { quantile(&noises, 0.5) };
        let noise = (noise / (1.0 - 2.0 / (9.0 * (replicates as f64 - 1.0))).powi(3)).sqrt();
        let error = noise / (replicates as f64).sqrt();
        let own: Vec<f64> = whole.iter().map(|own| means(own)).collect();
        Self {
            kind,
            steps,
            gains: gains.iter().map(|own| (own.len() == replicates).then(|| means(own))).collect(),
            noise: if noise.is_finite() { noise } else { 0.0 },
            noise_of_cases: Some(quantile(&case_noises, 0.5).sqrt()).filter(|noise| noise.is_finite()).unwrap_or(0.0),
            spread: if own.len() > 1 { standard_deviation(&own) } else { 0.0 },
            told_apart: differences.iter().filter(|difference| difference.abs() > CLEAR * error).count(),
            pairs: differences.len(),
            tau: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gains(rows: &[[f64; 3]]) -> Vec<Vec<Gain>> {
        let gain = |value: &f64| Gain { dice: vec![value - 0.001, value + 0.001], hd95_mm: 0.0 };
        rows.iter().map(|row| row.iter().map(gain).collect()).collect()
    }

    #[test]
    fn what_lies_above_the_noise_is_told_apart_and_what_does_not_is_not() {
        let clear =
            Rung::of(Kind::Start(1), 200, &gains(&[[0.0; 3], [0.05, 0.051, 0.049], [-0.05, -0.049, -0.051]]), 3);
        assert_eq!((clear.told_apart, clear.pairs), (3, 3));
        // Two of the differences vary by 0.001, one not at all; a median of two degrees of freedom is 0.70 of a mean.
        assert!((clear.noise - 0.001 / 0.702_332f64.sqrt()).abs() < 1e-8, "{clear:?}");
        let vague = Rung::of(Kind::Start(1), 200, &gains(&[[0.0; 3], [0.05, -0.05, 0.0], [-0.04, 0.06, 0.01]]), 3);
        assert_eq!(vague.told_apart, 0);
        let report = |rung: &Rung| Headroom { losses: vec![], replicates: 3, rungs: vec![rung.clone()], sweep: None };
        assert!(report(&clear).verdict().contains("can tell losses apart"));
        assert!(report(&vague).verdict().contains("proxy.recipe.steps"), "{}", report(&vague).verdict());
        // Without replicates of its own a failure says nothing.
        let mut failing = gains(&[[0.0; 3], [0.05, 0.051, 0.049]]);
        failing.push(Vec::new());
        assert_eq!(Rung::of(Kind::Start(1), 200, &failing, 3).gains[2], None);
    }
}
