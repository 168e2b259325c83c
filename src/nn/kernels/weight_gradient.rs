//! dw[output][input][tap] = sum over voxels of dy[output][q] * x[input][q + offset of the tap].
//!
//! Walks x and dy in step: dy has the row pitch of x and zeros between its rows, so a plane is one long dot product. Work
//! is cut into chunks of a fixed size whose sums are added in order: the result does not depend on the number of threads.

use std::arch::x86_64::{
    __m512, _mm512_fmadd_ps, _mm512_load_ps, _mm512_loadu_ps, _mm512_reduce_add_ps, _mm512_setzero_ps, _mm512_store_ps,
};

use rayon::prelude::*;

use super::avx2;
use super::halo::{Halo, Lane};
use super::instructions::Instructions;
use super::packed::tile;

/// Outputs of the largest tile.
pub(super) const OUTPUTS: usize = 8;
/// Taps of the largest tile.
pub(super) const TAPS: usize = 3;
/// Voxels of a chunk, so that its part of x and dy stays in the first-level cache.
const CHUNK: usize = 832;
/// Partial sums; more than any number of threads gains from.
const PARTS: usize = 8;

/// A run of voxels: planes from `z`, in each of them `length` floats from `start`.
#[derive(Clone, Copy)]
struct Run {
    sample: usize,
    z: usize,
    planes: usize,
    start: usize,
    length: usize,
}

/// Gradient of the weights, `[outputs][inputs * taps]`. `dy` was made by [`super::halo::pitched`] with the row pitch of
/// `x`; `shape` is that of its volumes.
pub(super) fn weight_gradient(
    set: Instructions,
    x: &Halo,
    dy: &Halo,
    offsets: &[usize],
    shape: [usize; 3],
) -> Vec<f32> {
    let taps = offsets.len();
    let columns = x.channels * taps;
    if x.samples == 0 {
        return vec![0.0; dy.channels * columns];
    }
    let runs = runs(x.samples, shape, x.row);
    let length = (shape[1] - 1) * x.row + shape[2];
    let reach = |halo: &Halo, offset: usize| {
        let last = (shape[0] - 1) * halo.plane + length.next_multiple_of(16) + offset;
        (halo.samples * halo.channels - 1) * halo.channel + last <= halo.buffer.len()
    };
    assert!(
        x.row == dy.row && dy.plane.is_multiple_of(16) && dy.channel.is_multiple_of(16),
        "volumes walk out of step"
    );
    assert!(reach(x, offsets.iter().max().copied().unwrap_or(0)) && reach(dy, 0), "taps reach out of the volume");

    let share = runs.len().div_ceil(PARTS);
    let partial = runs.par_chunks(share).map(|runs| {
        let mut sums = vec![0f32; dy.channels * columns];
        for run in runs {
            add_run(set, x, dy, offsets, *run, &mut sums);
        }
        sums
    });
    let partial: Vec<Vec<f32>> = partial.collect();
    let mut total = vec![0f32; dy.channels * columns];
    for sums in partial {
        total.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
    }
    total
}

/// Cuts the volumes into runs of about [`CHUNK`] voxels: parts of large planes, or several small ones.
fn runs(samples: usize, [depth, height, width]: [usize; 3], row: usize) -> Vec<Run> {
    let length = (height - 1) * row + width;
    let mut runs = Vec::new();
    for sample in 0..samples {
        if length > CHUNK {
            let step = length.div_ceil(length.div_ceil(CHUNK)).next_multiple_of(16);
            for z in 0..depth {
                let parts = (0..length).step_by(step);
                runs.extend(parts.map(|start| Run { sample, z, planes: 1, start, length: step.min(length - start) }));
            }
        } else {
            let step = (CHUNK / length).clamp(1, depth);
            let parts = (0..depth).step_by(step);
            runs.extend(parts.map(|z| Run { sample, z, planes: step.min(depth - z), start: 0, length }));
        }
    }
    runs
}

fn add_run(set: Instructions, x: &Halo, dy: &Halo, offsets: &[usize], run: Run, sums: &mut [f32]) {
    let taps = offsets.len();
    let columns = x.channels * taps;
    let start = |halo: &Halo| {
        halo.buffer.as_ptr().wrapping_add(run.sample * halo.channels * halo.channel + run.z * halo.plane + run.start)
    };
    let (from_x, from_dy) = (start(x), start(dy));
    let taps: Vec<*const f32> = (0..x.channels)
        .flat_map(|channel| offsets.iter().map(move |offset| from_x.wrapping_add(channel * x.channel + offset)))
        .collect();
    let walk =
        Walk { channel: dy.channel, plane_dy: dy.plane, plane_x: x.plane, planes: run.planes, length: run.length };
    let mut output = 0;
    while output < dy.channels {
        let rows = tile(dy.channels - output);
        let dy = from_dy.wrapping_add(output * dy.channel);
        let mut column = 0;
        while column < columns {
            let width = if columns - column >= TAPS { TAPS } else { 1 };
            let taps = &taps[column..column + width];
            #[expect(unsafe_code, reason = "vector loads through pointers")]
            // SAFETY: the set was detected; the bounds asserted by `weight_gradient` cover every run, and runs of dy
            // begin at multiples of 16 floats from an aligned buffer.
            let tile = unsafe {
                match (rows, width) {
                    _ if set == Instructions::Avx2 => avx2::dots(dy, taps, rows, walk),
                    (8, TAPS) => dots::<8, TAPS>(dy, taps, walk),
                    (8, _) => dots::<8, 1>(dy, taps, walk),
                    (4, TAPS) => dots::<4, TAPS>(dy, taps, walk),
                    (4, _) => dots::<4, 1>(dy, taps, walk),
                    (2, TAPS) => dots::<2, TAPS>(dy, taps, walk),
                    (2, _) => dots::<2, 1>(dy, taps, walk),
                    (_, TAPS) => dots::<1, TAPS>(dy, taps, walk),
                    _ => dots::<1, 1>(dy, taps, walk),
                }
            };
            for (k, row) in tile.iter().take(rows).enumerate() {
                for (j, dot) in row.iter().take(width).enumerate() {
                    sums[(output + k) * columns + column + j] += dot;
                }
            }
            column += width;
        }
        output += rows;
    }
}

/// How to step through a run.
#[derive(Clone, Copy)]
pub(super) struct Walk {
    pub(super) channel: usize,
    pub(super) plane_dy: usize,
    pub(super) plane_x: usize,
    pub(super) planes: usize,
    pub(super) length: usize,
}

#[expect(unsafe_code, reason = "AVX-512 intrinsics on pointers")]
/// Dot products of K outputs with J taps over a run.
///
/// # Safety
/// The processor has AVX-512; `taps` holds J pointers; dy and taps can be read over the run, its length rounded up to 16;
/// dy is aligned to 64 bytes and zero beyond the length.
#[target_feature(enable = "avx512f")]
unsafe fn dots<const K: usize, const J: usize>(
    dy: *const f32,
    taps: &[*const f32],
    walk: Walk,
) -> [[f32; TAPS]; OUTPUTS] {
    // SAFETY: as promised by the caller.
    unsafe {
        let mut sums = [[_mm512_setzero_ps(); J]; K];
        let taps: [*const f32; J] = std::array::from_fn(|j| *taps.get_unchecked(j));
        for z in 0..walk.planes {
            let xs: [*const f32; J] = std::array::from_fn(|j| taps[j].add(z * walk.plane_x));
            let dys: [*const f32; K] = std::array::from_fn(|k| dy.add(k * walk.channel + z * walk.plane_dy));
            let mut q = 0;
            while q < walk.length {
                let x: [__m512; J] = std::array::from_fn(|j| _mm512_loadu_ps(xs[j].add(q)));
                for k in 0..K {
                    let dy = _mm512_load_ps(dys[k].add(q));
                    for j in 0..J {
                        sums[k][j] = _mm512_fmadd_ps(dy, x[j], sums[k][j]);
                    }
                }
                q += 16;
            }
        }
        // Stored in bulk and added elsewhere: adding here makes the compiler keep half of the sums on the stack during
        // the loop (63 instead of 79 GFLOP/s).
        let mut spilled = [Lane([0.0; 16]); OUTPUTS * TAPS];
        for k in 0..K {
            for j in 0..J {
                _mm512_store_ps(spilled[k * J + j].0.as_mut_ptr(), sums[k][j]);
            }
        }
        totals(&spilled, K, J)
    }
}

#[expect(unsafe_code, reason = "AVX-512 intrinsics")]
/// # Safety
/// The processor has AVX-512.
#[target_feature(enable = "avx512f")]
#[inline(never)]
unsafe fn totals(spilled: &[Lane; OUTPUTS * TAPS], rows: usize, columns: usize) -> [[f32; TAPS]; OUTPUTS] {
    let mut totals = [[0.0; TAPS]; OUTPUTS];
    for k in 0..rows {
        for j in 0..columns {
            // SAFETY: lanes are aligned to 64 bytes and hold sixteen floats.
            totals[k][j] = unsafe { _mm512_reduce_add_ps(_mm512_load_ps(spilled[k * columns + j].0.as_ptr())) };
        }
    }
    totals
}
