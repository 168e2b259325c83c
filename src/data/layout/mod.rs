//! Which files belong to which case, in the layouts that people have.
//!
//! Medical Segmentation Decathlon and nnU-Net raw folders (`dataset.json`, `imagesTr`, `labelsTr`), BIDS derivatives, and
//! plain `images` + `labels`. The files are the truth about cases; what `dataset.json` lists must exist. Guards one rule:
//! no file is guessed. A name that does not fit is a fault that shows the name found and the name expected, because a
//! mask paired with the wrong image trains without complaint. Opens no image, except to count labels that nobody named.

mod bids;
mod description;
mod files;
mod folders;
mod images;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::nifti;
use crate::fault::{Fault, Result};

pub(super) use files::{nifti_files, stem};
pub(super) use images::is_numbered;
pub use images::{Found, images};

/// A dataset's files and names.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The dataset's name.
    pub name: String,
    /// The folder.
    pub folder: PathBuf,
    /// What the folder looks like.
    pub kind: Kind,
    /// Label value and name of every foreground class, by value; empty after [`Layout::find`] where nothing names them.
    pub classes: Vec<(u8, String)>,
    /// Names of the channels of an image, one at least.
    pub channels: Vec<String>,
    /// The cases, by id.
    pub entries: Vec<Entry>,
    /// Cases whose files are incomplete or misnamed: id and what is wrong, by id.
    pub incomplete: Vec<(String, Fault)>,
    /// Masks that belong to no image.
    pub orphans: Vec<PathBuf>,
}

/// The layouts that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `imagesTr/ID.nii.gz`, channels along the fourth axis. Antonelli et al. (2022).
    Decathlon,
    /// `imagesTr/ID_0000.nii.gz`, a file for each channel. Isensee et al. (2021), raw format of nnU-Net version 2.
    NnUnet,
    /// Images and masks of subjects. Gorgolewski et al. (2016), BIDS derivatives.
    Bids,
    /// `images/ID.nii.gz` and `labels/ID.nii.gz`.
    Folders,
}

impl Kind {
    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Decathlon => "Medical Segmentation Decathlon",
            Self::NnUnet => "nnU-Net raw",
            Self::Bids => "BIDS derivatives",
            Self::Folders => "images and labels",
        }
    }
}

/// The files of one case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The file name without its ending and channel number, the same for image and mask.
    pub id: String,
    /// The person, where the layout says: `sub-01` in BIDS. Otherwise the id.
    pub subject: String,
    /// The image: one file with all channels, or one for each.
    pub images: Vec<PathBuf>,
    /// Its mask.
    pub label: PathBuf,
}

/// What was looked for, for messages.
const LAYOUTS: &str = "dataset.json, imagesTr/ and labelsTr/ (Medical Segmentation Decathlon, nnU-Net), \
    images/ and labels/, or sub-*/ with masks in derivatives/ (BIDS)";

impl Layout {
    /// Finds the cases of a folder, with everything that is amiss in single cases.
    ///
    /// # Errors
    /// If the folder does not exist or is in no known layout, `dataset.json` cannot be used, or there is no case at all.
    pub fn find(folder: &Path) -> Result<Self> {
        if !folder.is_dir() {
            return Err(Fault::new("dataset folder does not exist")
                .file(folder)
                .expected("a folder")
                .found(if folder.exists() { "a file" } else { "nothing" })
                .hint(format!("a dataset is a folder with {LAYOUTS}")));
        }
        let has = |name: &str| folder.join(name).is_dir();
        let layout = if folder.join("dataset.json").is_file() && !has("images") || has("imagesTr") {
            folders::described(folder)?
        } else if let Some(images) = ["images", "image"].into_iter().find(|name| has(name)) {
            folders::plain(folder, images)?
        } else if bids::looks_like(folder) {
            bids::find(folder)?
        } else {
            return Err(unknown(folder));
        };
        if layout.entries.is_empty() && layout.incomplete.is_empty() {
            return Err(Fault::new("dataset has no case")
                .file(folder)
                .expected("an image and its mask")
                .found(files::listing(folder))
                .hint(format!("a dataset is a folder with {LAYOUTS}")));
        }
        Ok(layout)
    }

    /// Finds the cases of a folder in which nothing is amiss. Labels that nothing names are collected from the masks.
    ///
    /// # Errors
    /// As [`Layout::find`], or the fault of the first incomplete case.
    pub fn read(folder: &Path) -> Result<Self> {
        let mut layout = Self::find(folder)?;
        let more = layout.incomplete.len().saturating_sub(1);
        if let Some((id, fault)) = layout.incomplete.into_iter().next() {
            return Err(in_case(fault, &id, more, folder));
        }
        layout.incomplete = Vec::new();
        if layout.classes.is_empty() {
            let values: Vec<Result<BTreeSet<u8>>> = layout
                .entries
                .par_iter()
                .map(|entry| Ok(nifti::read_label(&entry.label)?.voxels.into_iter().collect()))
                .collect();
            let values: BTreeSet<u8> = values.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
            layout.classes = nameless(values);
        }
        Ok(layout)
    }

    /// The case of an id.
    ///
    /// # Errors
    /// If there is none, or its files are incomplete.
    pub fn entry(&self, id: &str) -> Result<&Entry> {
        if let Some(entry) = self.entries.iter().find(|entry| entry.id == id) {
            return Ok(entry);
        }
        if let Some((_, fault)) = self.incomplete.iter().find(|(other, _)| other == id) {
            return Err(fault.clone());
        }
        let ids = || self.entries.iter().map(|entry| entry.id.as_str());
        let hint = match crate::fault::did_you_mean(id, ids()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("cases have names like `{}`", ids().next().unwrap_or_default()),
        };
        Err(Fault::new("dataset has no such case")
            .file(&self.folder)
            .field("case")
            .expected(format!("one of {} ids", self.entries.len()))
            .found(format!("`{id}`"))
            .hint(hint))
    }
}

/// Names for labels that nobody named; without background.
pub(super) fn nameless(values: impl IntoIterator<Item = u8>) -> Vec<(u8, String)> {
    values.into_iter().filter(|value| *value > 0).map(|value| (value, format!("label {value}"))).collect()
}

/// A fault of one case where only one can be told: how many more there are, and where they are all told.
pub(super) fn in_case(fault: Fault, id: &str, more: usize, folder: &Path) -> Fault {
    let fault = fault.in_case(id);
    match more {
        0 => fault,
        1 => fault
            .and_hint(&format!("one more case cannot be used; `lossgen data check {}` tells all", folder.display())),
        _ => fault.and_hint(&format!(
            "{more} more cases cannot be used; `lossgen data check {}` tells all",
            folder.display()
        )),
    }
}

/// The folder is something else: what it holds, and what could be done.
fn unknown(folder: &Path) -> Fault {
    let inner = files::subfolders(folder).into_iter().find(|inner| {
        inner.join("dataset.json").is_file() || inner.join("imagesTr").is_dir() || inner.join("images").is_dir()
    });
    let names = files::names(folder);
    let any = |ending: &str| names.iter().any(|name| name.to_lowercase().ends_with(ending));
    let hint = if let Some(inner) = inner {
        format!("did you mean `{}`?", inner.display())
    } else if any(".dcm") || any(".ima") {
        "DICOM is not read; convert each series with dcm2niix and put images and masks into images/ and labels/".into()
    } else if any(".nii") || any(".nii.gz") {
        "put the images into images/ and their masks into labels/, both with the same names".into()
    } else if any(".nrrd") || any(".mha") || any(".mhd") || any(".hdr") {
        "only NIfTI is read (.nii, .nii.gz); convert with SimpleITK or 3D Slicer".into()
    } else {
        "name the folder that holds these, not one above or below it".to_string()
    };
    Fault::new("folder is in no layout that is known")
        .file(folder)
        .expected(LAYOUTS)
        .found(files::listing(folder))
        .hint(hint)
}

#[cfg(test)]
mod tests;
