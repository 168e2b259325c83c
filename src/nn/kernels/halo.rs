//! Copies of a tensor in which every tap of a kernel is a constant offset.
//!
//! A plane is stored with a rim of zeros, so a tap that reaches over the edge reads zeros; a row and its successor are
//! one run of memory, so a plane of outputs is one long correlation (the few values computed over the rim are dropped).

use rayon::prelude::*;

use super::geometry::{Axes, positions};

/// Floats behind the last voxel that a vector load may touch.
const SLACK: usize = 128;

/// 64 bytes of floats: the unit of alignment.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(super) struct Lane(pub(super) [f32; 16]);

/// Zeroed floats, aligned to 64 bytes, with [`SLACK`] behind them.
pub(super) struct Buffer(Box<[Lane]>);

impl Buffer {
    fn zeroed(length: usize) -> Self {
        let lanes = Box::<[Lane]>::new_zeroed_slice((length + SLACK).div_ceil(16));
        #[expect(unsafe_code, reason = "`vec![zero; n]` writes every page; fresh pages of the system are zero already")]
        // SAFETY: zero bits are a lane of zeros.
        Self(unsafe { lanes.assume_init() })
    }

    pub(super) fn as_ptr(&self) -> *const f32 {
        self.0.as_ptr().cast()
    }

    /// Number of floats that may be read.
    pub(super) fn len(&self) -> usize {
        self.0.len() * 16
    }

    fn floats(&mut self) -> &mut [f32] {
        #[expect(unsafe_code, reason = "a lane is sixteen floats without padding")]
        // SAFETY: the lanes are contiguous, initialised and borrowed mutably for as long as the slice.
        unsafe {
            std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.0.len() * 16)
        }
    }
}

/// A haloed copy of `[samples, channels, d, h, w]`. All pitches in floats.
pub(super) struct Halo {
    pub(super) buffer: Buffer,
    pub(super) samples: usize,
    pub(super) channels: usize,
    /// From a channel to the next.
    pub(super) channel: usize,
    /// From a plane to the next.
    pub(super) plane: usize,
    /// From a row to the next.
    pub(super) row: usize,
    /// From a parity sub-volume to the next; the channel pitch if there is only one.
    pub(super) sub: usize,
}

/// Number of voxels.
pub(super) fn voxels(shape: [usize; 3]) -> usize {
    shape.iter().product()
}

/// With `before` zeros in front of each axis and `after` behind it.
pub(super) fn padded(x: &[f32], [samples, channels]: [usize; 2], shape: Axes, before: Axes, after: Axes) -> Halo {
    let [_, height, width] = shape;
    let [deep, tall, wide] = std::array::from_fn(|axis| shape[axis] + before[axis] + after[axis]);
    let channel = deep * tall * wide;
    let buffer = filled(x, samples * channels, channel, shape, |from, to| {
        for (i, row) in from.chunks_exact(width).enumerate() {
            let (z, y) = (i / height, i % height);
            let start = ((z + before[0]) * tall + y + before[1]) * wide + before[2];
            to[start..start + width].copy_from_slice(row);
        }
    });
    Halo { buffer, samples, channels, channel, plane: tall * wide, row: wide, sub: channel }
}

/// With `before` zeros in front of each axis, then split along the axes whose `step` is 2 into the sub-volumes of even and
/// odd haloed positions: what a kernel of this stride reads at one offset lies in one of them.
pub(super) fn split(x: &[f32], [samples, channels]: [usize; 2], shape: Axes, before: Axes, step: Axes) -> Halo {
    let [_, height, width] = shape;
    let [deep, tall, wide] =
        std::array::from_fn(|axis| (shape[axis] + before[axis]).div_ceil(step[axis]) + before[axis]);
    let sub = deep * tall * wide;
    let pitch = voxels(step) * sub;
    let buffer = filled(x, samples * channels, pitch, shape, |from, to| {
        for (i, row) in from.chunks_exact(width).enumerate() {
            let (z, y) = (i / height + before[0], i % height + before[1]);
            let parity = (z % step[0] * step[1] + y % step[1]) * step[2];
            let start = ((z / step[0]) * tall + y / step[1]) * wide;
            for odd in 0..step[2] {
                // `first + before` has the parity of this sub-volume: half of it is the place of the first voxel.
                let first = (odd + before[2]) % step[2];
                let start = (parity + odd) * sub + start + (first + before[2]) / step[2];
                for (k, value) in row.iter().skip(first).step_by(step[2]).enumerate() {
                    to[start + k] = *value;
                }
            }
        }
    });
    Halo { buffer, samples, channels, channel: pitch, plane: tall * wide, row: wide, sub }
}

/// Without a halo, but with the row pitch of another volume, so that both can be walked in step; what lies between rows is
/// zero. Planes begin at multiples of 64 bytes and end in at least 16 zeros.
pub(super) fn pitched(x: &[f32], [samples, channels]: [usize; 2], shape: [usize; 3], row: usize, plane: usize) -> Halo {
    let [depth, height, width] = shape;
    let plane = plane.max((height - 1) * row + width).next_multiple_of(16) + 16;
    let channel = depth * plane;
    let buffer = filled(x, samples * channels, channel, shape, |from, to| {
        for (i, values) in from.chunks_exact(width).enumerate() {
            let start = (i / height) * plane + (i % height) * row;
            to[start..start + width].copy_from_slice(values);
        }
    });
    Halo { buffer, samples, channels, channel, plane, row, sub: channel }
}

fn filled(
    x: &[f32],
    volumes: usize,
    pitch: usize,
    shape: [usize; 3],
    copy: impl Fn(&[f32], &mut [f32]) + Sync,
) -> Buffer {
    let mut buffer = Buffer::zeroed(volumes * pitch);
    let volumes = buffer.floats()[..volumes * pitch].par_chunks_mut(pitch);
    volumes.zip(x.par_chunks(voxels(shape))).for_each(|(to, from)| copy(from, to));
    buffer
}

impl Halo {
    /// Offset of a position of a kernel of stride 1.
    pub(super) fn tap(&self, [z, y, x]: Axes) -> usize {
        z * self.plane + y * self.row + x
    }

    /// Offsets of the taps of a kernel, in a volume that was [`split`] for its stride (or [`padded`] if that is 1).
    pub(super) fn taps(&self, kernel: Axes, step: Axes) -> Vec<usize> {
        let parity = |p: Axes| (p[0] % step[0] * step[1] + p[1] % step[1]) * step[2] + p[2] % step[2];
        let within = |p: Axes| self.tap(std::array::from_fn(|axis| p[axis] / step[axis]));
        positions(kernel).map(|p| parity(p) * self.sub + within(p)).collect()
    }
}
