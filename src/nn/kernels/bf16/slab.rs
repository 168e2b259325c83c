//! A few planes of all channels of a sample, rounded to bfloat16, with a rim of zeros: every tap is a constant offset.
//!
//! The counterpart of [`super::super::halo`] for values of 16 bits, a slab at a time. Two arrangements: pairs of channels
//! side by side in a word of 32 bits, for sums over channels, or each channel on its own, for sums over voxels.

use std::arch::x86_64::{
    __m512, __m512bh, __m512i, __mmask16, _mm256_mask_storeu_epi16, _mm512_castsi512_si256, _mm512_cvtne2ps_pbh,
    _mm512_extracti64x4_epi64, _mm512_loadu_si512, _mm512_mask_storeu_epi16, _mm512_mask_storeu_epi32,
    _mm512_maskz_loadu_ps, _mm512_permutex2var_epi32, _mm512_permutexvar_epi16, _mm512_setzero_ps,
};
use std::cell::RefCell;

/// Words of 32 bits behind the last voxel that a vector load may touch.
const SLACK: usize = 64;

/// Bytes of a slab, so that it stays in the second-level cache beside what is computed from it.
const BUDGET: usize = 384 << 10;

/// 64 bytes: the unit of alignment.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line(#[expect(dead_code, reason = "read and written through pointers")] [u32; 16]);

thread_local! {
    /// Memory of slabs that are done with: fresh memory costs a page fault every 4 KiB.
    static SPARE: RefCell<Vec<Vec<Line>>> = const { RefCell::new(Vec::new()) };
}

/// How channels lie in memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrangement {
    /// Channels 2 i and 2 i + 1 side by side, the last one of an odd number beside zeros; a voxel is 32 bits.
    Pairs,
    /// Each channel on its own; a voxel is 16 bits.
    Single,
}

/// Volumes, and the planes in which their values are laid out. Pitches in voxels.
#[derive(Clone, Copy)]
pub(super) struct Form {
    channels: usize,
    shape: [usize; 3],
    /// Zeros in front of each axis.
    before: [usize; 3],
    /// 1, or 2 along an axis: even and odd rows or columns lie apart, so that what a kernel of stride 2 reads lies together.
    step: [usize; 3],
    arrangement: Arrangement,
    /// From a row to the next.
    pub(super) row: usize,
    /// From a plane to the next.
    pub(super) plane: usize,
    /// From one parity to the next.
    sub: usize,
}

impl Form {
    /// Of `channels` volumes of `shape` with `before` zeros in front of each axis and `after` behind it.
    pub(super) fn new(
        channels: usize,
        shape: [usize; 3],
        [before, after]: [[usize; 3]; 2],
        step: [usize; 3],
        arrangement: Arrangement,
    ) -> Self {
        let long = |axis: usize| (shape[axis] + before[axis] + after[axis]).div_ceil(step[axis]);
        let (tall, wide) = (long(1), long(2));
        let sub = tall * wide;
        let plane = (sub * step[1] * step[2]).next_multiple_of(32);
        Self { channels, shape, before, step, arrangement, row: wide, plane, sub }
    }

    /// Of single channels without a rim, with the row pitch of another form; what lies between rows is zero.
    pub(super) fn pitched(channels: usize, shape: [usize; 3], row: usize) -> Self {
        let plane = (shape[1].saturating_sub(1) * row + shape[2]).next_multiple_of(32);
        Self { channels, shape, before: [0; 3], step: [1; 3], arrangement: Arrangement::Single, row, plane, sub: plane }
    }

    /// Shape of the volumes.
    pub(super) fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// From a plane that an output sees to that which the next one sees.
    pub(super) fn stride(&self) -> usize {
        self.step[0]
    }

    /// Number of volumes in memory: pairs or channels.
    pub(super) fn volumes(&self) -> usize {
        match self.arrangement {
            Arrangement::Pairs => self.channels.div_ceil(2),
            Arrangement::Single => self.channels,
        }
    }

    /// Offset of a position of the kernel.
    pub(super) fn tap(&self, [z, y, x]: [usize; 3]) -> usize {
        let [_, down, across] = self.step;
        let parity = (y % down) * across + x % across;
        z * self.plane + parity * self.sub + (y / down) * self.row + x / across
    }

    /// Offset of a row of the volume in its plane.
    fn start(&self, y: usize) -> usize {
        let (tall, [_, down, across]) = (y + self.before[1], self.step);
        (tall % down) * across * self.sub + (tall / down) * self.row
    }

    /// Planes of output for which a slab that sees `seen` planes for each of them stays in the cache; at least `least`.
    pub(super) fn planes(&self, seen: usize, least: usize) -> usize {
        let bytes = if self.arrangement == Arrangement::Pairs { 4 } else { 2 };
        let fitting = BUDGET / (self.volumes() * self.plane * bytes);
        (fitting.saturating_sub(seen) / self.step[0] + 1).max(least)
    }
}

/// Planes in memory.
pub(super) struct Slab {
    pub(super) form: Form,
    lines: Vec<Line>,
    planes: usize,
}

impl Slab {
    /// `planes` planes with their rim of one sample, from plane `first` of the rimmed volume on.
    pub(super) fn filled(form: Form, sample: &[f32], first: usize, planes: usize) -> Self {
        let voxel = if form.arrangement == Arrangement::Pairs { 4 } else { 2 };
        let bytes = form.volumes() * planes * form.plane * voxel + 4 * SLACK;
        let mut lines = SPARE.with_borrow_mut(Vec::pop).unwrap_or_default();
        lines.clear();
        lines.resize(bytes.div_ceil(64), Line([0; 16]));
        let mut slab = Self { form, lines, planes };
        assert_eq!(sample.len(), form.channels * form.shape.iter().product::<usize>(), "a sample of another shape");
        #[expect(unsafe_code, reason = "compiled for AVX-512")]
        // SAFETY: AVX-512 with its bfloat16 part was detected.
        unsafe {
            slab.fill(sample, first);
        }
        slab
    }

    #[expect(unsafe_code, reason = "vector stores through pointers")]
    /// # Safety
    /// The processor has AVX-512 with its byte and bfloat16 parts.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
    unsafe fn fill(&mut self, sample: &[f32], first: usize) {
        let form = self.form;
        let [depth, height, width] = form.shape;
        let before = form.before[0];
        let inside = first.max(before)..(first + self.planes).min(before + depth);
        for volume in 0..form.volumes() {
            for z in inside.clone() {
                let plane = |channel: usize| {
                    let start = (channel * depth + z - before) * height * width;
                    sample[start..start + height * width].as_ptr()
                };
                let pair = (2 * volume + 1 < form.channels).then_some(2 * volume + 1);
                let to = (volume * self.planes + z - first) * form.plane;
                for y in 0..height {
                    let (from, to) = (y * width, to + form.start(y));
                    // SAFETY: rows lie within their planes, and those within the sample or the slab.
                    unsafe {
                        let lines = self.lines.as_mut_ptr();
                        match form.arrangement {
                            Arrangement::Pairs => {
                                let second = pair.map(|channel| plane(channel).add(from));
                                write_pairs(&form, plane(2 * volume).add(from), second, lines.cast::<u32>().add(to));
                            }
                            Arrangement::Single => {
                                write_single(&form, plane(volume).add(from), lines.cast::<u16>().add(to));
                            }
                        }
                    }
                }
            }
        }
    }

    /// The first voxel of a volume; `voxels` after it, a vector more included, can be read.
    pub(super) fn at(&self, volume: usize, plane: usize, voxels: usize) -> *const u16 {
        let bytes = if self.form.arrangement == Arrangement::Pairs { 4 } else { 2 };
        let start = (volume * self.planes + plane) * self.form.plane;
        assert!((start + voxels) * bytes + 64 <= self.lines.len() * 64, "taps reach out of the slab");
        self.lines.as_ptr().cast::<u16>().wrapping_add(start * bytes / 2)
    }

    /// From a volume to the next, in voxels.
    pub(super) fn volume(&self) -> usize {
        self.planes * self.form.plane
    }
}

impl Drop for Slab {
    fn drop(&mut self) {
        SPARE.with_borrow_mut(|spare| spare.push(std::mem::take(&mut self.lines)));
    }
}

/// Where sixteen voxels from `x` on go, for either parity of `x`: first place, and how many there are.
#[inline(always)]
fn parts(form: &Form, x: usize, count: usize) -> [(usize, u32); 2] {
    [0, 1].map(|odd| {
        let wide = x + odd + form.before[2];
        let lanes = (count.saturating_sub(odd)).div_ceil(2);
        ((wide & 1) * form.sub + wide / 2, (1u32 << lanes) - 1)
    })
}

#[expect(unsafe_code, reason = "AVX-512 intrinsics on pointers")]
/// # Safety
/// The processor has AVX-512; `row`, if there is one, can be read for `count` floats, at most sixteen, from `x` on.
#[target_feature(enable = "avx512f")]
unsafe fn sixteen(row: Option<*const f32>, x: usize, count: usize) -> __m512 {
    let count = count.min(16) as u32;
    let mask = ((1u32 << count) - 1) as __mmask16;
    match row {
        // SAFETY: lanes outside of the mask are not touched.
        Some(row) => unsafe { _mm512_maskz_loadu_ps(mask, row.wrapping_add(x)) },
        None => _mm512_setzero_ps(),
    }
}

#[expect(unsafe_code, reason = "a vector of bfloat16 has no cast to integers")]
#[target_feature(enable = "avx512f,avx512bf16")]
fn rounded(low: __m512, high: __m512) -> __m512i {
    // SAFETY: both types are 512 bits without further meaning.
    unsafe { std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low)) }
}

/// Lane numbers for permutations.
#[repr(align(64))]
struct Lanes<T, const N: usize>([T; N]);

/// 0 16 1 17 ...: low and high halves side by side.
static INTERLEAVED: Lanes<u16, 32> = {
    let mut lanes = [0; 32];
    let mut i = 0;
    while i < 32 {
        lanes[i] = (i / 2 + 16 * (i % 2)) as u16;
        i += 1;
    }
    Lanes(lanes)
};

/// Even lanes, then odd ones.
static PARTED: Lanes<u16, 32> = {
    let mut lanes = [0; 32];
    let mut i = 0;
    while i < 32 {
        lanes[i] = (i % 16 * 2 + i / 16) as u16;
        i += 1;
    }
    Lanes(lanes)
};

/// Even words of two vectors, then odd ones.
static PARTED_WORDS: [Lanes<u32, 16>; 2] = {
    let mut lanes = [[0; 16]; 2];
    let mut i = 0;
    while i < 16 {
        lanes[0][i] = 2 * i as u32;
        lanes[1][i] = 2 * i as u32 + 1;
        i += 1;
    }
    let [even, odd] = lanes;
    [Lanes(even), Lanes(odd)]
};

#[expect(unsafe_code, reason = "AVX-512 intrinsics on pointers")]
/// # Safety
/// The processor has AVX-512 with its byte and bfloat16 parts; `first` and `second` are rows of `form`, and `to` is where
/// such a row begins.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn write_pairs(form: &Form, first: *const f32, second: Option<*const f32>, to: *mut u32) {
    // SAFETY: as promised by the caller; lanes outside of the masks are not touched.
    unsafe {
        let interleaved = _mm512_loadu_si512((&raw const INTERLEAVED).cast());
        let pairs = |x: usize, count: usize| {
            let both = rounded(sixteen(Some(first), x, count), sixteen(second, x, count));
            _mm512_permutexvar_epi16(interleaved, both)
        };
        let width = form.shape[2];
        if form.step[2] == 1 {
            for x in (0..width).step_by(16) {
                let count = (width - x).min(16) as u32;
                let mask = ((1u32 << count) - 1) as __mmask16;
                _mm512_mask_storeu_epi32(to.add(form.before[2] + x).cast(), mask, pairs(x, width - x));
            }
            return;
        }
        for x in (0..width).step_by(32) {
            let count = (width - x).min(32);
            let (low, high) = (pairs(x, count), pairs(x + 16, count.saturating_sub(16)));
            for ((place, mask), lanes) in parts(form, x, count).into_iter().zip(&PARTED_WORDS) {
                let lanes = _mm512_loadu_si512((&raw const *lanes).cast());
                let words = _mm512_permutex2var_epi32(low, lanes, high);
                _mm512_mask_storeu_epi32(to.add(place).cast(), mask as __mmask16, words);
            }
        }
    }
}

#[expect(unsafe_code, reason = "AVX-512 intrinsics on pointers")]
/// # Safety
/// As [`write_pairs`], and the processor has the 256-bit forms.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
unsafe fn write_single(form: &Form, row: *const f32, to: *mut u16) {
    // SAFETY: as promised by the caller; lanes outside of the masks are not touched.
    unsafe {
        let parted = _mm512_loadu_si512((&raw const PARTED).cast());
        let width = form.shape[2];
        for x in (0..width).step_by(32) {
            let count = (width - x).min(32);
            let halves = rounded(sixteen(Some(row), x, count), sixteen(Some(row), x + 16, count.saturating_sub(16)));
            if form.step[2] == 1 {
                let mask = ((1u64 << count) - 1) as u32;
                _mm512_mask_storeu_epi16(to.add(form.before[2] + x).cast(), mask, halves);
                continue;
            }
            let halves = _mm512_permutexvar_epi16(parted, halves);
            let [even, odd] = parts(form, x, count);
            _mm256_mask_storeu_epi16(to.add(even.0).cast(), even.1 as __mmask16, _mm512_castsi512_si256(halves));
            _mm256_mask_storeu_epi16(to.add(odd.0).cast(), odd.1 as __mmask16, _mm512_extracti64x4_epi64::<1>(halves));
        }
    }
}
