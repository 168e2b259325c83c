//! The canonical form: one text for formulas that differ only in the order of operands, in neutral elements, in how
//! their constants are written, or in the names of their parameters; and the structure: the same without the numbers.
//!
//! Only [laws](LAWS) that hold for the protected forms are here: of `x ^ 1` remains x only where x cannot be negative,
//! and two powers become one only where neither has a floor that the other lacks. Nor may a law change how many values
//! a formula has: `x ^ 0` stays, because `mean 1` is no formula. Whatever these laws miss, the
//! [fingerprint](super::fingerprint) finds.

use std::cmp::Ordering;

use super::kernel::POWER_FLOOR;
use super::maps::Side;
use super::word::{Op, WordId};
use super::{Formula, Gene};

/// Formulas that are one.
pub struct Law {
    /// In words.
    pub name: &'static str,
    /// At which words it applies; at all, if there is none.
    words: &'static [&'static str],
    /// The simpler form of a word with its arguments, which are canonical; `None` where the law says nothing.
    rewrite: fn(WordId, &[Formula]) -> Option<Formula>,
    /// What it says, for whatever x, y and z stand for: the left is rewritten to the canonical form of the right.
    pub says: &'static [(&'static str, &'static str)],
}

/// Every law; the first that applies is taken.
#[rustfmt::skip]
pub static LAWS: &[Law] = &[
    Law { name: "numbers are computed", words: &[], rewrite: computed, says: &[
        ("(+ x (- 2 2.5))",              "(+ x -0.5)"),
        ("(* (+ 1 (^ 1.5 2)) x)",        "(* 3.25 x)"),
    ] },
    Law { name: "sums", words: &["+"], rewrite: |word, x| chain(word, x, 0.0, |a, b| a + b), says: &[
        ("(+ x y)",                      "(+ y x)"),
        ("(+ (+ x y) z)",                "(+ x (+ y z))"),
        ("(+ (+ x 1) (+ 2 y))",          "(+ 3 (+ x y))"),
        ("(+ x 0)",                      "x"),
    ] },
    Law { name: "products", words: &["*"], rewrite: |word, x| chain(word, x, 1.0, |a, b| a * b), says: &[
        ("(* x y)",                      "(* y x)"),
        ("(* (* x y) z)",                "(* x (* y z))"),
        ("(* 2 (* 3 x))",                "(* 6 x)"),
        ("(* (* 2 x) (* 0.25 y))",       "(* 0.5 (* x y))"),
        ("(* 1 x)",                      "x"),
        ("(* 4 (* x 0.25))",             "x"),
    ] },
    Law { name: "maxima", words: &["max"], rewrite: |word, x| chain(word, x, f64::NEG_INFINITY, f64::max), says: &[
        ("(max x y)",                    "(max y x)"),
        ("(max (max x y) z)",            "(max x (max y z))"),
        ("(max x (max x y))",            "(max x y)"),
        ("(max x x)",                    "x"),
        ("(max 0.1 (max x 0.2))",        "(max 0.2 x)"),
    ] },
    Law { name: "nothing is taken away", words: &["-"], rewrite: |_, x| is(&x[1], 0.0).then(|| x[0].clone()), says: &[
        ("(- x 0)",                      "x"),
    ] },
    Law { name: "one divides nothing", words: &["/"], rewrite: |_, x| is(&x[1], 1.0).then(|| x[0].clone()), says: &[
        ("(/ x 1)",                      "x"),
    ] },
    Law { name: "powers", words: &["^"], rewrite: powers, says: &[
        ("(^ x 1)",                      "x"),
        ("(^ (^ x 2) 1.5)",              "(^ x 3)"),
        ("(^ (^ x 0.5) 0.5)",            "(^ x 0.25)"),
        ("(^ (^ x 0.25) 2)",             "(^ x 0.5)"),
    ] },
];

impl Formula {
    /// The formula with its parameters as plain numbers.
    #[must_use]
    pub fn anonymous(&self) -> Self {
        let genes = self.genes.iter().map(|gene| {
            let word = if gene.word.word().is_constant() { WordId::NUMBER } else { gene.word };
            Gene { word, ..*gene }
        });
        Self { genes: genes.collect() }
    }

    /// The canonical form; its value and gradient are those of the formula up to rounding.
    #[must_use]
    pub fn canonical(&self) -> Self {
        self.anonymous().fold(|gene, arguments: &[Self]| Self::canonical_node(gene.word, gene.value, arguments))
    }

    /// The canonical form of a word, with its constant if it has one, over arguments in canonical form.
    #[must_use]
    pub fn canonical_node(word: WordId, value: f64, arguments: &[Self]) -> Self {
        if arguments.is_empty() {
            return Self::leaf(word, value);
        }
        let name = word.word().name;
        let mut laws = LAWS.iter().filter(|law| law.words.is_empty() || law.words.contains(&name));
        laws.find_map(|law| (law.rewrite)(word, arguments)).unwrap_or_else(|| Self::node(word, arguments))
    }

    /// The canonical text with `#` in the place of every number: formulas of one structure differ in constants only.
    pub fn structure(&self) -> String {
        // A chain is kept open until it is an argument of something else, because without their numbers its operands
        // have another order.
        let closed = |(word, mut operands): (Option<WordId>, Vec<String>)| match word {
            None => operands.remove(0),
            Some(word) => {
                operands.sort();
                let last = operands.pop().unwrap_or_default();
                operands.into_iter().rev().fold(last, |rest, next| format!("({} {next} {rest})", word.word().name))
            }
        };
        let parts = self.canonical().fold(|gene, arguments: &[(Option<WordId>, Vec<String>)]| {
            let word = gene.word.word();
            if word.commutes() {
                let open = |argument: &(Option<WordId>, Vec<String>)| match argument {
                    (Some(inner), operands) if *inner == gene.word => operands.clone(),
                    other => vec![closed(other.clone())],
                };
                return (Some(gene.word), arguments.iter().flat_map(open).collect());
            }
            let name = if word.is_constant() { "#" } else { word.name };
            let inside: String = arguments.iter().map(|argument| format!(" {}", closed(argument.clone()))).collect();
            (None, vec![if arguments.is_empty() { name.to_string() } else { format!("({name}{inside})") }])
        });
        closed(parts)
    }

    /// The value of a formula that is one number.
    pub fn constant(&self) -> Option<f64> {
        (self.genes[0].word == WordId::NUMBER).then_some(self.genes[0].value)
    }

    /// Whether no value of it is ever below 0; false where that is not known from its words.
    fn is_never_negative(&self) -> bool {
        self.fold(|gene, below: &[bool]| match (&gene.word.word().op, gene.word.word().name) {
            (Op::Number | Op::Parameter { .. }, _) => gene.value >= 0.0,
            (Op::Map(map), _) => map.of != Side::SignedTarget,
            (_, "^" | "abs" | "log1p" | "neg_log_ratio") => true,
            (_, "-" | "log") => false,
            (_, "max") => below.contains(&true),
            // Leaves are products and logarithms of probabilities; the rest cannot leave what it is given.
            _ => below.iter().all(|never| *never),
        })
    }
}

fn is(formula: &Formula, number: f64) -> bool {
    formula.constant() == Some(number)
}

/// An operation on numbers is a number, if it is finite.
fn computed(word: WordId, arguments: &[Formula]) -> Option<Formula> {
    let Op::Pointwise(kernel) = &word.word().op else { return None };
    let numbers = arguments.iter().map(Formula::constant).collect::<Option<Vec<f64>>>()?;
    let mut out = [0.0];
    (kernel.double.value)(&numbers[..1], &numbers[numbers.len() - 1..], &mut out);
    out[0].is_finite().then(|| Formula::number(out[0]))
}

/// A chain of an associative and commutative operation: nested chains opened, numbers merged, `neutral` dropped,
/// operands in the order of their text. Operands of `max` that occur twice are kept once.
fn chain(word: WordId, arguments: &[Formula], neutral: f64, merge: fn(f64, f64) -> f64) -> Option<Formula> {
    let mut operands: Vec<Formula> = Vec::new();
    let mut open: Vec<Formula> = arguments.to_vec();
    while let Some(next) = open.pop() {
        if next.genes[0].word == word {
            open.extend(next.arguments(0).map(|a| next.subtree(a)));
        } else {
            operands.push(next);
        }
    }
    let number = operands.iter().filter_map(Formula::constant).fold(neutral, merge);
    operands.retain(|operand| operand.constant().is_none());
    operands.sort_by(by_text);
    if word.word().name == "max" {
        operands.dedup();
    }
    if number != neutral || operands.is_empty() {
        operands.insert(0, Formula::number(number));
    }
    let mut operands = operands.into_iter().rev();
    let last = operands.next()?;
    Some(operands.fold(last, |rest, operand| Formula::node(word, &[operand, rest])))
}

/// The order of the texts of two formulas, without writing them: a chain is sorted a million times in an atlas.
fn by_text(a: &Formula, b: &Formula) -> Ordering {
    // What the text of a node begins with: a parenthesis, a number, a letter.
    let kind = |gene: &Gene| match () {
        () if gene.size > 1 => 0,
        () if gene.word == WordId::NUMBER => 1,
        () => 2,
    };
    let order = |(a, b): (&Gene, &Gene)| match kind(a).cmp(&kind(b)) {
        Ordering::Equal if kind(a) == 1 && a.value != b.value => {
            Formula::number(a.value).to_string().cmp(&Formula::number(b.value).to_string())
        }
        Ordering::Equal => a.word.word().name.cmp(b.word.word().name),
        different => different,
    };
    a.genes.iter().zip(&b.genes).map(order).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// `x ^ 1` is x where x is never negative. `(x ^ a) ^ b` is `x ^ ab` where both have no floor (exponents from 1 on), or
/// the inner one and the product have the same: then the inner power never falls to the floor of the outer one.
fn powers(word: WordId, arguments: &[Formula]) -> Option<Formula> {
    let [base, exponent] = arguments else { return None };
    let b = exponent.constant()?;
    if b == 1.0 && base.is_never_negative() {
        return Some(base.clone());
    }
    if base.genes[0].word != word {
        return None;
    }
    let parts: Vec<Formula> = base.arguments(0).map(|argument| base.subtree(argument)).collect();
    let a = parts[1].constant()?;
    const { assert!(POWER_FLOOR < 1.0) };
    let merges = (a >= 1.0 && b >= 1.0) || (0.0 < a && a < 1.0 && 0.0 < b && a * b < 1.0);
    merges.then(|| Formula::node(word, &[parts[0].clone(), Formula::number(a * b)]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formula::fingerprint::{answers, probes};
    use crate::formula::plan::Plan;
    use crate::grammar::Grammar;
    use crate::rng::{Purpose, stream};

    #[track_caller]
    fn simplifies(text: &str, expected: &str) {
        assert_eq!(text.parse::<Formula>().unwrap().canonical().to_string(), expected);
    }

    /// Whether value and gradient are the same on all probes.
    #[track_caller]
    fn agree(left: &Formula, right: &Formula) {
        let probes = probes();
        let [left_answers, right_answers] = [left, right].map(|formula| answers(&Plan::new(formula), &probes));
        let all = left_answers.iter().flat_map(|answer| &answer.gradient);
        // Of all probes: where a saturated voxel ties two operands of a maximum, its slope is that of either.
        let largest = all.fold(1e-300, |most: f64, slope| most.max(slope.abs()));
        for ((a, b), probe) in left_answers.iter().zip(&right_answers).zip(&probes) {
            let name = probe.name;
            assert!((a.value - b.value).abs() <= 1e-9 * a.value.abs(), "{left} and {right} on {name}");
            let same = a.gradient.iter().zip(&b.gradient).all(|(a, b)| (a - b).abs() <= 1e-7 * largest);
            assert!(same, "slopes of {left} and {right} on {name}");
        }
    }

    #[test]
    fn every_law_is_a_theorem() {
        let meanings = [
            ["(mean fp)", "(mean fn)", "(sum ce_fg)"],
            ["(ratio (sum tp) (sum abs_diff))", "(^ (mean fn) 0.25)", "(log1p (mean_top 20 ce_bg))"],
        ];
        let inside = [["fp", "fn", "ce_fg"], ["(^ abs_diff 0.3)", "(* (+ 2 y) ce_bg)", "target_distance"]];
        for law in LAWS {
            for (left, right) in law.says {
                let put = |text: &str, meaning: [&str; 3]| -> String {
                    let tokens = text.split_inclusive([' ', '(', ')']);
                    let stands_for = |token: &str| {
                        let name = token.trim_end_matches([' ', '(', ')']);
                        let found = ["x", "y", "z"].iter().position(|variable| *variable == name);
                        found.map_or(name, |variable| meaning[variable]).to_string() + &token[name.len()..]
                    };
                    tokens.map(stands_for).collect()
                };
                let cases = meanings
                    .map(|m| [put(left, m), put(right, m)])
                    .into_iter()
                    .chain(inside.map(|m| [left, right].map(|text| format!("(mean (* ce_bg {}))", put(text, m)))));
                for [left, right] in cases {
                    let [left, right] = [left, right].map(|text| text.parse::<Formula>().unwrap());
                    assert_eq!(left.canonical(), right.canonical(), "{}: {left}", law.name);
                    agree(&left, &left.canonical());
                }
            }
        }
    }

    #[test]
    #[rustfmt::skip]
    fn what_looks_like_a_law_and_is_none() {
        simplifies("(^ (- 1 (mean fp)) 1)",                 "(^ (- 1 (mean fp)) 1)");
        simplifies("(mean (^ (* signed_distance fp) 1))",   "(mean (^ (* fp signed_distance) 1))");
        simplifies("(^ (^ (mean fp) 2) 0.5)",               "(^ (^ (mean fp) 2) 0.5)");
        simplifies("(^ (^ (mean fp) 0.5) 2)",               "(^ (^ (mean fp) 0.5) 2)");
        simplifies("(mean (^ fp 0))",                       "(mean (^ fp 0))");
        simplifies("(+ 1 t)",                               "(+ 1 t)");
    }

    #[test]
    fn the_canonical_form_keeps_value_and_gradient_of_random_losses() {
        let grammar = Grammar::polarity();
        for slot in 0..10_000 {
            let loss = grammar.sample_loss(20, &mut stream(12, Purpose::Birth, 0, slot));
            let canonical = loss.canonical();
            assert_eq!(canonical.canonical(), canonical, "{loss} has no end");
            // The others are rewritten by nothing but the order of their operands.
            if slot.is_multiple_of(10) || canonical.size() != loss.size() {
                agree(&loss, &canonical);
            }
        }
    }

    #[test]
    fn operands_stand_in_the_order_of_their_text() {
        let grammar = Grammar::polarity();
        let loss = |slot| grammar.sample_loss(9, &mut stream(13, Purpose::Birth, 0, slot));
        for slot in 0..2000 {
            let (a, b) = (loss(slot), loss(slot + 1));
            assert_eq!(by_text(&a, &b), a.to_string().cmp(&b.to_string()), "{a} and {b}");
        }
    }

    #[test]
    fn a_structure_is_a_text_without_numbers() {
        let structure = |text: &str| text.parse::<Formula>().unwrap().structure();
        assert_eq!(structure("(* 3 (+ (mean fp) (* beta=2 (mean fn))))"), "(* # (+ (* # (mean fn)) (mean fp)))");
        // The order of these operands is that of their numbers.
        let [one, other] = ["(+ (* 2 (mean fp)) (* 3 (mean fn)))", "(+ (* 5 (mean fn)) (* 7 (mean fp)))"];
        assert_eq!(structure(one), structure(other));
        assert_ne!(one.parse::<Formula>().unwrap().canonical(), other.parse::<Formula>().unwrap().canonical());
    }
}
