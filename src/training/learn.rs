//! Learning a loss (Bechtle et al. 2021, ML3; Raymond et al. 2025, AdaLFL): which slopes should a loss have, so that a step
//! along them makes a network better at its task?
//!
//! For a network with parameters w, a loss with weights f and a step `w' = w - P dL/dw` of an optimiser that divides by P's
//! inverse, the task after the step moves with f as `dT/df = -sum_i (d slope_i / df) dz_i`, where dz is how the outputs z
//! move along `P dT/dw'`: two more passes forward give it as a difference, so nothing is differentiated twice. Only its
//! direction counts, because every loss is used with a gradient of one size: what is climbed is the cosine of both
//! gradients of the network, measured by P. (Measured by the slopes themselves, a loss learns to move all outputs together,
//! because networks move that way most easily: the cosine of slopes and dz ends in losses that empty every mask.) Several
//! networks of different ages learn side by side, each from its own weights; the loss meets all phases of a training in
//! every lesson, instead of the first step alone, which is what made published losses short-sighted.

use std::sync::Arc;

use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Recipe;
use super::trainer::{CLIP, EPSILON};
use crate::data::Case;
use crate::data::patches::Batch;
use crate::fault::{Fault, Result};
use crate::formula::Formula;
use crate::formula::eval::Inputs;
use crate::formula::fingerprint::probes;
use crate::formula::plan::Plan;
use crate::formula::simd::Program;
use crate::gates::{gradient_factor, gradient_factor_of};
use crate::losses::learned::{Learned, Listens};
use crate::nn::{self, UNet3d, UNet3dConfig, floats};
use crate::rng::{Purpose, stream};

/// How a loss is learned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LearnConfig {
    /// Lessons: steps of the optimiser of the loss.
    pub lessons: usize,
    /// Networks that learn side by side, evenly spread over the ages of a training. One alone grows from lesson to lesson,
    /// and the loss with it, as in AdaLFL.
    pub networks: usize,
    /// Units of each hidden layer of the loss.
    pub hidden: usize,
    /// Learning rate of Adam for the loss; falls to a tenth along a cosine.
    pub learning_rate: f64,
    /// What a network is to be good at: a loss of the catalog, or a formula.
    pub task: String,
    /// To what the loss listens beside prediction and target.
    pub listens: Listens,
    /// How the networks are trained; its steps are the life of a network.
    pub recipe: Recipe,
}

impl Default for LearnConfig {
    fn default() -> Self {
        Self {
            lessons: 600,
            networks: 4,
            hidden: 16,
            learning_rate: 5e-3,
            task: "dice_ce".to_string(),
            listens: Listens::default(),
            recipe: Recipe::default(),
        }
    }
}

impl LearnConfig {
    /// Whether a loss can be learned so.
    ///
    /// # Errors
    /// The first value out of its range.
    pub fn check(&self) -> Result<()> {
        let out = |field: &str, expected: &str, found: String| {
            Err(Fault::new("setting out of range").field(field).expected(expected).found(found))
        };
        if self.lessons == 0 {
            return out("lessons", "at least 1", self.lessons.to_string());
        }
        if !(1..=64).contains(&self.networks) {
            return out("networks", "1 to 64", self.networks.to_string());
        }
        if !(1..=1024).contains(&self.hidden) {
            return out("hidden", "1 to 1024", self.hidden.to_string());
        }
        if !(self.learning_rate > 0.0 && self.learning_rate.is_finite()) {
            return out("learning_rate", "a positive number", self.learning_rate.to_string());
        }
        self.recipe.check().map_err(|fault| fault.within("recipe"))
    }
}

/// On what a loss is learned.
pub struct School<'a> {
    /// Cases of the networks.
    pub cases: &'a [Arc<Case>],
    /// Shape of the networks.
    pub network: UNet3dConfig,
    /// How.
    pub config: &'a LearnConfig,
    /// What a network is to be good at.
    pub task: Formula,
    /// Seed of everything.
    pub seed: u64,
}

/// A finished lesson: means over the networks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lesson {
    /// Its number, from 0.
    pub number: usize,
    /// Cosine between the gradient of the loss and that of the task, of all parameters.
    pub cosine: f64,
    /// The task after the step, on other patches.
    pub task: f64,
}

/// How far the networks are moved to see how their outputs move, in the norm of all parameters.
const REACH: f64 = 5e-3;

/// Decay of the second moment that stands for Adam's.
const SECOND: f32 = 0.999;

impl School<'_> {
    /// Learns a loss from a random one; `watch` is told every lesson and says whether to go on. `None` if it did not.
    ///
    /// # Errors
    /// If cases cannot be read any more.
    pub fn learn(&self, watch: &mut dyn FnMut(&Lesson) -> bool) -> Result<Option<Learned>> {
        let Self { config, seed, .. } = self;
        let mut loss = Learned::random(config.listens, config.hidden, &mut stream(*seed, Purpose::Weights, 1 << 20, 0));
        let (probes, task) = (probes(), Program::new(&Plan::new(&self.task)));
        let task_factor = gradient_factor(task.plan());
        let life = config.recipe.steps;
        let mut pupils: Vec<Pupil> =
            (0..config.networks).map(|place| Pupil::new(self, place, place * life / config.networks)).collect();
        let mut climber = Climber::new(loss.net().weights().len());
        for number in 0..config.lessons {
            let factor = gradient_factor_of(&loss.slopes(&probes));
            let lessons: Vec<Result<Learnt>> = pupils
                .par_iter_mut()
                .map(|pupil| pupil.step(self, &loss, factor, &task, task_factor, number))
                .collect();
            let lessons: Vec<Learnt> = lessons.into_iter().collect::<Result<_>>()?;
            let count = lessons.len() as f64;
            let mut uphill = vec![0.0; loss.net().weights().len()];
            for lesson in &lessons {
                uphill.iter_mut().zip(&lesson.uphill).for_each(|(sum, own)| *sum += own / count);
            }
            let share = number as f64 / config.lessons as f64;
            let rate = config.learning_rate * (0.55 + 0.45 * (std::f64::consts::PI * share).cos());
            climber.step(loss.weights_mut(), &uphill, rate);
            let mean = |of: fn(&Learnt) -> f64| lessons.iter().map(of).sum::<f64>() / count;
            let lesson = Lesson { number, cosine: mean(|lesson| lesson.cosine), task: mean(|lesson| lesson.task) };
            if !watch(&lesson) {
                return Ok(None);
            }
        }
        Ok(Some(loss.rounded()))
    }

    fn batch(&self, purpose: Purpose, place: usize, number: usize) -> Result<Batch> {
        let rng = &mut stream(self.seed, purpose, (1 << 20) + place as u64, number as u64);
        self.config.recipe.patches.batch(self.cases, &self.config.recipe.augment, rng)
    }
}

/// A network that is trained with the loss.
struct Pupil {
    place: usize,
    /// Steps since it was born.
    age: usize,
    /// How often it was born.
    lives: usize,
    network: UNet3d,
    optimizer: ModuleOptimizer,
    /// Mean of the squared gradients, and its correction for the start at 0.
    second: Vec<f32>,
    correction: f32,
}

/// What a network has to say about a lesson.
struct Learnt {
    /// The derivative of the cosine by the weights of the loss.
    uphill: Vec<f64>,
    cosine: f64,
    task: f64,
}

impl Pupil {
    /// A network that is taken for `age` steps old: the first lives are shorter, so that ages are spread from the start.
    fn new(school: &School<'_>, place: usize, age: usize) -> Self {
        let weights = &mut stream(school.seed, Purpose::Weights, (1 << 20) + 1 + place as u64, 0);
        let network = school.network.init(weights, &nn::device().autodiff());
        let optimizer = AdamConfig::new().with_epsilon(EPSILON).init();
        Self { place, age, lives: 0, network, optimizer, second: Vec::new(), correction: 1.0 }
    }

    fn reborn(&mut self, school: &School<'_>) {
        self.lives += 1;
        let weights = &mut stream(school.seed, Purpose::Weights, (1 << 20) + 1 + self.place as u64, self.lives as u64);
        self.network = school.network.init(weights, &nn::device().autodiff());
        self.optimizer = AdamConfig::new().with_epsilon(EPSILON).init();
        (self.second, self.correction, self.age) = (Vec::new(), 1.0, 0);
    }

    /// One step of the network, and what the loss learns from it.
    fn step(
        &mut self,
        school: &School<'_>,
        loss: &Learned,
        factor: f64,
        task: &Program,
        task_factor: f64,
        number: usize,
    ) -> Result<Learnt> {
        let recipe = &school.config.recipe;
        if self.age >= recipe.steps {
            self.reborn(school);
        }
        let batch = school.batch(Purpose::Batch, self.place, number)?;
        let (image, logits) = self.outputs(&batch);
        let outputs = floats(logits.clone());
        let inputs = inputs(&batch, &outputs, recipe.progress(self.age));
        let table = loss.table(inputs.progress);
        let mut slopes = vec![0f32; outputs.len()];
        table.gradient(&inputs, &mut slopes);
        let scaled: Vec<f32> = slopes.iter().map(|slope| (f64::from(*slope) * factor) as f32).collect();
        let mut gradients = self.propagated(logits, scaled);
        let flat = nn::flatten(&self.network, &gradients);
        self.remember(&flat);
        let nothing = || Learnt { uphill: vec![0.0; loss.net().weights().len()], cosine: 0.0, task: f64::NAN };
        if !nn::clip_global_norm(&self.network, &mut gradients, CLIP).is_finite() {
            self.reborn(school);
            return Ok(nothing());
        }
        let before = self.network.clone();
        self.network = self.optimizer.step(recipe.rate(self.age), before.clone(), gradients);

        let other = school.batch(Purpose::Trial, self.place, number)?;
        let (reached, wanted) = self.task_gradient(&other, task, task_factor);
        let learnt = cosine(&flat, &wanted, &self.spread()).map(|(cosine, direction)| {
            let shares = movement(&before, &image, &direction);
            let mut uphill = vec![0.0; loss.net().weights().len()];
            table.add_slope_gradient(loss, &inputs, &shares, &mut uphill);
            // The gradient was that of the loss in the size of Dice + CE.
            uphill.iter_mut().for_each(|slope| *slope *= factor);
            Learnt { uphill, cosine, task: reached }
        });
        self.age += 1;
        Ok(learnt.unwrap_or_else(nothing))
    }

    fn outputs(&self, batch: &Batch) -> (Tensor<5>, Tensor<5>) {
        let image = TensorData::new(batch.image.clone(), batch.shape);
        let image = Tensor::<5>::from_data(image, &nn::device().autodiff());
        (image.clone(), self.network.forward(image))
    }

    /// Gradients of the parameters for some dL/dlogit.
    fn propagated(&self, logits: Tensor<5>, slopes: Vec<f32>) -> GradientsParams {
        let slopes = Tensor::<5>::from_data(TensorData::new(slopes, logits.dims()), &logits.device());
        GradientsParams::from_grads((logits * slopes).sum().backward(), &self.network)
    }

    /// The task on a batch, and its derivative by all parameters.
    fn task_gradient(&self, batch: &Batch, task: &Program, factor: f64) -> (f64, Vec<f32>) {
        let (_, logits) = self.outputs(batch);
        let outputs = floats(logits.clone());
        let mut slopes = vec![0f32; outputs.len()];
        let reached = task.gradient(&inputs(batch, &outputs, 0.5), &mut slopes);
        slopes.iter_mut().for_each(|slope| *slope = (f64::from(*slope) * factor) as f32);
        (reached, nn::flatten(&self.network, &self.propagated(logits, slopes)))
    }

    fn remember(&mut self, gradient: &[f32]) {
        self.second.resize(gradient.len(), 0.0);
        self.correction *= SECOND;
        for (second, g) in self.second.iter_mut().zip(gradient) {
            *second = SECOND * *second + (1.0 - SECOND) * g * g;
        }
    }

    /// Root of the mean squared gradient: what Adam divides by.
    fn spread(&self) -> Vec<f64> {
        let root = |second: &f32| f64::from((second / (1.0 - self.correction)).sqrt() + EPSILON);
        self.second.iter().map(root).collect()
    }
}

fn inputs<'a>(batch: &'a Batch, outputs: &'a [f32], progress: f64) -> Inputs<'a, f32> {
    let [samples, _, depth, height, width] = batch.shape;
    Inputs {
        progress,
        shape: [depth, height, width],
        spacing: &batch.spacing,
        ..Inputs::new(samples, batch.classes, outputs, &batch.target)
    }
}

/// How the outputs of a network move if its parameters move along a direction, by a central difference.
fn movement(network: &UNet3d, image: &Tensor<5>, direction: &[f64]) -> Vec<f64> {
    let norm = direction.iter().map(|d| d * d).sum::<f64>().sqrt();
    let reach = REACH / norm.max(f64::MIN_POSITIVE);
    let moved = |sign: f64| {
        // Of length 1 before they become 32-bit floats.
        let back: Vec<f32> = direction.iter().map(|d| (-sign * d / norm) as f32).collect();
        let moved = SgdConfig::new().init().step(REACH, network.clone(), nn::unflatten(network, &back));
        floats(nn::inference(&moved).forward(image.clone().inner()))
    };
    let (ahead, behind) = (moved(1.0), moved(-1.0));
    ahead.iter().zip(&behind).map(|(ahead, behind)| (f64::from(*ahead) - f64::from(*behind)) / (2.0 * reach)).collect()
}

/// The cosine of two gradients where every parameter counts by the inverse of its spread, and its derivative by the first
/// one; `None` if one of the two is nothing.
fn cosine(own: &[f32], wanted: &[f32], spread: &[f64]) -> Option<(f64, Vec<f64>)> {
    let product = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).zip(spread).map(|((a, b), spread)| f64::from(*a) * f64::from(*b) / spread).sum()
    };
    let (length, both) = (product(own, own), product(own, wanted));
    let size = (length * product(wanted, wanted)).sqrt();
    if !(size.is_finite() && size > 0.0) {
        return None;
    }
    let derivative = |((own, wanted), spread): ((&f32, &f32), &f64)| {
        (f64::from(*wanted) - both / length * f64::from(*own)) / spread / size
    };
    Some((both / size, own.iter().zip(wanted).zip(spread).map(derivative).collect()))
}

/// Adam, uphill (Kingma and Ba 2015).
struct Climber {
    first: Vec<f64>,
    second: Vec<f64>,
    steps: i32,
}

impl Climber {
    fn new(size: usize) -> Self {
        Self { first: vec![0.0; size], second: vec![0.0; size], steps: 0 }
    }

    fn step(&mut self, weights: &mut [f64], uphill: &[f64], rate: f64) {
        const DECAY: [f64; 2] = [0.9, 0.999];
        self.steps += 1;
        let corrections = DECAY.map(|decay| 1.0 - decay.powi(self.steps));
        for (place, slope) in uphill.iter().enumerate() {
            self.first[place] = DECAY[0] * self.first[place] + (1.0 - DECAY[0]) * slope;
            self.second[place] = DECAY[1] * self.second[place] + (1.0 - DECAY[1]) * slope * slope;
            let (mean, spread) = (self.first[place] / corrections[0], (self.second[place] / corrections[1]).sqrt());
            weights[place] += rate * mean / (spread + 1e-12);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Outputs of a toy: tanh of linear functions of the parameters, one output a voxel.
    fn toy(parameters: &[f64]) -> Vec<f32> {
        let row = |i: usize| -> f64 {
            parameters.iter().enumerate().map(|(j, w)| w * (0.9 * i as f64 + 1.7 * j as f64).sin()).sum()
        };
        (0..40).map(|i| (2.0 * row(i).tanh()) as f32).collect()
    }

    /// dz/dw of the toy.
    fn jacobian(parameters: &[f64]) -> Vec<Vec<f64>> {
        let h = 1e-3;
        let moved = |j: usize, by: f64| {
            let mut moved = parameters.to_vec();
            moved[j] += by;
            toy(&moved)
        };
        let column = |j: usize| -> Vec<f64> {
            let (ahead, behind) = (moved(j, h), moved(j, -h));
            ahead.iter().zip(&behind).map(|(a, b)| (f64::from(*a) - f64::from(*b)) / (2.0 * h)).collect()
        };
        (0..parameters.len()).map(column).collect()
    }

    /// The first-order product against the exact derivative of the task after one step by the weights of the loss, which is
    /// taken as a difference of whole steps.
    #[test]
    fn the_first_order_product_is_the_derivative_through_a_step() {
        let parameters = [0.4, -0.7, 0.3, 0.2, -0.1];
        let targets: Vec<f32> = (0..40).map(|i| f32::from(u8::from(i % 3 == 0))).collect();
        let loss = Learned::random(Listens::default(), 4, &mut stream(5, Purpose::Probe, 0, 0));
        let task = Program::new(&Plan::new(&"(mean (* abs_diff abs_diff))".parse().unwrap()));
        let rate = 0.5;
        let slopes = |loss: &Learned, outputs: &[f32]| {
            let mut slopes = vec![0f32; outputs.len()];
            loss.table(0.2).gradient(&Inputs::new(1, 1, outputs, &targets), &mut slopes);
            slopes
        };
        let columns = jacobian(&parameters);
        let by_parameters = |slopes: &[f32], columns: &[Vec<f64>]| -> Vec<f64> {
            columns.iter().map(|column| column.iter().zip(slopes).map(|(dz, g)| dz * f64::from(*g)).sum()).collect()
        };
        let after = |loss: &Learned| -> Vec<f64> {
            let gradient = by_parameters(&slopes(loss, &toy(&parameters)), &columns);
            parameters.iter().zip(gradient).map(|(w, g)| w - rate * g).collect()
        };
        let task_at = |parameters: &[f64]| {
            let outputs = toy(parameters);
            let mut slopes = vec![0f32; outputs.len()];
            let value = task.gradient(&Inputs::new(1, 1, &outputs, &targets), &mut slopes);
            (value, slopes)
        };
        // As in a lesson: the task's gradient behind the step, how outputs move along it, the product.
        let behind = after(&loss);
        let (_, task_slopes) = task_at(&behind);
        let along = by_parameters(&task_slopes, &jacobian(&behind));
        let size = 1e-2 / along.iter().map(|v| v * v).sum::<f64>().sqrt();
        let moved =
            |sign: f64| toy(&parameters.iter().zip(&along).map(|(w, v)| w + sign * size * v).collect::<Vec<_>>());
        let shares: Vec<f64> = moved(1.0)
            .iter()
            .zip(&moved(-1.0))
            .map(|(a, b)| -rate * (f64::from(*a) - f64::from(*b)) / (2.0 * size))
            .collect();
        let outputs = toy(&parameters);
        let mut product = vec![0.0; loss.net().weights().len()];
        let inputs = Inputs::new(1, 1, &outputs, &targets);
        loss.table(0.2).add_slope_gradient(&loss, &inputs, &shares, &mut product);

        let largest = product.iter().fold(0.0, |m: f64, g| m.max(g.abs()));
        for place in (0..product.len()).step_by(3) {
            let task_with = |by: f64| {
                let mut loss = loss.clone();
                loss.weights_mut()[place] += by;
                let after = after(&loss);
                // To second order around the step's end, where 32 bits would drown the difference.
                let linear: f64 = along.iter().zip(after.iter().zip(&behind)).map(|(v, (a, b))| v * (a - b)).sum();
                linear
            };
            let exact = (task_with(1e-2) - task_with(-1e-2)) / 2e-2;
            assert!((exact - product[place]).abs() < 5e-3 * largest, "{place}: {exact} and {}", product[place]);
        }
    }

    #[test]
    fn outputs_move_as_back_propagation_says() {
        let config = UNet3dConfig { width: 2, levels: 2, ..UNet3dConfig::default() };
        let network = config.init(&mut stream(1, Purpose::Weights, 0, 0), &nn::device().autodiff());
        let image: Vec<f32> = (0..256).map(|i| (1.7 * i as f32).sin()).collect();
        let image = Tensor::<5>::from_data(TensorData::new(image, [1, 1, 8, 8, 4]), &nn::device().autodiff());
        let logits = network.forward(image.clone());
        let slopes: Vec<f32> = (0..256).map(|i| (0.3 * i as f32).cos() / 256.0).collect();
        let tensor = Tensor::<5>::from_data(TensorData::new(slopes.clone(), logits.dims()), &logits.device());
        let gradients = GradientsParams::from_grads((logits * tensor).sum().backward(), &network);
        let direction: Vec<f64> = nn::flatten(&network, &gradients).into_iter().map(f64::from).collect();
        let moved = movement(&network, &image, &direction);
        let by_outputs: f64 = moved.iter().zip(&slopes).map(|(dz, g)| dz * f64::from(*g)).sum();
        let by_parameters: f64 = direction.iter().map(|g| g * g).sum();
        assert!((by_outputs / by_parameters - 1.0).abs() < 3e-2, "{by_outputs} and {by_parameters}");
    }

    #[test]
    fn the_cosine_rises_where_its_derivative_says() {
        let (own, wanted, spread) = ([0.5f32, -0.25, 0.1], [0.2f32, 0.4, -0.3], [1.0, 0.5, 3.0]);
        let (start, shares) = cosine(&own, &wanted, &spread).unwrap();
        for place in 0..3 {
            let mut moved = own;
            moved[place] += 1e-3;
            let rise = (cosine(&moved, &wanted, &spread).unwrap().0 - start) / 1e-3;
            assert!((rise - shares[place]).abs() < 5e-3, "{rise} and {}", shares[place]);
        }
        assert!((cosine(&own, &own, &spread).unwrap().0 - 1.0).abs() < 1e-12);
        assert!(cosine(&[0.0; 3], &wanted, &spread).is_none());
    }
}
