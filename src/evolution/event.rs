//! What a search tells, and why it stops.

use serde::Serialize;

use super::fitness::{Outcome, Trial};
use super::novelty::Refused;
use super::population::Population;
use crate::gates::{Gate, Rejection};

/// What happens during a search, for whoever watches; also the lines of `events.jsonl`.
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
        /// How many of it have to be trained.
        to_train: usize,
        /// How many results were in the journal already.
        from_journal: usize,
    },
    /// The best of a generation are trained from scratch.
    Confirming {
        /// The generation.
        generation: usize,
        /// How many of them have to be trained.
        to_train: usize,
    },
    /// A training ended.
    Judged {
        /// The generation.
        generation: usize,
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
        generation: usize,
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
        /// The best.
        best: String,
        /// Distinct candidates trained so far.
        trained: usize,
        /// Trainings saved so far because a candidate behaved like an earlier one.
        saved: usize,
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

    /// A generation is complete.
    pub(super) fn of(population: &Population) -> Self {
        Self::Generation {
            generation: population.generation,
            best_dice: population.best().map_or(f64::NAN, |best| best.outcome.dice()),
            best: population.best().map(|best| best.formula.to_string()).unwrap_or_default(),
            trained: population.everybody().count(),
            saved: population.rejections.get(&Rejection::Duplicate).copied().unwrap_or(0),
        }
    }
}

/// Why a search stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum StopReason {
    /// All generations are done.
    Generations,
    /// A signal arrived; the run can be resumed.
    Signal,
}
