//! A formula as operations of the tensor library, for devices whose memory the evaluators of [`crate::formula`] do not
//! reach: the loss and, by automatic differentiation, everything behind it without a copy of the logits.
//!
//! An implementation, not the definition: tests hold it to the `f64` evaluator. Distance maps are computed on the CPU from
//! a copy of what they measure.

use std::cell::OnceCell;

use burn::tensor::{Tensor, TensorData, activation};

use super::floats;
use crate::formula::eval::{Activation, Inputs};
use crate::formula::plan::Plan;
use crate::formula::word::{ClassReduction, Op, Rank, Reduction};
use crate::formula::words::TINY;

/// What a loss is computed from, on a device. Tensors are `[samples, classes, depth, height, width]`.
#[derive(Debug, Clone)]
pub struct Scene<'a> {
    /// Logits.
    pub logits: Tensor<5>,
    /// Targets in [0, 1].
    pub targets: Tensor<5>,
    /// Training progress in [0, 1].
    pub progress: f64,
    /// Distance of voxel centres along depth, height and width in mm, one for each sample; 1 mm where it is missing.
    pub spacing: &'a [[f64; 3]],
    /// How logits become probabilities.
    pub activation: Activation,
    /// Whether class 0 is the background.
    pub background: bool,
}

impl<'a> Scene<'a> {
    /// A batch on the device of all tensors, ready for [`gradient`].
    pub fn upload(inputs: &Inputs<'a, f32>) -> Self {
        let [depth, height, width] = inputs.shape;
        let shape = [inputs.samples, inputs.classes, depth, height, width];
        let device = super::device().autodiff();
        let tensor = |values: &[f32]| Tensor::from_data(TensorData::new(values.to_vec(), shape), &device);
        Self {
            logits: tensor(inputs.logits).require_grad(),
            targets: tensor(inputs.targets),
            progress: inputs.progress,
            spacing: inputs.spacing,
            activation: inputs.activation,
            background: inputs.background,
        }
    }
}

/// The loss, and dL/dlogit on the device; `None` if the loss does not depend on the logits.
///
/// # Panics
/// As [`value`].
pub fn gradient(plan: &Plan, scene: &Scene<'_>) -> (f64, Option<Tensor<5>>) {
    let loss = value(plan, scene);
    let found = f64::from(floats(loss.clone())[0]);
    (found, scene.logits.grad(&loss.backward()))
}

/// The value of a step: `[samples, classes, voxels]`, or 1 in place of an axis that it does not have.
type Value = Tensor<3>;

/// The loss.
///
/// # Panics
/// If the plan has a value per voxel: an error of the caller.
pub fn value(plan: &Plan, scene: &Scene<'_>) -> Tensor<1> {
    let voxels = Voxels::new(scene);
    let numbers = numbers(plan, scene.progress, voxels.classes);
    let mut values: Vec<Value> = Vec::with_capacity(plan.steps.len());
    for (place, step) in plan.steps.iter().enumerate() {
        let argument = |place: usize| values[step.arguments[place]].clone();
        let number = |place: usize| numbers[step.arguments[place]];
        let value = match &step.word.word().op {
            _ if step.rank == Rank::Number => voxels.constant(numbers[place]),
            Op::Class => voxels.class(number(0)),
            Op::VolumeWeight => voxels.volume_weights(),
            Op::Leaf(_) => voxels.leaf(step.word.word().name),
            Op::Map(map) => voxels.map(*map, scene),
            Op::Pointwise(_) if step.word.word().name == "^" => power(argument(0), number(1)),
            Op::Pointwise(_) => {
                pointwise(step.word.word().name, argument(0), values[*step.arguments.last().unwrap_or(&0)].clone())
            }
            Op::Reduce(Reduction::MeanTop) => voxels.mean_top(number(0), argument(1)),
            Op::Reduce(reduction) => voxels.reduce(*reduction, argument(0)),
            Op::OverClasses(reduction) => voxels.over_classes(*reduction, number(0) != 0.0, argument(1)),
            Op::Number | Op::Parameter { .. } | Op::Progress | Op::Classes => unreachable!("these are numbers"),
        };
        values.push(value);
    }
    let root = values.pop().expect("a plan has steps");
    assert!(plan.steps.last().is_some_and(|root| root.rank != Rank::Voxel), "a loss has no value per voxel");
    root.expand([voxels.samples, voxels.classes, 1]).mean()
}

/// The values of the steps that are the same for every sample and class, in double precision; `NaN` for the others.
fn numbers(plan: &Plan, progress: f64, classes: usize) -> Vec<f64> {
    let mut numbers: Vec<f64> = Vec::with_capacity(plan.steps.len());
    for step in &plan.steps {
        let number = match &step.word.word().op {
            Op::Number | Op::Parameter { .. } => step.value,
            Op::Progress => progress,
            Op::Classes => classes as f64,
            Op::Pointwise(kernel) if step.rank == Rank::Number => {
                let (left, right) = (step.arguments[0], *step.arguments.last().unwrap_or(&0));
                let mut out = [0.0];
                (kernel.double.value)(&[numbers[left]], &[numbers[right]], &mut out);
                out[0]
            }
            _ => f64::NAN,
        };
        numbers.push(number);
    }
    numbers
}

/// Columns of the voxels of a batch, `[samples, classes, voxels]`; those of the prediction are computed when first asked for.
struct Voxels {
    samples: usize,
    classes: usize,
    count: usize,
    background: bool,
    y: Value,
    /// The logit against everything else: p is its sigmoid.
    apart: Value,
    p: OnceCell<Value>,
    q: OnceCell<Value>,
    neg_log_p: OnceCell<Value>,
    neg_log_q: OnceCell<Value>,
}

impl Voxels {
    fn new(scene: &Scene<'_>) -> Self {
        let [samples, classes, depth, height, width] = scene.logits.dims();
        let count = depth * height * width;
        let z: Value = scene.logits.clone().reshape([samples, classes, count]);
        let y: Value = scene.targets.clone().reshape([samples, classes, count]);
        let apart = match scene.activation {
            Activation::Sigmoid => z,
            Activation::Softmax => z.clone() - log_sum_exp_of_others(&z),
        };
        let [p, q, neg_log_p, neg_log_q] = Default::default();
        Self { samples, classes, count, background: scene.background, y, apart, p, q, neg_log_p, neg_log_q }
    }

    fn p(&self) -> Value {
        self.p.get_or_init(|| activation::sigmoid(self.apart.clone())).clone()
    }

    fn q(&self) -> Value {
        self.q.get_or_init(|| activation::sigmoid(-self.apart.clone())).clone()
    }

    fn neg_log_p(&self) -> Value {
        self.neg_log_p.get_or_init(|| softplus(-self.apart.clone())).clone()
    }

    fn neg_log_q(&self) -> Value {
        self.neg_log_q.get_or_init(|| softplus(self.apart.clone())).clone()
    }

    fn constant(&self, value: f64) -> Value {
        Tensor::full([1, 1, 1], value, &self.y.device())
    }

    fn leaf(&self, name: &str) -> Value {
        let (y, not_y) = (|| self.y.clone(), || -self.y.clone() + 1.0);
        match name {
            "y" => y(),
            "tp" => self.p() * y(),
            "fp" => self.p() * not_y(),
            "fn" => self.q() * y(),
            "tn" => self.q() * not_y(),
            "abs_diff" => self.p() * not_y() + self.q() * y(),
            "ce_fg" => self.neg_log_p() * y(),
            "ce_bg" => self.neg_log_q() * not_y(),
            "p" => self.p(),
            "neg_log_p" => self.neg_log_p(),
            "neg_log_q" => self.neg_log_q(),
            _ => unreachable!("`{name}` is a voxel word without a tensor form; the tests compare every word"),
        }
    }

    fn map(&self, map: crate::formula::maps::Map, scene: &Scene<'_>) -> Value {
        let [samples, classes, depth, height, width] = scene.logits.dims();
        let (p, targets) = (floats(self.p()), floats(self.y.clone()));
        let inputs = Inputs {
            shape: [depth, height, width],
            spacing: scene.spacing,
            ..Inputs::new(samples, classes, &p, &targets)
        };
        let values: Vec<f32> = map.compute(&inputs, &p).into_iter().map(|distance| distance as f32).collect();
        Tensor::from_data(TensorData::new(values, [samples, classes, self.count]), &self.y.device())
    }

    fn class(&self, wanted: f64) -> Value {
        let one = |class: usize| f32::from(u8::from(class as f64 == wanted));
        let row: Vec<f32> = (0..self.classes).map(one).collect();
        Tensor::from_data(TensorData::new(row, [1, self.classes, 1]), &self.y.device())
    }

    /// See [`Op::VolumeWeight`]; targets have no gradient, so this may be computed on the CPU.
    fn volume_weights(&self) -> Value {
        let volumes = floats(self.y.clone().sum_dim(2));
        let mut weights: Vec<f32> = volumes.iter().map(|volume| volume.powi(2).recip()).collect();
        for sample in weights.chunks_mut(self.classes) {
            let largest = sample.iter().copied().filter(|weight| weight.is_finite()).fold(0.0, f32::max);
            let stand_in = if largest > 0.0 { largest } else { 1.0 };
            sample.iter_mut().filter(|weight| !weight.is_finite()).for_each(|weight| *weight = stand_in);
        }
        Tensor::from_data(TensorData::new(weights, [self.samples, self.classes, 1]), &self.y.device())
    }

    fn reduce(&self, reduction: Reduction, value: Value) -> Value {
        let whole = value.expand([self.samples, self.classes, self.count]);
        match reduction {
            Reduction::Mean => whole.mean_dim(2),
            Reduction::Sum => whole.sum_dim(2),
            Reduction::MeanBatch => whole.mean_dim(2).mean_dim(0),
            Reduction::SumBatch => whole.sum_dim(2).sum_dim(0),
            Reduction::MeanTop => unreachable!("`mean_top` has a number before what it reduces"),
        }
    }

    fn mean_top(&self, percent: f64, value: Value) -> Value {
        let all: Tensor<1> = value.expand([self.samples, self.classes, self.count]).flatten(0, 2);
        let total = self.samples * self.classes * self.count;
        let count = ((total as f64 * percent / 100.0 + 1e-9).floor() as usize).clamp(1, total);
        all.sort_descending(0).slice(0..count).mean().reshape([1, 1, 1])
    }

    fn over_classes(&self, reduction: ClassReduction, with_background: bool, value: Value) -> Value {
        let whole = value.expand([self.samples, self.classes, 1]);
        let first = usize::from(self.background && !with_background && self.classes > 1);
        let counted = whole.slice([0..self.samples, first..self.classes]);
        match reduction {
            ClassReduction::Mean => counted.mean_dim(1),
            ClassReduction::Sum => counted.sum_dim(1),
        }
    }
}

/// log(1 + exp x) without overflow.
fn softplus(x: Value) -> Value {
    x.clone().clamp_min(0.0) + (-x.abs()).exp().log1p()
}

/// For every class log(sum exp z) over the others.
fn log_sum_exp_of_others(z: &Value) -> Value {
    let [samples, classes, voxels] = z.dims();
    let others = |class: usize| {
        let rest = (0..classes).filter(|other| *other != class);
        let parts = rest.map(|other| z.clone().slice([0..samples, other..other + 1, 0..voxels])).collect();
        let others = Tensor::cat(parts, 1);
        let largest = others.clone().detach().max_dim(1);
        (others - largest.clone()).exp().sum_dim(1).log() + largest
    };
    Tensor::cat((0..classes).map(others).collect(), 1)
}

fn pointwise(name: &str, a: Value, b: Value) -> Value {
    match name {
        "+" => a + b,
        "-" => a - b,
        "*" => a * b,
        "/" => a / b.clamp_min(TINY),
        "max" => {
            // Of equals the first has the gradient.
            let first = a.clone().greater_equal(b.clone()).float();
            a * first.clone() + b * (-first + 1.0)
        }
        "log1p" => a.clamp_min(0.0).log1p(),
        "log" => a.abs().clamp_min(1e-7).log(),
        "abs" => a.abs(),
        "ratio" => b.clone() / (a + b).clamp_min(TINY),
        "neg_log_ratio" => {
            let (a, b) = (a.clamp_min(0.0), b.clamp_min(0.0));
            ((a.clone() + b + TINY) / (a + TINY)).log()
        }
        _ => unreachable!("`{name}` is an operation without a tensor form; the tests compare every word"),
    }
}

/// max(base, floor)^exponent with the floor of the definition.
fn power(base: Value, exponent: f64) -> Value {
    use crate::formula::kernel::POWER_FLOOR;
    let floored = base.clamp_min(if exponent >= 1.0 { 0.0 } else { POWER_FLOOR });
    match exponent {
        0.0 => floored.ones_like(),
        0.5 => floored.sqrt(),
        1.0 => floored,
        2.0 => floored.clone() * floored,
        _ => floored.powf_scalar(exponent),
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::formula::Formula;
    use crate::formula::eval::gradient;
    use crate::grammar::Grammar;
    use crate::losses::catalog::CATALOG;
    use crate::losses::form::{Classes, Form};
    use crate::rng::{Purpose, stream};

    const SHAPE: [usize; 3] = [4, 5, 6];
    const VOXELS: usize = 120;

    /// Two samples, the second without foreground.
    fn batch(classes: usize, softmax: bool, seed: u64) -> (Vec<f32>, Vec<f32>) {
        let mut rng = stream(seed, Purpose::Probe, 0, 0);
        let logits: Vec<f32> = (0..2 * classes * VOXELS).map(|_| 6.0 * (rng.random::<f32>() - 0.5)).collect();
        let mut targets = vec![0f32; logits.len()];
        for place in 0..2 * VOXELS {
            let (sample, voxel) = (place / VOXELS, place % VOXELS);
            let class = rng.random_range(0..classes + usize::from(!softmax));
            let class = if sample == 0 { class } else { classes * usize::from(!softmax) };
            if class < classes {
                targets[(sample * classes + class) * VOXELS + voxel] = 1.0;
            }
        }
        (logits, targets)
    }

    #[track_caller]
    fn agrees(formula: &Formula, classes: usize, activation: Activation, seed: u64) {
        let softmax = activation == Activation::Softmax;
        let (logits, targets) = batch(classes, softmax, seed);
        let spacing = [[1.0, 0.5, 2.0], [1.0; 3]];
        let (progress, background) = (0.3, softmax);
        let plan = Plan::new(formula);
        let mut exact = vec![0f32; logits.len()];
        let inputs = Inputs {
            shape: SHAPE,
            spacing: &spacing,
            progress,
            activation,
            background,
            ..Inputs::new(2, classes, &logits, &targets)
        };
        let expected = gradient(&plan, &inputs, &mut exact);
        let (found, slopes) = super::gradient(&plan, &Scene::upload(&inputs));
        assert!((found - expected).abs() <= 1e-5 * expected.abs().max(1e-2), "{formula}: {found} not {expected}");
        let slopes = slopes.map_or_else(|| vec![0.0; exact.len()], floats);
        let largest = exact.iter().fold(0f32, |largest, slope| largest.max(slope.abs()));
        for (found, exact) in slopes.iter().zip(&exact) {
            assert!(
                (found - exact).abs() <= 1e-4 * largest + 1e-12,
                "{formula}: {found:e} not {exact:e} ({largest:e})"
            );
        }
    }

    #[test]
    fn every_loss_of_the_catalog_in_every_form_is_that_of_the_definition() {
        let forms = [
            (1, Activation::Sigmoid, Form::default()),
            (2, Activation::Sigmoid, Form { squared: true, spacing: true, ..Form::default() }),
            (2, Activation::Sigmoid, Form { batch: true, alpha: true, ..Form::default() }),
            (3, Activation::Softmax, Form { classes: Classes::Softmax(3), ..Form::default() }),
        ];
        for (classes, activation, form) in forms {
            for entry in CATALOG {
                agrees(&entry.formula_in(&form), classes, activation, 1);
            }
        }
    }

    #[test]
    fn random_formulas_are_those_of_the_definition() {
        let grammar = Grammar::polarity();
        for slot in 0..200 {
            let formula = grammar.sample_loss(20, &mut stream(5, Purpose::Birth, 0, slot));
            agrees(&formula, 1, Activation::Sigmoid, 2 + slot);
        }
    }
}
