//! The search: a population of losses, bred by small edits, judged by short trainings.
//!
//! [`Search::run`] is the whole of it: breed, judge, confirm the best, save, again. Generation g + 1 is a function of
//! generation g and of the seed alone; results of trainings are looked up by what decides them, so the order in which
//! they finish decides nothing and a run that was killed continues as if it had not been. This folder sees numbers, never
//! tensors: whoever implements [`Evaluator`] trains.

mod breed;
mod config;
mod crossover;
mod event;
mod fitness;
mod individual;
mod mutate;
mod novelty;
mod pareto;
mod population;
mod select;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

pub use breed::Breeder;
use breed::Brood;
pub use config::{Sampling, SearchConfig};
pub use event::{Event, StopReason};
pub use fitness::{Evaluator, Outcome, Score, Trial};
pub use individual::{Individual, Origin};
use novelty::Tally;
pub use population::{Population, Twin};

use crate::fault::{Fault, Result};
use crate::formula::Formula;
use crate::gates::Archive;
use crate::run::{Journal, RunDir, read_journal};

/// A search in its run directory.
pub struct Search<'a> {
    /// Who is born.
    pub breeder: Breeder<'a>,
    /// Who trains.
    pub evaluator: &'a dyn Evaluator,
    /// Where everything is written.
    pub run: &'a RunDir,
}

/// A finished training in `journal.jsonl`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Record {
    context: String,
    trial: Trial,
    /// The canonical text: with the trial and the context, the key of the training.
    loss: String,
    outcome: Outcome,
}

/// Results of finished trainings, by trial and canonical text.
type Results = BTreeMap<(Trial, String), Outcome>;

/// Who is told of everything, and says whether to go on.
type Watch<'a> = &'a mut dyn FnMut(&Event) -> bool;

impl Search<'_> {
    /// Searches until all generations are done or `watch` returns false, from the newest saved generation if there is
    /// one.
    ///
    /// # Errors
    /// If the run cannot be read or written, a training failed for reasons of the machine, or the search was stopped
    /// before its first generation was complete.
    pub fn run(&self, watch: Watch<'_>) -> Result<(Population, StopReason)> {
        self.breeder.config.check()?;
        let mut results = self.journal()?;
        let mut newest = newest_population(self.run.path())?;
        let mut archive = self.breeder.archive();
        loop {
            match newest {
                Some(population) if population.generation >= self.breeder.config.generations => {
                    return Ok((population, StopReason::Generations));
                }
                _ => {}
            }
            let Some(next) = self.next(newest.as_ref(), &mut archive, &mut results, watch)? else {
                let stopped = "stopped before the first generation was complete; finished trainings are saved";
                return newest.map(|last| (last, StopReason::Signal)).ok_or_else(|| Fault::stopped(stopped));
            };
            self.save(&next)?;
            self.tell(&Event::of(&next), watch)?;
            newest = Some(next);
        }
    }

    /// The generation after `parents`, or the first; `None` if the watcher wants to stop.
    fn next(
        &self,
        parents: Option<&Population>,
        archive: &mut Archive,
        results: &mut Results,
        watch: Watch<'_>,
    ) -> Result<Option<Population>> {
        let Some(brood) = self.breeder.brood(parents, archive)? else { return Ok(None) };
        for skipped in &brood.skipped {
            self.tell(skipped, watch)?;
        }
        let generation = parents.map_or(0, |parents| parents.generation + 1);
        // For the record: there are many, and nobody who watches waits for them.
        for refused in &brood.tally.refused {
            self.run.event(&Event::rejected(generation, refused))?;
        }
        let losses: Vec<&Formula> = brood.children.iter().map(|unborn| &unborn.formula).collect();
        let open = losses.iter().filter(|loss| !results.contains_key(&(Trial::SharedStart, key(loss)))).count();
        let bred = Event::Bred { generation, to_train: open, from_journal: losses.len() - open };
        if !self.tell(&bred, watch)? || !self.judge(generation, Trial::SharedStart, &losses, results, watch)? {
            return Ok(None);
        }
        let mut next = self.succeed(parents, brood, results);
        Ok(self.confirm(&mut next, results, watch)?.then_some(next))
    }

    /// Results of earlier trainings.
    fn journal(&self) -> Result<Results> {
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
        Ok(records.into_iter().map(|record| ((record.trial, record.loss), record.outcome)).collect())
    }

    /// Trains what has no result yet; false if the watcher wants to stop.
    ///
    /// A training that failed for reasons of the machine is tried once more. If it fails again the search ends with a
    /// fault, after the others of the generation are finished and saved, and whoever resumes it tries again: to go on
    /// without the result would make the next generation depend on the machine's luck.
    fn judge(
        &self,
        generation: usize,
        trial: Trial,
        losses: &[&Formula],
        results: &mut Results,
        watch: Watch<'_>,
    ) -> Result<bool> {
        for last_attempt in [false, true] {
            // Without the gate against duplicates, a loss may be among them twice; it is trained once.
            let mut keys = BTreeSet::new();
            let mut is_open = |loss: &&&Formula| !results.contains_key(&(trial, key(loss))) && keys.insert(key(loss));
            let open: Vec<Formula> = losses.iter().filter(|loss| is_open(loss)).map(|loss| (*loss).clone()).collect();
            let (go_on, failed) = self.train(generation, trial, &open, results, watch)?;
            match failed {
                Some(fault) if go_on && last_attempt => return Err(fault),
                Some(_) if go_on => {}
                _ => break,
            }
        }
        // Whoever stops during the last training of a generation still has a complete generation; whoever stops earlier
        // need not say so here, a training that was cut short has no result.
        Ok(losses.iter().all(|loss| results.contains_key(&(trial, key(loss)))))
    }

    /// Trains losses; whether to go on, and what failed for reasons of the machine.
    fn train(
        &self,
        generation: usize,
        trial: Trial,
        losses: &[Formula],
        results: &mut Results,
        watch: Watch<'_>,
    ) -> Result<(bool, Option<Fault>)> {
        let context = self.evaluator.context();
        let mut journal = Journal::open(&self.run.file("journal.jsonl"))?;
        let mut status = Ok(true);
        let mut failed: Option<Fault> = None;
        self.evaluator.evaluate(trial, losses, &mut |slot, outcome| {
            let loss = &losses[slot];
            let told = match outcome {
                Ok(outcome) => {
                    let record = Record { context: context.clone(), trial, loss: key(loss), outcome: outcome.clone() };
                    let judged = Event::Judged { generation, trial, loss: loss.to_string(), outcome: outcome.clone() };
                    results.insert((trial, key(loss)), outcome);
                    // A result that comes in after a refusal is still written; the refusal stands.
                    journal.append(&record).and_then(|()| self.tell(&judged, watch))
                }
                Err(fault) => {
                    failed.get_or_insert_with(|| self.unfinished(loss, &fault));
                    let (loss, reason) = (loss.to_string(), fault.to_string());
                    self.tell(&Event::Failed { generation, trial, loss, reason }, watch)
                }
            };
            status = match (&status, told) {
                (Ok(true), told) => told,
                (Ok(false), Ok(_)) => Ok(false),
                (Ok(false), Err(fault)) => Err(fault),
                (Err(fault), _) => Err(fault.clone()),
            };
            matches!(status, Ok(true))
        });
        status.map(|go_on| (go_on, failed))
    }

    fn unfinished(&self, loss: &Formula, fault: &Fault) -> Fault {
        Fault::failed("a training failed twice for a reason that is not its loss's; what is finished is saved")
            .file(self.run.path())
            .field(loss.to_string())
            .expected("a training that ends with a result")
            .found(fault)
            .hint(format!("`lossgen evolve --resume {}` tries it again", self.run.path().display()))
    }

    /// The next generation: elites and children, best first. Where nobody is born, nobody goes.
    fn succeed(&self, parents: Option<&Population>, brood: Brood, results: &Results) -> Population {
        let generation = parents.map_or(0, |parents| parents.generation + 1);
        let first_id = parents.map_or(0, |parents| parents.next_id);
        let next_id = first_id + brood.children.len() as u64;
        let (elites, mut departed) = match parents {
            None => (Vec::new(), Vec::new()),
            Some(parents) if brood.children.is_empty() => (parents.individuals.clone(), parents.departed.clone()),
            Some(parents) => {
                let elites = self.breeder.config.elites.min(parents.individuals.len());
                let (elites, rest) = parents.individuals.split_at(elites);
                (elites.to_vec(), [parents.departed.as_slice(), rest].concat())
            }
        };
        departed.sort_by_key(|individual| individual.id);
        let children = brood.children.into_iter().zip(first_id..).map(|(unborn, id)| Individual {
            id,
            birth: generation,
            parents: unborn.parents,
            origin: unborn.origin,
            outcome: results[&(Trial::SharedStart, key(&unborn.formula))].clone(),
            formula: unborn.formula,
            traits: Some(unborn.traits),
            scratch: None,
        });
        let mut individuals: Vec<Individual> = elites.into_iter().chain(children).collect();
        self.sort(&mut individuals);
        let Tally { rejections, repaired, twins, .. } = brood.tally;
        Population { generation, next_id, individuals, departed, rejections, repaired, twins }
    }

    /// Trains the best from scratch until as many as there are elites, and at least the first, have survived it; false if
    /// the watcher wants to stop. Whoever does not survive ranks among the failures from then on.
    fn confirm(&self, population: &mut Population, results: &mut Results, watch: Watch<'_>) -> Result<bool> {
        loop {
            let best = population.individuals.iter().filter(|individual| individual.outcome.score().is_some());
            let open: Vec<Formula> = best
                .take(self.breeder.config.elites.max(1))
                .filter(|individual| individual.scratch.is_none())
                .map(|individual| individual.formula.clone())
                .collect();
            if open.is_empty() {
                return Ok(true);
            }
            let losses: Vec<&Formula> = open.iter().collect();
            let generation = population.generation;
            let to_train = losses.iter().filter(|loss| !results.contains_key(&(Trial::Scratch, key(loss)))).count();
            if !self.tell(&Event::Confirming { generation, to_train }, watch)?
                || !self.judge(generation, Trial::Scratch, &losses, results, watch)?
            {
                return Ok(false);
            }
            for individual in population.individuals.iter_mut().filter(|individual| open.contains(&individual.formula))
            {
                match &results[&(Trial::Scratch, key(&individual.formula))] {
                    Outcome::Trained(score) => individual.scratch = Some(score.mean_dice()),
                    failure => individual.outcome = failure.clone(),
                }
            }
            self.sort(&mut population.individuals);
        }
    }

    fn sort(&self, individuals: &mut [Individual]) {
        individuals.sort_by(|a, b| select::better_first(a, b, self.breeder.config.toll_per_word));
    }

    fn save(&self, population: &Population) -> Result<()> {
        self.run.write(&generation_file(population.generation), population.to_text()?.as_bytes())?;
        // Of a loss that is not confirmed nobody knows whether it trains a fresh network.
        let mut rows = String::from("size,dice,hd95_mm,scratch_dice,confirmed,id,loss\n");
        for individual in population.front() {
            if let Some(score) = individual.outcome.score() {
                let (dice, hd95) = (score.mean_dice(), score.mean_hd95_mm());
                rows += &format!(
                    "{},{dice:.6},{hd95:.4},{},{},{},{}\n",
                    individual.formula.size(),
                    individual.scratch.map_or(String::new(), |dice| format!("{dice:.6}")),
                    individual.is_confirmed(),
                    individual.id,
                    individual.formula
                );
            }
        }
        self.run.write("front.csv", rows.as_bytes())
    }

    fn tell(&self, event: &Event, watch: Watch<'_>) -> Result<bool> {
        self.run.event(event)?;
        Ok(watch(event))
    }
}

/// The canonical text of a loss.
fn key(loss: &Formula) -> String {
    loss.canonical().to_string()
}

fn generation_file(generation: usize) -> String {
    format!("generation-{generation:04}.ron")
}

/// The number in the name of a generation's file.
fn generation_number(name: &str) -> Option<usize> {
    name.strip_prefix("generation-")?.strip_suffix(".ron")?.parse().ok()
}

/// The newest saved population of a run.
///
/// # Errors
/// If the directory cannot be read, or as [`Population::load`].
pub fn newest_population(run: &Path) -> Result<Option<Population>> {
    let entries = std::fs::read_dir(run).map_err(|error| Fault::io("read", run, &error))?;
    let saved = entries.filter_map(|entry| {
        let name = entry.ok()?.file_name().into_string().ok()?;
        Some((generation_number(&name)?, name))
    });
    saved.max().map(|(_, name)| Population::load(&run.join(name))).transpose()
}
