//! The command: what was typed, what it means, what is printed, and the exit code.

mod activation;
mod atlas;
mod bench;
mod compare;
mod config;
mod data;
mod doctor;
mod evaluate;
mod evolve;
mod explain;
mod export;
mod generate;
mod grammar;
mod inspect;
mod learn;
mod lineage;
mod loss;
mod manifest;
mod memory;
mod phases;
mod predict;
mod reference;
mod report;
mod settings;
mod stopwatch;
mod study;
mod term;
mod train;
mod watcher;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, Parser, Subcommand};

use crate::fault::{Fault, Kind, Result};
use crate::nn::{self, DeviceChoice, KernelPath};
use term::Term;

/// Discovers segmentation losses by genetic programming and proves them in k-fold runs.
#[derive(Debug, Parser)]
#[command(name = "lossgen", version, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 bad input, 3 stopped by a signal and resumable.";

/// What means the same in every command.
#[derive(Debug, Args)]
struct Common {
    /// Dataset (Medical Segmentation Decathlon, nnU-Net raw, BIDS, images/ and labels/) instead of the configured data
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where the results go; must not exist or be empty
    #[arg(short, long, global = true, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Seed of everything random
    #[arg(long, global = true, value_name = "N")]
    seed: Option<u64>,
    /// Threads in all; the result does not depend on it
    #[arg(long, global = true, value_name = "N")]
    threads: Option<usize>,
    /// Where networks are trained: auto, cpu, cuda or cuda:N
    #[arg(long, global = true, value_name = "D", default_value = "auto")]
    device: String,
    /// Print the result as JSON on standard output
    #[arg(long, global = true)]
    json: bool,
    /// Print nothing but the result
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Say more about what is being done
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    verbose: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Search for a loss; without a configuration, on built-in phantoms in a few minutes
    Evolve(evolve::Arguments),
    /// Show a population: table, Pareto front, one individual, lineage as DOT or SVG
    Inspect(inspect::Arguments),
    /// Learn a loss by what helps networks most, and find the formula nearest to it
    Learn(learn::Arguments),
    /// Train with any loss over k folds and print the table of metrics
    Train(train::Arguments),
    /// Compare losses over folds and seeds: a grid of trainings that can be continued and extended, with a report
    Compare(compare::Arguments),
    /// Write the report of a comparison anew
    Report(report::Arguments),
    /// Write masks of images, on the grid and with the header of each
    Predict(predict::Arguments),
    /// Compare predicted masks with the truth: every metric per case and class, and a summary
    Evaluate(evaluate::Arguments),
    /// The losses that people found, and any formula
    #[command(subcommand)]
    Loss(loss::Command),
    /// Take a loss home: PyTorch, MONAI, nnU-Net, Burn, LaTeX or text
    Export(export::Arguments),
    /// What a grammar can say, and whether a formula belongs to it
    #[command(subcommand)]
    Grammar(grammar::Command),
    /// Every small loss of a grammar, how many behave differently, and where known losses stand
    Atlas(atlas::Arguments),
    /// Check, show, divide or make up datasets
    #[command(subcommand)]
    Data(data::Command),
    /// How fast this machine is at what a search does
    Bench(bench::Arguments),
    /// What this machine is to the program, and whether it computes what it should
    Doctor(doctor::Arguments),
    /// What a configuration comes to, whether it can be run, and what every field means
    #[command(subcommand)]
    Config(settings::Command),
    /// Completions for shells, and manual pages
    #[command(subcommand)]
    Generate(generate::Command),
}

/// Set by a signal. Work looks at it and stops where it can be resumed.
static STOP: AtomicBool = AtomicBool::new(false);

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let term = Term::new(cli.common.quiet, cli.common.verbose);
    match run(&cli, &term) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            let code = match fault.kind() {
                Kind::Failed => 1,
                Kind::BadInput => 2,
                Kind::Stopped => 3,
            };
            term.fault(&fault);
            ExitCode::from(code)
        }
    }
}

fn run(cli: &Cli, term: &Term) -> Result<()> {
    let common = &cli.common;
    let device: DeviceChoice = common.device.parse()?;
    if common.threads == Some(0) {
        return Err(Fault::new("no threads to compute with")
            .field("--threads")
            .expected("at least 1")
            .found(0)
            .hint("leave the option out to use them all"));
    }
    listen_for_signals()?;
    // Not an option: it is for comparing kernels, and one that is forgotten in a script slows everything down.
    if let Ok(kernels) = std::env::var("LOSSGEN_KERNELS") {
        KernelPath::choose(&kernels)?;
    }
    if matches!(
        cli.command,
        Command::Evolve(_)
            | Command::Learn(_)
            | Command::Train(_)
            | Command::Compare(_)
            | Command::Predict(_)
            | Command::Bench(_)
            | Command::Doctor(_)
    ) {
        let (place, remark) = device.resolve()?;
        nn::settle(place);
        if let Some(remark) = remark {
            term.say(&remark);
        }
    }
    if common.verbose {
        phases::listen();
    }
    let done = command(cli, term);
    if let Some(times) = phases::text() {
        term.detail(&format!("\nwhere the time went; of trainings at the same time the sum\n\n{times}"));
    }
    done
}

fn command(cli: &Cli, term: &Term) -> Result<()> {
    let common = &cli.common;
    match &cli.command {
        Command::Evolve(arguments) => evolve::run(arguments, common, term),
        Command::Inspect(arguments) => inspect::run(arguments, common, term),
        Command::Learn(arguments) => learn::run(arguments, common, term),
        Command::Train(arguments) => train::run(arguments, common, term),
        Command::Compare(arguments) => compare::run(arguments, common, term),
        Command::Report(arguments) => report::run(arguments, common, term),
        Command::Predict(arguments) => predict::run(arguments, common, term),
        Command::Evaluate(arguments) => evaluate::run(arguments, common, term),
        Command::Export(arguments) => export::run(arguments, common, term),
        Command::Loss(command) => loss::run(command, common, term),
        Command::Grammar(command) => grammar::run(command, common, term),
        Command::Atlas(arguments) => atlas::run(arguments, common, term),
        Command::Data(command) => data::run(command, common, term),
        Command::Bench(arguments) => bench::run(arguments, common, term),
        Command::Doctor(arguments) => doctor::run(arguments, common, term),
        Command::Config(command) => settings::run(command, common, term),
        Command::Generate(command) => generate::run(command, common, term),
    }
}

/// The first signal asks, the second does not.
fn listen_for_signals() -> Result<()> {
    ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::SeqCst) {
            #[expect(clippy::exit, reason = "the person asked twice; finished work is on the disk")]
            std::process::exit(3);
        }
    })
    .map_err(|error| Fault::failed(format!("cannot listen for signals: {error}")))
}

/// A folder of the person's cache, because datasets are often on disks that nobody may write to; none if it is not known.
fn user_cache(name: &str) -> Option<PathBuf> {
    let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = named("XDG_CACHE_HOME").or_else(|| Some(named("HOME")?.join(".cache")))?;
    Some(cache.join("lossgen").join(name))
}

impl Common {
    /// Threads to use.
    fn threads(&self) -> usize {
        self.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
    }
}
