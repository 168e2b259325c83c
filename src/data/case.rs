//! A case as the trainer and the judge see it.
//!
//! Training happens on the preprocessed grid, judging on the native one: a case holds both truths and the way back, so
//! that no number in a table depends on a choice of resampling. Cases never change after loading and are shared by
//! reference count between threads.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::layout::Entry;
use super::nifti;
use super::preprocess::{LabelMode, Prepared, Preprocess};
use super::store::{Places, Voxels};
use super::way::Way;
use crate::fault::{Fault, Result};
use crate::phase::{self, Phase};
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
        phase::end(Phase::Read);
        let truth = classes_of(&mask, values, preprocess.labels).map_err(|fault| fault.file(&entry.label))?;
        let prepared = preprocess.read(&entry.images, channels, other_channels)?;
        same_grid(&entry.images[0].display().to_string(), prepared.way.native_grid(), &mask.grid)
            .map_err(|fault| fault.file(&entry.label))?;
        let case = Self::assemble(&entry.id, prepared, truth, preprocess.labels.count(values));
        phase::end(Phase::Prepare);
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::data) fn pair(shape: [usize; 3]) -> (Volume<f32>, Volume<u8>) {
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
}
