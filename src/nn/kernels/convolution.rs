//! Convolution with "same" padding: forward, gradient of the input, gradient of the weights.

use super::correlate::{Target, correlate};
use super::geometry::{Axes, parities, rims_back, seen_by};
use super::halo::{Halo, padded, pitched, split, voxels};
use super::instructions::Arithmetic;
use super::packed::Packed;
use super::weight_gradient::weight_gradient;
use crate::nn::Precision;

/// A convolution of `[samples, inputs, shape]` with `[outputs, inputs, kernel]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Convolution {
    pub(super) samples: usize,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    /// 1 or 3 along each axis; padded by 0 or 1.
    pub(super) kernel: Axes,
    /// 1 along each axis, or 2 where the kernel has 3.
    pub(super) stride: Axes,
    pub(super) shape: Axes,
    pub(super) arithmetic: Arithmetic,
}

impl Convolution {
    /// Shape of the output volumes.
    pub(super) fn out_shape(&self) -> Axes {
        std::array::from_fn(|axis| self.shape[axis].div_ceil(self.stride[axis]))
    }

    pub(super) fn forward(&self, x: &[f32], weight: &[f32]) -> Vec<f32> {
        if self.arithmetic.precision == Precision::Bf16 {
            return self.forward_in_bf16(x, weight);
        }
        let (x, offsets) = self.haloed(x);
        let taps = offsets.len();
        let packed = Packed::new(self.outputs, self.inputs, taps, |o, i, t| weight[(o * self.inputs + i) * taps + t]);
        let mut out = vec![0f32; self.samples * self.outputs * voxels(self.out_shape())];
        correlate(self.arithmetic.set, &x, &packed, &offsets, self.outputs, &mut out, Target::dense(self.out_shape()));
        out
    }

    pub(super) fn weight_gradient(&self, x: &[f32], dy: &[f32]) -> Vec<f32> {
        if self.arithmetic.precision == Precision::Bf16 {
            return self.weight_gradient_in_bf16(x, dy);
        }
        let (x, offsets) = self.haloed(x);
        let dy = pitched(dy, [self.samples, self.outputs], self.out_shape(), x.row, x.plane);
        weight_gradient(self.arithmetic.set, &x, &dy, &offsets, self.out_shape())
    }

    /// A correlation for each parity of the input voxels; without a stride there is one parity.
    pub(super) fn input_gradient(&self, weight: &[f32], dy: &[f32]) -> Vec<f32> {
        if self.arithmetic.precision == Precision::Bf16 {
            return self.input_gradient_in_bf16(weight, dy);
        }
        let mut out = vec![0f32; self.samples * self.inputs * voxels(self.shape)];
        let [before, after] = rims_back(self.kernel, self.stride);
        let dy = padded(dy, [self.samples, self.outputs], self.out_shape(), before, after);
        let count = voxels(self.kernel);
        for parity in parities(self.stride) {
            let (outputs, taps) = seen_by(self.kernel, self.stride, parity);
            let offsets: Vec<usize> = outputs.into_iter().map(|position| dy.tap(position)).collect();
            let seen = |i: usize, o: usize, t: usize| weight[(o * self.inputs + i) * count + taps[t]];
            let packed = Packed::new(self.inputs, self.outputs, offsets.len(), seen);
            let target = Target::every(self.shape, self.stride, parity);
            correlate(self.arithmetic.set, &dy, &packed, &offsets, self.inputs, &mut out, target);
        }
        out
    }

    fn haloed(&self, x: &[f32]) -> (Halo, Vec<usize>) {
        let volumes = [self.samples, self.inputs];
        let rim = self.kernel.map(|k| k / 2);
        let halo = if self.stride == [1; 3] {
            padded(x, volumes, self.shape, rim, rim)
        } else {
            split(x, volumes, self.shape, rim, self.stride)
        };
        let taps = halo.taps(self.kernel, self.stride);
        (halo, taps)
    }
}
