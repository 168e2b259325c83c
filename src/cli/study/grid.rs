//! The grid at work: which cells are open, their trainings, and a line in the journal for each that is over.
//!
//! A cell is pending, running, done or failed for a reason. Whoever is done is found by the digest of everything that decides
//! the result, so a run can be stopped, continued and extended, and nothing is paid for twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::ProgressBar;

use super::Plan;
use super::cell::{Purpose, Task, cell, fits};
use super::rates::Choice;
use super::record::{Ending, Record};
use super::standing::{JOURNAL, Standing};
use crate::cli::stopwatch::Stopwatch;
use crate::cli::term::Term;
use crate::cli::{Common, STOP};
use crate::data::Case;
use crate::fault::{Fault, Result};
use crate::metrics::Metric;
use crate::metrics::table::Table;
use crate::run::{self, Journal, RunDir, read_journal};
use crate::training::crossval::{Cell, CellOutcome, Watcher};
use crate::volume::Volume;

/// Folder of the checkpoints of cells that are not over.
const CHECKPOINTS: &str = "checkpoints";

/// Which cells are to be trained.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Selection {
    /// The command that continues the work.
    pub(in crate::cli) command: &'static str,
    /// Only cells whose name fits.
    pub(in crate::cli) only: Option<String>,
    /// Also those that are done.
    pub(in crate::cli) redo: bool,
    /// Also those that failed for reasons of the machine or the data. What diverged does so again.
    pub(in crate::cli) retry_failed: bool,
}

/// A comparison and what is known of its cells.
pub(in crate::cli) struct Grid<'a> {
    pub(in crate::cli) plan: &'a Plan,
    pub(in crate::cli) trials: Vec<Task>,
    board: Mutex<Board>,
}

#[derive(Default)]
struct Board {
    /// What is over, by key.
    over: BTreeMap<String, Record>,
    running: BTreeSet<String>,
}

impl<'a> Grid<'a> {
    /// The grid of a plan, with what the journal of its run says, if there is a run.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub(in crate::cli) fn new(plan: &'a Plan, run: Option<&Path>) -> Result<Self> {
        let grid = Self { plan, trials: plan.trials()?, board: Mutex::default() };
        for record in run.map_or(Ok(Vec::new()), |run| read_journal::<Record>(&run.join(JOURNAL)))? {
            let key = if record.key.is_empty() { grid.key_of(&record)? } else { record.key.clone() };
            let seed = if record.key.is_empty() { plan.manifest.seeds[0] } else { record.seed };
            grid.board().over.insert(key.clone(), Record { key, seed, ..record });
        }
        Ok(grid)
    }

    /// The key of a record of an earlier version, which knew losses and folds alone.
    fn key_of(&self, record: &Record) -> Result<String> {
        let plan = self.plan;
        let cases = plan.folds.get(record.fold).filter(|_| record.loss < plan.losses.len()).ok_or_else(|| {
            Fault::new("the journal has a cell that the run has not")
                .expected(format!("{} losses and {} folds", plan.losses.len(), plan.folds.len()))
                .found(format!("loss {}, fold {}", record.loss + 1, record.fold + 1))
                .hint("the journal is of another run; restore it, or start a new run")
        })?;
        let cell = cell(record.loss, record.fold, plan.manifest.seeds[0], cases, 1.0);
        Ok(plan.task(cell, Purpose::Result, &plan.recipe(1.0))?.key)
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        // What a thread that panicked left is whole: entries are inserted at once.
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known by now.
    pub(in crate::cli) fn standing(&self) -> Standing<'_> {
        let tasks = self.tasks().unwrap_or_default();
        let board = self.board();
        // Only records under today's keys: the journal may have cells of a factor that is not chosen any more.
        let known = self.trials.iter().chain(&tasks).filter_map(|task| board.over.get(&task.key).cloned());
        Standing::new(&self.plan.manifest, known.collect::<Vec<_>>())
    }

    /// The learning rates that are chosen by now.
    pub(in crate::cli) fn choices(&self) -> Vec<Choice> {
        let over = self.board().over.iter().map(|(key, record)| (key.clone(), record.ending.clone())).collect();
        self.plan.choices(&self.trials, &over)
    }

    /// The trainings of the comparison whose learning rate is known.
    ///
    /// # Errors
    /// None that a person can cause.
    pub(in crate::cli) fn tasks(&self) -> Result<Vec<Task>> {
        self.plan.results(&self.choices())
    }

    /// How a cell stands: `pending`, `running`, `done` or `failed(reason)`.
    pub(in crate::cli) fn state(&self, task: &Task) -> String {
        let board = self.board();
        match board.over.get(&task.key) {
            _ if board.running.contains(&task.key) => "running".to_string(),
            None => "pending".to_string(),
            Some(record) => record.ending.trouble().map_or("done".to_string(), |why| format!("failed({why})")),
        }
    }

    /// What became of a cell.
    pub(in crate::cli) fn record(&self, task: &Task) -> Option<Record> {
        self.board().over.get(&task.key).cloned()
    }

    /// The tasks among `tasks` that are to be trained.
    pub(in crate::cli) fn open(&self, tasks: &[Task], selection: &Selection) -> Vec<Task> {
        let Selection { only, redo, retry_failed, .. } = selection;
        let is_open = |task: &&Task| {
            let wanted = match self.board().over.get(&task.key).map(|record| &record.ending) {
                None => true,
                Some(Ending::Failed { .. }) => *redo || *retry_failed,
                Some(Ending::Trained(_) | Ending::Diverged { .. }) => *redo,
            };
            wanted && only.as_ref().is_none_or(|pattern| self.names(task).iter().any(|name| fits(pattern, name)))
        };
        tasks.iter().filter(is_open).cloned().collect()
    }

    /// The names by which a cell is chosen: a trial serves the cells of all seeds.
    fn names(&self, task: &Task) -> Vec<String> {
        if task.purpose == Purpose::Result {
            return vec![task.name.clone()];
        }
        let loss = &self.plan.losses[task.cell.loss].name;
        let seeds = self.plan.manifest.seeds.iter();
        let of_seeds = seeds.map(|seed| format!("{loss}/fold{}/seed{seed}", task.cell.fold + 1));
        of_seeds.chain([task.name.clone()]).collect()
    }

    /// Refuses a pattern that no cell fits.
    ///
    /// # Errors
    /// If there is none.
    pub(in crate::cli) fn check(&self, selection: &Selection) -> Result<()> {
        let Some(pattern) = &selection.only else { return Ok(()) };
        let plan = self.plan;
        let mut names = Vec::new();
        for loss in 0..plan.losses.len() {
            for (fold, cases) in plan.folds.iter().enumerate() {
                for seed in &plan.manifest.seeds {
                    let cell = cell(loss, fold, *seed, cases, 1.0);
                    names.push(plan.task(cell, Purpose::Result, &plan.recipe(1.0))?.name);
                }
            }
        }
        names.extend(self.trials.iter().map(|task| task.name.clone()));
        if names.iter().any(|name| fits(pattern, name)) {
            return Ok(());
        }
        Err(Fault::new("no cell is called so")
            .field("--only")
            .expected(format!("a part of a name such as `{}`, or a pattern with `*`", names[0]))
            .found(format!("`{pattern}`"))
            .hint("`--dry-run` lists all cells"))
    }

    /// Trains what is open, trials first. Every finished cell is on the disk before the next one is looked at; then `after` is
    /// called.
    ///
    /// # Errors
    /// If a result cannot be written, or a signal stopped the work.
    pub(in crate::cli) fn work(
        &self,
        selection: &Selection,
        out: &RunDir,
        common: &Common,
        term: &Term,
        after: &mut dyn FnMut(&Standing<'_>) -> Result<()>,
    ) -> Result<()> {
        self.check(selection)?;
        let [all, over, _] = self.standing().counts();
        if over > 0 {
            term.say(&format!("{over} of {all} trainings found in the journal"));
        }
        let trials = self.open(&self.trials, selection);
        self.train(&trials, selection, out, common, term, &mut |_| Ok(()))?;
        let open = self.open(&self.tasks()?, selection);
        self.train(&open, selection, out, common, term, after)?;
        self.write(out)
    }

    fn train(
        &self,
        tasks: &[Task],
        selection: &Selection,
        out: &RunDir,
        common: &Common,
        term: &Term,
        after: &mut dyn FnMut(&Standing<'_>) -> Result<()>,
    ) -> Result<()> {
        if tasks.is_empty() {
            return Ok(());
        }
        let plan = self.plan;
        let study = plan.study(common);
        let mut journal = Journal::open(&out.file(JOURNAL))?;
        let bar = term.bar((tasks.len() * study.recipe.steps) as u64, "training");
        let desk = Desk { grid: self, out, tasks, bar: &bar, watches: Mutex::default() };
        let cells: Vec<Cell> = tasks.iter().map(|task| task.cell.clone()).collect();
        let mut trouble: Option<Fault> = None;
        study.run(&cells, &desk, &mut |place, outcome| {
            let seconds = desk.seconds(place);
            match self.finish(&tasks[place], outcome, seconds, out, &mut journal, term) {
                Err(fault) => trouble = Some(fault),
                Ok(()) => trouble = self.write(out).and_then(|()| after(&self.standing())).err(),
            }
            trouble.is_none() && !STOP.load(Ordering::SeqCst)
        });
        bar.finish_and_clear();
        if let Some(fault) = trouble {
            return Err(fault);
        }
        let left = tasks.iter().any(|task| self.board().running.contains(&task.key) || self.record(task).is_none());
        if STOP.load(Ordering::SeqCst) && left {
            self.board().running.clear();
            self.write(out)?;
            let resume = format!("lossgen {} --resume {}", selection.command, out.path().display());
            return Err(Fault::stopped("stopped; finished trainings are saved, and checkpoints of the others")
                .hint(format!("continue with `{resume}`")));
        }
        Ok(())
    }

    /// A cell is over: its files, then its line.
    fn finish(
        &self,
        task: &Task,
        outcome: CellOutcome,
        seconds: f64,
        out: &RunDir,
        journal: &mut Journal,
        term: &Term,
    ) -> Result<()> {
        let mut curve = Vec::new();
        let ending = match outcome {
            CellOutcome::Trained { network, metrics, curve: steps } => {
                curve = steps;
                let rows = self.plan.rows(task, metrics);
                if task.purpose == Purpose::Result {
                    self.plan.keep(out, task, &network, &curve, &rows)?;
                }
                Ending::Trained(rows)
            }
            CellOutcome::Diverged { step } => Ending::Diverged { step },
            CellOutcome::Failed { reason } => Ending::Failed { reason },
        };
        let record = Record::new(task, ending, seconds, &curve);
        term.say(&format!("  {}: {}", self.called(task), said(&record)));
        journal.append(&record)?;
        let checkpoint = checkpoint(out, task);
        if checkpoint.exists() {
            fs::remove_file(&checkpoint).map_err(|error| Fault::io("remove", &checkpoint, &error))?;
        }
        let mut board = self.board();
        board.running.remove(&task.key);
        board.over.insert(task.key.clone(), record);
        Ok(())
    }

    /// A cell as people are told of it.
    fn called(&self, task: &Task) -> String {
        let (plan, cell) = (self.plan, &task.cell);
        let mut text = format!("{}, fold {}/{}", plan.losses[cell.loss].name, cell.fold + 1, plan.folds.len());
        if plan.manifest.seeds.len() > 1 {
            text += &format!(", seed {}", cell.seed);
        }
        if task.purpose == Purpose::Trial {
            text += &format!(", learning rate x {}", cell.rate_factor);
        }
        text
    }

    /// Every cell and how it stands, as `grid.csv`.
    fn write(&self, out: &RunDir) -> Result<()> {
        let mut csv = csv::Writer::from_writer(Vec::new());
        let failed = |error: csv::Error| Fault::failed(format!("cannot write the grid: {error}"));
        csv.write_record(["cell", "loss", "fold", "seed", "rate_factor", "state", "dice", "seconds", "folder"])
            .map_err(failed)?;
        for task in self.trials.iter().chain(&self.tasks()?) {
            let (record, cell) = (self.record(task), &task.cell);
            let dice = record.as_ref().and_then(mean_dice).map_or(String::new(), |dice| dice.to_string());
            let seconds = record.map_or(String::new(), |record| format!("{:.1}", record.seconds));
            let loss = &self.plan.losses[cell.loss].name;
            let [fold, seed, factor] =
                [(cell.fold + 1).to_string(), cell.seed.to_string(), cell.rate_factor.to_string()];
            let row = [&task.name, loss, &fold, &seed, &factor, &self.state(task), &dice, &seconds, &task.stem];
            csv.write_record(row.map(String::as_str)).map_err(failed)?;
        }
        let bytes = csv.into_inner().map_err(|error| Fault::failed(error.to_string()))?;
        out.write("grid.csv", &bytes)
    }
}

fn mean_dice(record: &Record) -> Option<f64> {
    Some(Table { rows: record.rows()?.clone() }.over_cases(Metric::Dice, None).mean)
}

/// What became of a cell, in words.
fn said(record: &Record) -> String {
    let Some(dice) = mean_dice(record) else {
        let why = record.ending.trouble().unwrap_or_default();
        return if matches!(record.ending, Ending::Failed { .. }) { format!("failed: {why}") } else { why };
    };
    let [forward, backward] = record.passes;
    let trials = if forward + backward == 0.0 {
        String::new()
    } else {
        format!("; trials took {forward:.2} passes forward and {backward:.2} backward a step")
    };
    format!("Dice {:.2} %{trials}", 100.0 * dice)
}

fn checkpoint(out: &RunDir, task: &Task) -> PathBuf {
    out.file(CHECKPOINTS).join(format!("{}.safetensors", task.key))
}

/// Takes what cells have to say while they train.
struct Desk<'a> {
    grid: &'a Grid<'a>,
    out: &'a RunDir,
    tasks: &'a [Task],
    bar: &'a ProgressBar,
    watches: Mutex<BTreeMap<usize, Stopwatch>>,
}

impl Desk<'_> {
    /// Since a cell began.
    fn seconds(&self, cell: usize) -> f64 {
        let watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        watches.get(&cell).map_or(0.0, |watch| 60.0 * watch.minutes())
    }
}

impl Watcher for Desk<'_> {
    fn begins(&self, cell: usize) -> Result<()> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner).insert(cell, Stopwatch::start());
        self.grid.board().running.insert(self.tasks[cell].key.clone());
        self.grid.write(self.out)
    }

    fn step(&self, _: usize) {
        self.bar.inc(1);
    }

    fn kept(&self, cell: usize) -> Result<Option<Vec<u8>>> {
        let file = checkpoint(self.out, &self.tasks[cell]);
        if !file.exists() {
            return Ok(None);
        }
        fs::read(&file).map(Some).map_err(|error| Fault::io("read", &file, &error))
    }

    fn keep(&self, cell: usize, state: &[u8]) -> Result<()> {
        let folder = self.out.file(CHECKPOINTS);
        fs::create_dir_all(&folder).map_err(|error| Fault::io("create", &folder, &error))?;
        run::replace(&checkpoint(self.out, &self.tasks[cell]), state)
    }

    fn mask(&self, cell: usize, case: &Case, mask: &Volume<u8>) -> Result<()> {
        let task = &self.tasks[cell];
        if task.purpose == Purpose::Result { self.grid.plan.keep_mask(self.out, task, case, mask) } else { Ok(()) }
    }
}
