//! Convolutions and normalisation on the CPU, faster than the tensor library's own.
//!
//! Several paths give the same mathematics: kernels of ours for processors with AVX-512, the tensor library's own
//! operations on other processors, and rearranged ones on CUDA devices. The path is part of what decides the bits of a result, never its meaning; the tests hold
//! one to the other on all kinds of sizes. Within a path, results do not depend on the number of threads.
//!
//! The idea of ours: copy the input once into a volume with a rim of zeros (`halo`); then each of the 27 taps is a
//! constant offset, and a plane of outputs is a one-dimensional correlation (`correlate`). Strided and transposed
//! convolutions are the same over the eight sub-volumes of even and odd voxels. No im2col, no change of layout.

mod portable;
mod reshaped;

#[cfg(target_arch = "x86_64")]
mod convolution;
#[cfg(target_arch = "x86_64")]
mod correlate;
#[cfg(target_arch = "x86_64")]
mod extension;
#[cfg(target_arch = "x86_64")]
mod halo;
#[cfg(target_arch = "x86_64")]
mod norm;
#[cfg(target_arch = "x86_64")]
mod packed;
#[cfg(target_arch = "x86_64")]
mod transposed;
#[cfg(target_arch = "x86_64")]
mod weight_gradient;

use burn::tensor::Tensor;

/// Which kernels run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KernelPath {
    /// Ours, for processors with AVX-512.
    Avx512,
    /// The tensor library's own operations.
    Portable,
    /// The same on rearranged voxels, for CUDA devices.
    Reshaped,
}

impl KernelPath {
    /// The path where tensors live.
    pub fn in_use() -> Self {
        match super::place() {
            super::Place::Cpu => Self::detected(),
            super::Place::Cuda(_) => Self::Reshaped,
        }
    }

    /// The fastest path of this processor.
    pub fn detected() -> Self {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx512f") {
            return Self::Avx512;
        }
        Self::Portable
    }

    /// Name for manifests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Avx512 => "avx512",
            Self::Portable => "portable",
            Self::Reshaped => "cuda",
        }
    }
}

/// Convolution without bias, "same" padding. `x` is `[n, inputs, d, h, w]`, `weight` `[outputs, inputs, k, k, k]` with k
/// 1 or 3, `stride` 1, or 2 with k = 3; the result is `[n, outputs, ceil(d / stride), ...]`.
pub fn conv3d(x: Tensor<5>, weight: Tensor<5>, stride: usize) -> Tensor<5> {
    conv3d_on(KernelPath::in_use(), x, weight, stride)
}

/// Transposed convolution of kernel and stride 2 without bias. `x` is `[n, inputs, d, h, w]`, `weight`
/// `[inputs, outputs, 2, 2, 2]`; the result is `[n, outputs, 2 d, 2 h, 2 w]`.
pub fn conv_transpose3d(x: Tensor<5>, weight: Tensor<5>) -> Tensor<5> {
    conv_transpose3d_on(KernelPath::in_use(), x, weight)
}

/// Instance normalisation (Ulyanov et al. 2016) with scale `gamma` and shift `beta` per channel, then a leaky ReLU.
pub fn instance_norm_leaky_relu(
    x: Tensor<5>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
    slope: f64,
) -> Tensor<5> {
    instance_norm_leaky_relu_on(KernelPath::in_use(), x, gamma, beta, epsilon, slope)
}

fn conv3d_on(path: KernelPath, x: Tensor<5>, weight: Tensor<5>, stride: usize) -> Tensor<5> {
    match path {
        #[cfg(target_arch = "x86_64")]
        KernelPath::Avx512 => extension::conv3d(x, weight, stride),
        KernelPath::Reshaped => reshaped::conv3d(x, weight, stride),
        _ => portable::conv3d(x, weight, stride),
    }
}

fn conv_transpose3d_on(path: KernelPath, x: Tensor<5>, weight: Tensor<5>) -> Tensor<5> {
    match path {
        #[cfg(target_arch = "x86_64")]
        KernelPath::Avx512 => extension::conv_transpose3d(x, weight),
        KernelPath::Reshaped => reshaped::conv_transpose3d(x, weight),
        _ => portable::conv_transpose3d(x, weight),
    }
}

fn instance_norm_leaky_relu_on(
    path: KernelPath,
    x: Tensor<5>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
    slope: f64,
) -> Tensor<5> {
    match path {
        #[cfg(target_arch = "x86_64")]
        KernelPath::Avx512 => extension::instance_norm_leaky_relu(x, gamma, beta, epsilon, slope),
        KernelPath::Reshaped => reshaped::instance_norm_leaky_relu(x, gamma, beta, epsilon, slope),
        _ => portable::instance_norm_leaky_relu(x, gamma, beta, epsilon, slope),
    }
}

#[cfg(test)]
mod tests;
