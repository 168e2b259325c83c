//! out[q] = sum over pairs of inputs and taps of dot(weights, x[q + offset]): forward passes and input gradients.
//!
//! As [`super::super::correlate`], with two products a lane: 8 outputs x 48 voxels in 24 registers.

use std::arch::x86_64::{
    __m512bh, __mmask16, _mm512_dpbf16_ps, _mm512_loadu_si512, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps,
    _mm512_permutexvar_ps, _mm512_set1_epi32, _mm512_setr_epi32, _mm512_setzero_ps, _mm512_shuffle_f32x4,
};

use rayon::prelude::*;

use super::super::correlate::Target;
use super::super::packed::tile;
use super::emulated::bits;
use super::slab::{Form, Slab};

/// Weights in tiles of 8, 4, 2 or 1 outputs; in a tile, by pair of inputs, tap and output. A word holds the pair.
pub(super) struct Weights(Vec<u32>);

impl Weights {
    /// Packs and rounds `weight(output, input, tap)`.
    pub(super) fn new([outputs, inputs, taps]: [usize; 3], weight: impl Fn(usize, usize, usize) -> f32) -> Self {
        let mut values = Vec::with_capacity(outputs * inputs.div_ceil(2) * taps);
        let mut first = 0;
        while first < outputs {
            let count = tile(outputs - first);
            for input in (0..inputs).step_by(2) {
                for tap in 0..taps {
                    values.extend((first..first + count).map(|output| {
                        let high = if input + 1 < inputs { bits(weight(output, input + 1, tap)) } else { 0 };
                        u32::from(bits(weight(output, input, tap))) | u32::from(high) << 16
                    }));
                }
            }
            first += count;
        }
        Self(values)
    }
}

/// What is computed from every plane: all of a dense output, or one parity of it.
pub(super) struct Pass {
    pub(super) weights: Weights,
    /// Positions of the kernel.
    pub(super) taps: Vec<[usize; 3]>,
    pub(super) target: Target,
}

/// A pointer that threads may share because they write to different places.
#[derive(Clone, Copy)]
struct Shared(*mut f32);

#[expect(unsafe_code, reason = "each task of `correlate` writes its own planes of the output")]
// SAFETY: tasks differ in sample or planes, and positions of different planes never coincide.
unsafe impl Sync for Shared {}

impl Shared {
    fn at(&self, place: usize) -> *mut f32 {
        self.0.wrapping_add(place)
    }
}

/// Correlates all channels of `x`, `samples` volumes of `form`, into `outputs` channels per sample, which are covered by the
/// targets of the passes.
pub(super) fn correlate(x: &[f32], samples: usize, form: Form, passes: &[Pass], outputs: usize) -> Vec<f32> {
    let stride = form.stride();
    let voxels = passes.first().map_or(0, |pass| pass.target.channel);
    let length = samples * outputs * voxels;
    if length == 0 {
        return Vec::new();
    }
    // A volume of one voxel along an axis has no odd ones.
    let passes: Vec<&Pass> = passes.iter().filter(|pass| !pass.target.shape.contains(&0)).collect();
    assert!(passes.iter().all(|pass| pass.target.end(samples, outputs) <= length), "results do not fit the output");
    let depth = passes.iter().map(|pass| pass.target.shape[0]).max().unwrap_or(0);
    let seen = passes.iter().flat_map(|pass| &pass.taps).map(|tap| tap[0] + 1).max().unwrap_or(1);
    // Which thread makes which planes decides no bit, so the number of threads may decide how many a task makes.
    let share = (samples * depth).div_ceil(4 * rayon::current_num_threads()).clamp(1, depth);
    let planes = form.planes(seen, 2).min(share);
    let tasks = depth.div_ceil(planes);
    let sample = x.len() / samples;

    let mut values = Vec::<f32>::with_capacity(length);
    let out = Shared(values.as_mut_ptr());
    (0..samples * tasks).into_par_iter().for_each_init(Vec::new, |scratch, task| {
        let (n, first) = (task / tasks, task % tasks * planes);
        let planes = planes.min(depth - first);
        let slab = Slab::filled(form, &x[n * sample..][..sample], stride * first, stride * (planes - 1) + seen);
        for pass in &passes {
            let to = out.at(n * outputs * voxels);
            run(&slab, stride, pass, outputs, first..(first + planes).min(pass.target.shape[0]), to, scratch);
        }
    });
    #[expect(unsafe_code, reason = "writing zeros first would cost as much as a copy")]
    // SAFETY: the targets of the passes cover every voxel of every channel, and the tasks every plane of every pass.
    unsafe {
        values.set_len(length);
    }
    values
}

/// One pass over the planes `range` of a sample, which begin with the slab; `out` is the sample's.
fn run(
    slab: &Slab,
    stride: usize,
    pass: &Pass,
    outputs: usize,
    range: std::ops::Range<usize>,
    out: *mut f32,
    scratch: &mut Vec<f32>,
) {
    let Target { channel, base, step, shape: [_, height, width] } = pass.target;
    let form = slab.form;
    let length = (height - 1) * form.row + width;
    let offsets: Vec<usize> = pass.taps.iter().map(|tap| form.tap(*tap)).collect();
    let reach = offsets.iter().max().copied().unwrap_or(0) + length;
    let words = form.volumes() * offsets.len();
    assert_eq!(pass.weights.0.len(), outputs * words, "weights belong to another volume");
    // Row by row, results go where they belong; as one run, rims and all, fewer lanes are idle if rows are short.
    let rows = by_rows([height, width], form.row, step[1]);
    let whole: Vec<Piece> = (0..length).step_by(16).map(|q| Piece { from: q, to: q, mask: u16::MAX }).collect();
    let direct = step[2] == 1 && rows.len() <= whole.len();
    let pieces = if direct { rows } else { whole };
    let pitch = if direct { channel } else { length.next_multiple_of(16) };
    scratch.resize(if direct { 0 } else { 8 * pitch }, 0.0);
    for (z, plane) in range.enumerate() {
        // The last volume is the one that could be left.
        slab.at(form.volumes() - 1, z * stride, reach);
        let x = slab.at(0, z * stride, reach).cast();
        let source = Source { x, volume: slab.volume(), volumes: form.volumes(), offsets: &offsets };
        let mut first = 0;
        while first < outputs {
            let count = tile(outputs - first);
            let weights = &pass.weights.0[first * words..];
            let plane = out.wrapping_add(first * channel + base + plane * step[0]);
            let to = if direct { plane } else { scratch.as_mut_ptr() };
            #[expect(unsafe_code, reason = "vector loads and stores through pointers")]
            // SAFETY: AVX-512 with its bfloat16 part was detected; reads stay within the bounds asserted above, writes
            // within the target, whose end `correlate` asserted and which no other task writes, or within `scratch`, whose
            // 8 rows of `pitch` floats hold `length` rounded up to a vector.
            unsafe {
                match count {
                    8 => span::<8>(source, weights, &pieces, to, pitch),
                    4 => span::<4>(source, weights, &pieces, to, pitch),
                    2 => span::<2>(source, weights, &pieces, to, pitch),
                    _ => span::<1>(source, weights, &pieces, to, pitch),
                }
                if !direct {
                    for c in 0..count {
                        for y in 0..height {
                            let row = &scratch[c * pitch + y * form.row..][..width];
                            spread(row, plane.wrapping_add(c * channel + y * step[1]), step[2]);
                        }
                    }
                }
            }
            first += count;
        }
    }
}

/// Sixteen voxels of a plane.
#[derive(Clone, Copy)]
struct Piece {
    /// Place in the input.
    from: usize,
    /// Place in the output.
    to: usize,
    /// Which of them are written.
    mask: u16,
}

fn by_rows([height, width]: [usize; 2], row: usize, step: usize) -> Vec<Piece> {
    let piece = |y: usize, x: usize| Piece {
        from: y * row + x,
        to: y * step + x,
        mask: if width - x < 16 { (1 << (width - x)) - 1 } else { u16::MAX },
    };
    (0..height).flat_map(|y| (0..width).step_by(16).map(move |x| piece(y, x))).collect()
}

#[expect(unsafe_code, reason = "AVX-512 intrinsics on pointers")]
/// Writes a row to every `step`-th place, 1 or 2.
///
/// # Safety
/// The processor has AVX-512, and these places can be written; those between them are not touched.
#[target_feature(enable = "avx512f")]
unsafe fn spread(row: &[f32], to: *mut f32, step: usize) {
    // SAFETY: as promised by the caller; lanes outside of the masks are not touched.
    unsafe {
        let twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
        for x in (0..row.len()).step_by(16) {
            let count = (row.len() - x).min(16) as u32;
            let values = _mm512_maskz_loadu_ps(((1u32 << count) - 1) as __mmask16, row.as_ptr().add(x));
            if step == 1 {
                _mm512_mask_storeu_ps(to.add(x), ((1u32 << count) - 1) as __mmask16, values);
                continue;
            }
            let high = _mm512_shuffle_f32x4::<0b1110_1110>(values, values);
            let mask = ((1u64 << (2 * count)) - 1) as u32 & 0x5555_5555;
            _mm512_mask_storeu_ps(to.add(2 * x), mask as __mmask16, _mm512_permutexvar_ps(twice, values));
            let to = to.wrapping_add(2 * x + 16);
            _mm512_mask_storeu_ps(to, (mask >> 16) as __mmask16, _mm512_permutexvar_ps(twice, high));
        }
    }
}

/// A plane of all pairs of input channels and the taps.
#[derive(Clone, Copy)]
struct Source<'a> {
    x: *const u32,
    volume: usize,
    volumes: usize,
    offsets: &'a [usize],
}

#[expect(unsafe_code, reason = "calls the micro-kernel")]
/// All pieces of K outputs.
///
/// # Safety
/// As [`micro`].
unsafe fn span<const K: usize>(source: Source<'_>, weights: &[u32], pieces: &[Piece], out: *mut f32, pitch: usize) {
    let mut left = pieces;
    while !left.is_empty() {
        // Two and two are faster than three and one.
        let count = if left.len() == 4 { 2 } else { left.len().min(3) };
        let (now, later) = left.split_at(count);
        // SAFETY: the caller's promise.
        unsafe {
            match count {
                1 => micro::<K, 1>(source, weights, now, out, pitch),
                2 => micro::<K, 2>(source, weights, now, out, pitch),
                _ => micro::<K, 3>(source, weights, now, out, pitch),
            }
        }
        left = later;
    }
}

#[expect(unsafe_code, reason = "AVX-512 intrinsics on pointers")]
/// K outputs of V pieces.
///
/// # Safety
/// The processor has AVX-512 with its bfloat16 part; `pieces` holds V; `source` can be read at every volume, offset and
/// piece for 16 words, `weights` holds K words per volume and tap, and K rows of `pitch` can be written at `out` at every
/// piece where its mask is set.
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn micro<const K: usize, const V: usize>(
    source: Source<'_>,
    weights: &[u32],
    pieces: &[Piece],
    out: *mut f32,
    pitch: usize,
) {
    debug_assert!(weights.len() >= source.volumes * source.offsets.len() * K);
    // SAFETY: as promised by the caller; vectors of bfloat16 and of integers are the same 512 bits.
    unsafe {
        let pieces: [Piece; V] = std::array::from_fn(|v| *pieces.get_unchecked(v));
        let mut sums = [[_mm512_setzero_ps(); V]; K];
        let mut weight = weights.as_ptr();
        for volume in 0..source.volumes {
            let x: [*const u32; V] = pieces.map(|piece| source.x.add(volume * source.volume + piece.from));
            for offset in source.offsets {
                let values: [__m512bh; V] = x.map(|x| std::mem::transmute(_mm512_loadu_si512(x.add(*offset).cast())));
                for (k, sums) in sums.iter_mut().enumerate() {
                    let weight: __m512bh = std::mem::transmute(_mm512_set1_epi32(*weight.add(k) as i32));
                    for (sum, value) in sums.iter_mut().zip(&values) {
                        *sum = _mm512_dpbf16_ps(*sum, weight, *value);
                    }
                }
                weight = weight.add(K);
            }
        }
        for (k, sums) in sums.iter().enumerate() {
            for (piece, sum) in pieces.iter().zip(sums) {
                _mm512_mask_storeu_ps(out.add(k * pitch + piece.to), piece.mask, *sum);
            }
        }
    }
}
