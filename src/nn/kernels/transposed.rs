//! Transposed convolution of kernel and stride 2: forward, gradient of the input, gradient of the weights.

use super::correlate::{Target, correlate};
use super::halo::{padded, pitched, split, voxels};
use super::instructions::Arithmetic;
use super::packed::Packed;
use super::weight_gradient::weight_gradient;
use crate::nn::Precision;

/// A transposed convolution of `[samples, inputs, shape]` with `[inputs, outputs, 2, 2, 2]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Transposed {
    pub(super) samples: usize,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) shape: [usize; 3],
    pub(super) arithmetic: Arithmetic,
}

impl Transposed {
    /// Shape of the output volumes.
    pub(super) fn out_shape(&self) -> [usize; 3] {
        self.shape.map(|n| 2 * n)
    }

    /// Every output voxel is seen by one tap: eight pointwise products, one per parity.
    pub(super) fn forward(&self, x: &[f32], weight: &[f32]) -> Vec<f32> {
        if self.arithmetic.precision == Precision::Bf16 {
            return self.forward_in_bf16(x, weight);
        }
        let x = padded(x, [self.samples, self.inputs], self.shape, 0, 0);
        let mut out = vec![0f32; self.samples * self.outputs * voxels(self.out_shape())];
        for phase in 0..8 {
            let packed =
                Packed::new(self.outputs, self.inputs, 1, |o, i, _| weight[(i * self.outputs + o) * 8 + phase]);
            correlate(
                self.arithmetic.set,
                &x,
                &packed,
                &[0],
                self.outputs,
                &mut out,
                Target::every_second(self.out_shape(), phase),
            );
        }
        out
    }

    /// A convolution of stride 2 over the eight parities.
    pub(super) fn input_gradient(&self, weight: &[f32], dy: &[f32]) -> Vec<f32> {
        if self.arithmetic.precision == Precision::Bf16 {
            return self.input_gradient_in_bf16(weight, dy);
        }
        let dy = split(dy, [self.samples, self.outputs], self.out_shape(), 0);
        let offsets = dy.strided_taps(2);
        let packed = Packed::new(self.inputs, self.outputs, 8, |i, o, t| weight[(i * self.outputs + o) * 8 + t]);
        let mut out = vec![0f32; self.samples * self.inputs * voxels(self.shape)];
        correlate(self.arithmetic.set, &dy, &packed, &offsets, self.inputs, &mut out, Target::dense(self.shape));
        out
    }

    pub(super) fn weight_gradient(&self, x: &[f32], dy: &[f32]) -> Vec<f32> {
        if self.arithmetic.precision == Precision::Bf16 {
            return self.weight_gradient_in_bf16(x, dy);
        }
        let dy = split(dy, [self.samples, self.outputs], self.out_shape(), 0);
        let offsets = dy.strided_taps(2);
        let x = pitched(x, [self.samples, self.inputs], self.shape, dy.row, dy.plane);
        weight_gradient(self.arithmetic.set, &dy, &x, &offsets, self.shape)
    }
}
