//! Convolutions whose products are of bfloat16 values and whose sums are of 32-bit floats.
//!
//! Guards one rule for all processors: both factors of every product of a convolution, forward and backward, are rounded
//! to bfloat16 (8 bits of significand, nearest, ties to even); everything else stays as it was: sums, outputs, weights
//! kept by the optimiser, norms, loss. Without loss scaling, because bfloat16 has the exponents of a 32-bit float.
//!
//! `vdpbf16ps` adds two products to each 32-bit lane, twice the arithmetic of a fused multiply-add. For outputs and input
//! gradients (`correlate`) a lane is a voxel and its pair are two channels; for weight gradients (`weight_gradient`) a
//! pair are two neighbouring voxels. Rounding happens in the one copy that a convolution needs anyway (`slab`), which here
//! is made a few planes at a time, so that it stays in the second-level cache. Does not hold the values between passes in
//! 16 bits: norms and skips want them whole.
//!
//! The instruction treats subnormal numbers as zero and adds a pair in an order of its own; `emulated` does not, so bits
//! differ between the two as they do between other paths.

pub(super) mod emulated;

#[cfg(target_arch = "x86_64")]
mod convolution;
#[cfg(target_arch = "x86_64")]
mod correlate;
#[cfg(target_arch = "x86_64")]
mod slab;
#[cfg(target_arch = "x86_64")]
mod weight_gradient;

/// Whether this processor has the dot products.
pub(super) fn detected() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx512f")
        && std::arch::is_x86_feature_detected!("avx512bw")
        && std::arch::is_x86_feature_detected!("avx512vl")
        && std::arch::is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

#[cfg(test)]
mod tests;
