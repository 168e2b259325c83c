//! Placeholder: Burn's own operations.

use burn::tensor::module::{conv_transpose3d as burn_conv_transpose3d, conv3d as burn_conv3d};
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions};
use burn::tensor::{Tensor, activation};

/// Which kernels run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KernelPath {
    /// Burn's own.
    Portable,
}

impl KernelPath {
    /// What this processor can do.
    pub fn detected() -> Self {
        Self::Portable
    }
    /// Name.
    pub fn name(self) -> &'static str {
        "portable"
    }
}

/// Convolution.
pub fn conv3d(x: Tensor<5>, weight: Tensor<5>, stride: usize) -> Tensor<5> {
    let padding = weight.dims()[2] / 2;
    burn_conv3d(x, weight, None, ConvOptions::new([stride; 3], [padding; 3], [1; 3], 1))
}

/// Transposed convolution.
pub fn conv_transpose3d(x: Tensor<5>, weight: Tensor<5>) -> Tensor<5> {
    burn_conv_transpose3d(x, weight, None, ConvTransposeOptions::new([2; 3], [0; 3], [0; 3], [1; 3], 1))
}

/// Instance norm and leaky ReLU.
pub fn instance_norm_leaky_relu(x: Tensor<5>, gamma: Tensor<1>, beta: Tensor<1>, epsilon: f64, slope: f64) -> Tensor<5> {
    let [n, c, d, h, w] = x.dims();
    let flat = x.reshape([n, c, d * h * w]);
    let mean = flat.clone().mean_dim(2);
    let centred = flat - mean;
    let variance = centred.clone().powf_scalar(2.0).mean_dim(2);
    let normed = centred / (variance + epsilon).sqrt();
    let out = normed * gamma.reshape([1, c, 1]) + beta.reshape([1, c, 1]);
    activation::leaky_relu(out, slope).reshape([n, c, d, h, w])
}
