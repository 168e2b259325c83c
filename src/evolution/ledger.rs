//! What was trained: every result once, by what decides it, in `journal.jsonl`.
//!
//! The first line says under which settings the results hold; a run is not continued under others. Results are looked up
//! by trial and canonical text, so the order in which trainings finish decides nothing, and nothing is paid for twice.
//! What a generation cost is told by the lines that it wrote, and is the same after any interruption.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::event::{Event, Watch};
use super::fitness::{Evaluator, Gain, Outcome, Score, Trial, control};
use crate::fault::{Fault, Result};
use crate::formula::Formula;
use crate::run::{Journal, RunDir, read_journal};

/// Version of the journal: 1 had no first line, 2 one training from scratch.
const VERSION: u32 = 3;

/// A line of the journal.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    /// The first.
    Run { version: u32, context: BTreeMap<String, String> },
    /// A finished training.
    Training(Record),
    /// A generation needed what had been trained for something else before, and pays for it.
    Paid { generation: usize, trial: Trial, loss: String },
}

/// A finished training.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Record {
    /// The generation that paid for it; none if it was trained for something else.
    generation: Option<usize>,
    trial: Trial,
    /// The canonical text: with the trial, the key of the training.
    loss: String,
    outcome: Outcome,
}

/// Why losses are trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// To measure what the proxy can tell.
    Headroom,
    /// For a generation, on a rung or as an elite.
    Generation(usize),
    /// For the first place.
    Finals,
}

impl Stage {
    /// The generation that pays.
    pub(super) fn generation(self) -> Option<usize> {
        if let Self::Generation(generation) = self { Some(generation) } else { None }
    }
}

/// What a search has cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spent {
    /// Trainings of whatever length, those of the control among them.
    pub trainings: usize,
    /// Their optimiser steps.
    pub steps: u64,
}

/// Everything that was trained in a run.
pub(super) struct Ledger<'a> {
    evaluator: &'a dyn Evaluator,
    run: &'a RunDir,
    journal: Journal,
    results: BTreeMap<(Trial, String), (Option<usize>, Outcome)>,
    control: Formula,
}

impl<'a> Ledger<'a> {
    /// Reads what was trained already. `search` is what decides a search beside what decides its trainings.
    ///
    /// # Errors
    /// If the journal cannot be read or written, is damaged, or was written under other settings.
    pub(super) fn open(
        evaluator: &'a dyn Evaluator,
        run: &'a RunDir,
        search: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self> {
        let path = run.file("journal.jsonl");
        let context: BTreeMap<String, String> = evaluator.context().into_iter().chain(search).collect();
        let mut journal = Journal::open(&path)?;
        let mut lines = read_journal::<Line>(&path)?.into_iter();
        match lines.next() {
            None => journal.append(&Line::Run { version: VERSION, context })?,
            Some(Line::Run { version, .. }) if version != VERSION => {
                return Err(Fault::new("unknown version of a journal")
                    .file(path)
                    .field("version")
                    .expected(VERSION)
                    .found(version)
                    .hint("continue the run with the version that made it, or start a new run"));
            }
            Some(Line::Run { context: old, .. }) => compare(&old, &context).map_err(|fault| fault.file(&path))?,
            Some(Line::Training(_) | Line::Paid { .. }) => {
                return Err(Fault::new("the journal does not say under which settings it was written")
                    .file(path)
                    .field("line 1")
                    .expected("the settings of the run")
                    .found("a training")
                    .hint("restore the file from a copy, or start a new run"));
            }
        }
        let mut results = BTreeMap::new();
        for line in lines {
            match line {
                Line::Run { .. } => {}
                Line::Training(record) => {
                    results.insert((record.trial, record.loss), (record.generation, record.outcome));
                }
                Line::Paid { generation, trial, loss } => {
                    if let Some((payer, _)) = results.get_mut(&(trial, loss)) {
                        *payer = Some(generation);
                    }
                }
            }
        }
        Ok(Self { evaluator, run, journal, results, control: control().canonical() })
    }

    /// What became of a loss in a trial, if that is known.
    pub(super) fn outcome(&self, trial: Trial, loss: &Formula) -> Option<&Outcome> {
        self.results.get(&(trial, key(loss))).map(|(_, outcome)| outcome)
    }

    /// What a loss is beside the control in the same trial; none if it failed.
    pub(super) fn gain(&self, trial: Trial, loss: &Formula) -> Option<Gain> {
        Some(self.outcome(trial, loss)?.score()?.over(self.control(trial)?))
    }

    /// The control's score.
    pub(super) fn control(&self, trial: Trial) -> Option<&Score> {
        self.outcome(trial, &self.control)?.score()
    }

    /// What the generations up to this one have cost.
    pub(super) fn spent(&self, generation: usize) -> Spent {
        let paid = self.results.iter().filter(|(_, (payer, _))| payer.is_some_and(|payer| payer <= generation));
        paid.fold(Spent::default(), |spent, ((trial, _), _)| Spent {
            trainings: spent.trainings + 1,
            steps: spent.steps + self.evaluator.steps(*trial),
        })
    }

    /// Those of the losses that have no result yet, and the control, which is trained in every trial that needs it.
    fn open_losses(&self, trial: Trial, losses: &[&Formula]) -> Vec<Formula> {
        // Without the gate against duplicates, a loss may be among them twice; it is trained once.
        let mut keys = BTreeSet::new();
        let control = trial.needs_control().then_some(&self.control);
        let all = control.into_iter().chain(losses.iter().copied());
        let mut is_open = |loss: &&Formula| !self.results.contains_key(&(trial, key(loss))) && keys.insert(key(loss));
        all.filter(|loss| is_open(loss)).cloned().collect()
    }

    /// Trains what has no result yet, and the control beside it; false if the watcher wants to stop.
    ///
    /// A training that failed for reasons of the machine is tried once more. If it fails again the search ends with a
    /// fault, after the others are finished and saved, and whoever resumes it tries again: to go on without the result
    /// would make what follows depend on the machine's luck.
    ///
    /// # Errors
    /// As said, or if the control cannot be trained.
    pub(super) fn train(&mut self, stage: Stage, trial: Trial, losses: &[&Formula], watch: Watch<'_>) -> Result<bool> {
        let to_train = self.open_losses(trial, losses).len();
        let trying = Event::Trying { generation: stage.generation(), trial, losses: losses.len(), to_train };
        if !self.tell(&trying, watch)? {
            return Ok(false);
        }
        for last_attempt in [false, true] {
            let open = self.open_losses(trial, losses);
            let (go_on, failed) = self.attempt(stage, trial, &open, watch)?;
            match failed {
                Some(fault) if go_on && last_attempt => return Err(fault),
                Some(_) if go_on => {}
                _ => break,
            }
        }
        // Whoever stops during the last training still has all results; whoever stops earlier need not say so here, a
        // training that was cut short has no result.
        if !self.open_losses(trial, losses).is_empty() {
            return Ok(false);
        }
        self.pay(stage, trial, losses)?;
        if !trial.needs_control() {
            return Ok(true);
        }
        match self.outcome(trial, &self.control) {
            Some(Outcome::Trained(_)) => Ok(true),
            other => {
                Err(Fault::failed("the control, Dice + CE, could not be trained: there is nothing to compare with")
                    .file(self.run.path())
                    .field(trial.to_string())
                    .expected("a network")
                    .found(other.map_or_else(String::new, ToString::to_string))
                    .hint("lower `proxy.recipe.learning_rate`"))
            }
        }
    }

    /// What was trained to measure headroom or for an earlier last race costs the generation that needs it, as if it had
    /// been trained for it: what a search costs does not depend on what was done beside it.
    fn pay(&mut self, stage: Stage, trial: Trial, losses: &[&Formula]) -> Result<()> {
        let Some(generation) = stage.generation() else { return Ok(()) };
        for loss in std::iter::once(&self.control).chain(losses.iter().copied()).map(key) {
            if let Some((payer, _)) = self.results.get_mut(&(trial, loss.clone()))
                && payer.is_none()
            {
                *payer = Some(generation);
                self.journal.append(&Line::Paid { generation, trial, loss })?;
            }
        }
        Ok(())
    }

    /// Trains losses; whether to go on, and what failed for reasons of the machine.
    fn attempt(
        &mut self,
        stage: Stage,
        trial: Trial,
        losses: &[Formula],
        watch: Watch<'_>,
    ) -> Result<(bool, Option<Fault>)> {
        let generation = stage.generation();
        let mut status = Ok(true);
        let mut failed: Option<Fault> = None;
        let (evaluator, run) = (self.evaluator, self.run);
        evaluator.evaluate(trial, losses, &mut |slot, outcome| {
            let loss = &losses[slot];
            let told = match outcome {
                Ok(outcome) => {
                    let record = Record { generation, trial, loss: key(loss), outcome: outcome.clone() };
                    let judged = Event::Judged { generation, trial, loss: loss.to_string(), outcome: outcome.clone() };
                    self.results.insert((trial, key(loss)), (generation, outcome));
                    // A result that comes in after a refusal is still written; the refusal stands.
                    self.journal.append(&Line::Training(record)).and_then(|()| self.tell(&judged, watch))
                }
                Err(fault) => {
                    failed.get_or_insert_with(|| unfinished(run, loss, &fault));
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

    /// Writes an event down and tells whoever watches; whether to go on.
    pub(super) fn tell(&self, event: &Event, watch: Watch<'_>) -> Result<bool> {
        self.run.event(event)?;
        Ok(watch(event))
    }
}

/// Whether two sets of settings are the same.
fn compare(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Result<()> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let none = "nothing".to_string();
    let (expected, found) = (|name| old.get(name).unwrap_or(&none), |name| new.get(name).unwrap_or(&none));
    let Some(name) = names.into_iter().find(|name| old.get(*name) != new.get(*name)) else { return Ok(()) };
    Err(Fault::new("the run was begun with other data or settings")
        .field(name)
        .expected(expected(name))
        .found(found(name))
        .hint("resume with the data, the settings and the processor kind of the run, or start a new run"))
}

fn unfinished(run: &RunDir, loss: &Formula, fault: &Fault) -> Fault {
    Fault::failed("a training failed twice for a reason that is not its loss's; what is finished is saved")
        .file(run.path())
        .field(loss.to_string())
        .expected("a training that ends with a result")
        .found(fault)
        .hint(format!("`lossgen evolve --resume {}` tries it again", run.path().display()))
}

/// The canonical text of a loss.
fn key(loss: &Formula) -> String {
    loss.canonical().to_string()
}

/// A setting and everything in it, as names with values: `search.rates.point`, `3.0`.
///
/// # Errors
/// If it cannot be written down.
pub fn settings(name: &str, value: &impl Serialize) -> Result<Vec<(String, String)>> {
    let value = serde_json::to_value(value);
    let value = value.map_err(|error| Fault::failed(format!("cannot write settings down: {error}")))?;
    let mut found = Vec::new();
    flatten(name, &value, &mut found);
    Ok(found)
}

fn flatten(name: &str, value: &serde_json::Value, found: &mut Vec<(String, String)>) {
    match value {
        serde_json::Value::Object(fields) if !fields.is_empty() => {
            for (field, value) in fields {
                flatten(&format!("{name}.{field}"), value, found);
            }
        }
        serde_json::Value::String(text) => found.push((name.to_string(), text.clone())),
        other => found.push((name.to_string(), other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_that_differs_is_named() {
        #[derive(Serialize)]
        struct Inner {
            steps: usize,
            patch: [usize; 3],
        }
        let of = |steps| settings("proxy", &Inner { steps, patch: [8, 8, 8] }).unwrap().into_iter().collect();
        compare(&of(3), &of(3)).unwrap();
        let fault = compare(&of(3), &of(4)).unwrap_err().to_string();
        assert!(fault.contains("proxy.steps") && fault.contains('3') && fault.contains('4'), "{fault}");
        let fault = compare(&of(3), &BTreeMap::new()).unwrap_err().to_string();
        assert!(fault.contains("proxy.patch") && fault.contains("[8,8,8]") && fault.contains("nothing"), "{fault}");
    }
}
