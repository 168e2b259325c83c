//! A dataset with one defect of each kind: all of them are found, each in its case, and nothing else.

use std::fs;
use std::io::{Read as _, Write as _};

use super::*;
use crate::data::nifti::{read_grid, read_label, write_new_image, write_new_label};
use crate::fault::Result;
use crate::volume::orientation::turned;
use crate::volume::{Grid, Volume};

/// A folder in the form of the Medical Segmentation Decathlon with two labels.
struct Set(tempfile::TempDir);

impl Set {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("set");
        fs::create_dir_all(folder.join("imagesTr")).unwrap();
        fs::create_dir_all(folder.join("labelsTr")).unwrap();
        let text = r#"{"name": "Set", "labels": {"0": "background", "1": "left", "2": "right"}}"#;
        fs::write(folder.join("dataset.json"), text).unwrap();
        Self(home)
    }

    fn folder(&self) -> PathBuf {
        self.0.path().join("set")
    }

    /// Adds a case; `number` makes its voxels differ from those of others.
    fn add(&self, number: usize, change: impl FnOnce(&mut Volume<i16>, &mut Volume<u8>)) -> String {
        let grid = Grid {
            shape: [12, 10, 8],
            spacing: [1.0, 1.0, 3.0],
            affine: [[0.0, 0.0, 3.0, -9.0], [0.0, -1.0, 0.0, 4.0], [1.0, 0.0, 0.0, -7.0]],
        };
        let voxels = (0..grid.voxels()).map(|i| ((i * 7 + number * 13 + i * i % 11) % 500) as i16).collect();
        let mut image = Volume { grid: grid.clone(), voxels };
        let label = |i: usize| {
            let (j, k) = (i / 8 % 10, i % 8);
            let inside = (1..7).contains(&k) && (2..8).contains(&j) && (i / 80 >= 2) && i / 80 < 9 + number % 2;
            u8::from(inside) * (1 + u8::from(j >= 5))
        };
        let mut mask = Volume { voxels: (0..grid.voxels()).map(label).collect(), grid };
        mask.voxels[80 + 8 * (2 + number % 6) + 1 + number / 6] = 1;
        change(&mut image, &mut mask);
        let id = format!("case_{number:02}");
        write_new_image(&self.folder().join(format!("imagesTr/{id}.nii.gz")), &image).unwrap();
        write_new_label(&self.folder().join(format!("labelsTr/{id}.nii.gz")), &mask).unwrap();
        id
    }

    fn check(&self) -> Report {
        check(&self.folder(), None, &mut |_, _| ()).unwrap().0
    }

    fn out(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// Severity, case and kind of every finding.
fn told(report: &Report) -> Vec<(Severity, &str, &str)> {
    report.findings.iter().map(|f| (f.severity, f.case.as_deref().unwrap_or("set"), f.what.as_str())).collect()
}

#[test]
fn a_good_dataset_has_no_finding_and_true_numbers() {
    let set = Set::new();
    for number in 0..6 {
        set.add(number, |_, _| ());
    }
    let report = set.check();
    assert_eq!(told(&report), []);
    assert!(report.is_usable());
    assert_eq!((report.count, report.cases.len(), report.classes.len()), (6, 6, 2));
    let facts = &report.cases[1];
    assert_eq!((facts.shape, facts.spacing_mm, facts.axes.as_str()), ([12, 10, 8], [1.0, 1.0, 3.0], "SPR"));
    let mask = read_label(&set.folder().join("labelsTr/case_01.nii.gz")).unwrap();
    for (value, voxels) in &facts.labels {
        let mut own = mask.voxels.clone();
        own.retain(|v| v == value);
        assert_eq!(own.len(), *voxels);
    }
    assert_eq!(facts.voxel_mm3(), 3.0);
}

#[test]
fn every_defect_is_found_in_its_case_and_told_with_its_cure() {
    use Severity::{Unusable, Warning};
    let set = Set::new();
    for number in 0..12 {
        set.add(number, |_, _| ());
    }
    set.add(12, |_, mask| mask.grid = Grid::aligned(mask.grid.shape, [1.0; 3]));
    set.add(13, |_, mask| mask.grid = turned(&mask.grid, [0, 1, 2], [true, false, false]));
    set.add(14, |_, mask| {
        mask.grid.shape[0] = 11;
        mask.voxels.truncate(11 * 80);
    });
    set.add(15, |_, mask| mask.voxels[3] = 7);
    set.add(16, |_, mask| mask.voxels.iter_mut().skip(4).step_by(8).for_each(|v| *v = 0));
    set.add(17, |_, mask| mask.voxels.iter_mut().for_each(|v| *v = (*v).min(1)));
    set.add(18, |_, mask| mask.voxels.fill(0));
    set.add(19, |image, _| image.voxels.fill(9));
    set.add(20, |image, _| image.voxels.iter_mut().enumerate().for_each(|(i, v)| *v = i16::from(i == 7)));
    set.add(21, |image, mask| {
        for grid in [&mut image.grid, &mut mask.grid] {
            grid.spacing[2] = 9.0;
            grid.affine[0][2] = 9.0;
        }
    });
    set.add(22, |image, mask| {
        for grid in [&mut image.grid, &mut mask.grid] {
            grid.affine[1][1] = 1.0;
        }
    });
    set.add(23, |_, _| ());
    fs::write(set.folder().join("imagesTr/case_23.nii.gz"), b"rubbish").unwrap();
    set.add(24, |_, _| ());
    fs::remove_file(set.folder().join("labelsTr/case_24.nii.gz")).unwrap();
    // The image of case 3 under another name, with another header and its own mask.
    set.add(25, |image, mask| {
        let other = crate::data::nifti::read_image(&set.folder().join("imagesTr/case_03.nii.gz")).unwrap();
        image.voxels = other.voxels.iter().map(|v| *v as i16).collect();
        for grid in [&mut image.grid, &mut mask.grid] {
            grid.affine[0][3] = 40.0;
        }
    });
    set.add(26, |_, mask| {
        mask.voxels = read_label(&set.folder().join("labelsTr/case_05.nii.gz")).unwrap().voxels;
    });
    fs::copy(set.folder().join("labelsTr/case_01.nii.gz"), set.folder().join("labelsTr/case_99.nii.gz")).unwrap();
    let report = set.check();
    let expected = [
        (Unusable, "case_12", "mask has another header than its image"),
        (Unusable, "case_13", "mask has the voxels of its image in another order"),
        (Unusable, "case_14", "mask is on another grid than its image"),
        (Unusable, "case_15", "mask has labels that nobody named"),
        (Warning, "case_16", "label vanishes inside its extent"),
        (Warning, "case_16", "label vanishes inside its extent"),
        (Warning, "case_17", "label is missing"),
        (Warning, "case_18", "mask is empty"),
        (Unusable, "case_19", "image is constant"),
        (Unusable, "case_20", "image is nearly constant"),
        (Warning, "case_21", "spacing is unusual"),
        (Warning, "case_22", "axes run another way than in most cases"),
        (Unusable, "case_23", "file is too short for a NIfTI-1 header"),
        (Unusable, "case_24", "image has no mask"),
        (Unusable, "case_25", "image is that of another case"),
        (Warning, "case_26", "mask is that of another case"),
        (Warning, "set", "mask has no image"),
    ];
    assert_eq!(told(&report), expected);
    assert!(!report.is_usable());
    for finding in &report.findings {
        let whole = finding.expected.is_some() && finding.found.is_some() && finding.hint.is_some();
        assert!(whole, "{finding:?}");
    }
    let gap = &report.findings[4];
    assert_eq!(gap.found.as_deref(), Some("none on k = 4"));
    assert_eq!(gap.field.as_deref(), Some("label 1 (left)"));
    let text = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report, "reports survive being kept");
}

#[test]
fn a_rounded_voxel_size_is_told_with_what_is_used_instead() {
    let set = Set::new();
    let size = |number: usize, spacing: f64| {
        set.add(number, |image, mask| {
            for grid in [&mut image.grid, &mut mask.grid] {
                grid.spacing[0] = spacing;
                grid.affine[2][0] = spacing;
            }
        })
    };
    // As exporters write it: all digits in the sform, two in pixdim.
    let rounded = |path: PathBuf, pixdim: f32| {
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(fs::File::open(&path).unwrap()).read_to_end(&mut bytes).unwrap();
        bytes[80..84].copy_from_slice(&pixdim.to_le_bytes());
        let mut file = flate2::write::GzEncoder::new(fs::File::create(path).unwrap(), flate2::Compression::fast());
        file.write_all(&bytes).unwrap();
        file.finish().unwrap();
    };
    size(0, 0.351_562_5);
    let id = size(1, 0.351_562_5);
    rounded(set.folder().join(format!("imagesTr/{id}.nii.gz")), 0.35);
    rounded(set.folder().join(format!("labelsTr/{id}.nii.gz")), 0.35);
    let report = set.check();
    let expected = (Severity::Warning, id.as_str(), "voxel size is rounded in the header");
    assert_eq!(told(&report), [expected, expected], "image and mask");
    assert!((report.cases[1].spacing_mm[0] - 0.351_562_5).abs() < 1e-6, "{:?}", report.cases[1].spacing_mm);
    let finding = &report.findings[0];
    assert!(finding.expected.as_deref().unwrap().starts_with("0.35156"), "{finding:?}");
    assert_eq!(finding.found.as_deref(), Some("0.35 x 1 x 3 mm, up to 0.44 % off"));
    assert!(finding.hint.as_deref().unwrap().contains("the sform is used"));
}

#[test]
fn a_verdict_is_kept_until_a_byte_changes() {
    let set = Set::new();
    for number in 0..2 {
        set.add(number, |_, _| ());
    }
    let verdicts = set.out("verdicts");
    let run = || check(&set.folder(), Some(&verdicts), &mut |_, _| ()).unwrap();
    let (first, known) = run();
    assert!(!known);
    assert_eq!(run(), (first.clone(), true));
    set.add(1, |image, _| image.voxels[0] += 1);
    let (second, known) = run();
    assert!(!known && second.digest != first.digest);
    // A damaged verdict is no verdict.
    for file in fs::read_dir(&verdicts).unwrap() {
        fs::write(file.unwrap().path(), "{").unwrap();
    }
    assert_eq!(run(), (second, false));
}

#[test]
fn masks_get_the_header_of_their_image_in_a_folder_of_their_own() -> Result<()> {
    let set = Set::new();
    set.add(0, |_, _| ());
    set.add(1, |_, mask| mask.grid = Grid::aligned(mask.grid.shape, [1.0; 3]));
    let masks = |folder: PathBuf, number: usize| folder.join(format!("case_{number:02}.nii.gz"));
    let (labels, out) = (set.folder().join("labelsTr"), set.out("mended"));
    let before = fs::read(masks(labels.clone(), 1)).unwrap();
    assert_eq!(copy_geometry(&set.folder(), &out)?, [masks(out.clone(), 1)]);
    assert_eq!(fs::read(masks(labels.clone(), 1)).unwrap(), before, "the dataset is as it was");
    assert_eq!(fs::read(masks(labels.clone(), 0)).unwrap(), fs::read(masks(out.clone(), 0)).unwrap());
    assert_eq!(read_grid(&masks(out.clone(), 1))?, read_grid(&masks(set.folder().join("imagesTr"), 1))?);
    assert_eq!(read_label(&masks(out.clone(), 1))?.voxels, read_label(&masks(labels.clone(), 1))?.voxels);
    assert!(copy_geometry(&set.folder(), &out).unwrap_err().summary().contains("not empty"));
    fs::remove_dir_all(&labels).unwrap();
    fs::rename(&out, &labels).unwrap();
    assert_eq!(told(&set.check()), []);

    set.add(2, |_, mask| mask.grid = turned(&mask.grid, [0, 1, 2], [false, true, false]));
    let fault = copy_geometry(&set.folder(), &out).unwrap_err();
    assert!(fault.to_string().contains("case_02"), "{fault}");
    assert_eq!(fs::read_dir(set.0.path()).unwrap().count(), 1, "nothing is left behind");
    Ok(())
}

/// The development set has one known gap in its annotations, and no other defect.
#[test]
fn the_gap_in_a_lumbar_spine_is_found() {
    let Some(root) = std::env::var_os("LOSSGEN_TEST_DATA") else { return };
    let (report, _) = check(&PathBuf::from(root).join("lumbar_myosegmentum"), None, &mut |_, _| ()).unwrap();
    assert_eq!(told(&report), [(Severity::Warning, "lumbar_31", "label vanishes inside its extent")]);
    let finding = &report.findings[0];
    assert_eq!(finding.field.as_deref(), Some("label 3 (L3)"));
    assert_eq!(finding.found.as_deref(), Some("none on k = 11"));
}
