//! Who breeds and who stays.

use std::cmp::Ordering;

use rand::{Rng, RngExt};

use super::individual::Individual;

/// Better first: mean Dice less a toll per word, then the smaller, then the older. A total order, so that no tie is
/// left to chance.
pub(super) fn better_first(a: &Individual, b: &Individual, toll_per_word: f64) -> Ordering {
    let worth = |individual: &Individual| individual.outcome.dice() - toll_per_word * individual.formula.size() as f64;
    worth(b).total_cmp(&worth(a)).then(a.formula.size().cmp(&b.formula.size())).then(a.id.cmp(&b.id))
}

/// The best of `size` individuals drawn with replacement.
///
/// # Panics
/// If there is nobody to draw.
pub(super) fn tournament<'a>(
    population: &'a [Individual],
    size: usize,
    toll_per_word: f64,
    rng: &mut impl Rng,
) -> &'a Individual {
    (0..size.max(1))
        .map(|_| &population[rng.random_range(0..population.len())])
        .min_by(|a, b| better_first(a, b, toll_per_word))
        .expect("at least one is drawn")
}
