//! Spines out of a seed: a dataset for examples, tests and first runs that needs no download and no consent.
//!
//! The task is a small likeness of the real one: 4 to 8 % foreground, anisotropic voxels, gaps of two voxels between
//! bodies, unlabelled bone of the same marrow right behind them, and intensities that overlap so far that no threshold
//! segments anything. A phantom in memory equals the phantom written to disk and read again, bit by bit.

mod anatomy;
mod scan;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::case::Case;
use super::dataset::Dataset;
use super::digest::digest;
use super::nifti;
use super::preprocess::Preprocess;
use crate::fault::{Fault, Result};
use crate::rng::{Purpose, stream};
use crate::run::replace;
use crate::volume::{Grid, Volume};

/// Size along i (upwards), j (backwards) and k (sideways) of every phantom, in mm. Finer shapes show the same spine in
/// smaller voxels.
pub const FIELD_OF_VIEW: [f64; 3] = [80.0, 80.0, 72.0];

/// Most voxels of all cases together: some 20 GB, as image and truth.
const MOST_VOXELS: f64 = 4e9;

/// How many phantoms, how fine, and which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Phantom {
    /// Number of cases.
    pub cases: usize,
    /// Voxels along i, j, k.
    pub shape: [usize; 3],
    /// Names the set: the same seed gives the same cases, and the first cases do not depend on how many follow.
    pub seed: u64,
}

impl Default for Phantom {
    /// 24 spines of 2 x 2 x 3 mm.
    fn default() -> Self {
        Self { cases: 24, shape: [40, 40, 24], seed: 1 }
    }
}

impl Phantom {
    /// Checks the numbers of a configuration.
    ///
    /// # Errors
    /// If there is no case, or a shape is too coarse to show a body or too large for a phantom.
    pub fn validate(&self) -> Result<()> {
        if !(1..=10_000).contains(&self.cases) {
            return Err(Fault::new("impossible number of phantoms")
                .field("cases")
                .expected("1 to 10000")
                .found(self.cases)
                .hint("ask for another number of cases"));
        }
        if !self.shape.iter().all(|n| (8..=512).contains(n)) {
            return Err(Fault::new("phantoms cannot have this shape")
                .field("shape")
                .expected("8 to 512 voxels along each axis")
                .found(format!("{:?}", self.shape)));
        }
        // In floating point, because the product of absurd numbers overflows.
        let voxels = self.shape.iter().chain([&self.cases]).map(|n| *n as f64).product::<f64>();
        if voxels > MOST_VOXELS {
            return Err(Fault::new("phantoms would fill the memory")
                .field("cases, shape")
                .expected(format!("at most {MOST_VOXELS:e} voxels in all"))
                .found(format!("{} cases of {:?}", self.cases, self.shape))
                .hint("ask for fewer cases or coarser ones"));
        }
        Ok(())
    }

    /// The cases, preprocessed as files would be.
    ///
    /// # Errors
    /// If a number of this configuration or of `preprocess` makes no sense.
    pub fn dataset(&self, preprocess: &Preprocess) -> Result<Dataset> {
        self.validate()?;
        preprocess.validate()?;
        let classes = classes();
        let values: Vec<u8> = classes.iter().map(|(value, _)| *value).collect();
        let make = |number: usize| -> Result<(Arc<Case>, [blake3::Hash; 2])> {
            let (image, mask) = self.scan(number);
            let bytes: Vec<u8> = image.voxels.iter().flat_map(|value| value.to_le_bytes()).collect();
            let hashes = [blake3::hash(&bytes), blake3::hash(&mask.voxels)];
            let case = Case::new(&id(number), &[image.map(|v| f32::from(*v))], &mask, &values, preprocess)?;
            Ok((Arc::new(case), hashes))
        };
        let made: Vec<Result<(Arc<Case>, [blake3::Hash; 2])>> = (0..self.cases).into_par_iter().map(make).collect();
        let made = made.into_iter().collect::<Result<Vec<_>>>()?;
        let digest = digest(&classes, preprocess, made.iter().map(|(case, hashes)| (case.id.as_str(), *hashes)));
        Dataset::new(NAME, &classes, made.into_iter().map(|(case, _)| case).collect(), preprocess, digest)
    }

    /// Writes the cases as a folder of the Medical Segmentation Decathlon.
    ///
    /// # Errors
    /// If a number makes no sense, the folder exists and is not empty, or writing fails.
    pub fn write(&self, folder: &Path) -> Result<()> {
        self.validate()?;
        let occupied = fs::read_dir(folder).is_ok_and(|mut items| items.next().is_some());
        if occupied {
            return Err(Fault::new("folder is not empty")
                .file(folder)
                .expected("an empty folder, or none yet")
                .found("a folder with files in it")
                .hint("phantoms never overwrite; name a new folder"));
        }
        for part in ["imagesTr", "labelsTr"] {
            fs::create_dir_all(folder.join(part)).map_err(|error| Fault::io("create", folder, &error))?;
        }
        let write = |number: usize| {
            let (image, mask) = self.scan(number);
            let name = format!("{}.nii.gz", id(number));
            nifti::write_new_image(&folder.join("imagesTr").join(&name), &image)?;
            nifti::write_new_label(&folder.join("labelsTr").join(&name), &mask)
        };
        let written: Vec<Result<()>> = (0..self.cases).into_par_iter().map(write).collect();
        written.into_iter().collect::<Result<()>>()?;
        // Last, so that an interrupted folder is not mistaken for a dataset.
        let path = folder.join("dataset.json");
        let text = serde_json::to_string_pretty(&self.description())
            .map_err(|error| Fault::failed(format!("cannot describe the dataset: {error}")))?;
        replace(&path, (text + "\n").as_bytes())
    }

    /// Distance of voxel centres along i, j, k, in mm.
    pub fn spacing(&self) -> [f64; 3] {
        self.grid().spacing
    }

    /// Image and mask of one case, as a scanner would store them.
    fn scan(&self, number: usize) -> (Volume<i16>, Volume<u8>) {
        scan::scan(&self.grid(), &mut stream(self.seed, Purpose::Phantom, 0, number as u64))
    }

    /// Axes as in sagittal spine images: i upwards, j backwards, k to the right. In float32, as headers store them.
    fn grid(&self) -> Grid {
        let stored = |x: f64| f64::from(x as f32);
        let [i, j, k]: [f64; 3] = std::array::from_fn(|axis| stored(FIELD_OF_VIEW[axis] / self.shape[axis] as f64));
        let start = |axis: usize, step: f64| stored(-step * (self.shape[axis] as f64 - 1.0) / 2.0);
        let affine = [[0.0, 0.0, k, start(2, k)], [0.0, -j, 0.0, -start(1, j)], [i, 0.0, 0.0, start(0, i)]];
        Grid { shape: self.shape, spacing: [i, j, k], affine }
    }

    fn description(&self) -> serde_json::Value {
        let file = |number: usize| {
            let name = format!("{}.nii.gz", id(number));
            serde_json::json!({"image": format!("./imagesTr/{name}"), "label": format!("./labelsTr/{name}")})
        };
        let mut labels = serde_json::Map::from_iter([("0".to_string(), "background".into())]);
        labels.extend(classes().into_iter().map(|(value, name)| (value.to_string(), name.into())));
        serde_json::json!({
            "name": NAME,
            "description": format!("computed spines, no person; seed {}", self.seed),
            "tensorImageSize": "3D",
            "modality": {"0": "MRI"},
            "labels": labels,
            "numTraining": self.cases,
            "numTest": 0,
            "training": (0..self.cases).map(file).collect::<Vec<_>>(),
        })
    }
}

const NAME: &str = "SpinePhantoms";

fn id(number: usize) -> String {
    format!("phantom_{number:04}")
}

/// Levels from below, like L5 to L1.
fn classes() -> Vec<(u8, String)> {
    (1..=anatomy::LEVELS as u8).map(|level| (level, format!("body {level}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::LabelMode;

    fn few(cases: usize) -> Phantom {
        Phantom { cases, ..Phantom::default() }
    }

    /// Intensity and class of every voxel.
    fn voxels(case: &Case) -> Vec<(f32, u8)> {
        let (image, label) = (case.channels[0].whole().unwrap(), case.label.whole().unwrap());
        image.voxels.iter().copied().zip(label.voxels.iter().copied()).collect()
    }

    /// Best Dice of `image >= t` over all thresholds t.
    fn best_threshold(case: &Case) -> f64 {
        let mut voxels = voxels(case);
        voxels.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        let total = voxels.iter().filter(|(_, class)| *class > 0).count() as f64;
        let mut hit = 0.0;
        let dice = voxels.iter().enumerate().map(|(taken, (_, class))| {
            hit += f64::from(u8::from(*class > 0));
            2.0 * hit / (taken as f64 + 1.0 + total)
        });
        dice.fold(0.0, f64::max)
    }

    /// Best Dice of any band of intensities, over 40 x 40 pairs of quantiles.
    fn best_band(case: &Case) -> f64 {
        let mut voxels = voxels(case);
        voxels.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let mut sums = vec![0_u32];
        for (_, class) in &voxels {
            sums.push(sums[sums.len() - 1] + u32::from(*class > 0));
        }
        let total = sums[voxels.len()];
        let at = |step: usize| step * voxels.len() / 40;
        let dice = |low: usize, high: usize| {
            2.0 * f64::from(sums[high] - sums[low]) / ((high - low) as f64 + f64::from(total))
        };
        (0..40)
            .flat_map(|low| (low + 1..=40).map(move |high| (low, high)))
            .map(|(l, h)| dice(at(l), at(h)))
            .fold(0.0, f64::max)
    }

    #[test]
    fn no_threshold_and_no_band_of_intensities_segments_the_bodies() {
        let dataset = few(12).dataset(&Preprocess::default()).unwrap();
        let mean = |f: fn(&Case) -> f64| dataset.cases.iter().map(|case| f(case)).sum::<f64>() / 12.0;
        let (threshold, band) = (mean(best_threshold), mean(best_band));
        assert!(threshold < 0.5, "threshold {threshold}");
        assert!(band < 0.5, "band {band}");
    }

    #[test]
    fn the_share_of_foreground_is_that_of_a_spine_and_all_levels_are_there() {
        let preprocess = Preprocess { labels: LabelMode::Classes, ..Preprocess::default() };
        for case in few(12).dataset(&preprocess).unwrap().cases {
            let voxels = voxels(&case);
            let share = voxels.iter().filter(|(_, class)| *class > 0).count() as f64 / voxels.len() as f64;
            assert!((0.04..0.08).contains(&share), "{}: {share}", case.id);
            assert!(case.voxels_of_class.iter().all(|voxels| voxels.len() > 50), "{}", case.id);
        }
    }

    #[test]
    fn written_phantoms_come_back_as_they_are_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let preprocess = Preprocess { labels: LabelMode::Classes, ..Preprocess::default() };
        let phantom = Phantom { cases: 2, shape: [24, 22, 18], seed: 5 };
        phantom.write(folder.path()).unwrap();
        let (read, made) =
            (Dataset::load(folder.path(), &preprocess, None).unwrap(), phantom.dataset(&preprocess).unwrap());
        assert_eq!((read.name, read.classes), (made.name, made.classes));
        for (a, b) in read.cases.iter().zip(&made.cases) {
            assert_eq!((&a.id, &a.channels, &a.label), (&b.id, &b.channels, &b.label));
        }
        assert!(phantom.write(folder.path()).unwrap_err().summary().contains("not empty"));
    }

    #[test]
    fn a_seed_names_its_cases_whatever_their_number() {
        let of = |cases, seed| Phantom { cases, shape: [16, 16, 12], seed }.dataset(&Preprocess::default()).unwrap();
        let (two, three, other) = (of(2, 1), of(3, 1), of(2, 2));
        assert_eq!(two.cases[1].channels, three.cases[1].channels);
        assert_ne!(two.cases[0].channels, two.cases[1].channels);
        assert_ne!(two.cases[0].channels, other.cases[0].channels);
        assert_eq!(two.digest, of(2, 1).digest);
        assert!(two.digest != three.digest && two.digest != other.digest);
        assert!(Phantom { shape: [4, 40, 24], ..Phantom::default() }.validate().is_err());
    }
}
