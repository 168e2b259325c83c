//! Folders as people have them: what is found, and what is said where something is missing.

use std::fs;
use std::path::Path;

use super::*;

const LABELS: &str = r#"{"name": "Spine", "labels": {"0": "background", "2": "L2", "1": "L1"}, "licence": "any"}"#;

fn folder(files: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, if file.ends_with("dataset.json") { LABELS } else { "" }).unwrap();
    }
    folder
}

fn summary(files: &[&str]) -> String {
    Layout::read(folder(files).path()).unwrap_err().to_string()
}

#[test]
fn cases_are_sorted_by_id_and_classes_by_value() {
    let folder = folder(&[
        "dataset.json",
        "imagesTr/b.nii.gz",
        "imagesTr/a.nii",
        "imagesTr/._a.nii.gz",
        "imagesTr/notes.txt",
        "labelsTr/a.nii.gz",
        "labelsTr/b.nii.gz",
    ]);
    let layout = Layout::read(folder.path()).unwrap();
    assert_eq!(layout.name, "Spine");
    assert_eq!(layout.classes, [(1, "L1".to_string()), (2, "L2".to_string())]);
    let ids: Vec<&str> = layout.entries.iter().map(|entry| entry.id.as_str()).collect();
    assert_eq!(ids, ["a", "b"]);
    assert!(layout.entries[0].label.ends_with("labelsTr/a.nii.gz"));
}

#[test]
fn what_is_missing_is_named() {
    assert!(Layout::read(Path::new("/no/such/folder")).unwrap_err().summary().contains("does not exist"));
    assert!(summary(&["imagesTr/a.nii.gz"]).contains("dataset.json"));
    assert!(summary(&["dataset.json"]).contains("imagesTr"));
    assert!(summary(&["dataset.json", "imagesTr/readme.txt"]).starts_with("dataset has no image"));
    assert!(summary(&["dataset.json", "imagesTr/a.nii.gz"]).contains("labelsTr/a.nii.gz"));
    let twice = ["dataset.json", "imagesTr/a.nii.gz", "imagesTr/a.nii", "labelsTr/a.nii.gz"];
    assert!(summary(&twice).starts_with("two images have the same id"));
}

#[test]
fn two_files_of_one_id_cost_no_other_case() {
    let files = ["a.nii", "a.nii.gz", "b.nii.gz", "c.nii"].map(|name| format!("imagesTr/{name}"));
    let masks = ["a.nii.gz", "b.nii.gz", "c.nii", "c.nii.gz"].map(|name| format!("labelsTr/{name}"));
    let all: Vec<&str> =
        std::iter::once("dataset.json").chain(files.iter().chain(&masks).map(String::as_str)).collect();
    let folder = folder(&all);
    let layout = Layout::find(folder.path()).unwrap();
    let ids: Vec<&str> = layout.entries.iter().map(|entry| entry.id.as_str()).collect();
    let wrong: Vec<&str> = layout.incomplete.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!((ids, wrong, layout.orphans.len()), (vec!["b"], vec!["a", "c"], 0));
    for (_, fault) in &layout.incomplete {
        assert_eq!(fault.summary(), "two images have the same id");
        assert!(fault.parts().contains(&("hint", "move one of the two away".to_string())), "{fault}");
    }
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_description() {
    let folder = folder(&["dataset.json", "imagesTr/a.nii.gz", "labelsTr/a.nii.gz"]);
    fs::write(folder.path().join("dataset.json"), format!("\u{feff}{LABELS}")).unwrap();
    assert_eq!(Layout::find(folder.path()).unwrap().name, "Spine");
}

#[test]
fn descriptions_that_cannot_be_used_are_faults() {
    let folder = folder(&["imagesTr/a.nii.gz", "labelsTr/a.nii.gz"]);
    for (text, part) in [
        ("{", "cannot be understood"),
        (r#"{"name": "x"}"#, "labels"),
        (r#"{"labels": {"0": "background"}}"#, "no foreground"),
        (r#"{"labels": {"background": "0"}}"#, "values from 0 to 255"),
        (r#"{"labels": {"1": "a"}, "training": [{"image": "./imagesTr/z.nii.gz"}]}"#, "imagesTr/z.nii.gz"),
    ] {
        fs::write(folder.path().join("dataset.json"), text).unwrap();
        let message = Layout::read(folder.path()).unwrap_err().to_string();
        assert!(message.contains(part), "{text}: {message}");
    }
}

const NNUNET: &str = r#"{"channel_names": {"0": "T1", "1": "T2"}, "labels": {"background": 0, "L2": 2, "L1": 1},
    "numTraining": 2, "file_ending": ".nii.gz"}"#;

/// Found ids, channels per case and faults of incomplete cases, by id.
fn found(folder: &Path) -> (Layout, Vec<String>, Vec<String>) {
    let layout = Layout::find(folder).unwrap();
    let ids = layout.entries.iter().map(|entry| format!("{} {}", entry.id, entry.images.len())).collect();
    let faults = layout.incomplete.iter().map(|(id, fault)| format!("{id}: {fault}")).collect();
    (layout, ids, faults)
}

#[test]
fn nnunet_folders_have_a_file_for_each_channel() {
    let images =
        ["a_0000", "a_0001", "b_0000", "b_0001", "c_0000", "d", "e_0000", "e_0001", "e_0002", "f_0000", "f_0001"];
    let masks = ["a", "b", "c", "d", "e", "f_0000", "z"];
    let files: Vec<String> = images
        .iter()
        .map(|id| format!("imagesTr/{id}.nii.gz"))
        .chain(masks.iter().map(|id| format!("labelsTr/{id}.nii.gz")))
        .collect();
    let folder = folder(&files.iter().map(String::as_str).collect::<Vec<_>>());
    fs::write(folder.path().join("dataset.json"), NNUNET).unwrap();
    let (layout, ids, faults) = found(folder.path());
    assert_eq!((layout.kind, ids), (Kind::NnUnet, vec!["a 2".to_string(), "b 2".to_string()]));
    assert_eq!(layout.channels, ["T1", "T2"]);
    assert_eq!(layout.classes, [(1, "L1".to_string()), (2, "L2".to_string())]);
    for (fault, parts) in faults.iter().zip([
        ["c: case lacks a channel", "channel 1 (T2)", "c_0001.nii.gz", "c_0000.nii.gz"],
        ["d: image has no channel number", "imagesTr/d.nii.gz", "imagesTr/d_0000.nii.gz", "found"],
        ["e: image is a channel that nobody named", "e_0002.nii.gz", "channels 0 to 1", "channel 2"],
        ["f: image has no mask", "f_0000.nii.gz", "labelsTr/f.nii.gz", "no such file"],
    ]) {
        for part in parts {
            assert!(fault.contains(part), "{part}: {fault}");
        }
    }
    assert_eq!(faults.len(), 4);
    assert_eq!(layout.orphans.len(), 2, "f_0000 and z: {:?}", layout.orphans);
    let fault = Layout::read(folder.path()).unwrap_err();
    let hint = miette::Diagnostic::help(&fault).unwrap().to_string();
    assert!(hint.contains("3 more cases") && hint.contains("data check"), "{hint}");
}

#[test]
fn a_number_at_the_end_of_a_name_is_a_channel_only_if_masks_have_none() {
    let cases = folder(&[
        "dataset.json",
        "imagesTr/p_0000.nii",
        "imagesTr/p_0001.nii",
        "labelsTr/p_0000.nii",
        "labelsTr/p_0001.nii",
    ]);
    assert_eq!(found(cases.path()).1, ["p_0000 1", "p_0001 1"]);
    let channels = folder(&["dataset.json", "imagesTr/p_0000.nii", "imagesTr/p_0001.nii", "labelsTr/p.nii"]);
    let (layout, ids, _) = found(channels.path());
    assert_eq!((layout.kind, ids), (Kind::NnUnet, vec!["p 2".to_string()]));
    // One mask is missing: cases stay cases.
    let gap = folder(&["dataset.json", "imagesTr/p_0000.nii", "imagesTr/p_0001.nii", "labelsTr/p_0001.nii"]);
    let (_, ids, faults) = found(gap.path());
    assert_eq!((ids, faults.len()), (vec!["p_0001 1".to_string()], 1));
}

#[test]
fn plain_folders_need_no_description() {
    let one = folder(&["images/a.nii.gz", "images/b.nii", "labels/a.nii.gz", "labels/b.nii.gz"]);
    let (layout, ids, _) = found(one.path());
    assert_eq!((layout.kind, ids), (Kind::Folders, vec!["a 1".to_string(), "b 1".to_string()]));
    assert!(layout.classes.is_empty());
    let two = folder(&["images/a_0000.nii.gz", "images/a_0001.nii.gz", "masks/a.nii.gz", "dataset.json"]);
    let (layout, ids, _) = found(two.path());
    assert_eq!((layout.classes.len(), ids), (2, vec!["a 2".to_string()]));
    assert!(summary(&["images/a.nii.gz"]).contains("a folder `labels` beside `images`"));
}

#[test]
fn masks_of_bids_derivatives_find_their_images() {
    let folder = folder(&[
        "dataset_description.json",
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-01/anat/sub-01_T2w.nii.gz",
        "sub-02/ses-1/anat/sub-02_ses-1_T1w.nii.gz",
        "sub-02/ses-1/anat/sub-02_ses-1_T2w.nii.gz",
        "sub-03/anat/sub-03_T2w.nii.gz",
        "sub-04/anat/sub-04_T1w.nii.gz",
        "derivatives/prep/sub-01/anat/sub-01_desc-preproc_T1w.nii.gz",
        "derivatives/labels/dseg.tsv",
        "derivatives/labels/sub-01/anat/sub-01_desc-manual_dseg.nii.gz",
        "derivatives/labels/sub-02/ses-1/anat/sub-02_ses-1_space-orig_dseg.nii.gz",
        "derivatives/labels/sub-03/anat/sub-03_dseg.nii.gz",
        "derivatives/labels/sub-05/anat/sub-05_ses-2_dseg.nii.gz",
    ]);
    let table = folder.path().join("derivatives/labels/dseg.tsv");
    fs::write(&table, "index\tname\tabbreviation\n0\tBackground\tBG\n20\tL1\tL1\n").unwrap();
    fs::write(folder.path().join("dataset_description.json"), r#"{"Name": "Spines", "BIDSVersion": "1.10"}"#).unwrap();
    let (layout, ids, faults) = found(folder.path());
    assert_eq!((layout.name.as_str(), layout.kind), ("Spines", Kind::Bids));
    assert_eq!(ids, ["sub-01 2", "sub-02_ses-1 2"]);
    assert_eq!(layout.entries[1].subject, "sub-02");
    assert_eq!(layout.channels, ["T1w", "T2w"]);
    assert_eq!(layout.classes, [(20, "L1".to_string())]);
    assert_eq!(faults.len(), 2);
    assert!(faults[0].contains("sub-03: case lacks a channel") && faults[0].contains("T1w"), "{}", faults[0]);
    assert!(faults[1].contains("sub-05_ses-2: mask has no image"), "{}", faults[1]);
    fs::write(&table, "value;name\n").unwrap();
    assert!(Layout::find(folder.path()).unwrap_err().to_string().contains("dseg.tsv"));
}

#[test]
fn masks_that_name_their_image_use_that_alone_and_two_masks_are_refused() {
    let files = [
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-01/anat/sub-01_T2w.nii.gz",
        "derivatives/labels/sub-01/anat/sub-01_T2w_seg-manual.nii.gz",
        "sub-02/anat/sub-02_T2w.nii.gz",
        "derivatives/labels/sub-02/anat/sub-02_T2w_label-bone_mask.nii.gz",
        "derivatives/labels/sub-02/anat/sub-02_T2w_label-disc_mask.nii.gz",
    ];
    let (layout, ids, faults) = found(folder(&files).path());
    assert_eq!((ids, layout.channels), (vec!["sub-01_T2w 1".to_string()], vec!["T2w".to_string()]));
    assert!(faults[0].contains("case has two masks") && faults[0].contains("label-disc"), "{}", faults[0]);
    let none = summary(&["sub-01/anat/sub-01_T1w.nii.gz"]);
    assert!(none.contains("BIDS dataset has no mask") && none.contains("sub-01_T1w"), "{none}");
}

#[test]
fn what_was_looked_for_and_what_was_found_is_told() {
    for (files, parts) in [
        (vec!["a.dcm", "b.dcm"], ["imagesTr/", "a.dcm, b.dcm", "dcm2niix"]),
        (vec!["a.nii.gz"], ["sub-*/", "a.nii.gz", "images/ and their masks into labels/"]),
        (vec!["spine/imagesTr/a.nii"], ["images/ and labels/", "spine/", "did you mean"]),
        (vec!["a/1", "b/1", "c/1", "d/1", "e/1", "f.txt"], ["nnU-Net", "a/, b/, c/, d/ and 2 more", "name the folder"]),
    ] {
        let fault = Layout::find(folder(&files).path()).unwrap_err();
        let text = format!("{fault}\n{}", miette::Diagnostic::help(&fault).unwrap());
        for part in parts {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}

#[test]
fn descriptions_of_what_cannot_be_trained_are_refused_by_name() {
    let folder = folder(&["imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz"]);
    for (from, to, part) in [
        (r#""L2": 2"#, r#""all": [1, 2]"#, "labels that overlap"),
        (r#""L2": 2"#, r#""ignore": 2"#, "a label to ignore"),
        (r#""L2": 2"#, r#""L2": 300"#, "values from 0 to 255"),
        (".nii.gz", ".mha", "images are of another format"),
    ] {
        fs::write(folder.path().join("dataset.json"), NNUNET.replacen(from, to, 1)).unwrap();
        let text = Layout::find(folder.path()).unwrap_err().to_string();
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn an_id_that_is_mistyped_finds_its_case() {
    let folder = folder(&["dataset.json", "imagesTr/spine_01.nii", "labelsTr/spine_01.nii"]);
    let layout = Layout::find(folder.path()).unwrap();
    assert_eq!(layout.entry("spine_01").unwrap().id, "spine_01");
    let fault = layout.entry("spine_10").unwrap_err();
    assert_eq!(miette::Diagnostic::help(&fault).unwrap().to_string(), "did you mean `spine_01`?");
}
