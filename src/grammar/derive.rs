//! Membership: how a formula arises from the rules, or where it leaves the language.

use std::collections::BTreeMap;

use super::pattern::{Pattern, Piece};
use super::{Coverage, Grammar, Kind, Rule, SortId};
use crate::fault::{Fault, Result};
use crate::formula::Formula;
use crate::formula::word::{Sides, WordId};

/// How a formula arises from the rules: every node at which some sort begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derivation {
    /// In prefix order.
    pub sites: Vec<Site>,
}

/// A node of a formula at which a tree of a sort stands: there the formula may be cut and another tree of the same sort
/// be put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Site {
    /// The node.
    pub node: usize,
    /// The sort of its subtree.
    pub sort: SortId,
}

impl Grammar {
    /// How the formula arises as a tree of the start sort; `None` if it does not. Size and coverage are not looked at.
    pub fn derive(&self, formula: &Formula) -> Option<Derivation> {
        let mut matcher = Matcher::new(self, formula);
        matcher.fits(0, self.start).then(|| {
            let mut sites = Vec::new();
            matcher.collect(0, self.start, &mut sites);
            sites.sort_by_key(|site| site.node);
            Derivation { sites }
        })
    }

    /// Whether a search may hold the formula.
    ///
    /// # Errors
    /// With the first part that no rule builds and what would fit in its place, the side of the target that is not
    /// covered, or the size limit.
    pub fn check_loss(&self, formula: &Formula) -> Result<Derivation> {
        let outside = |node: usize| {
            let text = formula.to_string();
            let fault = Fault::new(format!("formula is outside the language `{}`", self.name)).field(&text);
            fault.span("formula", &text, formula.bytes(node))
        };
        // First of all, so that no formula is too deep for the rest.
        if formula.size() > self.max_size {
            return Err(Fault::new(format!("formula is outside the language `{}`", self.name))
                .field("formula")
                .expected(format!("at most {} words", self.max_size))
                .found(formula.size())
                .hint("`max_size` in a grammar file says how large a formula may be"));
        }
        let Some(derivation) = self.derive(formula) else {
            let (node, sort) = self.stranger(formula);
            return Err(outside(node)
                .expected(format!("{}: {}", self.sorts[sort].name, self.forms(sort)))
                .found(self.described(formula, node))
                .hint("`lossgen grammar show` tells the sorts of a language and prints some of its losses"));
        };
        if self.coverage == Coverage::Free {
            return Ok(derivation);
        }
        let vanishes = |node: &usize| formula.subtree(*node).cover() == Some(Sides::NONE);
        if let Some(node) = (0..formula.size()).rev().find(vanishes) {
            return Err(outside(node)
                .expected("no part that is always zero")
                .found(format!("`{}`", formula.subtree(node)))
                .hint("a product of parts that speak about different sides of the target is zero everywhere"));
        }
        if !self.accepts(formula.cover()) {
            return Err(outside(0)
                .expected("a loss that speaks about both sides of the target")
                .found(formula.cover().unwrap_or_default().name())
                .hint("add a term for the other side, such as `fp` or `ce_bg` for the background"));
        }
        Ok(derivation)
    }

    /// The node at which a formula leaves the language, and the sort that its place asks for: from the root on, the rule
    /// that fits best is followed to its first hole that does not fit.
    fn stranger(&self, formula: &Formula) -> (usize, SortId) {
        let mut matcher = Matcher::new(self, formula);
        let (mut node, mut sort) = (0, self.start);
        loop {
            let rules = self.rules.iter().filter(|rule| rule.gives == sort);
            let placed =
                rules.flat_map(|rule| matcher.placed(rule, node)).filter(|holes| !holes.contains(&(node, sort)));
            // The share of holes that fit; among those that do not, numbers where numbers are asked for, and sorts in
            // which there is much to say; of equals the first.
            let is_number = |node: usize| formula.genes()[node].word == WordId::NUMBER;
            let fitting = |holes: &[(usize, SortId)], matcher: &mut Matcher<'_>| {
                let open: Vec<_> = holes.iter().filter(|(node, sort)| !matcher.fits(*node, *sort)).collect();
                let alike =
                    |(node, sort): &&&(usize, SortId)| is_number(*node) != (self.sorts[*sort].kind == Kind::Tree);
                let rules = open.iter().map(|(_, sort)| self.rules_of(*sort).count()).sum::<usize>();
                let fit = holes.len() - open.len();
                (1000 * fit / holes.len().max(1), open.iter().filter(alike).count(), rules)
            };
            let placed: Vec<_> = placed.collect();
            let best = placed.iter().rev().max_by_key(|holes| fitting(holes, &mut matcher));
            let next = best.and_then(|holes| holes.iter().find(|(node, sort)| !matcher.fits(*node, *sort)));
            match next {
                Some(hole) if *hole != (node, sort) => (node, sort) = *hole,
                _ => return (node, sort),
            }
        }
    }

    /// A part, and of what sorts it is.
    fn described(&self, formula: &Formula, node: usize) -> String {
        let mut matcher = Matcher::new(self, formula);
        let sorts = (0..self.sorts.len()).filter(|sort| matcher.fits(node, *sort));
        let names: Vec<&str> = sorts.map(|sort| self.sorts[sort].name.as_str()).collect();
        let part = formula.subtree(node);
        if names.is_empty() { format!("`{part}`") } else { format!("`{part}`, which is {}", names.join(" or ")) }
    }

    /// What a sort may be.
    fn forms(&self, sort: SortId) -> String {
        match self.sorts[sort].kind {
            Kind::Constant { low, high } => {
                let [low, high] = [low, high].map(Formula::number);
                format!("a number from {low} to {high}")
            }
            Kind::Tree => self.rules_of(sort).map(|rule| self.form(rule)).collect::<Vec<_>>().join(" or "),
        }
    }

    /// The text of a rule's form.
    fn form(&self, rule: &Rule) -> String {
        let text = |word: WordId, value: f64, below: Vec<String>| match below.is_empty() {
            true if word == WordId::NUMBER => Formula::number(value).to_string(),
            true => word.word().name.to_string(),
            false => format!("({} {})", word.word().name, below.join(" ")),
        };
        let holes = rule.holes().map(|sort| self.sorts[sort].name.clone()).collect();
        format!("`{}`", rule.fold(holes, text))
    }
}

/// Which sort fits where; every question is answered once.
struct Matcher<'a> {
    grammar: &'a Grammar,
    formula: &'a Formula,
    /// By node and sort: how the subtree fits, or that it does not.
    known: BTreeMap<(usize, SortId), Option<Fit>>,
}

/// What a subtree is, as a tree of a sort.
#[derive(Clone, Copy)]
enum Fit {
    Constant,
    Rule(usize),
}

impl<'a> Matcher<'a> {
    fn new(grammar: &'a Grammar, formula: &'a Formula) -> Self {
        Self { grammar, formula, known: BTreeMap::new() }
    }

    fn fits(&mut self, node: usize, sort: SortId) -> bool {
        self.fit(node, sort).is_some()
    }

    fn fit(&mut self, node: usize, sort: SortId) -> Option<Fit> {
        if let Some(answer) = self.known.get(&(node, sort)) {
            return *answer;
        }
        // A rule such as `schedule -> weight` asks the same node again; until it is answered, the answer is no.
        self.known.insert((node, sort), None);
        let answer = match self.grammar.sorts[sort].kind {
            Kind::Constant { low, high } => self
                .formula
                .subtree(node)
                .constant()
                .filter(|value| (low..=high).contains(value))
                .map(|_| Fit::Constant),
            Kind::Tree => (0..self.grammar.rules.len())
                .filter(|rule| self.grammar.rules[*rule].gives == sort)
                .find(|rule| self.holes(*rule, 0, node).is_some())
                .map(Fit::Rule),
        };
        self.known.insert((node, sort), answer);
        answer
    }

    /// Which holes stand where if the pattern of a rule from `at` on matches the subtree at `node`.
    fn holes(&mut self, rule: usize, at: usize, node: usize) -> Option<Vec<(usize, SortId)>> {
        let gene = self.formula.genes()[node];
        let pattern = &self.grammar.rules[rule].pattern;
        match pattern.pieces[at] {
            Piece::Hole(sort) => self.fits(node, sort).then(|| vec![(node, sort)]),
            Piece::Literal(value) => (gene.word == WordId::NUMBER && gene.value == value).then(Vec::new),
            Piece::Word(word) if gene.word != word => None,
            Piece::Word(word) => {
                let places = pattern.arguments(at);
                let mut nodes: Vec<usize> = self.formula.arguments(node).collect();
                self.all_holes(rule, &places, &nodes).or_else(|| {
                    nodes.reverse();
                    word.word().commutes().then(|| self.all_holes(rule, &places, &nodes)).flatten()
                })
            }
        }
    }

    /// Every way to lay the words of a rule over the subtree at `node`: where its holes come to stand, whether what
    /// stands there fits or not.
    fn placed(&self, rule: &Rule, node: usize) -> Vec<Vec<(usize, SortId)>> {
        self.laid(&rule.pattern, 0, node)
    }

    fn laid(&self, pattern: &Pattern, at: usize, node: usize) -> Vec<Vec<(usize, SortId)>> {
        let gene = self.formula.genes()[node];
        match pattern.pieces[at] {
            Piece::Hole(sort) => vec![vec![(node, sort)]],
            Piece::Literal(value) if gene.word == WordId::NUMBER && gene.value == value => vec![Vec::new()],
            Piece::Word(word) if gene.word == word => {
                let places = pattern.arguments(at);
                let nodes: Vec<usize> = self.formula.arguments(node).collect();
                let orders = if word.word().commutes() { 2 } else { 1 };
                let order =
                    |turned: usize| if turned == 1 { nodes.iter().rev().copied().collect() } else { nodes.clone() };
                (0..orders)
                    .flat_map(|turned| {
                        places.iter().zip(order(turned)).fold(vec![Vec::new()], |ways: Vec<Vec<_>>, (place, node)| {
                            let next = self.laid(pattern, *place, node);
                            ways.iter().flat_map(|way| next.iter().map(move |more| [&way[..], more].concat())).collect()
                        })
                    })
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    fn all_holes(&mut self, rule: usize, places: &[usize], nodes: &[usize]) -> Option<Vec<(usize, SortId)>> {
        let mut found = Vec::new();
        for (place, node) in places.iter().zip(nodes) {
            found.extend(self.holes(rule, *place, *node)?);
        }
        Some(found)
    }

    fn collect(&mut self, node: usize, sort: SortId, sites: &mut Vec<Site>) {
        sites.push(Site { node, sort });
        if let Some(Fit::Rule(rule)) = self.fit(node, sort) {
            for (node, sort) in self.holes(rule, 0, node).expect("the rule was found to fit") {
                self.collect(node, sort, sites);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::losses::catalog::{CATALOG, Entry};

    fn formula(text: &str) -> Formula {
        text.parse().unwrap()
    }

    #[test]
    fn every_loss_of_the_catalog_but_those_of_distances_and_volumes_is_in_the_language() {
        let grammar = Grammar::polarity();
        let outside = |entry: &&Entry| grammar.check_loss(&entry.formula().canonical()).is_err();
        let names: Vec<&str> = CATALOG.iter().filter(outside).map(|entry| entry.name).collect();
        assert_eq!(names, ["generalised_dice", "boundary", "hausdorff", "log_hausdorff"]);
    }

    #[test]
    fn sites_are_where_trees_of_a_sort_begin() {
        let grammar = Grammar::polarity();
        let loss = formula("(+ (mean (* (+ 2 (- 1 y)) fp)) (mean ce_fg))");
        let names: Vec<(usize, &str)> = grammar
            .derive(&loss)
            .unwrap()
            .sites
            .iter()
            .map(|site| (site.node, grammar.sorts[site.sort].name.as_str()))
            .collect();
        assert_eq!(
            names,
            [
                (0, "error"),
                (1, "error"),
                (2, "error_map"),
                (3, "emphasis"),
                (4, "weight"),
                (8, "error_map"),
                (9, "error"),
                (10, "error_map")
            ]
        );
    }

    #[test]
    fn strangers_are_named_with_what_would_fit() {
        let grammar = Grammar::polarity();
        let check = |text: &str| {
            let text = formula(text);
            let fault = grammar.check_loss(&text).unwrap_err();
            let marked = fault.location().map(|bytes| text.to_string()[bytes].to_string());
            (marked.unwrap_or_default(), fault.to_string())
        };
        let (marked, why) = check("(+ (mean ce_fg) (mean tp))");
        assert_eq!(marked, "tp");
        assert!(
            why.contains("found:    `tp`, which is overlap_map") && why.contains("error_map: `fp` or `fn`"),
            "{why}"
        );
        let (marked, why) = check("(mean (* 11 fp))");
        assert!(marked == "11" && why.contains("weight: a number from 0.1 to 10"), "{marked} {why}");
        let (marked, _) = check("(ratio (+ (sum tp) (sum tn)) (sum (* ce_fg (- y 0.5))))");
        assert_eq!(marked, "(- y 0.5)");
        let (marked, why) = check("(* (mean ce_fg) (log (mean fp)))");
        assert!(marked == "(log (mean fp))" && why.contains("`(log1p error)`"), "{marked} {why}");
        let (marked, why) = check("(ratio (+ (sum tp) (sum tn)) (sum (* fn fp)))");
        assert!(marked == "(* fn fp)" && why.contains("always zero"), "{marked} {why}");
        let (marked, why) = check("(mean ce_fg)");
        assert!(marked == "(mean ce_fg)" && why.contains("the foreground only"), "{marked} {why}");
    }
}
