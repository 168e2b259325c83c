//! Masks in the derivatives of a BIDS dataset, and the images that they were drawn on.
//!
//! A name is a chain of `key-value` pairs and words: `sub-01_ses-2_T2w.nii.gz`. A mask is a file that calls itself one
//! (`_dseg`, `_seg`, `_mask`, `_msk`, or `seg-...`); its image has the same pairs, those apart that only derivatives
//! have. Different words (`T1w`, `T2w`) with the same pairs are the channels of one case. Images without a mask are left
//! alone: BIDS datasets hold far more than one task needs. Names of labels come from `dseg.tsv`.
//! Format: Gorgolewski et al. (2016), BIDS 1.10, "Imaging data type" of derivatives.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::files::{few, stem, subfolders};
use super::{Entry, Kind, Layout};
use crate::fault::{Fault, Result, did_you_mean};

/// Pairs that processing adds to the name of its source.
const DERIVED: [&str; 9] = ["desc", "label", "seg", "space", "res", "den", "atlas", "from", "rec"];

/// Last words of masks.
const MASKS: [&str; 4] = ["dseg", "seg", "mask", "msk"];

/// Folders below which nothing is looked for: deeper ones do not occur, and links may turn in circles.
const DEEPEST: usize = 8;

/// A NIfTI file and what its name says.
struct Named {
    path: PathBuf,
    /// The pairs that image and mask share, in their order.
    source: String,
    subject: String,
    words: Vec<String>,
    is_mask: bool,
    is_derived: bool,
}

impl Named {
    fn of(path: &Path, root: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let parts = stem(name)?.split('_').map(|part| part.split_once('-').ok_or(part));
        let (mut source, mut words, mut derived) = (Vec::new(), Vec::new(), Vec::new());
        let mut subject = String::new();
        for part in parts {
            match part {
                Ok((key, _)) if DERIVED.contains(&key) => derived.push(key),
                Ok((key, value)) => {
                    source.push(format!("{key}-{value}"));
                    if key == "sub" {
                        subject = format!("sub-{value}");
                    }
                }
                Err(word) => words.push(word.to_string()),
            }
        }
        if subject.is_empty() {
            return None;
        }
        let is_mask = words.last().is_some_and(|word| MASKS.contains(&word.as_str())) || derived.contains(&"seg");
        words.retain(|word| !MASKS.contains(&word.as_str()));
        let inner = path.strip_prefix(root).unwrap_or(path);
        let is_derived = inner.components().any(|part| part.as_os_str() == "derivatives");
        Some(Self { path: path.to_path_buf(), source: source.join("_"), subject, words, is_mask, is_derived })
    }

    /// What the mask was drawn on, or the image is.
    fn word(&self) -> Option<&str> {
        self.words.last().map(String::as_str)
    }
}

/// Whether there is a subject's folder, at the top or in derivatives.
pub(super) fn looks_like(folder: &Path) -> bool {
    let has_subject = |folder: &Path| {
        subfolders(folder)
            .iter()
            .any(|inner| inner.file_name().is_some_and(|n| n.to_string_lossy().starts_with("sub-")))
    };
    has_subject(folder) || subfolders(&folder.join("derivatives")).iter().any(|inner| has_subject(inner))
}

/// Finds masks and their images.
pub(super) fn find(folder: &Path) -> Result<Layout> {
    let mut files = Vec::new();
    walk(folder, 0, &mut files)?;
    let named: Vec<Named> = files.iter().filter_map(|path| Named::of(path, folder)).collect();
    let (masks, mut images): (Vec<&Named>, Vec<&Named>) = named.iter().partition(|named| named.is_mask);
    if images.iter().any(|image| !image.is_derived) {
        images.retain(|image| !image.is_derived);
    }
    if masks.is_empty() {
        let names: Vec<String> = images.iter().map(|image| image.path.display().to_string()).collect();
        return Err(Fault::new("BIDS dataset has no mask")
            .file(folder)
            .expected("derivatives/NAME/sub-01/anat/sub-01_dseg.nii.gz, or names that end in _seg, _mask or _msk")
            .found(if names.is_empty() { "no image of a subject".to_string() } else { few(&names) })
            .hint("masks belong into derivatives/, with the pairs of their image in their names"));
    }
    let cases = Cases::of(&masks, &images, folder);
    let channels: BTreeSet<&str> = cases.found.values().flat_map(|case| case.images.keys().copied()).collect();
    let channels: Vec<String> = channels.into_iter().map(String::from).collect();
    let (entries, incomplete) = cases.complete(&channels);
    let name = description_name(folder).unwrap_or_else(|| folder.file_name().unwrap_or_default().display().to_string());
    let classes = label_names(folder)?;
    let (kind, folder) = (Kind::Bids, folder.to_path_buf());
    Ok(Layout { name, folder, kind, classes, channels, entries, incomplete, orphans: Vec::new() })
}

/// A mask and the images with its pairs, by their words.
struct Found<'a> {
    mask: &'a Named,
    images: BTreeMap<&'a str, &'a Path>,
}

#[derive(Default)]
struct Cases<'a> {
    found: BTreeMap<String, Found<'a>>,
    faults: BTreeMap<String, Fault>,
}

impl<'a> Cases<'a> {
    fn of(masks: &[&'a Named], images: &[&'a Named], folder: &Path) -> Self {
        let mut cases = Self::default();
        for mask in masks {
            let id = match mask.word() {
                Some(word) => format!("{}_{word}", mask.source),
                None => mask.source.clone(),
            };
            if let Some(other) = cases.found.get(&id) {
                let fault = Fault::new("case has two masks")
                    .file(&other.mask.path)
                    .expected("one mask with all labels, as _dseg")
                    .found(mask.path.display())
                    .hint("move one away, or join masks of single labels into one file with a value for each label");
                cases.faults.entry(id).or_insert(fault);
                continue;
            }
            let fits = |image: &&&Named| {
                image.source == mask.source && mask.word().is_none_or(|word| image.word() == Some(word))
            };
            let mut own = BTreeMap::new();
            for image in images.iter().filter(fits) {
                let word = image.word().unwrap_or("image");
                if let Some(other) = own.insert(word, image.path.as_path()) {
                    let fault = Fault::new("two images for the same channel")
                        .file(other)
                        .field(word)
                        .expected("one image with these pairs")
                        .found(image.path.display())
                        .hint("move one away, or tell them apart with a pair such as run-1 in image and mask");
                    cases.faults.entry(id.clone()).or_insert(fault);
                }
            }
            if own.is_empty() {
                let names: Vec<String> =
                    images.iter().map(|image| format!("{}_{}", image.source, image.words.join("_"))).collect();
                let wanted = format!("{}_{}", mask.source, mask.word().unwrap_or("T2w"));
                let hint = match did_you_mean(&wanted, names.iter().map(String::as_str)) {
                    Some(near) => {
                        format!("is it `{near}`? pairs such as ses-1 or run-1 must be the same in both names")
                    }
                    None => "the pairs before the last word must be the same in image and mask".to_string(),
                };
                let fault = Fault::new("mask has no image")
                    .file(&mask.path)
                    .expected(folder.join(&mask.subject).join("**").join(format!("{wanted}.nii.gz")).display())
                    .found("no such image")
                    .hint(hint);
                cases.faults.entry(id.clone()).or_insert(fault);
            }
            cases.found.insert(id, Found { mask, images: own });
        }
        cases
    }

    /// Cases with all `channels`, and the faults of the others.
    fn complete(self, channels: &[String]) -> (Vec<Entry>, Vec<(String, Fault)>) {
        let (mut entries, mut faults) = (Vec::new(), self.faults);
        for (id, case) in self.found {
            if faults.contains_key(&id) {
                continue;
            }
            if let Some(missing) = channels.iter().find(|word| !case.images.contains_key(word.as_str())) {
                let there: Vec<String> = case.images.keys().map(ToString::to_string).collect();
                let fault = Fault::new("case lacks a channel")
                    .file(&case.mask.path)
                    .field(missing.clone())
                    .expected(format!("{}, as other cases have", channels.join(", ")))
                    .found(few(&there))
                    .hint("say in the masks' names what they were drawn on (sub-01_T2w_dseg.nii.gz) to use that image alone");
                faults.insert(id, fault);
                continue;
            }
            let images = case.images.into_values().map(Path::to_path_buf).collect();
            entries.push(Entry { id, subject: case.mask.subject.clone(), images, label: case.mask.path.clone() });
        }
        (entries, faults.into_iter().collect())
    }
}

/// All NIfTI files below a folder, sorted.
fn walk(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<()> {
    let listing = fs::read_dir(folder).map_err(|error| Fault::io("read", folder, &error))?;
    let mut items: Vec<PathBuf> = listing.flatten().map(|item| item.path()).collect();
    items.sort();
    for path in items {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() && depth < DEEPEST && !matches!(name.as_str(), "sourcedata" | "code") {
            walk(&path, depth + 1, found)?;
        } else if path.is_file() && stem(&name).is_some() {
            found.push(path);
        }
    }
    Ok(())
}

fn description_name(folder: &Path) -> Option<String> {
    let text = fs::read_to_string(folder.join("dataset_description.json")).ok()?;
    let json: serde_json::Value = serde_json::from_str(&text).ok()?;
    Some(json.get("Name")?.as_str()?.to_string())
}

/// Names of labels: the first `dseg.tsv` of the dataset or its derivatives. None where there is no such table.
fn label_names(folder: &Path) -> Result<Vec<(u8, String)>> {
    let places = [folder.to_path_buf(), folder.join("derivatives")].into_iter();
    let places = places.chain(subfolders(&folder.join("derivatives")));
    let is_table = |name: &str| name.ends_with("dseg.tsv");
    let table = places.into_iter().find_map(|place| {
        let names = super::files::names(&place);
        names.iter().find(|name| is_table(name)).map(|name| place.join(name))
    });
    let Some(path) = table else { return Ok(Vec::new()) };
    let fault = |found: String| {
        Fault::new("table of labels cannot be used")
            .file(&path)
            .expected("columns `index` (0 to 255) and `name`, between tabs")
            .found(found)
            .hint("for example a first line `index<TAB>name` and a line `1<TAB>L1` for each label")
    };
    let mut reader =
        csv::ReaderBuilder::new().delimiter(b'\t').from_path(&path).map_err(|error| fault(error.to_string()))?;
    let header = reader.headers().map_err(|error| fault(error.to_string()))?.clone();
    let column = |name: &str| header.iter().position(|column| column.trim() == name);
    let (Some(index), Some(name)) = (column("index"), column("name")) else {
        return Err(fault(format!("columns {}", header.iter().collect::<Vec<_>>().join(", "))));
    };
    let mut classes = BTreeMap::new();
    for record in reader.records() {
        let record = record.map_err(|error| fault(error.to_string()))?;
        let value = record.get(index).unwrap_or_default().trim();
        let value: u8 = value.parse().map_err(|_| fault(format!("index `{value}`")))?;
        if classes.insert(value, record.get(name).unwrap_or_default().trim().to_string()).is_some() {
            return Err(fault(format!("index {value} twice")));
        }
    }
    classes.remove(&0);
    Ok(classes.into_iter().collect())
}
