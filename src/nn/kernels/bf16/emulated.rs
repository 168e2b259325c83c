//! The same rule for every processor: factors are rounded to bfloat16, the products are left to kernels of 32-bit floats.
//!
//! Products of two bfloat16 values are exact in 32 bits, so only the order of sums differs from the dot products of a
//! processor that has them. Slower than not rounding at all: for results that mean the same, not for speed.

use burn::tensor::{DType, Tensor};

/// The bits of the nearest bfloat16 value; ties go to the even one, what is not a number stays so.
pub(super) fn bits(value: f32) -> u16 {
    let bits = value.to_bits();
    if value.is_nan() {
        // Rounding could carry into the exponent of an infinity.
        return (bits >> 16) as u16 | 0x40;
    }
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

/// A convolution of rounded factors, by one that does not round.
pub(in super::super) fn convolution(
    x: Tensor<5>,
    weight: Tensor<5>,
    product: impl FnOnce(Tensor<5>, Tensor<5>) -> Tensor<5>,
) -> Tensor<5> {
    rounded_gradient(product(rounded_value(x), rounded_value(weight)))
}

/// There and back; a gradient on its way back is rounded alike.
fn round(x: Tensor<5>) -> Tensor<5> {
    x.cast(DType::BF16).cast(DType::F32)
}

/// Rounded on the way forward, the gradient untouched. The difference of a float and its rounding is a float, so the sum is
/// exactly the rounding.
fn rounded_value(x: Tensor<5>) -> Tensor<5> {
    let whole = x.clone().detach();
    x + (round(whole.clone()) - whole)
}

/// Untouched on the way forward, the gradient rounded.
fn rounded_gradient(y: Tensor<5>) -> Tensor<5> {
    let rounded = round(y.clone());
    let rest = (y - rounded.clone()).detach();
    rounded + rest
}
