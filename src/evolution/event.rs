//! What a search tells, and why it stops.

use serde::{Deserialize, Serialize};

use super::breed::Brood;
use super::fitness::{Outcome, Trial};
use super::ledger::Spent;
use super::novelty::Refused;
use super::population::Population;
use crate::gates::{Gate, Rejection};

/// Who is told of everything, and says whether to go on.
pub type Watch<'a> = &'a mut dyn FnMut(&Event) -> bool;

/// What happens during a search, for whoever watches; also the lines of `events.jsonl`. Where no generation is told, it
/// happens before the first or after the last.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A loss of the catalog cannot be a founder.
    FounderSkipped {
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
    /// A candidate is not worth a training; told once a generation, and not to whoever watches.
    Rejected {
        /// The generation for which it was bred.
        generation: usize,
        /// The gate that did not let it pass.
        gate: Gate,
        /// Why.
        reason: Rejection,
        /// Its canonical text.
        loss: String,
        /// The id of the individual that behaves the same.
        #[serde(skip_serializing_if = "Option::is_none")]
        same_as: Option<u64>,
        /// The canonical text of the first loss that behaves the same, trained or not.
        #[serde(skip_serializing_if = "Option::is_none")]
        first: Option<String>,
    },
    /// A generation was bred.
    Bred {
        /// Its number.
        generation: usize,
        /// How many were born.
        children: usize,
        /// Candidates that gates did not let pass, over all generations so far.
        rejected: usize,
        /// How many of these behave like earlier ones, over all generations so far.
        duplicates: usize,
    },
    /// Losses are put through a trial, the control beside them.
    Trying {
        /// The generation.
        generation: Option<usize>,
        /// The trial.
        trial: Trial,
        /// How many losses.
        losses: usize,
        /// How many trainings have no result yet.
        to_train: usize,
    },
    /// A training ended.
    Judged {
        /// The generation.
        generation: Option<usize>,
        /// Which training.
        trial: Trial,
        /// The loss.
        loss: String,
        /// What became of it.
        outcome: Outcome,
    },
    /// A training failed for reasons of the machine; it has no result.
    Failed {
        /// The generation.
        generation: Option<usize>,
        /// Which training.
        trial: Trial,
        /// The loss.
        loss: String,
        /// Why.
        reason: String,
    },
    /// A generation is complete and saved.
    Generation {
        /// Its number.
        generation: usize,
        /// Mean Dice of the best.
        best_dice: f64,
        /// Its lead over the control, shrunk by what noise makes of leads.
        best_gain: f64,
        /// The best.
        best: String,
        /// The front: words, Dice less the control's, HD95 less the control's in mm, loss.
        front: Vec<(usize, f64, f64, String)>,
        /// Distinct candidates trained so far.
        trained: usize,
        /// Trainings saved so far because a candidate behaved like an earlier one.
        saved: usize,
        /// What the search has cost so far.
        spent: Spent,
    },
    /// What the proxy can tell was measured.
    Headroom {
        /// In words.
        verdict: String,
    },
    /// The search is over; finalists race for the first place.
    Stopped {
        /// Why.
        reason: StopReason,
    },
    /// A finalist is out of the race.
    Dropped {
        /// Its id.
        id: u64,
        /// After so many replicates.
        replicates: u32,
        /// Why.
        reason: String,
    },
    /// A step of tuning.
    Tuned {
        /// The best so far.
        loss: String,
        /// Its gain where it was tuned.
        gain: f64,
    },
}

impl Event {
    /// A candidate is not worth a training.
    pub(super) fn rejected(generation: usize, refused: &Refused) -> Self {
        let Refused { loss, why, twin } = refused;
        Self::Rejected {
            generation,
            gate: why.gate(),
            reason: *why,
            loss: loss.clone(),
            same_as: twin.as_ref().and_then(|twin| twin.same_as),
            first: twin.as_ref().map(|twin| twin.first.clone()),
        }
    }

    /// A generation was bred.
    pub(super) fn bred(generation: usize, brood: &Brood) -> Self {
        Self::Bred {
            generation,
            children: brood.children.len(),
            rejected: brood.tally.rejections.values().sum(),
            duplicates: brood.tally.rejections.get(&Rejection::Duplicate).copied().unwrap_or(0),
        }
    }

    /// A generation is complete.
    pub(super) fn of(population: &Population) -> Self {
        let best = population.best();
        let row =
            |one: super::Individual| (one.formula.size(), one.gain(), one.surface_gain(), one.formula.to_string());
        Self::Generation {
            generation: population.generation,
            best_dice: best.map_or(f64::NAN, |best| best.outcome.dice()),
            best_gain: best.map_or(f64::NAN, |best| population.shrinkage().shrunk(best)),
            best: best.map(|best| best.formula.to_string()).unwrap_or_default(),
            front: population.front().into_iter().map(row).collect(),
            trained: population.everybody().count(),
            saved: population.rejections.get(&Rejection::Duplicate).copied().unwrap_or(0),
            spent: population.spent,
        }
    }
}

/// Why a search stopped: a value, printed and stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// All generations are done.
    Generations,
    /// As many trainings are done as were allowed.
    Trainings,
    /// As many optimiser steps are done as were allowed.
    Steps,
    /// The time is over; the run can be resumed.
    Time,
    /// A signal arrived; the run can be resumed.
    Signal,
}

impl StopReason {
    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Generations => "all generations are done",
            Self::Trainings => "the budget of trainings is spent",
            Self::Steps => "the budget of optimiser steps is spent",
            Self::Time => "the time is over",
            Self::Signal => "a signal arrived",
        }
    }
}
