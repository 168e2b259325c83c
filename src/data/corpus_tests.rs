//! Files as scanners, converters and broken disks leave them: each is read as it is meant, or refused in words.

#![expect(clippy::float_cmp, reason = "these values are exact")]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::header::sample::{header, put};
use super::header::{Kind, TYPES};
use super::nifti::{read_channels, read_image, read_label};
use crate::fault::{self, Result};
use crate::volume::Volume;

/// A file of 2 x 3 x 4 float32 voxels 0, 1, ... in storage order.
fn plain() -> Vec<u8> {
    of(Kind::Float32, &(0..24).map(f64::from).collect::<Vec<_>>())
}

/// A little-endian file of 2 x 3 x 4 voxels of a type.
fn of(kind: Kind, values: &[f64]) -> Vec<u8> {
    let (_, code, _, bits) = TYPES.iter().find(|(known, ..)| *known == kind).unwrap();
    let mut bytes = header();
    put(&mut bytes, 70, &code.to_le_bytes());
    put(&mut bytes, 72, &bits.to_le_bytes());
    bytes.extend([0; 4]);
    for value in values {
        match kind {
            Kind::Uint8 => bytes.extend([*value as u8]),
            Kind::Int8 => bytes.extend((*value as i8).to_le_bytes()),
            Kind::Uint16 => bytes.extend((*value as u16).to_le_bytes()),
            Kind::Int16 => bytes.extend((*value as i16).to_le_bytes()),
            Kind::Uint32 => bytes.extend((*value as u32).to_le_bytes()),
            Kind::Int32 => bytes.extend((*value as i32).to_le_bytes()),
            Kind::Uint64 => bytes.extend((*value as u64).to_le_bytes()),
            Kind::Int64 => bytes.extend((*value as i64).to_le_bytes()),
            Kind::Float32 => bytes.extend((*value as f32).to_le_bytes()),
            Kind::Float64 => bytes.extend(value.to_le_bytes()),
        }
    }
    bytes
}

/// The same file with every number's bytes reversed.
fn big_endian(little: &[u8]) -> Vec<u8> {
    let mut bytes = little.to_vec();
    let size = usize::from(bytes[72]) / 8;
    let mut swap = |at: usize, length: usize| bytes[at..at + length].reverse();
    swap(0, 4);
    (40..56).step_by(2).chain([70, 72, 252, 254]).for_each(|at| swap(at, 2));
    (76..120).step_by(4).chain((256..328).step_by(4)).for_each(|at| swap(at, 4));
    (352..little.len()).step_by(size).for_each(|at| swap(at, size));
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn file(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.nii");
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

fn image(bytes: &[u8]) -> Result<Volume<f32>> {
    let (_folder, path) = file(bytes);
    read_image(&path)
}

fn label(bytes: &[u8]) -> Result<Volume<u8>> {
    let (_folder, path) = file(bytes);
    read_label(&path)
}

#[test]
fn every_type_in_either_byte_order_packed_or_not_is_the_same_image() {
    let signed: Vec<f64> = (0..24).map(|i| f64::from(i) - 12.0).collect();
    let unsigned: Vec<f64> = (0..24).map(|i| f64::from(i * 10)).collect();
    for (kind, _, name, bits) in TYPES {
        let values = if name.starts_with('u') { &unsigned } else { &signed };
        let little = of(kind, values);
        assert_eq!(little.len(), 352 + 24 * bits as usize / 8, "{name}");
        let expected = image(&little).unwrap();
        let fastest: Vec<f32> = (0..24).map(|n| expected.voxels[expected.index([n % 2, n / 2 % 3, n / 6])]).collect();
        assert_eq!(fastest, values.iter().map(|v| *v as f32).collect::<Vec<_>>(), "{name}");
        for other in [big_endian(&little), gzip(&little), gzip(&big_endian(&little))] {
            assert_eq!(image(&other).unwrap(), expected, "{name}");
        }
        if name.starts_with('u') {
            assert_eq!(label(&little).unwrap(), expected.map(|v| *v as u8), "{name}");
        } else {
            assert_eq!(label(&little).unwrap_err().summary(), "mask has a voxel that is no label", "{name}");
        }
    }
}

#[test]
fn a_number_too_large_for_single_precision_is_not_called_infinite() {
    let mut values = vec![0.0; 24];
    for (value, summary) in
        [(1e39, "image has a value beyond the range of float32"), (f64::INFINITY, "image has a voxel without a value")]
    {
        values[5] = value;
        let fault = image(&of(Kind::Float64, &values)).unwrap_err();
        assert_eq!(fault.summary(), summary);
        assert!(fault.to_string().contains(&format!("{value:e}")), "{fault}");
    }
}

#[test]
fn many_members_extensions_and_axes_of_length_one_change_nothing() {
    let expected = image(&plain()).unwrap();
    let whole = plain();
    for at in [1, 200, 348, 352, 353, 447] {
        let (head, tail) = whole.split_at(at);
        assert_eq!(image(&[gzip(head), gzip(tail)].concat()).unwrap(), expected, "a second member at byte {at}");
    }
    assert_eq!(image(&[gzip(&whole), gzip(b"")].concat()).unwrap(), expected, "the empty last member of bgzip");
    for padded in [[gzip(&whole), vec![0; 20_000]], [gzip(&whole[..200]), [vec![0; 3], gzip(&whole[200..])].concat()]] {
        assert_eq!(image(&padded.concat()).unwrap(), expected, "zeros after a member are padding");
    }
    let (_folder, junk) = file(&[gzip(&whole), b"junkjunk".to_vec()].concat());
    let text = read_image(&junk).unwrap_err().to_string();
    assert!(text.contains("trailing bytes") && !text.contains("cut off"), "{text}");
    for axes in 3..=7_i16 {
        let mut singleton = plain();
        put(&mut singleton, 40, &axes.to_le_bytes());
        assert_eq!(image(&singleton).unwrap(), expected, "{axes} axes");
    }
    let mut extended = plain();
    put(&mut extended, 108, &384.0_f32.to_le_bytes());
    extended.splice(348..352, [1, 0, 0, 0].into_iter().chain([7; 32]));
    assert_eq!(image(&extended).unwrap(), expected, "an extension before the voxels");
    let mut older = plain();
    put(&mut older, 108, &0.0_f32.to_le_bytes());
    assert_eq!(image(&older).unwrap(), expected, "vox_offset 0");
}

#[test]
fn channels_stand_along_the_fourth_axis() {
    let mut bytes = of(Kind::Int16, &(0..48).map(f64::from).collect::<Vec<_>>());
    put(&mut bytes, 40, &[4_i16, 2, 3, 4, 2].iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<_>>());
    let (_folder, path) = file(&bytes);
    let channels = read_channels(&path).unwrap();
    assert_eq!(channels.len(), 2);
    assert_eq!(channels[0], image(&plain()).unwrap());
    assert_eq!(channels[1], channels[0].map(|v| v + 24.0));
    for fault in [read_image(&path).unwrap_err(), read_label(&path).unwrap_err()] {
        assert_eq!(fault.summary(), "image has more than three axes");
        assert!(fault.to_string().contains("2 volumes"), "{fault}");
    }
}

#[test]
fn slopes_scale_in_double_precision_and_slopes_that_are_none_scale_nothing() {
    let mut bytes = of(Kind::Uint8, &(0..24).map(f64::from).collect::<Vec<_>>());
    put(&mut bytes, 112, &[0.5_f32.to_le_bytes(), (-1.0_f32).to_le_bytes()].concat());
    let scaled = image(&bytes).unwrap();
    assert_eq!((scaled.voxels[12], scaled.voxels[scaled.index([1, 2, 3])]), (-0.5, 10.5));
    assert_eq!(image(&big_endian(&bytes)).unwrap(), scaled);
    for none in [0.0, f32::NAN, f32::INFINITY] {
        put(&mut bytes, 112, &none.to_le_bytes());
        assert_eq!(image(&bytes).unwrap().voxels[12], 1.0, "slope {none}");
    }
    // Masks too: some exporters store labels 0, 1, 2 as 0, 100, 200.
    let mut mask = of(Kind::Uint8, &(0..24).map(|i| f64::from(i % 3 * 100)).collect::<Vec<_>>());
    put(&mut mask, 112, &0.01_f32.to_le_bytes());
    assert_eq!(label(&mask).unwrap().voxels.iter().max(), Some(&2));
}

#[test]
fn orientations_are_those_of_nibabel() {
    // nibabel 5.4.2, `nib.load(file).affine`; spacing 1 x 2 x 3 mm.
    let root = |x: f64| x.sqrt() as f32;
    let oblique = [[0.0, -2.0 * 0.6, 3.0 * 0.8, 5.0], [1.0, 0.0, 0.0, -6.0], [0.0, 2.0 * 0.8, 3.0 * 0.6, 7.0]];
    let mut sform = plain();
    put(&mut sform, 254, &1_i16.to_le_bytes());
    for (place, value) in oblique.as_flattened().iter().enumerate() {
        put(&mut sform, 280 + 4 * place, &(*value as f32).to_le_bytes());
    }
    let quaternion = |[b, c, d]: [f32; 3], qfac: f32| {
        let mut bytes = plain();
        put(&mut bytes, 76, &qfac.to_le_bytes());
        put(&mut bytes, 252, &1_i16.to_le_bytes());
        for (place, value) in [b, c, d, -10.0, 20.0, 5.5].iter().enumerate() {
            put(&mut bytes, 256 + 4 * place, &value.to_le_bytes());
        }
        bytes
    };
    let mut both = sform.clone();
    put(&mut both, 252, &1_i16.to_le_bytes());
    let cases = [
        ("sform, oblique, axes permuted", sform, oblique),
        ("sform before qform", both, oblique),
        (
            "quarter turn",
            quaternion([0.0, 0.0, root(0.5)], 1.0),
            [[0.0, -2.0, 0.0, -10.0], [1.0, 0.0, 0.0, 20.0], [0.0, 0.0, 3.0, 5.5]],
        ),
        (
            "sagittal, left-handed",
            quaternion([0.5, -0.5, -0.5], -1.0),
            [[0.0, 0.0, 3.0, -10.0], [-1.0, 0.0, 0.0, 20.0], [0.0, 2.0, 0.0, 5.5]],
        ),
        (
            "qfac 0 counts as 1 (nifti1.h)",
            quaternion([0.0, 0.0, 1.0], 0.0),
            [[-1.0, 0.0, 0.0, -10.0], [0.0, -2.0, 0.0, 20.0], [0.0, 0.0, 3.0, 5.5]],
        ),
        ("none", plain(), [[-1.0, 0.0, 0.0, 0.5], [0.0, 2.0, 0.0, -2.0], [0.0, 0.0, 3.0, -4.5]]),
    ];
    for (name, bytes, affine) in cases {
        for bytes in [bytes.clone(), big_endian(&bytes)] {
            let grid = image(&bytes).unwrap_or_else(|fault| panic!("{name}: {fault}")).grid;
            for (found, wanted) in grid.affine.as_flattened().iter().zip(affine.as_flattened()) {
                assert!((found - wanted).abs() < 1e-5, "{name}: {:?} is not {affine:?}", grid.affine);
            }
            assert_eq!(grid.spacing, [1.0, 2.0, 3.0], "{name}");
        }
    }
}

#[test]
fn rounded_spacing_and_an_empty_sform_are_read_as_they_are_meant() {
    let with_sform = |diagonal: [f32; 3]| {
        let mut bytes = plain();
        put(&mut bytes, 254, &1_i16.to_le_bytes());
        for (axis, step) in diagonal.into_iter().enumerate() {
            put(&mut bytes, 280 + 20 * axis, &step.to_le_bytes());
        }
        bytes
    };
    // pixdim says 1 x 2 x 3 mm.
    let rounded = image(&with_sform([0.992_187_5, -2.015_625, 3.0])).unwrap().grid;
    assert_eq!(rounded.spacing, [0.992_187_5, 2.015_625, 3.0], "the columns are the spacing");
    assert_eq!([0, 1, 2].map(|axis| rounded.affine[axis][axis]), [0.992_187_5, -2.015_625, 3.0]);
    for contradiction in [[1.0, 2.0, 3.0625], [0.984_375, 2.0, 3.0], [0.0, 0.0, 0.0], [1.0, 2.0, 0.0]] {
        let fault = image(&with_sform(contradiction)).unwrap_err();
        assert_eq!(fault.summary(), "orientation and voxel size contradict each other", "{contradiction:?}");
    }
    let mut empty = with_sform([0.0; 3]);
    put(&mut empty, 252, &1_i16.to_le_bytes());
    put(&mut empty, 264, &1.0_f32.to_le_bytes());
    put(&mut empty, 268, &[-10.0_f32, 20.0, 5.5].iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>());
    for bytes in [empty.clone(), big_endian(&empty)] {
        let affine = image(&bytes).unwrap().grid.affine;
        assert_eq!(affine, [[-1.0, 0.0, 0.0, -10.0], [0.0, -2.0, 0.0, 20.0], [0.0, 0.0, 3.0, 5.5]], "the qform");
    }
    // A qform beside an sform that says something is not asked.
    put(&mut empty, 280, &1.0_f32.to_le_bytes());
    assert_eq!(image(&empty).unwrap_err().summary(), "orientation and voxel size contradict each other");
}

#[test]
fn broken_files_are_faults_that_name_the_file() {
    let with = |place: usize, value: &[u8]| {
        let mut bytes = plain();
        put(&mut bytes, place, value);
        bytes
    };
    let shorts = |numbers: &[i16]| numbers.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<_>>();
    let packed = gzip(&plain());
    let mut flipped = packed.clone();
    let at = packed.len() - 6;
    flipped[at] ^= 0xff;
    let mut sheared = with(254, &shorts(&[1]));
    put(&mut sheared, 280, &f32::NAN.to_le_bytes());
    let mut turned = with(252, &shorts(&[1]));
    put(&mut turned, 256, &[2.0_f32.to_le_bytes(), 2.0_f32.to_le_bytes()].concat());
    let mut second = plain();
    put(&mut second, 0, &540_i32.to_le_bytes());
    put(&mut second, 4, b"n+2\0\r\n\x1a\n");
    let cases: [(&str, Vec<u8>, &str); 22] = [
        ("empty", vec![], "file is too short for a NIfTI-1 header"),
        ("noise", (0..2000_u32).map(|i| ((i * i) >> 3) as u8).collect(), "not a NIfTI-1 image"),
        ("another format", [b"\x89PNG\r\n\x1a\n".to_vec(), vec![0; 800]].concat(), "not a NIfTI-1 image"),
        ("DICOM", [vec![0; 128], b"DICM".to_vec(), vec![0; 800]].concat(), "not a NIfTI-1 image"),
        ("NIfTI-2", second, "not a NIfTI-1 image"),
        ("a pair", with(344, b"ni1\0"), "header and voxels are in two files"),
        ("short", plain()[..440].to_vec(), "image is cut off"),
        ("header alone", plain()[..348].to_vec(), "image is cut off"),
        ("short gzip", packed[..packed.len() / 2].to_vec(), "compressed file is cut off"),
        ("no checksum", packed[..packed.len() - 8].to_vec(), "compressed file is cut off"),
        ("wrong checksum", flipped, "compressed file is damaged"),
        ("rubbish after the padding", [packed.clone(), vec![0; 9], vec![7; 40]].concat(), "compressed file is damaged"),
        (
            "a second member of rubbish",
            [packed.clone(), vec![0x1f, 0x8b], vec![9; 40]].concat(),
            "compressed file is damaged",
        ),
        ("not a number", with(352 + 4 * 7, &f32::NAN.to_le_bytes()), "image has a voxel without a value"),
        ("infinite", with(352, &f32::INFINITY.to_le_bytes()), "image has a voxel without a value"),
        ("wrong bitpix", with(72, &shorts(&[16])), "voxel size contradicts voxel type"),
        ("complex", with(70, &shorts(&[32, 64])), "voxel type is not supported"),
        ("zero spacing", with(84, &0.0_f32.to_le_bytes()), "spacing is not a distance"),
        ("bad quaternion", turned, "orientation is not a rotation"),
        ("sform of no number", sheared, "orientation and voxel size contradict each other"),
        ("a gigavoxel", with(42, &shorts(&[1024, 1024, 1024])), "image is cut off"),
        ("absurd", with(40, &shorts(&[4, 32767, 32767, 32767, 32767])), "image is impossibly large"),
    ];
    for (name, bytes, summary) in cases {
        for fault in [image(&bytes).expect_err(name), label(&bytes).expect_err(name)] {
            let is_label = fault.summary() == "mask has a voxel that is no label";
            assert!(fault.summary() == summary || is_label, "{name}: {fault}");
            assert!(fault.to_string().contains("a.nii"), "{name}: {fault}");
            assert!(miette::Diagnostic::help(&fault).is_some(), "{name}: {fault}");
            assert_eq!(fault.kind(), fault::Kind::BadInput, "{name}");
        }
    }
    assert_eq!(read_image(Path::new("/no/such.nii")).unwrap_err().kind(), fault::Kind::BadInput);
}

/// A gigavoxel of float64 would be 8 GiB; the process must not grow by more than the bytes that are there.
#[test]
#[cfg(target_os = "linux")]
fn a_header_that_lies_about_its_size_allocates_nothing() {
    let peak = || {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmPeak")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    };
    let mut bytes = of(Kind::Float64, &[0.0; 24]);
    put(&mut bytes, 42, &[1024_i16, 1024, 1024].iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<_>>());
    let before = peak();
    for bytes in [bytes.clone(), gzip(&bytes)] {
        assert_eq!(image(&bytes).unwrap_err().summary(), "image is cut off");
    }
    assert!(peak() - before < 2048, "the address space grew by {} MiB", peak() - before);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    /// Headers with a few fields at random, most of them at the places that decide something.
    #[test]
    fn a_damaged_file_is_a_fault_or_an_image_but_never_a_panic(
        changes in prop::collection::vec((0_usize..448, any::<u8>()), 0..4),
        fields in prop::collection::vec((prop::sample::select(PLACES), any::<[u8; 4]>()), 0..3),
        small in prop::collection::vec((40_usize..56, 0_u8..6), 0..3),
        kept in 300_usize..449,
        packed: bool,
        swapped: bool,
    ) {
        let mut bytes = plain();
        for (place, value) in fields {
            put(&mut bytes, place, &value);
        }
        for (place, value) in changes.into_iter().chain(small) {
            bytes[place] = value;
        }
        if swapped && bytes[72] == 32 {
            bytes = big_endian(&bytes);
        }
        bytes.truncate(kept);
        let (_folder, path) = file(&if packed { gzip(&bytes) } else { bytes });
        let whole = |grid: &crate::volume::Grid, voxels: usize| {
            voxels == grid.voxels()
                && grid.spacing.iter().all(|s| *s > 0.0 && s.is_finite())
                && grid.affine.as_flattened().iter().all(|x| x.is_finite())
        };
        match read_channels(&path) {
            Ok(channels) => for channel in &channels {
                prop_assert!(whole(&channel.grid, channel.voxels.len()));
                prop_assert!(channel.voxels.iter().all(|v| v.is_finite()));
            },
            Err(fault) => prop_assert!(fault.to_string().contains("a.nii") && fault.kind() == fault::Kind::BadInput),
        }
        let label = read_label(&path);
        prop_assert!(label.is_err() || label.is_ok_and(|label| whole(&label.grid, label.voxels.len())));
    }

    #[test]
    fn noise_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..1000), packed: bool) {
        let bytes = if packed { gzip(&bytes) } else { bytes };
        prop_assert!(image(&bytes).is_err());
    }
}

/// Where the fields that decide geometry and values begin.
const PLACES: &[usize] =
    &[40, 42, 46, 48, 70, 76, 80, 84, 88, 108, 112, 116, 123, 252, 254, 256, 260, 268, 280, 296, 320];
