//! Convolutions and normalisation on the CPU, faster than the tensor library's own.
//!
//! Several paths give the same mathematics: kernels of ours for processors with AVX-512, the tensor library's own
//! operations on other processors, and rearranged ones on CUDA devices. The path is part of what decides the bits of a result, never its meaning; the tests hold
//! one to the other on all kinds of sizes. Within a path, results do not depend on the number of threads.
//!
//! The idea of ours: copy the input once into a volume with a rim of zeros (`halo`); then each of the 27 taps is a
//! constant offset, and a plane of outputs is a one-dimensional correlation (`correlate`). Strided and transposed
//! convolutions are the same over the sub-volumes of even and odd voxels, eight of them if every axis has a stride. Kernels
//! and strides may differ along the axes (`geometry`). No im2col, no change of layout.
//! In `bf16` the same is done with factors of 16 bits.

mod bf16;
mod portable;
mod reshaped;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod convolution;
#[cfg(target_arch = "x86_64")]
mod correlate;
#[cfg(target_arch = "x86_64")]
mod extension;
#[cfg(target_arch = "x86_64")]
mod geometry;
#[cfg(target_arch = "x86_64")]
mod halo;
#[cfg(target_arch = "x86_64")]
mod instructions;
#[cfg(target_arch = "x86_64")]
mod norm;
#[cfg(target_arch = "x86_64")]
mod packed;
#[cfg(target_arch = "x86_64")]
mod peak;
#[cfg(target_arch = "x86_64")]
mod transposed;
#[cfg(target_arch = "x86_64")]
mod weight_gradient;

use std::sync::OnceLock;

use burn::tensor::{FloatDType, Tensor};

use super::Precision;
use crate::fault::{Fault, Result};
#[cfg(target_arch = "x86_64")]
use instructions::{Arithmetic, Instructions};

/// Which kernels run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KernelPath {
    /// Ours, for processors with AVX-512.
    Avx512,
    /// Ours, for processors with AVX2 and FMA.
    Avx2,
    /// The tensor library's own operations.
    Portable,
    /// The same on rearranged voxels, for CUDA devices.
    Reshaped,
}

/// What was asked for instead of the fastest path.
static CHOSEN: OnceLock<KernelPath> = OnceLock::new();

impl KernelPath {
    /// The paths of the CPU, fastest first.
    pub const CPU: [Self; 3] = [Self::Avx512, Self::Avx2, Self::Portable];

    /// The path where tensors live.
    pub fn in_use() -> Self {
        match super::place() {
            super::Place::Cpu => CHOSEN.get().copied().unwrap_or_else(Self::detected),
            super::Place::Cuda(_) => Self::Reshaped,
        }
    }

    /// The fastest path of this processor.
    pub fn detected() -> Self {
        Self::CPU.into_iter().find(|path| path.is_available()).unwrap_or(Self::Portable)
    }

    /// Uses another path of the CPU than the fastest from now on; what was chosen first stands.
    ///
    /// # Errors
    /// If there is no such path, or this processor does not have it.
    pub fn choose(name: &str) -> Result<()> {
        let wrong = |title: &str| {
            let available: Vec<&str> =
                Self::CPU.into_iter().filter(|path| path.is_available()).map(Self::name).collect();
            Fault::new(title.to_string())
                .field("LOSSGEN_KERNELS")
                .expected(available.join(", "))
                .found(format!("`{name}`"))
                .hint("without this variable the fastest kernels of the processor are used")
        };
        let path = Self::CPU.into_iter().find(|path| path.name() == name).ok_or_else(|| wrong("unknown kernels"))?;
        if !path.is_available() {
            return Err(wrong("this processor lacks the instructions of these kernels"));
        }
        let _ = CHOSEN.set(path);
        Ok(())
    }

    /// Whether this processor has it.
    pub fn is_available(self) -> bool {
        match self {
            Self::Portable | Self::Reshaped => true,
            #[cfg(target_arch = "x86_64")]
            _ => self.instructions().is_some_and(Instructions::is_available),
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }

    /// The instructions of our kernels, if the path is one of ours.
    #[cfg(target_arch = "x86_64")]
    fn instructions(self) -> Option<Instructions> {
        match self {
            Self::Avx512 => Some(Instructions::Avx512),
            Self::Avx2 => Some(Instructions::Avx2),
            Self::Portable | Self::Reshaped => None,
        }
    }

    /// Name for manifests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Portable => "portable",
            Self::Reshaped => "cuda",
        }
    }

    /// Name of the kernels of a training at a precision: with it, everything about a processor that decides bits.
    pub fn name_at(self, precision: Precision) -> String {
        match precision {
            Precision::F32 => self.name().to_string(),
            Precision::Bf16 if self == Self::Reshaped || self.has_bf16() => format!("{}+bf16", self.name()),
            Precision::Bf16 => format!("{}+bf16-emulated", self.name()),
        }
    }

    /// Does `rounds` of nothing but multiply-adds in registers on the calling thread; the number of operations, or `None`
    /// where the path has no kernels of ours.
    pub fn spin(self, rounds: usize) -> Option<u64> {
        #[cfg(target_arch = "x86_64")]
        return self.instructions().map(|set| peak::spin(set, rounds));
        #[cfg(not(target_arch = "x86_64"))]
        {
            let _ = rounds;
            None
        }
    }

    /// Whether the path has dot products of bfloat16 values.
    fn has_bf16(self) -> bool {
        self == Self::Avx512 && bf16::detected()
    }
}

/// Convolution without bias, "same" padding. `x` is `[n, inputs, d, h, w]`, `weight` `[outputs, inputs, kernel]` with 1 or 3
/// taps along each axis, `stride` 1, or 2 where there are 3; the result is `[n, outputs, ceil(d / stride), ...]`. Pointwise convolutions and those
/// of one input channel are computed in 32 bits at every precision.
pub fn conv3d(x: Tensor<5>, weight: Tensor<5>, stride: [usize; 3], precision: Precision) -> Tensor<5> {
    let [_, inputs, depth, height, width] = weight.dims();
    let path = KernelPath::in_use();
    if precision == Precision::F32 || inputs == 1 || depth * height * width == 1 {
        return conv3d_on(path, x, weight, stride);
    }
    #[cfg(target_arch = "x86_64")]
    if path.has_bf16() {
        return extension::conv3d(x, weight, stride, Arithmetic::BF16);
    }
    in_16_bits(path, x, weight, |x, weight| conv3d_on(path, x, weight, stride))
}

/// Transposed convolution without bias whose kernel, 1 or 2 along each axis, is its stride. `x` is `[n, inputs, d, h, w]`,
/// `weight` `[inputs, outputs, kernel]`; the result is `[n, outputs, kernel d, ...]`.
pub fn conv_transpose3d(x: Tensor<5>, weight: Tensor<5>, precision: Precision) -> Tensor<5> {
    let path = KernelPath::in_use();
    if precision == Precision::F32 {
        return conv_transpose3d_on(path, x, weight);
    }
    #[cfg(target_arch = "x86_64")]
    if path.has_bf16() {
        return extension::conv_transpose3d(x, weight, Arithmetic::BF16);
    }
    in_16_bits(path, x, weight, |x, weight| conv_transpose3d_on(path, x, weight))
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

/// A convolution of bfloat16 values on a path without kernels of ours for them: a device multiplies them itself, a
/// processor is given rounded values.
fn in_16_bits(
    path: KernelPath,
    x: Tensor<5>,
    weight: Tensor<5>,
    convolve: impl Fn(Tensor<5>, Tensor<5>) -> Tensor<5>,
) -> Tensor<5> {
    if path == KernelPath::Reshaped {
        return convolve(x.cast(FloatDType::BF16), weight.cast(FloatDType::BF16)).cast(FloatDType::F32);
    }
    bf16::emulated::convolution(x, weight, convolve)
}

fn conv3d_on(path: KernelPath, x: Tensor<5>, weight: Tensor<5>, stride: [usize; 3]) -> Tensor<5> {
    match path {
        #[cfg(target_arch = "x86_64")]
        KernelPath::Avx512 => extension::conv3d(x, weight, stride, Arithmetic::AVX512),
        #[cfg(target_arch = "x86_64")]
        KernelPath::Avx2 => extension::conv3d(x, weight, stride, Arithmetic::AVX2),
        KernelPath::Reshaped => reshaped::conv3d(x, weight, stride),
        _ => portable::conv3d(x, weight, stride),
    }
}

fn conv_transpose3d_on(path: KernelPath, x: Tensor<5>, weight: Tensor<5>) -> Tensor<5> {
    match path {
        #[cfg(target_arch = "x86_64")]
        KernelPath::Avx512 => extension::conv_transpose3d(x, weight, Arithmetic::AVX512),
        #[cfg(target_arch = "x86_64")]
        KernelPath::Avx2 => extension::conv_transpose3d(x, weight, Arithmetic::AVX2),
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
        KernelPath::Avx512 => extension::instance_norm_leaky_relu(x, gamma, beta, epsilon, slope, Instructions::Avx512),
        #[cfg(target_arch = "x86_64")]
        KernelPath::Avx2 => extension::instance_norm_leaky_relu(x, gamma, beta, epsilon, slope, Instructions::Avx2),
        _ => portable::instance_norm_leaky_relu(x, gamma, beta, epsilon, slope),
    }
}

#[cfg(test)]
mod tests;
