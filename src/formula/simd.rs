//! A formula ready to be evaluated fast: the same passes as [`eval`](super::eval), with values per voxel in `f32` and in
//! vector registers, and every sum in `f64`.
//!
//! This is an implementation, not the definition: tests hold it to the `f64` evaluator. Its bits depend neither on the
//! number of threads nor on the instructions that a processor has.

use super::eval::{Inputs, Machine};
use super::level::Level;
use super::plan::Plan;

/// A compiled formula.
#[derive(Debug, Clone)]
pub struct Program {
    plan: Plan,
    level: Level,
}

impl Program {
    /// Compiles a plan for this processor.
    pub fn new(plan: &Plan) -> Self {
        Self { plan: plan.clone(), level: Level::best() }
    }

    /// What was compiled.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The same for another level, if the processor has it.
    pub fn at(&self, level: Level) -> Option<Self> {
        level.is_available().then(|| Self { plan: self.plan.clone(), level })
    }

    /// The loss.
    ///
    /// # Panics
    /// As [`eval::value`](super::eval::value).
    pub fn value(&self, inputs: &Inputs<'_, f32>) -> f64 {
        let mut machine = Machine::<f32>::new(&self.plan, inputs, self.level);
        machine.forward();
        machine.loss()
    }

    /// The loss; dL/dlogit is written to `gradient`, which has the size of the logits.
    ///
    /// # Panics
    /// As [`eval::gradient`](super::eval::gradient).
    pub fn gradient(&self, inputs: &Inputs<'_, f32>, gradient: &mut [f32]) -> f64 {
        assert_eq!(gradient.len(), inputs.logits.len(), "gradient and logits differ in size");
        let mut machine = Machine::<f32>::new(&self.plan, inputs, self.level);
        machine.forward();
        gradient.fill(0.0);
        machine.backward(gradient);
        machine.loss()
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::formula::Formula;
    use crate::formula::eval::{self, Activation};
    use crate::grammar::Grammar;
    use crate::losses::catalog::CATALOG;
    use crate::losses::form::{Classes, Form};
    use crate::rng::{Purpose, stream};

    /// A batch of two samples; the second one is empty, and some logits are saturated.
    struct Scene {
        classes: usize,
        logits: Vec<f32>,
        targets: Vec<f32>,
        mask: Vec<bool>,
    }

    const SHAPE: [usize; 3] = [7, 11, 9];
    const VOXELS: usize = 7 * 11 * 9;

    impl Scene {
        fn new(classes: usize, activation: Activation, seed: u64) -> Self {
            let mut rng = stream(seed, Purpose::Probe, 0, 0);
            let n = 2 * classes * VOXELS;
            let mut logits: Vec<f32> = (0..n).map(|_| 8.0 * (rng.random::<f32>() - 0.5)).collect();
            for (i, logit) in logits.iter_mut().enumerate().filter(|(i, _)| i % 97 == 0) {
                *logit = if i % 2 == 0 { 90.0 } else { -90.0 };
            }
            let mut targets = vec![0f32; n];
            for sample in 0..2 {
                for voxel in 0..VOXELS {
                    let class = rng.random_range(0..classes + usize::from(activation == Activation::Sigmoid));
                    let class = if sample == 1 { 0 } else { class };
                    let foreground = sample == 0 || activation == Activation::Softmax;
                    if class < classes && foreground {
                        targets[(sample * classes + class) * VOXELS + voxel] = 1.0;
                    }
                }
            }
            let mask = (0..2 * VOXELS).map(|i| i % 5 != 0).collect();
            Self { classes, logits, targets, mask }
        }

        fn inputs(&self, activation: Activation, masked: bool) -> Inputs<'_, f32> {
            Inputs {
                shape: SHAPE,
                progress: 0.3,
                spacing: &[[1.0, 0.5, 2.0], [3.0, 1.0, 1.0]],
                activation,
                background: activation == Activation::Softmax,
                mask: masked.then_some(self.mask.as_slice()),
                ..Inputs::new(2, self.classes, &self.logits, &self.targets)
            }
        }
    }

    /// Holds the program to the definition, and all levels to one another.
    #[track_caller]
    fn agrees(formula: &Formula, inputs: &Inputs<'_, f32>) {
        let plan = Plan::new(formula);
        let (mut exact, mut found) = (vec![0f32; inputs.logits.len()], vec![0f32; inputs.logits.len()]);
        let value = eval::gradient(&plan, inputs, &mut exact);
        let program = Program::new(&plan);
        let fast = program.gradient(inputs, &mut found);
        assert!((fast - value).abs() <= 1e-5 * value.abs().max(1e-3), "{formula}: {fast} instead of {value}");
        let largest = exact.iter().fold(0f32, |largest, slope| largest.max(slope.abs()));
        for (i, (found, exact)) in found.iter().zip(&exact).enumerate() {
            let apart = (found - exact).abs();
            assert!(apart <= 1e-4 * largest + 1e-30, "{formula}: {found:e} instead of {exact:e} at {i}, {largest:e}");
        }
        assert_eq!(program.value(inputs), fast, "{formula}");
        for level in Level::ALL {
            let Some(other) = program.at(level) else { continue };
            let mut slopes = vec![0f32; inputs.logits.len()];
            assert_eq!(other.gradient(inputs, &mut slopes), fast, "{formula} at {level:?}");
            assert_eq!(slopes, found, "{formula} at {level:?}");
        }
    }

    #[test]
    fn every_loss_of_the_catalog_in_every_form_is_that_of_the_definition() {
        let forms = [
            (1, Activation::Sigmoid, Form::default()),
            (3, Activation::Sigmoid, Form { squared: true, spacing: true, ..Form::default() }),
            (3, Activation::Sigmoid, Form { batch: true, alpha: true, ..Form::default() }),
            (3, Activation::Softmax, Form { classes: Classes::Softmax(3), ..Form::default() }),
        ];
        for (classes, activation, form) in forms {
            let scene = Scene::new(classes, activation, 1);
            for entry in CATALOG {
                for masked in [false, true] {
                    agrees(&entry.formula_in(&form), &scene.inputs(activation, masked));
                }
            }
        }
    }

    #[test]
    fn random_formulas_are_those_of_the_definition() {
        let grammar = Grammar::polarity();
        for (classes, activation) in [(1, Activation::Sigmoid), (3, Activation::Softmax)] {
            let scene = Scene::new(classes, activation, 2);
            for slot in 0..500 {
                let formula = grammar.sample_loss(20, &mut stream(3, Purpose::Birth, 0, slot));
                agrees(&formula, &scene.inputs(activation, false));
            }
        }
    }

    #[test]
    fn classes_far_behind_a_wrong_one_keep_their_gradient() {
        // Between the logits lie 78 powers of ten, twice as many as single precision has.
        let (logits, targets) = ([90.0, -90.0, -90.0], [0.0, 1.0, 0.0]);
        let inputs = Inputs { activation: Activation::Softmax, ..Inputs::new(1, 3, &logits, &targets) };
        let formula = "(mean (+ ce_fg ce_bg))".parse().unwrap();
        agrees(&formula, &inputs);
        let mut slopes = [0f32; 3];
        Program::new(&Plan::new(&formula)).gradient(&inputs, &mut slopes);
        // By hand: a mean over three classes, in which 1 - p of class 0 belongs to the other two in equal parts.
        for (found, exact) in slopes.iter().zip([2.0f32 / 3.0, -1.5 / 3.0, -0.5 / 3.0]) {
            assert!((found - exact).abs() < 1e-5, "{slopes:?}");
        }
    }

    #[test]
    fn threads_do_not_change_a_bit() {
        let mut rng = stream(4, Purpose::Probe, 0, 0);
        let logits: Vec<f32> = (0..3 * 20_000).map(|_| 8.0 * (rng.random::<f32>() - 0.5)).collect();
        let targets: Vec<f32> = logits.iter().map(|z| f32::from(u8::from(*z > 2.0))).collect();
        let inputs = Inputs::new(3, 1, &logits, &targets);
        let program = Program::new(&Plan::new(&"(+ (ratio (sum tp) (sum abs_diff)) (mean ce_fg))".parse().unwrap()));
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut slopes = vec![0f32; logits.len()];
            (pool.install(|| program.gradient(&inputs, &mut slopes)), slopes)
        };
        assert_eq!(run(1), run(2));
        assert_eq!(run(1), run(8));
    }
}
