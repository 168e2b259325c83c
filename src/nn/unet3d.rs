//! The 3D U-Net of Çiçek et al. 2016 with instance normalisation, leaky ReLU, and strided convolutions on the way down.
//!
//! A level is two times (3x3x3 convolution, instance norm, leaky ReLU); each level below has half the resolution and
//! twice the feature maps; transposed convolutions lead back up, skips are concatenated, and a 1x1x1 convolution gives
//! one logit per class. Weights are Kaiming normal (He et al. 2015, slope 0.01, fan-in as PyTorch counts it), drawn
//! from a stream of our own: the generator of the tensor library is one for the whole process, so networks made on two
//! threads would disturb each other.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};

use super::kernels;

/// Slope of the leaky ReLU.
pub(super) const SLOPE: f64 = 0.01;
/// Added to the variance by instance normalisation.
pub(super) const EPSILON: f64 = 1e-5;

/// Size of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UNet3dConfig {
    /// Channels of an image.
    pub in_channels: usize,
    /// Classes, each with a logit of its own.
    pub out_channels: usize,
    /// Feature maps of the first level.
    pub width: usize,
    /// Levels, the first included.
    pub levels: usize,
}

impl UNet3dConfig {
    /// Every axis of an input must be a multiple of this.
    pub fn multiple(&self) -> usize {
        1 << (self.levels - 1)
    }

    /// A network with fresh weights, a function of the stream alone.
    pub fn init(&self, rng: &mut ChaCha8Rng, device: &Device) -> UNet3d {
        let widths: Vec<usize> = (0..self.levels).map(|level| self.width << level).collect();
        let mut make = Maker { rng, device };
        let down = (0..self.levels)
            .map(|level| {
                let (inputs, stride) = if level == 0 { (self.in_channels, 1) } else { (widths[level - 1], 2) };
                make.level(inputs, widths[level], stride)
            })
            .collect();
        let mut up = Vec::new();
        for level in (0..self.levels - 1).rev() {
            let rise = make.rise(widths[level + 1], widths[level]);
            up.push(Ascent { rise, level: make.level(2 * widths[level], widths[level], 1) });
        }
        let head = make.head(widths[0], self.out_channels);
        UNet3d {
            down,
            up,
            head,
            in_channels: self.in_channels,
            out_channels: self.out_channels,
            width: self.width,
            levels: self.levels,
        }
    }
}

/// The network. Input `[batch, in_channels, depth, height, width]`, output the same with one logit per class.
#[derive(Module, Debug)]
pub struct UNet3d {
    down: Vec<Level>,
    up: Vec<Ascent>,
    head: Head,
    in_channels: usize,
    out_channels: usize,
    width: usize,
    levels: usize,
}

#[derive(Module, Debug)]
struct Level {
    first: Block,
    second: Block,
}

/// Convolution, instance norm, leaky ReLU.
#[derive(Module, Debug)]
struct Block {
    weight: Param<Tensor<5>>,
    gamma: Param<Tensor<1>>,
    beta: Param<Tensor<1>>,
    stride: usize,
}

/// One level up: twice the resolution, then a level over both.
#[derive(Module, Debug)]
struct Ascent {
    rise: Rise,
    level: Level,
}

/// Transposed convolution of kernel and stride 2.
#[derive(Module, Debug)]
struct Rise {
    weight: Param<Tensor<5>>,
    bias: Param<Tensor<1>>,
}

#[derive(Module, Debug)]
struct Head {
    weight: Param<Tensor<5>>,
    bias: Param<Tensor<1>>,
}

impl UNet3d {
    /// Size of the network.
    pub fn config(&self) -> UNet3dConfig {
        let Self { in_channels, out_channels, width, levels, .. } = *self;
        UNet3dConfig { in_channels, out_channels, width, levels }
    }

    /// Every axis of an input must be a multiple of this.
    pub fn multiple(&self) -> usize {
        self.config().multiple()
    }

    /// Logits of a batch.
    ///
    /// # Panics
    /// If an axis is not a multiple of [`UNet3d::multiple`].
    pub fn forward(&self, image: Tensor<5>) -> Tensor<5> {
        let [_, _, depth, height, width] = image.dims();
        let fits = [depth, height, width].iter().all(|n| n.is_multiple_of(self.multiple()));
        assert!(fits, "{depth} x {height} x {width} voxels do not divide by {}", self.multiple());
        let mut features = image;
        let mut skips = Vec::with_capacity(self.levels);
        for level in &self.down {
            features = level.forward(features);
            skips.push(features.clone());
        }
        skips.pop();
        for ascent in &self.up {
            let skip = skips.pop().expect("as many skips as ascents");
            features = ascent.level.forward(Tensor::cat(vec![ascent.rise.forward(features), skip], 1));
        }
        self.head.forward(features)
    }
}

impl Level {
    fn forward(&self, x: Tensor<5>) -> Tensor<5> {
        self.second.forward(self.first.forward(x))
    }
}

impl Block {
    fn forward(&self, x: Tensor<5>) -> Tensor<5> {
        let y = kernels::conv3d(x, self.weight.val(), self.stride);
        kernels::instance_norm_leaky_relu(y, self.gamma.val(), self.beta.val(), EPSILON, SLOPE)
    }
}

impl Rise {
    fn forward(&self, x: Tensor<5>) -> Tensor<5> {
        kernels::conv_transpose3d(x, self.weight.val()) + per_channel(self.bias.val())
    }
}

impl Head {
    fn forward(&self, x: Tensor<5>) -> Tensor<5> {
        kernels::conv3d(x, self.weight.val(), 1) + per_channel(self.bias.val())
    }
}

fn per_channel(bias: Tensor<1>) -> Tensor<5> {
    let channels = bias.dims()[0];
    bias.reshape([1, channels, 1, 1, 1])
}

/// Draws weights in the order in which layers are made.
struct Maker<'a> {
    rng: &'a mut ChaCha8Rng,
    device: &'a Device,
}

impl Maker<'_> {
    fn level(&mut self, inputs: usize, outputs: usize, stride: usize) -> Level {
        Level { first: self.block(inputs, outputs, stride), second: self.block(outputs, outputs, 1) }
    }

    fn block(&mut self, inputs: usize, outputs: usize, stride: usize) -> Block {
        Block {
            weight: self.kaiming([outputs, inputs, 3, 3, 3], inputs * 27),
            gamma: self.constant(outputs, 1.0),
            beta: self.constant(outputs, 0.0),
            stride,
        }
    }

    fn rise(&mut self, inputs: usize, outputs: usize) -> Rise {
        // PyTorch counts the fan-in of a transposed convolution over its outputs.
        Rise { weight: self.kaiming([inputs, outputs, 2, 2, 2], outputs * 8), bias: self.constant(outputs, 0.0) }
    }

    fn head(&mut self, inputs: usize, outputs: usize) -> Head {
        Head { weight: self.kaiming([outputs, inputs, 1, 1, 1], inputs), bias: self.constant(outputs, 0.0) }
    }

    fn kaiming(&mut self, shape: [usize; 5], fan_in: usize) -> Param<Tensor<5>> {
        let deviation = (2.0 / ((1.0 + SLOPE * SLOPE) * fan_in as f64)).sqrt();
        let draw = |_| (deviation * self.rng.sample::<f64, _>(StandardNormal)) as f32;
        let values: Vec<f32> = (0..shape.iter().product()).map(draw).collect();
        Param::from_data(TensorData::new(values, shape), self.device)
    }

    fn constant(&self, length: usize, value: f32) -> Param<Tensor<1>> {
        Param::from_data(TensorData::new(vec![value; length], [length]), self.device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Weights, device, floats};
    use crate::rng::{Purpose, stream};

    fn network(config: UNet3dConfig, seed: u64) -> UNet3d {
        config.init(&mut stream(seed, Purpose::Weights, 0, 0), &device())
    }

    const SMALL: UNet3dConfig = UNet3dConfig { in_channels: 1, out_channels: 2, width: 4, levels: 3 };

    #[test]
    fn the_reference_network_has_the_parameters_of_the_reference() {
        // 85,153 without and 85,177 with the biases of the two transposed convolutions (16 + 8).
        let config = UNet3dConfig { in_channels: 1, out_channels: 1, width: 8, levels: 3 };
        assert_eq!(network(config, 1).num_params(), 85_177);
    }

    #[test]
    fn logits_have_the_shape_of_the_image_and_a_channel_per_class() {
        let image = Tensor::<5>::ones([2, 1, 8, 12, 4], &device());
        assert_eq!(network(SMALL, 1).forward(image).dims(), [2, 2, 8, 12, 4]);
    }

    #[test]
    fn weights_are_a_function_of_the_stream() {
        assert_eq!(Weights::of(&network(SMALL, 1)), Weights::of(&network(SMALL, 1)));
        assert_ne!(Weights::of(&network(SMALL, 1)), Weights::of(&network(SMALL, 2)));
    }

    #[test]
    fn fresh_activations_neither_vanish_nor_explode() {
        let mut rng = stream(3, Purpose::Probe, 0, 0);
        let values: Vec<f32> = (0..16 * 16 * 16).map(|_| rng.sample::<f32, _>(StandardNormal)).collect();
        let image = Tensor::<5>::from_data(TensorData::new(values, [1, 1, 16, 16, 16]), &device());
        let logits = floats(network(SMALL, 4).forward(image));
        let mean = logits.iter().sum::<f32>() / logits.len() as f32;
        let sd = (logits.iter().map(|z| (z - mean).powi(2)).sum::<f32>() / logits.len() as f32).sqrt();
        assert!((0.1..10.0).contains(&sd), "standard deviation {sd}");
    }
}
