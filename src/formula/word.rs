//! What is true of a word, and how it is found. The words themselves stand in [`super::words`].

use super::kernel::{BinaryKernel, LeafKernel};
use super::maps::Map;
use super::words::WORDS;

/// Position of a word in [`WORDS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WordId(u16);

/// One row of the table.
pub struct Word {
    /// How the word is written in a formula.
    pub name: &'static str,
    /// What it computes.
    pub op: Op,
    /// What it demands of each argument; the length is the arity.
    pub arguments: &'static [Argument],
    /// On which voxels it speaks about the prediction.
    pub cover: Cover,
    /// How people write it.
    pub notation: Notation,
    /// One line for people who meet the word for the first time.
    pub meaning: &'static str,
}

/// What a word computes.
pub enum Op {
    /// A literal constant, held by the gene.
    Number,
    /// A named constant, held by the gene: what users set and what optimisers of a loss tune, within `low..=high`.
    Parameter {
        /// Value where none is given.
        default: f64,
        /// Smallest value.
        low: f64,
        /// Largest value.
        high: f64,
    },
    /// Training progress from 0 (first step) to 1 (last step).
    Progress,
    /// Number of classes.
    Classes,
    /// 1 for the class whose number (from 0) is the argument, 0 for the others: what weights of classes are made of.
    Class,
    /// 1 / (voxels of the target)², per sample and class.
    VolumeWeight,
    /// One value per voxel, a function of logit and target.
    Leaf(LeafKernel),
    /// One value per voxel, a distance; no gradient flows through it.
    Map(Map),
    /// Element by element; with one argument, the second operand is ignored.
    Pointwise(BinaryKernel),
    /// From one value per voxel to one per sample and class.
    Reduce(Reduction),
    /// From the classes of a sample to one value, the same for each; the first argument says whether the background is
    /// one of them.
    OverClasses(ClassReduction),
}

/// How voxels become one value per sample and class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduction {
    /// Mean over the voxels of a sample and class.
    Mean,
    /// Sum over the voxels of a sample and class.
    Sum,
    /// Mean over the voxels of all samples of a class, the same value for each sample.
    MeanBatch,
    /// Sum over the voxels of all samples of a class, the same value for each sample.
    SumBatch,
    /// Mean of the `k` percent largest values of the whole batch, at least one of them; the first argument is `k`.
    MeanTop,
}

/// How classes become one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClassReduction {
    /// Mean over the classes that count.
    Mean,
    /// Sum over the classes that count.
    Sum,
}

/// What may stand as an argument. Ranks widen: a number may stand where a region may, a region where anything may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument {
    /// Anything.
    Any,
    /// A constant or a function of training progress: no gradient flows through it.
    Number,
    /// At most one value per sample and class.
    Region,
    /// One value per voxel.
    Voxel,
}

/// How many values a formula has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// One.
    Number,
    /// One per sample and class.
    Region,
    /// One per voxel, sample and class.
    Voxel,
}

/// The sides of the target about which a formula speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Sides(u8);

impl Sides {
    /// Neither.
    pub const NONE: Self = Self(0);
    /// Voxels with y = 1.
    pub const FOREGROUND: Self = Self(1);
    /// Voxels with y = 0.
    pub const BACKGROUND: Self = Self(2);
    /// Both.
    pub const BOTH: Self = Self(3);
    /// Every value, in the order of [`Sides::index`].
    pub const ALL: [Self; 4] = [Self::NONE, Self::FOREGROUND, Self::BACKGROUND, Self::BOTH];

    /// Both sets together.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What both sets have.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether every side of `other` is here.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Position in [`Sides::ALL`].
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// In words.
    pub const fn name(self) -> &'static str {
        ["neither side", "the foreground only", "the background only", "both sides"][self.0 as usize]
    }
}

/// How coverage arises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cover {
    /// A leaf that speaks about these sides.
    Leaf(Sides),
    /// Says nothing about the prediction; neutral in unions and intersections.
    Neutral,
    /// A side is covered if any argument covers it.
    Union,
    /// A side is covered if every argument that is not neutral covers it: a vanishing factor silences the others.
    Intersection,
}

/// Templates for people. `{i}` is the i-th argument, in parentheses if it binds more loosely than this word; `[i]` also
/// if it binds equally; `<i>` never.
pub struct Notation {
    /// Plain text.
    pub infix: &'static str,
    /// LaTeX, mathematics mode.
    pub latex: &'static str,
    /// How tightly the word binds: 1 sums, 2 products, 3 powers, 9 what needs no parentheses.
    pub level: u8,
}

impl Word {
    /// Number of arguments.
    pub const fn arity(&self) -> usize {
        self.arguments.len()
    }

    /// Whether the order of the two arguments is irrelevant.
    pub fn commutes(&self) -> bool {
        matches!(self.name, "+" | "*" | "max")
    }

    /// Whether the gene holds a constant.
    pub const fn is_constant(&self) -> bool {
        matches!(self.op, Op::Number | Op::Parameter { .. })
    }
}

impl WordId {
    /// The literal constant.
    pub const NUMBER: Self = Self(0);

    /// The word written `name`.
    pub fn of(name: &str) -> Option<Self> {
        WORDS.iter().skip(1).position(|word| word.name == name).map(|i| Self(i as u16 + 1))
    }

    /// Its constant where none is given: the default of a parameter, 0 for every other word.
    pub fn value(self) -> f64 {
        if let Op::Parameter { default, .. } = self.word().op { default } else { 0.0 }
    }

    /// The number of its row.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The row of the table.
    pub fn word(self) -> &'static Word {
        &WORDS[self.0 as usize]
    }
}

/// Every word but the literal number, which has no name.
pub fn names() -> impl Iterator<Item = &'static str> {
    WORDS.iter().skip(1).map(|word| word.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_has_one_name_and_can_be_found() {
        for (i, word) in WORDS.iter().enumerate().skip(1) {
            assert_eq!(WordId::of(word.name), Some(WordId(i as u16)), "{}", word.name);
        }
    }

    #[test]
    fn every_template_shows_every_argument() {
        for word in WORDS {
            for i in 0..word.arity() {
                for template in [word.notation.infix, word.notation.latex] {
                    assert!(template.contains(&i.to_string()), "{} lacks argument {i} in {template}", word.name);
                }
            }
        }
    }

    #[test]
    fn defaults_of_parameters_lie_in_their_range() {
        for word in WORDS {
            if let Op::Parameter { default, low, high } = word.op {
                assert!(low < high && (low..=high).contains(&default), "{}", word.name);
            }
        }
    }
}
