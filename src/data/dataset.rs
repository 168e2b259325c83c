//! A set of cases, read from its folder, with a digest that no other set has.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;

use super::cache::Cache;
use super::case::Case;
use super::digest::digest;
use super::layout::{self, Entry, Layout};
use super::preprocess::{LabelMode, Preprocess};
use super::store::Places;
use super::subjects;
use crate::fault::{Fault, Result};
use crate::phase::{self, Phase, Stage};

/// Cases that belong together.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// What the dataset calls itself.
    pub name: String,
    /// Names of the foreground classes, in the order of outputs.
    pub classes: Vec<String>,
    /// Value and name of every label in the masks, by value.
    pub labels: Vec<(u8, String)>,
    /// Channels of every image.
    pub channels: usize,
    /// Their names; empty where nobody named them.
    pub channel_names: Vec<String>,
    /// Whether channels are files of their own with a number at the end of their names.
    pub numbered: bool,
    /// The cases, by id.
    pub cases: Vec<Arc<Case>>,
    /// BLAKE3, in hexadecimal, of everything that decides the cases: contents of the files, classes, preprocessing.
    pub digest: String,
}

impl Dataset {
    /// Reads a folder in any known layout, all cases in parallel. A set that needs more memory than `cache` grants is kept
    /// in its files.
    ///
    /// # Errors
    /// If the preprocessing makes no sense, the folder is in no known layout, or a case cannot be used: always the fault
    /// of the first such case by id, with the number of the others. If the cache cannot be written.
    pub fn load(folder: &Path, preprocess: &Preprocess, cache: Option<&Cache>) -> Result<Self> {
        preprocess.validate()?;
        let layout = Layout::read(folder)?;
        let cache = cache.filter(|cache| cache.is_needed(&layout, preprocess));
        let values: Vec<u8> = layout.classes.iter().map(|(value, _)| *value).collect();
        let channels = layout.channels.len();
        let read = |entry: &Entry| -> Result<(Arc<Case>, [blake3::Hash; 2])> {
            phase::begin(Stage::Cases);
            if let Some(cache) = cache {
                let hashes = entry.hashes()?;
                let case = cache.case(entry, hashes, channels, &values, preprocess)?;
                phase::end(Phase::Read);
                return Ok((Arc::new(case), hashes));
            }
            let case = Case::read(entry, channels, &values, preprocess)?;
            let hashes = entry.hashes()?;
            phase::end(Phase::Read);
            Ok((Arc::new(case), hashes))
        };
        // Judged in order: rayon's own `collect::<Result<_>>` returns whichever error came first.
        let read: Vec<Result<_>> = layout.entries.par_iter().map(read).collect();
        let bad = read.iter().filter(|case| case.is_err()).count();
        let named = |(case, entry): (Result<_>, &Entry)| {
            case.map_err(|fault| layout::in_case(fault, &entry.id, bad - 1, folder))
        };
        let read: Vec<(Arc<Case>, [blake3::Hash; 2])> =
            read.into_iter().zip(&layout.entries).map(named).collect::<Result<_>>()?;
        let (cases, hashes): (Vec<Arc<Case>>, Vec<[blake3::Hash; 2]>) = read.into_iter().unzip();
        distinct(&layout.entries, &hashes)?;
        let cases = joined(cases)?;
        let ids = layout.entries.iter().map(|entry| entry.id.as_str());
        let digest = digest(&layout.classes, preprocess, ids.zip(hashes));
        let dataset = Self::new(&layout.name, &layout.classes, cases, preprocess, digest)?;
        let numbered = layout.entries.iter().any(|entry| layout::is_numbered(&entry.images[0], &entry.id));
        Ok(Self { channel_names: layout.channels, numbered, ..dataset })
    }

    /// Gathers cases that are already in memory; `classes` are label values with their names.
    ///
    /// # Errors
    /// If no case has any foreground.
    pub(super) fn new(
        name: &str,
        classes: &[(u8, String)],
        cases: Vec<Arc<Case>>,
        preprocess: &Preprocess,
        digest: String,
    ) -> Result<Self> {
        if cases.iter().all(|case| case.voxels_of_class.iter().all(Places::is_empty)) {
            for case in &cases {
                if case.native_label.whole()?.voxels.iter().any(|class| *class > 0) {
                    return Err(lost(preprocess, case));
                }
            }
            return Err(Fault::new("no case has a labelled voxel")
                .field(name)
                .expected("foreground in at least one mask")
                .found(format!("background alone in {} masks", cases.len()))
                .hint("the masks are empty: there is nothing to learn and nothing to judge by"));
        }
        let names = classes.iter().map(|(_, name)| name.clone()).collect::<Vec<_>>();
        let labels = classes.to_vec();
        let classes = match preprocess.labels {
            LabelMode::Foreground if names.len() > 1 => vec!["foreground".to_string()],
            _ => names,
        };
        let channels = cases[0].channels.len();
        let name = name.to_string();
        Ok(Self { name, classes, labels, channels, channel_names: Vec::new(), numbered: false, cases, digest })
    }

    /// The ids of all cases, in their order.
    pub fn ids(&self) -> Vec<String> {
        self.cases.iter().map(|case| case.id.clone()).collect()
    }

    /// The median spacing of the preprocessed cases along each axis, in mm.
    pub fn spacing(&self) -> [f64; 3] {
        std::array::from_fn(|axis| {
            let mut all: Vec<f64> = self.cases.iter().map(|case| case.grid().spacing[axis]).collect();
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        })
    }

    /// Whose each case is, in their order.
    pub fn subjects(&self) -> Vec<String> {
        self.cases.iter().map(|case| case.subject.clone()).collect()
    }

    /// The cases at `places`, shared with this dataset.
    ///
    /// # Panics
    /// If a place is not below the number of cases.
    pub fn select(&self, places: &[usize]) -> Vec<Arc<Case>> {
        places.iter().map(|place| Arc::clone(&self.cases[*place])).collect()
    }
}

/// Preprocessing left no label of any case; `case` is one that had some.
fn lost(preprocess: &Preprocess, case: &Case) -> Fault {
    let whole = |[i, j, k]: [f64; 3]| format!("{i} x {j} x {k} mm");
    let (field, hint) = match preprocess {
        Preprocess { spacing: Some(_), .. } => {
            ("preprocess.spacing", "structures are smaller than a voxel; choose a finer spacing")
        }
        Preprocess { average: [1, 1, 1], .. } => {
            ("preprocess.crop", "labels lie where every channel is zero; do not crop")
        }
        _ => ("preprocess.average", "structures are smaller than a voxel; average fewer voxels"),
    };
    let (found, native) = (whole(case.grid().spacing), whole(case.native_grid().spacing));
    Fault::new("preprocessing removes every label")
        .field(field)
        .expected("voxels of which a label fills the most, in one case at least")
        .found(format!("none; case {} has voxels of {found}, made of {native}, and had labels", case.id))
        .hint(hint)
}

/// Gives cases with the very same mask to one subject.
fn joined(mut cases: Vec<Arc<Case>>) -> Result<Vec<Arc<Case>>> {
    let mask = |case: &Arc<Case>| -> Result<_> { Ok(subjects::mask_digest(&*case.native_label.whole()?)) };
    let masks: Vec<Result<_>> = cases.par_iter().map(mask).collect();
    let masks: Vec<_> = masks.into_iter().collect::<Result<_>>()?;
    let said = cases.iter().map(|case| case.subject.clone()).collect();
    for (case, subject) in cases.iter_mut().zip(subjects::joined(said, &masks)) {
        if case.subject != subject {
            Arc::make_mut(case).subject = subject;
        }
    }
    Ok(cases)
}

/// Refuses an image that occurs twice: on both sides of a split, it would be tested by a model that saw it.
fn distinct(entries: &[Entry], hashes: &[[blake3::Hash; 2]]) -> Result<()> {
    let mut first = BTreeMap::new();
    for (entry, [image, _]) in entries.iter().zip(hashes) {
        if let Some(other) = first.insert(*image.as_bytes(), &entry.images[0]) {
            return Err(Fault::new("two cases have the same image")
                .file(&entry.images[0])
                .expected("images that differ")
                .found(format!("every byte of it in {}", other.display()))
                .hint("remove one of the two; otherwise training and test cases overlap"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::case::tests::pair;
    use crate::volume::Volume;

    #[test]
    fn an_image_that_occurs_twice_is_refused() {
        let entry = |id: &str| Entry { id: id.into(), subject: id.into(), images: vec![id.into()], label: id.into() };
        let hash = |text: &str| [blake3::hash(text.as_bytes()), blake3::hash(b"mask")];
        let entries = [entry("a"), entry("b")];
        assert!(distinct(&entries, &[hash("x"), hash("y")]).is_ok());
        assert!(distinct(&entries, &[hash("x"), hash("x")]).is_err());
    }

    #[test]
    fn cases_with_one_mask_are_one_person() {
        let (image, mask) = pair([4, 4, 4]);
        let case = |id: &str, mask: &Volume<u8>| {
            Arc::new(Case::new(id, std::slice::from_ref(&image), mask, &[2, 5], &Preprocess::default()).unwrap())
        };
        let empty = mask.map(|_| 0);
        let cases = vec![case("a", &mask), case("b", &empty), case("c", &mask), case("d", &empty)];
        let subjects: Vec<String> = joined(cases).unwrap().iter().map(|case| case.subject.clone()).collect();
        assert_eq!(subjects, ["a", "b", "a", "d"]);
    }

    #[test]
    fn labels_that_preprocessing_removes_are_not_called_empty_masks() {
        let (image, mut mask) = pair([8, 8, 8]);
        let set = |mask: &Volume<u8>, preprocess: &Preprocess| {
            let case = Case::new("a", std::slice::from_ref(&image), mask, &[2, 5], preprocess).unwrap();
            Dataset::new("set", &[(2, "x".into())], vec![Arc::new(case)], preprocess, String::new())
        };
        mask.voxels.fill(0);
        let averaged = Preprocess { average: [2, 2, 2], ..Preprocess::default() };
        let fault = set(&mask, &averaged).unwrap_err();
        assert_eq!(fault.summary(), "no case has a labelled voxel");
        mask.voxels[300] = 2;
        assert!(set(&mask, &Preprocess::default()).is_ok());
        let resampled = Preprocess { spacing: Some([4.0, 4.0, 4.0]), ..Preprocess::default() };
        for (preprocess, field) in [(averaged, "preprocess.average"), (resampled, "preprocess.spacing")] {
            let fault = set(&mask, &preprocess).unwrap_err();
            assert_eq!(fault.summary(), "preprocessing removes every label");
            assert!(fault.to_string().contains(&format!("field:    {field}\n")), "{fault}");
        }
    }
}
