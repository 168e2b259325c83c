//! The Pareto front of validation Dice against size: the losses that no smaller loss matches.

use super::individual::Individual;

/// The individuals that are better than every other of at most their size, smallest first. Failures are never on it.
pub(super) fn front(population: &[Individual]) -> Vec<&Individual> {
    let mut sorted: Vec<&Individual> = population.iter().filter(|i| i.outcome.score().is_some()).collect();
    sorted.sort_by(|a, b| {
        let dice = b.outcome.dice().total_cmp(&a.outcome.dice());
        a.formula.size().cmp(&b.formula.size()).then(dice).then(a.id.cmp(&b.id))
    });
    let mut best = f64::NEG_INFINITY;
    sorted.retain(|individual| {
        let rises = individual.outcome.dice() > best;
        best = best.max(individual.outcome.dice());
        rises
    });
    sorted
}
