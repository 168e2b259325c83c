//! `lossgen bench step`: one optimiser step of the 3D U-Net, part by part, and what follows for a search.
//!
//! Runs the trainer itself on phantoms and notes the time at the end of every part; no loop is written twice. The step is
//! that of [`crate::training::train`] from forward to optimiser; cutting the batch is timed apart, because a comparison
//! with another library is about the step.

use std::fs;
use std::sync::atomic::Ordering;

use clap::Args;
use rand::RngExt;
use rand_distr::StandardNormal;

use super::super::STOP;
use super::super::term::Term;
use super::stopwatch::{Durations, Stopwatch, measure};
use super::{Repeats, Report, stopped};
use crate::data::{PatchSampler, Phantom, Preprocess};
use crate::fault::{Fault, Result};
use crate::formula::eval::Inputs;
use crate::formula::plan::Plan;
use crate::formula::simd::Program;
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
    #[command(flatten)]
    repeats: Repeats,
}

/// The loss of the step; the one that makes every shared start.
const LOSS: &str = "dice_ce";

/// Steps of a candidate's training in `configs/evolve.ron`.
const PROXY_STEPS: f64 = 200.0;

/// Keys of the parts, in the order of [`Phase`].
const PARTS: [&str; 5] = ["batch", "forward", "loss", "backward", "optimizer"];

pub(super) fn run(arguments: &Arguments, seed: u64, term: &Term) -> Result<Report> {
    let Arguments { width, levels, batch, size, precision, repeats } = *arguments;
    let config = UNet3dConfig { width, levels, ..UNet3dConfig::default() };
    config.check()?;
    config.check_shape(size).map_err(|fault| fault.field("--size"))?;
    let patches = PatchSampler { patch: size, batch, ..PatchSampler::default() };
    let recipe = Recipe { steps: repeats.total(), patches, precision, ..Recipe::default() };
    recipe.check()?;

    let parts = parts(config, &recipe, seed, term)?.map(|durations| durations.after(repeats.warm_up));
    let peak = peak_memory();
    let formula = formula(batch, size, repeats, seed, term)?;

    let mut report = Report::new("step", repeats);
    report.set("kernels", nn::kernel_path().name_at(precision));
    report.set("precision", precision.name());
    report.set("loss", LOSS);
    report.set("width", width);
    report.set("levels", levels);
    report.set("batch", batch);
    report.set("size", size.to_vec());
    let (step, whole) = (Durations::sum(&parts[Phase::Forward as usize..]), Durations::sum(&parts));
    // Forward, gradient by the input and gradient by the weights cost the same; the first layer needs no gradient by its
    // input, less than a hundredth of the whole.
    let gflop = 3.0 * 2.0 * batch as f64 * config.multiply_adds(size) as f64 / 1e9;
    report.figure("steps_per_second", 1e3 / whole.median());
    report.figure("gflop_per_second", gflop / (step.median() / 1e3));
    report.figure("gflop_per_second_best", gflop / (step.min() / 1e3));
    report.figure("proxy_trainings_per_hour", 3600.0 / (PROXY_STEPS * whole.median() / 1e3));
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
fn parts(config: UNet3dConfig, recipe: &Recipe, seed: u64, term: &Term) -> Result<[Durations; PARTS.len()]> {
    // At least a patch in size, so that patches are cut and not padded.
    let shape = std::array::from_fn(|axis| Phantom::default().shape[axis].max(recipe.patches.patch[axis]));
    let cases = Phantom { cases: 2, shape, seed }.dataset(&Preprocess::default())?.cases;
    let network = config.init(&mut stream(seed, Purpose::Weights, 0, 0), &nn::device().autodiff());
    let loss = Strategy::from(named(LOSS)?);
    let job = Job { cases: &cases, loss: &loss, recipe, seed, sequence: 0 };
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
        Outcome::Diverged { step } => Err(Fault::failed(format!("the training diverged at step {step}"))),
    }
}

/// Value and gradient of the loss for the voxels of a batch: what a candidate costs before any network is asked.
fn formula(batch: usize, size: [usize; 3], repeats: Repeats, seed: u64, term: &Term) -> Result<Durations> {
    let program = Program::new(&Plan::new(&named(LOSS)?.formula));
    let mut rng = stream(seed, Purpose::Probe, 0, 0);
    let voxels = batch * size.iter().product::<usize>();
    let logits: Vec<f32> = (0..voxels).map(|_| rng.sample::<f32, _>(StandardNormal)).collect();
    let targets: Vec<f32> = (0..voxels).map(|_| f32::from(u8::from(rng.random::<f32>() < 0.1))).collect();
    let inputs = Inputs { shape: size, ..Inputs::new(batch, 1, &logits, &targets) };
    let mut slopes = vec![0.0; voxels];
    Ok(measure(repeats, term, || program.gradient(&inputs, &mut slopes))?.0)
}

/// Most memory that this process has held, in MiB; only Linux tells.
fn peak_memory() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kibibytes = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix("kB")?;
    kibibytes.trim().parse::<f64>().ok().map(|kibibytes| kibibytes / 1024.0)
}

/// `D,H,W`.
fn size(typed: &str) -> Result<[usize; 3], String> {
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
