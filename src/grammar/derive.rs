//! Membership: how a formula arises from the rules, or where it leaves the language.

use std::collections::BTreeMap;

use super::pattern::Piece;
use super::{Grammar, Kind, SortId};
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
    /// With the first part that no rule builds, the side of the target that is not covered, or the size limit.
    pub fn check_loss(&self, formula: &Formula) -> Result<Derivation> {
        let outside = || {
            Fault::new(format!("formula is outside the language `{}`", self.name))
                .field(formula.to_string())
                .hint("`lossgen grammar show` tells the sorts of a language and prints some of its losses")
        };
        // First of all, so that no formula is too deep for the rest.
        if formula.size() > self.max_size {
            return Err(outside().expected(format!("at most {} words", self.max_size)).found(formula.size()));
        }
        let Some(derivation) = self.derive(formula) else {
            let (part, expected) = self.stranger(formula);
            return Err(outside().expected(expected).found(format!("`{part}`")));
        };
        let vanishes = |node: &usize| formula.subtree(*node).cover() == Some(Sides::NONE);
        if let Some(node) = (0..formula.size()).find(vanishes) {
            return Err(outside()
                .expected("no part that is always zero")
                .found(format!("`{}`", formula.subtree(node))));
        }
        match formula.cover() {
            Some(Sides::BOTH) => {}
            cover => {
                return Err(outside()
                    .expected("a loss that speaks about both sides of the target")
                    .found(cover.unwrap_or_default().name()));
            }
        }
        Ok(derivation)
    }

    /// The smallest part that is of no sort although all its arguments are, and what its place could hold.
    fn stranger(&self, formula: &Formula) -> (Formula, String) {
        let mut matcher = Matcher::new(self, formula);
        let known: Vec<bool> =
            (0..formula.size()).map(|node| (0..self.sorts.len()).any(|sort| matcher.fits(node, sort))).collect();
        let literals = |node: usize| formula.genes()[node].word == WordId::NUMBER;
        let node = (0..formula.size())
            .find(|node| !known[*node] && formula.arguments(*node).all(|a| known[a] || literals(a)))
            .unwrap_or(0);
        let forms = |sort: SortId| {
            let names: Vec<String> = self.rules_of(sort).map(|rule| self.form(rule)).collect();
            names.join(" or ")
        };
        (
            formula.subtree(node),
            if node == 0 || known[node] { forms(self.start) } else { "a form of some sort".to_string() },
        )
    }

    /// The text of a rule's form.
    fn form(&self, rule: &super::Rule) -> String {
        let pieces = &rule.pattern.pieces;
        let text = |piece: &Piece| match piece {
            Piece::Word(word) => word.word().name.to_string(),
            Piece::Literal(value) => value.to_string(),
            Piece::Hole(sort) => self.sorts[*sort].name.clone(),
        };
        let body: Vec<String> = pieces.iter().map(text).collect();
        if pieces.len() == 1 { format!("`{}`", body[0]) } else { format!("`({})`", body.join(" ")) }
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
    fn strangers_are_named() {
        let grammar = Grammar::polarity();
        let complaint = |text: &str| grammar.check_loss(&formula(text)).unwrap_err().to_string();
        assert!(
            complaint("(mean (* -1 fp))").contains("found:    `-1`")
                || complaint("(mean (* -1 fp))").contains("(* -1 fp)")
        );
        assert!(
            complaint("(+ (mean ce_fg) (mean tp))").contains("`(+ (mean ce_fg) (mean tp))`")
                || complaint("(+ (mean ce_fg) (mean tp))").contains("`(mean tp)`")
        );
        assert!(complaint("(mean ce_fg)").contains("the foreground only"));
        assert!(complaint("(ratio (+ (sum tp) (sum tn)) (sum (* fn fp)))").contains("`(sum (* fn fp))`"));
    }
}
