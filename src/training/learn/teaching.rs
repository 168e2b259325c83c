//! What a loss learns from one step of a network: how the task behind the step moves with the weights of the loss.
//!
//! See the head of `training::learn` for the mathematics. Nothing is differentiated twice: two passes forward tell how the
//! outputs move.

use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::{Tensor, TensorData};

use crate::data::patches::Batch;
use crate::formula::Formula;
use crate::formula::eval::Inputs;
use crate::formula::plan::Plan;
use crate::formula::simd::Program;
use crate::gates::gradient_factor;
use crate::losses::learned::{Learned, Table};
use crate::nn::{self, Precision, UNet3d, floats};

/// How far the parameters of a network are moved to see how its outputs move, in the norm of all of them.
const REACH: f64 = 5e-3;

/// What a network is to be good at.
pub(in crate::training) struct Task {
    program: Program,
    /// Gives it the gradient of Dice + CE.
    factor: f64,
}

/// A step of a network with a learned loss.
pub(in crate::training) struct Taken<'a> {
    /// The network before the step.
    pub(in crate::training) before: &'a UNet3d,
    /// The network behind it.
    pub(in crate::training) after: &'a UNet3d,
    /// Patches of the step.
    pub(in crate::training) image: &'a Tensor<5>,
    /// Outputs for them before the step, and their targets.
    pub(in crate::training) inputs: &'a Inputs<'a, f32>,
    /// The loss.
    pub(in crate::training) loss: &'a Learned,
    /// The loss at the moment of the step.
    pub(in crate::training) table: &'a Table,
    /// Gradient of the loss by all parameters, in any size.
    pub(in crate::training) gradient: &'a [f32],
    /// What the optimiser divides the gradient by.
    pub(in crate::training) spread: &'a [f64],
}

/// What is learned from a step.
pub(in crate::training) struct Learnt {
    /// The derivative of the cosine by the weights of the loss.
    pub(in crate::training) uphill: Vec<f64>,
    /// Cosine between the gradients of loss and task.
    pub(in crate::training) cosine: f64,
    /// The task behind the step.
    pub(in crate::training) task: f64,
}

impl Task {
    pub(in crate::training) fn new(formula: &Formula) -> Self {
        let plan = Plan::new(formula);
        Self { factor: gradient_factor(&plan), program: Program::new(&plan) }
    }

    /// The task on a batch, and its derivative by all parameters.
    fn gradient(&self, network: &UNet3d, batch: &Batch) -> (f64, Vec<f32>) {
        let image = TensorData::new(batch.image.clone(), batch.shape);
        let logits = network.forward(Tensor::<5>::from_data(image, &nn::device().autodiff()));
        let outputs = floats(logits.clone());
        let mut slopes = vec![0f32; outputs.len()];
        let reached = self.program.gradient(&inputs(batch, &outputs, 0.5), &mut slopes);
        for slope in &mut slopes {
            *slope = (f64::from(*slope) * self.factor) as f32;
        }
        (reached, nn::flatten(network, &propagated(network, logits, slopes)))
    }
}

impl Taken<'_> {
    /// What the loss learns, by the task on other patches; `None` if one of the gradients is nothing.
    pub(in crate::training) fn teach(&self, task: &Task, other: &Batch) -> Option<Learnt> {
        let (reached, wanted) = task.gradient(self.after, other);
        let (cosine, direction) = cosine(self.gradient, &wanted, self.spread)?;
        let moves = movement(self.before, self.image, &direction);
        let mut uphill = vec![0.0; self.loss.net().weights().len()];
        self.table.add_slope_gradient(self.loss, self.inputs, &moves, &mut uphill);
        uphill.iter().all(|slope| slope.is_finite()).then_some(Learnt { uphill, cosine, task: reached })
    }
}

/// What a loss is computed from.
pub(super) fn inputs<'a>(batch: &'a Batch, outputs: &'a [f32], progress: f64) -> Inputs<'a, f32> {
    let [samples, _, depth, height, width] = batch.shape;
    Inputs {
        progress,
        shape: [depth, height, width],
        spacing: &batch.spacing,
        ..Inputs::new(samples, batch.classes, outputs, &batch.target)
    }
}

/// Gradients of the parameters for some dL/dlogit.
pub(super) fn propagated(network: &UNet3d, logits: Tensor<5>, slopes: Vec<f32>) -> GradientsParams {
    let slopes = Tensor::<5>::from_data(TensorData::new(slopes, logits.dims()), &logits.device());
    GradientsParams::from_grads((logits * slopes).sum().backward(), network)
}

/// How the outputs of a network move if its parameters move along a direction.
fn movement(network: &UNet3d, image: &Tensor<5>, direction: &[f64]) -> Vec<f64> {
    let norm = direction.iter().map(|d| d * d).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
    central(REACH / norm, |_, sign| {
        // Of length 1 before they become 32-bit floats; the optimiser goes against what it is given.
        let back: Vec<f32> = direction.iter().map(|d| (-sign * d / norm) as f32).collect();
        let moved = SgdConfig::new().init().step(REACH, network.clone(), nn::unflatten(network, &back));
        // In 32 bits whatever the training has: a difference of fewer digits would be noise.
        floats(nn::inference(&moved).forward_at(Precision::F32, image.clone().inner()))
    })
}

/// The derivative of outputs by how far one goes, as a central difference of `at`, which is told how far, and the sign.
fn central(reach: f64, at: impl Fn(f64, f64) -> Vec<f32>) -> Vec<f64> {
    let (ahead, behind) = (at(reach, 1.0), at(-reach, -1.0));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::losses::learned::Listens;
    use crate::nn::UNet3dConfig;
    use crate::rng::{Purpose, stream};

    const VOXELS: usize = 40;
    const PARAMETERS: usize = 5;
    const RATE: f64 = 0.5;
    const PROGRESS: f64 = 0.2;

    fn target(voxel: usize) -> f64 {
        f64::from(u8::from(voxel.is_multiple_of(3)))
    }

    fn sine(voxel: usize, parameter: usize) -> f64 {
        (0.9 * voxel as f64 + 1.7 * parameter as f64).sin()
    }

    /// A toy network: z = 2 tanh(s), where s is a linear function of the parameters, voxel by voxel.
    fn toy(parameters: &[f64]) -> Vec<f64> {
        let sum = |voxel| parameters.iter().enumerate().map(|(j, w)| w * sine(voxel, j)).sum::<f64>();
        (0..VOXELS).map(|voxel| 2.0 * sum(voxel).tanh()).collect()
    }

    /// dz/dw of the toy, `[voxel][parameter]`: 2 (1 - tanh²) ds/dw.
    fn jacobian(parameters: &[f64]) -> Vec<Vec<f64>> {
        let slope = |z: f64| 2.0 * (1.0 - (z / 2.0).powi(2));
        let row = |(voxel, z): (usize, &f64)| (0..PARAMETERS).map(|j| slope(*z) * sine(voxel, j)).collect();
        toy(parameters).iter().enumerate().map(row).collect()
    }

    /// Gradient of the parameters for slopes of the outputs.
    fn back(slopes: &[f64], jacobian: &[Vec<f64>]) -> Vec<f64> {
        (0..PARAMETERS).map(|j| slopes.iter().zip(jacobian).map(|(slope, row)| slope * row[j]).sum()).collect()
    }

    /// dL/dz of the loss, which is a mean over voxels.
    fn slopes(loss: &Learned, outputs: &[f64]) -> Vec<f64> {
        let slope = |(voxel, z): (usize, &f64)| loss.at([*z, target(voxel), PROGRESS, 0.0]).1 / VOXELS as f64;
        outputs.iter().enumerate().map(slope).collect()
    }

    /// The parameters after one step of gradient descent with the loss.
    fn stepped(parameters: &[f64], loss: &Learned) -> Vec<f64> {
        let gradient = back(&slopes(loss, &toy(parameters)), &jacobian(parameters));
        parameters.iter().zip(gradient).map(|(w, g)| w - RATE * g).collect()
    }

    /// Mean of (p - y)² and its derivative by the parameters.
    fn squared_error(parameters: &[f64]) -> (f64, Vec<f64>) {
        let outputs = toy(parameters);
        let p = |z: f64| 1.0 / (1.0 + (-z).exp());
        let value = outputs.iter().enumerate().map(|(voxel, z)| (p(*z) - target(voxel)).powi(2) / VOXELS as f64).sum();
        let slope = |(voxel, z): (usize, &f64)| 2.0 * (p(*z) - target(voxel)) * p(*z) * (1.0 - p(*z)) / VOXELS as f64;
        let slopes: Vec<f64> = outputs.iter().enumerate().map(slope).collect();
        (value, back(&slopes, &jacobian(parameters)))
    }

    /// Three ways to the derivative of the task behind a step by the weights of the loss: the product of two passes forward
    /// that is used, in single precision and by tables; the exact second-order one, from the derivatives of everything in
    /// closed form; and differences of whole steps.
    #[test]
    fn the_first_order_product_is_the_exact_derivative_through_a_step() {
        let parameters = [0.4, -0.7, 0.3, 0.2, -0.1];
        let loss = Learned::random(Listens::default(), 4, &mut stream(5, Purpose::Probe, 0, 0));
        let behind = stepped(&parameters, &loss);
        let (_, wanted) = squared_error(&behind);
        let size = loss.net().weights().len();
        let outputs = toy(&parameters);

        let mut exact = vec![0.0; size];
        for (voxel, row) in jacobian(&parameters).iter().enumerate() {
            let moves: f64 = row.iter().zip(&wanted).map(|(dz, v)| dz * v).sum();
            let voxel = [outputs[voxel], target(voxel), PROGRESS, 0.0];
            loss.add_slope_gradient(voxel, -RATE * moves / VOXELS as f64, &mut exact);
        }

        let h = 1e-4;
        for (place, exact) in exact.iter().enumerate() {
            let moved = |by: f64| {
                let mut loss = loss.clone();
                loss.weights_mut()[place] += by;
                squared_error(&stepped(&parameters, &loss)).0
            };
            let difference = (moved(h) - moved(-h)) / (2.0 * h);
            assert!((difference - exact).abs() < 1e-9, "weight {place}: {difference} and {exact}");
        }

        let single = |outputs: Vec<f64>| outputs.into_iter().map(|z| z as f32).collect::<Vec<f32>>();
        let norm = wanted.iter().map(|v| v * v).sum::<f64>().sqrt();
        let moves = central(REACH / norm, |reach, _| {
            single(toy(&parameters.iter().zip(&wanted).map(|(w, v)| w + reach * v).collect::<Vec<_>>()))
        });
        let moves: Vec<f64> = moves.into_iter().map(|dz| -RATE * dz).collect();
        let (outputs, targets) = (single(outputs), single((0..VOXELS).map(target).collect()));
        let mut product = vec![0.0; size];
        let inputs = Inputs::new(1, 1, &outputs, &targets);
        loss.table(PROGRESS).add_slope_gradient(&loss, &inputs, &moves, &mut product);
        let largest = exact.iter().fold(0.0, |m: f64, g| m.max(g.abs()));
        for (place, (product, exact)) in product.iter().zip(&exact).enumerate() {
            assert!((product - exact).abs() < 5e-3 * largest, "weight {place}: {product} and {exact}");
        }
    }

    #[test]
    fn outputs_move_as_back_propagation_says() {
        let config = UNet3dConfig { width: 2, levels: 2, ..UNet3dConfig::default() };
        let network = config.init(&mut stream(1, Purpose::Weights, 0, 0), &nn::device().autodiff());
        let image: Vec<f32> = (0..256).map(|i| (1.7 * i as f32).sin()).collect();
        let image = Tensor::<5>::from_data(TensorData::new(image, [1, 1, 8, 8, 4]), &nn::device().autodiff());
        let slopes: Vec<f32> = (0..256).map(|i| (0.3 * i as f32).cos() / 256.0).collect();
        let gradients = propagated(&network, network.forward(image.clone()), slopes.clone());
        let direction: Vec<f64> = nn::flatten(&network, &gradients).into_iter().map(f64::from).collect();
        let moved = movement(&network, &image, &direction);
        let by_outputs: f64 = moved.iter().zip(&slopes).map(|(dz, g)| dz * f64::from(*g)).sum();
        let by_parameters: f64 = direction.iter().map(|g| g * g).sum();
        assert!((by_outputs / by_parameters - 1.0).abs() < 3e-2, "{by_outputs} and {by_parameters}");
    }

    /// One patch of 8 x 8 x 4 voxels, another for every `phase`.
    fn batch(phase: f64) -> Batch {
        let image = (0..256).map(|i| (1.7 * f64::from(i) + phase).sin() as f32).collect();
        let target = (0..256).map(|i| f32::from(u8::from((0.4 * f64::from(i) + phase).sin() > 0.5))).collect();
        Batch { shape: [1, 1, 8, 8, 4], image, classes: 1, spacing: vec![[1.0; 3]], target }
    }

    #[test]
    fn a_loss_is_taught_the_derivative_of_the_cosine() {
        let config = UNet3dConfig { width: 2, levels: 2, ..UNet3dConfig::default() };
        let network = |seed| config.init(&mut stream(seed, Purpose::Weights, 0, 0), &nn::device().autodiff());
        let (before, after) = (network(1), network(2));
        let listens = Listens { progress: true, distance: false };
        let loss = Learned::random(listens, 3, &mut stream(5, Purpose::Weights, 0, 0));
        let task = Task::new(&crate::losses::named("dice_ce").unwrap().formula);
        let (batch, other) = (batch(0.0), batch(1.0));
        let image = Tensor::<5>::from_data(TensorData::new(batch.image.clone(), batch.shape), &nn::device().autodiff());
        let outputs = floats(before.forward(image.clone()));
        let inputs = inputs(&batch, &outputs, PROGRESS);
        let own = |loss: &Learned| {
            let mut slopes = vec![0f32; outputs.len()];
            loss.table(PROGRESS).gradient(&inputs, &mut slopes);
            nn::flatten(&before, &propagated(&before, before.forward(image.clone()), slopes))
        };
        let gradient = own(&loss);
        let spread: Vec<f64> = (0..gradient.len()).map(|i| 1.5 + (0.9 * i as f64).sin()).collect();
        let taken = Taken {
            before: &before,
            after: &after,
            image: &image,
            inputs: &inputs,
            loss: &loss,
            table: &loss.table(PROGRESS),
            gradient: &gradient,
            spread: &spread,
        };
        let learnt = taken.teach(&task, &other).unwrap();
        let (_, wanted) = task.gradient(&after, &other);
        assert_eq!(learnt.cosine, cosine(&gradient, &wanted, &spread).unwrap().0);

        let difference = |place: usize| {
            let h = 1e-2;
            let at = |by: f64| {
                let mut shifted = loss.clone();
                shifted.weights_mut()[place] += by;
                cosine(&own(&shifted), &wanted, &spread).unwrap().0
            };
            (at(h) - at(-h)) / (2.0 * h)
        };
        let differences: Vec<f64> = (0..learnt.uphill.len()).map(difference).collect();
        let norm = |numbers: &[f64]| numbers.iter().map(|n| n * n).sum::<f64>().sqrt();
        let misfit: Vec<f64> = differences.iter().zip(&learnt.uphill).map(|(a, b)| a - b).collect();
        // Outputs move by a difference in 32 bits across the kinks of the network.
        assert!(
            norm(&differences) > 0.0 && norm(&misfit) < 5e-2 * norm(&differences),
            "{} of {}",
            norm(&misfit),
            norm(&differences)
        );
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
