//! The table of words: everything that a formula can say, one row a word.
//!
//! Parsing, printing, evaluation, gradients, coverage and the checks of arguments are all read off this table; a new
//! word is a new row. p is the predicted probability, y the target in [0, 1], q = 1 - p; both p and q are computed from
//! the logit, so neither loses digits near its end of the scale.

use super::kernel::{Block, Kernel, Kernels, add, leaf, pointwise, power, write};
use super::level::each_level;
use super::maps::{Map, Side, Unit};
use super::real::Real;
use super::word::{Argument, ClassReduction, Cover, Notation, Op, Reduction, Sides, Word};

/// Smallest denominator: far below any smoothing (1e-5) and any foreground share, far above the smallest number, so
/// that a saturated empty mask gives a finite, vanishing gradient. A bound and not a summand, which would move the gradient
/// of a Dice loss on an empty mask in its seventh digit.
pub const TINY: f64 = 1e-12;

const ANY1: &[Argument] = &[Argument::Any];
const ANY2: &[Argument] = &[Argument::Any, Argument::Any];
const RAISED: &[Argument] = &[Argument::Any, Argument::Number];
const VOXEL: &[Argument] = &[Argument::Voxel];
const NUMBER1: &[Argument] = &[Argument::Number];
const CLASSES: &[Argument] = &[Argument::Number, Argument::Region];
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

const fn silent(name: &'static str, op: Op, latex: &'static str, meaning: &'static str) -> Word {
    Word { name, op, arguments: &[], cover: Cover::Neutral, notation: symbol(name, latex), meaning }
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
    silent("t", Op::Progress,                   "t", "training progress, 0 at the first step, 1 at the last"),
    silent("y", Op::Leaf(leaf!(|v| v.y, 0.0)),  "y", "the target: emphasis on the foreground"),

    voxel("tp",       Op::Leaf(leaf!(|v| v.p * v.y, v.p * v.q * v.y)),                    Sides::FOREGROUND, r"\mathrm{TP}", "true positive share, p y"),
    voxel("fp",       Op::Leaf(leaf!(|v| v.p * (1.0 - v.y), v.p * v.q * (1.0 - v.y))),    Sides::BACKGROUND, r"\mathrm{FP}", "false positive share, p (1 - y)"),
    voxel("fn",       Op::Leaf(leaf!(|v| v.q * v.y, -v.p * v.q * v.y)),                   Sides::FOREGROUND, r"\mathrm{FN}", "false negative share, (1 - p) y"),
    voxel("tn",       Op::Leaf(leaf!(|v| v.q * (1.0 - v.y), -v.p * v.q * (1.0 - v.y))),   Sides::BACKGROUND, r"\mathrm{TN}", "true negative share, (1 - p) (1 - y)"),
    voxel("abs_diff", Op::Leaf(leaf!(|v| v.p * (1.0 - v.y) + v.q * v.y, v.p * v.q * (1.0 - 2.0 * v.y))), Sides::BOTH, r"|p - y|", "abs(p - y) for a target of 0 or 1; in between, its expectation"),
    voxel("ce_fg",    Op::Leaf(leaf!(|v| v.y * v.neg_log_p, -v.y * v.q)),                 Sides::FOREGROUND, r"\mathrm{CE}_{\mathrm{fg}}", "cross-entropy of the foreground, -y log p"),
    voxel("ce_bg",    Op::Leaf(leaf!(|v| (1.0 - v.y) * v.neg_log_q, (1.0 - v.y) * v.p)),  Sides::BACKGROUND, r"\mathrm{CE}_{\mathrm{bg}}", "cross-entropy of the background, -(1 - y) log(1 - p)"),

    voxel("p",        Op::Leaf(leaf!(|v| v.p, v.p * v.q)),                                Sides::BOTH, "p", "predicted probability"),
    voxel("neg_log_p", Op::Leaf(leaf!(|v| v.neg_log_p, -v.q)),                            Sides::BOTH, r"-\log p", "-log p, whatever the target"),
    voxel("neg_log_q", Op::Leaf(leaf!(|v| v.neg_log_q, v.p)),                             Sides::BOTH, r"-\log(1 - p)", "-log(1 - p), whatever the target"),

    silent("signed_distance",       Op::Map(Map { of: Side::SignedTarget, unit: Unit::Voxel }),      r"\phi_y", "distance to the target in voxels: positive outside, 0 at its rim, negative inside; 0 without a target"),
    silent("signed_distance_mm",    Op::Map(Map { of: Side::SignedTarget, unit: Unit::Millimetre }), r"\phi_y^{\mathrm{mm}}", "the same in mm"),
    silent("target_distance",       Op::Map(Map { of: Side::Target, unit: Unit::Voxel }),            "d_y", "distance to the border of the target in voxels, from either side"),
    silent("target_distance_mm",    Op::Map(Map { of: Side::Target, unit: Unit::Millimetre }),       r"d_y^{\mathrm{mm}}", "the same in mm"),
    silent("predicted_distance",    Op::Map(Map { of: Side::Prediction, unit: Unit::Voxel }),        "d_p", "distance to the border of the prediction (p > 0.5) in voxels, from either side; no gradient flows through it"),
    silent("predicted_distance_mm", Op::Map(Map { of: Side::Prediction, unit: Unit::Millimetre }),   r"d_p^{\mathrm{mm}}", "the same in mm"),

    Word { name: "+",     op: pointwise!(|a, b| a + b, (1.0, 1.0)),  arguments: ANY2, cover: Cover::Union, notation: Notation { infix: "{0} + {1}", latex: "{0} + {1}", level: 1 }, meaning: "sum" },
    Word { name: "-",     op: pointwise!(|a, b| a - b, (1.0, -1.0)), arguments: ANY2, cover: Cover::Union, notation: Notation { infix: "{0} - [1]", latex: "{0} - [1]", level: 1 }, meaning: "difference" },
    Word { name: "*",     op: pointwise!(|a, b| a * b, (b, a)),      arguments: ANY2, cover: Cover::Intersection, notation: Notation { infix: "{0}·{1}", latex: r"{0} \, {1}", level: 2 }, meaning: "product" },
    Word { name: "/",     op: pointwise!(|a, b| a / b.max(TINY), if b > TINY { (1.0 / b, -a / (b * b)) } else { (1.0 / TINY, 0.0) }), arguments: ANY2, cover: Cover::Union, notation: Notation { infix: "{0} / [1]", latex: r"\frac{<0>}{<1>}", level: 2 }, meaning: "quotient; the divisor is at least 1e-12" },
    Word { name: "max",   op: pointwise!(|a, b| a.max(b), if a >= b { (1.0, 0.0) } else { (0.0, 1.0) }), arguments: ANY2, cover: Cover::Union, notation: symbol("max(<0>, <1>)", r"\max\left(<0>,\, <1>\right)"), meaning: "the larger of two" },
    Word { name: "^",     op: Op::Pointwise(power()),                arguments: RAISED, cover: Cover::Union, notation: Notation { infix: "[0]^[1]", latex: "[0]^{<1>}", level: 3 }, meaning: "power; the base is at least 0, for exponents below 1 at least 1e-7" },
    Word { name: "abs",   op: pointwise!(|a, _b| a.abs(), (if a > 0.0 { 1.0 } else if a < 0.0 { -1.0 } else { 0.0 }, 0.0)), arguments: ANY1, cover: Cover::Union, notation: symbol("abs(<0>)", r"\left|<0>\right|"), meaning: "absolute value" },
    Word { name: "log",   op: pointwise!(|a, _b| Real::ln(a.abs().max(1e-7)), (if a.abs() > 1e-7 { 1.0 / a } else { 0.0 }, 0.0)), arguments: ANY1, cover: Cover::Union, notation: symbol("log(abs(<0>))", r"\log\left|<0>\right|"), meaning: "log(abs(x)), where abs(x) is at least 1e-7" },
    Word { name: "log1p", op: pointwise!(|a, _b| Real::ln_1p(a.max(0.0)), (if a > 0.0 { 1.0 / (1.0 + a) } else { 0.0 }, 0.0)), arguments: ANY1, cover: Cover::Union, notation: symbol("log(1 + <0>)", r"\log\left(1 + <0>\right)"), meaning: "log(1 + x) for x >= 0" },

    // E / (A + E): with A the overlap and E the mistakes, the family of Dice, IoU and Tversky.
    Word {
        name: "ratio",
        op: pointwise!(|a, e| e / (a + e).max(TINY), {
            let whole = (a + e).max(TINY);
            if a + e > TINY { (-e / (whole * whole), a / (whole * whole)) } else { (0.0, 1.0 / whole) }
        }),
        arguments: ANY2, cover: Cover::Union,
        notation: Notation { infix: "{1} / (<0> + <1>)", latex: r"\frac{<1>}{<0> + <1>}", level: 2 },
        meaning: "ratio A E = E / (A + E): the share of mistakes E beside an overlap A",
    },
    Word {
        name: "neg_log_ratio",
        op: pointwise!(|a, e| Real::ln((a.max(0.0) + e.max(0.0) + TINY) / (a.max(0.0) + TINY)), {
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

    silent("classes",       Op::Classes,      "C", "number of classes"),
    silent("volume_weight", Op::VolumeWeight, r"\frac{1}{(\sum y)^2}", "1 / (voxels of the target)^2, per sample and class; without a target the largest of the sample"),
    Word { name: "class",        op: Op::Class, arguments: NUMBER1, cover: Cover::Neutral, notation: symbol("[class = <0>]", "[c = <0>]"), meaning: "1 for the class of this number, counted from 0, else 0" },
    Word { name: "mean_classes", op: Op::OverClasses(ClassReduction::Mean), arguments: CLASSES, cover: Cover::Union, notation: symbol("mean_classes(<0>, <1>)", r"\operatorname{mean}_{c,\,<0>}\left(<1>\right)"), meaning: "mean over the classes; with 0 as the first argument without the background" },
    Word { name: "sum_classes",  op: Op::OverClasses(ClassReduction::Sum),  arguments: CLASSES, cover: Cover::Union, notation: symbol("sum_classes(<0>, <1>)", r"\textstyle\sum_{c,\,<0>}\left(<1>\right)"), meaning: "sum over the classes; with 0 as the first argument without the background" },

    parameter("pos_weight",   [3.0,  0.1, 10.0],   r"w_{+}",              "weight of foreground voxels"),
    parameter("k",            [10.0, 0.1, 100.0],  r"k",                  "percent of voxels kept"),
    parameter("gamma",        [2.0,  0.0, 8.0],    r"\gamma",             "focusing exponent"),
    parameter("fp_weight",    [0.3,  0.0, 10.0],   r"w_{\mathrm{FP}}",    "weight of false positives"),
    parameter("fn_weight",    [0.7,  0.0, 10.0],   r"w_{\mathrm{FN}}",    "weight of false negatives"),
    parameter("beta",         [1.0,  0.05, 10.0],  r"\beta",              "recall counts beta times as much as precision"),
    parameter("exponent",     [0.75, 0.1, 8.0],    r"e",                  "power to which the loss is raised"),
    parameter("smooth_nr",    [1e-5, 0.0, 1e3],    r"s_{n}",              "smoothing of the numerator, in voxels"),
    parameter("smooth_dr",    [1e-5, 0.0, 1e3],    r"s_{d}",              "smoothing of the denominator, in voxels"),
    parameter("dice_weight",  [1.0,  0.0, 100.0],  r"w_{\mathrm{Dice}}",  "weight of the Dice term"),
    parameter("ce_weight",    [1.0,  0.0, 100.0],  r"w_{\mathrm{CE}}",    "weight of the cross-entropy term"),
    parameter("focal_weight", [1.0,  0.0, 100.0],  r"w_{\mathrm{focal}}", "weight of the focal term"),
    parameter("tversky_weight", [1.0, 0.0, 100.0], r"w_{\mathrm{Tversky}}", "weight of the Tversky term"),
    parameter("alpha",        [0.25, 0.0, 1.0],    r"\alpha",             "weight of the foreground; the background has the rest"),
    parameter("label_smoothing", [0.1, 0.0, 1.0],  r"\varepsilon",        "share of the target that is spread over all classes"),
    parameter("background",   [0.0,  0.0, 1.0],    "b",                   "1 if the background counts as a class, else 0"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_on_the_page_about_the_language() {
        let page = include_str!("../../docs/reference/grammar.md");
        for word in WORDS.iter().skip(1) {
            let named = page.contains(&format!("`{}`", word.name));
            let explained = matches!(word.op, Op::Parameter { .. }) || page.contains(word.meaning);
            assert!(named && explained, "`{}` is missing", word.name);
        }
    }
}
