//! The children of a generation: founders for the first, variations of the parents for every other.
//!
//! Every child has a stream of its own, addressed by generation and slot; children are admitted in the order of their
//! slots, so that who is a duplicate of whom does not depend on anything else.

use std::sync::atomic::{AtomicBool, Ordering};

use rand::RngExt;

use super::config::{Sampling, SearchConfig};
use super::event::Event;
use super::individual::Origin;
use super::novelty::{Novelty, Tally};
use super::population::Population;
use super::{crossover, mutate, select};
use crate::fault::{Fault, Kind, Result};
use crate::formula::Formula;
use crate::gates::{Archive, Gates, Rejection, Traits};
use crate::grammar::{Census, Grammar};
use crate::losses::catalog::CATALOG;
use crate::rng::{Purpose, stream};

/// What decides who is born: a pure function of these and of the parents.
#[derive(Debug, Clone, Copy)]
pub struct Breeder<'a> {
    /// Settings.
    pub config: &'a SearchConfig,
    /// Seed of all choices of the search; trainings have their own.
    pub seed: u64,
    /// What may be said.
    pub grammar: &'a Grammar,
    /// Set when the work is to stop; looked at before every child.
    pub stop: &'a AtomicBool,
}

/// A child that waits for its training.
pub(super) struct Unborn {
    pub(super) parents: Vec<u64>,
    pub(super) origin: Origin,
    pub(super) formula: Formula,
    pub(super) traits: Traits,
}

/// The children of a generation.
pub(super) struct Brood {
    pub(super) children: Vec<Unborn>,
    /// Losses of the catalog that are no founders.
    pub(super) skipped: Vec<Event>,
    /// What was thrown away.
    pub(super) tally: Tally,
}

impl Breeder<'_> {
    /// Whether there is a first population, so that this can be known before a run is made.
    ///
    /// # Errors
    /// If a setting is out of its range, no loss of the grammar passes the gates, or the work was stopped.
    pub fn check(&self) -> Result<()> {
        self.config.check()?;
        let stopped = || Fault::stopped("stopped before the first population was bred; nothing was made");
        self.founders(&mut self.archive())?.map(|_| ()).ok_or_else(stopped)
    }

    /// An empty archive of what the gates of the search say.
    pub(super) fn archive(&self) -> Archive {
        Archive::new(Gates::new(self.config.gates.clone()))
    }

    /// The children of `parents`, or the founders; `None` if the work was stopped.
    ///
    /// # Errors
    /// If there is no founder.
    pub(super) fn brood(&self, parents: Option<&Population>, archive: &mut Archive) -> Result<Option<Brood>> {
        match parents {
            None => self.founders(archive),
            Some(parents) => self.children(parents, archive),
        }
    }

    /// The catalog as far as it is in the language and there are places for it, then losses of the atlas or random ones.
    fn founders(&self, archive: &mut Archive) -> Result<Option<Brood>> {
        let Some(mut novelty) = self.novelty(None, archive)? else { return Ok(None) };
        let (mut children, mut skipped) = (Vec::new(), Vec::new());
        for entry in CATALOG {
            let formula = entry.formula().canonical();
            let admitted = match self.grammar.check_loss(&formula) {
                _ if children.len() >= self.config.founders => Err("the places for founders are taken".to_string()),
                Err(fault) => Err(fault.summary().to_string()),
                Ok(_) => novelty.admit(&formula).map_err(|why| match why {
                    Rejection::Duplicate => "behaves like another founder".to_string(),
                    other => other.to_string(),
                }),
            };
            match admitted {
                Err(reason) => skipped.push(Event::FounderSkipped { name: entry.name.to_string(), reason }),
                Ok((formula, traits)) => {
                    let origin = Origin::Founder(entry.name.to_string());
                    children.push(Unborn { parents: Vec::new(), origin, formula, traits });
                }
            }
        }
        for slot in 0..self.config.population.saturating_sub(children.len()) {
            if self.stop.load(Ordering::SeqCst) {
                return Ok(None);
            }
            children.extend(self.stranger(0, slot, &mut novelty));
        }
        if children.is_empty() {
            let reasons: Vec<String> = novelty.tally.rejections.iter().map(|(why, n)| format!("{n} {why}")).collect();
            return Err(Fault::new("the grammar yields no loss that passes the gates")
                .field("search.grammar")
                .expected("losses whose gradient moves voxels towards their target")
                .found(format!("`{}`, with candidates of which {}", self.grammar.name, reasons.join(", ")))
                .hint("`lossgen grammar show` prints some of its losses"));
        }
        Ok(Some(Brood { children, skipped, tally: novelty.tally }))
    }

    /// What is known before a generation is bred; `None` if the work was stopped.
    ///
    /// # Errors
    /// If the atlas cannot be made.
    fn novelty<'n>(&'n self, parents: Option<&Population>, archive: &'n mut Archive) -> Result<Option<Novelty<'n>>> {
        let mut novelty = Novelty::after(parents, self.grammar, archive);
        if self.config.atlas > 0
            && let Err(fault) = novelty.explore(self.config.atlas, self.stop)
        {
            return if fault.kind() == Kind::Stopped { Ok(None) } else { Err(fault) };
        }
        Ok(Some(novelty))
    }

    /// A loss that owes nothing to anybody: the one of the atlas that is farthest from all who are known, or a random one.
    fn stranger(&self, generation: usize, slot: usize, novelty: &mut Novelty<'_>) -> Option<Unborn> {
        match novelty.farthest() {
            Some((formula, traits)) => Some(Unborn { parents: Vec::new(), origin: Origin::Atlas, formula, traits }),
            None => self.random(generation, slot, novelty),
        }
    }

    /// A loss drawn from the grammar that is new; `None` if none was found.
    fn random(&self, generation: usize, slot: usize, novelty: &mut Novelty<'_>) -> Option<Unborn> {
        let mut rng = stream(self.seed, Purpose::Birth, generation as u64, slot as u64);
        let largest = self.config.random_size.max(2);
        let census = (self.config.sampling == Sampling::Sizes).then(|| Census::new(self.grammar, largest));
        (0..50 * self.config.attempts).find_map(|_| {
            let words = rng.random_range(2..=largest);
            let drawn = match &census {
                Some(census) => census.draw(words, &mut rng)?,
                None => self.grammar.sample_loss(words, &mut rng),
            };
            let (formula, traits) = novelty.admit(&drawn).ok()?;
            Some(Unborn { parents: Vec::new(), origin: Origin::Random, formula, traits })
        })
    }

    /// One child per place that the elites leave; none at all where the grammar has nothing new to say.
    fn children(&self, parents: &Population, archive: &mut Archive) -> Result<Option<Brood>> {
        let Some(mut novelty) = self.novelty(Some(parents), archive)? else { return Ok(None) };
        let mut children = Vec::new();
        for slot in 0..self.config.population - self.config.elites {
            if self.stop.load(Ordering::SeqCst) {
                return Ok(None);
            }
            children.extend(self.child(parents, slot, &mut novelty));
        }
        Ok(Some(Brood { children, skipped: Vec::new(), tally: novelty.tally }))
    }

    fn child(&self, parents: &Population, slot: usize, novelty: &mut Novelty<'_>) -> Option<Unborn> {
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
                if let Ok((formula, traits)) = novelty.admit(&formula) {
                    return Some(Unborn { parents, origin, formula, traits });
                }
            }
        }
        self.stranger(generation, slot, novelty)
    }
}
