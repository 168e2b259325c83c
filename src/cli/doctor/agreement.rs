//! Whether the device computes what the definition says: losses one by one, and steps of a training.
//!
//! Losses are compared with the `f64` evaluator, which is what a formula means. Steps are compared with the tensor library's
//! own operations on the CPU, in a process of its own, because device and kernels are chosen once for a process; it also
//! keeps a driver that crashes from taking the comparison with it.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::stopwatch::Stopwatch;
use crate::data::{PatchSampler, Phantom, Preprocess};
use crate::fault::{Fault, Result};
use crate::formula::eval::{self, Inputs};
use crate::formula::plan::Plan;
use crate::formula::simd::Program;
use crate::losses::catalog::CATALOG;
use crate::losses::named;
use crate::losses::strategy::Strategy;
use crate::nn::{self, Place, Precision, UNet3dConfig};
use crate::rng::{Purpose, stream};
use crate::training::{Job, Outcome, Recipe, train};

/// Largest difference of a value, relative to it, and of a slope, relative to the largest: the goals of the exporters.
const VALUE: f64 = 1e-5;
const SLOPE: f64 = 1e-4;

/// Largest difference of the losses of steps. The second and the third come after steps of the optimiser, so gradients
/// are in them; rounding grows from step to step, by an order of magnitude in three.
const STEPS: [(Precision, f64); 2] = [(Precision::F32, 1e-3), (Precision::Bf16, 3e-2)];

/// What [`time_of_a_step`] times, and how often.
pub(super) const TIMED: &str = "width 8, 2 patches of 32 x 48 x 32";
pub(super) const REPEATS: usize = 5;

/// A difference that must not be large.
pub(super) struct Check {
    pub(super) what: String,
    pub(super) found: f64,
    pub(super) limit: f64,
    /// Where the difference is largest.
    pub(super) worst: String,
}

impl Check {
    pub(super) fn holds(&self) -> bool {
        self.found <= self.limit
    }
}

const SHAPE: [usize; 3] = [8, 10, 12];
const VOXELS: usize = 8 * 10 * 12;

/// Value and gradient of every loss of the catalog against the definition, on two samples: a block, and nothing.
pub(super) fn losses() -> [Check; 2] {
    let logits: Vec<f32> = (0..2 * VOXELS).map(|i| 3.0 * (1.7 * i as f32).sin() - 0.5).collect();
    let inside = |i: usize| i < VOXELS && (2..6).contains(&(i / 120)) && (3..9).contains(&(i % 12));
    let targets: Vec<f32> = (0..2 * VOXELS).map(|i| f32::from(u8::from(inside(i)))).collect();
    let spacing = [[3.0, 1.0, 1.0]; 2];
    let inputs = Inputs { shape: SHAPE, spacing: &spacing, progress: 0.5, ..Inputs::new(2, 1, &logits, &targets) };
    let [logits, targets] = [&logits, &targets].map(|values| values.iter().map(|v| f64::from(*v)).collect::<Vec<_>>());
    let exact = Inputs { shape: SHAPE, spacing: &spacing, progress: 0.5, ..Inputs::new(2, 1, &logits, &targets) };
    let mut worst = [(0.0, String::new()), (0.0, String::new())];
    for entry in CATALOG {
        let plan = Plan::new(&entry.formula());
        let mut slopes = vec![0f64; logits.len()];
        let value = eval::gradient(&plan, &exact, &mut slopes);
        let (found, found_slopes) = on_device(&plan, &inputs);
        let size = slopes.iter().fold(f64::MIN_POSITIVE, |most, slope| most.max(slope.abs()));
        let off = slopes.iter().zip(&found_slopes).map(|(slope, found)| (slope - f64::from(*found)).abs() / size);
        let differences = [(found - value).abs() / value.abs().max(1e-3), largest(off)];
        for (worst, difference) in worst.iter_mut().zip(differences) {
            // A difference that is no number is larger than every other, and stays.
            if difference.is_nan() || difference > worst.0 {
                *worst = (difference, entry.name.to_string());
            }
        }
    }
    let place = nn::place();
    let [values, slopes] = worst;
    let what = |what: &str| format!("{what} of {} losses on {place}, against the definition", CATALOG.len());
    [(what("value"), values, VALUE), (what("gradient"), slopes, SLOPE)].map(|(what, (found, worst), limit)| Check {
        what,
        found,
        limit,
        worst,
    })
}

/// As in a training step: where tensors live on a device, the loss is computed there.
fn on_device(plan: &Plan, inputs: &Inputs<'_, f32>) -> (f64, Vec<f32>) {
    match nn::place() {
        Place::Cuda(_) => {
            let (value, slopes) = nn::formula::gradient(plan, &nn::formula::Scene::upload(inputs));
            (value, slopes.map_or_else(|| vec![0.0; inputs.logits.len()], nn::floats))
        }
        Place::Cpu => {
            let mut slopes = vec![0f32; inputs.logits.len()];
            (Program::new(plan).gradient(inputs, &mut slopes), slopes)
        }
    }
}

/// The largest; not a number if one of them is none.
fn largest(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, |most: f64, value| if value.is_nan() || most.is_nan() { f64::NAN } else { most.max(value) })
}

/// Steps at every precision against those of the tensor library on the CPU.
pub(super) fn of_steps(threads: usize) -> Result<Vec<Check>> {
    let expected = reference(threads)?;
    let kernels = nn::kernel_path();
    let check = |(precision, limit)| -> Result<Check> {
        let found = steps(precision)?;
        let off: Vec<f64> =
            found.iter().zip(&expected).map(|(found, expected)| (found / expected - 1.0).abs()).collect();
        let found = if off.len() == expected.len() { largest(off.iter().copied()) } else { f64::NAN };
        let step = off.iter().position(|own| *own == found).map_or(String::new(), |step| format!("step {}", step + 1));
        let what = format!("losses of {} steps with {}, against the CPU", expected.len(), kernels.name_at(precision));
        Ok(Check { what, found, limit, worst: step })
    };
    STEPS.into_iter().map(check).collect()
}

/// The losses of three steps of a small network.
pub(super) fn steps(precision: Precision) -> Result<Vec<f64>> {
    let patches = PatchSampler { patch: [16, 16, 16], batch: 2, foreground_share: 1.0 };
    let recipe = Recipe { steps: 3, learning_rate: 1e-3, patches, precision, ..Recipe::default() };
    let network = UNet3dConfig { width: 8, levels: 2, ..UNet3dConfig::default() };
    let mut losses = Vec::new();
    training(network, &recipe, &mut |loss| {
        losses.push(loss);
        true
    })?;
    Ok(losses)
}

/// As [`steps`] by the tensor library's own operations on the CPU.
fn reference(threads: usize) -> Result<Vec<f64>> {
    let failed = |why: String| Fault::failed(format!("the CPU could not be asked for a comparison: {why}"));
    let program = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
    let line = ["doctor", "--reference", "--device", "cpu", "--quiet", "--threads"];
    let mut command = Command::new(program);
    command.args(line).arg(threads.to_string()).env("LOSSGEN_KERNELS", "portable").stdin(Stdio::null());
    let output = command.output().map_err(|error| failed(error.to_string()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(text.trim()).map_err(|_| failed(String::from_utf8_lossy(&output.stderr).trim().to_string()))
}

/// The median of a few steps of the size that searches take, in ms.
pub(super) fn time_of_a_step(stop: &AtomicBool) -> Result<f64> {
    let patches = PatchSampler { patch: [32, 48, 32], batch: 2, foreground_share: 0.33 };
    let recipe = Recipe { steps: REPEATS + 1, patches, ..Recipe::default() };
    let mut watch = Stopwatch::start();
    let mut times = Vec::new();
    training(UNet3dConfig::default(), &recipe, &mut |_| {
        times.push(watch.lap());
        !stop.load(Ordering::SeqCst)
    })?;
    // The first step has the making of the phantoms in it.
    let mut times = times.split_off(1.min(times.len()));
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().ok_or_else(|| Fault::stopped("stopped while steps were timed"))
}

/// Trains a network with Dice + CE on phantoms; `told` hears the loss of every step and says whether to go on.
fn training(network: UNet3dConfig, recipe: &Recipe, told: &mut dyn FnMut(f64) -> bool) -> Result<()> {
    let shape = std::array::from_fn(|axis| Phantom::default().shape[axis].max(recipe.patches.patch[axis]));
    let cases = Phantom { cases: 2, shape, seed: 1 }.dataset(&Preprocess::default())?.cases;
    let network = network.init(&mut stream(1, Purpose::Weights, 0, 0), &nn::device().autodiff());
    let loss = Strategy::from(named("dice_ce")?);
    let job = Job { cases: &cases, loss: &loss, recipe, seed: 1, sequence: 0 };
    match train(network, &job, &mut |step| told(step.loss)) {
        Outcome::Finished(_) => Ok(()),
        Outcome::Stopped => Err(Fault::stopped("stopped before all was looked at")),
        Outcome::Failed(fault) => Err(fault),
        Outcome::Diverged { step } => Err(Fault::failed(format!("a training of Dice + CE diverged at step {step}"))),
    }
}
