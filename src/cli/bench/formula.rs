//! `lossgen bench formula`: what a loss costs before any network is asked.
//!
//! The same formula three ways: the vectorised program that trains, the evaluator in double precision that defines it, and
//! operations of the tensor library with automatic differentiation, which is what a loss costs in a framework. They take
//! turns, repeat by repeat, so that whatever else the machine does strikes all of them.

use clap::Args;
use rand::RngExt;
use rand_distr::StandardNormal;

use super::super::reference;
use super::super::stopwatch::Stopwatch;
use super::super::term::Term;
use super::durations::{Durations, measure};
use super::step::size;
use super::{Repeats, Report};
use crate::fault::Result;
use crate::formula::Formula;
use crate::formula::eval::{Inputs, gradient};
use crate::formula::plan::Plan;
use crate::formula::simd::Program;
use crate::nn::formula::{Scene, gradient as differentiate};
use crate::rng::{Purpose, stream};

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// A name, a name with parameters, a formula, RUN/best, or RUN#ID
    #[arg(long, value_name = "L", default_value = "dice_ce")]
    loss: String,
    /// Patches of a batch
    #[arg(long, value_name = "N", default_value_t = 2)]
    batch: usize,
    /// Voxels of a patch
    #[arg(long, value_name = "D,H,W", default_value = "32,48,32", value_parser = size)]
    size: [usize; 3],
    #[command(flatten)]
    repeats: Repeats,
}

/// Normal logits, and a tenth of foreground.
struct Batch {
    samples: usize,
    size: [usize; 3],
    logits: Vec<f32>,
    targets: Vec<f32>,
}

impl Batch {
    fn new(samples: usize, size: [usize; 3], seed: u64) -> Self {
        let mut rng = stream(seed, Purpose::Probe, 0, 0);
        let voxels = samples * size.iter().product::<usize>();
        let logits = (0..voxels).map(|_| rng.sample::<f32, _>(StandardNormal)).collect();
        let targets = (0..voxels).map(|_| f32::from(u8::from(rng.random::<f32>() < 0.1))).collect();
        Self { samples, size, logits, targets }
    }

    fn inputs(&self) -> Inputs<'_, f32> {
        Inputs { shape: self.size, ..Inputs::new(self.samples, 1, &self.logits, &self.targets) }
    }
}

/// Durations of value and gradient by the vectorised program.
pub(super) fn program(
    formula: &Formula,
    samples: usize,
    size: [usize; 3],
    repeats: Repeats,
    seed: u64,
    term: &Term,
) -> Result<Durations> {
    let batch = Batch::new(samples, size, seed);
    let program = Program::new(&Plan::new(formula));
    let mut slopes = vec![0.0; batch.logits.len()];
    Ok(measure(repeats, term, || program.gradient(&batch.inputs(), &mut slopes))?.0)
}

pub(super) fn run(arguments: &Arguments, seed: u64, term: &Term) -> Result<Report> {
    let Arguments { loss, batch: samples, size, repeats } = arguments;
    let formula = reference::find(loss)?.loss.formula;
    let batch = Batch::new((*samples).max(1), *size, seed);
    let plan = Plan::new(&formula);
    let program = Program::new(&plan);
    let mut slopes = vec![0f32; batch.logits.len()];
    let [mut vectorised, mut defined, mut tensors]: [Durations; 3] = Default::default();
    let mut values = [0.0; 3];
    measure(*repeats, term, || {
        let mut watch = Stopwatch::start();
        values[0] = program.gradient(&batch.inputs(), &mut slopes);
        vectorised.push(watch.lap());
        values[1] = gradient(&plan, &batch.inputs(), &mut slopes);
        defined.push(watch.lap());
        // Bringing the batch to the tensor library and back is not timed.
        let scene = Scene::upload(&batch.inputs());
        watch.lap();
        let (loss, slopes) = differentiate(&plan, &scene);
        tensors.push(watch.lap());
        values[2] = loss;
        slopes
    })?;
    let [vectorised, defined, tensors] = [vectorised, defined, tensors].map(|all| all.after(repeats.warm_up));
    let mut report = Report::new("formula", *repeats);
    report.set("loss", loss.as_str());
    report.set("voxels", batch.logits.len());
    report.figure("formulas_per_second", 1e3 / vectorised.median());
    report.figure("times_faster_than_autodiff", tensors.median() / vectorised.median());
    report.figure("times_faster_than_autodiff_best", tensors.min() / vectorised.min());
    report.time("program", vectorised);
    report.time("double", defined);
    report.time("autodiff", tensors);
    for (name, value) in ["program", "double", "autodiff"].into_iter().zip(values) {
        report.result(name, value);
    }
    Ok(report)
}
