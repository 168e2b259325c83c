//! `lossgen compare`: losses over folds and seeds, as a grid of trainings that can be continued and extended.

use std::path::PathBuf;

use clap::Args;

use super::Common;
use super::study::{Asker, Estimate, Grid, Plan, Report, Selection, Setup};
use super::term::Term;
use crate::fault::Result;

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(super) struct Arguments {
    #[command(flatten)]
    setup: Setup,
    /// Seeds of weights and patches: every loss is trained once per fold with each; without it, those of the configuration
    #[arg(long, value_name = "N,N", value_delimiter = ',')]
    seeds: Vec<u64>,
    /// Continue a run, or extend it: losses and seeds that are typed beside it are added, and what is there is not trained
    /// again
    #[arg(long, value_name = "DIR", conflicts_with_all = ["config", "run", "folds", "splits", "steps", "out", "seed"])]
    resume: Option<PathBuf>,
    /// Train only cells whose name fits, for example `dice`, `fold1` or `*/fold2/seed7`
    #[arg(long, value_name = "PATTERN")]
    only: Option<String>,
    /// Train cells again that are done
    #[arg(long)]
    redo: bool,
    /// Train cells again that failed for reasons of the machine
    #[arg(long)]
    retry_failed: bool,
    /// Train nothing: list the cells, and say what they would take in time, memory and disk
    #[arg(long)]
    dry_run: bool,
    /// Leave pictures of cases out of the report
    #[arg(long)]
    no_pictures: bool,
}

pub(super) fn run(arguments: &Arguments, common: &Common, term: &Term) -> Result<()> {
    let Arguments { setup, seeds, resume, only, redo, retry_failed, dry_run, no_pictures } = arguments;
    let selection = Selection { command: "compare", only: only.clone(), redo: *redo, retry_failed: *retry_failed };
    let plan = match resume {
        Some(run) => Plan::resumed(run, &setup.losses, seeds, common, term)?,
        None => Plan::new(Asker::Compare, setup, seeds, common, term)?,
    };
    let grid = Grid::new(&plan, resume.as_deref())?;
    grid.check(&selection)?;
    if *dry_run {
        let estimate = Estimate::new(&grid, &selection, common, term)?;
        term.result(&if common.json { estimate.json() } else { estimate.text() });
        return Ok(());
    }
    let out = match resume {
        Some(run) => plan.open(run)?,
        None => plan.create("runs/compare", common)?,
    };
    term.say(&plan.told(&out, common));
    let mut report = Report::new(&plan.manifest, (!no_pictures).then_some(&plan.cases));
    grid.work(&selection, &out, common, term, &mut |standing| {
        standing.write_tables(&out)?;
        report.write(standing, &out, &mut |_| {})
    })?;
    let standing = grid.standing();
    standing.write_tables(&out)?;
    report.write(&standing, &out, &mut |remark| term.say(remark))?;
    term.say(&format!("report: {}", out.file("report.html").display()));
    standing.conclude(&out, common.json, term)
}
