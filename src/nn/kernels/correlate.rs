//! out[q] = sum over inputs and taps of weight * x[q + offset]: forward passes and input gradients.
//!
//! The micro-kernel of AVX-512 holds 8 outputs x 48 voxels in 24 registers and needs 3 loads and 8 broadcasts for 24 fused
//! multiply-adds; on the machine of its first measurement it ran at 93 to 98 % of the peak of one core.

use std::arch::x86_64::{_mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps};

use rayon::prelude::*;

use super::avx2;
use super::halo::Halo;
use super::instructions::Instructions;
use super::packed::Packed;

/// Where results go: channel `c` of sample `n`, voxel (z, y, x) to `(n * outputs + c) * channel + base + z * step[0] +
/// y * step[1] + x * step[2]`.
#[derive(Clone, Copy)]
pub(super) struct Target {
    pub(super) channel: usize,
    pub(super) base: usize,
    pub(super) step: [usize; 3],
    pub(super) shape: [usize; 3],
}

impl Target {
    /// A whole volume, last axis contiguous.
    pub(super) fn dense(shape: [usize; 3]) -> Self {
        let [_, height, width] = shape;
        Self { channel: super::halo::voxels(shape), base: 0, step: [height * width, width, 1], shape }
    }

    /// The voxels of a volume that are `step` apart along each axis, beginning at `parity`.
    pub(super) fn every(whole: [usize; 3], step: [usize; 3], parity: [usize; 3]) -> Self {
        let [_, height, width] = whole;
        let shape = [0, 1, 2].map(|axis| (whole[axis] + step[axis] - 1 - parity[axis]) / step[axis]);
        Self {
            channel: super::halo::voxels(whole),
            base: (parity[0] * height + parity[1]) * width + parity[2],
            step: [step[0] * height * width, step[1] * width, step[2]],
            shape,
        }
    }

    /// One past the largest position written.
    pub(super) fn end(&self, samples: usize, outputs: usize) -> usize {
        let last = self.base + (0..3).map(|axis| (self.shape[axis] - 1) * self.step[axis]).sum::<usize>();
        (samples * outputs - 1) * self.channel + last + 1
    }
}

/// A pointer that threads may share because they write to different places.
#[derive(Clone, Copy)]
struct Shared(*mut f32);

#[expect(unsafe_code, reason = "each task of `correlate` writes its own planes of the output")]
// SAFETY: tasks differ in (sample, plane), and positions of different planes never coincide.
unsafe impl Sync for Shared {}

impl Shared {
    fn at(&self, place: usize) -> *mut f32 {
        self.0.wrapping_add(place)
    }
}

/// Correlates all channels of `x` with `weights` into `out`, which has `outputs` channels per sample.
pub(super) fn correlate(
    set: Instructions,
    x: &Halo,
    weights: &Packed,
    offsets: &[usize],
    outputs: usize,
    out: &mut [f32],
    target: Target,
) {
    if target.shape.contains(&0) || x.samples == 0 {
        return;
    }
    let [depth, height, width] = target.shape;
    let length = (height - 1) * x.row + width;
    let pitch = length.next_multiple_of(16) + 48;
    // Every access below is within these bounds; they hold for any tensor, whatever its size.
    let reach = offsets.iter().max().copied().unwrap_or(0) + (depth - 1) * x.plane + length.next_multiple_of(16);
    assert!(offsets.len() == weights.taps && x.channels == weights.inputs, "weights belong to another volume");
    assert!((x.samples * x.channels - 1) * x.channel + reach <= x.buffer.len(), "taps reach out of the haloed volume");
    assert!(target.end(x.samples, outputs) <= out.len(), "results do not fit the output");

    let out = Shared(out.as_mut_ptr());
    (0..x.samples * depth).into_par_iter().for_each_init(
        || vec![0f32; 8 * pitch],
        |plane, task| {
            let (sample, z) = (task / depth, task % depth);
            let from = x.buffer.as_ptr().wrapping_add(sample * x.channels * x.channel + z * x.plane);
            for tile in &weights.tiles {
                let source = Source { x: from, channel: x.channel, channels: x.channels, offsets };
                let packed = &weights.values[tile.start..];
                #[expect(unsafe_code, reason = "vector loads and stores through pointers")]
                // SAFETY: the set was detected; reads stay within the bounds asserted above, writes within `plane`,
                // whose 8 rows of `pitch` floats hold `length` rounded up to a vector of 48.
                unsafe {
                    let out = plane.as_mut_ptr();
                    match (set, tile.outputs) {
                        (Instructions::Avx2, outputs) => avx2::span(source, packed, outputs, out, pitch, length),
                        (Instructions::Avx512, 8) => span::<8>(source, packed, out, pitch, length),
                        (Instructions::Avx512, 4) => span::<4>(source, packed, out, pitch, length),
                        (Instructions::Avx512, 2) => span::<2>(source, packed, out, pitch, length),
                        (Instructions::Avx512, _) => span::<1>(source, packed, out, pitch, length),
                    }
                }
                for c in 0..tile.outputs {
                    let to = (sample * outputs + tile.first + c) * target.channel + target.base + z * target.step[0];
                    for y in 0..height {
                        let row = &plane[c * pitch + y * x.row..][..width];
                        let to = out.at(to + y * target.step[1]);
                        #[expect(unsafe_code, reason = "planes of one output are written by several threads")]
                        // SAFETY: positions are below the end asserted above, and no other task writes this plane.
                        unsafe {
                            if target.step[2] == 1 {
                                std::ptr::copy_nonoverlapping(row.as_ptr(), to, width);
                            } else {
                                for (i, value) in row.iter().enumerate() {
                                    *to.add(i * target.step[2]) = *value;
                                }
                            }
                        }
                    }
                }
            }
        },
    );
}

/// A plane of all input channels and the taps.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) x: *const f32,
    pub(super) channel: usize,
    pub(super) channels: usize,
    pub(super) offsets: &'a [usize],
}

#[expect(unsafe_code, reason = "calls the micro-kernel")]
/// `length` voxels of K outputs.
///
/// # Safety
/// As [`micro`], for every run of voxels.
unsafe fn span<const K: usize>(source: Source<'_>, weights: &[f32], out: *mut f32, pitch: usize, length: usize) {
    let mut q = 0;
    while q < length {
        let here = Source { x: source.x.wrapping_add(q), ..source };
        let to = out.wrapping_add(q);
        // SAFETY: the caller's promise, moved by q.
        q += unsafe {
            match (length - q).div_ceil(16) {
                1 => micro::<K, 1>(here, weights, to, pitch),
                2 => micro::<K, 2>(here, weights, to, pitch),
                _ => micro::<K, 3>(here, weights, to, pitch),
            }
        };
    }
}

#[expect(unsafe_code, reason = "AVX-512 intrinsics on pointers")]
/// K outputs of 16 V voxels; returns the number of voxels.
///
/// # Safety
/// The processor has AVX-512; `source` can be read at every channel and offset for 16 V floats, `weights` holds K
/// floats per channel and tap, and K rows of `pitch` can be written at `out` for 16 V floats.
#[target_feature(enable = "avx512f")]
unsafe fn micro<const K: usize, const V: usize>(
    source: Source<'_>,
    weights: &[f32],
    out: *mut f32,
    pitch: usize,
) -> usize {
    debug_assert!(weights.len() >= source.channels * source.offsets.len() * K);
    // SAFETY: as promised by the caller.
    unsafe {
        let mut sums = [[_mm512_setzero_ps(); V]; K];
        let mut weight = weights.as_ptr();
        for channel in 0..source.channels {
            let x = source.x.add(channel * source.channel);
            for offset in source.offsets {
                let x = x.add(*offset);
                let mut values = [_mm512_setzero_ps(); V];
                for (v, value) in values.iter_mut().enumerate() {
                    *value = _mm512_loadu_ps(x.add(16 * v));
                }
                for (k, sums) in sums.iter_mut().enumerate() {
                    let weight = _mm512_set1_ps(*weight.add(k));
                    for (sum, value) in sums.iter_mut().zip(&values) {
                        *sum = _mm512_fmadd_ps(weight, *value, *sum);
                    }
                }
                weight = weight.add(K);
            }
        }
        for (k, sums) in sums.iter().enumerate() {
            for (v, sum) in sums.iter().enumerate() {
                _mm512_storeu_ps(out.add(k * pitch + 16 * v), *sum);
            }
        }
    }
    16 * V
}
