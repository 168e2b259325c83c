//! Images and masks on disk: the only file that knows the `nifti` crate, which writes them.
//!
//! Bytes are decompressed by `stream`, judged by `header` and only then made numbers by `voxels`; the crate does not read,
//! because it trusts every header and stops after the first member of a gzip file. Masks are checked before they are
//! narrowed. Written masks copy the geometry of the image they belong to, bit by bit, so that every viewer lays one over
//! the other. Never writes in place: a file is complete or absent.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use ::nifti::NiftiHeader;
use ::nifti::writer::WriterOptions;
use ndarray::ArrayView3;

use super::header::{Header, LENGTH};
use super::stream::{damaged, decompressed, open};
use super::voxels::decode;
use crate::fault::{Fault, Result};
use crate::volume::{Grid, Volume};

/// Reads a `.nii` or `.nii.gz` image of one channel; stored values are scaled by the header's slope.
///
/// # Errors
/// If the file cannot be read, is no NIfTI-1 image or is damaged, has several channels, or if a voxel is not a finite
/// number.
pub fn read_image(path: &Path) -> Result<Volume<f32>> {
    let raw = Raw::read(path)?;
    raw.of_one_channel(path)?;
    let image = raw.volume(0)?;
    raw.finite(path, 0, &image)?;
    Ok(image)
}

/// Reads all channels of an image, along its fourth axis if it has one.
///
/// # Errors
/// As [`read_image`], which any number of channels would please.
pub fn read_channels(path: &Path) -> Result<Vec<Volume<f32>>> {
    channels(&Raw::read(path)?, path)
}

/// As [`read_channels`], from bytes that come from anywhere; `name` stands in messages.
///
/// # Errors
/// As [`read_channels`].
pub fn read_channels_from(source: impl Read, name: &Path) -> Result<Vec<Volume<f32>>> {
    let mut reader = decompressed(source).map_err(|error| Fault::io("read", name, &error))?;
    channels(&Raw::from(&mut reader, name)?, name)
}

fn channels(raw: &Raw, name: &Path) -> Result<Vec<Volume<f32>>> {
    let channels = raw.volumes()?;
    channels.iter().enumerate().try_for_each(|(number, channel)| raw.finite(name, number, channel))?;
    Ok(channels)
}

/// As [`read_channels`], but voxels may be anything, infinite and not a number as well.
///
/// # Errors
/// If the file cannot be read, is no NIfTI-1 image or is damaged.
pub(crate) fn read_values(path: &Path) -> Result<Vec<Volume<f32>>> {
    Raw::read(path)?.volumes()
}

/// The grid of an image or a mask, from its header alone.
///
/// # Errors
/// If the file cannot be read or is no NIfTI-1 image.
pub fn read_grid(path: &Path) -> Result<Grid> {
    let bytes = read_header(&mut open(path)?).map_err(|error| damaged(path, &error))?;
    Ok(Header::parse(&bytes).map_err(|fault| fault.file(path))?.grid)
}

/// `pixdim` in mm, where it differs from the spacing by more than noise and by no more than rounding.
///
/// # Errors
/// As [`read_grid`].
pub(super) fn read_rounded(path: &Path) -> Result<Option<[f64; 3]>> {
    let bytes = read_header(&mut open(path)?).map_err(|error| damaged(path, &error))?;
    Ok(Header::parse(&bytes).map_err(|fault| fault.file(path))?.rounded)
}

/// Reads a mask: whole numbers (within 1e-3) from 0 to 255, whatever type they are stored in.
///
/// # Errors
/// As [`read_image`]; the first voxel that is no label is named.
pub fn read_label(path: &Path) -> Result<Volume<u8>> {
    let raw = Raw::read(path)?;
    raw.of_one_channel(path)?;
    // In single precision, whose error at 255 is 1e-5.
    let mask = raw.volume(0)?;
    if let Some(index) = mask.voxels.iter().position(|value| !is_label(*value)) {
        return Err(Fault::new("mask has a voxel that is no label")
            .file(path)
            .field(place(&mask.grid, index))
            .expected("a whole number from 0 to 255")
            .found(mask.voxels[index])
            .hint("masks must not be resampled with interpolation; check also that this is not the image"));
    }
    Ok(mask.map(|value| nearest_label(*value)))
}

/// Whether a value can be a label.
pub(super) fn is_label(value: f32) -> bool {
    (value - f32::from(nearest_label(value))).abs() <= 1e-3
}

/// The label that a value is nearest to: a cast, because `round` is a call on many processors.
pub(crate) fn nearest_label(value: f32) -> u8 {
    (value + 0.5) as u8
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

/// A judged header and the bytes that it promises.
struct Raw {
    /// The file, for messages.
    name: PathBuf,
    header: Header,
    bytes: Vec<u8>,
}

impl Raw {
    /// Decompresses and judges a file.
    fn read(path: &Path) -> Result<Self> {
        Self::from(&mut open(path)?, path)
    }

    /// Judges what was decompressed.
    fn from(reader: &mut impl Read, path: &Path) -> Result<Self> {
        let bytes = read_header(reader).map_err(|error| damaged(path, &error))?;
        let header = Header::parse(&bytes).map_err(|fault| fault.file(path))?;
        let bytes = read_voxels(reader, &header).map_err(|error| damaged(path, &error))?;
        if bytes.len() != header.length {
            return Err(Fault::new("image is cut off")
                .file(path)
                .expected(format!("{} bytes of voxels", header.length))
                .found(format!("{} bytes", bytes.len()))
                .hint("the copy was interrupted; copy the file again from its source"));
        }
        Ok(Self { name: path.to_path_buf(), header, bytes })
    }

    fn of_one_channel(&self, path: &Path) -> Result<()> {
        if self.header.channels == 1 {
            return Ok(());
        }
        Err(Fault::new("image has more than three axes")
            .file(path)
            .field("dim[4]")
            .expected("one volume of one channel")
            .found(format!("{} volumes", self.header.channels))
            .hint("split time points or channels into files of their own; a mask is one volume of whole numbers"))
    }

    /// Refuses a channel with a voxel that is no finite number in single precision.
    fn finite(&self, path: &Path, channel: usize, image: &Volume<f32>) -> Result<()> {
        let Some(index) = image.voxels.iter().position(|value| !value.is_finite()) else { return Ok(()) };
        // Decoded again only here: whether the file has no number, or one that is too large.
        let values = decode(&self.bytes, &self.header, channel, |value| value).map_err(|fault| fault.file(path))?;
        let value = values[index];
        let fault = if value.is_finite() {
            Fault::new("image has a value beyond the range of float32")
                .expected(format!("numbers from {:e} to {:e}", f32::MIN, f32::MAX))
                .found(format!("{value:e}"))
                .hint("scale the image's values before training, or replace those that are no measurements")
        } else {
            Fault::new("image has a voxel without a value")
                .expected("a finite number")
                .found(value)
                .hint("replace such voxels by the background's value before training")
        };
        Err(fault.file(path).field(place(&image.grid, index)))
    }

    fn volumes(&self) -> Result<Vec<Volume<f32>>> {
        (0..self.header.channels).map(|channel| self.volume(channel)).collect()
    }

    fn volume(&self, channel: usize) -> Result<Volume<f32>> {
        let voxels =
            decode(&self.bytes, &self.header, channel, |value| value as f32).map_err(|fault| fault.file(&self.name))?;
        Ok(Volume { grid: self.header.grid.clone(), voxels })
    }
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

    #[test]
    fn the_first_axis_runs_fastest_on_disk_and_slowest_here() {
        let volume = image(&plain()).unwrap();
        assert_eq!(volume.voxels[volume.index([1, 0, 0])], 1.0);
        assert_eq!(volume.voxels[volume.index([0, 1, 0])], 2.0);
        assert_eq!(volume.voxels[volume.index([0, 0, 1])], 6.0);
        assert_eq!(volume.voxels[volume.index([1, 2, 3])], 23.0);
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
}
