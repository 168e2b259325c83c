//! A case as the trainer and the judge see it, and a set of cases with a name that no other set has.
//!
//! Training happens on the preprocessed grid, judging on the native one: a case holds both truths and the way back, so
//! that no number in a table depends on a choice of resampling. Cases never change after loading and are shared by
//! reference count between threads.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use super::cache::Cache;
use super::digest::digest;
use super::layout::{self, Entry, Layout};
use super::nifti;
use super::preprocess::{LabelMode, Prepared, Preprocess};
use super::store::{Places, Voxels};
use super::way::Way;
use crate::fault::{Fault, Result};
use crate::volume::{Grid, Volume, affine, relation::Relation};

/// One subject's image and truth.
#[derive(Debug, Clone)]
pub struct Case {
    /// Name of the case, unique in its dataset.
    pub id: String,
    /// The person: cases of one are never on both sides of a split.
    pub subject: String,
    /// The preprocessed image: one volume for each channel, all on the same grid.
    pub channels: Vec<Voxels<f32>>,
    /// Its truth on the same grid: 0 is background, `c + 1` is class `c`.
    pub label: Arc<Voxels<u8>>,
    /// The truth on the grid of the file, in the same classes: what predictions are judged by. The same object as
    /// `label` where the image keeps its grid.
    pub native_label: Arc<Voxels<u8>>,
    /// How the image got to its grid.
    pub way: Way,
    /// Per class, the positions of its voxels in `label`, ascending: a random one is one draw away.
    pub voxels_of_class: Vec<Places>,
    /// The image's file, whose header a prediction copies; none for phantoms.
    pub source: Option<PathBuf>,
}

impl Case {
    /// Preprocesses the channels of an image, one at least, and its truth. `values` are the label values of the foreground classes, ascending.
    ///
    /// # Errors
    /// If they are on different grids, the truth has a value beyond `values`, or a channel cannot be normalised.
    pub fn new(
        id: &str,
        channels: &[Volume<f32>],
        mask: &Volume<u8>,
        values: &[u8],
        preprocess: &Preprocess,
    ) -> Result<Self> {
        for channel in channels {
            same_grid("the image", &channel.grid, &mask.grid)?;
        }
        let truth = classes_of(mask, values, preprocess.labels)?;
        Ok(Self::assemble(id, preprocess.prepare(channels)?, truth, preprocess.labels.count(values)))
    }

    /// Reads and preprocesses the files of a case with `channels` channels.
    ///
    /// # Errors
    /// As [`nifti::read_channels`], [`nifti::read_label`] and [`Case::new`], with the file that is to blame.
    pub fn read(entry: &Entry, channels: usize, values: &[u8], preprocess: &Preprocess) -> Result<Self> {
        let mask = nifti::read_label(&entry.label)?;
        let truth = classes_of(&mask, values, preprocess.labels).map_err(|fault| fault.file(&entry.label))?;
        let prepared = preprocess.read(&entry.images, channels, other_channels)?;
        same_grid(&entry.images[0].display().to_string(), prepared.way.native_grid(), &mask.grid)
            .map_err(|fault| fault.file(&entry.label))?;
        let case = Self::assemble(&entry.id, prepared, truth, preprocess.labels.count(values));
        Ok(Self { subject: entry.subject.clone(), source: Some(entry.images[0].clone()), ..case })
    }

    /// Joins a preprocessed image and its native truth.
    fn assemble(id: &str, image: Prepared, truth: Volume<u8>, classes: usize) -> Self {
        let Prepared { channels, way } = image;
        let label = match way.labels(&truth) {
            Cow::Borrowed(_) => None,
            Cow::Owned(label) => Some(label),
        };
        let mut voxels_of_class = vec![Vec::new(); classes];
        for (index, class) in
            label.as_ref().unwrap_or(&truth).voxels.iter().enumerate().filter(|(_, class)| **class > 0)
        {
            voxels_of_class[usize::from(*class) - 1].push(index as u32);
        }
        let native_label = Arc::new(Voxels::Memory(truth));
        Self {
            id: id.to_string(),
            subject: id.to_string(),
            channels: channels.into_iter().map(Voxels::Memory).collect(),
            label: label.map_or_else(|| Arc::clone(&native_label), |label| Arc::new(Voxels::Memory(label))),
            native_label,
            way,
            voxels_of_class: voxels_of_class.into_iter().map(Places::Memory).collect(),
            source: None,
        }
    }

    /// The preprocessed grid.
    pub fn grid(&self) -> &Grid {
        self.way.grid()
    }

    /// The grid of the file.
    pub fn native_grid(&self) -> &Grid {
        self.native_label.grid()
    }

    /// Number of foreground classes.
    pub fn classes(&self) -> usize {
        self.voxels_of_class.len()
    }

    /// Brings a map on the preprocessed grid (a logit, a probability) back to the grid of the file, linearly. Deciding
    /// the class after resampling, not before, keeps edges where the network put them. Voxels that were cut away get
    /// `outside`.
    ///
    /// # Errors
    /// If `map` does not have one value per voxel of the preprocessed grid.
    pub fn restore(&self, map: Vec<f32>, outside: f32) -> Result<Volume<f32>> {
        self.way.restore(map, outside)
    }
}

/// Refuses a mask that does not lie on its image; `image_name` stands in the message.
fn same_grid(image_name: &str, image: &Grid, mask: &Grid) -> Result<()> {
    let Some(difference) = affine::difference(image, mask) else { return Ok(()) };
    Err(Fault::new(format!("mask is on another grid than its image: {} differs", difference.what))
        .expected(format!("{}, as {image_name}", difference.first))
        .found(difference.second)
        .hint(Relation::of(image, mask).cure()))
}

/// An image that has not the channels of its dataset.
pub(super) fn other_channels(image: &Path, expected: usize, found: usize) -> Fault {
    let count = |n: usize| format!("{n} channel{}", if n == 1 { "" } else { "s" });
    Fault::new("image has not the channels of its dataset")
        .file(image)
        .field("channels")
        .expected(count(expected))
        .found(count(found))
        .hint("dataset.json names the channels (`modality` or `channel_names`); they stand along the fourth axis or in a file each")
}

/// Numbers label values by class: all one, or by their place in `values`.
fn classes_of(mask: &Volume<u8>, values: &[u8], mode: LabelMode) -> Result<Volume<u8>> {
    let mut class = [None; 256];
    class[0] = Some(0);
    for (place, value) in values.iter().enumerate() {
        class[usize::from(*value)] = Some(if mode == LabelMode::Foreground { 1 } else { place as u8 + 1 });
    }
    if let Some(stranger) = mask.voxels.iter().find(|value| class[usize::from(**value)].is_none()) {
        return Err(Fault::new("mask has a label that the dataset does not name")
            .field("labels of dataset.json")
            .expected(format!("0 or one of {values:?}"))
            .found(stranger)
            .hint("name the label in dataset.json, or correct the mask"));
    }
    // Every value that occurs has a class by now; background is what cannot happen.
    Ok(mask.map(|value| class[usize::from(*value)].unwrap_or(0)))
}

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
            if let Some(cache) = cache {
                let hashes = entry.hashes()?;
                return Ok((Arc::new(cache.case(entry, hashes, channels, &values, preprocess)?), hashes));
            }
            let case = Case::read(entry, channels, &values, preprocess)?;
            Ok((Arc::new(case), entry.hashes()?))
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
        let cases = joined(cases, &hashes);
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

/// Gives cases with the very same mask to one subject: two people never have the same, but one person may have been
/// annotated once for several images. Masks without foreground tell nothing.
fn joined(mut cases: Vec<Arc<Case>>, hashes: &[[blake3::Hash; 2]]) -> Vec<Arc<Case>> {
    let mut first: BTreeMap<[u8; 32], String> = BTreeMap::new();
    for (case, [_, mask]) in cases.iter_mut().zip(hashes) {
        if case.voxels_of_class.iter().all(Places::is_empty) {
            continue;
        }
        let subject = first.entry(*mask.as_bytes()).or_insert_with(|| case.subject.clone());
        if *subject != case.subject {
            Arc::make_mut(case).subject.clone_from(subject);
        }
    }
    cases
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

    fn pair(shape: [usize; 3]) -> (Volume<f32>, Volume<u8>) {
        let grid = Grid::aligned(shape, [1.0, 1.0, 2.0]);
        let image = Volume::new(grid.clone(), (0..grid.voxels()).map(|i| (i % 7) as f32).collect()).unwrap();
        let mask = Volume::new(grid.clone(), (0..grid.voxels()).map(|i| [0, 0, 0, 2, 5][i % 5]).collect()).unwrap();
        (image, mask)
    }

    fn at(case: &Case, voxel: usize) -> u8 {
        case.label.whole().unwrap().voxels[voxel]
    }

    #[test]
    fn classes_are_numbered_by_value_or_merged() {
        let (image, mask) = pair([4, 4, 4]);
        let mode = |labels| Preprocess { labels, ..Preprocess::default() };
        let merged =
            Case::new("a", std::slice::from_ref(&image), &mask, &[2, 5], &mode(LabelMode::Foreground)).unwrap();
        assert_eq!((at(&merged, 3), at(&merged, 4), merged.classes()), (1, 1, 1));
        assert!(Arc::ptr_eq(&merged.label, &merged.native_label));
        let apart = Case::new("a", std::slice::from_ref(&image), &mask, &[2, 5, 9], &mode(LabelMode::Classes)).unwrap();
        assert_eq!((at(&apart, 3), at(&apart, 4), apart.classes()), (1, 2, 3));
        assert_eq!([0, 1].map(|n| apart.voxels_of_class[0].at(n).unwrap()), [3, 8]);
        assert!(apart.voxels_of_class[2].is_empty());
        let fault = Case::new("a", std::slice::from_ref(&image), &mask, &[2], &mode(LabelMode::Classes)).unwrap_err();
        assert!(fault.to_string().contains("found:    5"), "{fault}");
    }

    #[test]
    fn another_grid_is_refused_and_both_values_are_told() {
        let (image, mut mask) = pair([4, 4, 4]);
        mask.grid.spacing[2] = 3.0;
        let text = Case::new("a", std::slice::from_ref(&image), &mask, &[2, 5], &Preprocess::default())
            .unwrap_err()
            .to_string();
        assert!(text.contains("1 x 1 x 2 mm") && text.contains("1 x 1 x 3 mm"), "{text}");
    }

    #[test]
    fn faults_of_files_name_the_file_to_blame() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let entry =
            Entry { id: "a".into(), subject: "a".into(), images: vec![path("image.nii")], label: path("mask.nii") };
        let (image, mut mask) = pair([4, 4, 4]);
        let read = |mask: &Volume<u8>, gain: f32| {
            nifti::write_new_image(&entry.images[0], &image.map(|v| (gain * v) as i16)).unwrap();
            nifti::write_new_label(&entry.label, mask).unwrap();
            Case::read(&entry, 1, &[2, 5], &Preprocess::default())
        };
        assert_eq!(read(&mask, 1.0).unwrap().source, Some(entry.images[0].clone()));
        assert!(read(&mask, 0.0).unwrap_err().to_string().contains("image.nii"));
        mask.grid.affine[0][3] = 7.0;
        let text = read(&mask, 1.0).unwrap_err().to_string();
        assert!(text.contains("image.nii") && text.contains("mask.nii") && text.contains("origin"), "{text}");
    }

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
        let hash = |text: &str| [blake3::hash(b"image"), blake3::hash(text.as_bytes())];
        let subjects: Vec<String> = joined(cases, &[hash("x"), hash("y"), hash("x"), hash("y")])
            .iter()
            .map(|case| case.subject.clone())
            .collect();
        assert_eq!(subjects, ["a", "b", "a", "d"]);
    }

    #[test]
    fn a_resampled_case_keeps_the_native_truth_and_finds_its_way_back() {
        let (image, mask) = pair([4, 6, 8]);
        let preprocess = Preprocess { spacing: Some([2.0, 2.0, 2.0]), ..Preprocess::default() };
        let case = Case::new("a", std::slice::from_ref(&image), &mask, &[2, 5], &preprocess).unwrap();
        assert_eq!((case.grid().shape, case.label.grid().shape), ([2, 3, 8], [2, 3, 8]));
        assert_eq!(case.native_grid(), &mask.grid);
        assert_eq!(case.native_label.whole().unwrap().voxels, mask.map(|v| u8::from(*v > 0)).voxels);
        let back = case.restore(vec![1.5; 48], 0.0).unwrap();
        assert_eq!(back.grid, mask.grid);
        assert!(back.voxels.iter().all(|v| (v - 1.5).abs() < 1e-6));
        assert!(case.restore(vec![0.0; 47], 0.0).is_err());
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
