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

/// Size of a network. What a file leaves out is taken from [`UNet3dConfig::default`].
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
}

impl Default for UNet3dConfig {
    /// The network of the reference runs: one image channel, one class, 8 feature maps, 3 levels, 85,177 parameters.
    fn default() -> Self {
        Self { in_channels: 1, out_channels: 1, width: 8, levels: 3 }
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
        Ok(())
    }

    /// Whether the network can take a volume of this shape.
    ///
    /// # Errors
    /// If an axis is empty or not a multiple of [`UNet3dConfig::multiple`].
    pub fn check_shape(&self, shape: [usize; 3]) -> Result<()> {
        let multiple = self.multiple();
        if shape.iter().all(|n| *n > 0 && n.is_multiple_of(multiple)) {
            return Ok(());
        }
        Err(Fault::new("volume does not fit the network")
            .field("shape")
            .expected(format!("multiples of {multiple} along each axis, for {} levels", self.levels))
            .found(format!("{shape:?}"))
            .hint(format!("pad to {:?}, or use fewer levels", shape.map(|n| n.max(1).next_multiple_of(multiple)))))
    }

    /// Number of parameters, without making the network.
    pub fn parameters(&self) -> usize {
        // Two convolutions, and scale and shift of two norms.
        let level = |inputs: usize, outputs: usize| 27 * outputs * (inputs + outputs) + 4 * outputs;
        let maps = |level: usize| self.width << level;
        let down = (1..self.levels).map(|i| level(maps(i - 1), maps(i))).sum::<usize>();
        let up = (1..self.levels).map(|i| {
            let (inputs, outputs) = (maps(i), maps(i - 1));
            8 * inputs * outputs + outputs + level(2 * outputs, outputs)
        });
        level(self.in_channels, self.width) + down + up.sum::<usize>() + (self.width + 1) * self.out_channels
    }

    /// Multiplications (each with an addition) of all convolutions for one volume, forward; the rest is small beside it.
    /// `shape` passes [`UNet3dConfig::check_shape`].
    pub fn multiply_adds(&self, shape: [usize; 3]) -> u64 {
        let voxels = |level: usize| shape.iter().map(|n| (n >> level) as u64).product::<u64>();
        let level = |inputs: usize, outputs: usize| 27 * (outputs * (inputs + outputs)) as u64;
        let maps = |level: usize| self.width << level;
        let down = (1..self.levels).map(|i| level(maps(i - 1), maps(i)) * voxels(i)).sum::<u64>();
        let up = (1..self.levels).map(|i| {
            let (inputs, outputs) = (maps(i), maps(i - 1));
            // A voxel above comes from one voxel below.
            ((inputs * outputs) as u64 + level(2 * outputs, outputs)) * voxels(i - 1)
        });
        let ends = level(self.in_channels, self.width) + (self.width * self.out_channels) as u64;
        ends * voxels(0) + down + up.sum::<u64>()
    }

    /// Every axis of an input must be a multiple of this.
    pub fn multiple(&self) -> usize {
        1 << (self.levels - 1)
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
        assert!(fits, "{depth} x {height} x {width} voxels do not divide by {}", self.multiple());
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
        kernels::conv3d(x, self.weight.val(), 1, Precision::F32) + per_channel(self.bias.val())
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

#[cfg(test)]
mod tests;
