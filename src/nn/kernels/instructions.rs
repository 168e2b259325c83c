//! Which vector instructions our kernels use.

use crate::nn::Precision;

/// A set of vector instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Instructions {
    /// AVX-512: sixteen floats a vector.
    Avx512,
    /// AVX2 and FMA: eight floats a vector.
    Avx2,
}

/// How a convolution is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arithmetic {
    pub(super) set: Instructions,
    pub(super) precision: Precision,
}

impl Arithmetic {
    pub(super) const AVX512: Self = Self { set: Instructions::Avx512, precision: Precision::F32 };
    pub(super) const AVX2: Self = Self { set: Instructions::Avx2, precision: Precision::F32 };
    /// The dot products of bfloat16 values are part of AVX-512.
    pub(super) const BF16: Self = Self { set: Instructions::Avx512, precision: Precision::Bf16 };
}

impl Instructions {
    /// Whether this processor has it.
    pub(crate) fn is_available(self) -> bool {
        match self {
            Self::Avx512 => std::arch::is_x86_feature_detected!("avx512f"),
            Self::Avx2 => std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma"),
        }
    }
}

/// `compiled!(fn name(argument: Type, ...) -> Result { ... })`: a function `name(set, argument, ...)` whose body is compiled
/// for every set and vectorised by the compiler; the processor must have the set.
macro_rules! compiled {
    ($(#[$about:meta])* fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $returned:ty)? $body:block) => {
        $(#[$about])*
        fn $name(set: $crate::nn::kernels::instructions::Instructions, $($argument: $type),*) $(-> $returned)? {
            use $crate::nn::kernels::instructions::Instructions;
            #[inline(always)]
            fn body($($argument: $type),*) $(-> $returned)? $body
            #[target_feature(enable = "avx512f")]
            fn avx512($($argument: $type),*) $(-> $returned)? {
                body($($argument),*)
            }
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($argument: $type),*) $(-> $returned)? {
                body($($argument),*)
            }
            #[expect(unsafe_code, reason = "calls a function compiled for the instructions of this processor")]
            // SAFETY: a set is used only where it was detected.
            unsafe {
                match set {
                    Instructions::Avx512 => avx512($($argument),*),
                    Instructions::Avx2 => avx2($($argument),*),
                }
            }
        }
    };
}

pub(super) use compiled;
