//! Who breeds and who stays: an order that no tie leaves to chance, and tournaments of three kinds.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use rand::{Rng, RngExt};

use super::config::SearchConfig;
use super::individual::Individual;
use super::pareto;
use super::shrinkage::Shrinkage;
use crate::stats::summary::mean;

/// Better first: whoever came higher, then the shrunk lead less a toll per word, then the smaller, then the older. A total
/// order, so that no tie is left to chance; failures come last.
pub(super) fn better_first(a: &Individual, b: &Individual, shrinkage: &Shrinkage, toll_per_word: f64) -> Ordering {
    let failed = |one: &Individual| one.outcome.score().is_none();
    let worth = |one: &Individual| shrinkage.shrunk(one) - toll_per_word * one.formula.size() as f64;
    let rung = failed(a).cmp(&failed(b)).then(a.part.cmp(&b.part));
    rung.then(worth(b).total_cmp(&worth(a))).then(a.formula.size().cmp(&b.formula.size())).then(a.id.cmp(&b.id))
}

/// Where everybody stands, 0 being best, by three measures.
pub(super) struct Standing {
    worth: Vec<usize>,
    front: Vec<usize>,
    novelty: Vec<usize>,
}

impl Standing {
    /// Of the living. `everybody` was ever trained: they say which sizes are frequent; `loneliness` is the distance of each
    /// of the living to the next one alike.
    pub(super) fn of<'a>(
        living: &[Individual],
        everybody: impl Iterator<Item = &'a Individual> + Clone,
        loneliness: &[f64],
        config: &SearchConfig,
    ) -> Self {
        let shrinkage = Shrinkage::of(everybody.clone());
        let crowd = frequencies(everybody.map(|one| one.formula.size()));
        let cost = |one: &Individual| {
            let size = one.formula.size();
            config.toll_per_word * size as f64 + config.crowding * crowd.get(&size).copied().unwrap_or(0.0)
        };
        let worth: Vec<f64> = living.iter().map(|one| shrinkage.shrunk(one) - cost(one)).collect();
        let failed = |at: usize| living[at].outcome.score().is_none();
        let sorted = |mut places: Vec<usize>, order: &dyn Fn(usize, usize) -> Ordering| {
            places.sort_by(|a, b| order(*a, *b).then(living[*a].id.cmp(&living[*b].id)));
            ranks(&places)
        };
        let all = || (0..living.len()).collect::<Vec<_>>();
        let by_worth = |a: usize, b: usize| {
            let rung = failed(a).cmp(&failed(b)).then(living[a].part.cmp(&living[b].part));
            rung.then(worth[b].total_cmp(&worth[a]))
        };
        let by_novelty = |a: usize, b: usize| failed(a).cmp(&failed(b)).then(loneliness[b].total_cmp(&loneliness[a]));
        Self {
            worth: sorted(all(), &by_worth),
            front: ranks(&pareto::order(living)),
            novelty: sorted(all(), &by_novelty),
        }
    }

    /// The best of some places.
    ///
    /// # Panics
    /// If there are none.
    pub(super) fn best(&self, places: &[usize]) -> usize {
        *places.iter().min_by_key(|place| self.worth[**place]).expect("somebody lives on every island")
    }

    /// The winner of a tournament among some places, drawn with replacement.
    ///
    /// # Panics
    /// If there are none.
    pub(super) fn tournament(&self, places: &[usize], config: &SearchConfig, rng: &mut impl Rng) -> usize {
        let lot = rng.random::<f64>();
        let ranks = if lot < config.by_front {
            &self.front
        } else if lot < config.by_front + config.by_novelty {
            &self.novelty
        } else {
            &self.worth
        };
        let size = config.tournament.max(1);
        let mut drawn: Vec<usize> = (0..size).map(|_| places[rng.random_range(0..places.len())]).collect();
        drawn.sort_by_key(|place| ranks[*place]);
        let winner = (0..size - 1).find(|_| rng.random::<f64>() < config.certainty).unwrap_or(size - 1);
        drawn[winner]
    }
}

/// The rank of every place, from the places in order.
fn ranks(order: &[usize]) -> Vec<usize> {
    let mut ranks = vec![0; order.len()];
    for (rank, place) in order.iter().enumerate() {
        ranks[*place] = rank;
    }
    ranks
}

/// How frequent each size is, as a multiple of an even spread over all sizes that occur (the adaptive parsimony of
/// `SymbolicRegression.jl`, Cranmer 2023).
fn frequencies(sizes: impl Iterator<Item = usize>) -> BTreeMap<usize, f64> {
    let mut counts: BTreeMap<usize, f64> = BTreeMap::new();
    for size in sizes {
        *counts.entry(size).or_default() += 1.0;
    }
    let even = mean(&counts.values().copied().collect::<Vec<_>>());
    counts.into_iter().map(|(size, count)| (size, count / even)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, stream};

    #[test]
    fn frequent_sizes_cost_more() {
        let crowd = frequencies([3, 3, 3, 5].into_iter());
        assert_eq!((crowd[&3], crowd[&5]), (1.5, 0.5));
        assert!(frequencies(std::iter::empty()).is_empty());
    }

    #[test]
    fn the_best_of_a_tournament_wins_nearly_always() {
        let standing = Standing { worth: vec![2, 0, 1], front: vec![0; 3], novelty: vec![0; 3] };
        let config = SearchConfig { by_front: 0.0, by_novelty: 0.0, ..SearchConfig::default() };
        let mut wins = [0; 3];
        for slot in 0..2000 {
            wins[standing.tournament(&[0, 1, 2], &config, &mut stream(1, Purpose::Breeding, 0, slot))] += 1;
        }
        // Four draws hold the best with probability 1 - (2/3)^4 = 0.80, and nine times in ten it wins.
        assert!(wins[1] > 1300 && wins[1] > wins[2] && wins[2] > wins[0] && wins[0] > 0, "{wins:?}");
        assert_eq!(standing.best(&[0, 2]), 2);
    }
}
