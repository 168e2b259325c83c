//! `lossgen bench step`: one optimiser step of the 3D U-Net, part by part, and what follows for a search.
//!
//! Runs the trainer itself on phantoms and notes the time at the end of every part; no loop is written twice. The step is
//! that of [`crate::training::train`] from forward to optimiser; cutting the batch is timed apart, because a comparison
//! with another library is about the step.

use std::sync::atomic::Ordering;

use clap::Args;

use super::super::stopwatch::Stopwatch;
use super::super::term::Term;
use super::super::{STOP, memory, reference};
use super::durations::Durations;
use super::{Repeats, Report, formula, stopped};
use crate::data::{Augment, PatchSampler, Phantom, Preprocess};
use crate::fault::{Fault, Result};
use crate::losses::form::Form;
use crate::losses::named;
use crate::losses::strategy::Strategy;
use crate::nn::{self, Precision, UNet3dConfig};
use crate::rng::{Purpose, stream};
use crate::training::{Job, Outcome, Phase, Recipe, train_in_phases};

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// Feature maps of the first level
    #[arg(long, value_name = "N", default_value_t = UNet3dConfig::default().width)]
    width: usize,
    /// Levels of the network
    #[arg(long, value_name = "N", default_value_t = UNet3dConfig::default().levels)]
    levels: usize,
    /// Patches of a batch
    #[arg(long, value_name = "N", default_value_t = PatchSampler::default().batch)]
    batch: usize,
    /// Voxels of a patch
    #[arg(long, value_name = "D,H,W", default_value = "32,32,24", value_parser = size)]
    size: [usize; 3],
    /// Precision of the convolutions: f32 or bf16
    #[arg(long, value_name = "P", default_value = Precision::default().name(), value_parser = precision)]
    precision: Precision,
    /// The loss or strategy of the training
    #[arg(short, long, value_name = "L", default_value = LOSS)]
    loss: String,
    /// How patches are varied: mirror, or all families with their defaults
    #[arg(long, value_name = "A", default_value = "mirror", value_parser = ["mirror", "all"])]
    augment: String,
    /// Trainings at the same time, each on a thread of its own
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    candidates: u16,
    #[command(flatten)]
    repeats: Repeats,
}

/// The loss of the step if none is asked for; the one that makes every shared start.
const LOSS: &str = "dice_ce";

/// Steps of a candidate's training in `configs/evolve.ron`.
const PROXY_STEPS: f64 = 200.0;

/// Keys of the parts, in the order of [`Phase`].
const PARTS: [&str; 5] = ["batch", "forward", "loss", "backward", "optimizer"];

pub(super) fn run(arguments: &Arguments, seed: u64, term: &Term) -> Result<Report> {
    let Arguments { width, levels, batch, size, precision, candidates, repeats, .. } = *arguments;
    let loss = reference::compose(&arguments.loss, &Form::default())?.strategy;
    let augment = if arguments.augment == "all" { Augment::all() } else { Augment::default() };
    let candidates = usize::from(candidates);
    let config = UNet3dConfig { width, levels, ..UNet3dConfig::default() };
    config.check()?;
    config.check_shape(size).map_err(|fault| fault.field("--size"))?;
    let patches = PatchSampler { patch: size, batch, ..PatchSampler::default() };
    let recipe = Recipe { steps: repeats.total(), patches, augment, precision, ..Recipe::default() };
    recipe.check()?;

    let parts = if candidates > 1 {
        together(candidates, || parts(config, &recipe, &loss, seed, &Term::new(true, false)))?
    } else {
        parts(config, &recipe, &loss, seed, term)?
    };
    let parts = parts.map(|durations| durations.after(repeats.warm_up));
    let peak = memory::peak();
    let fma = fma_peak();
    let formula = loss.formula().map_or_else(|| named(LOSS).map(|loss| loss.formula), Ok)?;
    let formula = formula::program(&formula, batch, size, repeats, seed, term)?;

    let mut report = Report::new("step", repeats);
    report.set("kernels", nn::kernel_path().name_at(precision));
    report.set("precision", precision.name());
    report.set("loss", loss.name.as_str());
    report.set("width", width);
    report.set("levels", levels);
    report.set("batch", batch);
    report.set("size", size.to_vec());
    report.set("augment", &*arguments.augment);
    let (step, whole) = (Durations::sum(&parts[Phase::Forward as usize..]), Durations::sum(&parts));
    // Forward, gradient by the input and gradient by the weights cost the same; the first layer needs no gradient by its
    // input, less than a hundredth of the whole.
    let gflop = 3.0 * 2.0 * batch as f64 * config.multiply_adds(size) as f64 / 1e9;
    report.set("device", nn::place().to_string());
    report.set("candidates", candidates);
    report.figure("steps_per_second", candidates as f64 * 1e3 / whole.median());
    report.figure("gflop_per_second", gflop / (step.median() / 1e3));
    report.figure("gflop_per_second_best", gflop / (step.min() / 1e3));
    if let Some(fma) = fma {
        report.figure("fma_peak_gflop_per_second", fma);
        report.figure("fraction_of_fma_peak", gflop / (step.median() / 1e3) / fma);
        report.figure("fraction_of_fma_peak_best", gflop / (step.min() / 1e3) / fma);
    }
    report.figure("proxy_trainings_per_hour", candidates as f64 * 3600.0 / (PROXY_STEPS * whole.median() / 1e3));
    report.figure("formulas_per_second", 1e3 / formula.median());
    if let Some(peak) = peak {
        report.figure("peak_rss_mib", peak);
    }
    for (name, durations) in PARTS.into_iter().zip(parts) {
        report.time(name, durations);
    }
    report.time("step", step);
    report.time("formula", formula);
    report.result("parameters", config.parameters());
    report.result("gflop", gflop);
    Ok(report)
}

/// Durations of the parts of every step, the warm-up included.
fn parts(
    config: UNet3dConfig,
    recipe: &Recipe,
    loss: &Strategy,
    seed: u64,
    term: &Term,
) -> Result<[Durations; PARTS.len()]> {
    // At least a patch in size, so that patches are cut and not padded.
    let shape = std::array::from_fn(|axis| Phantom::default().shape[axis].max(recipe.patches.patch[axis]));
    let cases = Phantom { cases: 2, shape, seed }.dataset(&Preprocess::default())?.cases;
    let network = config.init(&mut stream(seed, Purpose::Weights, 0, 0), &nn::device().autodiff());
    let job = Job { cases: &cases, loss, recipe, seed, sequence: 0 };
    let bar = term.bar(recipe.steps as u64, "steps");
    let mut parts: [Durations; PARTS.len()] = Default::default();
    let mut stopwatch = Stopwatch::start();
    let outcome = train_in_phases(network, &job, &mut |phase| parts[phase as usize].push(stopwatch.lap()), &mut |_| {
        bar.inc(1);
        !STOP.load(Ordering::SeqCst)
    });
    bar.finish_and_clear();
    match outcome {
        Outcome::Finished(_) => Ok(parts),
        Outcome::Stopped => Err(stopped()),
        Outcome::Failed(fault) => Err(fault),
        Outcome::Diverged { step } => Err(Fault::failed(format!("the training diverged at step {step}"))),
    }
}

/// The parts of several trainings that run at the same time, each on a thread of its own, one behind the other.
fn together(
    candidates: usize,
    train: impl Fn() -> Result<[Durations; PARTS.len()]> + Sync,
) -> Result<[Durations; PARTS.len()]> {
    let alone = || {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
        let pool = pool.map_err(|error| Fault::failed(format!("cannot start threads: {error}")))?;
        pool.install(&train)
    };
    let all: Vec<Result<_>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..candidates).map(|_| scope.spawn(alone)).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|_| Err(Fault::failed("a training ended in a panic")))
        };
        threads.into_iter().map(join).collect()
    });
    let all: Vec<[Durations; PARTS.len()]> = all.into_iter().collect::<Result<_>>()?;
    // Step by step the mean over the candidates, which disturb one another alike.
    Ok(std::array::from_fn(|part| Durations::mean(&all.iter().map(|parts| parts[part].clone()).collect::<Vec<_>>())))
}

/// Most operations per second of all threads together with nothing but registers, in GFLOP/s.
fn fma_peak() -> Option<f64> {
    const ROUNDS: usize = 1_000_000;
    let path = nn::kernel_path();
    let once = || {
        let mut watch = Stopwatch::start();
        let operations: Option<u64> = rayon::broadcast(|_| path.spin(ROUNDS)).into_iter().sum();
        operations.map(|operations| operations as f64 / (watch.lap() * 1e6))
    };
    (0..8).map(|_| once()).collect::<Option<Vec<f64>>>().map(|all| all.into_iter().fold(0.0, f64::max))
}

/// `D,H,W`.
pub(super) fn size(typed: &str) -> Result<[usize; 3], String> {
    let numbers: Option<Vec<usize>> = typed.split(',').map(|part| part.trim().parse().ok()).collect();
    numbers
        .and_then(|numbers| numbers.try_into().ok())
        .ok_or_else(|| "three numbers of voxels, as in 32,48,32".to_string())
}

/// `f32` or `bf16`.
fn precision(typed: &str) -> Result<Precision, String> {
    let found = [Precision::F32, Precision::Bf16].into_iter().find(|precision| precision.name() == typed);
    found.ok_or_else(|| "f32 or bf16".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_three_numbers() {
        assert_eq!(size("32, 48,32"), Ok([32, 48, 32]));
        assert!(size("32,48").is_err() && size("32,48,-1").is_err() && size("32x48x32").is_err());
    }
}
