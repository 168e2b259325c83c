//! How many trees there are of every size, and one of them by lot, each with the same chance.
//!
//! A tree counts once for every way in which the rules build it, which in the built-in grammars is one way for nearly all;
//! operands in another order are another tree, and all values of a constant are one. Numbers of trees outgrow 64 bits
//! before formulas outgrow a line, so they are floating-point numbers, exact up to 2^53 and good to 15 digits beyond.

use rand::{Rng, RngExt};

use super::{Grammar, Kind, Rule, SortId};
use crate::formula::Formula;
use crate::formula::word::Sides;

/// What a part speaks about; `None` if it says nothing about the prediction.
type Spoken = Option<Sides>;

/// In the order of the places of a count.
const SPOKEN: [Spoken; 4] = [None, Some(Sides::FOREGROUND), Some(Sides::BACKGROUND), Some(Sides::BOTH)];

/// The numbers of trees of a grammar.
#[derive(Debug, Clone)]
pub struct Census<'a> {
    grammar: &'a Grammar,
    /// `[size][sort][what it speaks about]`.
    counts: Vec<Vec<[f64; 4]>>,
    /// For each rule, how its holes may speak and what the whole then speaks about.
    ways: Vec<Vec<Way>>,
    /// Rules in an order in which those without words of their own come after all rules of their hole's sort.
    order: Vec<usize>,
}

#[derive(Debug, Clone)]
struct Way {
    holes: Vec<usize>,
    whole: usize,
}

/// A hole: the size of what fills it, its sort, what it speaks about.
type Hole = (usize, SortId, usize);

impl<'a> Census<'a> {
    /// Counts the trees of up to `largest` words.
    pub fn new(grammar: &'a Grammar, largest: usize) -> Self {
        let ways = grammar.rules.iter().map(|rule| ways(grammar, rule)).collect();
        let mut census =
            Self { grammar, counts: Vec::new(), ways, order: grammar.bottom_up().expect("a grammar without circles") };
        for size in 0..=largest {
            census.counts.push(vec![[0.0; 4]; grammar.sorts.len()]);
            if size == 1 {
                let constants = grammar.sorts.iter().enumerate().filter(|(_, sort)| sort.kind != Kind::Tree);
                constants.for_each(|(sort, _)| census.counts[1][sort][0] = 1.0);
            }
            for at in 0..census.order.len() {
                let rule = census.order[at];
                for (way, more) in census.of_rule(rule, size) {
                    let whole = census.ways[rule][way].whole;
                    census.counts[size][grammar.rules[rule].gives][whole] += more;
                }
            }
        }
        census
    }

    /// How many losses there are of a size.
    pub fn losses(&self, size: usize) -> f64 {
        self.counts.get(size).map_or(0.0, |counts| self.wholes().map(|cover| counts[self.grammar.start][cover]).sum())
    }

    /// A loss of exactly this size, each with the same chance and constants drawn log-uniformly; `None` if there is none.
    pub fn draw(&self, size: usize, rng: &mut impl Rng) -> Option<Formula> {
        let counts = self.counts.get(size)?;
        let covers: Vec<(usize, f64)> = self.wholes().map(|cover| (cover, counts[self.grammar.start][cover])).collect();
        let cover = by_lot(covers, rng)?;
        Some(self.tree((size, self.grammar.start, cover), rng))
    }

    /// What whole losses may speak about.
    fn wholes(&self) -> impl Iterator<Item = usize> + '_ {
        (0..4).filter(|cover| self.grammar.accepts(SPOKEN[*cover]))
    }

    /// Numbers of trees of a rule and a size, by way.
    fn of_rule(&self, rule: usize, size: usize) -> Vec<(usize, f64)> {
        let Some(left) = size.checked_sub(self.grammar.rules[rule].words()) else { return Vec::new() };
        let sorts: Vec<SortId> = self.grammar.rules[rule].holes().collect();
        let count = |way: &Way| self.fillings(&sorts, &way.holes, left);
        self.ways[rule].iter().map(count).enumerate().filter(|(_, count)| *count > 0.0).collect()
    }

    /// In how many ways holes can be filled with `left` words.
    fn fillings(&self, sorts: &[SortId], covers: &[usize], left: usize) -> f64 {
        let Some((sort, sorts)) = sorts.split_first() else { return f64::from(u8::from(left == 0)) };
        let of = |size: usize| {
            let own = self.counts.get(size).map_or(0.0, |counts| counts[*sort][covers[0]]);
            if own > 0.0 { own * self.fillings(sorts, &covers[1..], left - size) } else { 0.0 }
        };
        sizes(sorts.len(), left).map(of).sum()
    }

    fn tree(&self, (size, sort, cover): Hole, rng: &mut impl Rng) -> Formula {
        if let Kind::Constant { low, high } = self.grammar.sorts[sort].kind {
            return Formula::number(super::sample::log_uniform(low, high, rng));
        }
        let mut open = Vec::new();
        for (number, rule) in self.grammar.rules.iter().enumerate().filter(|(_, rule)| rule.gives == sort) {
            let fits = self.of_rule(number, size).into_iter().filter(|(way, _)| self.ways[number][*way].whole == cover);
            open.extend(fits.map(|(way, count)| ((rule, &self.ways[number][way]), count)));
        }
        let (rule, way) = by_lot(open, rng).expect("a tree was counted only where a rule builds it");
        let sorts: Vec<SortId> = rule.holes().collect();
        let mut left = size - rule.words();
        let mut fillings = Vec::with_capacity(sorts.len());
        for (at, sort) in sorts.iter().enumerate() {
            let (rest, covers) = (&sorts[at + 1..], &way.holes[at + 1..]);
            let of = |own: usize| {
                let count = self.counts[own][*sort][way.holes[at]];
                (own, if count > 0.0 { count * self.fillings(rest, covers, left - own) } else { 0.0 })
            };
            let own = by_lot(sizes(rest.len(), left).map(of).collect(), rng).expect("the way was counted");
            left -= own;
            fillings.push(self.tree((own, *sort, way.holes[at]), rng));
        }
        rule.fill(&mut fillings.into_iter())
    }
}

/// How the holes of a rule may speak: all combinations that leave no part of the form silent.
fn ways(grammar: &Grammar, rule: &Rule) -> Vec<Way> {
    let holes = rule.holes().count();
    let all = (0..4usize.pow(holes as u32)).map(|number| (0..holes).map(|at| number >> (2 * at) & 3).collect());
    let whole = |holes: Vec<usize>| {
        let spoken = grammar.coverage(rule, holes.iter().map(|cover| SPOKEN[*cover]).collect()).ok()?;
        let whole = SPOKEN.iter().position(|known| *known == spoken)?;
        Some(Way { holes, whole })
    };
    all.filter_map(whole).collect()
}

/// The sizes of a hole before `others` more, among which `left` words are shared.
fn sizes(others: usize, left: usize) -> std::ops::RangeInclusive<usize> {
    if others == 0 { left..=left } else { 1..=left.saturating_sub(others) }
}

/// One of several, each with a chance in proportion to its number; `None` if all are 0.
fn by_lot<T>(from: Vec<(T, f64)>, rng: &mut impl Rng) -> Option<T> {
    let total: f64 = from.iter().map(|(_, count)| count).sum();
    let mut ticket = rng.random::<f64>() * total;
    let mut chosen = None;
    for (one, count) in from.into_iter().filter(|(_, count)| *count > 0.0) {
        ticket -= count;
        chosen = Some(one);
        if ticket < 0.0 {
            break;
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::rng::{Purpose, stream};

    /// Two ends and a sum: one loss of 3 words, 4 of 5, 16 of 7 ... times what the coverage forbids.
    const SMALL: &str = "(version: 1, name: \"small\", start: \"loss\", max_size: 20,
        sorts: {\"loss\": Tree, \"map\": Tree, \"weight\": Constant(low: 1.0, high: 2.0)}, rules: [
        (gives: \"loss\", form: \"(mean map)\"), (gives: \"map\", form: \"fp\"), (gives: \"map\", form: \"fn\"),
        (gives: \"map\", form: \"(+ map map)\"), (gives: \"map\", form: \"(* weight map)\"),
    ])";

    #[test]
    fn small_numbers_are_counted_by_hand() {
        let grammar = Grammar::from_text("small.ron", SMALL).unwrap();
        let census = Census::new(&grammar, 8);
        // (mean (+ fp fn)) and (mean (+ fn fp)); with a weight at three places.
        let counts: Vec<f64> = (0..=6).map(|size| census.losses(size)).collect();
        assert_eq!(counts, [0.0, 0.0, 0.0, 0.0, 2.0, 0.0, 2.0 * 3.0 + 2.0 * 6.0]);
    }

    #[test]
    fn numbers_of_the_reference_grammar() {
        let grammar = Grammar::from_text("reference.ron", include_str!("../../tests/reference.ron")).unwrap();
        let census = Census::new(&grammar, 12);
        assert_eq!([2, 4, 6, 8].map(|size| census.losses(size)), [1.0, 40.0, 1548.0, 61_291.0]);
    }

    #[test]
    fn every_loss_of_a_size_has_the_same_chance() {
        let grammar = Grammar::from_text("small.ron", SMALL).unwrap();
        let census = Census::new(&grammar, 6);
        let mut found: BTreeMap<String, usize> = BTreeMap::new();
        for slot in 0..18_000 {
            let loss = census.draw(6, &mut stream(7, Purpose::Birth, 0, slot)).unwrap();
            assert_eq!(loss.size(), 6);
            grammar.check_loss(&loss).unwrap();
            let words: Vec<&str> = loss.genes().iter().map(|gene| gene.word.word().name).collect();
            *found.entry(words.join(" ")).or_default() += 1;
        }
        // Eighteen losses, a thousand times each, give or take five standard deviations.
        assert!(found.len() == 18 && found.values().all(|count| count.abs_diff(1000) < 160), "{found:?}");
        assert!(census.draw(5, &mut stream(7, Purpose::Birth, 0, 0)).is_none());
    }

    #[test]
    fn losses_that_are_drawn_are_in_the_language() {
        for known in &super::super::BUILT_IN {
            let grammar = known.grammar();
            let census = Census::new(&grammar, 14);
            for slot in 0..300 {
                let Some(loss) = census.draw(2 + slot as usize % 13, &mut stream(8, Purpose::Birth, 0, slot)) else {
                    continue;
                };
                grammar.check_loss(&loss).unwrap_or_else(|fault| panic!("{loss}: {fault}"));
            }
        }
    }
}
