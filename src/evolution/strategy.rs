//! How children are made: the search itself, and what it has to beat with the same budget.

use serde::{Deserialize, Serialize};

use super::config::{Rates, SearchConfig};
use crate::fault::{Fault, Result};

/// How children are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// Small edits of good parents on islands.
    Evolution,
    /// Nothing but losses drawn from the grammar. Whoever cannot beat this has found nothing.
    Random,
    /// The losses of the grammar's atlas, smallest first, then random ones.
    Enumerate,
    /// Small edits of the best of an island, and of nobody else.
    HillClimb,
    /// Textbook genetic programming: no founders, no rungs, no replicates, generations that replace each other, nine
    /// children in ten by crossover. With the grammar `untyped` and without gates it is the search of Hun (2021).
    Plain,
}

impl Strategy {
    /// All of them, with their names.
    pub const ALL: [(&'static str, Self); 5] = [
        ("evolution", Self::Evolution),
        ("random", Self::Random),
        ("enumerate", Self::Enumerate),
        ("hillclimb", Self::HillClimb),
        ("plain", Self::Plain),
    ];

    /// The strategy called `typed`.
    ///
    /// # Errors
    /// If there is none.
    pub fn parse(typed: &str) -> Result<Self> {
        let known = Self::ALL.iter().find(|(name, _)| *name == typed);
        known.map(|(_, strategy)| *strategy).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|(name, _)| *name).collect();
            Fault::new("no such strategy").expected(names.join(", ")).found(format!("`{typed}`"))
        })
    }

    /// The settings as the strategy means them: `plain` has no use for most.
    pub(super) fn settle(self, config: &SearchConfig) -> SearchConfig {
        let mut settled = config.clone();
        if self == Self::Plain {
            settled.founders = 0;
            settled.guesses = Vec::new();
            settled.atlas = 0;
            settled.islands = 1;
            settled.rungs = 1;
            settled.replicates = 1;
            settled.turnover = 1.0;
            settled.elites = 1;
            settled.crossover = 0.9;
            settled.immigrants = 0.0;
            settled.rates = Rates { regrow: 1.0, ..Rates::NONE };
            settled.by_front = 0.0;
            settled.by_novelty = 0.0;
            settled.crowding = 0.0;
            settled.toll_per_word = 0.0;
            settled.certainty = 1.0;
            settled.tuning = 0;
        }
        settled
    }
}
