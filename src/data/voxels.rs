//! From stored bytes to numbers: every voxel type of NIfTI-1, either byte order, the header's slope.
//!
//! Guards one rule: values are scaled in double precision and narrowed once, so that a slope of 0.5 never truncates whole
//! numbers and a mask stored as float64 is judged as it is. Files run along the first axis fastest, volumes of this crate
//! along the last; the turn happens here, without a copy in between. Trusts the header: [`Header::parse`] has judged it.

use super::header::{Header, Kind};
use crate::fault::{Fault, Result};

/// Slices that are turned together.
const SLICES: usize = 16;

/// The voxels of channel `channel`, last axis contiguous. `raw` holds all channels, as the header counts them.
///
/// # Errors
/// If there is no memory for them.
pub(super) fn decode<T: Copy + Default>(
    raw: &[u8],
    header: &Header,
    channel: usize,
    narrow: impl Fn(f64) -> T,
) -> Result<Vec<T>> {
    let length = header.length / header.channels;
    let raw = &raw[channel * length..][..length];
    let turn = Turn { raw, header, narrow };
    match header.kind {
        Kind::Uint8 => turn.with(|b: [u8; 1]| f64::from(b[0])),
        Kind::Int8 => turn.with(|b| f64::from(i8::from_le_bytes(b))),
        Kind::Uint16 => turn.with(|b| f64::from(u16::from_le_bytes(b))),
        Kind::Int16 => turn.with(|b| f64::from(i16::from_le_bytes(b))),
        Kind::Uint32 => turn.with(|b| f64::from(u32::from_le_bytes(b))),
        Kind::Int32 => turn.with(|b| f64::from(i32::from_le_bytes(b))),
        Kind::Uint64 => turn.with(|b| u64::from_le_bytes(b) as f64),
        Kind::Int64 => turn.with(|b| i64::from_le_bytes(b) as f64),
        Kind::Float32 => turn.with(|b| f64::from(f32::from_le_bytes(b))),
        Kind::Float64 => turn.with(f64::from_le_bytes),
    }
}

/// What is common to all types.
struct Turn<'a, F> {
    raw: &'a [u8],
    header: &'a Header,
    narrow: F,
}

impl<F> Turn<'_, F> {
    /// Reads voxels of `N` bytes; `number` is given their lowest byte first.
    fn with<T: Copy + Default, const N: usize>(&self, number: impl Fn([u8; N]) -> f64) -> Result<Vec<T>>
    where
        F: Fn(f64) -> T,
    {
        let [width, height, depth] = self.header.grid.shape;
        let (slope, intercept) = self.header.scaling.map_or((1.0, 0.0), |(s, i)| (f64::from(s), f64::from(i)));
        let stored = self.raw.as_chunks::<N>().0;
        let mut voxels = room(width * height * depth)?;
        // Sixteen slices at once: their reads are sixteen runs, their writes one line of the cache.
        for slices in (0..depth).step_by(SLICES).map(|first| first..depth.min(first + SLICES)) {
            for (j, i) in (0..height).flat_map(|j| (0..width).map(move |i| (j, i))) {
                let place = (i * height + j) * depth;
                for k in slices.clone() {
                    let mut bytes = stored[(k * height + j) * width + i];
                    if self.header.big_endian {
                        bytes.reverse();
                    }
                    voxels[place + k] = (self.narrow)(number(bytes) * slope + intercept);
                }
            }
        }
        Ok(voxels)
    }
}

/// Memory for so many voxels. A volume that does not fit is a fault of its case, and no end of the program.
fn room<T: Copy + Default>(count: usize) -> Result<Vec<T>> {
    let mut voxels = Vec::new();
    voxels.try_reserve_exact(count).map_err(|_| {
        let gib = count as f64 * size_of::<T>() as f64 / f64::from(1 << 30);
        Fault::failed("volume does not fit in memory")
            .expected(format!("{gib:.1} GiB for {count} voxels"))
            .found("less than that is free")
            .hint("cut the image to what is needed, or use a machine with more memory; is `dim` in the header right?")
    })?;
    voxels.resize(count, T::default());
    Ok(voxels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_without_room_is_a_fault() {
        assert_eq!(room::<f32>(24).unwrap(), [0.0; 24]);
        let fault = room::<f32>(isize::MAX as usize).unwrap_err();
        let parts: Vec<&str> = fault.parts().into_iter().map(|(name, _)| name).collect();
        assert_eq!(
            (fault.summary(), parts.as_slice()),
            ("volume does not fit in memory", &["expected", "found", "hint"][..])
        );
    }
}
