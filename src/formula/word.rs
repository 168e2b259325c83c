//! The table of words: everything that a formula can say, one row a word.
//!
//! Parsing, printing, evaluation, gradients, coverage and the checks of arguments are all read off this table; a new
//! word is a new row. p is the predicted probability, y the target in [0, 1], q = 1 - p; both p and q are computed from
//! the logit, so neither loses digits near its end of the scale.

use super::kernel::{BinaryKernel, Kernel, LeafKernel, leaf, pointwise, power};

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
    /// One value per voxel, a function of logit and target.
    Leaf(LeafKernel),
    /// Element by element; with one argument, the second operand is ignored.
    Pointwise(BinaryKernel),
    /// From one value per voxel to one per sample and class.
    Reduce(Reduction),
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

/// What may stand as an argument. Ranks widen: a number may stand where a region may, a region where anything may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument {
    /// Anything.
    Any,
    /// A constant or a function of training progress: no gradient flows through it.
    Number,
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

    /// The row of the table.
    pub fn word(self) -> &'static Word {
        &WORDS[self.0 as usize]
    }
}

/// Every word but the literal number, which has no name.
pub fn names() -> impl Iterator<Item = &'static str> {
    WORDS.iter().skip(1).map(|word| word.name)
}

/// Added to denominators: far below any smoothing (1e-5) and any foreground share, far above the smallest number, so
/// that a saturated empty mask gives a finite, vanishing gradient.
pub const TINY: f64 = 1e-12;

const ANY1: &[Argument] = &[Argument::Any];
const ANY2: &[Argument] = &[Argument::Any, Argument::Any];
const RAISED: &[Argument] = &[Argument::Any, Argument::Number];
const VOXEL: &[Argument] = &[Argument::Voxel];
const TOP: &[Argument] = &[Argument::Number, Argument::Voxel];

const fn symbol(infix: &'static str, latex: &'static str) -> Notation {
    Notation { infix, latex, level: 9 }
}

const fn parameter(
    name: &'static str,
    [default, low, high]: [f64; 3],
    latex: &'static str,
    meaning: &'static str,
) -> Word {
    let op = Op::Parameter { default, low, high };
    Word { name, op, arguments: &[], cover: Cover::Neutral, notation: symbol(name, latex), meaning }
}

const fn voxel(name: &'static str, op: Op, sides: Sides, latex: &'static str, meaning: &'static str) -> Word {
    Word { name, op, arguments: &[], cover: Cover::Leaf(sides), notation: symbol(name, latex), meaning }
}

const fn reduce(
    name: &'static str,
    reduction: Reduction,
    arguments: &'static [Argument],
    notation: Notation,
    meaning: &'static str,
) -> Word {
    // The neutral first argument of `mean_top` leaves the union to the second.
    Word { name, op: Op::Reduce(reduction), arguments, cover: Cover::Union, notation, meaning }
}

/// The table. The order is internal: files and journals hold names, never positions.
#[rustfmt::skip]
pub static WORDS: &[Word] = &[
    Word { name: "number", op: Op::Number, arguments: &[], cover: Cover::Neutral, notation: symbol("", ""), meaning: "a constant" },
    Word { name: "t", op: Op::Progress, arguments: &[], cover: Cover::Neutral, notation: symbol("t", "t"), meaning: "training progress, 0 at the first step, 1 at the last" },
    Word { name: "y", op: Op::Leaf(leaf!(|v| v.y, 0.0)), arguments: &[], cover: Cover::Neutral, notation: symbol("y", "y"), meaning: "the target: emphasis on the foreground" },

    voxel("tp",       Op::Leaf(leaf!(|v| v.p * v.y, v.p * v.q * v.y)),                    Sides::FOREGROUND, r"\mathrm{TP}", "true positive share, p y"),
    voxel("fp",       Op::Leaf(leaf!(|v| v.p * (1.0 - v.y), v.p * v.q * (1.0 - v.y))),    Sides::BACKGROUND, r"\mathrm{FP}", "false positive share, p (1 - y)"),
    voxel("fn",       Op::Leaf(leaf!(|v| v.q * v.y, -v.p * v.q * v.y)),                   Sides::FOREGROUND, r"\mathrm{FN}", "false negative share, (1 - p) y"),
    voxel("tn",       Op::Leaf(leaf!(|v| v.q * (1.0 - v.y), -v.p * v.q * (1.0 - v.y))),   Sides::BACKGROUND, r"\mathrm{TN}", "true negative share, (1 - p) (1 - y)"),
    voxel("abs_diff", Op::Leaf(leaf!(|v| v.p * (1.0 - v.y) + v.q * v.y, v.p * v.q * (1.0 - 2.0 * v.y))), Sides::BOTH, r"|p - y|", "abs(p - y) for a target of 0 or 1; in between, its expectation"),
    voxel("ce_fg",    Op::Leaf(leaf!(|v| v.y * v.neg_log_p, -v.y * v.q)),                 Sides::FOREGROUND, r"\mathrm{CE}_{\mathrm{fg}}", "cross-entropy of the foreground, -y log p"),
    voxel("ce_bg",    Op::Leaf(leaf!(|v| (1.0 - v.y) * v.neg_log_q, (1.0 - v.y) * v.p)),  Sides::BACKGROUND, r"\mathrm{CE}_{\mathrm{bg}}", "cross-entropy of the background, -(1 - y) log(1 - p)"),

    Word { name: "+",     op: pointwise!(|a, b| a + b, (1.0, 1.0)),  arguments: ANY2, cover: Cover::Union, notation: Notation { infix: "{0} + {1}", latex: "{0} + {1}", level: 1 }, meaning: "sum" },
    Word { name: "-",     op: pointwise!(|a, b| a - b, (1.0, -1.0)), arguments: ANY2, cover: Cover::Union, notation: Notation { infix: "{0} - [1]", latex: "{0} - [1]", level: 1 }, meaning: "difference" },
    Word { name: "*",     op: pointwise!(|a, b| a * b, (b, a)),      arguments: ANY2, cover: Cover::Intersection, notation: Notation { infix: "{0}·{1}", latex: r"{0} \, {1}", level: 2 }, meaning: "product" },
    Word { name: "max",   op: pointwise!(|a, b| a.max(b), if a >= b { (1.0, 0.0) } else { (0.0, 1.0) }), arguments: ANY2, cover: Cover::Union, notation: symbol("max(<0>, <1>)", r"\max\left(<0>,\, <1>\right)"), meaning: "the larger of two" },
    Word { name: "^",     op: Op::Pointwise(power()),                arguments: RAISED, cover: Cover::Union, notation: Notation { infix: "[0]^[1]", latex: "[0]^{<1>}", level: 3 }, meaning: "power; the base is at least 1e-7, the exponent a number" },
    Word { name: "log1p", op: pointwise!(|a, _b| a.max(0.0).ln_1p(), (if a > 0.0 { 1.0 / (1.0 + a) } else { 0.0 }, 0.0)), arguments: ANY1, cover: Cover::Union, notation: symbol("log(1 + <0>)", r"\log\left(1 + <0>\right)"), meaning: "log(1 + x) for x >= 0" },

    // E / (A + E): with A the overlap and E the mistakes, the family of Dice, IoU and Tversky.
    Word {
        name: "ratio",
        op: pointwise!(|a, e| e / ((a + e).max(0.0) + TINY), {
            let whole = (a + e).max(0.0) + TINY;
            if a + e > 0.0 { (-e / (whole * whole), (a + TINY) / (whole * whole)) } else { (0.0, 1.0 / whole) }
        }),
        arguments: ANY2, cover: Cover::Union,
        notation: Notation { infix: "{1} / (<0> + <1>)", latex: r"\frac{<1>}{<0> + <1>}", level: 2 },
        meaning: "ratio A E = E / (A + E): the share of mistakes E beside an overlap A",
    },
    Word {
        name: "neg_log_ratio",
        op: pointwise!(|a, e| ((a.max(0.0) + e.max(0.0) + TINY) / (a.max(0.0) + TINY)).ln(), {
            let whole = a.max(0.0) + e.max(0.0) + TINY;
            (if a > 0.0 { 1.0 / whole - 1.0 / (a + TINY) } else { 0.0 }, if e > 0.0 { 1.0 / whole } else { 0.0 })
        }),
        arguments: ANY2, cover: Cover::Union,
        notation: symbol("-log(<0> / (<0> + <1>))", r"-\log\frac{<0>}{<0> + <1>}"),
        meaning: "neg_log_ratio A E = -log(A / (A + E))",
    },

    reduce("mean",       Reduction::Mean,      VOXEL, symbol("mean(<0>)", r"\operatorname{mean}\left(<0>\right)"), "mean over the voxels of a sample"),
    reduce("sum",        Reduction::Sum,       VOXEL, symbol("sum(<0>)", r"\textstyle\sum\left(<0>\right)"), "sum over the voxels of a sample"),
    reduce("mean_batch", Reduction::MeanBatch, VOXEL, symbol("mean_batch(<0>)", r"\operatorname{mean}_{\mathrm{batch}}\left(<0>\right)"), "mean over the voxels of the batch"),
    reduce("sum_batch",  Reduction::SumBatch,  VOXEL, symbol("sum_batch(<0>)", r"\textstyle\sum_{\mathrm{batch}}\left(<0>\right)"), "sum over the voxels of the batch"),
    reduce("mean_top",   Reduction::MeanTop,   TOP,   symbol("mean_top(<0> %, <1>)", r"\operatorname{mean}_{\mathrm{top}\,<0>\,\%}\left(<1>\right)"), "mean of the k percent largest values of the batch"),

    parameter("pos_weight",   [3.0,  0.1, 10.0],   r"w_{+}",              "weight of foreground voxels"),
    parameter("k",            [10.0, 0.1, 100.0],  r"k",                  "percent of voxels kept"),
    parameter("gamma",        [2.0,  0.0, 8.0],    r"\gamma",             "focusing exponent"),
    parameter("fp_weight",    [0.3,  0.0, 10.0],   r"w_{\mathrm{FP}}",    "weight of false positives"),
    parameter("fn_weight",    [0.7,  0.0, 10.0],   r"w_{\mathrm{FN}}",    "weight of false negatives"),
    parameter("beta",         [1.0,  0.05, 10.0],  r"\beta",              "recall counts beta times as much as precision"),
    parameter("exponent",     [0.75, 0.1, 8.0],    r"e",                  "power to which the loss is raised"),
    parameter("smooth",       [1e-5, 0.0, 1e3],    r"s",                  "smoothing, in voxels"),
    parameter("smooth_nr",    [1e-5, 0.0, 1e3],    r"s_{n}",              "smoothing of the numerator, in voxels"),
    parameter("smooth_dr",    [1e-5, 0.0, 1e3],    r"s_{d}",              "smoothing of the denominator, in voxels"),
    parameter("dice_weight",  [1.0,  0.0, 100.0],  r"w_{\mathrm{Dice}}",  "weight of the Dice term"),
    parameter("ce_weight",    [1.0,  0.0, 100.0],  r"w_{\mathrm{CE}}",    "weight of the cross-entropy term"),
];

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
