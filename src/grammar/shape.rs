//! A rule as a shape with holes: its sort, its holes, and one walk over its form from which text, coverage and values of
//! whatever it builds follow.

use super::pattern::Piece;
use super::{Coverage, Grammar, Rule, SortId};
use crate::formula::combine;
use crate::formula::word::{Sides, WordId};

/// A part of a form is identically zero, or the whole is.
#[derive(Debug)]
pub(crate) struct Silent;

impl Grammar {
    /// About what a tree of a rule speaks, from what fills its holes.
    ///
    /// # Errors
    /// If it is certain to be zero in part, unless nobody minds.
    pub(crate) fn coverage(&self, rule: &Rule, fillings: Vec<Option<Sides>>) -> Result<Option<Sides>, Silent> {
        if self.coverage == Coverage::Free {
            return Ok(None);
        }
        let mut silent = false;
        let cover = rule.fold(fillings, |word, _, below: Vec<Option<Sides>>| {
            let cover = combine(word.word().cover, below.into_iter());
            silent |= cover == Some(Sides::NONE);
            cover
        });
        if silent { Err(Silent) } else { Ok(cover) }
    }
}

impl Rule {
    /// The sorts of the holes, in order.
    pub fn holes(&self) -> impl Iterator<Item = SortId> + '_ {
        self.pattern.holes()
    }

    /// Number of words that are not holes.
    pub fn words(&self) -> usize {
        self.pattern.words()
    }

    /// Whether the whole form is one word, whose order of arguments is irrelevant, over two holes of one sort.
    pub fn has_twins(&self) -> bool {
        match self.pattern.pieces.as_slice() {
            [Piece::Word(word), Piece::Hole(left), Piece::Hole(right)] => word.word().commutes() && left == right,
            _ => false,
        }
    }

    /// Visits the form bottom-up: `f` gets a word, its constant (see [`WordId::value`]) and what the arguments gave; the
    /// holes give `fillings`, in order.
    ///
    /// # Panics
    /// If there are fewer fillings than holes.
    pub fn fold<T>(&self, mut fillings: Vec<T>, mut f: impl FnMut(WordId, f64, Vec<T>) -> T) -> T {
        let mut pending: Vec<T> = Vec::new();
        for piece in self.pattern.pieces.iter().rev() {
            let made = match *piece {
                Piece::Hole(_) => fillings.pop().expect("as many fillings as holes"),
                Piece::Literal(value) => f(WordId::NUMBER, value, Vec::new()),
                Piece::Word(word) => {
                    // Prefix order read backwards leaves the first argument on top.
                    let mut arguments = pending.split_off(pending.len() - word.word().arity());
                    arguments.reverse();
                    f(word, word.value(), arguments)
                }
            };
            pending.push(made);
        }
        pending.pop().expect("a form has at least one piece")
    }
}

#[cfg(test)]
mod tests {
    use crate::formula::Formula;
    use crate::grammar::Grammar;

    #[test]
    fn the_walk_builds_what_the_form_says() {
        let grammar = Grammar::polarity();
        let build = |form: usize, fillings: Vec<Formula>| {
            let leaf_or_node = |word, value, arguments: Vec<Formula>| {
                if arguments.is_empty() { Formula::leaf(word, value) } else { Formula::node(word, &arguments) }
            };
            grammar.rules[form].fold(fillings, leaf_or_node).to_string()
        };
        let find = |words, holes| {
            let fits = |rule: &crate::grammar::Rule| rule.words() == words && rule.holes().count() == holes;
            grammar.rules.iter().position(fits).unwrap()
        };
        assert_eq!(build(find(4, 1), vec![Formula::number(2.0)]), "(+ 2 (- 1 y))");
        let [one, two] = ["(mean fp)", "(mean fn)"].map(|text| text.parse::<Formula>().unwrap());
        assert_eq!(build(1, vec![one, two]), "(ratio (mean fp) (mean fn))");
        let twins = grammar.rules.iter().filter(|rule| rule.has_twins()).count();
        assert_eq!(twins, 8, "sums, products and maxima of one sort");
    }
}
