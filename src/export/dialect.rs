//! Formulas as statements of other languages: one row a word, one statement a step of the plan.

use crate::formula::plan::{Plan, Step};
use crate::formula::word::{Argument, Op, Rank};

/// How a word is said. `{0}` and `{1}` are its arguments: names, or literals.
struct Saying {
    word: &'static str,
    /// In Python, for tensors and for numbers alike.
    python: &'static str,
    /// In Rust, for tensors of Burn.
    burn: &'static str,
    /// In Rust, for numbers; empty where there are none.
    number: &'static str,
}

const fn saying(word: &'static str, python: &'static str, burn: &'static str, number: &'static str) -> Saying {
    Saying { word, python, burn, number }
}

/// Constants apart, every word of the language; `v` are the voxels of the batch.
#[rustfmt::skip]
const SAYINGS: &[Saying] = &[
    saying("t",                     "v.progress",                             "",                              "v.progress"),
    saying("classes",               "float(v.classes)",                       "",                              "v.classes as f64"),
    saying("y",                     "v.y",                                    "v.y()",                         ""),
    saying("tp",                    "v.p * v.y",                              "v.p() * v.y()",                 ""),
    saying("fp",                    "v.p * (1.0 - v.y)",                      "v.p() * v.not_y()",             ""),
    saying("fn",                    "v.q * v.y",                              "v.q() * v.y()",                 ""),
    saying("tn",                    "v.q * (1.0 - v.y)",                      "v.q() * v.not_y()",             ""),
    saying("abs_diff",              "v.p * (1.0 - v.y) + v.q * v.y",          "v.p() * v.not_y() + v.q() * v.y()", ""),
    saying("ce_fg",                 "v.y * v.neg_log_p",                      "v.y() * v.neg_log_p()",         ""),
    saying("ce_bg",                 "(1.0 - v.y) * v.neg_log_q",              "v.not_y() * v.neg_log_q()",     ""),
    saying("p",                     "v.p",                                    "v.p()",                         ""),
    saying("neg_log_p",             "v.neg_log_p",                            "v.neg_log_p()",                 ""),
    saying("neg_log_q",             "v.neg_log_q",                            "v.neg_log_q()",                 ""),
    saying("signed_distance",       "v.distance(\"signed_target\", False)",   "v.distance(runtime::Source::SignedTarget, false)", ""),
    saying("signed_distance_mm",    "v.distance(\"signed_target\", True)",    "v.distance(runtime::Source::SignedTarget, true)",  ""),
    saying("target_distance",       "v.distance(\"target\", False)",          "v.distance(runtime::Source::Target, false)",       ""),
    saying("target_distance_mm",    "v.distance(\"target\", True)",           "v.distance(runtime::Source::Target, true)",        ""),
    saying("predicted_distance",    "v.distance(\"prediction\", False)",      "v.distance(runtime::Source::Prediction, false)",   ""),
    saying("predicted_distance_mm", "v.distance(\"prediction\", True)",       "v.distance(runtime::Source::Prediction, true)",    ""),
    saying("+",                     "{0} + {1}",                              "{0} + {1}",                     "{0} + {1}"),
    saying("-",                     "{0} - {1}",                              "{0} - {1}",                     "{0} - {1}"),
    saying("*",                     "{0} * {1}",                              "{0} * {1}",                     "{0} * {1}"),
    saying("/",                     "_divide({0}, {1})",                      "runtime::divide({0}, {1})",              "{0} / f64::max({1}, runtime::TINY)"),
    saying("max",                   "_larger({0}, {1})",                      "runtime::larger({0}, {1})",              "f64::max({0}, {1})"),
    saying("^",                     "_power({0}, {1})",                       "runtime::power({0}, {1})",               "f64::max({0}, runtime::floor({1})).powf({1})"),
    saying("abs",                   "abs({0})",                               "{0}.abs()",                     "f64::abs({0})"),
    saying("log",                   "_log_abs({0})",                          "{0}.abs().clamp_min(1e-7).log()", "f64::abs({0}).max(1e-7).ln()"),
    saying("log1p",                 "_log1p({0})",                            "{0}.clamp_min(0.0).log1p()",    "f64::max({0}, 0.0).ln_1p()"),
    saying("ratio",                 "_ratio({0}, {1})",                       "runtime::ratio({0}, {1})",               "{1} / f64::max({0} + {1}, runtime::TINY)"),
    saying("neg_log_ratio",         "_neg_log_ratio({0}, {1})",               "runtime::neg_log_ratio({0}, {1})",       "((f64::max({0}, 0.0) + f64::max({1}, 0.0) + runtime::TINY) / (f64::max({0}, 0.0) + runtime::TINY)).ln()"),
    saying("mean",                  "v.mean({0})",                            "v.mean({0})",                   ""),
    saying("sum",                   "v.sum({0})",                             "v.sum({0})",                    ""),
    saying("mean_batch",            "v.mean_batch({0})",                      "v.mean({0}).mean_dim(0)",       ""),
    saying("sum_batch",             "v.sum_batch({0})",                       "v.sum({0}).sum_dim(0)",         ""),
    saying("mean_top",              "v.mean_top({0}, {1})",                   "v.mean_top({0}, {1})",          ""),
    saying("class",                 "v.is_class({0})",                        "v.is_class({0})",               ""),
    saying("volume_weight",         "v.volume_weight()",                      "v.volume_weight()",             ""),
    saying("mean_classes",          "v.mean_classes({0}, {1})",               "v.counted({0}, {1}).mean_dim(1)", ""),
    saying("sum_classes",           "v.sum_classes({0}, {1})",                "v.counted({0}, {1}).sum_dim(1)", ""),
];

/// A language of programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Python with PyTorch.
    Python,
    /// Rust with Burn.
    Burn,
}

/// A program: statements, and the expression of the loss.
pub(super) struct Program {
    pub(super) statements: Vec<String>,
    pub(super) value: String,
}

impl Dialect {
    /// The program of a plan.
    pub(super) fn program(self, plan: &Plan) -> Program {
        let mut statements = Vec::new();
        let mut names: Vec<String> = Vec::with_capacity(plan.steps.len());
        for (place, step) in plan.steps.iter().enumerate() {
            let word = step.word.word();
            names.push(match word.op {
                Op::Number => format!("{:?}", step.value),
                Op::Parameter { .. } => self.parameter(word.name),
                _ => {
                    let name = format!("x{place}");
                    let value = self.said(step, &self.arguments(plan, step, &names));
                    statements.push(match self {
                        Self::Python => format!("{name} = {value}"),
                        Self::Burn => format!("let {name} = {value};"),
                    });
                    name
                }
            });
        }
        let value = match plan.steps.last() {
            Some(root) if self == Self::Burn && root.rank == Rank::Number => {
                format!("v.constant({})", names[names.len() - 1])
            }
            _ => names.pop().unwrap_or_default(),
        };
        Program { statements, value }
    }

    /// A parameter in an expression.
    fn parameter(self, name: &str) -> String {
        match self {
            Self::Python => format!("self.{name}"),
            Self::Burn => name.to_uppercase(),
        }
    }

    /// The arguments of a step as expressions of what the word takes there.
    fn arguments(self, plan: &Plan, step: &Step, names: &[String]) -> Vec<String> {
        let demands = step.word.word().arguments;
        let argument = |(place, demand): (&usize, &Argument)| {
            let (name, rank) = (&names[*place], plan.steps[*place].rank);
            match self {
                Self::Python => name.clone(),
                Self::Burn if step.rank == Rank::Number || *demand == Argument::Number => name.clone(),
                Self::Burn if rank == Rank::Number => format!("v.constant({name})"),
                Self::Burn => format!("{name}.clone()"),
            }
        };
        step.arguments.iter().zip(demands).map(argument).collect()
    }

    fn said(self, step: &Step, arguments: &[String]) -> String {
        let name = step.word.word().name;
        let saying = SAYINGS.iter().find(|saying| saying.word == name).expect("the table is tested to have every word");
        let template = match self {
            Self::Python => saying.python,
            Self::Burn if step.rank == Rank::Number => saying.number,
            Self::Burn => saying.burn,
        };
        let mut text = template.to_string();
        for (place, argument) in arguments.iter().enumerate() {
            text = text.replace(&format!("{{{place}}}"), argument);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formula::words::WORDS;

    #[test]
    fn every_word_is_said_in_every_language() {
        for word in WORDS.iter().filter(|word| !word.is_constant()) {
            let saying = SAYINGS.iter().find(|saying| saying.word == word.name);
            let saying = saying.unwrap_or_else(|| panic!("`{}` cannot be said", word.name));
            let pointwise = matches!(word.op, Op::Pointwise(_));
            for template in [saying.python, saying.burn].iter().filter(|template| !template.is_empty()) {
                let said = (0..word.arity()).all(|place| template.contains(&format!("{{{place}}}")));
                assert!(said, "`{}` loses an argument in {template}", word.name);
            }
            assert!(!saying.python.is_empty() && (!pointwise || !saying.number.is_empty()), "{}", word.name);
        }
        assert_eq!(SAYINGS.len(), WORDS.iter().filter(|word| !word.is_constant()).count());
    }

    #[test]
    fn equal_parts_are_computed_once() {
        let program =
            Dialect::Python.program(&Plan::new(&"(ratio (mean tp) (+ (mean fp) (mean tp)))".parse().unwrap()));
        assert_eq!(program.statements.iter().filter(|line| line.contains("v.p * v.y")).count(), 1);
        assert_eq!(program.statements.len(), 6);
    }
}
