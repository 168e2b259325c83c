//! The path for devices on which strided and transposed convolutions are slow: both become convolutions of stride 1 on
//! rearranged voxels. Same mathematics, same weights.
//!
//! A transposed convolution of kernel and stride 2 reads one voxel for each that it writes: a pointwise convolution to eight
//! times the channels, which then become the eight voxels. A convolution of stride 2 reads even and odd voxels: with
//! the eight kinds as channels it is one of two taps an axis, at the voxel before and at its own.

use burn::tensor::Tensor;

use super::portable;

pub(super) fn conv3d(x: Tensor<5>, weight: Tensor<5>, stride: usize) -> Tensor<5> {
    if stride == 1 { portable::conv3d(x, weight, 1) } else { strided(x, weight) }
}

pub(super) fn conv_transpose3d(x: Tensor<5>, weight: Tensor<5>) -> Tensor<5> {
    let [samples, inputs, depth, height, width] = x.dims();
    let outputs = weight.dims()[1];
    let weight = weight.reshape([inputs, 8 * outputs]).transpose().reshape([8 * outputs, inputs, 1, 1, 1]);
    let voxels = portable::conv3d(x, weight, 1);
    let apart: Tensor<8> = voxels.reshape([samples, outputs, 2, 2, 2, depth, height, width]);
    apart.permute([0, 1, 5, 2, 6, 3, 7, 4]).reshape([samples, outputs, 2 * depth, 2 * height, 2 * width])
}

/// Kernel 3, stride 2, a rim of one zero.
fn strided(x: Tensor<5>, weight: Tensor<5>) -> Tensor<5> {
    let [samples, inputs, depth, height, width] = x.dims();
    let [outputs, _, _, _, _] = weight.dims();
    let [d, h, w] = [depth, height, width].map(|n| n.div_ceil(2));
    // Odd volumes end in a voxel that has no partner: it is given a zero, as the rim would.
    let even = if [2 * d, 2 * h, 2 * w] == [depth, height, width] {
        x
    } else {
        let whole = Tensor::<5>::zeros([samples, inputs, 2 * d, 2 * h, 2 * w], &x.device()).cast(x.dtype());
        whole.slice_assign([0..samples, 0..inputs, 0..depth, 0..height, 0..width], x)
    };
    let kinds: Tensor<8> = even.reshape([samples, inputs, d, 2, h, 2, w, 2]);
    let kinds = kinds.permute([0, 1, 3, 5, 7, 2, 4, 6]).reshape([samples, 8 * inputs, d, h, w]);
    // Of four places an axis (the pair before, the pair here) the kernel covers the last three.
    let four = Tensor::<5>::zeros([outputs, inputs, 4, 4, 4], &weight.device()).cast(weight.dtype());
    let four = four.slice_assign([0..outputs, 0..inputs, 1..4, 1..4, 1..4], weight);
    let taps: Tensor<8> = four.reshape([outputs, inputs, 2, 2, 2, 2, 2, 2]);
    let taps = taps.permute([0, 1, 3, 5, 7, 2, 4, 6]).reshape([outputs, 8 * inputs, 2, 2, 2]);
    // Padded on both sides, of which only the first is wanted.
    portable::conv3d(kinds, taps, 1).slice([0..samples, 0..outputs, 0..d, 0..h, 0..w])
}
