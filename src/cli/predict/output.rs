//! Where masks go, and what made those that are there.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::fault::{Fault, Result};
use crate::nn;
use crate::notation;
use crate::run;
use crate::training::infer::Window;
use crate::training::model::Model;

/// Beside the masks: what made them.
const RECORD: &str = "predictions.ron";

/// Endings of files that somebody may have hoped for, and that are no names of folders.
const OTHER_FILES: [&str; 15] =
    ["nii", "gz", "png", "jpg", "jpeg", "mha", "mhd", "nrrd", "hdr", "img", "npy", "npz", "dcm", "csv", "json"];

/// Everything that decides a mask but the image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    version: u32,
    lossgen: String,
    kernels: String,
    /// Loss, fold and digest of the weights.
    models: Vec<(String, (usize, usize), String)>,
    window: Window,
    mirror: [bool; 3],
    largest: bool,
}

impl Record {
    pub(super) fn new(models: &[Model], window: Window, mirror: [bool; 3], largest: bool) -> Self {
        let model = |model: &Model| {
            let card = &model.card;
            (card.loss.name.clone(), card.training.fold, card.weights.clone())
        };
        let kernels = nn::kernel_path().name().to_string();
        let (version, lossgen) = (1, env!("CARGO_PKG_VERSION").to_string());
        Self { version, lossgen, kernels, models: models.iter().map(model).collect(), window, mirror, largest }
    }
}

/// A folder, or the one file that was asked for.
pub(super) struct Output {
    path: PathBuf,
    is_file: bool,
}

impl Output {
    /// Makes the place; nothing that is there is touched.
    ///
    /// # Errors
    /// If none is given or it has the name of another format, something is there already, or what is to be continued was made otherwise.
    pub(super) fn prepare(out: Option<&Path>, single: bool, record: &Record, resume: bool) -> Result<Self> {
        let Some(out) = out else {
            return Err(Fault::new("nobody said where the masks go")
                .field("--out")
                .expected("a folder, or a file for a single image")
                .found("nothing")
                .hint("add `-o FOLDER`"));
        };
        let is_mask = out.file_name().is_some_and(|name| {
            let name = name.to_string_lossy();
            name.ends_with(".nii") || name.ends_with(".nii.gz")
        });
        if single && is_mask {
            return Self::one_file(out);
        }
        let ending = out.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        if let Some(ending) = ending.filter(|ending| OTHER_FILES.contains(&ending.as_str()) && !out.is_dir()) {
            return Err(Fault::new("masks are not written in this format")
                .field("--out")
                .expected(if single { "a file named .nii.gz or .nii, or a folder" } else { "a folder" })
                .found(format!("`{}`, a name of a .{ending} file", out.display()))
                .hint("masks are NIfTI; `lossgen data show IMAGE --mask MASK` draws one as a picture"));
        }
        let file = out.join(RECORD);
        let empty = std::fs::read_dir(out).map_or(true, |mut entries| entries.next().is_none());
        if resume && file.is_file() {
            let earlier: Record = notation::load(&file)?;
            if earlier != *record {
                return Err(Fault::new("masks in the folder were made otherwise")
                    .file(&file)
                    .expected(format!("{record:?}"))
                    .found(format!("{earlier:?}"))
                    .hint("continue with the same model, options and machine, or predict into another folder"));
            }
        } else if out.is_file() || !empty {
            return Err(Fault::new("output directory is not empty")
                .file(out)
                .expected("an empty directory, or none yet")
                .found(if out.is_file() { "a file" } else { "a directory with files in it" })
                .hint("choose another one with `--out`, or predict what is missing with `--continue`"));
        }
        std::fs::create_dir_all(out).map_err(|error| Fault::io("create", out, &error))?;
        run::replace(&file, notation::to_text(record)?.as_bytes())?;
        Ok(Self { path: out.to_path_buf(), is_file: false })
    }

    fn one_file(out: &Path) -> Result<Self> {
        if out.exists() {
            return Err(Fault::new("there is a file already")
                .file(out)
                .expected("a name that is free")
                .found("a file")
                .hint("choose another name with `--out`, or move the file away"));
        }
        let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(parent).map_err(|error| Fault::io("create", parent, &error))?;
        Ok(Self { path: out.to_path_buf(), is_file: true })
    }

    /// The file of a case.
    pub(super) fn file(&self, id: &str) -> PathBuf {
        if self.is_file { self.path.clone() } else { self.path.join(format!("{id}.nii.gz")) }
    }

    /// Whether the mask of a case is there already.
    pub(super) fn has(&self, id: &str) -> bool {
        self.file(id).exists()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_another_format_is_no_folder() {
        let home = tempfile::tempdir().unwrap();
        let record = Record {
            version: 1,
            lossgen: String::new(),
            kernels: String::new(),
            models: Vec::new(),
            window: Window::Whole,
            mirror: [false; 3],
            largest: false,
        };
        let prepare = |name: &str, single| Output::prepare(Some(&home.path().join(name)), single, &record, false);
        for (name, single) in [("y.png", true), ("y.PNG", false), ("y.nii.gz", false), ("y.nrrd", true)] {
            assert_eq!(
                prepare(name, single).err().unwrap().summary(),
                "masks are not written in this format",
                "{name}"
            );
            assert!(!home.path().join(name).exists(), "{name}");
        }
        assert!(prepare("y.nii.gz", true).is_ok_and(|output| output.is_file));
        assert!(prepare("masks.v2", false).is_ok_and(|output| !output.is_file));
    }
}
