//! Images that are to be predicted: a file, a folder of files, or those of a dataset.
//!
//! As everywhere, no file is guessed: a number at the end of a name is a channel in a dataset whose layout says so, and
//! elsewhere only for a model of several channels, or of one that was trained on numbered files; masks have the name without
//! it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::description::Description;
use super::files::{few, listing, nifti_files, stem};
use super::folders::channel;
use super::{Kind, Layout, bids};
use crate::fault::{Fault, Result};

/// Where images lie in datasets, those without masks first.
const FOLDERS: [&str; 4] = ["imagesTs", "imagesTr", "images", "image"];

/// What was found.
#[derive(Debug)]
pub struct Found {
    /// The folder or file in which the images lie.
    pub place: PathBuf,
    /// Cases by id, with the files of their channels or what is wrong with them.
    pub cases: BTreeMap<String, Result<Vec<PathBuf>>>,
}

/// Finds the images at `path` for a model of so many channels; `numbered` says whether those it was trained on had numbers
/// at the ends of their names, which counts where no `dataset.json` tells.
///
/// # Errors
/// If there is nothing at `path`, or no image in it.
pub fn images(path: &Path, channels: usize, numbered: bool) -> Result<Found> {
    let numbered = numbers_channels(path).unwrap_or(numbered || channels > 1);
    if path.is_file() {
        return of_file(path, channels, numbered);
    }
    if !path.is_dir() {
        return Err(Fault::new("no such image or folder")
            .file(path)
            .expected("a NIfTI image, a folder of them, or a dataset")
            .found("nothing under this name")
            .hint("check the spelling; a relative path begins at the current folder"));
    }
    let inner = FOLDERS.iter().map(|name| path.join(name));
    for folder in std::iter::once(path.to_path_buf()).chain(inner) {
        let found = if folder.is_dir() { nifti_files(&folder)? } else { BTreeMap::new() };
        if !found.is_empty() {
            return Ok(Found { cases: of_folder(&folder, found, channels, numbered), place: folder });
        }
    }
    if bids::looks_like(path) {
        let layout = Layout::find(path)?;
        let good = layout.entries.into_iter().map(|entry| (entry.id, Ok(entry.images)));
        let bad = layout.incomplete.into_iter().map(|(id, fault)| (id, Err(fault)));
        return Ok(Found { place: path.to_path_buf(), cases: good.chain(bad).collect() });
    }
    Err(Fault::new("folder has no image")
        .file(path)
        .expected("files named ID.nii.gz or ID.nii, or a dataset")
        .found(listing(path))
        .hint("name the folder in which the images lie; other formats have to be converted to NIfTI"))
}

/// Whether the dataset to which images belong has a file for each channel, if its `dataset.json` tells: for the dataset,
/// for one of its folders of images and for a file in one.
fn numbers_channels(path: &Path) -> Option<bool> {
    let folder = if path.is_file() { path.parent()? } else { path };
    let is_inner = FOLDERS.iter().any(|name| folder.ends_with(name));
    let home = if is_inner { folder.parent()? } else { folder };
    // The parent of a single name is the current folder.
    let home = if home.as_os_str().is_empty() { Path::new(".") } else { home };
    let description = home.join("dataset.json");
    if !description.is_file() {
        return None;
    }
    match Layout::find(home).map(|layout| layout.kind) {
        Ok(Kind::NnUnet) => Some(true),
        Ok(Kind::Decathlon) => Some(false),
        Ok(_) => None,
        // Without images to train on, words alone tell; those of the Decathlon are also used for numbered files.
        Err(_) => Description::read(&description).ok().filter(|said| said.numbered).map(|_| true),
    }
}

/// Whether the name of a case's image has a channel number.
pub(in crate::data) fn is_numbered(image: &Path, id: &str) -> bool {
    let name = image.file_name().unwrap_or_default().to_string_lossy().into_owned();
    stem(&name).and_then(channel).is_some_and(|(own, _)| own == id)
}

/// One image; with a number at the end of its name, together with the other channels beside it.
fn of_file(path: &Path, channels: usize, numbered: bool) -> Result<Found> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let Some(stem) = stem(&name) else {
        return Err(Fault::new("file is no NIfTI image")
            .file(path)
            .expected("a name ending in .nii.gz or .nii")
            .found(format!("`{name}`"))
            .hint("convert the image to NIfTI, for example with dcm2niix or SimpleITK"));
    };
    let (id, files) = match channel(stem).filter(|_| numbered) {
        None => (stem.to_string(), Ok(vec![path.to_path_buf()])),
        Some((id, _)) => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let all = nifti_files(folder)?;
            let own = all.iter().filter_map(|(stem, path)| {
                channel(stem).filter(|(other, _)| *other == id).map(|(_, number)| (number, path))
            });
            (id.to_string(), complete(folder, id, &own.collect(), channels))
        }
    };
    Ok(Found { place: path.to_path_buf(), cases: BTreeMap::from([(id, files)]) })
}

fn of_folder(
    folder: &Path,
    found: BTreeMap<String, PathBuf>,
    channels: usize,
    numbered: bool,
) -> BTreeMap<String, Result<Vec<PathBuf>>> {
    if !numbered || found.keys().all(|stem| channel(stem).is_none()) {
        return found.into_iter().map(|(id, path)| (id, Ok(vec![path]))).collect();
    }
    let mut cases = BTreeMap::new();
    let mut files: BTreeMap<&str, BTreeMap<usize, &PathBuf>> = BTreeMap::new();
    for (stem, path) in &found {
        if let Some((id, number)) = channel(stem) {
            files.entry(id).or_default().insert(number, path);
            continue;
        }
        let fault = Fault::new("image has no channel number")
            .file(path)
            .expected(folder.join(format!("{stem}_0000.nii.gz")).display())
            .found(path.file_name().unwrap_or_default().display())
            .hint("other images of this folder number their channels from _0000; name all of them alike");
        cases.insert(stem.clone(), Err(fault));
    }
    for (id, files) in files {
        cases.insert(id.to_string(), complete(folder, id, &files, channels));
    }
    cases
}

/// The files of all channels of a case, none more and none less.
fn complete(folder: &Path, id: &str, files: &BTreeMap<usize, &PathBuf>, channels: usize) -> Result<Vec<PathBuf>> {
    let name = |path: &PathBuf| path.file_name().unwrap_or_default().display().to_string();
    let found = || few(&files.values().map(|path| name(path)).collect::<Vec<_>>());
    if let Some(missing) = (0..channels).find(|number| !files.contains_key(number)) {
        return Err(Fault::new("case lacks a channel")
            .file(folder)
            .field(format!("channel {missing}"))
            .expected(format!("{id}_{missing:04}.nii.gz"))
            .found(found())
            .hint(format!("the model was trained on {channels} channel(s), numbered from _0000")));
    }
    if let Some((_, stranger)) = files.iter().find(|(number, _)| **number >= channels) {
        return Err(Fault::new("image is a channel that the model does not know")
            .file(stranger)
            .expected(format!("channels 0 to {}", channels - 1))
            .found(found())
            .hint("move the file away, or train a model with this channel"));
    }
    Ok(files.values().map(|path| (*path).clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        for file in files {
            let path = home.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        home
    }

    /// Ids with the names of their files, or the first words of what is wrong.
    fn cases(path: &Path, channels: usize, numbered: bool) -> Vec<(String, String)> {
        let name = |path: PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        let words = |files: Result<Vec<PathBuf>>| match files {
            Ok(files) => files.into_iter().map(name).collect::<Vec<_>>().join(" "),
            Err(fault) => fault.summary().to_string(),
        };
        images(path, channels, numbered).unwrap().cases.into_iter().map(|(id, files)| (id, words(files))).collect()
    }

    fn pair(id: &str, files: &str) -> (String, String) {
        (id.to_string(), files.to_string())
    }

    #[test]
    fn a_number_is_a_channel_where_the_model_has_channels_with_numbers() {
        let one = folder(&["a_0000.nii.gz", "b_0000.nii.gz", "notes.txt"]);
        let kept = [pair("a_0000", "a_0000.nii.gz"), pair("b_0000", "b_0000.nii.gz")];
        assert_eq!(cases(one.path(), 1, false), kept);
        assert_eq!(cases(one.path(), 1, true), [pair("a", "a_0000.nii.gz"), pair("b", "b_0000.nii.gz")]);
        assert_eq!(cases(&one.path().join("b_0000.nii.gz"), 1, true), [pair("b", "b_0000.nii.gz")]);
        assert_eq!(cases(&one.path().join("b_0000.nii.gz"), 1, false), [pair("b_0000", "b_0000.nii.gz")]);
        let two = folder(&[
            "a_0000.nii.gz",
            "a_0001.nii",
            "b_0000.nii.gz",
            "c.nii",
            "d_0002.nii",
            "d_0000.nii",
            "d_0001.nii",
        ]);
        let expected = [
            pair("a", "a_0000.nii.gz a_0001.nii"),
            pair("b", "case lacks a channel"),
            pair("c", "image has no channel number"),
            pair("d", "image is a channel that the model does not know"),
        ];
        assert_eq!(cases(two.path(), 2, false), expected);
        assert_eq!(cases(&two.path().join("a_0001.nii"), 2, false), expected[..1]);
        // All channels in one file.
        assert_eq!(cases(folder(&["a.nii"]).path(), 2, false), [pair("a", "a.nii")]);
    }

    #[test]
    fn a_dataset_knows_better_than_the_model_what_a_number_is() {
        let said = |names: &str| format!(r#"{{{names}, "labels": {{"background": 0, "bone": 1}}}}"#);
        let home = folder(&["imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz", "imagesTs/b_0000.nii.gz"]);
        std::fs::write(home.path().join("dataset.json"), said(r#""channel_names": {"0": "T2"}"#)).unwrap();
        let expected = [pair("b", "b_0000.nii.gz")];
        for inside in ["", "imagesTs", "imagesTs/b_0000.nii.gz"] {
            assert_eq!(cases(&home.path().join(inside), 1, false), expected, "{inside}");
        }
        std::fs::remove_dir_all(home.path().join("imagesTr")).unwrap();
        assert_eq!(cases(home.path(), 1, false), expected, "without images to train on");
        // In the Decathlon, channels are in one file, and numbers are those of cases.
        let home = folder(&["imagesTr/a_0007.nii.gz", "labelsTr/a_0007.nii.gz"]);
        std::fs::write(home.path().join("dataset.json"), said(r#""modality": {"0": "T1", "1": "T2"}"#)).unwrap();
        for (channels, numbered) in [(1, true), (2, false)] {
            assert_eq!(cases(home.path(), channels, numbered), [pair("a_0007", "a_0007.nii.gz")]);
        }
    }

    #[test]
    fn of_a_dataset_the_images_without_masks_come_first() {
        let set = folder(&["dataset.json", "imagesTr/a.nii.gz", "labelsTr/a.nii.gz"]);
        assert_eq!(cases(set.path(), 1, false), [pair("a", "a.nii.gz")]);
        std::fs::create_dir(set.path().join("imagesTs")).unwrap();
        std::fs::write(set.path().join("imagesTs/b.nii"), "").unwrap();
        assert_eq!(cases(set.path(), 1, false), [pair("b", "b.nii")]);
        let bids = folder(&["sub-1/anat/sub-1_T2w.nii.gz", "derivatives/m/sub-1/anat/sub-1_dseg.nii.gz"]);
        assert_eq!(cases(bids.path(), 1, false)[0].1, "sub-1_T2w.nii.gz");
    }

    #[test]
    fn where_there_is_no_image_it_is_said_what_there_is() {
        let text = |path: &Path| images(path, 1, false).unwrap_err().to_string();
        let home = folder(&["a.dcm", "b/c.txt"]);
        assert!(text(home.path()).contains("found:    a.dcm, b/"), "{}", text(home.path()));
        assert!(text(&home.path().join("a.dcm")).contains("no NIfTI image"));
        assert!(text(&home.path().join("nowhere")).contains("no such image"));
    }
}
