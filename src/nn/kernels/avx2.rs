//! The two micro-kernels for processors with AVX2 and FMA: eight floats a vector, sixteen registers.
//!
//! A tile of eight outputs is two of four here: 4 outputs x 24 voxels fill twelve registers, three hold voxels and one a
//! weight. Everything around them is shared with AVX-512.

use std::arch::x86_64::{
    __m256, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm256_storeu_ps,
};

use super::correlate::Source;
use super::weight_gradient::{OUTPUTS, TAPS, Walk};

/// Outputs that fit the registers together.
const HALF: usize = 4;

#[expect(unsafe_code, reason = "calls the micro-kernel")]
/// `length` voxels of a tile of `outputs` outputs, at most eight.
///
/// # Safety
/// The processor has AVX2 and FMA; otherwise as the span of AVX-512.
pub(super) unsafe fn span(
    source: Source<'_>,
    weights: &[f32],
    outputs: usize,
    out: *mut f32,
    pitch: usize,
    length: usize,
) {
    debug_assert!(weights.len() >= source.channels * source.offsets.len() * outputs);
    let mut first = 0;
    while first < outputs {
        let part = Part { weights: weights.as_ptr().wrapping_add(first), stride: outputs };
        let to = out.wrapping_add(first * pitch);
        // SAFETY: the caller's promise; the part's weights lie within those of the tile.
        first += unsafe {
            match outputs - first {
                HALF.. => rows::<4>(source, part, to, pitch, length),
                2.. => rows::<2>(source, part, to, pitch, length),
                _ => rows::<1>(source, part, to, pitch, length),
            }
        };
    }
}

/// The weights of some outputs of a tile.
#[derive(Clone, Copy)]
struct Part {
    weights: *const f32,
    /// From a tap to the next: the outputs of the whole tile.
    stride: usize,
}

#[expect(unsafe_code, reason = "calls the micro-kernel")]
/// # Safety
/// As [`micro`], for every run of voxels.
unsafe fn rows<const K: usize>(source: Source<'_>, part: Part, out: *mut f32, pitch: usize, length: usize) -> usize {
    let mut q = 0;
    while q < length {
        let here = Source { x: source.x.wrapping_add(q), ..source };
        let to = out.wrapping_add(q);
        // SAFETY: the caller's promise, moved by q.
        q += unsafe {
            match (length - q).div_ceil(8) {
                1 => micro::<K, 1>(here, part, to, pitch),
                2 => micro::<K, 2>(here, part, to, pitch),
                _ => micro::<K, 3>(here, part, to, pitch),
            }
        };
    }
    K
}

#[expect(unsafe_code, reason = "AVX2 intrinsics on pointers")]
/// K outputs of 8 V voxels; returns the number of voxels. Sums in the order of AVX-512, so the bits are the same.
///
/// # Safety
/// The processor has AVX2 and FMA; `source` can be read at every channel and offset for 8 V floats, `part` holds K weights
/// per channel and tap, and K rows of `pitch` can be written at `out` for 8 V floats.
#[target_feature(enable = "avx2,fma")]
unsafe fn micro<const K: usize, const V: usize>(source: Source<'_>, part: Part, out: *mut f32, pitch: usize) -> usize {
    // SAFETY: as promised by the caller.
    unsafe {
        let mut sums = [[_mm256_setzero_ps(); V]; K];
        let mut weight = part.weights;
        for channel in 0..source.channels {
            let x = source.x.add(channel * source.channel);
            for offset in source.offsets {
                let x = x.add(*offset);
                let mut values = [_mm256_setzero_ps(); V];
                for (v, value) in values.iter_mut().enumerate() {
                    *value = _mm256_loadu_ps(x.add(8 * v));
                }
                for (k, sums) in sums.iter_mut().enumerate() {
                    let weight = _mm256_set1_ps(*weight.add(k));
                    for (sum, value) in sums.iter_mut().zip(&values) {
                        *sum = _mm256_fmadd_ps(weight, *value, *sum);
                    }
                }
                weight = weight.wrapping_add(part.stride);
            }
        }
        for (k, sums) in sums.iter().enumerate() {
            for (v, sum) in sums.iter().enumerate() {
                _mm256_storeu_ps(out.add(k * pitch + 8 * v), *sum);
            }
        }
    }
    8 * V
}

#[expect(unsafe_code, reason = "calls the micro-kernel")]
/// Dot products of `rows` outputs with some taps over a run.
///
/// # Safety
/// The processor has AVX2 and FMA; otherwise as the dots of AVX-512.
pub(super) unsafe fn dots(dy: *const f32, taps: &[*const f32], rows: usize, walk: Walk) -> [[f32; TAPS]; OUTPUTS] {
    let mut all = [[0.0; TAPS]; OUTPUTS];
    let mut first = 0;
    while first < rows {
        let dy = dy.wrapping_add(first * walk.channel);
        // SAFETY: the caller's promise.
        let (count, part) = unsafe {
            match (rows - first, taps.len()) {
                (HALF.., TAPS) => (4, products::<4, TAPS>(dy, taps, walk)),
                (HALF.., _) => (4, products::<4, 1>(dy, taps, walk)),
                (2.., TAPS) => (2, products::<2, TAPS>(dy, taps, walk)),
                (2.., _) => (2, products::<2, 1>(dy, taps, walk)),
                (_, TAPS) => (1, products::<1, TAPS>(dy, taps, walk)),
                _ => (1, products::<1, 1>(dy, taps, walk)),
            }
        };
        all[first..first + count].copy_from_slice(&part[..count]);
        first += count;
    }
    all
}

#[expect(unsafe_code, reason = "AVX2 intrinsics on pointers")]
/// Dot products of K outputs with J taps over a run.
///
/// # Safety
/// The processor has AVX2 and FMA; `taps` holds J pointers; dy and taps can be read over the run, its length rounded up
/// to 8; dy is zero beyond the length.
#[target_feature(enable = "avx2,fma")]
unsafe fn products<const K: usize, const J: usize>(
    dy: *const f32,
    taps: &[*const f32],
    walk: Walk,
) -> [[f32; TAPS]; HALF] {
    let mut spilled = [[[0f32; 8]; TAPS]; HALF];
    // SAFETY: as promised by the caller.
    unsafe {
        let mut sums = [[_mm256_setzero_ps(); J]; K];
        let taps: [*const f32; J] = std::array::from_fn(|j| *taps.get_unchecked(j));
        for z in 0..walk.planes {
            let xs: [*const f32; J] = std::array::from_fn(|j| taps[j].add(z * walk.plane_x));
            let dys: [*const f32; K] = std::array::from_fn(|k| dy.add(k * walk.channel + z * walk.plane_dy));
            let mut q = 0;
            while q < walk.length {
                let x: [__m256; J] = std::array::from_fn(|j| _mm256_loadu_ps(xs[j].add(q)));
                for k in 0..K {
                    let dy = _mm256_loadu_ps(dys[k].add(q));
                    for j in 0..J {
                        sums[k][j] = _mm256_fmadd_ps(dy, x[j], sums[k][j]);
                    }
                }
                q += 8;
            }
        }
        for k in 0..K {
            for j in 0..J {
                _mm256_storeu_ps(spilled[k][j].as_mut_ptr(), sums[k][j]);
            }
        }
    }
    totals(&spilled)
}

/// Kept apart from the loop, whose sums would otherwise leave their registers.
#[inline(never)]
fn totals(spilled: &[[[f32; 8]; TAPS]; HALF]) -> [[f32; TAPS]; HALF] {
    spilled.map(|row| row.map(|lanes| lanes.iter().sum()))
}
