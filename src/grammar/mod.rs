//! What may be said: which formulas a search may build.
//!
//! A [`Grammar`] is a regular tree grammar over the words of the language: sorts, and rules that build a sort from words
//! and other sorts. Together with coverage (which side of the target a formula speaks about, read off the words) it
//! knows the smallest tree of every sort, so that generation always ends, and whether a formula belongs to it.

mod built_in;
mod census;
mod cover;
mod derive;
mod file;
mod pattern;
mod sample;
mod shape;

pub use built_in::{BUILT_IN, BuiltIn};
pub use census::Census;
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
    /// What whole losses must speak about.
    pub coverage: Coverage,
    /// In the order of their names.
    pub sorts: Vec<Sort>,
    /// In the order of the file.
    pub rules: Vec<Rule>,
    /// `[sort][coverage]`: words in the smallest tree of the sort that covers at least these sides, if there is one.
    smallest: Vec<[Option<usize>; 4]>,
    /// `[sort]`: levels of the shallowest tree.
    shallowest: Vec<Option<usize>>,
}

/// What whole losses must speak about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum Coverage {
    /// Both sides of the target, and no part may be zero for certain.
    #[default]
    Complete,
    /// Whatever they like: for control experiments.
    Free,
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
    /// Whether what it builds may break the promises of its sort.
    pub untamed: bool,
    /// Words and holes.
    pattern: Pattern,
    /// `[coverage]`: the ways to ask the holes for coverage such that the whole covers at least these sides.
    demands: [Vec<Vec<Sides>>; 4],
}

impl Grammar {
    /// Words in the smallest tree of a sort that covers at least `sides`, if there is one.
    pub fn smallest(&self, sort: SortId, sides: Sides) -> Option<usize> {
        self.smallest[sort][sides.index()]
    }

    /// Levels of the shallowest tree of a sort; a leaf has one.
    pub fn shallowest(&self, sort: SortId) -> Option<usize> {
        self.shallowest[sort]
    }

    /// Whether a whole loss may speak about these sides; `None` for one that says nothing about the prediction.
    pub fn accepts(&self, cover: Option<Sides>) -> bool {
        self.coverage == Coverage::Free || cover == Some(Sides::BOTH)
    }

    /// About which sides a tree has to speak that takes the place of one that speaks about `sides`.
    pub(crate) fn need(&self, sides: Sides) -> Sides {
        if self.coverage == Coverage::Free { Sides::NONE } else { sides }
    }

    /// The rules that build a sort.
    pub fn rules_of(&self, sort: SortId) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(move |rule| rule.gives == sort)
    }
}
