//! The search: a population of losses, bred by small edits, judged by short trainings.
//!
//! [`Search::run`] is the whole of it: breed, put through the rungs, elect, save, again; then a last race. Generation g + 1
//! is a function of generation g and of the seed alone; results of trainings are looked up by what decides them, so the
//! order in which they finish decides nothing and a run that was killed continues as if it had not been. This folder sees
//! numbers, never tensors: whoever implements [`Evaluator`] trains.

mod breed;
mod config;
mod crossover;
mod event;
mod fitness;
mod headroom;
mod individual;
mod ledger;
mod mutate;
mod novelty;
mod pareto;
mod population;
mod race;
mod replicate;
mod rungs;
mod select;
mod shrinkage;
mod strategy;
mod succession;
mod sweep;
mod winner;

use std::path::Path;

pub use breed::Breeder;
use breed::Memory;
pub use config::{DEFAULTS, Rates, Sampling, SearchConfig, Sift};
pub use event::{Event, StopReason, Watch};
pub use fitness::{Evaluator, Gain, Outcome, Score, Trial, control};
pub use headroom::{HEADROOM, Headroom, Kind, Rung};
pub use individual::{Individual, Origin};
use ledger::{Ledger, Stage};
pub use ledger::{Spent, settings};
pub use population::{Population, Twin};
pub use shrinkage::Shrinkage;
pub use strategy::Strategy;
pub use sweep::{Best, Sweep};
pub use winner::{Change, Contender, Lead, Nearest, Tuning, WINNER, Winner, nearest};

use crate::fault::{Fault, Result};
use crate::formula::Formula;
use crate::notation;
use crate::run::RunDir;

/// A search in its run directory.
pub struct Search<'a> {
    /// Who is born.
    pub breeder: Breeder<'a>,
    /// Who trains.
    pub evaluator: &'a dyn Evaluator,
    /// Where everything is written.
    pub run: &'a RunDir,
    /// Whether the time is over. Asked between generations alone, so that time decides nothing but when to stop.
    pub time_is_over: &'a dyn Fn() -> bool,
}

/// What a search ended with.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// The last generation.
    pub population: Population,
    /// Why there was none after it.
    pub reason: StopReason,
    /// Who won the last race; none if it was stopped, or if nobody trains a network.
    pub winner: Option<Winner>,
}

/// What becomes of the settings that may change from one go to the next.
const MAY_CHANGE: [&str; 4] =
    ["search.generations", "search.most_trainings", "search.most_steps", "search.most_minutes"];

impl Search<'_> {
    /// Searches until a budget is spent or `watch` returns false, from the newest saved generation if there is one, then
    /// lets the best race for the first place.
    ///
    /// # Errors
    /// If the run cannot be read or written, a training failed for reasons of the machine, or the search was stopped
    /// before its first generation was complete.
    pub fn run(&self, watch: Watch<'_>) -> Result<Ended> {
        self.breeder.config.check()?;
        let config = self.breeder.config.strategy.settle(self.breeder.config);
        let breeder = Breeder { config: &config, ..self.breeder };
        let mut ledger = self.ledger()?;
        let mut newest = newest_population(self.run.path())?;
        let stopped =
            || Fault::stopped("stopped before the first generation was complete; finished trainings are saved");
        if newest.is_none() && config.headroom > 0 && self.headroom_of(&mut ledger, watch)?.is_none() {
            return Err(stopped());
        }
        let mut memory = breeder.memory()?;
        let (population, reason) = loop {
            let reason = newest.as_ref().and_then(|population| self.stops(population));
            if let (Some(population), Some(reason)) = (newest.clone(), reason) {
                break (population, reason);
            }
            let Some(next) = self.next(breeder, newest.as_ref(), &mut memory, &mut ledger, watch)? else {
                let population = newest.ok_or_else(stopped)?;
                return Ok(Ended { population, reason: StopReason::Signal, winner: None });
            };
            self.save(&next)?;
            let go_on = ledger.tell(&Event::of(&next), watch)?;
            if !go_on && self.stops(&next).is_none() {
                return Ok(Ended { population: next, reason: StopReason::Signal, winner: None });
            }
            newest = Some(next);
        };
        if !ledger.tell(&Event::Stopped { reason }, watch)? {
            return Ok(Ended { population, reason: StopReason::Signal, winner: None });
        }
        let mut finals = winner::Finals { breeder, run: self.run, ledger: &mut ledger };
        let winner = finals.hold(&population, reason, watch)?;
        let interrupted = winner.is_none() && population.best().is_some_and(Individual::is_confirmed);
        let reason = if interrupted { StopReason::Signal } else { reason };
        Ok(Ended { population, reason, winner })
    }

    /// Measures what the proxy can tell with the whole catalog and three replicates, and what other learning rates would
    /// change; writes it down. `None` if the watcher wants to stop.
    ///
    /// # Errors
    /// As [`Search::run`].
    pub fn headroom(&self, watch: Watch<'_>) -> Result<Option<Headroom>> {
        let mut ledger = self.ledger()?;
        let losses = Headroom::losses(None);
        let Some(headroom) = self.measure(&losses, true, &mut ledger, watch)? else { return Ok(None) };
        let formulas: Vec<&Formula> = losses.iter().map(|(_, formula)| formula).collect();
        let Some(sweep) = Sweep::measure(&formulas, &mut ledger, watch)? else { return Ok(None) };
        let headroom = Headroom { sweep: Some(sweep), ..headroom };
        self.run.write(HEADROOM, notation::to_text(&headroom)?.as_bytes())?;
        Ok(Some(headroom))
    }

    /// The short form of the report: a few losses and two replicates.
    fn headroom_of(&self, ledger: &mut Ledger<'_>, watch: Watch<'_>) -> Result<Option<Headroom>> {
        let losses = Headroom::losses(Some(self.breeder.config.headroom));
        let found = self.measure(&losses, false, ledger, watch)?;
        if let Some(headroom) = &found
            && !ledger.tell(&Event::Headroom { verdict: headroom.verdict() }, watch)?
        {
            return Ok(None);
        }
        Ok(found)
    }

    fn measure(
        &self,
        losses: &[(String, Formula)],
        whole: bool,
        ledger: &mut Ledger<'_>,
        watch: Watch<'_>,
    ) -> Result<Option<Headroom>> {
        let config = self.breeder.config;
        let replicates = if whole { 3 } else { 2 };
        let found = Headroom::measure(losses, replicates, whole, config, self.evaluator, ledger, watch)?;
        if let Some(headroom) = &found {
            self.run.write(HEADROOM, notation::to_text(headroom)?.as_bytes())?;
        }
        Ok(found)
    }

    /// Everything that was trained; under other settings than those of the run, nothing is.
    fn ledger(&self) -> Result<Ledger<'_>> {
        let mut context = settings("search", self.breeder.config)?;
        // What was added since, at the value that leaves all as it was: runs from before go on.
        let added =
            |name: &str, value: &str| [("search.guesses", "[]"), ("search.sift", "Starts")].contains(&(name, value));
        context.retain(|(name, value)| !MAY_CHANGE.contains(&name.as_str()) && !added(name, value));
        let grammar = blake3::hash(self.breeder.grammar.text.as_bytes()).to_hex()[..16].to_string();
        context.extend([("grammar".to_string(), grammar), ("seed".to_string(), self.breeder.seed.to_string())]);
        Ledger::open(self.evaluator, self.run, context)
    }

    /// Why there is no generation after this one.
    fn stops(&self, population: &Population) -> Option<StopReason> {
        let config = self.breeder.config;
        let spent = population.spent;
        if population.generation >= config.generations {
            Some(StopReason::Generations)
        } else if config.most_trainings.is_some_and(|most| spent.trainings >= most) {
            Some(StopReason::Trainings)
        } else if config.most_steps.is_some_and(|most| spent.steps >= most) {
            Some(StopReason::Steps)
        } else {
            (self.time_is_over)().then_some(StopReason::Time)
        }
    }

    /// The generation after `parents`, or the first; `None` if the watcher wants to stop.
    fn next(
        &self,
        breeder: Breeder<'_>,
        parents: Option<&Population>,
        memory: &mut Memory,
        ledger: &mut Ledger<'_>,
        watch: Watch<'_>,
    ) -> Result<Option<Population>> {
        let generation = parents.map_or(0, |parents| parents.generation + 1);
        let mut adapted = Ok(true);
        let brood = breeder.brood(parents, memory, &mut |loss| {
            if matches!(adapted, Ok(true)) {
                adapted = ledger.train(Stage::Generation(generation), Trial::Adapt, &[loss], watch);
            }
            match ledger.outcome(Trial::Adapt, loss)? {
                Outcome::Adapted { loss } => loss.parse().ok(),
                _ => None,
            }
        })?;
        // Whoever was bred after a refusal was bred without what the training would have told.
        let Some(brood) = brood.filter(|_| !matches!(adapted, Ok(false))) else { return Ok(None) };
        adapted?;
        for skipped in &brood.skipped {
            ledger.tell(skipped, watch)?;
        }
        // For the record: there are many, and nobody who watches waits for them.
        for refused in &brood.tally.refused {
            self.run.event(&Event::rejected(generation, refused))?;
        }
        if !ledger.tell(&Event::bred(generation, &brood), watch)? {
            return Ok(None);
        }
        let losses: Vec<&Formula> = brood.children.iter().map(|unborn| &unborn.formula).collect();
        let climbs = rungs::climb(generation, &losses, breeder.config, breeder.seed, ledger, watch)?;
        let Some(climbs) = climbs else { return Ok(None) };
        let mut next = succession::succeed(parents, brood, climbs, breeder.config);
        if !race::elect(&mut next, breeder.config, ledger, watch)? {
            return Ok(None);
        }
        next.spent = ledger.spent(generation);
        Ok(Some(next))
    }

    fn save(&self, population: &Population) -> Result<()> {
        self.run.write(&generation_file(population.generation), population.to_text()?.as_bytes())?;
        // Of a loss that is not confirmed nobody knows whether it trains a fresh network.
        let mut rows = String::from("size,dice,hd95_mm,gain,hd95_gain_mm,replicates,scratch_dice,confirmed,id,loss\n");
        for individual in population.front() {
            if let Some(score) = individual.outcome.score() {
                rows += &format!(
                    "{},{:.6},{:.4},{:.6},{:.4},{},{},{},{},{}\n",
                    individual.formula.size(),
                    score.mean_dice(),
                    score.mean_hd95_mm(),
                    individual.gain(),
                    individual.surface_gain(),
                    individual.gains.len(),
                    individual.scratch.map_or(String::new(), |dice| format!("{dice:.6}")),
                    individual.is_confirmed(),
                    individual.id,
                    individual.formula
                );
            }
        }
        self.run.write("front.csv", rows.as_bytes())
    }
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
