//! Random sentences: top-down, within a budget of words, never stuck.
//!
//! A rule is open only if the smallest trees that satisfy it fit the budget, so no retry and no depth limit is needed:
//! every choice can be completed.

use rand::{Rng, RngExt};

use super::pattern::Piece;
use super::{Grammar, Kind, Rule, SortId};
use crate::formula::Formula;
use crate::formula::word::Sides;

impl Grammar {
    /// A random tree of a sort that covers at least `need`, of at most `budget` words (more only if the smallest tree
    /// needs more).
    ///
    /// # Panics
    /// If the sort has no such tree; [`Grammar::smallest`] tells.
    pub fn sample(&self, sort: SortId, need: Sides, budget: usize, rng: &mut impl Rng) -> Formula {
        if let Kind::Constant { low, high } = self.sorts[sort].kind {
            return Formula::number(log_uniform(low, high, rng));
        }
        let need = self.need(need);
        let smallest = self.smallest(sort, need).expect("the sort has a tree with this coverage");
        let budget = budget.max(smallest);
        let (rule, way) = self.choose(sort, need, budget, rng);

        let spare = budget - rule.size(way, &self.smallest).expect("the rule was chosen because it fits");
        let holes: Vec<(SortId, Sides)> = rule.pattern.holes().zip(way.iter().copied()).collect();
        let shares = split(spare, holes.len(), rng);
        let mut fillings = Vec::with_capacity(holes.len());
        for ((sort, sides), share) in holes.into_iter().zip(shares) {
            let least = self.smallest(sort, sides).expect("the rule was chosen because its holes can be filled");
            fillings.push(self.sample(sort, sides, least + share, rng));
        }
        rule.fill(&mut fillings.into_iter())
    }

    /// A random loss of at most `budget` words.
    pub fn sample_loss(&self, budget: usize, rng: &mut impl Rng) -> Formula {
        self.sample(self.start, Sides::BOTH, budget.min(self.max_size), rng)
    }

    /// A tree of the same sort with `inner` as an argument of a new word, its other holes filled by small trees; `None`
    /// if no rule of the sort has a hole of that sort.
    pub fn wrap(&self, sort: SortId, inner: &Formula, rng: &mut impl Rng) -> Option<Formula> {
        let around = |rule: &&Rule| rule.pattern.words() > 0 && rule.pattern.holes().any(|hole| hole == sort);
        let open: Vec<&Rule> = self.rules_of(sort).filter(around).collect();
        let rule = open.get(rng.random_range(0..open.len().max(1)))?;
        let holes: Vec<SortId> = rule.pattern.holes().collect();
        let same: Vec<usize> = (0..holes.len()).filter(|i| holes[*i] == sort).collect();
        let chosen = same[rng.random_range(0..same.len())];
        let mut fillings = Vec::with_capacity(holes.len());
        for (i, hole) in holes.iter().enumerate() {
            let spare = rng.random_range(0..3);
            let least = self.smallest(*hole, Sides::NONE).expect("every sort of a loaded grammar has a tree");
            fillings.push(if i == chosen {
                inner.clone()
            } else {
                self.sample(*hole, Sides::NONE, least + spare, rng)
            });
        }
        Some(rule.fill(&mut fillings.into_iter()))
    }

    /// A rule and a way to satisfy it, by weight.
    fn choose(&self, sort: SortId, need: Sides, budget: usize, rng: &mut impl Rng) -> (&Rule, &[Sides]) {
        let fits = |rule: &Rule, way: &Vec<Sides>| rule.size(way, &self.smallest).is_some_and(|size| size <= budget);
        let mut open: Vec<(&Rule, &[Sides], f64)> = Vec::new();
        for rule in self.rules_of(sort) {
            let ways: Vec<&Vec<Sides>> = rule.demands[need.index()].iter().filter(|way| fits(rule, way)).collect();
            open.extend(ways.iter().map(|way| (rule, way.as_slice(), rule.weight / ways.len() as f64)));
        }
        let total: f64 = open.iter().map(|(_, _, weight)| weight).sum();
        let mut ticket = rng.random::<f64>() * total;
        let chosen = open.iter().find(|(_, _, weight)| {
            ticket -= weight;
            ticket < 0.0
        });
        let (rule, way, _) = chosen.or(open.last()).expect("the smallest tree always fits");
        (rule, way)
    }
}

impl Rule {
    /// The pattern with its holes filled in order.
    pub(super) fn fill(&self, fillings: &mut impl Iterator<Item = Formula>) -> Formula {
        self.fill_at(0, fillings)
    }

    fn fill_at(&self, at: usize, fillings: &mut impl Iterator<Item = Formula>) -> Formula {
        match self.pattern.pieces[at] {
            Piece::Hole(_) => fillings.next().expect("as many fillings as holes"),
            Piece::Literal(value) => Formula::number(value),
            Piece::Word(word) if word.word().arity() == 0 => Formula::leaf(word, word.value()),
            Piece::Word(word) => {
                let arguments: Vec<Formula> =
                    self.pattern.arguments(at).into_iter().map(|argument| self.fill_at(argument, fillings)).collect();
                Formula::node(word, &arguments)
            }
        }
    }
}

/// A number between `low` and `high`, log-uniform, with two significant digits: formulas are for people, too.
pub(super) fn log_uniform(low: f64, high: f64, rng: &mut impl Rng) -> f64 {
    let drawn = (low.ln() + rng.random::<f64>() * (high / low).ln()).exp();
    two_digits(drawn).clamp(low, high)
}

/// The nearest number with two significant digits.
pub(crate) fn two_digits(value: f64) -> f64 {
    format!("{value:.1e}").parse().unwrap_or(value)
}

/// A random split of `spare` into `parts` numbers with at most that sum.
fn split(spare: usize, parts: usize, rng: &mut impl Rng) -> Vec<usize> {
    // Cut points are sorted, so no part is favoured.
    let mut cuts: Vec<usize> = (0..parts).map(|_| rng.random_range(0..=spare)).collect();
    cuts.sort_unstable();
    let mut last = 0;
    cuts.iter().map(|cut| cut - std::mem::replace(&mut last, *cut)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, stream};

    #[test]
    fn every_random_loss_is_in_the_language_and_within_its_budget() {
        let grammar = Grammar::polarity();
        for slot in 0..2000 {
            let mut rng = stream(1, Purpose::Birth, 0, slot);
            let budget = 2 + (slot as usize % 29);
            let loss = grammar.sample_loss(budget, &mut rng);
            assert!(loss.size() <= budget, "{loss} has more than {budget} words");
            assert_eq!(loss.cover(), Some(Sides::BOTH), "{loss}");
            assert!(grammar.derive(&loss).is_some(), "{loss}");
            assert_eq!(loss.to_string().parse::<Formula>().unwrap(), loss);
        }
    }

    #[test]
    fn random_losses_differ() {
        let grammar = Grammar::polarity();
        let draw = |slot| grammar.sample_loss(20, &mut stream(2, Purpose::Birth, 0, slot)).canonical().to_string();
        let distinct: std::collections::BTreeSet<String> = (0..500).map(draw).collect();
        assert!(distinct.len() > 300, "only {} of 500 differ", distinct.len());
    }
}
