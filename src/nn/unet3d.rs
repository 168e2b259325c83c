//! The 3D U-Net of Çiçek et al. 2016 with instance normalisation, leaky ReLU, and strided convolutions on the way down.
//!
//! A level is two times (3x3x3 convolution, instance norm, leaky ReLU); each level below has half the resolution and
//! twice the feature maps; transposed convolutions lead back up, skips are concatenated, and a 1x1x1 convolution gives
//! one logit per class. Where voxels are flat, kernels are flat and axes are halved one after the other ([`shape`]). Weights are Kaiming normal (He et al. 2015, slope 0.01, fan-in as PyTorch counts it), drawn
//! from a stream of our own: the generator of the tensor library is one for the whole process, so networks made on two
//! threads would disturb each other.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};

use super::{Precision, kernels};
use crate::fault::{Fault, Result};

/// Slope of the leaky ReLU.
pub(super) const SLOPE: f64 = 0.01;
/// Added to the variance by instance normalisation.
pub(super) const EPSILON: f64 = 1e-5;

/// Most channels of an image, most classes, and most feature maps of the first level.
const MOST_CHANNELS: usize = 512;
/// Most levels: at seven an axis already has to be a multiple of 64.
const MOST_LEVELS: usize = 7;

/// Size of a network; [`UNet3dConfig::shaped_for`] chooses what differs along the axes. What a file leaves out is taken from [`UNet3dConfig::default`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UNet3dConfig {
    /// Channels of an image.
    pub in_channels: usize,
    /// Classes, each with a logit of its own.
    pub out_channels: usize,
    /// Feature maps of the first level.
    pub width: usize,
    /// Levels, the first included.
    pub levels: usize,
    /// Per axis, the level from which on kernels reach along it, 3 voxels instead of 1; it is halved into the levels below
    /// that one. 0 for voxels that are about cubes.
    #[serde(skip_serializing_if = "shape::is_from_the_first")]
    pub joins: [usize; 3],
    /// Per axis, how often it is halved at most.
    #[serde(skip_serializing_if = "shape::is_as_often_as_possible")]
    pub halvings: [usize; 3],
}

impl Default for UNet3dConfig {
    /// The network of the reference runs: one image channel, one class, 8 feature maps, 3 levels, 85,177 parameters.
    fn default() -> Self {
        Self { in_channels: 1, out_channels: 1, width: 8, levels: 3, joins: [0; 3], halvings: [MOST_LEVELS - 1; 3] }
    }
}

impl UNet3dConfig {
    /// Whether such a network can be made.
    ///
    /// # Errors
    /// The first size out of its range: channels, classes and width 1 to 512, levels 1 to 7.
    pub fn check(&self) -> Result<()> {
        let sizes = [
            ("in_channels", self.in_channels, MOST_CHANNELS),
            ("out_channels", self.out_channels, MOST_CHANNELS),
            ("width", self.width, MOST_CHANNELS),
            ("levels", self.levels, MOST_LEVELS),
        ];
        for (field, size, most) in sizes {
            if !(1..=most).contains(&size) {
                return Err(Fault::new("size of a network out of range")
                    .field(field)
                    .expected(format!("1 to {most}"))
                    .found(size));
            }
        }
        for (field, counts, most) in
            [("joins", self.joins, self.levels - 1), ("halvings", self.halvings, MOST_LEVELS - 1)]
        {
            if counts.iter().any(|count| *count > most) {
                return Err(Fault::new("size of a network out of range")
                    .field(field)
                    .expected(format!("three numbers from 0 to {most}"))
                    .found(format!("{counts:?}")));
            }
        }
        Ok(())
    }

    /// Whether the network can take a volume of this shape.
    ///
    /// # Errors
    /// If an axis is empty or not a multiple of [`UNet3dConfig::multiples`].
    pub fn check_shape(&self, shape: [usize; 3]) -> Result<()> {
        let multiples = self.multiples();
        if shape.iter().zip(multiples).all(|(n, multiple)| *n > 0 && n.is_multiple_of(multiple)) {
            return Ok(());
        }
        let padded: [usize; 3] = std::array::from_fn(|axis| shape[axis].max(1).next_multiple_of(multiples[axis]));
        Err(Fault::new("volume does not fit the network")
            .field("shape")
            .expected(format!("{}, for {} levels", shape::in_words(multiples), self.levels))
            .found(format!("{shape:?}"))
            .hint(format!("pad to {padded:?}, or use fewer levels")))
    }

    /// Number of parameters, without making the network.
    pub fn parameters(&self) -> usize {
        // Two convolutions, and scale and shift of two norms.
        let level = |i: usize, inputs: usize, outputs: usize| {
            self.kernel(i).iter().product::<usize>() * outputs * (inputs + outputs) + 4 * outputs
        };
        let maps = |level: usize| self.width << level;
        let down = (1..self.levels).map(|i| level(i, maps(i - 1), maps(i))).sum::<usize>();
        let up = (1..self.levels).map(|i| {
            let (inputs, outputs) = (maps(i), maps(i - 1));
            let rise = self.stride(i).iter().product::<usize>();
            rise * inputs * outputs + outputs + level(i - 1, 2 * outputs, outputs)
        });
        level(0, self.in_channels, self.width) + down + up.sum::<usize>() + (self.width + 1) * self.out_channels
    }

    /// Multiplications (each with an addition) of all convolutions for one volume, forward; the rest is small beside it.
    /// `shape` passes [`UNet3dConfig::check_shape`].
    pub fn multiply_adds(&self, shape: [usize; 3]) -> u64 {
        let share = |level: usize| (1..=level).flat_map(|level| self.stride(level)).product::<usize>() as u64;
        let voxels = |level: usize| shape.iter().map(|n| *n as u64).product::<u64>() / share(level);
        let level = |i: usize, inputs: usize, outputs: usize| {
            (self.kernel(i).iter().product::<usize>() * outputs * (inputs + outputs)) as u64
        };
        let maps = |level: usize| self.width << level;
        let down = (1..self.levels).map(|i| level(i, maps(i - 1), maps(i)) * voxels(i)).sum::<u64>();
        let up = (1..self.levels).map(|i| {
            let (inputs, outputs) = (maps(i), maps(i - 1));
            // A voxel above comes from one voxel below.
            ((inputs * outputs) as u64 + level(i - 1, 2 * outputs, outputs)) * voxels(i - 1)
        });
        let ends = level(0, self.in_channels, self.width) + (self.width * self.out_channels) as u64;
        ends * voxels(0) + down + up.sum::<u64>()
    }

    /// A network with fresh weights, a function of the stream alone.
    ///
    /// # Panics
    /// If the size does not pass [`UNet3dConfig::check`].
    pub fn init(&self, rng: &mut ChaCha8Rng, device: &Device) -> UNet3d {
        self.make(Some(rng), device)
    }

    /// A network whose convolutions are zero: a frame for weights that are at hand.
    pub(super) fn blank(&self, device: &Device) -> UNet3d {
        self.make(None, device)
    }

    fn make(&self, rng: Option<&mut ChaCha8Rng>, device: &Device) -> UNet3d {
        assert!(self.check().is_ok(), "a network of an impossible size: {self:?}");
        let widths: Vec<usize> = (0..self.levels).map(|level| self.width << level).collect();
        let mut make = Maker { rng, device };
        let down = (0..self.levels)
            .map(|level| {
                let inputs = if level == 0 { self.in_channels } else { widths[level - 1] };
                make.level([inputs, widths[level]], self.kernel(level), self.stride(level))
            })
            .collect();
        let mut up = Vec::new();
        for level in (0..self.levels - 1).rev() {
            let rise = make.rise(widths[level + 1], widths[level], self.stride(level + 1));
            let kernel = self.kernel(level);
            up.push(Ascent { rise, level: make.level([2 * widths[level], widths[level]], kernel, [1; 3]) });
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
            joins: self.joins,
            halvings: self.halvings,
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
    joins: [usize; 3],
    halvings: [usize; 3],
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
    stride: [usize; 3],
}

/// One level up: the resolution of the level above, then a level over both.
#[derive(Module, Debug)]
struct Ascent {
    rise: Rise,
    level: Level,
}

/// Transposed convolution whose kernel is the stride of the way down.
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
        let Self { in_channels, out_channels, width, levels, joins, halvings, .. } = *self;
        UNet3dConfig { in_channels, out_channels, width, levels, joins, halvings }
    }

    /// Logits of a batch, computed in 32 bits.
    ///
    /// # Panics
    /// As [`UNet3d::forward_at`].
    pub fn forward(&self, image: Tensor<5>) -> Tensor<5> {
        self.forward_at(Precision::F32, image)
    }

    /// Logits of a batch; a backward pass from them has the same precision.
    ///
    /// # Panics
    /// If the volumes do not pass [`UNet3dConfig::check_shape`], or have another number of channels than the network.
    pub fn forward_at(&self, precision: Precision, image: Tensor<5>) -> Tensor<5> {
        let [_, channels, depth, height, width] = image.dims();
        let fits = self.config().check_shape([depth, height, width]).is_ok();
        assert!(fits, "{depth} x {height} x {width} voxels do not divide by {:?}", self.config().multiples());
        assert!(channels == self.in_channels, "{channels} channels for a network of {}", self.in_channels);
        let mut features = image;
        let mut skips = Vec::with_capacity(self.levels);
        for level in &self.down {
            features = level.forward(features, precision);
            skips.push(features.clone());
        }
        skips.pop();
        for ascent in &self.up {
            let skip = skips.pop().expect("as many skips as ascents");
            let risen = ascent.rise.forward(features, precision);
            features = ascent.level.forward(Tensor::cat(vec![risen, skip], 1), precision);
        }
        self.head.forward(features)
    }
}

impl Level {
    fn forward(&self, x: Tensor<5>, precision: Precision) -> Tensor<5> {
        self.second.forward(self.first.forward(x, precision), precision)
    }
}

impl Block {
    fn forward(&self, x: Tensor<5>, precision: Precision) -> Tensor<5> {
        let y = kernels::conv3d(x, self.weight.val(), self.stride, precision);
        kernels::instance_norm_leaky_relu(y, self.gamma.val(), self.beta.val(), EPSILON, SLOPE)
    }
}

impl Rise {
    fn forward(&self, x: Tensor<5>, precision: Precision) -> Tensor<5> {
        kernels::conv_transpose3d(x, self.weight.val(), precision) + per_channel(self.bias.val())
    }
}

impl Head {
    fn forward(&self, x: Tensor<5>) -> Tensor<5> {
        kernels::conv3d(x, self.weight.val(), [1; 3], Precision::F32) + per_channel(self.bias.val())
    }
}

fn per_channel(bias: Tensor<1>) -> Tensor<5> {
    let channels = bias.dims()[0];
    bias.reshape([1, channels, 1, 1, 1])
}

/// Draws weights in the order in which layers are made, or leaves them zero.
struct Maker<'a> {
    rng: Option<&'a mut ChaCha8Rng>,
    device: &'a Device,
}

impl Maker<'_> {
    fn level(&mut self, [inputs, outputs]: [usize; 2], kernel: [usize; 3], stride: [usize; 3]) -> Level {
        let first = self.block([inputs, outputs], kernel, stride);
        Level { first, second: self.block([outputs, outputs], kernel, [1; 3]) }
    }

    fn block(&mut self, [inputs, outputs]: [usize; 2], kernel: [usize; 3], stride: [usize; 3]) -> Block {
        let [a, b, c] = kernel;
        Block {
            weight: self.kaiming([outputs, inputs, a, b, c], inputs * a * b * c),
            gamma: self.constant(outputs, 1.0),
            beta: self.constant(outputs, 0.0),
            stride,
        }
    }

    fn rise(&mut self, inputs: usize, outputs: usize, [a, b, c]: [usize; 3]) -> Rise {
        // PyTorch counts the fan-in of a transposed convolution over its outputs.
        let weight = self.kaiming([inputs, outputs, a, b, c], outputs * a * b * c);
        Rise { weight, bias: self.constant(outputs, 0.0) }
    }

    fn head(&mut self, inputs: usize, outputs: usize) -> Head {
        Head { weight: self.kaiming([outputs, inputs, 1, 1, 1], inputs), bias: self.constant(outputs, 0.0) }
    }

    fn kaiming(&mut self, shape: [usize; 5], fan_in: usize) -> Param<Tensor<5>> {
        let deviation = (2.0 / ((1.0 + SLOPE * SLOPE) * fan_in as f64)).sqrt();
        let count = shape.iter().product();
        let values: Vec<f32> = match &mut self.rng {
            Some(rng) => (0..count).map(|_| (deviation * rng.sample::<f64, _>(StandardNormal)) as f32).collect(),
            None => vec![0.0; count],
        };
        Param::from_data(TensorData::new(values, shape), self.device)
    }

    fn constant(&self, length: usize, value: f32) -> Param<Tensor<1>> {
        Param::from_data(TensorData::new(vec![value; length], [length]), self.device)
    }
}

mod shape;

#[cfg(test)]
mod tests;
