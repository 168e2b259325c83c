//! The right-hand side of a rule: a formula with holes, in prefix order.

use super::SortId;
use crate::fault::{Fault, Result};
use crate::formula::word::WordId;

/// Words and holes in prefix order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pattern {
    pub(super) pieces: Vec<Piece>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Piece {
    Word(WordId),
    /// A number that is part of the rule.
    Literal(f64),
    Hole(SortId),
}

impl Piece {
    pub(super) fn arity(self) -> usize {
        match self {
            Self::Word(word) => word.word().arity(),
            Self::Literal(_) | Self::Hole(_) => 0,
        }
    }
}

impl Pattern {
    /// Reads `(word argument ...)`, where names of sorts are holes.
    pub(super) fn parse(form: &str, sort: impl Fn(&str) -> Option<SortId>) -> Result<Self> {
        let spaced = form.replace('(', " ( ").replace(')', " ) ");
        let mut pieces = Vec::new();
        // Open parentheses: how many arguments are still to come.
        let mut open: Vec<usize> = Vec::new();
        let mut tokens = spaced.split_whitespace();
        while let Some(token) = tokens.next() {
            if open.is_empty() && !pieces.is_empty() {
                return Err(Fault::new("text after the end of the form")
                    .expected("one tree")
                    .found(format!("`{token}`")));
            }
            let opens = token == "(";
            let name = if opens { tokens.next().unwrap_or("the end") } else { token };
            if name == ")" {
                match open.pop() {
                    Some(0) => continue,
                    Some(missing) => {
                        return Err(Fault::new(format!("a word of the form lacks {missing} argument(s)"))
                            .expected(format!("{missing} more before `)`")));
                    }
                    None => {
                        return Err(Fault::new("closing parenthesis without an opening one").expected("`(` before it"));
                    }
                }
            }
            let piece = match (WordId::of(name), name.parse::<f64>()) {
                (Some(word), _) => Piece::Word(word),
                (None, Ok(number)) if number.is_finite() => Piece::Literal(number),
                _ => match sort(name) {
                    Some(sort) => Piece::Hole(sort),
                    None => {
                        return Err(Fault::new(format!("`{name}` is neither a word of the language nor a sort"))
                            .expected("a word, a number or the name of a sort")
                            .found(format!("`{name}`")));
                    }
                },
            };
            if opens != (piece.arity() > 0) {
                let arity = piece.arity();
                let expected = if arity > 0 { format!("`({name} ...)`") } else { format!("`{name}`, bare") };
                return Err(Fault::new(format!("`{name}` takes {arity} argument(s)")).expected(expected));
            }
            match open.last_mut() {
                Some(0) => {
                    return Err(Fault::new(format!("`{name}` is one argument too many")).expected("`)` before it"));
                }
                Some(missing) => *missing -= 1,
                None => {}
            }
            pieces.push(piece);
            if opens {
                open.push(piece.arity());
            }
        }
        match (pieces.is_empty(), open.is_empty()) {
            (false, true) => Ok(Self { pieces }),
            (true, _) => Err(Fault::new("form is empty").expected("a tree such as `(mean ce_fg)`").found("nothing")),
            (_, false) => Err(Fault::new("form has a parenthesis that is never closed").expected("`)` at its end")),
        }
    }

    /// The sorts of the holes, in order.
    pub(super) fn holes(&self) -> impl Iterator<Item = SortId> + '_ {
        self.pieces.iter().filter_map(|piece| if let Piece::Hole(sort) = piece { Some(*sort) } else { None })
    }

    /// Number of words that are not holes.
    pub(super) fn words(&self) -> usize {
        self.pieces.len() - self.holes().count()
    }

    /// Positions of the arguments of the piece at `at`.
    pub(super) fn arguments(&self, at: usize) -> Vec<usize> {
        let mut next = at + 1;
        (0..self.pieces[at].arity())
            .map(|_| {
                let argument = next;
                next = self.end(argument);
                argument
            })
            .collect()
    }

    /// Where the subtree at `at` ends.
    pub(super) fn end(&self, at: usize) -> usize {
        let mut missing = 1;
        let mut next = at;
        while missing > 0 {
            missing += self.pieces[next].arity();
            missing -= 1;
            next += 1;
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(form: &str) -> Result<Pattern> {
        Pattern::parse(form, |name| (name == "weight").then_some(7))
    }

    #[test]
    fn names_of_sorts_are_holes() {
        let pattern = parse("(+ weight (- 1 y))").unwrap();
        assert_eq!(pattern.holes().collect::<Vec<_>>(), [7]);
        assert_eq!((pattern.words(), pattern.arguments(0)), (4, vec![1, 2]));
    }

    #[test]
    fn malformed_forms_are_refused() {
        for form in ["", "(", ")", "(+ y", "(+ y)", "(+ y y y)", "(mean who)", "mean", "(y)", "(mean y) y", "nan"] {
            assert!(parse(form).is_err(), "{form}");
        }
    }
}
