//! The children of a generation: founders for the first, variations of the parents for every other.
//!
//! Every child has a stream of its own, addressed by generation and slot; children are admitted in the order of their
//! slots, so that who is a duplicate of whom does not depend on anything else.

use std::sync::atomic::{AtomicBool, Ordering};

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::config::{Sampling, SearchConfig};
use super::event::Event;
use super::individual::{Individual, Origin};
use super::novelty::{Novelty, Tally};
use super::population::Population;
use super::select::Standing;
use super::strategy::Strategy;
use super::{crossover, mutate};
use crate::atlas::Atlas;
use crate::fault::{Fault, Result};
use crate::formula::Formula;
use crate::gates::{Archive, Gates, Rejection, Traits};
use crate::grammar::{Census, Grammar};
use crate::losses;
use crate::losses::catalog::CATALOG;
use crate::losses::greedy::Greedy;
use crate::rng::{Purpose, stream};

/// Largest losses of the atlas that is walked over where a grammar is enumerated and no size is asked for.
const ENUMERATED: usize = 7;

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

/// What is found out once and used for every generation; it saves time and decides nothing.
pub(super) struct Memory {
    /// What the gates said.
    archive: Archive,
    atlas: Option<Atlas>,
}

/// What the constants of a loss become in a training; `None` if it failed or the work was stopped.
pub(super) type Adapt<'a> = &'a mut dyn FnMut(&Formula) -> Option<Formula>;

/// A child that waits for its training.
pub(super) struct Unborn {
    pub(super) island: usize,
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

/// Those among whom parents are found.
struct Parents<'a> {
    living: &'a [Individual],
    standing: Standing,
    /// Places of the living, by island.
    islands: Vec<Vec<usize>>,
}

impl Breeder<'_> {
    /// Whether there is a first population, so that this can be known before a run is made.
    ///
    /// # Errors
    /// If a setting is out of its range, no loss of the grammar passes the gates, or the work was stopped.
    pub fn check(&self) -> Result<()> {
        self.config.check()?;
        let config = self.config.strategy.settle(self.config);
        let breeder = Breeder { config: &config, ..*self };
        let stopped = || Fault::stopped("stopped before the first population was bred; nothing was made");
        let mut memory = breeder.memory()?;
        breeder.founders(&mut memory)?.map(|_| ()).ok_or_else(stopped)
    }

    /// An empty archive of what the gates of the search say, and the atlas, if one is used.
    ///
    /// # Errors
    /// If the work was stopped.
    pub(super) fn memory(&self) -> Result<Memory> {
        let largest = match (self.config.strategy, self.config.atlas) {
            (Strategy::Enumerate, 0) => ENUMERATED,
            (_, largest) => largest,
        };
        let atlas = (largest > 0).then(|| Atlas::explore(self.grammar, largest, 1, self.stop, &mut |_| {}));
        Ok(Memory { archive: Archive::new(Gates::new(self.config.gates.clone())), atlas: atlas.transpose()? })
    }

    /// The children of `parents`, or the founders; `None` if the work was stopped.
    ///
    /// # Errors
    /// If there is no founder.
    pub(super) fn brood(
        &self,
        parents: Option<&Population>,
        memory: &mut Memory,
        adapt: Adapt<'_>,
    ) -> Result<Option<Brood>> {
        match parents {
            None => self.founders(memory),
            Some(parents) => Ok(self.children(parents, memory, adapt)),
        }
    }

    /// Losses that were asked for, the catalog as far as it is in the language and there are places for it, then losses of the
    /// atlas or random ones.
    fn founders(&self, memory: &mut Memory) -> Result<Option<Brood>> {
        let mut novelty = Novelty::after(None, self.grammar, &mut memory.archive, memory.atlas.as_ref());
        let (mut children, mut skipped) = (Vec::new(), Vec::new());
        for (place, typed) in self.config.guesses.iter().enumerate() {
            children.push(
                self.guess(typed, &mut novelty).map_err(|fault| fault.field(format!("search.guesses[{place}]")))?,
            );
        }
        let most = (children.len() + self.config.founders).min(self.config.population);
        for entry in CATALOG {
            let formula = entry.formula().canonical();
            let admitted = match self.grammar.check_loss(&formula) {
                _ if children.len() >= most => Err("the places for founders are taken".to_string()),
                Err(fault) => Err(fault.summary().to_string()),
                Ok(_) => novelty.admit(&formula).map_err(|why| match why {
                    Rejection::Duplicate => "behaves like another founder".to_string(),
                    other => other.to_string(),
                }),
            };
            match admitted {
                // Without founders nobody asks for their names.
                Err(_) if self.config.founders == 0 => {}
                Err(reason) => skipped.push(Event::FounderSkipped { name: entry.name.to_string(), reason }),
                Ok((formula, traits)) => {
                    let origin = Origin::Founder(entry.name.to_string());
                    children.push(Unborn { island: 0, parents: Vec::new(), origin, formula, traits });
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
        let islands = self.config.islands();
        children.iter_mut().enumerate().for_each(|(place, child)| child.island = place % islands);
        Ok(Some(Brood { children, skipped, tally: novelty.tally }))
    }

    /// A loss that was asked for.
    ///
    /// # Errors
    /// If it cannot be in the first population: who asks for a loss wants to know, and not what was searched without it.
    fn guess(&self, typed: &str, novelty: &mut Novelty<'_>) -> Result<Unborn> {
        let formula = losses::named(typed)?.formula.canonical();
        let refused = |why: &str, hint: &str| {
            Fault::new("a guess cannot be in the first population")
                .expected(format!("a loss of the grammar `{}` that passes the gates", self.grammar.name))
                .found(format!("`{typed}`: {why}"))
                .hint(hint)
        };
        let spoken = self.grammar.check_loss(&formula);
        spoken.map_err(|fault| {
            refused(fault.summary(), "`lossgen grammar check` says what would fit; or use another `--grammar`")
        })?;
        let turned = |why: &str| refused(why, "turn it round: `(- 1 L)` or `(* -1 L)`, whichever the grammar can say");
        let admitted = novelty.admit(&formula).map_err(|why| match why {
            Rejection::Duplicate => refused("it behaves like another guess", "leave one of the two out"),
            Rejection::Reversed => turned(&why.to_string()),
            other => refused(&other.to_string(), "leave it out, or open the gate with `--gates`"),
        });
        let (admitted, traits) = admitted?;
        if admitted != formula {
            return Err(turned("it rewards errors"));
        }
        Ok(Unborn { island: 0, parents: Vec::new(), origin: Origin::Founder(typed.to_string()), formula, traits })
    }

    /// A loss that owes nothing to anybody: of the atlas the next one or the one that is farthest from all who are known,
    /// or a random one.
    fn stranger(&self, generation: usize, slot: usize, novelty: &mut Novelty<'_>) -> Option<Unborn> {
        let of_the_atlas = match self.config.strategy {
            Strategy::Enumerate => novelty.next_of_atlas(),
            Strategy::Random | Strategy::Plain => None,
            Strategy::Evolution | Strategy::HillClimb => novelty.farthest(),
        };
        match of_the_atlas {
            Some((formula, traits)) => {
                novelty.tried(Origin::Atlas.operator());
                Some(Unborn { island: 0, parents: Vec::new(), origin: Origin::Atlas, formula, traits })
            }
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
            novelty.tried(Origin::Random.operator());
            let (formula, traits) = novelty.admit(&drawn).ok()?;
            Some(Unborn { island: 0, parents: Vec::new(), origin: Origin::Random, formula, traits })
        })
    }

    /// The children of a generation, islands in turn; none at all where the grammar has nothing new to say.
    fn children(&self, parents: &Population, memory: &mut Memory, adapt: Adapt<'_>) -> Option<Brood> {
        let mut novelty = Novelty::after(Some(parents), self.grammar, &mut memory.archive, memory.atlas.as_ref());
        let parents_of = self.parents(parents, &mut novelty);
        let generation = parents.generation + 1;
        let mut children = Vec::new();
        for slot in 0..self.config.children() {
            if self.stop.load(Ordering::SeqCst) {
                return None;
            }
            // A different island begins each time, so that none has more children than others in the long run.
            let island = (slot + generation) % parents_of.islands.len();
            let child = match self.config.strategy {
                Strategy::Random | Strategy::Enumerate => None,
                _ => self.child(&parents_of, island, generation, slot, &mut novelty, adapt),
            };
            let child = child.or_else(|| self.stranger(generation, slot, &mut novelty));
            children.extend(child.map(|child| Unborn { island, ..child }));
        }
        Some(Brood { children, skipped: Vec::new(), tally: novelty.tally })
    }

    fn parents<'p>(&self, parents: &'p Population, novelty: &mut Novelty<'_>) -> Parents<'p> {
        let living = parents.individuals.as_slice();
        let loneliness =
            if self.config.by_novelty > 0.0 { novelty.loneliness(living) } else { vec![0.0; living.len()] };
        let everybody: Vec<&Individual> = parents.everybody().collect();
        let standing = Standing::of(living, everybody.iter().copied(), &loneliness, self.config);
        let on = |island: usize| (0..living.len()).filter(|at| living[*at].island == island).collect::<Vec<_>>();
        let islands = (0..self.config.islands()).map(on).map(|own| {
            // An island on which everybody died is settled from everywhere.
            if own.is_empty() { (0..living.len()).collect() } else { own }
        });
        Parents { islands: islands.collect(), living, standing }
    }

    /// A child of an island; `None` if it is a stranger's turn, or no attempt gave somebody new.
    fn child(
        &self,
        parents: &Parents<'_>,
        island: usize,
        generation: usize,
        slot: usize,
        novelty: &mut Novelty<'_>,
        adapt: Adapt<'_>,
    ) -> Option<Unborn> {
        let config = self.config;
        let mut rng = stream(self.seed, Purpose::Breeding, generation as u64, slot as u64);
        if rng.random::<f64>() < config.immigrants {
            return None;
        }
        for _ in 0..config.attempts {
            let mother = self.parent(parents, island, &mut rng);
            let crosses = config.strategy != Strategy::HillClimb && rng.random::<f64>() < config.crossover;
            let (child, origin, parents) = if crosses {
                let father = self.parent(parents, island, &mut rng);
                let child = crossover::cross(&mother.formula, &father.formula, self.grammar, &mut rng);
                (child, Origin::Crossover, vec![mother.id, father.id])
            } else if config.strategy == Strategy::Evolution && rng.random::<f64>() < config.greedy {
                let child = Greedy::of_numbers(&mother.formula).and_then(|_| adapt(&mother.formula));
                (self.spoken(child, &mother.formula), Origin::Greedy, vec![mother.id])
            } else {
                let edit = mutate::choose(&config.rates, &mut rng);
                let child = mutate::mutate(&mother.formula, &edit, self.grammar, &mut rng);
                (child, edit, vec![mother.id])
            };
            novelty.tried(origin.operator());
            let Some(formula) = child else { continue };
            if let Ok((formula, traits)) = novelty.admit(&formula) {
                return Some(Unborn { island, parents, origin, formula, traits });
            }
        }
        None
    }

    /// A child that is not its parent and belongs to the language; constants may move beyond what the grammar allows.
    fn spoken(&self, child: Option<Formula>, parent: &Formula) -> Option<Formula> {
        child.filter(|child| child != parent && self.grammar.check_loss(child).is_ok())
    }

    /// A parent for an island: from it, or seldom from its neighbour.
    fn parent<'p>(&self, parents: &Parents<'p>, island: usize, rng: &mut ChaCha8Rng) -> &'p Individual {
        let comes_from_afar = rng.random::<f64>() < self.config.migration;
        let island = if comes_from_afar { (island + 1) % parents.islands.len() } else { island };
        let places = &parents.islands[island];
        let place = match self.config.strategy {
            Strategy::HillClimb => parents.standing.best(places),
            _ => parents.standing.tournament(places, self.config, rng),
        };
        &parents.living[place]
    }
}
