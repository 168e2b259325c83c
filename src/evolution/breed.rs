//! The children of a generation: founders for the first, variations of the parents for every other.
//!
//! Every child has a stream of its own, addressed by generation and slot; children are admitted in the order of their
//! slots, so that who is a duplicate of whom does not depend on anything else.

use rand::RngExt;

use super::event::Event;
use super::individual::Origin;
use super::novelty::Novelty;
use super::population::Population;
use super::{SearchConfig, crossover, mutate, select};
use crate::fault::{Fault, Result};
use crate::formula::Formula;
use crate::grammar::Grammar;
use crate::losses::catalog::CATALOG;
use crate::rng::{Purpose, stream};

/// A child that waits for its training.
pub(super) struct Unborn {
    pub(super) parents: Vec<u64>,
    pub(super) origin: Origin,
    pub(super) formula: Formula,
}

/// Makes children: all that a search needs before anything is trained.
#[derive(Debug, Clone, Copy)]
pub struct Breeder<'a> {
    /// Settings.
    pub config: &'a SearchConfig,
    /// What may be said.
    pub grammar: &'a Grammar,
    /// Seed of everything random.
    pub seed: u64,
}

impl Breeder<'_> {
    /// Whether a search can begin.
    ///
    /// # Errors
    /// If the grammar yields no loss that passes the gates.
    pub fn check(&self) -> Result<()> {
        self.founders(&mut Novelty::after(None)).map(drop)
    }

    /// The catalog as far as it is in the language and there are places for it, then random losses; and who was skipped.
    ///
    /// # Errors
    /// If that is nobody.
    pub(super) fn founders(&self, novelty: &mut Novelty) -> Result<(Vec<Unborn>, Vec<Event>)> {
        let (mut brood, mut skipped) = (Vec::new(), Vec::new());
        for entry in CATALOG {
            let formula = entry.formula().canonical();
            let reason = match self.grammar.check_loss(&formula) {
                _ if brood.len() >= self.config.founders => Some("the places for founders are taken".to_string()),
                Err(fault) => Some(fault.to_string().replace("\n  ", "; ")),
                Ok(_) if !novelty.admit(&formula) => Some("behaves like another founder".to_string()),
                Ok(_) => None,
            };
            if let Some(reason) = reason {
                skipped.push(Event::FounderSkipped { name: entry.name.to_string(), reason });
            } else {
                let origin = Origin::Founder(entry.name.to_string());
                brood.push(Unborn { parents: Vec::new(), origin, formula });
            }
        }
        let missing = self.config.population.saturating_sub(brood.len());
        brood.extend((0..missing).filter_map(|slot| self.random(0, slot, novelty)));
        if brood.is_empty() {
            return Err(Fault::new("the grammar yields no loss that passes the gates")
                .field("search.grammar")
                .expected("a grammar with losses that train")
                .found(format!("`{}`", self.grammar.name))
                .hint("`lossgen grammar show` prints some of its losses"));
        }
        Ok((brood, skipped))
    }

    /// A loss drawn from the grammar that is new; `None` if none was found.
    fn random(&self, generation: usize, slot: usize, novelty: &mut Novelty) -> Option<Unborn> {
        let mut rng = stream(self.seed, Purpose::Birth, generation as u64, slot as u64);
        (0..50 * self.config.attempts).find_map(|_| {
            let budget = rng.random_range(2..=self.config.random_size.max(2));
            let formula = self.grammar.sample_loss(budget, &mut rng);
            novelty.admit(&formula).then_some(Unborn { parents: Vec::new(), origin: Origin::Random, formula })
        })
    }

    /// The children of a generation, one per place that the elites leave.
    pub(super) fn brood(&self, parents: &Population, novelty: &mut Novelty) -> Vec<Unborn> {
        let places = self.config.population - self.config.elites;
        (0..places).filter_map(|slot| self.child(parents, slot, novelty)).collect()
    }

    fn child(&self, parents: &Population, slot: usize, novelty: &mut Novelty) -> Option<Unborn> {
        let generation = parents.generation + 1;
        let mut rng = stream(self.seed, Purpose::Breeding, generation as u64, slot as u64);
        if rng.random::<f64>() >= self.config.immigrants {
            for _ in 0..self.config.attempts {
                let mut pick = || {
                    select::tournament(
                        &parents.individuals,
                        self.config.tournament,
                        self.config.toll_per_word,
                        &mut rng,
                    )
                };
                let (mother, father) = (pick(), pick());
                let (child, parents) = if rng.random::<f64>() < self.config.crossover {
                    let child = crossover::cross(&mother.formula, &father.formula, self.grammar, &mut rng);
                    (child.map(|child| (child, Origin::Crossover)), vec![mother.id, father.id])
                } else {
                    (mutate::mutate(&mother.formula, self.grammar, &mut rng), vec![mother.id])
                };
                let Some((formula, origin)) = child else { continue };
                if novelty.admit(&formula) {
                    return Some(Unborn { parents, origin, formula });
                }
            }
        }
        self.random(generation, slot, novelty)
    }
}
