//! The search: a population of losses, bred by small edits, judged by short trainings.
//!
//! [`Search::run`] is the whole of it: breed, judge, sort, save, again. Generation g + 1 is a function of generation g and
//! of the seed alone; results of trainings are looked up by the key of a loss's behaviour, so the order in which they
//! finish decides nothing and a run that was killed continues as if it had not been. This folder sees numbers, never
//! tensors: whoever implements [`Evaluator`] trains.

mod config;
mod crossover;
mod fitness;
mod gates;
mod individual;
mod mutate;
mod pareto;
mod population;
mod select;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rand::RngExt;
use serde::{Deserialize, Serialize};

pub use config::SearchConfig;
pub use fitness::{Evaluator, Outcome, Score};
pub use gates::{Gates, Rejection};
pub use individual::{Individual, Origin};
pub use population::Population;

use crate::fault::{Fault, Result};
use crate::formula::Formula;
use crate::formula::fingerprint::{SAME, distance};
use crate::grammar::Grammar;
use crate::losses::catalog::CATALOG;
use crate::rng::{Purpose, stream};
use crate::run::{Journal, RunDir, read_journal};

/// A search in its run directory.
pub struct Search<'a> {
    /// Settings.
    pub config: &'a SearchConfig,
    /// Seed of all choices of the search; trainings have their own.
    pub seed: u64,
    /// What may be said.
    pub grammar: &'a Grammar,
    /// Who trains.
    pub evaluator: &'a dyn Evaluator,
    /// Where everything is written.
    pub run: &'a RunDir,
}

/// What happens during a search, for whoever watches; also the lines of `events.jsonl`.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A loss of the catalog cannot be a founder.
    FounderSkipped {
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
    /// A generation was bred.
    Bred {
        /// Its number.
        generation: usize,
        /// How many of it have to be trained.
        to_train: usize,
        /// How many results were in the journal already.
        from_journal: usize,
    },
    /// A training ended.
    Judged {
        /// The generation.
        generation: usize,
        /// The loss.
        loss: String,
        /// Mean Dice, if it trained.
        dice: Option<f64>,
    },
    /// A generation is complete and saved.
    Generation {
        /// Its number.
        generation: usize,
        /// Mean Dice of the best.
        best_dice: f64,
        /// The best.
        best: String,
        /// Distinct candidates trained so far.
        trained: usize,
        /// Trainings saved so far because a candidate behaved like an earlier one.
        saved: usize,
    },
}

/// Why a search stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum StopReason {
    /// All generations are done.
    Generations,
    /// A signal arrived; the run can be resumed.
    Signal,
}

/// A finished training in `journal.jsonl`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Record {
    context: String,
    /// The canonical text: with the context, the key of the training.
    loss: String,
    outcome: Outcome,
}

/// A child that waits for its training.
struct Unborn {
    parents: Vec<u64>,
    origin: Origin,
    formula: Formula,
    /// The canonical text, by which results are found.
    key: String,
}

/// What breeding must not repeat, and what it threw away.
struct Novelty {
    /// The directions of everybody who was ever trained.
    known: Vec<Vec<f32>>,
    rejections: BTreeMap<Rejection, usize>,
    gates: Gates,
}

impl Novelty {
    /// Everybody who was ever trained is known, as are the rejections so far.
    fn after(newest: Option<&Population>) -> Self {
        let gates = Gates::default();
        let everybody = newest.into_iter().flat_map(Population::everybody);
        Self {
            known: everybody.filter_map(|individual| gates.pass(&individual.formula).ok()).collect(),
            rejections: newest.map(|population| population.rejections.clone()).unwrap_or_default(),
            gates,
        }
    }

    /// The key of a candidate that is worth a training.
    fn admit(&mut self, formula: &Formula) -> Option<String> {
        let verdict = self.gates.pass(formula).and_then(|direction| {
            let alike = |known: &Vec<f32>| distance(known, &direction) < SAME;
            if self.known.iter().any(alike) {
                return Err(Rejection::Duplicate);
            }
            self.known.push(direction);
            Ok(formula.canonical().to_string())
        });
        verdict.map_err(|why| *self.rejections.entry(why).or_default() += 1).ok()
    }
}

impl Search<'_> {
    /// Searches until all generations are done or `watch` returns false, from the newest saved generation if there is
    /// one.
    ///
    /// # Errors
    /// If the run cannot be read or written.
    pub fn run(&self, watch: &mut dyn FnMut(&Event) -> bool) -> Result<(Population, StopReason)> {
        self.config.check()?;
        let mut results = self.journal()?;
        let mut newest = newest_generation(self.run.path())?.map(|path| Population::load(&path)).transpose()?;
        loop {
            let generation = newest.as_ref().map_or(0, |population| population.generation + 1);
            if generation > self.config.generations {
                let population = newest.expect("generation 0 is always made");
                return Ok((population, StopReason::Generations));
            }
            let mut novelty = Novelty::after(newest.as_ref());
            let brood = match &newest {
                None => self.founders(&mut novelty, watch)?,
                Some(parents) => self.breed(parents, &mut novelty),
            };
            if !self.judge(generation, &brood, &mut results, watch)? {
                let Some(population) = newest else {
                    return Err(Fault::stopped(
                        "stopped before the first generation was complete; finished trainings are saved",
                    ));
                };
                return Ok((population, StopReason::Signal));
            }
            let population = self.succeed(newest.as_ref(), brood, &results, novelty.rejections);
            self.save(&population)?;
            self.tell(&generation_event(&population), watch)?;
            newest = Some(population);
        }
    }

    /// Results of earlier trainings by key.
    fn journal(&self) -> Result<BTreeMap<String, Outcome>> {
        let context = self.evaluator.context();
        let path = self.run.file("journal.jsonl");
        let records: Vec<Record> = read_journal(&path)?;
        if let Some(other) = records.iter().find(|record| record.context != context) {
            return Err(Fault::new("the journal was written with other data or settings")
                .file(path)
                .field("context")
                .expected(&context)
                .found(&other.context)
                .hint("resume with the data and the processor kind of the run, or start a new run"));
        }
        Ok(records.into_iter().map(|record| (record.loss, record.outcome)).collect())
    }

    /// The catalog as far as it is in the language, then random losses.
    fn founders(&self, novelty: &mut Novelty, watch: &mut dyn FnMut(&Event) -> bool) -> Result<Vec<Unborn>> {
        let mut brood = Vec::new();
        for entry in CATALOG {
            let formula = entry.formula().canonical();
            let skipped = match self.grammar.check_loss(&formula) {
                Err(fault) => Some(fault.to_string().replace("\n  ", "; ")),
                Ok(_) => match novelty.admit(&formula) {
                    Some(key) => {
                        let origin = Origin::Founder(entry.name.to_string());
                        brood.push(Unborn { parents: Vec::new(), origin, formula, key });
                        None
                    }
                    None => Some("behaves like another founder".to_string()),
                },
            };
            if let Some(reason) = skipped {
                self.tell(&Event::FounderSkipped { name: entry.name.to_string(), reason }, watch)?;
            }
        }
        let missing = self.config.population.saturating_sub(brood.len());
        brood.extend((0..missing).filter_map(|slot| self.random(0, slot, novelty)));
        Ok(brood)
    }

    /// A loss drawn from the grammar that is new; `None` if none was found.
    fn random(&self, generation: usize, slot: usize, novelty: &mut Novelty) -> Option<Unborn> {
        let mut rng = stream(self.seed, Purpose::Birth, generation as u64, slot as u64);
        (0..50 * self.config.attempts).find_map(|_| {
            let budget = rng.random_range(2..=self.config.random_size.max(2));
            let formula = self.grammar.sample_loss(budget, &mut rng);
            let key = novelty.admit(&formula)?;
            Some(Unborn { parents: Vec::new(), origin: Origin::Random, formula, key })
        })
    }

    /// The children of a generation, one per place that the elites leave.
    fn breed(&self, parents: &Population, novelty: &mut Novelty) -> Vec<Unborn> {
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
                if let Some(key) = novelty.admit(&formula) {
                    return Some(Unborn { parents, origin, formula, key });
                }
            }
        }
        self.random(generation, slot, novelty)
    }

    /// Trains what is not in the journal; false if the watcher wants to stop.
    fn judge(
        &self,
        generation: usize,
        brood: &[Unborn],
        results: &mut BTreeMap<String, Outcome>,
        watch: &mut dyn FnMut(&Event) -> bool,
    ) -> Result<bool> {
        let open: Vec<&Unborn> = brood.iter().filter(|unborn| !results.contains_key(&unborn.key)).collect();
        let bred = Event::Bred { generation, to_train: open.len(), from_journal: brood.len() - open.len() };
        if !self.tell(&bred, watch)? {
            return Ok(false);
        }
        let losses: Vec<Formula> = open.iter().map(|unborn| unborn.formula.clone()).collect();
        let context = self.evaluator.context();
        let mut journal = Journal::open(&self.run.file("journal.jsonl"))?;
        let mut status = Ok(true);
        self.evaluator.evaluate(&losses, &mut |slot, outcome| {
            let Unborn { key, formula, .. } = open[slot];
            let record = Record { context: context.clone(), loss: key.clone(), outcome: outcome.clone() };
            let judged =
                Event::Judged { generation, loss: formula.to_string(), dice: outcome.score().map(Score::mean_dice) };
            results.insert(key.clone(), outcome);
            status = journal.append(&record).and_then(|()| self.tell(&judged, watch));
            matches!(status, Ok(true))
        });
        // Whoever stops during the last training of a generation still has a complete generation.
        status.map(|go_on| go_on || brood.iter().all(|unborn| results.contains_key(&unborn.key)))
    }

    /// The next generation: elites and children, best first.
    fn succeed(
        &self,
        parents: Option<&Population>,
        brood: Vec<Unborn>,
        results: &BTreeMap<String, Outcome>,
        rejections: BTreeMap<Rejection, usize>,
    ) -> Population {
        let generation = parents.map_or(0, |parents| parents.generation + 1);
        let first_id = parents.map_or(0, |parents| parents.next_id);
        let next_id = first_id + brood.len() as u64;
        let (elites, mut departed) = match parents {
            None => (Vec::new(), Vec::new()),
            Some(parents) => {
                let (elites, rest) = parents.individuals.split_at(self.config.elites.min(parents.individuals.len()));
                (elites.to_vec(), [parents.departed.as_slice(), rest].concat())
            }
        };
        departed.sort_by_key(|individual| individual.id);
        let children = brood.into_iter().zip(first_id..).map(|(unborn, id)| Individual {
            id,
            birth: generation,
            parents: unborn.parents,
            origin: unborn.origin,
            formula: unborn.formula,
            outcome: results[&unborn.key].clone(),
        });
        let mut individuals: Vec<Individual> = elites.into_iter().chain(children).collect();
        individuals.sort_by(|a, b| select::better_first(a, b, self.config.toll_per_word));
        Population { generation, next_id, individuals, departed, rejections }
    }

    fn save(&self, population: &Population) -> Result<()> {
        self.run.write(&generation_file(population.generation), population.to_text()?.as_bytes())?;
        let mut rows = String::from("size,dice,hd95_mm,id,loss\n");
        for individual in population.front() {
            if let Some(score) = individual.outcome.score() {
                let (dice, hd95) = (score.mean_dice(), score.mean_hd95_mm());
                rows += &format!(
                    "{},{dice:.6},{hd95:.4},{},{}\n",
                    individual.formula.size(),
                    individual.id,
                    individual.formula
                );
            }
        }
        self.run.write("front.csv", rows.as_bytes())
    }

    fn tell(&self, event: &Event, watch: &mut dyn FnMut(&Event) -> bool) -> Result<bool> {
        self.run.event(event)?;
        Ok(watch(event))
    }
}

fn generation_event(population: &Population) -> Event {
    Event::Generation {
        generation: population.generation,
        best_dice: population.best().map_or(f64::NAN, |best| best.outcome.dice()),
        best: population.best().map(|best| best.formula.to_string()).unwrap_or_default(),
        trained: population.everybody().count(),
        saved: population.rejections.get(&Rejection::Duplicate).copied().unwrap_or(0),
    }
}

fn generation_file(generation: usize) -> String {
    format!("generation-{generation:04}.ron")
}

/// The newest saved generation of a run.
///
/// # Errors
/// If the directory cannot be read.
pub fn newest_generation(run: &Path) -> Result<Option<PathBuf>> {
    let entries = std::fs::read_dir(run).map_err(|error| Fault::io("read", run, &error))?;
    let saved = entries.filter_map(|entry| {
        let name = entry.ok()?.file_name().into_string().ok()?;
        let number: usize = name.strip_prefix("generation-")?.strip_suffix(".ron")?.parse().ok()?;
        Some((number, name))
    });
    Ok(saved.max().map(|(_, name)| run.join(name)))
}
