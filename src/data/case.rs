//! A case as the trainer and the judge see it, and a set of cases with a name that no other set has.
//!
//! Training happens on the preprocessed grid, judging on the native one: a case holds both truths and the way back, so
//! that no number in a table depends on a choice of resampling. Cases never change after loading and are shared by
//! reference count between threads.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use super::layout::{Entry, Layout};
use super::nifti;
use super::preprocess::{LabelMode, Preprocess};
use crate::fault::{Fault, Result};
use crate::volume::{Grid, Volume, affine, resample};

/// One subject's image and truth.
#[derive(Debug, Clone)]
pub struct Case {
    /// Name of the case, unique in its dataset.
    pub id: String,
    /// The preprocessed image.
    pub image: Volume<f32>,
    /// Its truth on the same grid: 0 is background, `c + 1` is class `c`.
    pub label: Arc<Volume<u8>>,
    /// The truth on the grid of the file, in the same classes: what predictions are judged by. The same object as
    /// `label` where nothing was resampled.
    pub native_label: Arc<Volume<u8>>,
    /// Per class, the positions of its voxels in `label`, ascending: a random one is one draw away.
    pub voxels_of_class: Vec<Vec<u32>>,
    /// The image's file, whose header a prediction copies; none for phantoms.
    pub source: Option<PathBuf>,
}

impl Case {
    /// Preprocesses an image and its truth. `values` are the label values of the foreground classes, ascending.
    ///
    /// # Errors
    /// If the two are on different grids, the truth has a value beyond `values`, or the image cannot be normalised.
    pub fn new(
        id: &str,
        image: &Volume<f32>,
        mask: &Volume<u8>,
        values: &[u8],
        preprocess: &Preprocess,
    ) -> Result<Self> {
        same_grid("the image", &image.grid, &mask.grid)?;
        let truth = classes_of(mask, values, preprocess.labels)?;
        Ok(Self::assemble(id, preprocess.image(image)?, truth, preprocess.labels.count(values)))
    }

    /// Reads and preprocesses the files of a case.
    ///
    /// # Errors
    /// As [`nifti::read_image`], [`nifti::read_label`] and [`Case::new`], with the file that is to blame.
    pub fn read(entry: &Entry, values: &[u8], preprocess: &Preprocess) -> Result<Self> {
        let (image, mask) = (nifti::read_image(&entry.image)?, nifti::read_label(&entry.label)?);
        let blame = |path: &Path| {
            let path = path.to_path_buf();
            move |fault: Fault| fault.file(path)
        };
        same_grid(&entry.image.display().to_string(), &image.grid, &mask.grid).map_err(blame(&entry.label))?;
        let truth = classes_of(&mask, values, preprocess.labels).map_err(blame(&entry.label))?;
        let image = preprocess.image(&image).map_err(blame(&entry.image))?;
        let case = Self::assemble(&entry.id, image, truth, preprocess.labels.count(values));
        Ok(Self { source: Some(entry.image.clone()), ..case })
    }

    /// Reads every case of a dataset in parallel; results stand in the order of its entries, good and bad alike.
    pub fn read_all(layout: &Layout, preprocess: &Preprocess) -> Vec<Result<Self>> {
        let values: Vec<u8> = layout.classes.iter().map(|(value, _)| *value).collect();
        layout.entries.par_iter().map(|entry| Self::read(entry, &values, preprocess)).collect()
    }

    /// Joins a preprocessed image and its native truth.
    fn assemble(id: &str, image: Volume<f32>, truth: Volume<u8>, classes: usize) -> Self {
        let native_label = Arc::new(truth);
        let label = if image.grid.shape == native_label.grid.shape {
            Arc::clone(&native_label)
        } else {
            Arc::new(resample::labels(&native_label, image.grid.shape))
        };
        let mut voxels_of_class = vec![Vec::new(); classes];
        for (index, class) in label.voxels.iter().enumerate().filter(|(_, class)| **class > 0) {
            voxels_of_class[usize::from(*class) - 1].push(index as u32);
        }
        Self { id: id.to_string(), image, label, native_label, voxels_of_class, source: None }
    }

    /// The grid of the file.
    pub fn native_grid(&self) -> &Grid {
        &self.native_label.grid
    }

    /// Number of foreground classes.
    pub fn classes(&self) -> usize {
        self.voxels_of_class.len()
    }

    /// Brings a map on the preprocessed grid (a logit, a probability) back to the grid of the file, linearly. Deciding
    /// the class after resampling, not before, keeps edges where the network put them.
    ///
    /// # Errors
    /// If `map` does not have one value per voxel of the preprocessed image.
    pub fn restore(&self, map: Vec<f32>) -> Result<Volume<f32>> {
        let map = Volume::new(self.image.grid.clone(), map)?;
        let native = self.native_grid();
        let voxels =
            if map.grid.shape == native.shape { map.voxels } else { resample::linear(&map, native.shape).voxels };
        Volume::new(native.clone(), voxels)
    }
}

/// Refuses a mask that does not lie on its image; `image_name` stands in the message.
fn same_grid(image_name: &str, image: &Grid, mask: &Grid) -> Result<()> {
    let Some(difference) = affine::difference(image, mask) else { return Ok(()) };
    Err(Fault::new(format!("mask is on another grid than its image: {} differs", difference.what))
        .expected(format!("{}, as {image_name}", difference.first))
        .found(difference.second)
        .hint("resample the mask to the image, or correct the header that is wrong"))
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
    /// Names of the foreground classes, in the order of channels.
    pub classes: Vec<String>,
    /// The cases, by id.
    pub cases: Vec<Arc<Case>>,
    /// BLAKE3, in hexadecimal, of everything that decides the cases: contents of the files, classes, preprocessing.
    pub digest: String,
}

impl Dataset {
    /// Reads a folder in the form of the Medical Segmentation Decathlon, all cases in parallel.
    ///
    /// # Errors
    /// If the preprocessing makes no sense, the folder is not in that form, or a case cannot be used: always the fault
    /// of the first such case by id.
    pub fn load(folder: &Path, preprocess: &Preprocess) -> Result<Self> {
        preprocess.validate()?;
        let layout = Layout::read(folder)?;
        // Judged in order: rayon's own `collect::<Result<_>>` returns whichever error came first.
        let cases: Vec<Arc<Case>> =
            Case::read_all(&layout, preprocess).into_iter().map(|case| case.map(Arc::new)).collect::<Result<_>>()?;
        let hashes: Vec<Result<[blake3::Hash; 2]>> =
            layout.entries.par_iter().map(|entry| Ok([hash(&entry.image)?, hash(&entry.label)?])).collect();
        let hashes = hashes.into_iter().collect::<Result<Vec<_>>>()?;
        distinct(&layout.entries, &hashes)?;
        let ids = layout.entries.iter().map(|entry| entry.id.as_str());
        let digest = digest(&layout.classes, preprocess, ids.zip(hashes));
        Self::new(&layout.name, &layout.classes, cases, preprocess, digest)
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
        if cases.iter().all(|case| case.voxels_of_class.iter().all(Vec::is_empty)) {
            return Err(Fault::new("no case has a labelled voxel")
                .field(name)
                .expected("foreground in at least one mask")
                .found(format!("background alone in {} masks", cases.len()))
                .hint("the masks are empty: there is nothing to learn and nothing to judge by"));
        }
        let names = classes.iter().map(|(_, name)| name.clone()).collect::<Vec<_>>();
        let classes = match preprocess.labels {
            LabelMode::Foreground if names.len() > 1 => vec!["foreground".to_string()],
            _ => names,
        };
        Ok(Self { name: name.to_string(), classes, cases, digest })
    }

    /// The ids of all cases, in their order.
    pub fn ids(&self) -> Vec<String> {
        self.cases.iter().map(|case| case.id.clone()).collect()
    }

    /// The cases at `places`, shared with this dataset.
    ///
    /// # Panics
    /// If a place is not below the number of cases.
    pub fn select(&self, places: &[usize]) -> Vec<Arc<Case>> {
        places.iter().map(|place| Arc::clone(&self.cases[*place])).collect()
    }
}

/// Refuses an image that occurs twice: on both sides of a split, it would be tested by a model that saw it.
fn distinct(entries: &[Entry], hashes: &[[blake3::Hash; 2]]) -> Result<()> {
    let mut first = BTreeMap::new();
    for (entry, [image, _]) in entries.iter().zip(hashes) {
        if let Some(other) = first.insert(*image.as_bytes(), &entry.image) {
            return Err(Fault::new("two cases have the same image")
                .file(&entry.image)
                .expected("images that differ")
                .found(format!("every byte of it in {}", other.display()))
                .hint("remove one of the two; otherwise training and test cases overlap"));
        }
    }
    Ok(())
}

fn hash(path: &Path) -> Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    File::open(path)
        .and_then(|file| hasher.update_reader(file).map(|_| ()))
        .map_err(|error| Fault::io("read", path, &error))?;
    Ok(hasher.finalize())
}

/// One name for everything that decides the cases. Strings are preceded by their length, so that no two different lists
/// run together into the same bytes.
pub(super) fn digest<'a>(
    classes: &[(u8, String)],
    preprocess: &Preprocess,
    contents: impl IntoIterator<Item = (&'a str, [blake3::Hash; 2])>,
) -> String {
    let mut hasher = blake3::Hasher::new();
    let text = |hasher: &mut blake3::Hasher, text: &str| {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    // Debug output of plain data: every field, floats with all their digits, no failure to handle.
    text(&mut hasher, &format!("{preprocess:?} {classes:?}"));
    for (id, hashes) in contents {
        text(&mut hasher, id);
        for hash in hashes {
            hasher.update(hash.as_bytes());
        }
    }
    hasher.finalize().to_hex().to_string()
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

    #[test]
    fn classes_are_numbered_by_value_or_merged() {
        let (image, mask) = pair([4, 4, 4]);
        let mode = |labels| Preprocess { labels, ..Preprocess::default() };
        let merged = Case::new("a", &image, &mask, &[2, 5], &mode(LabelMode::Foreground)).unwrap();
        assert_eq!((merged.label.voxels[3], merged.label.voxels[4], merged.classes()), (1, 1, 1));
        assert!(Arc::ptr_eq(&merged.label, &merged.native_label));
        let apart = Case::new("a", &image, &mask, &[2, 5, 9], &mode(LabelMode::Classes)).unwrap();
        assert_eq!((apart.label.voxels[3], apart.label.voxels[4], apart.classes()), (1, 2, 3));
        assert_eq!(apart.voxels_of_class[0][..2], [3, 8]);
        assert!(apart.voxels_of_class[2].is_empty());
        let fault = Case::new("a", &image, &mask, &[2], &mode(LabelMode::Classes)).unwrap_err();
        assert!(fault.to_string().contains("found:    5"), "{fault}");
    }

    #[test]
    fn another_grid_is_refused_and_both_values_are_told() {
        let (image, mut mask) = pair([4, 4, 4]);
        mask.grid.spacing[2] = 3.0;
        let text = Case::new("a", &image, &mask, &[2, 5], &Preprocess::default()).unwrap_err().to_string();
        assert!(text.contains("1 x 1 x 2 mm") && text.contains("1 x 1 x 3 mm"), "{text}");
    }

    #[test]
    fn faults_of_files_name_the_file_to_blame() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let entry = Entry { id: "a".into(), image: path("image.nii"), label: path("mask.nii") };
        let (image, mut mask) = pair([4, 4, 4]);
        let read = |mask: &Volume<u8>, gain: f32| {
            nifti::write_new_image(&entry.image, &image.map(|v| (gain * v) as i16)).unwrap();
            nifti::write_new_label(&entry.label, mask).unwrap();
            Case::read(&entry, &[2, 5], &Preprocess::default())
        };
        assert_eq!(read(&mask, 1.0).unwrap().source, Some(entry.image.clone()));
        assert!(read(&mask, 0.0).unwrap_err().to_string().contains("image.nii"));
        mask.grid.affine[0][3] = 7.0;
        let text = read(&mask, 1.0).unwrap_err().to_string();
        assert!(text.contains("image.nii") && text.contains("mask.nii") && text.contains("origin"), "{text}");
    }

    #[test]
    fn an_image_that_occurs_twice_is_refused() {
        let entry = |id: &str| Entry { id: id.into(), image: id.into(), label: id.into() };
        let hash = |text: &str| [blake3::hash(text.as_bytes()), blake3::hash(b"mask")];
        let entries = [entry("a"), entry("b")];
        assert!(distinct(&entries, &[hash("x"), hash("y")]).is_ok());
        assert!(distinct(&entries, &[hash("x"), hash("x")]).is_err());
    }

    #[test]
    fn a_resampled_case_keeps_the_native_truth_and_finds_its_way_back() {
        let (image, mask) = pair([4, 6, 8]);
        let preprocess = Preprocess { spacing: Some([2.0, 2.0, 2.0]), ..Preprocess::default() };
        let case = Case::new("a", &image, &mask, &[2, 5], &preprocess).unwrap();
        assert_eq!((case.image.grid.shape, case.label.grid.shape), ([2, 3, 8], [2, 3, 8]));
        assert_eq!(case.native_grid(), &mask.grid);
        assert_eq!(case.native_label.voxels, mask.map(|v| u8::from(*v > 0)).voxels);
        let back = case.restore(vec![1.5; 48]).unwrap();
        assert_eq!(back.grid, mask.grid);
        assert!(back.voxels.iter().all(|v| (v - 1.5).abs() < 1e-6));
        assert!(case.restore(vec![0.0; 47]).is_err());
    }

    #[test]
    fn the_digest_knows_everything_that_decides_the_cases() {
        let (a, b) = (blake3::hash(b"a"), blake3::hash(b"b"));
        let classes = [(1, "L1".to_string())];
        let clip = Preprocess { clip_percentiles: (0.0, 100.0), ..Preprocess::default() };
        let plain = Preprocess::default();
        let all = [
            digest(&classes, &plain, [("x", [a, b])]),
            digest(&classes, &plain, [("x", [b, a])]),
            digest(&classes, &plain, [("y", [a, b])]),
            digest(&classes, &clip, [("x", [a, b])]),
            digest(&[(2, "L1".to_string())], &plain, [("x", [a, b])]),
        ];
        let distinct: std::collections::BTreeSet<&String> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert_eq!(all[0], digest(&classes, &plain, [("x", [a, b])]));
    }
}
