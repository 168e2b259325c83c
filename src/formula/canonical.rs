//! The canonical form: one text for formulas that differ only in the order of operands, in neutral elements, in how
//! their constants are written, or in the names of their parameters.
//!
//! Only laws that hold for the protected forms are here: `x ^ 1` is not `x`, because a base is at least 0. Whatever
//! these laws miss, the [fingerprint](super::fingerprint) finds.

use super::word::{Op, WordId};
use super::{Formula, Gene};

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
        self.anonymous().fold(|gene, arguments: &[Self]| {
            let arguments = arguments.to_vec();
            match gene.word.word().name {
                _ if arguments.is_empty() => Self::leaf(gene.word, gene.value),
                _ if arguments.iter().all(|a| a.constant().is_some()) => fold_constants(gene.word, &arguments),
                "+" => chain(gene.word, &arguments, 0.0, |a, b| a + b),
                "*" => chain(gene.word, &arguments, 1.0, |a, b| a * b),
                "max" => chain(gene.word, &arguments, f64::NEG_INFINITY, f64::max),
                "-" if arguments[1].constant() == Some(0.0) => arguments[0].clone(),
                _ => Self::node(gene.word, &arguments),
            }
        })
    }

    /// The value of a formula that is one number.
    pub fn constant(&self) -> Option<f64> {
        (self.genes[0].word == WordId::NUMBER).then_some(self.genes[0].value)
    }
}

/// An operation on numbers is a number, if it is finite.
fn fold_constants(word: WordId, arguments: &[Formula]) -> Formula {
    if let Op::Pointwise(kernel) = &word.word().op {
        let numbers: Vec<f64> = arguments.iter().filter_map(Formula::constant).collect();
        let mut out = [0.0];
        (kernel.double.value)(&numbers[..1], &numbers[numbers.len() - 1..], &mut out);
        if out[0].is_finite() {
            return Formula::number(out[0]);
        }
    }
    Formula::node(word, arguments)
}

/// A chain of an associative and commutative operation: nested chains opened, numbers merged, `neutral` dropped,
/// operands in the order of their text. Operands of `max` that occur twice are kept once.
fn chain(word: WordId, arguments: &[Formula], neutral: f64, merge: fn(f64, f64) -> f64) -> Formula {
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
    operands.sort_by_cached_key(ToString::to_string);
    if word.word().name == "max" {
        operands.dedup();
    }
    if number != neutral || operands.is_empty() {
        operands.insert(0, Formula::number(number));
    }
    let mut operands = operands.into_iter().rev();
    let last = operands.next().expect("a chain has an operand");
    operands.fold(last, |rest, operand| Formula::node(word, &[operand, rest]))
}

#[cfg(test)]
mod tests {
    use crate::formula::Formula;

    #[track_caller]
    fn simplifies(text: &str, expected: &str) {
        assert_eq!(text.parse::<Formula>().unwrap().canonical().to_string(), expected);
    }

    #[test]
    #[rustfmt::skip]
    fn laws() {
        simplifies("(+ (mean tp) (mean fp))",                       "(+ (mean fp) (mean tp))");
        simplifies("(+ (+ (mean tp) 1) (+ 2 (mean fp)))",           "(+ 3 (+ (mean fp) (mean tp)))");
        simplifies("(* 1 (mean tp))",                               "(mean tp)");
        simplifies("(* 2 (* 3 (mean tp)))",                         "(* 6 (mean tp))");
        simplifies("(+ (mean tp) 0)",                               "(mean tp)");
        simplifies("(- (mean tp) (- 2 2))",                         "(mean tp)");
        simplifies("(max (mean tp) (mean tp))",                     "(mean tp)");
        simplifies("(* (+ 1 (^ beta=1.5 2)) (mean fp))",            "(* 3.25 (mean fp))");
        simplifies("(+ 1 t)",                                       "(+ 1 t)");
        simplifies("(^ (mean fp) 1)",                               "(^ (mean fp) 1)");
    }
}
