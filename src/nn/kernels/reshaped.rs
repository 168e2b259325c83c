//! The path for devices on which strided and transposed convolutions are slow: both become convolutions of stride 1 on
//! rearranged voxels. Same mathematics, same weights.
//!
//! A transposed convolution whose kernel is its stride reads one voxel for each that it writes: a pointwise convolution to as
//! many times the channels as the kernel has taps, which then become the voxels. A convolution of stride 2 reads even and odd
//! voxels: with the kinds as channels it is one of two taps an axis, at the voxel before and at its own. An axis without a
//! stride has one kind and keeps its taps.

use burn::tensor::Tensor;

use super::portable;

pub(super) fn conv3d(x: Tensor<5>, weight: Tensor<5>, stride: [usize; 3]) -> Tensor<5> {
    if stride == [1; 3] { portable::conv3d(x, weight, stride) } else { strided(x, weight, stride) }
}

pub(super) fn conv_transpose3d(x: Tensor<5>, weight: Tensor<5>) -> Tensor<5> {
    let [samples, inputs, depth, height, width] = x.dims();
    let [_, outputs, a, b, c] = weight.dims();
    let all = a * b * c * outputs;
    let weight = weight.reshape([inputs, all]).transpose().reshape([all, inputs, 1, 1, 1]);
    let voxels = portable::conv3d(x, weight, [1; 3]);
    let apart: Tensor<8> = voxels.reshape([samples, outputs, a, b, c, depth, height, width]);
    apart.permute([0, 1, 5, 2, 6, 3, 7, 4]).reshape([samples, outputs, a * depth, b * height, c * width])
}

/// Kernel 3 and a rim of one zero where the stride is 2.
fn strided(x: Tensor<5>, weight: Tensor<5>, stride: [usize; 3]) -> Tensor<5> {
    let [samples, inputs, depth, height, width] = x.dims();
    let [outputs, _, tall, high, wide] = weight.dims();
    let [a, b, c] = stride;
    let [d, h, w] = [depth.div_ceil(a), height.div_ceil(b), width.div_ceil(c)];
    // Odd volumes end in a voxel that has no partner: it is given a zero, as the rim would.
    let even = if [a * d, b * h, c * w] == [depth, height, width] {
        x
    } else {
        let whole = Tensor::<5>::zeros([samples, inputs, a * d, b * h, c * w], &x.device()).cast(x.dtype());
        whole.slice_assign([0..samples, 0..inputs, 0..depth, 0..height, 0..width], x)
    };
    let kinds: Tensor<8> = even.reshape([samples, inputs, d, a, h, b, w, c]);
    let kinds = kinds.permute([0, 1, 3, 5, 7, 2, 4, 6]).reshape([samples, a * b * c * inputs, d, h, w]);
    // Of four places an axis (the pair before, the pair here) the kernel covers the last three.
    let places = |kernel: usize, stride: usize| if stride == 2 { 4 } else { kernel };
    let [i, j, k] = [places(tall, a), places(high, b), places(wide, c)];
    let all = Tensor::<5>::zeros([outputs, inputs, i, j, k], &weight.device()).cast(weight.dtype());
    let all = all.slice_assign([0..outputs, 0..inputs, i - tall..i, j - high..j, k - wide..k], weight);
    let taps: Tensor<8> = all.reshape([outputs, inputs, i / a, a, j / b, b, k / c, c]);
    let taps = taps.permute([0, 1, 3, 5, 7, 2, 4, 6]);
    let taps = taps.reshape([outputs, a * b * c * inputs, i / a, j / b, k / c]);
    // Padded on both sides, of which only the first is wanted.
    portable::conv3d(kinds, taps, [1; 3]).slice([0..samples, 0..outputs, 0..d, 0..h, 0..w])
}
