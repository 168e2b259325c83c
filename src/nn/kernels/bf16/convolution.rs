//! Forward passes and both gradients of the convolutions, by dot products of bfloat16 values.

use super::super::convolution::Convolution;
use super::super::correlate::Target;
use super::super::geometry::{Axes, parities, positions, rims_back, seen_by};
use super::super::halo::voxels;
use super::super::transposed::Transposed;
use super::correlate::{Pass, Weights, correlate};
use super::slab::{Arrangement, Form};
use super::weight_gradient::{Volumes, weight_gradient};

impl Convolution {
    fn rims(&self) -> [Axes; 2] {
        [self.kernel.map(|k| k / 2); 2]
    }

    /// As [`Convolution::forward`].
    pub(in super::super) fn forward_in_bf16(&self, x: &[f32], weight: &[f32]) -> Vec<f32> {
        let taps: Vec<Axes> = positions(self.kernel).collect();
        let count = taps.len();
        let form = Form::new(self.inputs, self.shape, self.rims(), self.stride, Arrangement::Pairs);
        let weights =
            Weights::new([self.outputs, self.inputs, count], |o, i, t| weight[(o * self.inputs + i) * count + t]);
        let pass = Pass { weights, taps, target: Target::dense(self.out_shape()) };
        correlate(x, self.samples, form, &[pass], self.outputs)
    }

    /// As [`Convolution::weight_gradient`].
    pub(in super::super) fn weight_gradient_in_bf16(&self, x: &[f32], dy: &[f32]) -> Vec<f32> {
        let form = Form::new(self.inputs, self.shape, self.rims(), self.stride, Arrangement::Single);
        let dy = Volumes { values: dy, form: Form::pitched(self.outputs, self.out_shape(), form.row) };
        let taps: Vec<Axes> = positions(self.kernel).collect();
        weight_gradient(&Volumes { values: x, form }, &dy, &taps, self.samples)
    }

    /// As [`Convolution::input_gradient`].
    pub(in super::super) fn input_gradient_in_bf16(&self, weight: &[f32], dy: &[f32]) -> Vec<f32> {
        let count = voxels(self.kernel);
        let rims = rims_back(self.kernel, self.stride);
        let form = Form::new(self.outputs, self.out_shape(), rims, [1; 3], Arrangement::Pairs);
        let passes: Vec<Pass> = parities(self.stride)
            .map(|parity| {
                let (taps, places) = seen_by(self.kernel, self.stride, parity);
                let seen = |i: usize, o: usize, t: usize| weight[(o * self.inputs + i) * count + places[t]];
                let weights = Weights::new([self.inputs, self.outputs, taps.len()], seen);
                Pass { weights, taps, target: Target::every(self.shape, self.stride, parity) }
            })
            .collect();
        correlate(dy, self.samples, form, &passes, self.inputs)
    }
}

impl Transposed {
    /// As [`Transposed::forward`].
    pub(in super::super) fn forward_in_bf16(&self, x: &[f32], weight: &[f32]) -> Vec<f32> {
        let form = Form::new(self.inputs, self.shape, [[0; 3]; 2], [1; 3], Arrangement::Pairs);
        let count = voxels(self.kernel);
        let passes: Vec<Pass> = parities(self.kernel)
            .enumerate()
            .map(|(tap, parity)| {
                let tap = |o: usize, i: usize, _| weight[(i * self.outputs + o) * count + tap];
                let weights = Weights::new([self.outputs, self.inputs, 1], tap);
                Pass { weights, taps: vec![[0; 3]], target: Target::every(self.out_shape(), self.kernel, parity) }
            })
            .collect();
        correlate(x, self.samples, form, &passes, self.outputs)
    }

    /// As [`Transposed::input_gradient`].
    pub(in super::super) fn input_gradient_in_bf16(&self, weight: &[f32], dy: &[f32]) -> Vec<f32> {
        let form = Form::new(self.outputs, self.out_shape(), [[0; 3]; 2], self.kernel, Arrangement::Pairs);
        let taps: Vec<Axes> = positions(self.kernel).collect();
        let count = taps.len();
        let tap = |i: usize, o: usize, t: usize| weight[(i * self.outputs + o) * count + t];
        let weights = Weights::new([self.inputs, self.outputs, count], tap);
        let pass = Pass { weights, taps, target: Target::dense(self.shape) };
        correlate(dy, self.samples, form, &[pass], self.inputs)
    }

    /// As [`Transposed::weight_gradient`].
    pub(in super::super) fn weight_gradient_in_bf16(&self, x: &[f32], dy: &[f32]) -> Vec<f32> {
        let form = Form::new(self.outputs, self.out_shape(), [[0; 3]; 2], self.kernel, Arrangement::Single);
        let x = Volumes { values: x, form: Form::pitched(self.inputs, self.shape, form.row) };
        let taps: Vec<Axes> = positions(self.kernel).collect();
        weight_gradient(&Volumes { values: dy, form }, &x, &taps, self.samples)
    }
}
