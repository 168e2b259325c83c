//! Formula to text: the s-expression that files hold, and infix and LaTeX for people.
//!
//! All three are folds over the table of words; only the s-expression can be read back.

use std::fmt;

use super::Formula;
use super::word::{Op, Word, WordId};

impl fmt::Display for Formula {
    /// The s-expression. Constants are printed with the fewest digits that read back to the same number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fold(|gene, below: &[String]| {
            let word = gene.word.word();
            match word.op {
                Op::Number => number(gene.value),
                Op::Parameter { .. } => format!("{}={}", word.name, number(gene.value)),
                _ if below.is_empty() => word.name.to_string(),
                _ => format!("({} {})", word.name, below.join(" ")),
            }
        }))
    }
}

/// A part that is longer is left out: nobody reads it, and ratios nested in ratios, which show an argument twice, would
/// double it with every level.
const LONGEST_TEXT: usize = 20_000;

impl Formula {
    /// Where the subtree at `node` stands in the s-expression.
    pub fn bytes(&self, node: usize) -> std::ops::Range<usize> {
        let length = |node: usize| self.subtree(node).to_string().len();
        let (mut at, mut start) = (0, 0);
        while at != node {
            // Behind `(word `, then behind every argument that ends before the node, and its space.
            let head = 1 + self.genes()[at].word.word().name.len() + 1;
            let before = self.arguments(at).take_while(|argument| self.span(*argument).end <= node);
            start += head + before.map(|argument| length(argument) + 1).sum::<usize>();
            at = self.arguments(at).find(|argument| self.span(*argument).contains(&node)).unwrap_or(node);
        }
        start..start + length(node)
    }

    /// The formula as people write it; parameters by name.
    pub fn infix(&self) -> String {
        self.typeset(|word| word.notation.infix, number)
    }

    /// The formula in LaTeX, mathematics mode; parameters by symbol.
    pub fn latex(&self) -> String {
        self.typeset(
            |word| word.notation.latex,
            |value| {
                let text = number(value);
                match text.split_once('e') {
                    Some((mantissa, exponent)) => format!(r"{mantissa} \cdot 10^{{{exponent}}}"),
                    None => text,
                }
            },
        )
    }

    fn typeset(&self, template: impl Fn(&Word) -> &'static str, constant: impl Fn(f64) -> String) -> String {
        let (text, _) = self.fold(|gene, below: &[(String, u8)]| {
            let word = gene.word.word();
            if gene.word == WordId::NUMBER {
                // A negative number binds like a difference.
                return (constant(gene.value), if gene.value < 0.0 { 1 } else { 9 });
            }
            let text = fill(template(word), below, word.notation.level);
            (if text.len() > LONGEST_TEXT { "…".to_string() } else { text }, word.notation.level)
        });
        text
    }
}

/// The shortest decimal text that reads back to the same bits; exponents only where zeros would pile up.
fn number(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-4..1e6).contains(&size) { format!("{value:e}") } else { format!("{value}") }
}

/// Replaces the placeholders of a template (see [`super::word::Notation`]).
fn fill(template: &str, arguments: &[(String, u8)], level: u8) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some(start) = rest.find(['{', '[', '<']) {
        let placeholder = &rest[start..];
        let index = placeholder[1..].chars().next().and_then(|c| c.to_digit(10));
        // A digit in braces is no placeholder where there is no such argument: the 1 of a fraction.
        let index = index.filter(|index| (*index as usize) < arguments.len());
        let (Some(index), Some('}' | ']' | '>')) = (index, placeholder.chars().nth(2)) else {
            out.push_str(&rest[..=start]);
            rest = &rest[start + 1..];
            continue;
        };
        let (text, binds) = &arguments[index as usize];
        let wrap = match &placeholder[..1] {
            "{" => *binds < level,
            "[" => *binds <= level,
            _ => false,
        };
        out.push_str(&rest[..start]);
        if wrap {
            out.push_str(&format!("({text})"));
        } else {
            out.push_str(text);
        }
        rest = &rest[start + 3..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use crate::formula::Formula;

    fn formula(text: &str) -> Formula {
        text.parse().unwrap()
    }

    #[test]
    fn text_reads_back_to_the_same_formula() {
        for text in [
            "(mean (+ ce_fg ce_bg))",
            "(* -1e-7 (mean (^ tp 0.30000000000000004)))",
            "(ratio (sum tp) (* fp_weight=0.3 (sum fp)))",
        ] {
            assert_eq!(formula(text).to_string(), text);
        }
    }

    #[test]
    fn infix_has_the_parentheses_it_needs_and_no_more() {
        let infix = |text: &str| formula(text).infix();
        assert_eq!(infix("(mean (* (+ 2 y) (+ ce_fg ce_bg)))"), "mean((2 + y)·(ce_fg + ce_bg))");
        assert_eq!(infix("(mean (+ (* 2 fp) fn))"), "mean(2·fp + fn)");
        assert_eq!(infix("(^ (ratio (mean tp) (mean fp)) 0.75)"), "(mean(fp) / (mean(tp) + mean(fp)))^0.75");
        assert_eq!(infix("(- (mean tp) (- 1 (mean fp)))"), "mean(tp) - (1 - mean(fp))");
    }

    #[test]
    fn nested_ratios_do_not_explode() {
        let deep = format!("{}(mean fp){}", "(ratio (mean tp) ".repeat(200), ")".repeat(200));
        assert!(formula(&deep).infix().len() < 100_000);
        assert_eq!(formula(&deep).to_string(), deep);
    }

    #[test]
    fn digits_in_the_notation_of_a_word_are_no_arguments() {
        assert_eq!(
            formula("(* volume_weight (sum tp))").latex(),
            r"\frac{1}{(\sum y)^2} \, \textstyle\sum\left(\mathrm{TP}\right)"
        );
    }

    #[test]
    fn latex_sets_ratios_as_fractions() {
        assert_eq!(
            formula("(ratio (+ (sum tp) smooth_nr=1e-5) (* fp_weight=0.3 (sum fp)))").latex(),
            r"\frac{w_{\mathrm{FP}} \, \textstyle\sum\left(\mathrm{FP}\right)}{\textstyle\sum\left(\mathrm{TP}\right) + s_{n} + w_{\mathrm{FP}} \, \textstyle\sum\left(\mathrm{FP}\right)}"
        );
    }
}
