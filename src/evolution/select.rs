//! Who breeds and who stays: leads shrunk by what noise makes of leads, and tournaments of three kinds.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use rand::{Rng, RngExt};

use super::config::SearchConfig;
use super::individual::Individual;
use super::pareto;
use crate::stats::summary::{mean, quantile, standard_deviation};

/// How far a lead is to be believed. Of many losses that are equally good, one looks best by luck; a mean over n replicates
/// is moved towards the middle of all, to `middle + n / (n + k) (mean - middle)`, with k the variance of noise over that of
/// quality, both estimated in the run (empirical Bayes: Efron and Morris 1975).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shrinkage {
    /// The middle of all that were trained to the end.
    pub middle: f64,
    /// Variance of noise over that of quality.
    pub k: f64,
    /// Standard deviation of one replicate's gain, if anybody had two.
    pub noise: Option<f64>,
}

/// How far k is believed.
const BELIEVED: (f64, f64) = (0.1, 10.0);

impl Shrinkage {
    /// From everybody who was trained to the end.
    pub fn of<'a>(individuals: impl Iterator<Item = &'a Individual>) -> Self {
        let through: Vec<&Individual> = individuals.filter(|individual| individual.is_through()).collect();
        let mut gains: Vec<f64> = through.iter().map(|individual| individual.gain()).collect();
        gains.sort_by(f64::total_cmp);
        if gains.is_empty() {
            return Self { middle: 0.0, k: 1.0, noise: None };
        }
        // Median and quartiles: a single loss that collapses must not make all others look alike.
        let middle = quantile(&gains, 0.5);
        let spread = (quantile(&gains, 0.75) - quantile(&gains, 0.25)) / 1.349;
        let (mut squares, mut freedom, mut replicates) = (0.0, 0usize, 0usize);
        for individual in &through {
            let own: Vec<f64> = individual.gains.iter().map(super::Gain::mean).collect();
            replicates += own.len();
            if own.len() > 1 {
                squares += (own.len() - 1) as f64 * standard_deviation(&own).powi(2);
                freedom += own.len() - 1;
            }
        }
        if freedom == 0 {
            return Self { middle, k: 1.0, noise: None };
        }
        let noise = squares / freedom as f64;
        let quality = spread.powi(2) - noise * through.len() as f64 / replicates as f64;
        let k = if quality > 0.0 { noise / quality } else { BELIEVED.1 };
        Self { middle, k: k.clamp(BELIEVED.0, BELIEVED.1), noise: Some(noise.sqrt()) }
    }

    /// What is to be believed of somebody's lead over the control; negative infinity of a failure.
    pub fn shrunk(&self, individual: &Individual) -> f64 {
        if !individual.is_through() {
            return individual.gain();
        }
        let n = individual.gains.len() as f64;
        self.middle + n / (n + self.k) * (individual.gain() - self.middle)
    }
}

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
    use super::super::fitness::{Gain, Outcome};
    use super::*;
    use crate::rng::{Purpose, stream};

    #[test]
    fn frequent_sizes_cost_more() {
        let crowd = frequencies([3, 3, 3, 5].into_iter());
        assert_eq!((crowd[&3], crowd[&5]), (1.5, 0.5));
        assert!(frequencies(std::iter::empty()).is_empty());
    }

    fn one(id: u64, gains: &[f64]) -> Individual {
        let gain = |dice: &f64| Gain { dice: vec![*dice], hd95_mm: 0.0 };
        Individual::with_gains(id, "(mean abs_diff)", gains.iter().map(gain).collect())
    }

    #[test]
    fn a_lead_of_one_training_is_believed_less_than_the_same_of_three() {
        // True gains have a standard deviation of 0.01, trainings one of 0.01: half of a single lead is luck.
        let mut rng = stream(5, Purpose::Trial, 0, 0);
        let mut deviate = || 0.01 * rng.sample::<f64, _>(rand_distr::StandardNormal);
        let mut all: Vec<Individual> = (0..400)
            .map(|id| {
                let truth = deviate();
                let gains: Vec<f64> = (0..if id < 100 { 3 } else { 1 }).map(|_| truth + deviate()).collect();
                one(id, &gains)
            })
            .collect();
        let shrinkage = Shrinkage::of(all.iter());
        assert!((shrinkage.noise.unwrap() - 0.01).abs() < 0.001 && (0.6..1.6).contains(&shrinkage.k), "{shrinkage:?}");
        let (lucky, proven) = (one(1000, &[0.03]), one(1001, &[0.025, 0.03, 0.02]));
        assert!(shrinkage.shrunk(&lucky) < 0.02 && shrinkage.shrunk(&proven) > shrinkage.shrunk(&lucky));
        assert_eq!(better_first(&proven, &lucky, &shrinkage, 0.0), Ordering::Less);
        // Whoever came higher is better, whatever the lead; a failure is worse than anybody.
        all[0].part = 9;
        assert_eq!(better_first(&all[1], &all[0], &shrinkage, 0.0), Ordering::Less);
        let failed = Individual { outcome: Outcome::Diverged { step: 1 }, gains: Vec::new(), ..all[1].clone() };
        assert_eq!(better_first(&all[0], &failed, &shrinkage, 0.0), Ordering::Less);
        assert_eq!(Shrinkage::of(std::iter::empty()).noise, None);
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
