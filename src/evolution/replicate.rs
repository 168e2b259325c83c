//! A replicate of the whole training of a loss: one from scratch, one from a shared start, or both by their weights.
//!
//! Half-trained starts rank losses in a few steps, and are wrong about whatever the loss that made them did not see: from
//! a start of Dice + CE, cross-entropy loses what it wins from one of its own, and what only polishes wins everywhere. So
//! starts sift, on the lower rungs, and what counts is by default the training from scratch (docs/experiments/proxy.md).
//! Where starts alone count, only elites are trained from scratch, as a test.

use super::config::SearchConfig;
use super::event::Watch;
use super::fitness::{Gain, Outcome, Score, Trial};
use super::ledger::{Ledger, Stage};
use crate::fault::Result;
use crate::formula::Formula;

/// What a replicate says of a loss.
#[derive(Debug, Clone)]
pub(super) struct Replicate {
    /// What it is beside the control.
    pub(super) gain: Gain,
    /// What the training from the start gave, or that from scratch if there is no other.
    pub(super) score: Score,
    /// Mean Dice from scratch, if that counts.
    pub(super) scratch: Option<f64>,
}

/// Which trainings a replicate is made of, by its number, and the share of a gain that each makes. What makes nothing of it is
/// not trained.
pub(super) fn parts(config: &SearchConfig) -> impl Iterator<Item = (fn(u32) -> Trial, f64)> {
    let start: fn(u32) -> Trial = Trial::full;
    let scratch: fn(u32) -> Trial = |replicate| Trial::Scratch { replicate };
    let parts = [(start, 1.0 - config.scratch_weight), (scratch, config.scratch_weight)];
    parts.into_iter().filter(|(_, share)| *share > 0.0)
}

/// Trains losses; whoever fails the first training does not begin the second. False if the watcher wants to stop.
///
/// # Errors
/// As [`Ledger::train`].
pub(super) fn train(
    number: u32,
    losses: &[&Formula],
    config: &SearchConfig,
    stage: Stage,
    ledger: &mut Ledger<'_>,
    watch: Watch<'_>,
) -> Result<bool> {
    let mut alive = losses.to_vec();
    for (trial, _) in parts(config) {
        if !alive.is_empty() && !ledger.train(stage, trial(number), &alive, watch)? {
            return Ok(false);
        }
        alive.retain(|loss| ledger.gain(trial(number), loss).is_some());
    }
    Ok(true)
}

/// What a trained replicate says, or how the loss failed it.
///
/// # Panics
/// If it was not trained.
pub(super) fn read(
    number: u32,
    loss: &Formula,
    config: &SearchConfig,
    ledger: &Ledger<'_>,
) -> std::result::Result<Replicate, Outcome> {
    let mut found: Option<Replicate> = None;
    for (trial, share) in parts(config) {
        let trial = trial(number);
        let (gain, score) = gain(trial, loss, ledger)?;
        let scratch = match trial {
            Trial::Scratch { .. } => Some(reached(trial, &score, config, ledger)?),
            _ => None,
        };
        found = Some(match found {
            None => Replicate { gain, score, scratch },
            Some(start) => Replicate { gain: start.gain.with(&gain, share), scratch, ..start },
        });
    }
    Ok(found.expect("a weight is below 1 or above 0"))
}

/// Mean Dice from scratch, or how the loss failed.
///
/// # Panics
/// If it was not trained.
pub(super) fn scratch(
    number: u32,
    loss: &Formula,
    config: &SearchConfig,
    ledger: &Ledger<'_>,
) -> std::result::Result<f64, Outcome> {
    let trial = Trial::Scratch { replicate: number };
    reached(trial, &gain(trial, loss, ledger)?.1, config, ledger)
}

/// Mean Dice, or [`Outcome::Stalled`] if it falls short of the control's by too much.
fn reached(
    trial: Trial,
    score: &Score,
    config: &SearchConfig,
    ledger: &Ledger<'_>,
) -> std::result::Result<f64, Outcome> {
    let dice = score.mean_dice();
    let control = ledger.control(trial).map_or(f64::NAN, Score::mean_dice);
    if dice < config.scratch_share * control { Err(Outcome::Stalled { dice }) } else { Ok(dice) }
}

/// What a loss is beside the control in a trial, and what it reached, or how it failed.
///
/// # Panics
/// If it was not trained.
pub(super) fn gain(trial: Trial, loss: &Formula, ledger: &Ledger<'_>) -> std::result::Result<(Gain, Score), Outcome> {
    let outcome = ledger.outcome(trial, loss).expect("the trial was trained");
    ledger.gain(trial, loss).zip(outcome.score().cloned()).ok_or_else(|| outcome.clone())
}
