//! Which files belong to which case: the folder of the Medical Segmentation Decathlon.
//!
//! `imagesTr/ID.nii.gz`, `labelsTr/ID.nii.gz` and a `dataset.json` with `name` and `labels` (value to name). The folder
//! is the truth about cases; where `dataset.json` lists its cases, each listed file must exist. Opens no image.
//! Format: Antonelli et al. (2022), "The Medical Segmentation Decathlon".

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::fault::{Fault, Result};

/// A dataset's files and names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The dataset's name.
    pub name: String,
    /// Label value and name of every foreground class, by value.
    pub classes: Vec<(u8, String)>,
    /// The cases, by id.
    pub entries: Vec<Entry>,
}

/// The files of one case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The file name without its ending, the same for image and mask.
    pub id: String,
    /// The image.
    pub image: PathBuf,
    /// Its mask.
    pub label: PathBuf,
}

/// What is read of `dataset.json`; its other entries (licence, reference, ...) are free.
#[derive(Deserialize)]
struct Description {
    name: Option<String>,
    labels: BTreeMap<String, String>,
    #[serde(default)]
    training: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    image: String,
}

impl Layout {
    /// Finds the cases of a folder.
    ///
    /// # Errors
    /// If the folder, `dataset.json`, `imagesTr`, a mask or a listed image is missing, `dataset.json` cannot be
    /// understood, or there is no case at all.
    pub fn read(folder: &Path) -> Result<Self> {
        if !folder.is_dir() {
            return Err(Fault::new("dataset folder does not exist")
                .file(folder)
                .expected("a folder")
                .found("nothing")
                .hint(SHAPE));
        }
        let path = folder.join("dataset.json");
        let text = fs::read_to_string(&path).map_err(|error| Fault::io("read", &path, &error).hint(SHAPE))?;
        let description: Description = serde_json::from_str(&text).map_err(|error| {
            Fault::new("dataset.json cannot be understood").file(&path).expected("JSON with `labels`").found(error).hint(
                "it needs at least: {\"name\": \"Spine\", \"labels\": {\"0\": \"background\", \"1\": \"vertebra\"}}",
            )
        })?;
        let entries = entries(folder)?;
        let ids: BTreeSet<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
        for listed in &description.training {
            let file = listed.image.rsplit('/').next().unwrap_or_default();
            if stem(file).is_none_or(|id| !ids.contains(id)) {
                return Err(Fault::new("dataset.json lists an image that is not there")
                    .file(&path)
                    .field("training")
                    .expected(folder.join("imagesTr").join(file).display())
                    .found("no such image")
                    .hint("the dataset was copied incompletely, or the list is of another version"));
            }
        }
        let name = description.name.unwrap_or_else(|| folder.file_name().unwrap_or_default().to_string_lossy().into());
        Ok(Self { name, classes: classes(&description.labels, &path)?, entries })
    }
}

const SHAPE: &str = "a dataset is a folder with dataset.json, imagesTr/ID.nii.gz and labelsTr/ID.nii.gz (Medical Segmentation Decathlon)";

/// Label values with their names, background left out.
fn classes(labels: &BTreeMap<String, String>, path: &Path) -> Result<Vec<(u8, String)>> {
    let fault = |found: &str| {
        Fault::new("dataset.json has labels that cannot be used")
            .file(path)
            .field("labels")
            .found(found.to_string())
            .hint("for example: \"labels\": {\"0\": \"background\", \"1\": \"vertebra\"}")
    };
    let mut classes = BTreeMap::new();
    for (value, name) in labels {
        let value: u8 = value.trim().parse().map_err(|_| {
            fault(&format!("\"{value}\": \"{name}\"")).expected("values from 0 to 255, each with its name")
        })?;
        if classes.insert(value, name.clone()).is_some() {
            return Err(fault(&format!("value {value} twice")).expected("every value once"));
        }
    }
    classes.remove(&0);
    if classes.is_empty() {
        return Err(fault("no foreground").expected("at least one label beside \"0\": \"background\""));
    }
    Ok(classes.into_iter().collect())
}

/// Images with their masks, sorted by id.
fn entries(folder: &Path) -> Result<Vec<Entry>> {
    let (images, labels) = (folder.join("imagesTr"), folder.join("labelsTr"));
    let found = nifti_files(&images).map_err(|fault| fault.hint(SHAPE))?;
    if found.is_empty() {
        return Err(Fault::new("dataset has no image")
            .file(images)
            .expected("files named ID.nii.gz or ID.nii")
            .found("none")
            .hint(SHAPE));
    }
    let pair = |(id, image): (String, PathBuf)| {
        let candidates = [labels.join(format!("{id}.nii.gz")), labels.join(format!("{id}.nii"))];
        match candidates.iter().find(|path| path.is_file()) {
            Some(label) => Ok(Entry { id, image, label: label.clone() }),
            None => Err(Fault::new("image has no mask")
                .file(image)
                .expected(candidates[0].display())
                .found("no such file")
                .hint("masks have the name of their image; move images without a mask to imagesTs")),
        }
    };
    found.into_iter().map(pair).collect()
}

/// The NIfTI files of a folder by id; what lies in its subfolders does not count.
///
/// # Errors
/// If the folder cannot be read, or two files have the same id (`ID.nii` and `ID.nii.gz`).
pub(super) fn nifti_files(folder: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let listing = fs::read_dir(folder).map_err(|error| Fault::io("read", folder, &error))?;
    let mut found: BTreeMap<String, PathBuf> = BTreeMap::new();
    for item in listing {
        let path = item.map_err(|error| Fault::io("read", folder, &error))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // Some archives carry the shadow files of another file system (`._ID.nii.gz`), which hold no image.
        let Some(id) = stem(&name).filter(|_| !name.starts_with('.')) else { continue };
        if let Some(other) = found.insert(id.to_string(), path.clone()) {
            let (first, second) = if other < path { (other, path) } else { (path, other) };
            return Err(Fault::new("two images have the same id")
                .file(first)
                .expected("one file for each id")
                .found(second.display())
                .hint("move one of the two away"));
        }
    }
    Ok(found)
}

/// The id in a file name, if it is the name of a NIfTI image.
pub(super) fn stem(name: &str) -> Option<&str> {
    name.strip_suffix(".nii.gz").or_else(|| name.strip_suffix(".nii"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: &str = r#"{"name": "Spine", "labels": {"0": "background", "2": "L2", "1": "L1"}, "licence": "any"}"#;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, if file.ends_with("json") { LABELS } else { "" }).unwrap();
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
}
