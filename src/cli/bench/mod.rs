//! `lossgen bench`: how fast this machine does what a search spends its time on.
//!
//! Nothing here computes anything of its own: each benchmark calls what the rest of the program calls and reads the clock
//! around it. Inputs are made up from whole numbers, so that the scripts in `benches/` give other tools the very same
//! voxels. No comparison is made here; two measurements of a shared machine compare only when they alternate, which
//! `benches/pair.py` does.

mod distance;
mod durations;
mod formula;
mod gates;
mod report;
mod scene;
mod step;
mod surfaces;

use clap::{Args, Subcommand};

use super::Common;
use super::term::Term;
use crate::fault::{Fault, Result};
use report::Report;

/// One of the benchmarks; without a name the training step, the one that says how much a search can afford.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    step: step::Arguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Exact Euclidean distance transform of a 128 x 128 x 128 mask with anisotropic voxels
    Distance(distance::Arguments),
    /// All metrics of two 128 x 128 x 128 masks, surface distances included
    Surfaces(Repeats),
    /// Value and gradient of a loss: vectorised, as defined in double precision, and by automatic differentiation
    Formula(formula::Arguments),
    /// Losses looked at before any training: how many gates a second
    Gates(gates::Arguments),
    /// A training step of the 3D U-Net, part by part
    Step(step::Arguments),
}

/// How often something is done.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Repeats {
    /// How often it is measured
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    repeats: u32,
    /// How often it is done before that, unmeasured
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    warm_up: u32,
}

impl Repeats {
    /// All of them, the unmeasured ones included.
    fn total(self) -> usize {
        (self.warm_up + self.repeats) as usize
    }
}

pub(super) fn run(arguments: &Arguments, common: &Common, term: &Term) -> Result<()> {
    let threads = common.threads();
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|error| Fault::failed(format!("cannot start threads: {error}")))?;
    let mut report = pool.install(|| match &arguments.command {
        None => step::run(&arguments.step, common.seed.unwrap_or(1), term),
        Some(Command::Distance(arguments)) => distance::run(arguments, term),
        Some(Command::Surfaces(repeats)) => surfaces::run(*repeats, term),
        Some(Command::Formula(arguments)) => formula::run(arguments, common.seed.unwrap_or(1), term),
        Some(Command::Gates(arguments)) => gates::run(arguments, common.seed.unwrap_or(1), term),
        Some(Command::Step(arguments)) => step::run(arguments, common.seed.unwrap_or(1), term),
    })?;
    report.set("threads", threads);
    term.result(&if common.json { report.json() } else { report.table() });
    Ok(())
}

/// Somebody pressed Ctrl-C. What was measured so far would pass for what was asked for, so nothing is printed.
fn stopped() -> Fault {
    Fault::stopped("stopped before all repeats were measured")
}
