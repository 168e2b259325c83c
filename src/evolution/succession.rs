//! Who lives on: children take the places of the oldest of their island, elites apart (regularised evolution: Real et al.
//! 2019). A loss that was lucky once is not kept for ever, and one that is good comes back in its children.

use super::breed::Brood;
use super::config::SearchConfig;
use super::individual::Individual;
use super::ledger::Spent;
use super::novelty::Tally;
use super::population::Population;
use super::race;
use super::rungs::Climb;

/// The next generation, best first, its elites not yet elected. Where nobody is born, nobody goes.
pub(super) fn succeed(
    parents: Option<&Population>,
    brood: Brood,
    climbs: Vec<Climb>,
    config: &SearchConfig,
) -> Population {
    let generation = parents.map_or(0, |parents| parents.generation + 1);
    let first_id = parents.map_or(0, |parents| parents.next_id);
    let next_id = first_id + brood.children.len() as u64;
    let born = brood.children.into_iter().zip(climbs).zip(first_id..);
    let children: Vec<Individual> = born
        .map(|((unborn, climb), id)| Individual {
            id,
            birth: generation,
            island: unborn.island,
            parents: unborn.parents,
            origin: unborn.origin,
            formula: unborn.formula,
            part: climb.part,
            outcome: climb.outcome,
            gains: climb.gains,
            scratch: climb.scratch,
            traits: Some(unborn.traits),
        })
        .collect();
    let (mut individuals, mut departed) = (Vec::new(), Vec::new());
    if let Some(parents) = parents {
        departed.clone_from(&parents.departed);
        for island in 0..config.islands() {
            let arrived = children.iter().filter(|child| child.island == island).count();
            let (stay, go) = aged(parents, island, places(island, config), arrived);
            individuals.extend(stay);
            departed.extend(go);
        }
    }
    departed.sort_by_key(|individual| individual.id);
    individuals.extend(children);
    let Tally { rejections, repaired, twins, tried, .. } = brood.tally;
    let mut next = Population {
        generation,
        next_id,
        individuals,
        departed,
        elites: Vec::new(),
        rejections,
        repaired,
        twins,
        tried,
        spent: Spent::default(),
    };
    race::sort(&mut next, config);
    next
}

/// How many live on an island.
fn places(island: usize, config: &SearchConfig) -> usize {
    config.population / config.islands() + usize::from(island < config.population % config.islands())
}

/// Who stays on an island beside so many who arrived, and who goes: the youngest stay, and all elites.
fn aged(parents: &Population, island: usize, places: usize, arrived: usize) -> (Vec<Individual>, Vec<Individual>) {
    let mut own: Vec<Individual> = parents.individuals.iter().filter(|one| one.island == island).cloned().collect();
    let is_elite = |one: &Individual| parents.elites.contains(&one.id);
    own.sort_by_key(|one| (!is_elite(one), std::cmp::Reverse((one.birth, one.id))));
    let elites = own.iter().filter(|one| is_elite(one)).count();
    let stay = if arrived == 0 { own.len() } else { places.saturating_sub(arrived).max(elites).min(own.len()) };
    let go = own.split_off(stay);
    (own, go)
}
