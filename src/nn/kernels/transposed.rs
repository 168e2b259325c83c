//! Transposed convolution whose kernel is its stride: forward, gradient of the input, gradient of the weights.

use super::correlate::{Target, correlate};
use super::geometry::{Axes, parities};
use super::halo::{padded, pitched, split, voxels};
use super::instructions::Arithmetic;
use super::packed::Packed;
use super::weight_gradient::weight_gradient;
use crate::nn::Precision;

/// A transposed convolution of `[samples, inputs, shape]` with `[inputs, outputs, kernel]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Transposed {
    pub(super) samples: usize,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    /// 1 or 2 along each axis, and the stride as well.
    pub(super) kernel: Axes,
    pub(super) shape: Axes,
    pub(super) arithmetic: Arithmetic,
}

impl Transposed {
    /// Shape of the output volumes.
    pub(super) fn out_shape(&self) -> Axes {
        std::array::from_fn(|axis| self.kernel[axis] * self.shape[axis])
    }

    /// Every output voxel is seen by one tap: a pointwise product for each parity.
    pub(super) fn forward(&self, x: &[f32], weight: &[f32]) -> Vec<f32> {
        if self.arithmetic.precision == Precision::Bf16 {
            return self.forward_in_bf16(x, weight);
        }
        let x = padded(x, [self.samples, self.inputs], self.shape, [0; 3], [0; 3]);
        let mut out = vec![0f32; self.samples * self.outputs * voxels(self.out_shape())];
        let count = voxels(self.kernel);
        for (tap, parity) in parities(self.kernel).enumerate() {
            let packed =
                Packed::new(self.outputs, self.inputs, 1, |o, i, _| weight[(i * self.outputs + o) * count + tap]);
            let target = Target::every(self.out_shape(), self.kernel, parity);
            correlate(self.arithmetic.set, &x, &packed, &[0], self.outputs, &mut out, target);
        }
        out
    }

    /// A convolution with a stride over all parities.
    pub(super) fn input_gradient(&self, weight: &[f32], dy: &[f32]) -> Vec<f32> {
        if self.arithmetic.precision == Precision::Bf16 {
            return self.input_gradient_in_bf16(weight, dy);
        }
        let dy = split(dy, [self.samples, self.outputs], self.out_shape(), [0; 3], self.kernel);
        let offsets = dy.taps(self.kernel, self.kernel);
        let count = offsets.len();
        let packed =
            Packed::new(self.inputs, self.outputs, count, |i, o, t| weight[(i * self.outputs + o) * count + t]);
        let mut out = vec![0f32; self.samples * self.inputs * voxels(self.shape)];
        correlate(self.arithmetic.set, &dy, &packed, &offsets, self.inputs, &mut out, Target::dense(self.shape));
        out
    }

    pub(super) fn weight_gradient(&self, x: &[f32], dy: &[f32]) -> Vec<f32> {
        if self.arithmetic.precision == Precision::Bf16 {
            return self.weight_gradient_in_bf16(x, dy);
        }
        let dy = split(dy, [self.samples, self.outputs], self.out_shape(), [0; 3], self.kernel);
        let offsets = dy.taps(self.kernel, self.kernel);
        let x = pitched(x, [self.samples, self.inputs], self.shape, dy.row, dy.plane);
        weight_gradient(self.arithmetic.set, &dy, &x, &offsets, self.shape)
    }
}
