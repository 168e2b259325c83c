//! The atlas: every small loss of a grammar, and what they do.
//!
//! The small end of the space of losses can be mapped instead of sampled: [`Atlas::explore`] builds every loss up to a
//! number of words and keeps the first of those that push alike. What is left are behaviours, among which known losses
//! have their places, and over which a first population can be spread.

mod document;
mod explore;
mod fit;
mod ladder;
mod place;
mod plane;
mod spread;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use explore::Explorer;
pub use fit::Neighbour;
pub use ladder::{Ladder, ladder};
pub use place::Landmark;
pub use plane::Plane;
pub use spread::Spread;

use crate::fault::{Fault, Result};
use crate::formula::Formula;
use crate::formula::behaviours::Behaviours;
use crate::gates::Rejection;
use crate::grammar::Grammar;

/// What the losses of a size are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Row {
    /// Words.
    pub size: usize,
    /// Trees of all sorts that were built, losses or parts of one.
    pub trees: usize,
    /// Losses that speak about both sides, up to the order of operands.
    pub structures: usize,
    /// Canonical forms that no smaller loss has.
    pub canonical: usize,
    /// Behaviours that no smaller loss has.
    pub behaviours: usize,
    /// How many of them the gates reject, by reason, with the canonical forms that do not behave at all.
    pub rejected: BTreeMap<Rejection, usize>,
}

/// The first loss that behaves in some way.
#[derive(Debug, Clone, PartialEq)]
pub struct Behaviour {
    /// As the grammar writes it.
    pub formula: Formula,
    /// Why it is not worth a training, if it is not.
    pub rejection: Option<Rejection>,
}

/// Every small loss of a grammar.
#[derive(Debug, Clone)]
pub struct Atlas {
    /// By size.
    pub rows: Vec<Row>,
    /// In the order in which they were found, smallest first.
    pub behaviours: Vec<Behaviour>,
    /// Their directions.
    pub directions: Behaviours,
}

impl Atlas {
    /// All losses of a grammar of at most `largest` words, with `constants` values for each sort of numbers. `watch` is
    /// told of every size when it is done.
    ///
    /// # Errors
    /// If `stop` was set before the end.
    pub fn explore(
        grammar: &Grammar,
        largest: usize,
        constants: usize,
        stop: &AtomicBool,
        watch: &mut dyn FnMut(&Row),
    ) -> Result<Self> {
        let mut explorer = Explorer::new(grammar, largest, constants);
        let mut rows = Vec::new();
        for size in 1..=largest.min(grammar.max_size) {
            let stopped = || Fault::stopped(format!("stopped among the losses of {size} words; nothing was written"));
            let row = explorer.grow(size, stop).ok_or_else(stopped)?;
            watch(&row);
            rows.push(row);
        }
        Ok(Self { rows, behaviours: explorer.behaviours, directions: explorer.index })
    }

    /// The plane along which behaviours that pass the gates differ most; `None` if there are too few for a picture.
    pub fn plane(&self) -> Option<Plane> {
        let judged = self.behaviours.iter().zip(self.directions.directions());
        let passing = judged.filter(|(behaviour, _)| behaviour.rejection.is_none());
        Plane::of(&passing.map(|(_, direction)| direction.as_slice()).collect::<Vec<_>>())
    }
}
