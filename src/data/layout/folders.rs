//! Two folders, one of images and one of masks, with the same names in both.
//!
//! Channels are either inside a file or numbered in the names of several (`ID_0000`, `ID_0001`). A number at the end of
//! a name is a channel only if `dataset.json` names channels or no mask has the whole name: many datasets number cases.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::description::Description;
use super::files::{few, nifti_files_and_clashes, stem};
use super::{Entry, Kind, LAYOUTS, Layout};
use crate::fault::{Fault, Result, did_you_mean};

/// `imagesTr` and `labelsTr` with a `dataset.json`.
pub(super) fn described(folder: &Path) -> Result<Layout> {
    let path = folder.join("dataset.json");
    let description = Description::read(&path)?;
    of_folders(folder, "imagesTr", "labelsTr", Some((description, path)))
}

/// `images` and `labels` (or `masks`), with a `dataset.json` if there is one.
pub(super) fn plain(folder: &Path, images: &str) -> Result<Layout> {
    let known = ["labels", "label", "masks", "mask", "segmentations"];
    let Some(labels) = known.into_iter().find(|name| folder.join(name).is_dir()) else {
        return Err(Fault::new("dataset has no masks")
            .file(folder)
            .expected("a folder `labels` beside `images`")
            .found(super::files::listing(folder))
            .hint("put the masks into labels/, with the names of their images"));
    };
    let path = folder.join("dataset.json");
    let description = if path.is_file() { Some((Description::read(&path)?, path)) } else { None };
    of_folders(folder, images, labels, description)
}

/// The two folders and what was found in them.
struct Pair {
    images: PathBuf,
    labels: PathBuf,
    found: BTreeMap<String, PathBuf>,
    masks: BTreeMap<String, PathBuf>,
}

fn of_folders(folder: &Path, images: &str, labels: &str, said: Option<(Description, PathBuf)>) -> Result<Layout> {
    let (images, labels) = (folder.join(images), folder.join(labels));
    let hint = format!("a dataset is a folder with {LAYOUTS}");
    let (found, twice) = nifti_files_and_clashes(&images).map_err(|fault| fault.hint(&hint))?;
    if found.is_empty() {
        return Err(Fault::new("dataset has no image")
            .file(&images)
            .expected("files named ID.nii.gz or ID.nii")
            .found(super::files::listing(&images).replace("nothing", "none"))
            .hint(hint));
    }
    // Without any mask, every image is told to have none.
    let (masks, masks_twice) =
        if labels.is_dir() { nifti_files_and_clashes(&labels)? } else { (BTreeMap::new(), BTreeMap::new()) };
    let pair = Pair { images, labels, found, masks };
    let (description, path) = said.unzip();
    let numbered = description.as_ref().is_some_and(|said| said.numbered) || pair.looks_numbered();
    let mut channels = description.as_ref().map(|said| said.channels.clone()).unwrap_or_default();
    if channels.is_empty() {
        let last = pair.found.keys().filter_map(|stem| channel(stem)).map(|(_, number)| number).max();
        let count = if numbered { last.unwrap_or(0) + 1 } else { 1 };
        channels = (0..count).map(|number| format!("channel {number}")).collect();
    }
    let (mut entries, mut incomplete) = if numbered { pair.numbered(&channels) } else { pair.alike() };
    let id = |stem: String| if numbered { channel(&stem).map_or(stem.clone(), |(id, _)| id.to_string()) } else { stem };
    let twice = twice.into_iter().map(|(stem, fault)| (id(stem), fault)).chain(masks_twice);
    // Nobody knows which of the two is meant: the case is not used, and the others are.
    for (id, fault) in twice {
        entries.retain(|entry| entry.id != id);
        incomplete.push((id, fault));
    }
    incomplete.sort_by(|(a, _), (b, _)| a.cmp(b));
    let known: BTreeSet<&PathBuf> = entries.iter().map(|entry| &entry.label).collect();
    let named: BTreeSet<&String> = incomplete.iter().map(|(id, _)| id).collect();
    let orphans: Vec<PathBuf> = pair
        .masks
        .iter()
        .filter(|(id, path)| !known.contains(path) && !named.contains(id))
        .map(|(_, path)| path.clone())
        .collect();
    if let (Some(said), Some(path)) = (&description, &path) {
        all_there(&said.listed, &pair, &entries, path)?;
    }
    let own_name = || folder.canonicalize().ok()?.file_name().map(|name| name.to_string_lossy().into_owned());
    let (name, classes) = description.map_or((None, Vec::new()), |said| (said.name, said.classes));
    let kind = match (path.is_some() && pair.images.ends_with("imagesTr"), numbered) {
        (true, true) => Kind::NnUnet,
        (true, false) => Kind::Decathlon,
        _ => Kind::Folders,
    };
    let name = name.or_else(own_name).unwrap_or_default();
    Ok(Layout { name, folder: folder.to_path_buf(), kind, classes, channels, entries, incomplete, orphans })
}

/// Refuses a list of training images of which one is missing.
fn all_there(listed: &[String], pair: &Pair, entries: &[Entry], path: &Path) -> Result<()> {
    let ids: BTreeSet<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
    let missing =
        listed.iter().find(|file| stem(file).is_none_or(|stem| !ids.contains(stem) && !pair.found.contains_key(stem)));
    let Some(file) = missing else { return Ok(()) };
    Err(Fault::new("dataset.json lists an image that is not there")
        .file(path)
        .field("training")
        .expected(pair.images.join(file).display())
        .found("no such image")
        .hint("the dataset was copied incompletely, or the list is of another version"))
}

/// The id and the number of a channel in `ID_0001`.
pub(super) fn channel(stem: &str) -> Option<(&str, usize)> {
    let (id, number) = stem.rsplit_once('_')?;
    (number.len() == 4 && !id.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
        .then(|| number.parse().ok().map(|number| (id, number)))?
}

impl Pair {
    /// Whether the numbers at the ends of names are channels: all names have one, and masks have none.
    fn looks_numbered(&self) -> bool {
        let is_channel = |stem: &String| !self.masks.contains_key(stem) && channel(stem).is_some();
        let masked = |stem: &String| channel(stem).is_some_and(|(id, _)| self.masks.contains_key(id));
        self.found.keys().all(is_channel) && self.found.keys().any(masked)
    }

    /// One file with the name of its mask for each case.
    fn alike(&self) -> (Vec<Entry>, Vec<(String, Fault)>) {
        let (mut entries, mut incomplete) = (Vec::new(), Vec::new());
        for (id, image) in &self.found {
            match self.masks.get(id) {
                Some(label) => entries.push(Entry {
                    id: id.clone(),
                    subject: id.clone(),
                    images: vec![image.clone()],
                    label: label.clone(),
                }),
                None => incomplete.push((id.clone(), self.without_mask(id, image))),
            }
        }
        (entries, incomplete)
    }

    /// A file for each channel.
    fn numbered(&self, channels: &[String]) -> (Vec<Entry>, Vec<(String, Fault)>) {
        let (mut entries, mut incomplete) = (Vec::new(), Vec::new());
        let mut cases: BTreeMap<&str, BTreeMap<usize, &PathBuf>> = BTreeMap::new();
        for (stem, path) in &self.found {
            if let Some((id, number)) = channel(stem) {
                cases.entry(id).or_default().insert(number, path);
                continue;
            }
            let fault = Fault::new("image has no channel number")
                .file(path)
                .expected(self.images.join(format!("{stem}_0000.nii.gz")).display())
                .found(path.file_name().unwrap_or_default().display())
                .hint("nnU-Net numbers channels from _0000, also where there is only one; masks have no number");
            incomplete.push((stem.clone(), fault));
        }
        for (id, files) in cases {
            let trouble = (0..channels.len()).find(|number| !files.contains_key(number)).map(|number| {
                let names: Vec<String> =
                    files.values().map(|path| path.file_name().unwrap_or_default().display().to_string()).collect();
                Fault::new("case lacks a channel")
                    .file(&self.images)
                    .field(format!("channel {number} ({})", channels[number]))
                    .expected(format!("{id}_{number:04}.nii.gz"))
                    .found(few(&names))
                    .hint("every case needs a file for each of the channel_names of dataset.json, numbered from _0000")
            });
            let stranger = files.iter().find(|(number, _)| **number >= channels.len()).map(|(number, path)| {
                Fault::new("image is a channel that nobody named")
                    .file(path)
                    .field("channel_names of dataset.json")
                    .expected(format!("channels 0 to {}", channels.len() - 1))
                    .found(format!("channel {number}"))
                    .hint("name the channel in dataset.json, or move the file away")
            });
            match (trouble.or(stranger), self.masks.get(id)) {
                (Some(fault), _) => incomplete.push((id.to_string(), fault)),
                (None, None) => incomplete.push((id.to_string(), self.without_mask(id, files[&0]))),
                (None, Some(label)) => entries.push(Entry {
                    id: id.to_string(),
                    subject: id.to_string(),
                    images: files.into_values().cloned().collect(),
                    label: label.clone(),
                }),
            }
        }
        incomplete.sort_by(|a, b| a.0.cmp(&b.0));
        (entries, incomplete)
    }

    fn without_mask(&self, id: &str, image: &Path) -> Fault {
        let free = self.masks.keys().map(String::as_str).filter(|mask| !self.found.contains_key(*mask));
        let hint = match did_you_mean(id, free) {
            Some(near) => {
                format!("is it `{near}.nii.gz`? masks have the name of their image, without a channel number")
            }
            None => "masks have the name of their image; move images without a mask to imagesTs".to_string(),
        };
        Fault::new("image has no mask")
            .file(image)
            .expected(self.labels.join(format!("{id}.nii.gz")).display())
            .found("no such file")
            .hint(hint)
    }
}
