//! How the losses of samples and classes become one number, or stay apart.
//!
//! Guards what a value depends on: a loss that sums over the batch has one value per class, cross-entropy of a softmax one
//! per sample. Only what differs is listed and summed. A mean over the classes at the root of a formula is left to the
//! reduction, so that the classes can be told apart.

use crate::formula::Formula;
use crate::formula::eval::{Inputs, Sample, gradient, value, values};
use crate::formula::plan::Plan;
use crate::formula::word::{ClassReduction, Op, Reduction as Over};

/// What becomes of the losses of samples and classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reduction {
    /// They stay apart.
    None,
    /// Their mean.
    #[default]
    Mean,
    /// Their sum.
    Sum,
}

/// A loss after its reduction.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// One number.
    One(f64),
    /// One number for each sample, or for each class if all samples share it.
    List(Vec<f64>),
    /// For each sample one number for each class that counts.
    Table(Vec<Vec<f64>>),
}

/// The loss; dL/dlogit is written to `slopes`: of the mean, or of the sum where the losses are summed or stay apart.
///
/// # Panics
/// As [`gradient`].
pub fn reduce<T: Sample>(formula: &Formula, inputs: &Inputs<'_, T>, reduction: Reduction, slopes: &mut [T]) -> Value {
    let plan = Plan::new(formula);
    let mean = gradient(&plan, inputs, slopes);
    if reduction == Reduction::Mean {
        return Value::One(mean);
    }
    let (apart, first) = apart(formula, inputs);
    let differ = differ(&apart);
    let all = values(&Plan::new(&apart), inputs);
    let rows = all.chunks(inputs.classes).take(if differ.samples { inputs.samples } else { 1 });
    let classes = if differ.classes { first..inputs.classes } else { 0..1 };
    let table: Vec<Vec<f64>> = rows.map(|row| row[classes.clone()].to_vec()).collect();
    let count: usize = table.iter().map(Vec::len).sum();
    for slope in slopes.iter_mut() {
        *slope = T::round(count as f64 * (*slope).into());
    }
    let flat = || table.iter().flatten().copied();
    match reduction {
        Reduction::None if differ.samples && differ.classes => Value::Table(table),
        Reduction::None if differ.samples || differ.classes => Value::List(flat().collect()),
        _ => Value::One(flat().sum()),
    }
}

/// The formula without a mean over the classes at its root, and the first class that counts.
fn apart<T>(formula: &Formula, inputs: &Inputs<'_, T>) -> (Formula, usize) {
    let root = formula.genes()[0].word.word();
    if !matches!(root.op, Op::OverClasses(ClassReduction::Mean)) {
        return (formula.clone(), 0);
    }
    let mut arguments = formula.arguments(0);
    let (included, term) = (arguments.next().expect("two arguments"), arguments.next().expect("two arguments"));
    let scalar = Inputs::new(1, 1, &[0.0], &[0.0]);
    let included = value(&Plan::new(&formula.subtree(included)), &scalar);
    (formula.subtree(term), usize::from(inputs.background && included == 0.0 && inputs.classes > 1))
}

/// Over what the values of a formula differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Differ {
    samples: bool,
    classes: bool,
}

fn differ(formula: &Formula) -> Differ {
    formula.fold(|gene, below: &[Differ]| {
        let samples = below.iter().any(|d| d.samples);
        let classes = below.iter().any(|d| d.classes);
        match gene.word.word().op {
            Op::Number | Op::Parameter { .. } | Op::Progress | Op::Classes | Op::Reduce(Over::MeanTop) => {
                Differ { samples: false, classes: false }
            }
            Op::Class => Differ { samples: false, classes: true },
            Op::Leaf(_) | Op::Map(_) | Op::VolumeWeight => Differ { samples: true, classes: true },
            Op::Reduce(Over::MeanBatch | Over::SumBatch) => Differ { samples: false, classes },
            Op::OverClasses(_) => Differ { samples, classes: false },
            Op::Pointwise(_) | Op::Reduce(Over::Mean | Over::Sum) => Differ { samples, classes },
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formula::eval::Activation;
    use crate::losses::form::{Classes, Form};
    use crate::losses::named_in;

    /// Two samples, three classes, eight voxels.
    fn with<R>(f: impl FnOnce(&Inputs<'_, f64>) -> R) -> R {
        let logits: Vec<f64> = (0..48).map(|i| (0.7 * f64::from(i)).sin()).collect();
        let mut targets = vec![0.0; 48];
        for voxel in 0..16 {
            targets[(voxel / 8 * 3 + voxel % 3) * 8 + voxel % 8] = 1.0;
        }
        f(&Inputs { activation: Activation::Softmax, background: true, ..Inputs::new(2, 3, &logits, &targets) })
    }

    fn of(typed: &str, reduction: Reduction) -> (Value, Vec<f64>) {
        let loss = named_in(typed, Form { classes: Classes::Softmax(3), ..Form::default() }).unwrap();
        with(|inputs| {
            let mut slopes = vec![0.0; 48];
            (reduce(&loss.formula, inputs, reduction, &mut slopes), slopes)
        })
    }

    fn one(value: Value) -> f64 {
        match value {
            Value::One(value) => value,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_stays_apart_has_the_mean_and_the_sum_of_the_reductions() {
        for (typed, samples, classes) in
            [("dice", 2, 2), ("dice(background=true)", 2, 3), ("dice(batch=true)", 1, 2), ("ce", 2, 1), ("topk", 1, 1)]
        {
            let (apart, slopes) = of(typed, Reduction::None);
            let all: Vec<f64> = match apart {
                Value::One(value) => vec![value],
                Value::List(values) => values,
                Value::Table(rows) => rows.concat(),
            };
            assert_eq!(all.len(), samples * classes, "{typed}");
            let (mean, of_mean) = of(typed, Reduction::Mean);
            let (sum, of_sum) = of(typed, Reduction::Sum);
            let total: f64 = all.iter().sum();
            assert!(
                (one(sum) - total).abs() < 1e-14 && (one(mean) - total / all.len() as f64).abs() < 1e-14,
                "{typed}"
            );
            assert_eq!(slopes, of_sum);
            assert!(of_sum.iter().zip(of_mean).all(|(s, m)| (s - m * all.len() as f64).abs() < 1e-15));
        }
    }

    #[test]
    fn sums_over_samples_leave_one_value_per_class() {
        assert!(matches!(of("dice(batch=true)", Reduction::None).0, Value::List(values) if values.len() == 2));
        assert!(matches!(of("dice", Reduction::None).0, Value::Table(rows) if rows.len() == 2 && rows[0].len() == 2));
    }
}
