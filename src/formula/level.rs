//! Which vector instructions the `f32` evaluator uses, decided once while the program runs.
//!
//! A function is written once and compiled for every level; LLVM does the vectorising. Nothing in it is reordered or
//! contracted, so all levels give the same bits and the level is no part of a result.

use std::sync::LazyLock;

/// A set of instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// What every processor of the architecture has.
    Portable = 0,
    /// AVX2.
    Avx2 = 1,
    /// AVX-512.
    Avx512 = 2,
}

impl Level {
    /// Every level.
    pub const ALL: [Self; 3] = [Self::Portable, Self::Avx2, Self::Avx512];

    /// The best level of this processor.
    pub fn best() -> Self {
        static BEST: LazyLock<Level> =
            LazyLock::new(|| Level::ALL.into_iter().rfind(|level| level.is_available()).unwrap_or(Level::Portable));
        *BEST
    }

    /// Whether this processor has it.
    pub fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => std::arch::is_x86_feature_detected!("avx2"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                std::arch::is_x86_feature_detected!("avx512f")
                    && std::arch::is_x86_feature_detected!("avx512vl")
                    && std::arch::is_x86_feature_detected!("avx512dq")
            }
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }
}

/// A function of this body compiled for every level, in the order of [`Level`]. Calling an entry is unsafe: the processor
/// must have its level.
macro_rules! each_level {
    (|$($argument:ident: $type:ty),*| $(-> $returned:ty)? $body:block) => {{
        #[inline(always)]
        fn portable($($argument: $type),*) $(-> $returned)? $body
        #[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2"))]
        fn avx2($($argument: $type),*) $(-> $returned)? {
            portable($($argument),*)
        }
        #[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx512f,avx512vl,avx512dq"))]
        fn avx512($($argument: $type),*) $(-> $returned)? {
            portable($($argument),*)
        }
        [portable, avx2, avx512]
    }};
}

pub(super) use each_level;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_level_is_available_and_the_portable_one_always() {
        assert!(Level::best().is_available() && Level::Portable.is_available());
    }
}
