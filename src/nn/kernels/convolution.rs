//! Convolution with "same" padding: forward, gradient of the input, gradient of the weights.

use super::correlate::{Target, correlate};
use super::halo::{Halo, padded, pitched, split, voxels};
use super::instructions::Arithmetic;
use super::packed::Packed;
use super::weight_gradient::weight_gradient;
use crate::nn::Precision;

/// A convolution of `[samples, inputs, shape]` with `[outputs, inputs, kernel^3]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Convolution {
    pub(super) samples: usize,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    /// 1 or 3; padded by 0 or 1.
    pub(super) kernel: usize,
    /// 1, or 2 with a kernel of 3.
    pub(super) stride: usize,
    pub(super) shape: [usize; 3],
    pub(super) arithmetic: Arithmetic,
}

impl Convolution {
    /// Shape of the output volumes.
    pub(super) fn out_shape(&self) -> [usize; 3] {
        self.shape.map(|n| n.div_ceil(self.stride))
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

    pub(super) fn input_gradient(&self, weight: &[f32], dy: &[f32]) -> Vec<f32> {
        if self.arithmetic.precision == Precision::Bf16 {
            return self.input_gradient_in_bf16(weight, dy);
        }
        let mut out = vec![0f32; self.samples * self.inputs * voxels(self.shape)];
        if self.stride == 1 {
            self.input_gradient_dense(weight, dy, &mut out);
        } else {
            self.input_gradient_strided(weight, dy, &mut out);
        }
        out
    }

    /// The same correlation with the kernel turned around.
    fn input_gradient_dense(&self, weight: &[f32], dy: &[f32], out: &mut [f32]) {
        let rim = self.kernel / 2;
        let dy = padded(dy, [self.samples, self.outputs], self.out_shape(), rim, rim);
        let offsets = dy.taps(self.kernel);
        let taps = offsets.len();
        let turned = |i: usize, o: usize, t: usize| weight[(o * self.inputs + i) * taps + (taps - 1 - t)];
        let packed = Packed::new(self.inputs, self.outputs, taps, turned);
        correlate(self.arithmetic.set, &dy, &packed, &offsets, self.inputs, out, Target::dense(self.shape));
    }

    /// Along an axis, an even input voxel is seen by the middle tap of one output, an odd one by the last tap of one
    /// output and the first tap of the next: eight correlations, one per parity.
    fn input_gradient_strided(&self, weight: &[f32], dy: &[f32], out: &mut [f32]) {
        const SEEN: [&[(usize, usize)]; 2] = [&[(1, 0)], &[(0, 1), (2, 0)]];
        let dy = padded(dy, [self.samples, self.outputs], self.out_shape(), 0, 1);
        for phase in 0..8 {
            let mut offsets = Vec::new();
            let mut taps = Vec::new();
            for (tap_z, z) in SEEN[phase >> 2] {
                for (tap_y, y) in SEEN[phase >> 1 & 1] {
                    for (tap_x, x) in SEEN[phase & 1] {
                        offsets.push(z * dy.plane + y * dy.row + x);
                        taps.push((tap_z * 3 + tap_y) * 3 + tap_x);
                    }
                }
            }
            let seen = |i: usize, o: usize, t: usize| weight[(o * self.inputs + i) * 27 + taps[t]];
            let packed = Packed::new(self.inputs, self.outputs, offsets.len(), seen);
            correlate(
                self.arithmetic.set,
                &dy,
                &packed,
                &offsets,
                self.inputs,
                out,
                Target::every_second(self.shape, phase),
            );
        }
    }

    fn haloed(&self, x: &[f32]) -> (Halo, Vec<usize>) {
        let volumes = [self.samples, self.inputs];
        let rim = self.kernel / 2;
        if self.stride == 1 {
            let halo = padded(x, volumes, self.shape, rim, rim);
            let taps = halo.taps(self.kernel);
            (halo, taps)
        } else {
            let halo = split(x, volumes, self.shape, rim);
            let taps = halo.strided_taps(self.kernel);
            (halo, taps)
        }
    }
}
