//! A discovered loss in a training of one's own, with Burn and nothing of this crate: `discovered.rs` is what
//! `lossgen export LOSS --to burn` wrote, and a test keeps it that.
//!
//! The network is a single convolution that has to find a bright ball in noise; put your own in its place.

#![expect(clippy::print_stdout, reason = "a page that shows what it does")]

/// As it was written.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
mod discovered {
    include!("discovered.rs");
}

use burn::module::{Module, Param};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::module::conv3d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor, TensorData};

use discovered::discovered;

const SIZE: usize = 16;
const STEPS: usize = 200;

/// A 3 x 3 x 3 kernel and a bias.
#[derive(Module, Debug)]
struct Network {
    weight: Param<Tensor<5>>,
    bias: Param<Tensor<1>>,
}

impl Network {
    fn new(device: &Device) -> Self {
        Self {
            weight: Param::from_tensor(Tensor::zeros([1, 1, 3, 3, 3], device)),
            bias: Param::from_tensor(Tensor::zeros([1], device)),
        }
    }

    fn logits(&self, image: Tensor<5>) -> Tensor<5> {
        let options = ConvOptions::new([1; 3], [1; 3], [1; 3], 1);
        conv3d(image, self.weight.val(), Some(self.bias.val()), options)
    }
}

/// A ball of radius 5 that is brighter than the noise around it, and where it is.
fn ball(device: &Device) -> (Tensor<5>, Tensor<5>) {
    let square = |at: usize| (at as f32 - 7.5).powi(2);
    let inside = |i: usize| square(i / SIZE / SIZE) + square(i / SIZE % SIZE) + square(i % SIZE) < 25.0;
    let target: Vec<f32> = (0..SIZE.pow(3)).map(|i| f32::from(u8::from(inside(i)))).collect();
    // Noise that needs no generator: the digits of a sine.
    let noise = |i: usize| (43_758.547 * (12.9898 * i as f32).sin()).fract() * 1.5;
    let image = target.iter().enumerate().map(|(i, y)| y + noise(i)).collect::<Vec<f32>>();
    let tensor = |values: Vec<f32>| Tensor::from_data(TensorData::new(values, [1, 1, SIZE, SIZE, SIZE]), device);
    (tensor(image), tensor(target))
}

fn main() {
    let device = Device::flex().autodiff();
    let (image, target) = ball(&device);
    let mut network = Network::new(&device);
    let mut optimizer = AdamConfig::new().init();
    for step in 0..STEPS {
        let progress = step as f64 / (STEPS - 1) as f64;
        // Voxels of 3 x 1 x 1 mm, for losses that measure distances.
        let loss = discovered(network.logits(image.clone()), target.clone(), &[[3.0, 1.0, 1.0]], progress);
        if step % 50 == 0 || step + 1 == STEPS {
            println!("step {step:>3}: {:.4}", loss.clone().into_scalar::<f32>());
        }
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        network = optimizer.step(0.05, network, gradients);
    }
    let found = network.logits(image).greater_elem(0.0).float();
    let sum = |tensor: Tensor<5>| tensor.sum().into_scalar::<f32>();
    let dice = 2.0 * sum(found.clone() * target.clone()) / (sum(found) + sum(target));
    println!("Dice {dice:.3}");
}
