//! The path for every processor: operations of the tensor library, composed.

use burn::tensor::ops::{ConvOptions, ConvTransposeOptions};
use burn::tensor::{Tensor, activation, module};

pub(super) fn conv3d(x: Tensor<5>, weight: Tensor<5>, stride: [usize; 3]) -> Tensor<5> {
    let [_, _, depth, height, width] = weight.dims();
    let padding = [depth, height, width].map(|k| k / 2);
    module::conv3d(x, weight, None, ConvOptions::new(stride, padding, [1; 3], 1))
}

pub(super) fn conv_transpose3d(x: Tensor<5>, weight: Tensor<5>) -> Tensor<5> {
    let [_, _, depth, height, width] = weight.dims();
    let stride = [depth, height, width];
    module::conv_transpose3d(x, weight, None, ConvTransposeOptions::new(stride, [0; 3], [0; 3], [1; 3], 1))
}

pub(super) fn instance_norm_leaky_relu(
    x: Tensor<5>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
    slope: f64,
) -> Tensor<5> {
    let [samples, channels, depth, height, width] = x.dims();
    let flat = x.reshape([samples, channels, depth * height * width]);
    let centred = flat.clone() - flat.mean_dim(2);
    let variance = (centred.clone() * centred.clone()).mean_dim(2);
    let normal = centred / (variance + epsilon).sqrt();
    let scaled = normal * gamma.reshape([1, channels, 1]) + beta.reshape([1, channels, 1]);
    activation::leaky_relu(scaled, slope).reshape([samples, channels, depth, height, width])
}
