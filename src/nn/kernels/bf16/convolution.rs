//! Forward passes and both gradients of the convolutions, by dot products of bfloat16 values.

use super::super::convolution::Convolution;
use super::super::correlate::Target;
use super::super::transposed::Transposed;
use super::correlate::{Pass, Weights, correlate};
use super::slab::{Arrangement, Form};
use super::weight_gradient::{Volumes, weight_gradient};

/// Taps of a kernel of 3 and stride 2, with the output that they belong to, by the parity of the input voxel along an axis:
/// an even one is seen by the middle tap of one output, an odd one by the last tap of one and the first tap of the next.
const SEEN: [&[(usize, usize)]; 2] = [&[(1, 0)], &[(0, 1), (2, 0)]];

/// Positions of a kernel in the order of its weights.
fn positions(k: usize) -> Vec<[usize; 3]> {
    (0..k * k * k).map(|t| [t / (k * k), t / k % k, t % k]).collect()
}

impl Convolution {
    fn rim(&self) -> [usize; 2] {
        [self.kernel / 2; 2]
    }

    /// As [`Convolution::forward`].
    pub(in super::super) fn forward_in_bf16(&self, x: &[f32], weight: &[f32]) -> Vec<f32> {
        let taps = positions(self.kernel);
        let count = taps.len();
        let form = Form::new(self.inputs, self.shape, self.rim(), self.stride, Arrangement::Pairs);
        let weights =
            Weights::new([self.outputs, self.inputs, count], |o, i, t| weight[(o * self.inputs + i) * count + t]);
        let pass = Pass { weights, taps, target: Target::dense(self.out_shape()) };
        correlate(x, self.samples, form, self.stride, &[pass], self.outputs)
    }

    /// As [`Convolution::weight_gradient`].
    pub(in super::super) fn weight_gradient_in_bf16(&self, x: &[f32], dy: &[f32]) -> Vec<f32> {
        let form = Form::new(self.inputs, self.shape, self.rim(), self.stride, Arrangement::Single);
        let dy = Volumes { values: dy, form: Form::pitched(self.outputs, self.out_shape(), form.row) };
        weight_gradient(&Volumes { values: x, form }, &dy, &positions(self.kernel), self.samples)
    }

    /// As [`Convolution::input_gradient`].
    pub(in super::super) fn input_gradient_in_bf16(&self, weight: &[f32], dy: &[f32]) -> Vec<f32> {
        let count = self.kernel.pow(3);
        let sizes = |taps: usize| [self.inputs, self.outputs, taps];
        if self.stride == 1 {
            let form = Form::new(self.outputs, self.out_shape(), self.rim(), 1, Arrangement::Pairs);
            let turned = |i: usize, o: usize, t: usize| weight[(o * self.inputs + i) * count + (count - 1 - t)];
            let weights = Weights::new(sizes(count), turned);
            let pass = Pass { weights, taps: positions(self.kernel), target: Target::dense(self.shape) };
            return correlate(dy, self.samples, form, 1, &[pass], self.inputs);
        }
        // Eight correlations, one per parity.
        let form = Form::new(self.outputs, self.out_shape(), [0, 1], 1, Arrangement::Pairs);
        let passes: Vec<Pass> = (0..8)
            .map(|phase| {
                let (mut taps, mut places) = (Vec::new(), Vec::new());
                for (tap_z, z) in SEEN[phase >> 2] {
                    for (tap_y, y) in SEEN[phase >> 1 & 1] {
                        for (tap_x, x) in SEEN[phase & 1] {
                            taps.push([*z, *y, *x]);
                            places.push((tap_z * 3 + tap_y) * 3 + tap_x);
                        }
                    }
                }
                let seen = |i: usize, o: usize, t: usize| weight[(o * self.inputs + i) * 27 + places[t]];
                let weights = Weights::new(sizes(taps.len()), seen);
                Pass { weights, taps, target: Target::every_second(self.shape, phase) }
            })
            .collect();
        correlate(dy, self.samples, form, 1, &passes, self.inputs)
    }
}

impl Transposed {
    /// As [`Transposed::forward`].
    pub(in super::super) fn forward_in_bf16(&self, x: &[f32], weight: &[f32]) -> Vec<f32> {
        let form = Form::new(self.inputs, self.shape, [0, 0], 1, Arrangement::Pairs);
        let passes: Vec<Pass> = (0..8)
            .map(|phase| {
                let tap = |o: usize, i: usize, _| weight[(i * self.outputs + o) * 8 + phase];
                let weights = Weights::new([self.outputs, self.inputs, 1], tap);
                Pass { weights, taps: vec![[0; 3]], target: Target::every_second(self.out_shape(), phase) }
            })
            .collect();
        correlate(x, self.samples, form, 1, &passes, self.outputs)
    }

    /// As [`Transposed::input_gradient`].
    pub(in super::super) fn input_gradient_in_bf16(&self, weight: &[f32], dy: &[f32]) -> Vec<f32> {
        let form = Form::new(self.outputs, self.out_shape(), [0, 0], 2, Arrangement::Pairs);
        let tap = |i: usize, o: usize, t: usize| weight[(i * self.outputs + o) * 8 + t];
        let weights = Weights::new([self.inputs, self.outputs, 8], tap);
        let pass = Pass { weights, taps: positions(2), target: Target::dense(self.shape) };
        correlate(dy, self.samples, form, 2, &[pass], self.inputs)
    }

    /// As [`Transposed::weight_gradient`].
    pub(in super::super) fn weight_gradient_in_bf16(&self, x: &[f32], dy: &[f32]) -> Vec<f32> {
        let form = Form::new(self.outputs, self.out_shape(), [0, 0], 2, Arrangement::Single);
        let x = Volumes { values: x, form: Form::pitched(self.inputs, self.shape, form.row) };
        weight_gradient(&Volumes { values: dy, form }, &x, &positions(2), self.samples)
    }
}
