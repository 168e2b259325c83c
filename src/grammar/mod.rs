//! What may be said: which formulas a search may build.
//!
//! A [`Grammar`] is a regular tree grammar over the words of the language: sorts, and rules that build a sort from words
//! and other sorts. Together with coverage (which side of the target a formula speaks about, read off the words) it
//! knows the smallest tree of every sort, so that generation always ends, and whether a formula belongs to it.

mod cover;
mod derive;
mod file;
mod pattern;
mod sample;
mod shape;

pub use derive::{Derivation, Site};
pub(crate) use sample::two_digits;

use crate::formula::word::Sides;
use pattern::Pattern;

/// Position of a sort in [`Grammar::sorts`].
pub type SortId = usize;

/// What may be said.
#[derive(Debug, Clone)]
pub struct Grammar {
    /// Its name.
    pub name: String,
    /// The text from which it was read; part of a run's manifest.
    pub text: String,
    /// The largest formula, in words.
    pub max_size: usize,
    /// The sort of a whole loss.
    pub start: SortId,
    /// In the order of their names.
    pub sorts: Vec<Sort>,
    /// In the order of the file.
    pub rules: Vec<Rule>,
    /// `[sort][coverage]`: words in the smallest tree of the sort that covers at least these sides, if there is one.
    smallest: Vec<[Option<usize>; 4]>,
}

/// A kind of value.
#[derive(Debug, Clone, PartialEq)]
pub struct Sort {
    /// Its name, which is also the name of its holes.
    pub name: String,
    /// What it is made of.
    pub kind: Kind,
}

/// What a sort is made of.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Kind {
    /// Of rules.
    Tree,
    /// Of one number, drawn log-uniformly.
    Constant {
        /// Smallest, positive.
        low: f64,
        /// Largest.
        high: f64,
    },
}

/// One way to build a sort.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The sort it builds.
    pub gives: SortId,
    /// How often it is chosen, relative to the other rules of its sort.
    pub weight: f64,
    /// Words and holes.
    pattern: Pattern,
    /// `[coverage]`: the ways to ask the holes for coverage such that the whole covers at least these sides.
    demands: [Vec<Vec<Sides>>; 4],
}

impl Grammar {
    /// The built-in grammar that searches use unless told otherwise.
    pub fn polarity() -> Self {
        let text = include_str!("../../grammars/polarity.ron");
        Self::from_text("polarity.ron", text).expect("the built-in grammar is tested to load")
    }

    /// Words in the smallest tree of a sort that covers at least `sides`, if there is one.
    pub fn smallest(&self, sort: SortId, sides: Sides) -> Option<usize> {
        self.smallest[sort][sides.index()]
    }

    /// The rules that build a sort.
    pub fn rules_of(&self, sort: SortId) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(move |rule| rule.gives == sort)
    }
}
