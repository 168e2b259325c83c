//! `lossgen loss eval`: any loss on arrays of other programs, so that its value and gradient can be checked against theirs.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::cli::activation::ActivationOption;
use crate::cli::reference;
use crate::cli::term::Term;
use crate::data::npy::{self, Array};
use crate::fault::{Fault, Result};
use crate::formula::eval::{Activation, Inputs, Sample};
use crate::losses::form::{Classes, Form};
use crate::losses::reduction::{Reduction, Value, reduce};
use crate::run::replace;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// A name, a name with parameters, a formula, RUN/best, or RUN#ID
    loss: String,
    /// Logits, N,C,D,H,W
    #[arg(long, value_name = "NPY")]
    logits: PathBuf,
    /// Target: for one channel 0 to 1 in the shape of the logits, for several a label map N,1,D,H,W with 0 as background
    #[arg(long, value_name = "NPY")]
    target: PathBuf,
    /// Voxels that count, N,1,D,H,W: 0 leaves a voxel out of every sum and count
    #[arg(long, value_name = "NPY")]
    mask: Option<PathBuf>,
    /// Label whose voxels do not count
    #[arg(long, value_name = "LABEL")]
    ignore_label: Option<f64>,
    /// Distance of voxel centres along D,H,W in mm; distance losses then measure in mm
    #[arg(long, value_name = "D,H,W", value_delimiter = ',')]
    spacing: Option<Vec<f64>>,
    /// Keep logits and gradient in 64 bits instead of 32
    #[arg(long)]
    f64: bool,
    /// Write dL/dlogit, in the shape of the logits: of the mean, or of the sum with `--reduction sum` and `none`
    #[arg(long, value_name = "NPY")]
    grad: Option<PathBuf>,
    /// What becomes of the losses of samples and classes
    #[arg(long, value_enum, default_value_t)]
    reduction: ReductionOption,
    /// How the logits of several channels become probabilities [default: sigmoid for one channel, softmax for several]
    #[arg(long, value_enum)]
    activation: Option<ActivationOption>,
    /// Training progress `t`, 0 to 1
    #[arg(long, value_name = "T", default_value_t = 0.0)]
    progress: f64,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum ReductionOption {
    /// One value for each sample and class
    None,
    /// Their mean
    #[default]
    Mean,
    /// Their sum
    Sum,
}

/// What the arrays say, checked.
struct Batch {
    shape: [usize; 5],
    logits: Vec<f64>,
    /// One channel for each class.
    targets: Vec<f64>,
    mask: Option<Vec<bool>>,
}

pub(super) fn run(arguments: &Arguments, term: &Term) -> Result<()> {
    if !(0.0..=1.0).contains(&arguments.progress) {
        return Err(Fault::new("training progress out of range")
            .field("--progress")
            .expected("0 to 1")
            .found(arguments.progress));
    }
    let batch = Batch::read(arguments)?;
    let channels = batch.shape[1];
    let activation = match (arguments.activation.map(Activation::from), channels) {
        (Some(Activation::Softmax), 1) => {
            return Err(Fault::new("a softmax needs at least two channels")
                .field("--activation")
                .expected("sigmoid for logits of one channel")
                .found("softmax"));
        }
        (Some(activation), _) => activation,
        (None, 1) => Activation::Sigmoid,
        (None, _) => Activation::Softmax,
    };
    let classes = match (channels, activation) {
        (1, _) => Classes::Foreground,
        (n, Activation::Sigmoid) => Classes::Sigmoid(n),
        (n, Activation::Softmax) => Classes::Softmax(n),
    };
    let form = Form { classes, spacing: arguments.spacing.is_some(), ..Form::default() };
    let formula = reference::find_in(&arguments.loss, form)?.loss.formula;
    let spacing = spacing(arguments)?.map(|spacing| vec![spacing; batch.shape[0]]).unwrap_or_default();
    let frame = Frame { batch: &batch, spacing: &spacing, activation, progress: arguments.progress };
    let reduction = match arguments.reduction {
        ReductionOption::None => Reduction::None,
        ReductionOption::Mean => Reduction::Mean,
        ReductionOption::Sum => Reduction::Sum,
    };
    let (value, gradient) = if arguments.f64 {
        frame.evaluate::<f64>(&formula, reduction, |slopes| npy::encode(&batch.shape, slopes))?
    } else {
        frame.evaluate::<f32>(&formula, reduction, |slopes| npy::encode(&batch.shape, slopes))?
    };
    if let Some(path) = &arguments.grad {
        replace(path, &gradient)?;
    }
    let value = match value {
        Value::One(value) => serde_json::json!(value),
        Value::List(values) => serde_json::json!(values),
        Value::Table(rows) => serde_json::json!(rows),
    };
    let result = serde_json::json!({"loss": arguments.loss, "formula": formula.to_string(), "value": value});
    term.result(&result.to_string());
    Ok(())
}

/// A batch and how it is to be read.
struct Frame<'a> {
    batch: &'a Batch,
    spacing: &'a [[f64; 3]],
    activation: Activation,
    progress: f64,
}

impl Frame<'_> {
    /// The loss, and the file of its gradient, with logits rounded to `T`.
    fn evaluate<T: Sample>(
        &self,
        formula: &crate::formula::Formula,
        reduction: Reduction,
        encode: impl Fn(&[T]) -> Result<Vec<u8>>,
    ) -> Result<(Value, Vec<u8>)> {
        let [samples, classes, depth, height, width] = self.batch.shape;
        let round = |values: &[f64]| values.iter().map(|v| T::round(*v)).collect::<Vec<T>>();
        let (logits, targets) = (round(&self.batch.logits), round(&self.batch.targets));
        let inputs = Inputs {
            progress: self.progress,
            shape: [depth, height, width],
            spacing: self.spacing,
            activation: self.activation,
            background: classes > 1,
            mask: self.batch.mask.as_deref(),
            ..Inputs::new(samples, classes, &logits, &targets)
        };
        let mut slopes = vec![T::round(0.0); logits.len()];
        let value = reduce(formula, &inputs, reduction, &mut slopes);
        Ok((value, encode(&slopes)?))
    }
}

impl Batch {
    fn read(arguments: &Arguments) -> Result<Self> {
        let logits = five_axes(&arguments.logits)?;
        let shape: [usize; 5] = std::array::from_fn(|axis| logits.shape[axis]);
        let [samples, channels, depth, height, width] = shape;
        if let Some(value) = logits.values.iter().find(|z| !z.is_finite()) {
            return Err(Fault::new("logits are not finite")
                .file(&arguments.logits)
                .expected("finite numbers")
                .found(value));
        }
        let target = of_shape(&arguments.target, [samples, 1, depth, height, width])?;
        let ignored = |label: f64| arguments.ignore_label == Some(label);
        let mut mask: Option<Vec<bool>> =
            arguments.ignore_label.map(|_| target.values.iter().map(|label| !ignored(*label)).collect());
        if let Some(path) = &arguments.mask {
            let given = of_shape(path, [samples, 1, depth, height, width])?;
            let given = given.values.iter().map(|counts| *counts != 0.0);
            mask = Some(match mask {
                Some(mask) => mask.into_iter().zip(given).map(|(a, b)| a && b).collect(),
                None => given.collect(),
            });
        }
        let labels: Vec<f64> = target.values.iter().map(|l| if ignored(*l) { 0.0 } else { *l }).collect();
        let wrong = labels.iter().find(|label| match channels {
            1 => !(0.0..=1.0).contains(*label),
            _ => label.fract() != 0.0 || !(0.0..channels as f64).contains(*label),
        });
        if let Some(label) = wrong {
            let expected = match channels {
                1 => "0 to 1 for logits of one channel".to_string(),
                n => format!("whole numbers from 0 to {} for logits of {n} channels", n - 1),
            };
            return Err(Fault::new("target out of range").file(&arguments.target).expected(expected).found(label));
        }
        let targets = if channels == 1 { labels } else { one_hot(&labels, channels, depth * height * width) };
        Ok(Self { shape, logits: logits.values, targets, mask })
    }
}

/// An array with five axes and at least one number.
fn five_axes(path: &Path) -> Result<Array> {
    let array = npy::read(path)?;
    if array.shape.len() == 5 && !array.values.is_empty() {
        return Ok(array);
    }
    Err(Fault::new("array of another shape")
        .file(path)
        .expected("five axes N,C,D,H,W")
        .found(format!("shape {:?}", array.shape))
        .hint("`array[None, None]` adds the first two"))
}

fn of_shape(path: &Path, shape: [usize; 5]) -> Result<Array> {
    let array = five_axes(path)?;
    if array.shape == shape {
        return Ok(array);
    }
    Err(Fault::new("array of another shape than the logits")
        .file(path)
        .expected(format!("shape {shape:?}"))
        .found(format!("shape {:?}", array.shape))
        .hint("for logits of several channels, a label map with one channel"))
}

/// From labels `[samples, voxels]` to membership `[samples, channels, voxels]`.
fn one_hot(labels: &[f64], channels: usize, voxels: usize) -> Vec<f64> {
    let of = |sample: &[f64]| -> Vec<f64> {
        (0..channels).flat_map(|class| sample.iter().map(move |l| f64::from(*l == class as f64))).collect()
    };
    labels.chunks_exact(voxels).flat_map(of).collect()
}

fn spacing(arguments: &Arguments) -> Result<Option<[f64; 3]>> {
    let Some(given) = &arguments.spacing else { return Ok(None) };
    match given[..] {
        [d, h, w] if given.iter().all(|s| s.is_finite() && *s > 0.0) => Ok(Some([d, h, w])),
        _ => Err(Fault::new("not a spacing")
            .field("--spacing")
            .expected("three positive distances in mm, such as 3,0.8,0.8")
            .found(format!("{given:?}"))),
    }
}
