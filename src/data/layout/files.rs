//! What lies in a folder: images by id, and words for what is there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::fault::{Fault, Result};

/// Names that a message lists before it says how many more there are.
const LISTED: usize = 4;

/// The NIfTI files of a folder by id; what lies in its subfolders does not count.
///
/// # Errors
/// If the folder cannot be read, or two files have the same id (`ID.nii` and `ID.nii.gz`).
pub(in crate::data) fn nifti_files(folder: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let (found, clashes) = nifti_files_and_clashes(folder)?;
    clashes.into_iter().next().map_or(Ok(found), |(_, fault)| Err(fault))
}

/// As [`nifti_files`], with a fault for every id that two files have; one of the two stands for both.
///
/// # Errors
/// If the folder cannot be read.
pub(super) fn nifti_files_and_clashes(folder: &Path) -> Result<(BTreeMap<String, PathBuf>, BTreeMap<String, Fault>)> {
    let listing = fs::read_dir(folder).map_err(|error| Fault::io("read", folder, &error))?;
    let (mut found, mut clashes) = (BTreeMap::new(), BTreeMap::new());
    for item in listing {
        let path = item.map_err(|error| Fault::io("read", folder, &error))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // Some archives carry the shadow files of another file system (`._ID.nii.gz`), which hold no image.
        let Some(id) = stem(&name).filter(|_| !name.starts_with('.')) else { continue };
        if let Some(other) = found.insert(id.to_string(), path.clone()) {
            let (first, second): (PathBuf, PathBuf) = if other < path { (other, path) } else { (path, other) };
            let fault = Fault::new("two images have the same id")
                .file(first)
                .expected("one file for each id")
                .found(second.display())
                .hint("move one of the two away");
            clashes.insert(id.to_string(), fault);
        }
    }
    Ok((found, clashes))
}

/// The id in a file name, if it is the name of a NIfTI image.
pub(in crate::data) fn stem(name: &str) -> Option<&str> {
    name.strip_suffix(".nii.gz").or_else(|| name.strip_suffix(".nii"))
}

/// Every name in a folder but hidden ones, sorted; folders end in `/`. Nothing if it cannot be read.
pub(super) fn names(folder: &Path) -> Vec<String> {
    let items = fs::read_dir(folder).into_iter().flatten().flatten();
    let name = |item: fs::DirEntry| {
        let ending = if item.path().is_dir() { "/" } else { "" };
        format!("{}{ending}", item.file_name().to_string_lossy())
    };
    let mut names: Vec<String> = items.map(name).filter(|name| !name.starts_with('.')).collect();
    names.sort();
    names
}

/// The folders in a folder, sorted.
pub(super) fn subfolders(folder: &Path) -> Vec<PathBuf> {
    names(folder)
        .iter()
        .filter(|name| name.ends_with('/'))
        .map(|name| folder.join(name.trim_end_matches('/')))
        .collect()
}

/// What is in a folder, in a few words.
pub(super) fn listing(folder: &Path) -> String {
    few(&names(folder))
}

/// The first of some names, and how many more there are.
pub(super) fn few(names: &[String]) -> String {
    match names {
        [] => "nothing".to_string(),
        names if names.len() <= LISTED => names.join(", "),
        names => format!("{} and {} more", names[..LISTED].join(", "), names.len() - LISTED),
    }
}
