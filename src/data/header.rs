//! The 348 bytes of a NIfTI-1 header, judged before anything believes them.
//!
//! Guards one promise: after [`Header::parse`] the file's claims are possible (type and size agree, the voxels fit in
//! memory, spacing and orientation are numbers). It reads only the fields that decide geometry and values; `voxels` turns
//! the bytes that follow into numbers.
//! Format: Cox et al. (2004), "A (sort of) new image data format standard: NIfTI-1", `nifti1.h`.

use crate::fault::{Fault, Result};
use crate::volume::Grid;
use crate::volume::affine::{self, Affine};

/// Bytes of a header.
pub(super) const LENGTH: usize = 348;

/// Where voxels may begin at the earliest in a single file: header and four bytes of "extension follows".
const FIRST_VOXEL: usize = 352;

/// No 3D MRI has more voxels than 1024³; a header that says so is damaged, and believing it would ask for gigabytes.
pub(super) const MOST_VOXELS: usize = 1 << 30;

/// Voxel sizes in mm that an image of a body can have: from micro-CT to a slab that is thicker than a person.
const PLAUSIBLE_MM: std::ops::RangeInclusive<f64> = 1e-3..=1e3;

/// Share by which `pixdim` may differ from the columns of the `sform`: more than rounding is a contradiction.
const ROUNDING: f64 = 0.01;

/// What matters of a header.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Header {
    /// Shape, spacing and affine.
    pub(super) grid: Grid,
    /// Volumes on that grid, one after the other: the length of the fourth axis.
    pub(super) channels: usize,
    /// What a stored voxel is.
    pub(super) kind: Kind,
    /// Whether numbers begin with their highest byte.
    pub(super) big_endian: bool,
    /// Position of the first voxel in the file, in bytes.
    pub(super) offset: usize,
    /// Bytes of all voxels.
    pub(super) length: usize,
    /// Slope and intercept from stored to real values; `None` if values stand as they are.
    pub(super) scaling: Option<(f32, f32)>,
    /// `pixdim` in mm, where it is a rounded form of the spacing, which is that of the `sform`.
    pub(super) rounded: Option<[f64; 3]>,
}

/// The types that hold one number per voxel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Uint8,
    Int8,
    Uint16,
    Int16,
    Uint32,
    Int32,
    Uint64,
    Int64,
    Float32,
    Float64,
}

/// Type, code, name and bits.
pub(super) const TYPES: [(Kind, i16, &str, i16); 10] = [
    (Kind::Uint8, 2, "uint8", 8),
    (Kind::Int8, 256, "int8", 8),
    (Kind::Uint16, 512, "uint16", 16),
    (Kind::Int16, 4, "int16", 16),
    (Kind::Uint32, 768, "uint32", 32),
    (Kind::Int32, 8, "int32", 32),
    (Kind::Uint64, 1280, "uint64", 64),
    (Kind::Int64, 1024, "int64", 64),
    (Kind::Float32, 16, "float32", 32),
    (Kind::Float64, 64, "float64", 64),
];

/// The numbers of a header at their places, in its byte order.
struct Fields<'a> {
    bytes: &'a [u8; LENGTH],
    big_endian: bool,
}

impl Fields<'_> {
    fn at<const N: usize>(&self, place: usize) -> [u8; N] {
        let mut raw: [u8; N] = std::array::from_fn(|i| self.bytes[place + i]);
        if self.big_endian {
            raw.reverse();
        }
        raw
    }

    fn i16(&self, place: usize) -> i16 {
        i16::from_le_bytes(self.at(place))
    }

    fn f32(&self, place: usize) -> f32 {
        f32::from_le_bytes(self.at(place))
    }

    fn f64(&self, place: usize) -> f64 {
        f64::from(self.f32(place))
    }
}

impl Header {
    /// Reads and judges a header.
    ///
    /// # Errors
    /// If it is no NIfTI-1 single-file header, or describes an image that cannot be. The file's name is left to the
    /// caller.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        let Some(bytes) = bytes.first_chunk::<LENGTH>() else {
            return Err(Fault::new("file is too short for a NIfTI-1 header")
                .expected(format!("at least {LENGTH} bytes"))
                .found(format!("{} bytes", bytes.len()))
                .hint("the file is empty or damaged; copy it again from its source"));
        };
        let fields = Fields { bytes, big_endian: byte_order(bytes)? };
        let (shape, channels) = shape(&fields)?;
        let voxels = shape.iter().product::<usize>() * channels;
        let (kind, bytes_per_voxel) = kind(&fields)?;
        let pixdim = spacing(&fields)?;
        let (affine, spacing) = orientation(&fields, shape, pixdim)?;
        Ok(Self {
            grid: Grid { shape, spacing, affine },
            rounded: (spacing != pixdim).then_some(pixdim),
            channels,
            kind,
            big_endian: fields.big_endian,
            offset: offset(&fields)?,
            length: voxels * bytes_per_voxel,
            scaling: scaling(&fields)?,
        })
    }
}

/// Whether the header is big-endian, known from its first number, which is its own length.
fn byte_order(bytes: &[u8; LENGTH]) -> Result<bool> {
    let first = [bytes[0], bytes[1], bytes[2], bytes[3]];
    let big_endian = u32::from_be_bytes(first) == LENGTH as u32;
    let fault = Fault::new("not a NIfTI-1 image").field("sizeof_hdr").expected(LENGTH);
    let size = u32::from_le_bytes(first);
    if size == 540 || u32::from_be_bytes(first) == 540 {
        return Err(fault.found("540, which is NIfTI-2").hint(
            "NIfTI-2 is not supported; convert with nibabel: \
             `nib.save(nib.Nifti1Image.from_image(nib.load(\"in.nii\")), \"out.nii.gz\")`",
        ));
    }
    if size != LENGTH as u32 && !big_endian {
        return Err(fault.found(size).hint("the file is of another format or damaged; convert it to .nii.gz"));
    }
    let magic = &bytes[344..348];
    match magic {
        b"n+1\0" => Ok(big_endian),
        b"ni1\0" => Err(Fault::new("header and voxels are in two files")
            .field("magic")
            .expected("n+1, one file")
            .found("ni1, a pair of .hdr and .img")
            .hint("convert the pair to one .nii.gz file")),
        _ => Err(Fault::new("not a NIfTI-1 image")
            .field("magic")
            .expected("n+1")
            .found(format!("`{}`", magic.escape_ascii()))
            .hint("the file is of another format (perhaps Analyze 7.5) or damaged; convert it to .nii.gz")),
    }
}

/// Three axes and the number of channels along the fourth; further ones must have length one.
fn shape(fields: &Fields) -> Result<([usize; 3], usize)> {
    let dim: [i16; 8] = std::array::from_fn(|i| fields.i16(40 + 2 * i));
    let axes = dim[0];
    let fault = |text: &str| Fault::new(text.to_string()).field("dim").found(format!("{dim:?}"));
    if !(3..=7).contains(&axes) {
        return Err(fault("not a 3D image").expected("3 axes").hint("dim[0] is the number of axes"));
    }
    if let Some(axis) = (1..=axes as usize).find(|axis| dim[*axis] < 1) {
        return Err(fault("an axis has no voxels")
            .expected(format!("dim[{axis}] at least 1"))
            .hint("the header is damaged; copy the file again from its source"));
    }
    let channels = if axes > 3 { dim[4] as usize } else { 1 };
    if axes > 4 && dim[5..=axes as usize].iter().any(|n| *n != 1) {
        return Err(fault("image has more than four axes")
            .expected("three axes of space and one of channels")
            .hint("split what the further axes hold into files of their own"));
    }
    let shape: [usize; 3] = std::array::from_fn(|axis| dim[axis + 1] as usize);
    // Four 15-bit factors: the product cannot overflow 64 bits.
    if shape.iter().product::<usize>() * channels > MOST_VOXELS {
        return Err(fault("image is impossibly large")
            .expected(format!("at most {MOST_VOXELS} voxels"))
            .hint("the header is damaged; copy the file again from its source"));
    }
    Ok((shape, channels))
}

/// The type of a voxel and its bytes.
fn kind(fields: &Fields) -> Result<(Kind, usize)> {
    let (code, bitpix) = (fields.i16(70), fields.i16(72));
    let Some((kind, _, name, bits)) = TYPES.iter().find(|(_, known, ..)| *known == code) else {
        return Err(Fault::new("voxel type is not supported")
            .field("datatype")
            .expected("whole numbers of 8 to 64 bits, float32 or float64")
            .found(format!("code {code}"))
            .hint("complex, colour and 128-bit voxels have to be converted to one number each"));
    };
    if bitpix != *bits {
        return Err(Fault::new("voxel size contradicts voxel type")
            .field("bitpix")
            .expected(format!("{bits} for {name}"))
            .found(bitpix)
            .hint("the header is damaged or was edited by hand; write the image again"));
    }
    Ok((*kind, *bits as usize / 8))
}

fn offset(fields: &Fields) -> Result<usize> {
    let offset = fields.f32(108);
    // Zero stands for "right after the header" in files of some older writers; nibabel reads it so.
    if offset == 0.0 {
        return Ok(FIRST_VOXEL);
    }
    // Extensions of a gigabyte do not exist; the bound also keeps the conversion exact enough to be whole.
    if !(FIRST_VOXEL as f32..=1e9).contains(&offset) {
        return Err(Fault::new("voxels begin at an impossible place")
            .field("vox_offset")
            .expected(format!("at least {FIRST_VOXEL} bytes"))
            .found(offset)
            .hint("the header is damaged; copy the file again from its source"));
    }
    Ok(offset as usize)
}

/// A slope of zero, or one that is no number, means "no scaling", intercept included, as in nibabel.
fn scaling(fields: &Fields) -> Result<Option<(f32, f32)>> {
    let (slope, intercept) = (fields.f32(112), fields.f32(116));
    if slope == 0.0 || !slope.is_finite() {
        return Ok(None);
    }
    if !intercept.is_finite() {
        return Err(Fault::new("values cannot be scaled")
            .field("scl_inter")
            .expected("a finite number, because scl_slope is one")
            .found(intercept)
            .hint("the header is damaged; copy the file again from its source"));
    }
    Ok(Some((slope, intercept)).filter(|pair| *pair != (1.0, 0.0)))
}

fn spacing(fields: &Fields) -> Result<[f64; 3]> {
    let spacing: [f64; 3] = std::array::from_fn(|axis| fields.f64(80 + 4 * axis));
    let text = format!("{} x {} x {}", spacing[0], spacing[1], spacing[2]);
    if !spacing.iter().all(|s| s.is_finite() && *s > 0.0) {
        return Err(Fault::new("spacing is not a distance")
            .field("pixdim[1..=3]")
            .expected("three positive numbers of mm")
            .found(text)
            .hint("set the voxel size from the scanner's export; without it no distance can be measured"));
    }
    // Codes 1 and 3 are metres and micrometres; 0, unknown, is taken for millimetres as every tool does.
    match fields.bytes[123] & 7 {
        unit @ (1 | 3) => Err(Fault::new("spacing is not in millimetres")
            .field("xyzt_units")
            .expected("2 (mm) or 0 (unknown)")
            .found(format!("{unit} ({}), pixdim {text}", if unit == 1 { "metres" } else { "micrometres" }))
            .hint("write the image with millimetres, or correct the unit if the numbers already are millimetres")),
        _ if !spacing.iter().all(|s| PLAUSIBLE_MM.contains(s)) => Err(Fault::new("spacing is implausible")
            .field("pixdim[1..=3]")
            .expected(format!("{} to {} mm", PLAUSIBLE_MM.start(), PLAUSIBLE_MM.end()))
            .found(text)
            .hint("set the voxel size from the scanner's export; numbers in another unit have to be turned into mm")),
        _ => Ok(spacing),
    }
}

/// `sform`, else `qform`, else centred axes, and the spacing; an `sform` must agree with `pixdim`. Exporters that round one
/// of the two round `pixdim` (0.3516 is written as 0.35), so that small differences are settled by the `sform`.
fn orientation(fields: &Fields, shape: [usize; 3], spacing: [f64; 3]) -> Result<(Affine, [f64; 3])> {
    let numbers = |place: usize| std::array::from_fn::<f64, 3, _>(|i| fields.f64(place + 4 * i));
    let sform: Affine =
        std::array::from_fn(|row| std::array::from_fn(|column| fields.f64(280 + 16 * row + 4 * column)));
    let has_qform = fields.i16(252) > 0;
    // Some converters set the code of an sform that they leave empty.
    let is_empty = sform.as_flattened().iter().all(|x| *x == 0.0);
    if fields.i16(254) > 0 && !(is_empty && has_qform) {
        let origin = sform.map(|row| row[3]);
        if origin.iter().any(|mm| !mm.is_finite()) {
            return Err(Fault::new("origin is no place")
                .field("srow_x[3], srow_y[3], srow_z[3]")
                .expected("three finite numbers of mm")
                .found(format!("{}, {}, {}", origin[0], origin[1], origin[2]))
                .hint("set the affine again from the scanner's export, or remove the sform (sform_code 0)"));
        }
        let norms = affine::column_norms(&sform);
        let within = |share: f64, least: f64| {
            let near = |(norm, spacing): (&f64, &f64)| (norm - spacing).abs() <= share * spacing.max(least);
            sform.as_flattened().iter().all(|x| x.is_finite()) && norms.iter().zip(&spacing).all(near)
        };
        if within(affine::TOLERANCE_MM, 1.0) {
            return Ok((affine::upright(sform)?, spacing));
        }
        if within(ROUNDING, 0.0) {
            return Ok((affine::upright(sform)?, norms));
        }
        return Err(Fault::new("orientation and voxel size contradict each other")
            .field("srow_x, srow_y, srow_z and pixdim")
            .expected(format!("columns as long as pixdim: {} x {} x {} mm", spacing[0], spacing[1], spacing[2]))
            .found(format!("{} x {} x {} mm", norms[0], norms[1], norms[2]))
            .hint("one of the two is wrong; compare with the scanner's export and set both"));
    }
    if has_qform {
        let qfac = if fields.f32(76) < 0.0 { -1.0 } else { 1.0 };
        return Ok((affine::from_quaternion(numbers(256), numbers(268), spacing, qfac)?, spacing));
    }
    Ok((affine::centred(shape, spacing), spacing))
}

/// Headers for tests.
#[cfg(test)]
pub(super) mod sample {
    /// A little-endian float32 header of 2 x 3 x 4 voxels, 1 x 2 x 3 mm, without orientation.
    pub(in crate::data) fn header() -> Vec<u8> {
        let mut bytes = vec![0; super::LENGTH];
        put(&mut bytes, 0, &348_i32.to_le_bytes());
        for (i, n) in [3_i16, 2, 3, 4, 1, 1, 1, 1].iter().enumerate() {
            put(&mut bytes, 40 + 2 * i, &n.to_le_bytes());
        }
        put(&mut bytes, 70, &16_i16.to_le_bytes());
        put(&mut bytes, 72, &32_i16.to_le_bytes());
        for (i, s) in [1.0_f32, 1.0, 2.0, 3.0].iter().enumerate() {
            put(&mut bytes, 76 + 4 * i, &s.to_le_bytes());
        }
        put(&mut bytes, 108, &352.0_f32.to_le_bytes());
        put(&mut bytes, 123, &[2]);
        put(&mut bytes, 344, b"n+1\0");
        bytes
    }

    pub(in crate::data) fn put(bytes: &mut [u8], place: usize, value: &[u8]) {
        bytes[place..place + value.len()].copy_from_slice(value);
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these values are exact")]
mod tests {
    use super::sample::{header, put};
    use super::*;

    fn with(place: usize, value: &[u8]) -> Result<Header> {
        let mut bytes = header();
        put(&mut bytes, place, value);
        Header::parse(&bytes)
    }

    #[test]
    fn a_plain_header_says_what_it_says() {
        let parsed = Header::parse(&header()).unwrap();
        assert_eq!((parsed.grid.shape, parsed.grid.spacing), ([2, 3, 4], [1.0, 2.0, 3.0]));
        assert_eq!((parsed.offset, parsed.length, parsed.scaling), (352, 96, None));
        assert_eq!((parsed.channels, parsed.kind, parsed.big_endian), (1, Kind::Float32, false));
        assert_eq!(parsed.grid.affine[0], [-1.0, 0.0, 0.0, 0.5]);
    }

    #[test]
    fn every_impossible_claim_is_named() {
        let i16s = |n: i16| n.to_le_bytes().to_vec();
        let f32s = |x: f32| x.to_le_bytes().to_vec();
        let cases: [(usize, Vec<u8>, &str); 24] = [
            (0, 347_i32.to_le_bytes().to_vec(), "not a NIfTI-1 image"),
            (0, 540_i32.to_le_bytes().to_vec(), "not a NIfTI-1 image"),
            (344, b"ni1\0".to_vec(), "header and voxels are in two files"),
            (344, vec![0; 4], "not a NIfTI-1 image"),
            (40, i16s(2), "not a 3D image"),
            (40, i16s(900), "not a 3D image"),
            (42, i16s(0), "an axis has no voxels"),
            (42, i16s(-5), "an axis has no voxels"),
            (42, [i16s(32000), i16s(32000), i16s(32000)].concat(), "image is impossibly large"),
            (40, [i16s(5), i16s(2), i16s(3), i16s(4), i16s(1), i16s(2)].concat(), "image has more than four axes"),
            (40, [i16s(4), i16s(999), i16s(999), i16s(999), i16s(999)].concat(), "image is impossibly large"),
            (70, i16s(32), "voxel type is not supported"),
            (72, i16s(16), "voxel size contradicts voxel type"),
            (80, f32s(0.0), "spacing is not a distance"),
            (84, f32s(f32::NAN), "spacing is not a distance"),
            (88, f32s(-3.0), "spacing is not a distance"),
            (80, f32s(5000.0), "spacing is implausible"),
            (84, f32s(1e-6), "spacing is implausible"),
            (88, f32s(1e30), "spacing is implausible"),
            (123, vec![3], "spacing is not in millimetres"),
            (108, f32s(f32::NAN), "voxels begin at an impossible place"),
            (112, [f32s(2.0), f32s(f32::INFINITY)].concat(), "values cannot be scaled"),
            (254, [&i16s(1)[..], &[0; 24], &[0; 12], &f32s(f32::INFINITY)].concat(), "origin is no place"),
            (254, i16s(1), "orientation and voxel size contradict each other"),
        ];
        for (place, value, summary) in cases {
            assert_eq!(with(place, &value).unwrap_err().summary(), summary, "byte {place}");
        }
        assert_eq!(Header::parse(&header()[..347]).unwrap_err().summary(), "file is too short for a NIfTI-1 header");
    }

    #[test]
    fn the_smallest_and_the_largest_plausible_voxel_are_read() {
        for size in [0.001_f32, 1000.0] {
            assert_eq!(with(80, &size.to_le_bytes()).unwrap().grid.spacing[0], f64::from(size));
        }
        let text = with(80, &5000.0_f32.to_le_bytes()).unwrap_err().to_string();
        assert!(text.contains("0.001 to 1000 mm") && text.contains("5000 x 2 x 3"), "{text}");
    }

    #[test]
    fn slopes_that_are_no_slopes_scale_nothing() {
        for slope in [0.0, f32::NAN, f32::INFINITY, 1.0] {
            assert_eq!(with(112, &slope.to_le_bytes()).unwrap().scaling, None);
        }
        assert_eq!(with(112, &0.5_f32.to_le_bytes()).unwrap().scaling, Some((0.5, 0.0)));
    }
}
