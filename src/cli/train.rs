//! `lossgen train`: any losses over k folds, judged on whole volumes.
//!
//! A comparison with one seed and one learning rate: everything else is that of `lossgen compare`.

use std::path::PathBuf;

use clap::Args;

use super::Common;
use super::study::{Asker, Grid, Plan, Selection, Setup};
use super::term::Term;
use crate::fault::Result;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    setup: Setup,
    /// Continue an interrupted run; with --data if its cases are elsewhere now
    #[arg(long, value_name = "DIR", conflicts_with_all = ["config", "losses", "run", "folds", "splits", "steps", "out", "seed"])]
    resume: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, common: &Common, term: &Term) -> Result<()> {
    let plan = match &arguments.resume {
        Some(run) => Plan::resumed(run, &[], &[], common, term)?,
        None => Plan::new(Asker::Train, &arguments.setup, &[], common, term)?,
    };
    let out = match &arguments.resume {
        Some(run) => plan.open(run)?,
        None => plan.create("runs/train", common)?,
    };
    term.say(&plan.told(&out, common));
    let grid = Grid::new(&plan, Some(out.path()))?;
    // A machine that failed is given another chance without being asked.
    let selection = Selection { command: "train", only: None, redo: false, retry_failed: true };
    grid.work(&selection, &out, common, term, &mut |standing| standing.write_tables(&out))?;
    let standing = grid.standing();
    standing.write_tables(&out)?;
    standing.conclude(&out, common.json, term)
}
