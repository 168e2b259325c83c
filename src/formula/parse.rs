//! Text to formula. Total: any text gives a formula or an error that points at the bytes it concerns.
//!
//! The grammar is `atom | ( word argument ... )`; an atom is a word without arguments, a number, or `parameter=value`.
//! Parsing keeps its own stack, so that no nesting can exhaust the machine's.

use std::ops::Range;
use std::str::FromStr;

use super::word::{Argument, Op, Rank, WordId, names};
use super::{Formula, LONGEST};
use crate::fault::{Fault, Result, did_you_mean};

impl FromStr for Formula {
    type Err = Fault;

    /// # Errors
    /// With the span of the first spot that is not part of a loss: unknown word, wrong number or kind of arguments,
    /// a constant that is not finite or out of its range, or a formula that has a value per voxel.
    fn from_str(text: &str) -> Result<Self> {
        let (formula, spans) = parse_part(text)?;
        if formula.rank() == Rank::Voxel {
            return Err(Fault::new("formula has one value per voxel, a loss has one per sample")
                .field("formula")
                .expected("a reduction around it, such as `(mean ...)`")
                .found(format!("`{}`", &text[spans[0].clone()]))
                .hint("put a reduction around the whole of it: `(mean ...)`")
                .span("formula", text, spans[0].clone()));
        }
        Ok(formula)
    }
}

/// A formula of any rank, with the bytes at which each gene is written.
pub(super) fn parse_part(text: &str) -> Result<(Formula, Vec<Range<usize>>)> {
    // Whatever is wrong at a spot says what stands there and where help is.
    let at = |fault: Fault, span: &Range<usize>| {
        let found = text
            .get(span.clone())
            .filter(|found| !found.is_empty())
            .map_or("nothing".into(), |found| format!("`{found}`"));
        fault.or_field("formula").or_found(found).or_hint(EXAMPLES).span("formula", text, span.clone())
    };
    let mut words: Vec<(WordId, f64)> = Vec::new();
    let mut spans: Vec<Range<usize>> = Vec::new();
    // Open parentheses: the word and how many arguments it has so far.
    let mut open: Vec<(WordId, usize, Range<usize>)> = Vec::new();
    let mut tokens = Tokens { text, at: 0 }.peekable();

    while let Some(token) = tokens.next() {
        if words.len() >= LONGEST {
            return Err(at(Fault::new("formula is too long").expected(format!("at most {LONGEST} words")), &token));
        }
        if open.is_empty() && !words.is_empty() {
            return Err(at(Fault::new("text after the end of the formula").expected("one formula"), &token));
        }
        match &text[token.clone()] {
            "(" => {
                let Some(head) = tokens.next() else {
                    return Err(at(Fault::new("formula ends inside a parenthesis").expected("a word"), &token));
                };
                let word = operator(&text[head.clone()]).map_err(|fault| at(fault, &head))?;
                words.push((word, 0.0));
                spans.push(head.clone());
                open.push((word, 0, head));
                continue;
            }
            ")" => {
                let Some((word, count, head)) = open.pop() else {
                    let fault = Fault::new("closing parenthesis without an opening one").expected("`(` before it");
                    return Err(at(fault, &token));
                };
                let arity = word.word().arity();
                if count != arity {
                    let fault = Fault::new(format!("wrong number of arguments for `{}`", word.word().name))
                        .expected(arity)
                        .found(count);
                    return Err(at(fault, &(head.start..token.end)));
                }
            }
            atom => {
                words.push(leaf(atom).map_err(|fault| at(fault, &token))?);
                spans.push(token);
            }
        }
        if let Some((_, count, _)) = open.last_mut() {
            *count += 1;
        }
    }
    if let Some((word, _, head)) = open.pop() {
        let fault = Fault::new(format!("`({}` is never closed", word.word().name)).expected("`)`").found("the end");
        return Err(at(fault, &head));
    }
    let Some(formula) = Formula::from_words(&words) else {
        return Err(at(Fault::new("formula is empty").expected("for example `(mean (+ ce_fg ce_bg))`"), &(0..0)));
    };
    check(&formula, &spans, text)?;
    Ok((formula, spans))
}

/// Arguments are of the demanded rank, and one parameter has one value.
fn check(formula: &Formula, spans: &[Range<usize>], text: &str) -> Result<()> {
    if let Some((node, demand, found)) = formula.misfit() {
        let expected = match demand {
            Argument::Any => "anything",
            Argument::Number => "a number",
            Argument::Region => "at most one value per sample and class, such as `(mean tp)`",
            Argument::Voxel => "one value per voxel, such as `tp`",
        };
        let found = match found {
            Rank::Number => "a number",
            Rank::Region => "one value per sample and class",
            Rank::Voxel => "one value per voxel",
        };
        return Err(Fault::new("argument of the wrong kind")
            .field("formula")
            .expected(expected)
            .found(found)
            .hint(EXAMPLES)
            .span("formula", text, spans[node].clone()));
    }
    for (name, value) in formula.parameters() {
        let other = formula.genes().iter().position(|gene| gene.word.word().name == name && gene.value != value);
        if let Some(node) = other {
            return Err(Fault::new(format!("parameter `{name}` has two values"))
                .field(name)
                .expected(value)
                .found(formula.genes()[node].value)
                .hint("write the same value everywhere, or a number in its place")
                .span("formula", text, spans[node].clone()));
        }
    }
    Ok(())
}

/// A word that takes arguments.
fn operator(text: &str) -> Result<WordId> {
    match WordId::of(text) {
        Some(word) if word.word().arity() > 0 => Ok(word),
        Some(_) => Err(Fault::new(format!("`{text}` takes no arguments"))
            .expected("a word that takes arguments after `(`")
            .hint("write it without parentheses")),
        None => Err(unknown(text)),
    }
}

/// A number, a parameter with or without its value, or a word without arguments.
fn leaf(text: &str) -> Result<(WordId, f64)> {
    if let Some((name, value)) = text.split_once('=') {
        let word = WordId::of(name).ok_or_else(|| unknown(name))?;
        let Op::Parameter { low, high, .. } = word.word().op else {
            return Err(Fault::new(format!("`{name}` is not a parameter and takes no value"))
                .expected("a parameter before `=`, such as `beta=2`"));
        };
        let value = finite(value)?;
        if !(low..=high).contains(&value) {
            return Err(Fault::new("parameter out of range")
                .field(name)
                .expected(format!("{low} to {high}"))
                .found(value));
        }
        return Ok((word, value));
    }
    match WordId::of(text).map(|word| (word, word.word())) {
        Some((word, row)) if row.arity() == 0 => {
            let default = if let Op::Parameter { default, .. } = row.op { default } else { 0.0 };
            Ok((word, default))
        }
        Some((_, row)) => Err(Fault::new(format!("`{text}` needs {} argument(s)", row.arity()))
            .expected("a word without arguments, or a parenthesis around the word and its arguments")
            .hint(format!("write `({text} ...)`"))),
        None if text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) => {
            Ok((WordId::NUMBER, finite(text)?))
        }
        None => Err(unknown(text)),
    }
}

fn finite(text: &str) -> Result<f64> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err(Fault::new("not a finite number").expected("for example `0.5` or `1e-5`").found(format!("`{text}`"))),
    }
}

fn unknown(text: &str) -> Fault {
    let fault = Fault::new(format!("unknown word `{text}`"))
        .expected("a word of the language, a number, or `parameter=value`")
        .found(format!("`{text}`"));
    match did_you_mean(text, names()) {
        Some(name) => fault.hint(format!("did you mean `{name}`?")),
        None => fault.hint(format!("the words are {}", names().collect::<Vec<_>>().join(" "))),
    }
}

const EXAMPLES: &str = "`lossgen loss show dice` prints a loss as a formula, to compare";

/// Parentheses and the runs of characters between them and white space, as byte ranges.
struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl Iterator for Tokens<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let rest = &self.text[self.at..];
        let start = self.at + rest.find(|c: char| !c.is_whitespace())?;
        let rest = &self.text[start..];
        let length = match rest.as_bytes()[0] {
            b'(' | b')' => 1,
            _ => rest.find(|c: char| c.is_whitespace() || c == '(' || c == ')').unwrap_or(rest.len()),
        };
        self.at = start + length;
        Some(start..self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn complaint(text: &str) -> String {
        text.parse::<Formula>().unwrap_err().to_string()
    }

    #[test]
    fn errors_say_what_is_wrong_and_what_would_be_right() {
        assert!(complaint("").contains("empty"));
        assert!(complaint("(mean tp").contains("never closed"));
        assert!(complaint("(mean tp) fp").contains("after the end"));
        assert!(complaint("(mean tp fp)").contains("wrong number of arguments"));
        assert!(complaint("(mean (mean tp))").contains("wrong kind"));
        assert!(complaint("(^ (mean tp) (mean tp))").contains("expected: a number"));
        assert!(complaint("tp").contains("one value per voxel"));
        assert!(complaint("(* beta=1 (* beta=2 (mean tp)))").contains("two values"));
        assert!(complaint("(* gamma=99 (mean tp))").contains("out of range"));
        assert!(complaint("(* 1e999 (mean tp))").contains("finite"));
        assert!(complaint("(mean)").contains("expected: 1"));
        assert!(complaint("()").contains("unknown word"));
        assert!(complaint("(").contains("ends inside"));
    }

    #[test]
    fn every_error_has_field_expectation_finding_and_cure() {
        for text in [
            "",
            "(mean tp",
            "(mean tp) fp",
            "(mean tp fp)",
            "(mean (mean tp))",
            "tp",
            "(* beta=1 (* beta=2 (mean tp)))",
            "(* gamma=99 (mean tp))",
            "(* 1e999 (mean tp))",
            "(mean)",
            "()",
            "(",
            ")",
            "(tp)",
            "mean",
            "(mean tp=2)",
            "(mean zebra)",
            "(mean zebra=3)",
        ] {
            let fault = text.parse::<Formula>().unwrap_err();
            let message = fault.to_string();
            for part in ["field:", "expected:", "found:"] {
                assert!(message.contains(part), "{text}: {message}");
            }
            assert!(miette::Diagnostic::help(&fault).is_some(), "{text}: {message}");
        }
    }

    #[test]
    fn an_unknown_word_finds_its_neighbour() {
        let fault = "(maen tp)".parse::<Formula>().unwrap_err();
        assert_eq!(miette::Diagnostic::help(&fault).unwrap().to_string(), "did you mean `mean`?");
    }

    proptest! {
        #[test]
        fn any_text_gives_a_formula_or_an_error(text in "\\PC{0,60}") {
            let _ = text.parse::<Formula>();
        }

        #[test]
        fn any_string_of_words_gives_a_formula_or_an_error(
            words in prop::collection::vec(prop::sample::select(
                names().chain(["(", ")", "0.5", "-1e-5", "beta=2", "(mean"]).collect::<Vec<_>>()), 0..40)
        ) {
            let text = words.join(" ");
            if let Ok(formula) = text.parse::<Formula>() {
                prop_assert_eq!(&formula.to_string().parse::<Formula>().unwrap(), &formula);
            }
        }
    }
}
