//! Small edits: a formula in, another of the same language out, or nothing if the edit leads out of it.
//!
//! Rates follow what the large hyper-parameter searches of symbolic regression ended at: little crossover, mostly edits
//! of one word or one constant.

use rand::{Rng, RngExt};
use rand_distr::StandardNormal;

use super::individual::Origin;
use crate::formula::Formula;
use crate::formula::word::WordId;
use crate::formula::word::names;
use crate::grammar::{Derivation, Grammar, Kind, Site, two_digits};

type Edit = fn(&Formula, &Derivation, &Grammar, &mut dyn Rng) -> Option<Formula>;

/// The edits and how often each is tried.
#[rustfmt::skip]
const EDITS: [(Origin, f64, Edit); 5] = [
    (Origin::Point,    3.0, point),
    (Origin::Constant, 3.0, constant),
    (Origin::Wrap,     2.0, wrap),
    (Origin::Hoist,    1.0, hoist),
    (Origin::Regrow,   1.0, regrow),
];

/// Standard deviation of a constant's step, in units of its natural logarithm.
const CONSTANT_STEP: f64 = 0.3;

/// One random edit; `None` if it does not apply or leads out of the language.
pub(super) fn mutate(parent: &Formula, grammar: &Grammar, rng: &mut impl Rng) -> Option<(Formula, Origin)> {
    let derivation = grammar.derive(parent)?;
    let mut ticket = rng.random::<f64>() * EDITS.iter().map(|(_, weight, _)| weight).sum::<f64>();
    let (origin, _, edit) = EDITS.iter().find(|(_, weight, _)| {
        ticket -= weight;
        ticket < 0.0
    })?;
    let child = edit(parent, &derivation, grammar, rng)?;
    (child != *parent && grammar.check_loss(&child).is_ok()).then(|| (child, origin.clone()))
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
    let ranged = |site: &Site| match grammar.sorts[site.sort].kind {
        Kind::Constant { low, high } => Some((site.node, low, high)),
        Kind::Tree => None,
    };
    let constants: Vec<(usize, f64, f64)> = derivation.sites.iter().filter_map(ranged).collect();
    let (node, low, high) = *constants.get(rng.random_range(0..constants.len().max(1)))?;
    let step: f64 = rng.sample(StandardNormal);
    let value = two_digits(parent.genes()[node].value * (CONSTANT_STEP * step).exp()).clamp(low, high);
    Some(parent.with_constant(node, value))
}

/// A subtree becomes an argument of a new word.
fn wrap(parent: &Formula, derivation: &Derivation, grammar: &Grammar, mut rng: &mut dyn Rng) -> Option<Formula> {
    let site = any(&derivation.sites, rng)?;
    let graft = grammar.wrap(site.sort, &parent.subtree(site.node), &mut rng)?;
    Some(parent.replace(site.node, &graft))
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
            let Some((child, origin)) = mutate(&parent, &grammar, &mut rng) else { continue };
            grammar.check_loss(&child).unwrap();
            if !seen.contains(&origin) {
                seen.push(origin);
            }
            parent = child;
        }
        assert_eq!(seen.len(), EDITS.len(), "only {seen:?}");
    }
}
