//! Nothing but multiplications and additions in registers: what a processor could do if memory were free.
//!
//! Says how many operations it has done; the clock belongs to whoever asks.

use std::arch::x86_64::{
    _mm256_fmadd_ps, _mm256_set1_ps, _mm256_storeu_ps, _mm512_fmadd_ps, _mm512_set1_ps, _mm512_storeu_ps,
};

use super::instructions::Instructions;

/// Independent sums, as many as the micro-kernels keep.
const SUMS: usize = 24;
const SUMS_256: usize = 12;

/// Does `rounds` fused multiply-adds of every lane of some registers; the number of operations, two for each.
pub(super) fn spin(set: Instructions, rounds: usize) -> u64 {
    let mut out = [0f32; 16];
    #[expect(unsafe_code, reason = "calls a function compiled for the instructions of this processor")]
    // SAFETY: a set is used only where it was detected.
    unsafe {
        match set {
            Instructions::Avx512 => spin_512(rounds, &mut out),
            Instructions::Avx2 => spin_256(rounds, &mut out),
        }
    }
    std::hint::black_box(out);
    let lanes = match set {
        Instructions::Avx512 => 16 * SUMS,
        Instructions::Avx2 => 8 * SUMS_256,
    };
    2 * (lanes * rounds) as u64
}

#[target_feature(enable = "avx512f")]
fn spin_512(rounds: usize, out: &mut [f32; 16]) {
    let (factor, more) = (_mm512_set1_ps(std::hint::black_box(0.5)), _mm512_set1_ps(std::hint::black_box(1.0)));
    let mut sums = [more; SUMS];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = _mm512_fmadd_ps(*sum, factor, more);
        }
    }
    let total = sums.into_iter().fold(more, |total, sum| _mm512_fmadd_ps(sum, factor, total));
    #[expect(unsafe_code, reason = "a vector store")]
    // SAFETY: the array holds sixteen floats.
    unsafe {
        _mm512_storeu_ps(out.as_mut_ptr(), total);
    }
}

#[target_feature(enable = "avx2,fma")]
fn spin_256(rounds: usize, out: &mut [f32; 16]) {
    let (factor, more) = (_mm256_set1_ps(std::hint::black_box(0.5)), _mm256_set1_ps(std::hint::black_box(1.0)));
    let mut sums = [more; SUMS_256];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = _mm256_fmadd_ps(*sum, factor, more);
        }
    }
    let total = sums.into_iter().fold(more, |total, sum| _mm256_fmadd_ps(sum, factor, total));
    #[expect(unsafe_code, reason = "a vector store")]
    // SAFETY: the array holds more than eight floats.
    unsafe {
        _mm256_storeu_ps(out.as_mut_ptr(), total);
    }
}
