//! dw[output][input][tap] = sum over voxels of dy[output][q] * x[input][q + offset of the tap], two voxels at a time.
//!
//! As [`super::super::weight_gradient`]: dy has the row pitch of x and zeros between its rows, so a plane is one long dot
//! product. Volumes are cut into a fixed number of parts whose sums are added in order: the result does not depend on the
//! number of threads.

use std::arch::x86_64::{
    __m512, __m512bh, __m512i, _mm256_add_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm512_add_ps, _mm512_castpd_ps,
    _mm512_castps_pd, _mm512_castps512_ps256, _mm512_dpbf16_ps, _mm512_load_ps, _mm512_load_si512, _mm512_loadu_si512,
    _mm512_setzero_ps, _mm512_shuffle_f32x4, _mm512_store_ps, _mm512_unpackhi_pd, _mm512_unpackhi_ps,
    _mm512_unpacklo_pd, _mm512_unpacklo_ps,
};

use rayon::prelude::*;

use super::slab::{Form, Slab};

/// Outputs of a tile; what is missing in the last one is computed on a neighbour and dropped.
const OUTPUTS: usize = 8;
/// Taps of the largest tile.
const TAPS: usize = 3;
/// Voxels of a run, so that its part of x and dy stays in the first-level cache.
const CHUNK: usize = 1344;
/// Partial sums; more than any number of threads gains from.
const PARTS: usize = 8;

/// Volumes of a number of samples and their form in memory.
pub(super) struct Volumes<'a> {
    pub(super) values: &'a [f32],
    pub(super) form: Form,
}

/// Gradient of the weights, `[outputs][inputs * taps]`. The form of `dy` is [`Form::pitched`] with the row of `x`.
pub(super) fn weight_gradient(x: &Volumes<'_>, dy: &Volumes<'_>, taps: &[[usize; 3]], samples: usize) -> Vec<f32> {
    let (inputs, outputs) = (x.form.volumes(), dy.form.volumes());
    let columns = inputs * taps.len();
    let [depth, height, width] = dy.form.shape();
    if x.values.is_empty() || dy.values.is_empty() {
        return vec![0.0; outputs * columns];
    }
    assert_eq!(x.form.row, dy.form.row, "volumes walk out of step");
    let length = (height - 1) * x.form.row + width;
    let seen = taps.iter().map(|tap| tap[0] + 1).max().unwrap_or(1);
    let stride = x.form.stride();
    // Several small planes make one run, parts of a large plane make several.
    let together = (CHUNK / length).clamp(1, depth);
    let share = (samples * depth).div_ceil(PARTS).max(together);
    let planes = x.form.planes(seen, together.max(2)).min(share).next_multiple_of(together);
    let slabs: Vec<(usize, usize)> =
        (0..samples).flat_map(|n| (0..depth).step_by(planes).map(move |first| (n, first))).collect();

    let partial = slabs.par_chunks(slabs.len().div_ceil(PARTS)).map(|slabs| {
        let mut sums = Sums::new(outputs, columns);
        for (n, first) in slabs {
            let planes = planes.min(depth - first);
            let sample = |volumes: &Volumes<'_>, first, planes| {
                let length = volumes.values.len() / samples;
                Slab::filled(volumes.form, &volumes.values[n * length..][..length], first, planes)
            };
            let x = sample(x, stride * first, stride * (planes - 1) + seen);
            let dy = sample(dy, *first, planes);
            for z in (0..planes).step_by(together) {
                let run = Run { z, planes: together.min(planes - z), stride, length };
                sums.add(&x, &dy, taps, run);
            }
        }
        sums.0
    });
    let partial: Vec<Vec<f32>> = partial.collect();
    let mut total = vec![0f32; outputs.next_multiple_of(OUTPUTS) * columns];
    for sums in partial {
        total.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
    }
    // From tiles of outputs to rows.
    let place = |i: usize| (i / columns / OUTPUTS * columns + i % columns) * OUTPUTS + i / columns % OUTPUTS;
    (0..outputs * columns).map(|i| total[place(i)]).collect()
}

/// Planes of a slab that are walked together.
#[derive(Clone, Copy)]
struct Run {
    z: usize,
    planes: usize,
    stride: usize,
    length: usize,
}

/// Sums by tile of outputs, input and tap, and output.
struct Sums(Vec<f32>);

impl Sums {
    fn new(outputs: usize, columns: usize) -> Self {
        Self(vec![0.0; outputs.next_multiple_of(OUTPUTS) * columns])
    }

    fn add(&mut self, x: &Slab, dy: &Slab, taps: &[[usize; 3]], run: Run) {
        let (inputs, outputs) = (x.form.volumes(), dy.form.volumes());
        let columns = inputs * taps.len();
        let offsets: Vec<usize> = taps.iter().map(|tap| x.form.tap(*tap)).collect();
        let (last, reach) = (run.planes - 1, offsets.iter().max().copied().unwrap_or(0) + run.length);
        // The last channel and plane are those that could be left.
        x.at(inputs - 1, (run.z + last) * run.stride, reach);
        dy.at(outputs - 1, run.z + last, run.length);
        let sources: Vec<*const u16> = (0..inputs)
            .flat_map(|input| {
                let first = x.at(input, run.z * run.stride, reach);
                offsets.iter().map(move |offset| first.wrapping_add(*offset))
            })
            .collect();
        let step = run.length.div_ceil(run.length.div_ceil(CHUNK)).next_multiple_of(32);
        for start in (0..run.length).step_by(step) {
            let walk = Walk {
                planes: run.planes,
                plane_x: run.stride * x.form.plane,
                plane_dy: dy.form.plane,
                start,
                end: run.length.min(start + step),
            };
            for (tile, sums) in self.0.chunks_exact_mut(columns * OUTPUTS).enumerate() {
                let rows: [*const u16; OUTPUTS] =
                    std::array::from_fn(|k| dy.at((tile * OUTPUTS + k).min(outputs - 1), run.z, run.length));
                let few = outputs - tile * OUTPUTS;
                for (sources, sums) in sources.chunks(TAPS).zip(sums.chunks_mut(TAPS * OUTPUTS)) {
                    #[expect(unsafe_code, reason = "vector loads through pointers")]
                    // SAFETY: AVX-512 with its bfloat16 part was detected; the bounds asserted above cover every run; runs
                    // of dy begin at multiples of 32 voxels from planes that are aligned.
                    unsafe {
                        match (few, sources.len()) {
                            (5.., TAPS) => dots::<8, TAPS>(&rows, sources, walk, sums),
                            (5.., _) => each::<8>(&rows, sources, walk, sums),
                            (3.., TAPS) => dots::<4, TAPS>(&rows, sources, walk, sums),
                            (3.., _) => each::<4>(&rows, sources, walk, sums),
                            (_, TAPS) => dots::<2, TAPS>(&rows, sources, walk, sums),
                            _ => each::<2>(&rows, sources, walk, sums),
                        }
                    }
                }
            }
        }
    }
}

/// How to step through a run.
#[derive(Clone, Copy)]
struct Walk {
    planes: usize,
    plane_x: usize,
    plane_dy: usize,
    start: usize,
    end: usize,
}

#[expect(unsafe_code, reason = "calls the micro-kernel")]
/// Taps one by one: what is left of the threes.
///
/// # Safety
/// As [`dots`].
unsafe fn each<const K: usize>(dy: &[*const u16; OUTPUTS], taps: &[*const u16], walk: Walk, sums: &mut [f32]) {
    for (tap, sums) in taps.chunks_exact(1).zip(sums.chunks_exact_mut(OUTPUTS)) {
        // SAFETY: the caller's promise.
        unsafe { dots::<K, 1>(dy, tap, walk, sums) };
    }
}

/// Sixteen sums of a lane each.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Lane([f32; 16]);

#[expect(unsafe_code, reason = "AVX-512 intrinsics on pointers")]
/// Adds the dot products of K outputs with J taps over a run to `sums[tap][output]`.
///
/// # Safety
/// The processor has AVX-512 with its bfloat16 part; `taps` holds J pointers and `sums` J times eight floats; dy and taps
/// can be read over the run, its length rounded up to 32; dy is aligned to 64 bytes and zero beyond the length.
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn dots<const K: usize, const J: usize>(
    dy: &[*const u16; OUTPUTS],
    taps: &[*const u16],
    walk: Walk,
    sums: &mut [f32],
) {
    // SAFETY: as promised by the caller; vectors of bfloat16 and of integers are the same 512 bits.
    unsafe {
        let mut lanes = [[_mm512_setzero_ps(); K]; J];
        for z in 0..walk.planes {
            let xs: [*const u16; J] = std::array::from_fn(|j| taps.get_unchecked(j).add(z * walk.plane_x));
            let dys: [*const u16; K] = std::array::from_fn(|k| dy[k].add(z * walk.plane_dy));
            let mut q = walk.start;
            while q < walk.end {
                let x: [__m512i; J] = std::array::from_fn(|j| _mm512_loadu_si512(xs[j].add(q).cast()));
                for k in 0..K {
                    let dy: __m512bh = std::mem::transmute(_mm512_load_si512(dys[k].add(q).cast()));
                    for j in 0..J {
                        let x: __m512bh = std::mem::transmute(x[j]);
                        lanes[j][k] = _mm512_dpbf16_ps(lanes[j][k], dy, x);
                    }
                }
                q += 32;
            }
        }
        // Stored in bulk and added elsewhere: adding here makes the compiler keep half of the sums on the stack during
        // the loop.
        let mut spilled = [Lane([0.0; 16]); OUTPUTS * TAPS];
        for j in 0..J {
            for k in 0..K {
                _mm512_store_ps(spilled[j * OUTPUTS + k].0.as_mut_ptr(), lanes[j][k]);
            }
        }
        for j in 0..J {
            total(&spilled[j * OUTPUTS..][..OUTPUTS], &mut sums[j * OUTPUTS..][..OUTPUTS]);
        }
    }
}

#[expect(unsafe_code, reason = "AVX-512 intrinsics")]
/// Adds the sum of each of eight lanes: three rounds that add neighbours of two vectors into one.
///
/// # Safety
/// The processor has AVX-512; there are eight lanes and eight sums.
#[target_feature(enable = "avx512f")]
#[inline(never)]
unsafe fn total(lanes: &[Lane], sums: &mut [f32]) {
    let lane = |k: usize| -> __m512 {
        // SAFETY: lanes are aligned to 64 bytes and hold sixteen floats.
        unsafe { _mm512_load_ps(lanes[k].0.as_ptr()) }
    };
    let twos: [__m512; 4] = std::array::from_fn(|i| {
        let (a, b) = (lane(2 * i), lane(2 * i + 1));
        _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b))
    });
    let fours: [__m512; 2] = std::array::from_fn(|i| {
        let (a, b) = (_mm512_castps_pd(twos[2 * i]), _mm512_castps_pd(twos[2 * i + 1]));
        _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)), _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)))
    });
    // Four parts of each four sums; now two of each eight, then one.
    let [a, b] = fours;
    let eights = _mm512_add_ps(_mm512_shuffle_f32x4::<0b1000_1000>(a, b), _mm512_shuffle_f32x4::<0b1101_1101>(a, b));
    let all = _mm512_add_ps(
        _mm512_shuffle_f32x4::<0b1000_1000>(eights, eights),
        _mm512_shuffle_f32x4::<0b1101_1101>(eights, eights),
    );
    assert!(sums.len() == OUTPUTS, "eight sums");
    // SAFETY: there are eight sums.
    unsafe {
        let sums = sums.as_mut_ptr();
        _mm256_storeu_ps(sums, _mm256_add_ps(_mm256_loadu_ps(sums), _mm512_castps512_ps256(all)));
    }
}
