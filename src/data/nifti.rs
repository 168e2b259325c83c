//! Images and masks on disk: the only file that knows the `nifti` crate.
//!
//! Bytes are decoded by `stream`, judged by `header`, and only then converted by the crate. Masks are read at full precision and checked before they are narrowed. Written masks
//! copy the geometry of the image they belong to, bit by bit, so that every viewer lays one over the other.
//! Never writes in place: a file is complete or absent.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use ::nifti::writer::WriterOptions;
use ::nifti::{DataElement, InMemNiftiVolume, IntoNdArray, NiftiHeader};
use ndarray::ArrayView3;

use super::header::{Header, LENGTH};
use super::stream::{damaged, open};
use crate::fault::{Fault, Result};
use crate::volume::{Grid, Volume};

/// Reads a `.nii` or `.nii.gz` image of one channel; stored values are scaled by the header's slope in float32.
///
/// # Errors
/// If the file cannot be read, is no NIfTI-1 image or is damaged, or if a voxel is not a finite number.
pub fn read_image(path: &Path) -> Result<Volume<f32>> {
    let image: Volume<f32> = read(path)?;
    if let Some(index) = image.voxels.iter().position(|value| !value.is_finite()) {
        return Err(Fault::new("image has a voxel without a value")
            .file(path)
            .field(place(&image.grid, index))
            .expected("a finite number")
            .found(image.voxels[index])
            .hint("replace such voxels by the background's value before training"));
    }
    Ok(image)
}

/// Reads a mask: whole numbers (within 1e-3) from 0 to 255, whatever type they are stored in.
///
/// # Errors
/// As [`read_image`]; the first voxel that is no label is named.
pub fn read_label(path: &Path) -> Result<Volume<u8>> {
    let mask: Volume<f64> = read(path)?;
    let is_label = |value: &f64| (value - value.round()).abs() <= 1e-3 && (0.0..=255.0).contains(&value.round());
    if let Some(index) = mask.voxels.iter().position(|value| !is_label(value)) {
        return Err(Fault::new("mask has a voxel that is no label")
            .file(path)
            .field(place(&mask.grid, index))
            .expected("a whole number from 0 to 255")
            .found(mask.voxels[index])
            .hint("masks must not be resampled with interpolation; check also that this is not the image"));
    }
    Ok(mask.map(|value| value.round() as u8))
}

/// Writes a mask onto the grid of the image it was made for: orientation, spacing and units are copied from the header
/// of `like`, not computed again.
///
/// # Errors
/// If the shapes differ, `like` is no readable image, the name does not end in `.nii` or `.nii.gz`, or writing fails.
pub fn write_label(path: &Path, mask: &Volume<u8>, like: &Path) -> Result<()> {
    let mut reader = open(like)?;
    let bytes = read_header(&mut reader).map_err(|error| damaged(like, &error))?;
    let expected = Header::parse(&bytes).map_err(|fault| fault.file(like))?.grid.shape;
    if expected != mask.grid.shape {
        return Err(Fault::new("mask and image have different shapes")
            .file(like)
            .expected(format!("{expected:?} voxels"))
            .found(format!("{:?} voxels", mask.grid.shape)));
    }
    let image = NiftiHeader::from_reader(bytes.as_slice()).map_err(|error| unreadable(like, &error))?;
    let geometry = NiftiHeader {
        dim_info: image.dim_info,
        pixdim: image.pixdim,
        xyzt_units: image.xyzt_units,
        qform_code: image.qform_code,
        sform_code: image.sform_code,
        quatern_b: image.quatern_b,
        quatern_c: image.quatern_c,
        quatern_d: image.quatern_d,
        quatern_x: image.quatern_x,
        quatern_y: image.quatern_y,
        quatern_z: image.quatern_z,
        srow_x: image.srow_x,
        srow_y: image.srow_y,
        srow_z: image.srow_z,
        ..NiftiHeader::default()
    };
    save(path, &geometry, mask.grid.shape, &mask.voxels, |options, array| options.write_nifti(&array))
}

/// Writes a mask with the orientation of its own grid.
///
/// # Errors
/// If the name does not end in `.nii` or `.nii.gz`, or writing fails.
pub fn write_new_label(path: &Path, mask: &Volume<u8>) -> Result<()> {
    save(path, &geometry(&mask.grid), mask.grid.shape, &mask.voxels, |options, array| options.write_nifti(&array))
}

/// Writes an image of 16-bit whole numbers with the orientation of its own grid.
///
/// # Errors
/// If the name does not end in `.nii` or `.nii.gz`, or writing fails.
pub fn write_new_image(path: &Path, image: &Volume<i16>) -> Result<()> {
    save(path, &geometry(&image.grid), image.grid.shape, &image.voxels, |options, array| options.write_nifti(&array))
}

/// A header that states a grid by `sform` alone: a quaternion would only repeat it with less precision.
fn geometry(grid: &Grid) -> NiftiHeader {
    let row = |axis: usize| grid.affine[axis].map(|x| x as f32);
    let [i, j, k] = grid.spacing.map(|s| s as f32);
    NiftiHeader {
        pixdim: [1.0, i, j, k, 0.0, 0.0, 0.0, 0.0],
        xyzt_units: 2,
        qform_code: 0,
        sform_code: 1,
        srow_x: row(0),
        srow_y: row(1),
        srow_z: row(2),
        ..NiftiHeader::default()
    }
}

/// Writes into a sibling directory and renames. The crate rebuilds file names by their dots (`case.001.nii` becomes
/// `case.nii`), so it only ever sees the name `volume.nii` or `volume.nii.gz`.
fn save<T>(
    path: &Path,
    header: &NiftiHeader,
    shape: [usize; 3],
    voxels: &[T],
    write: impl FnOnce(WriterOptions, ArrayView3<T>) -> ::nifti::Result<()>,
) -> Result<()> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let Some(ending) = [".nii.gz", ".nii"].into_iter().find(|ending| name.ends_with(ending)) else {
        return Err(Fault::new("file name does not say its format")
            .file(path)
            .expected("a name ending in .nii.gz or .nii")
            .found(format!("`{name}`")));
    };
    if let Some(axis) = (0..3).find(|axis| shape[*axis] > i16::MAX as usize) {
        return Err(Fault::new("volume is too large for NIfTI-1")
            .field(format!("axis {axis}"))
            .expected(format!("at most {} voxels", i16::MAX))
            .found(shape[axis]));
    }
    let array = ArrayView3::from_shape(shape, voxels)
        .map_err(|error| Fault::failed(format!("volume does not fit its grid: {error}")).file(path))?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let workshop = tempfile::Builder::new()
        .prefix(".writing-")
        .tempdir_in(parent)
        .map_err(|error| Fault::io("create a temporary folder beside the", path, &error))?;
    let draft = workshop.path().join(format!("volume{ending}"));
    write(WriterOptions::new(&draft).reference_header(header), array)
        .map_err(|error| Fault::failed(format!("cannot write image: {error}")).file(path))?;
    let length = File::open(&draft)
        .and_then(|file| file.sync_all().and_then(|()| file.metadata()))
        .map_err(|error| Fault::io("write", path, &error))?
        .len();
    // The crate leaves the last flush of uncompressed files to a destructor, which cannot report a full disk.
    if ending == ".nii" && length != (352 + size_of_val(voxels)) as u64 {
        return Err(Fault::failed("image was not written completely; the disk may be full").file(path));
    }
    fs::rename(&draft, path).map_err(|error| Fault::io("write", path, &error))
}

/// Decodes, judges and converts a file.
fn read<T: DataElement>(path: &Path) -> Result<Volume<T>> {
    let mut reader = open(path)?;
    let bytes = read_header(&mut reader).map_err(|error| damaged(path, &error))?;
    let header = Header::parse(&bytes).map_err(|fault| fault.file(path))?;
    let raw = read_voxels(&mut reader, &header).map_err(|error| damaged(path, &error))?;
    if raw.len() != header.length {
        return Err(Fault::new("image is cut off")
            .file(path)
            .expected(format!("{} bytes of voxels", header.length))
            .found(format!("{} bytes", raw.len()))
            .hint("the copy was interrupted; copy the file again from its source"));
    }
    let mut claims = NiftiHeader::from_reader(bytes.as_slice()).map_err(|error| unreadable(path, &error))?;
    // Only zero means "no scaling" to the crate.
    (claims.scl_slope, claims.scl_inter) = header.scaling.unwrap_or((0.0, 0.0));
    let array = InMemNiftiVolume::from_raw_data(&claims, raw)
        .and_then(IntoNdArray::into_ndarray::<T>)
        .map_err(|error| unreadable(path, &error))?;
    // Stored first axis fastest; ours is last axis fastest, which is the logical order of the iterator.
    debug_assert!(array.len() == header.grid.voxels() && array.shape().len() >= 3);
    Volume::new(header.grid, array.iter().copied().collect()).map_err(|fault| fault.file(path))
}

/// Up to 348 bytes; fewer only where the file ends.
fn read_header(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(LENGTH);
    reader.take(LENGTH as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The voxels, as many as there are up to the number that the header promises. Memory grows with the bytes that really
/// come. What follows them is decoded too, because the checksum of a compressed file stands at its end.
fn read_voxels(reader: &mut impl Read, header: &Header) -> io::Result<Vec<u8>> {
    io::copy(&mut reader.take((header.offset - LENGTH) as u64), &mut io::sink())?;
    let mut raw = Vec::new();
    reader.take(header.length as u64).read_to_end(&mut raw)?;
    io::copy(&mut reader.take(1 << 20), &mut io::sink())?;
    Ok(raw)
}

fn unreadable(path: &Path, error: &::nifti::NiftiError) -> Fault {
    Fault::new("image cannot be read")
        .file(path)
        .expected("a NIfTI-1 image")
        .found(error)
        .hint("open it with another tool and write it again")
}

/// Indices of a voxel, for people.
fn place(grid: &Grid, index: usize) -> String {
    let [_, height, width] = grid.shape;
    format!("voxel ({}, {}, {})", index / (height * width), index / width % height, index % width)
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these values are exact")]
mod tests {
    use super::super::header::sample::{header, put};
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;
    use std::io::Write;
    use std::path::PathBuf;

    /// A file of 2 x 3 x 4 float32 voxels 0, 1, ... in storage order.
    fn plain() -> Vec<u8> {
        let mut bytes = header();
        bytes.extend([0; 4]);
        bytes.extend((0..24).flat_map(|i| (i as f32).to_le_bytes()));
        bytes
    }

    fn file(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        (folder, path)
    }

    fn image(bytes: &[u8]) -> Result<Volume<f32>> {
        let (_folder, path) = file("a.nii", bytes);
        read_image(&path)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn the_first_axis_runs_fastest_on_disk_and_slowest_here() {
        let volume = image(&plain()).unwrap();
        assert_eq!(volume.voxels[volume.index([1, 0, 0])], 1.0);
        assert_eq!(volume.voxels[volume.index([0, 1, 0])], 2.0);
        assert_eq!(volume.voxels[volume.index([0, 0, 1])], 6.0);
        assert_eq!(volume.voxels[volume.index([1, 2, 3])], 23.0);
    }

    #[test]
    fn compressed_many_membered_and_big_endian_files_are_the_same_image() {
        let expected = image(&plain()).unwrap();
        assert_eq!(image(&gzip(&plain())).unwrap(), expected, "by content, whatever the name");
        let whole = plain();
        let (head, tail) = whole.split_at(400);
        assert_eq!(image(&[gzip(head), gzip(tail)].concat()).unwrap(), expected);
        let mut big = plain();
        let swap = |bytes: &mut [u8]| bytes.reverse();
        swap(&mut big[0..4]);
        (40..56).step_by(2).chain([70, 72]).for_each(|at| swap(&mut big[at..at + 2]));
        (76..120).step_by(4).chain((352..448).step_by(4)).for_each(|at| swap(&mut big[at..at + 4]));
        assert_eq!(image(&big).unwrap(), expected);
        let mut singleton = plain();
        put(&mut singleton, 40, &5_i16.to_le_bytes());
        assert_eq!(image(&singleton).unwrap(), expected, "trailing axes of length one");
    }

    #[test]
    fn values_are_scaled_in_float_and_slopes_that_are_none_ignored() {
        let mut bytes = header();
        put(&mut bytes, 70, &2_i16.to_le_bytes());
        put(&mut bytes, 72, &8_i16.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(0..24_u8);
        put(&mut bytes, 112, &[0.5_f32.to_le_bytes(), (-1.0_f32).to_le_bytes()].concat());
        assert_eq!(image(&bytes).unwrap().voxels[12], -0.5);
        put(&mut bytes, 112, &f32::NAN.to_le_bytes());
        assert_eq!(image(&bytes).unwrap().voxels[12], 1.0);
    }

    #[test]
    fn broken_files_are_faults_that_name_the_file() {
        let mut nan = plain();
        put(&mut nan, 352 + 4 * 7, &f32::NAN.to_le_bytes());
        let packed = gzip(&plain());
        let mut flipped = packed.clone();
        let at = packed.len() - 6;
        flipped[at] ^= 0xff;
        let cases: [(&str, Vec<u8>, &str); 7] = [
            ("empty", vec![], "file is too short for a NIfTI-1 header"),
            ("noise", (0..2000_u32).map(|i| ((i * i) >> 3) as u8).collect(), "not a NIfTI-1 image"),
            ("short", plain()[..440].to_vec(), "image is cut off"),
            ("short gzip", packed[..packed.len() / 2].to_vec(), "compressed file is cut off"),
            ("no checksum", packed[..packed.len() - 8].to_vec(), "compressed file is cut off"),
            ("wrong checksum", flipped, "compressed file is damaged"),
            ("not a number", nan, "image has a voxel without a value"),
        ];
        for (name, bytes, summary) in cases {
            let fault = image(&bytes).expect_err(name);
            assert_eq!(fault.summary(), summary, "{name}");
            assert!(fault.to_string().contains("a.nii"), "{name}: {fault}");
            assert_eq!(fault.kind(), crate::fault::Kind::BadInput, "{name}");
        }
        assert_eq!(read_image(Path::new("/no/such.nii")).unwrap_err().kind(), crate::fault::Kind::BadInput);
    }

    #[test]
    fn the_first_voxel_that_is_no_label_is_named() {
        let (_folder, path) = file("a.nii", &plain());
        let mask = read_label(&path).unwrap();
        assert_eq!(mask.voxels[mask.index([1, 2, 3])], 23);
        for wrong in [0.5, -1.0, 256.0, f32::NAN] {
            let mut bytes = plain();
            put(&mut bytes, 352 + 4 * 11, &wrong.to_le_bytes());
            fs::write(&path, &bytes).unwrap();
            let text = read_label(&path).unwrap_err().to_string();
            assert!(text.contains("voxel (1, 2, 1)"), "{text}");
        }
        let mut rounded = plain();
        put(&mut rounded, 352, &1e-4_f32.to_le_bytes());
        fs::write(&path, &rounded).unwrap();
        assert_eq!(read_label(&path).unwrap().voxels[0], 0);
    }

    #[test]
    fn a_written_mask_stands_bit_by_bit_where_its_image_stands() {
        let mut bytes = plain();
        put(&mut bytes, 76, &(-1.0_f32).to_le_bytes());
        put(&mut bytes, 252, &1_i16.to_le_bytes());
        for (i, x) in [0.1_f32, -0.2, 0.3, -10.0, 20.0, 5.5].iter().enumerate() {
            put(&mut bytes, 256 + 4 * i, &x.to_le_bytes());
        }
        put(&mut bytes, 112, &3.0_f32.to_le_bytes());
        let (folder, like) = file("image.nii", &bytes);
        let image = read_image(&like).unwrap();
        let mask = image.map(|value| (*value as u8) % 3);
        for name in ["case.001.nii", "case.001.nii.gz"] {
            let path = folder.path().join(name);
            write_label(&path, &mask, &like).unwrap();
            assert_eq!(read_label(&path).unwrap(), mask);
            let mut written = Vec::new();
            open(&path).unwrap().read_to_end(&mut written).unwrap();
            assert_eq!(written[76..92], bytes[76..92], "pixdim");
            assert_eq!(written[252..328], bytes[252..328], "qform and sform");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "nothing else is left behind");
        assert!(write_label(&folder.path().join("mask.npy"), &mask, &like).is_err());
        let small = Volume::new(Grid::aligned([1, 1, 1], [1.0; 3]), vec![0]).unwrap();
        assert!(write_label(&folder.path().join("small.nii"), &small, &like).is_err());
    }

    #[test]
    fn new_files_come_back_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        for shape in [[2, 3, 4], [1, 5, 4], [5, 1, 3], [4, 5, 1], [1, 1, 7]] {
            let mut grid = Grid::aligned(shape, [1.0, 0.5, 2.5]);
            grid.affine = [[0.0, 0.0, 2.5, -3.0], [0.0, -0.5, 0.0, 4.0], [1.0, 0.0, 0.0, 5.0]];
            let voxels = (0..grid.voxels() as i16).map(|i| i - 5).collect();
            let image = Volume::new(grid, voxels).unwrap();
            let path = folder.path().join("image.nii.gz");
            write_new_image(&path, &image).unwrap();
            assert_eq!(read_image(&path).unwrap(), image.map(|value| f32::from(*value)));
            let mask = image.map(|value| (*value + 5) as u8);
            write_new_label(&path, &mask).unwrap();
            assert_eq!(read_label(&path).unwrap(), mask);
        }
    }

    proptest! {
        #[test]
        fn a_damaged_file_is_a_fault_or_an_image_but_never_a_panic(
            changes in prop::collection::vec((0_usize..448, any::<u8>()), 1..6),
            kept in 0_usize..449,
            packed: bool,
        ) {
            let mut bytes = plain();
            for (place, value) in changes {
                bytes[place] = value;
            }
            bytes.truncate(kept.max(300));
            let (_folder, path) = file("a.nii.gz", &if packed { gzip(&bytes) } else { bytes });
            let (image, label) = (read_image(&path), read_label(&path));
            prop_assert!(image.is_err() || image.is_ok_and(|image| image.voxels.len() == image.grid.voxels()));
            prop_assert!(label.is_err() || label.is_ok_and(|label| label.voxels.len() == label.grid.voxels()));
        }
    }
}
