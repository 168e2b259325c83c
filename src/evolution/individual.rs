//! One candidate and how it came to be.

use serde::{Deserialize, Serialize};

use super::fitness::Outcome;
use crate::fault::{Fault, Result};
use crate::formula::Formula;
use crate::gates::Traits;

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
    /// What the gates found out; unknown of individuals of files that are older than that.
    pub traits: Option<Traits>,
}

impl Individual {
    /// Whether it has trained a network from scratch. Only the best of a generation are put to that test; any other may
    /// be a loss that polishes a trained network and never trains one.
    pub fn is_confirmed(&self) -> bool {
        self.scratch.is_some()
    }

    /// Whether it can be compared with individuals that were judged on so many cases.
    ///
    /// # Errors
    /// If a value is missing, too many or no number.
    pub(super) fn check(&self, cases: usize) -> Result<()> {
        let of = |what: &str| format!("{what} of individual {}", self.id);
        if let Some(score) = self.outcome.score() {
            for (name, values) in [("dice", &score.dice), ("hd95_mm", &score.hd95_mm)] {
                if values.is_empty() || values.len() != cases {
                    return Err(Fault::new("individuals were judged on different cases")
                        .field(of(name))
                        .expected(format!("{} values, as many as the first individual has", cases.max(1)))
                        .found(values.len()));
                }
            }
        }
        let scored = self.outcome.score().into_iter().flat_map(|score| {
            let dice = score.dice.iter().map(|value| ("dice", *value, 1.0));
            dice.chain(score.hd95_mm.iter().map(|value| ("hd95_mm", *value, f64::MAX)))
        });
        let stalled = if let Outcome::Stalled { dice } = self.outcome { Some(("outcome", dice, 1.0)) } else { None };
        let scratch = self.scratch.map(|dice| ("scratch", dice, 1.0));
        match scored.chain(stalled).chain(scratch).find(|(_, value, most)| !(0.0..=*most).contains(value)) {
            None => Ok(()),
            Some((name, value, most)) => {
                let expected = if most > 1.0 { "a finite number, at least 0" } else { "a number from 0 to 1" };
                Err(Fault::new("value out of range").field(of(name)).expected(expected).found(value))
            }
        }
    }
}

/// How an individual was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// From the catalog, under this name.
    Founder(String),
    /// From the atlas: farthest from everybody known.
    Atlas,
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
    #[serde(default)]
    traits: Option<Traits>,
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
            traits: individual.traits,
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
            traits: entry.traits,
        })
    }
}
