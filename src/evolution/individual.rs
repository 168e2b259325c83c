//! One candidate and how it came to be.

use serde::{Deserialize, Serialize};

use super::fitness::Outcome;
use crate::fault::{Fault, Result};
use crate::formula::Formula;

/// A candidate loss. Identity is a counter, age a generation: no clock is involved.
#[derive(Debug, Clone, PartialEq)]
pub struct Individual {
    /// Unique within a run.
    pub id: u64,
    /// The generation in which it was born.
    pub birth: usize,
    /// The individuals it was made from.
    pub parents: Vec<u64>,
    /// How it was made.
    pub origin: Origin,
    /// The loss.
    pub formula: Formula,
    /// What its training from the shared start gave; [`Outcome::Stalled`] if it failed the one from scratch.
    pub outcome: Outcome,
    /// Mean Dice from scratch, if it has been among the best and survived that.
    pub scratch: Option<f64>,
}

/// How an individual was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// From the catalog, under this name.
    Founder(String),
    /// Drawn from the grammar.
    Random,
    /// One word replaced.
    Point,
    /// One constant moved.
    Constant,
    /// A subtree replaced by a random one.
    Regrow,
    /// A subtree made an argument of a new word.
    Wrap,
    /// A subtree replaced by a part of itself.
    Hoist,
    /// A subtree replaced by one of another individual.
    Crossover,
}

impl Origin {
    /// In one word, for tables.
    pub fn name(&self) -> String {
        match self {
            Self::Founder(name) => name.clone(),
            other => format!("{other:?}").to_lowercase(),
        }
    }
}

/// How an individual stands in a file: the loss as text, so that a population can be read and edited by people.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    id: u64,
    birth: usize,
    parents: Vec<u64>,
    origin: Origin,
    loss: String,
    outcome: Outcome,
    #[serde(default)]
    scratch: Option<f64>,
}

impl From<&Individual> for Entry {
    fn from(individual: &Individual) -> Self {
        Self {
            id: individual.id,
            birth: individual.birth,
            parents: individual.parents.clone(),
            origin: individual.origin.clone(),
            loss: individual.formula.to_string(),
            outcome: individual.outcome.clone(),
            scratch: individual.scratch,
        }
    }
}

impl TryFrom<Entry> for Individual {
    type Error = Fault;

    fn try_from(entry: Entry) -> Result<Self> {
        let formula =
            entry.loss.parse().map_err(|fault: Fault| fault.field(format!("loss of individual {}", entry.id)))?;
        Ok(Self {
            id: entry.id,
            birth: entry.birth,
            parents: entry.parents,
            origin: entry.origin,
            formula,
            outcome: entry.outcome,
            scratch: entry.scratch,
        })
    }
}
