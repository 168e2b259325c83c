//! What a comparison would take: `lossgen compare --dry-run`.
//!
//! Trainings that are over say how long others of their loss take. For a loss without one, a few steps are made and a test case
//! is predicted; that is measured with one training alone, so several at once may be slower than told.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::Plan;
use super::cell::{Purpose, Task, cell, fits};
use super::grid::{Grid, Selection};
use crate::cli::stopwatch::Stopwatch;
use crate::cli::term::{Term, table};
use crate::cli::{Common, memory};
use crate::fault::{Fault, Result};
use crate::losses::strategy::Kind;
use crate::stats::summary::quantile;
use crate::training::crossval::{Cell, Study};
use crate::training::{Job, Recipe, train};

/// Steps that are made to know how long one takes; the first of all is not counted.
const STEPS: usize = 3;

/// Bytes of a step in the curves: a line of the table, and two or three events.
const BYTES_OF_A_STEP: f64 = 250.0;

const MIB: f64 = (1_u64 << 20) as f64;

/// The cells, and what those that are open would take.
pub(in crate::cli) struct Estimate {
    cells: Vec<Line>,
    workers: usize,
    /// Of one open cell after the other.
    seconds: f64,
    /// Whether steps were measured.
    measured: bool,
    memory_mib: Option<f64>,
    disk_mib: f64,
}

/// A cell.
struct Line {
    name: String,
    state: String,
    /// What it would take; none if it is not open.
    seconds: Option<f64>,
}

/// What was measured of a loss.
struct Pace {
    step: f64,
    /// Of a voxel of a test volume.
    voxel: f64,
}

impl Estimate {
    /// Looks at the grid, and measures what no finished cell tells.
    ///
    /// # Errors
    /// If a step cannot be made.
    pub(in crate::cli) fn new(grid: &Grid<'_>, selection: &Selection, common: &Common, term: &Term) -> Result<Self> {
        let plan = grid.plan;
        let tasks = every(grid)?;
        let open: Vec<bool> = tasks.iter().map(|(task, known)| is_open(grid, task, *known, selection)).collect();
        let count = open.iter().filter(|open| **open).count();
        let workers = common.threads().clamp(1, count.max(1));
        let study = plan.study(common);
        let resident = memory::resident();
        let mut measured = false;
        let mut pace_of = |loss: usize| -> Result<Option<f64>> {
            let mut of = tasks.iter().zip(&open).filter(|((task, _), open)| **open && task.cell.loss == loss);
            let Some(((task, _), _)) = of.next() else { return Ok(None) };
            if let Some(seconds) = finished(grid, &tasks, loss) {
                return Ok(Some(seconds));
            }
            if !measured {
                term.say("measuring a few steps of each loss ...");
                pace(&study, &task.cell, 1)?;
                measured = true;
            }
            let Pace { step, voxel } = pace(&study, &task.cell, STEPS)?;
            let voxels = task.cell.cases.test.iter().map(|place| plan.cases[*place].native_grid().voxels());
            Ok(Some(step * study.recipe.steps as f64 + voxel * voxels.sum::<usize>() as f64))
        };
        let paces: Vec<Option<f64>> = (0..plan.losses.len()).map(&mut pace_of).collect::<Result<_>>()?;
        let line = |((task, _), open): (&(Task, bool), &bool)| Line {
            name: task.name.clone(),
            state: grid.state(task),
            seconds: paces[task.cell.loss].filter(|_| *open),
        };
        let cells: Vec<Line> = tasks.iter().zip(&open).map(line).collect();
        let seconds = cells.iter().filter_map(|cell| cell.seconds).sum();
        let memory_mib = resident.zip(memory::peak()).map(|(resident, peak)| {
            let one = if measured { (peak - resident).max(0.0) } else { 0.0 };
            peak.max(resident + workers as f64 * one)
        });
        let results = tasks.iter().zip(&open).filter(|((task, _), open)| **open && task.purpose == Purpose::Result);
        let disk_mib = disk(plan, results.map(|((task, _), _)| task), workers)? / MIB;
        Ok(Self { cells, workers, seconds, measured, memory_mib, disk_mib })
    }

    /// For people.
    pub(in crate::cli) fn text(&self) -> String {
        let row = |line: &Line| {
            let time = line.seconds.map_or("-".to_string(), duration);
            vec![line.name.clone(), line.state.clone(), time]
        };
        let head = ["cell", "state", "takes about"].map(String::from).to_vec();
        let cells = table(head, self.cells.iter().map(row).collect(), |column| column == 2);
        let open = self.cells.iter().filter(|cell| cell.seconds.is_some()).count();
        let basis =
            if self.measured { "from a few steps of each loss, measured alone" } else { "from cells that are done" };
        let memory = self.memory_mib.map_or("unknown".to_string(), |mib| format!("about {mib:.0} MiB"));
        format!(
            "{cells}\n\n{open} of {} cells to train, {} at once: about {} ({basis})\nmemory: {memory}; disk: about {:.0} MiB; nothing was trained or written",
            self.cells.len(),
            self.workers,
            duration(self.seconds / self.workers as f64),
            self.disk_mib.ceil(),
        )
    }

    /// For programs.
    pub(in crate::cli) fn json(&self) -> String {
        let cell = |line: &Line| serde_json::json!({ "cell": line.name, "state": line.state, "seconds": line.seconds });
        serde_json::json!({
            "cells": self.cells.iter().map(cell).collect::<Vec<_>>(),
            "open": self.cells.iter().filter(|cell| cell.seconds.is_some()).count(),
            "at_once": self.workers,
            "seconds": self.seconds / self.workers as f64,
            "measured": self.measured,
            "memory_mib": self.memory_mib,
            "disk_mib": self.disk_mib,
        })
        .to_string()
    }
}

/// All cells; those whose learning rate is not chosen yet stand with a factor of 1, and are told to be unknown.
fn every(grid: &Grid<'_>) -> Result<Vec<(Task, bool)>> {
    let plan = grid.plan;
    let known = grid.tasks()?;
    let mut all: Vec<(Task, bool)> = grid.trials.iter().map(|task| (task.clone(), true)).collect();
    for loss in 0..plan.losses.len() {
        for (fold, cases) in plan.folds.iter().enumerate() {
            for seed in &plan.manifest.seeds {
                let is = |task: &&Task| (task.cell.loss, task.cell.fold, task.cell.seed) == (loss, fold, *seed);
                let placeholder = || {
                    let cell = cell(loss, fold, *seed, cases, 1.0);
                    plan.task(cell, Purpose::Result, &plan.recipe(1.0))
                };
                all.push(
                    known
                        .iter()
                        .find(is)
                        .map_or_else(|| Ok((placeholder()?, false)), |task| Ok((task.clone(), true)))?,
                );
            }
        }
    }
    Ok(all)
}

fn is_open(grid: &Grid<'_>, task: &Task, known: bool, selection: &Selection) -> bool {
    if known {
        return !grid.open(std::slice::from_ref(task), selection).is_empty();
    }
    selection.only.as_ref().is_none_or(|pattern| fits(pattern, &task.name))
}

/// The median time of the finished cells of a loss.
fn finished(grid: &Grid<'_>, tasks: &[(Task, bool)], loss: usize) -> Option<f64> {
    let of = tasks.iter().filter(|(task, _)| task.cell.loss == loss);
    let records = of.filter_map(|(task, _)| grid.record(task)).filter(|record| record.rows().is_some());
    let mut seconds: Vec<f64> = records.map(|record| record.seconds).filter(|seconds| *seconds > 0.0).collect();
    seconds.sort_unstable_by(f64::total_cmp);
    (!seconds.is_empty()).then(|| quantile(&seconds, 0.5))
}

/// Seconds of a step of a loss, and of a voxel of a prediction, on one of the threads that a training would have.
fn pace(study: &Study<'_>, cell: &Cell, steps: usize) -> Result<Pace> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let pool = pool.map_err(|error| Fault::failed(format!("cannot start a thread: {error}")))?;
    pool.install(|| {
        let recipe = Recipe { steps, ..study.recipe.clone() };
        let cases = study.pick(&cell.cases.train);
        let loss = &study.losses[cell.loss];
        let job = Job { cases: &cases, loss, recipe: &recipe, seed: cell.seed, sequence: cell.fold as u64 };
        let fresh = study.fresh(cell);
        let mut watch = Stopwatch::start();
        let mut laps = Vec::new();
        train(fresh.clone(), &job, &mut |_| {
            laps.push(watch.lap() / 1e3);
            true
        });
        let first = laps.first().copied().unwrap_or_default();
        let rest = laps.iter().skip(1).copied().fold(f64::INFINITY, f64::min).min(first);
        // Trials of parameters are made in the first step and in every so many.
        let step = match &loss.kind {
            Kind::Greedy { greedy, .. } => rest + (first - rest) / greedy.every as f64,
            _ => rest,
        };
        let case = study.pick(&cell.cases.test[..1]);
        watch.lap();
        study.judge(&fresh, &case, &mut |_, _| Ok(()))?;
        Ok(Pace { step, voxel: watch.lap() / 1e3 / case[0].native_grid().voxels() as f64 })
    })
}

/// Bytes of models, masks, curves and checkpoints.
fn disk<'a>(plan: &Plan, tasks: impl Iterator<Item = &'a Task>, workers: usize) -> Result<f64> {
    let model = 4.0 * plan.network.parameters() as f64;
    let masks: Vec<f64> =
        plan.cases.iter().map(|case| packed(&case.native_label.whole()?.voxels)).collect::<Result<_>>()?;
    let curves = BYTES_OF_A_STEP * plan.config().train.recipe.steps as f64;
    let cell = |task: &Task| model + curves + task.cell.cases.test.iter().map(|place| masks[*place]).sum::<f64>();
    // Weights and at most two moments of each.
    let checkpoints = if plan.config().train.checkpoint > 0 { 3.0 * model * workers as f64 } else { 0.0 };
    Ok(checkpoints + tasks.map(cell).sum::<f64>())
}

/// Bytes of a mask, compressed.
fn packed(mask: &[u8]) -> Result<f64> {
    let failed = |error: std::io::Error| Fault::failed(format!("cannot compress a mask: {error}"));
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(mask).map_err(failed)?;
    Ok(encoder.finish().map_err(failed)?.len() as f64)
}

/// A duration for people.
fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 99.5 => format!("{s:.0} s"),
        s if s < 5970.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", s / 3600.0),
        s => format!("{:.1} days", s / 86_400.0),
    }
}
