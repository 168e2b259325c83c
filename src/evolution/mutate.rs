//! Small edits: a formula in, another of the same language out, or nothing if the edit leads out of it.
//!
//! How often each is tried stands in the table of settings ([`Rates`]).

use rand::{Rng, RngExt};
use rand_distr::StandardNormal;

use super::config::Rates;
use super::individual::Origin;
use crate::formula::Formula;
use crate::formula::word::{Sides, WordId, names};
use crate::grammar::{Derivation, Grammar, Kind, Site, two_digits};

/// Where the rate of an edit stands.
type Rate = fn(&Rates) -> f64;
type Edit = fn(&Formula, &Derivation, &Grammar, &mut dyn Rng) -> Option<Formula>;

/// The edits and their rates.
#[rustfmt::skip]
const EDITS: [(Origin, Rate, Edit); 8] = [
    (Origin::Point,    |rates| rates.point,    point),
    (Origin::Constant, |rates| rates.constant, constant),
    (Origin::Wrap,     |rates| rates.wrap,     wrap),
    (Origin::Unwrap,   |rates| rates.unwrap,   unwrap),
    (Origin::Insert,   |rates| rates.insert,   insert),
    (Origin::Delete,   |rates| rates.delete,   delete),
    (Origin::Regrow,   |rates| rates.regrow,   regrow),
    (Origin::Hoist,    |rates| rates.hoist,    hoist),
];

/// Standard deviation of a constant's step, in units of its natural logarithm.
pub(super) const CONSTANT_STEP: f64 = 0.3;

/// One of the edits, by lot.
pub(super) fn choose(rates: &Rates, rng: &mut impl Rng) -> Origin {
    let mut ticket = rng.random::<f64>() * EDITS.iter().map(|(_, rate, _)| rate(rates)).sum::<f64>();
    let chosen = EDITS.iter().find(|(_, rate, _)| {
        ticket -= rate(rates);
        ticket < 0.0
    });
    chosen.map_or(Origin::Constant, |(origin, _, _)| origin.clone())
}

/// The child that an edit makes; `None` if it does not apply or leads out of the language.
pub(super) fn mutate(parent: &Formula, edit: &Origin, grammar: &Grammar, rng: &mut impl Rng) -> Option<Formula> {
    let derivation = grammar.derive(parent)?;
    let (_, _, edit) = EDITS.iter().find(|(origin, _, _)| origin == edit)?;
    let child = edit(parent, &derivation, grammar, rng)?;
    (child != *parent && grammar.check_loss(&child).is_ok()).then_some(child)
}

/// Another word with as many arguments.
fn point(parent: &Formula, _: &Derivation, _: &Grammar, rng: &mut dyn Rng) -> Option<Formula> {
    let node = rng.random_range(0..parent.size());
    let old = parent.genes()[node].word;
    if old.word().is_constant() {
        return None;
    }
    let fits = |word: &WordId| *word != old && word.word().arity() == old.word().arity() && !word.word().is_constant();
    let others: Vec<WordId> = names().filter_map(WordId::of).filter(fits).collect();
    let word = others[rng.random_range(0..others.len())];
    let arguments: Vec<Formula> = parent.arguments(node).map(|argument| parent.subtree(argument)).collect();
    let graft = if arguments.is_empty() { Formula::leaf(word, word.value()) } else { Formula::node(word, &arguments) };
    Some(parent.replace(node, &graft))
}

/// A step in logarithmic space, kept in the range of the constant's sort.
fn constant(parent: &Formula, derivation: &Derivation, grammar: &Grammar, rng: &mut dyn Rng) -> Option<Formula> {
    let constants = constants(derivation, grammar);
    let (node, low, high) = *constants.get(rng.random_range(0..constants.len().max(1)))?;
    let step: f64 = rng.sample(StandardNormal);
    let value = two_digits(parent.genes()[node].value * (CONSTANT_STEP * step).exp()).clamp(low, high);
    Some(parent.with_constant(node, value))
}

/// The constants of a formula that may move: node, least and largest value.
pub(super) fn constants(derivation: &Derivation, grammar: &Grammar) -> Vec<(usize, f64, f64)> {
    let ranged = |site: &Site| match grammar.sorts[site.sort].kind {
        Kind::Constant { low, high } => Some((site.node, low, high)),
        Kind::Tree => None,
    };
    derivation.sites.iter().filter_map(ranged).collect()
}

/// A subtree becomes an argument of a new word.
fn wrap(parent: &Formula, derivation: &Derivation, grammar: &Grammar, mut rng: &mut dyn Rng) -> Option<Formula> {
    let site = any(&derivation.sites, rng)?;
    let graft = grammar.wrap(site.sort, &parent.subtree(site.node), &mut rng)?;
    Some(parent.replace(site.node, &graft))
}

/// A word gives way to one of its arguments, of the same sort.
fn unwrap(parent: &Formula, derivation: &Derivation, _: &Grammar, rng: &mut dyn Rng) -> Option<Formula> {
    let site = any(&derivation.sites, rng)?;
    let below = |argument: &usize| derivation.sites.iter().any(|at| at.node == *argument && at.sort == site.sort);
    let arguments: Vec<usize> = parent.arguments(site.node).filter(below).collect();
    let argument = arguments.get(rng.random_range(0..arguments.len().max(1)))?;
    Some(parent.replace(site.node, &parent.subtree(*argument)))
}

/// A random term stands beside a subtree.
fn insert(parent: &Formula, derivation: &Derivation, grammar: &Grammar, mut rng: &mut dyn Rng) -> Option<Formula> {
    let site = any(&derivation.sites, rng)?;
    if matches!(grammar.sorts[site.sort].kind, Kind::Constant { .. }) {
        return None;
    }
    let least = grammar.smallest(site.sort, Sides::NONE)?;
    let term = grammar.sample(site.sort, Sides::NONE, least + rng.random_range(0..5), &mut rng);
    let word = WordId::of("+")?;
    Some(parent.replace(site.node, &Formula::node(word, &[parent.subtree(site.node), term])))
}

/// A term of a sum, a factor of a product or one of two maxima is left out.
fn delete(parent: &Formula, _: &Derivation, _: &Grammar, rng: &mut dyn Rng) -> Option<Formula> {
    let removals = removals(parent);
    Some(removals.get(rng.random_range(0..removals.len().max(1)))?.1.clone())
}

/// Every term, factor or maximum, and the formula without it.
pub(super) fn removals(formula: &Formula) -> Vec<(Formula, Formula)> {
    let joins = |node: &usize| matches!(formula.genes()[*node].word.word().name, "+" | "*" | "max");
    let mut found = Vec::new();
    for node in (0..formula.size()).filter(joins) {
        let arguments: Vec<Formula> = formula.arguments(node).map(|argument| formula.subtree(argument)).collect();
        if let [first, second] = arguments.as_slice() {
            found.push((first.clone(), formula.replace(node, second)));
            found.push((second.clone(), formula.replace(node, first)));
        }
    }
    found
}

/// A subtree gives way to a part of itself.
fn hoist(parent: &Formula, derivation: &Derivation, _: &Grammar, rng: &mut dyn Rng) -> Option<Formula> {
    let site = any(&derivation.sites, rng)?;
    let inside = parent.span(site.node);
    let below: Vec<Site> = derivation
        .sites
        .iter()
        .filter(|below| below.node != site.node && below.sort == site.sort && inside.contains(&below.node))
        .copied()
        .collect();
    Some(parent.replace(site.node, &parent.subtree(any(&below, rng)?.node)))
}

/// A subtree gives way to a random one of about its size.
fn regrow(parent: &Formula, derivation: &Derivation, grammar: &Grammar, mut rng: &mut dyn Rng) -> Option<Formula> {
    let site = any(&derivation.sites, rng)?;
    let old = parent.subtree(site.node);
    let budget = old.size() + rng.random_range(0..5);
    let graft = grammar.sample(site.sort, old.cover().unwrap_or_default(), budget, &mut rng);
    Some(parent.replace(site.node, &graft))
}

fn any(sites: &[Site], rng: &mut dyn Rng) -> Option<Site> {
    (!sites.is_empty()).then(|| sites[rng.random_range(0..sites.len())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, stream};

    #[test]
    fn children_stay_in_the_language_and_every_edit_happens() {
        let grammar = Grammar::polarity();
        let mut seen: Vec<Origin> = Vec::new();
        let mut parent: Formula = "(ratio (+ (sum tp) 1e-5) (* 0.5 (sum abs_diff)))".parse().unwrap();
        for slot in 0..3000 {
            let mut rng = stream(3, Purpose::Breeding, 0, slot);
            let origin = choose(&Rates::default(), &mut rng);
            let Some(child) = mutate(&parent, &origin, &grammar, &mut rng) else { continue };
            grammar.check_loss(&child).unwrap();
            if !seen.contains(&origin) {
                seen.push(origin);
            }
            parent = child;
        }
        assert_eq!(seen.len(), EDITS.len(), "only {seen:?}");
        // An edit that is never asked for never happens.
        let rates = Rates { hoist: 1.0, ..Rates::NONE };
        assert!((0..50).all(|slot| choose(&rates, &mut stream(3, Purpose::Breeding, 1, slot)) == Origin::Hoist));
    }

    #[test]
    fn every_term_is_left_out_once() {
        let formula: Formula = "(+ (mean abs_diff) (* 0.5 (mean ce_fg)))".parse().unwrap();
        let without: Vec<String> = removals(&formula).iter().map(|(_, rest)| rest.to_string()).collect();
        let wanted = ["(* 0.5 (mean ce_fg))", "(mean abs_diff)"];
        assert_eq!(without[..2], wanted);
        assert_eq!(without[2..], ["(+ (mean abs_diff) (mean ce_fg))", "(+ (mean abs_diff) 0.5)"]);
    }
}
