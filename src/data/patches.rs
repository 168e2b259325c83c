//! From cases to batches: random patches, some of them around foreground, varied and stacked.
//!
//! A batch is a function of the cases, the sampler and the generator it is given; nothing else decides it. Patches reach
//! past the end of volumes that are smaller than a patch, and see zeros there: the mean of a normalised image, and
//! background. Whole volumes for prediction are not cut here.

use std::sync::Arc;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::augment::{Augment, affine::Placement, mirror, mixup, noise};
use super::case::Case;
use crate::fault::{Fault, Result};
use crate::volume::{Volume, resample};

/// Patches of one optimiser step, ready for a network. Last axes contiguous.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Shape of `image`: patches, channels, depth, height, width.
    pub shape: [usize; 5],
    /// Normalised intensities.
    pub image: Vec<f32>,
    /// Foreground classes: the second axis of `target`.
    pub classes: usize,
    /// Distance of voxel centres along depth, height and width in mm, one for each patch.
    pub spacing: Vec<[f64; 3]>,
    /// Membership in each class, 0 to 1 (in between only with MixUp): patches, classes, depth, height, width.
    pub target: Vec<f32>,
}

/// A target `[patches, classes, voxels]` with the background as class 0: what the foreground classes leave of 1.
pub fn with_background(target: &[f32], classes: usize, voxels: usize) -> Vec<f32> {
    let mut whole = Vec::with_capacity(target.len() / classes * (classes + 1));
    for foreground in target.chunks_exact(classes * voxels) {
        let rest = |voxel| 1.0 - foreground[voxel..].iter().step_by(voxels).sum::<f32>();
        whole.extend((0..voxels).map(rest));
        whole.extend_from_slice(foreground);
    }
    whole
}

/// How patches are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PatchSampler {
    /// Voxels of a patch along i, j, k.
    pub patch: [usize; 3],
    /// Patches of a batch.
    pub batch: usize,
    /// Probability that a patch is centred on a voxel of a random class instead of placed anywhere.
    pub foreground_share: f64,
}

impl Default for PatchSampler {
    fn default() -> Self {
        Self { patch: [32, 32, 24], batch: 2, foreground_share: 0.33 }
    }
}

impl PatchSampler {
    /// Checks the numbers of a configuration.
    ///
    /// # Errors
    /// If a patch or a batch is empty or impossibly large, or the share is no probability.
    pub fn validate(&self) -> Result<()> {
        let voxels = self.patch.iter().chain([&self.batch]).map(|n| *n as f64).product::<f64>();
        if !(1.0..=1e9).contains(&voxels) {
            return Err(Fault::new("batch has an impossible size")
                .field("patch, batch")
                .expected("1 to 1e9 voxels")
                .found(format!("{} patches of {:?}", self.batch, self.patch)));
        }
        if !(0.0..=1.0).contains(&self.foreground_share) {
            return Err(Fault::new("share is no probability")
                .field("foreground_share")
                .expected("0 to 1")
                .found(self.foreground_share));
        }
        Ok(())
    }

    /// Draws a batch. Cases are drawn with replacement and must have the same classes and channels.
    ///
    /// # Panics
    /// If there is no case.
    pub fn batch(&self, cases: &[Arc<Case>], augment: &Augment, rng: &mut ChaCha8Rng) -> Batch {
        let voxels = self.patch.iter().product::<usize>();
        let (classes, channels) = (cases[0].classes(), cases[0].channels.len());
        let mut image = Vec::with_capacity(self.batch * channels * voxels);
        let mut target = vec![0.0; self.batch * classes * voxels];
        let mut spacing = Vec::with_capacity(self.batch);
        for membership in target.chunks_exact_mut(classes * voxels) {
            let case = &cases[rng.random_range(0..cases.len())];
            let (intensities, labels) = self.one(case, augment, rng);
            spacing.push(case.grid().spacing);
            image.extend(intensities);
            for (voxel, class) in labels.into_iter().enumerate().filter(|(_, class)| *class > 0) {
                membership[(usize::from(class) - 1) * voxels + voxel] = 1.0;
            }
        }
        if let Some(mixing) = augment.mixup {
            let mix = mixing.draw(self.batch, rng);
            mixup::apply(&mut image, channels * voxels, mix);
            mixup::apply(&mut target, classes * voxels, mix);
        }
        let [depth, height, width] = self.patch;
        Batch { shape: [self.batch, channels, depth, height, width], image, classes, spacing, target }
    }

    /// One patch: intensities, channel by channel, and classes.
    fn one(&self, case: &Case, augment: &Augment, rng: &mut ChaCha8Rng) -> (Vec<f32>, Vec<u8>) {
        let origin = self.origin(case, rng);
        let (mut image, mut label) = if let Some(ranges) = augment.affine {
            self.sampled(case, origin, ranges.draw(case.grid().spacing, rng))
        } else {
            let image = case.channels.iter().flat_map(|channel| self.copied(channel, origin)).collect();
            (image, self.copied(&case.label, origin))
        };
        let flips = mirror::draw(&augment.mirror, rng);
        for channel in image.chunks_exact_mut(label.len()) {
            mirror::apply(channel, self.patch, flips);
        }
        mirror::apply(&mut label, self.patch, flips);
        if let Some(strength) = augment.noise {
            let deviation = strength.draw(rng);
            noise::apply(&mut image, deviation, rng);
        }
        (image, label)
    }

    /// The first voxel of a patch that lies inside the volume as far as it can.
    fn origin(&self, case: &Case, rng: &mut ChaCha8Rng) -> [usize; 3] {
        let shape = case.grid().shape;
        let last: [usize; 3] = std::array::from_fn(|axis| shape[axis].saturating_sub(self.patch[axis]));
        let present: Vec<&Vec<u32>> = case.voxels_of_class.iter().filter(|voxels| !voxels.is_empty()).collect();
        let around_foreground = rng.random::<f64>() < self.foreground_share;
        if !around_foreground || present.is_empty() {
            return last.map(|last| rng.random_range(0..=last));
        }
        // A class first, then a voxel of it: small structures come up as often as large ones.
        let voxels = present[rng.random_range(0..present.len())];
        let index = voxels[rng.random_range(0..voxels.len())] as usize;
        let centre = [index / (shape[1] * shape[2]), index / shape[2] % shape[1], index % shape[2]];
        std::array::from_fn(|axis| centre[axis].saturating_sub(self.patch[axis] / 2).min(last[axis]))
    }

    /// The patch at `origin`, voxel for voxel.
    fn copied<T: Copy + Default>(&self, volume: &Volume<T>, origin: [usize; 3]) -> Vec<T> {
        let shape = volume.grid.shape;
        let [depth, height, width] = self.patch;
        let kept: [usize; 3] = std::array::from_fn(|axis| self.patch[axis].min(shape[axis]));
        let mut patch = vec![T::default(); depth * height * width];
        for i in 0..kept[0] {
            for j in 0..kept[1] {
                let from = volume.index([origin[0] + i, origin[1] + j, origin[2]]);
                let to = (i * height + j) * width;
                patch[to..to + kept[2]].copy_from_slice(&volume.voxels[from..from + kept[2]]);
            }
        }
        patch
    }

    /// The patch at `origin`, turned about its centre and read between voxels.
    fn sampled(&self, case: &Case, origin: [usize; 3], placement: Placement) -> (Vec<f32>, Vec<u8>) {
        let half = self.patch.map(|n| (n as f64 - 1.0) / 2.0);
        let [depth, height, width] = self.patch;
        let voxels = depth * height * width;
        let mut image = vec![0.0; case.channels.len() * voxels];
        let mut label = Vec::with_capacity(voxels);
        for i in 0..depth {
            for j in 0..height {
                for k in 0..width {
                    let offset = placement.source([i as f64 - half[0], j as f64 - half[1], k as f64 - half[2]]);
                    let point = std::array::from_fn(|axis| origin[axis] as f64 + half[axis] + offset[axis]);
                    for (channel, patch) in case.channels.iter().zip(image.chunks_exact_mut(voxels)) {
                        patch[label.len()] = resample::linear_at(channel, point);
                    }
                    label.push(resample::nearest_at(&case.label, point));
                }
            }
        }
        (image, label)
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these values are exact")]
mod tests {
    use super::*;
    use crate::data::augment::{Affine, Axis, Mixup, Noise};
    use crate::data::{LabelMode, Preprocess};
    use crate::volume::Grid;
    use rand::SeedableRng;

    /// Intensities grow with the position in the volume; class 1 is one voxel, class 2 a slab.
    fn case(shape: [usize; 3]) -> Arc<Case> {
        let grid = Grid::aligned(shape, [1.0, 1.0, 3.0]);
        let image = Volume::new(grid.clone(), (0..grid.voxels()).map(|i| i as f32).collect()).unwrap();
        let mut mask = Volume::new(grid.clone(), vec![0; grid.voxels()]).unwrap();
        mask.voxels[grid.voxels() / 2] = 1;
        mask.voxels[..shape[2]].fill(2);
        let preprocess =
            Preprocess { labels: LabelMode::Classes, clip_percentiles: (0.0, 100.0), ..Preprocess::default() };
        Arc::new(Case::new("a", &[image], &mask, &[1, 2], &preprocess).unwrap())
    }

    fn rng(seed: u64) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(seed)
    }

    #[test]
    fn the_same_generator_gives_the_same_batch() {
        let cases = [case([12, 10, 8]), case([9, 12, 8])];
        let sampler = PatchSampler { patch: [8, 8, 6], batch: 3, foreground_share: 0.5 };
        let augment = Augment {
            affine: Some(Affine::default()),
            noise: Some(Noise::default()),
            mixup: Some(Mixup::default()),
            ..Augment::default()
        };
        let batch = sampler.batch(&cases, &augment, &mut rng(4));
        assert_eq!(batch, sampler.batch(&cases, &augment, &mut rng(4)));
        assert_ne!(batch, sampler.batch(&cases, &augment, &mut rng(5)));
        assert_eq!((batch.shape, batch.target.len()), ([3, 1, 8, 8, 6], 3 * 2 * 8 * 8 * 6));
        assert_eq!((batch.image.len(), batch.target.len()), (3 * 384, 3 * 2 * 384));
        assert!(batch.target.iter().all(|y| (0.0..=1.0).contains(y)));
    }

    #[test]
    fn an_unvaried_patch_is_a_piece_of_its_volume() {
        let case = case([12, 10, 8]);
        let sampler = PatchSampler { patch: [4, 5, 6], batch: 1, foreground_share: 0.0 };
        for seed in 0..20 {
            let batch = sampler.batch(&[Arc::clone(&case)], &Augment::none(), &mut rng(seed));
            let start = case.channels[0].voxels.iter().position(|v| *v == batch.image[0]).unwrap();
            let last = start + (3 * 10 + 4) * 8 + 5;
            assert_eq!(batch.image.last(), Some(&case.channels[0].voxels[last]));
        }
    }

    #[test]
    fn a_patch_around_foreground_contains_its_voxel_and_classes_come_up_alike() {
        let case = case([12, 10, 8]);
        let sampler = PatchSampler { patch: [3, 3, 3], batch: 400, foreground_share: 1.0 };
        let batch = sampler.batch(&[case], &Augment::default(), &mut rng(1));
        let has = |class: usize| {
            batch.target.chunks_exact(2 * 27).filter(|p| p[class * 27..(class + 1) * 27].contains(&1.0)).count()
        };
        assert_eq!(has(0) + has(1), 400);
        assert!((150..250).contains(&has(0)), "{}", has(0));
    }

    #[test]
    fn small_volumes_are_followed_by_zeros_and_no_foreground_is_no_problem() {
        let mut case = Arc::unwrap_or_clone(case([2, 3, 4]));
        case.voxels_of_class = vec![Vec::new(), Vec::new()];
        let sampler = PatchSampler { patch: [4, 4, 4], batch: 1, foreground_share: 1.0 };
        let batch = sampler.batch(&[Arc::new(case.clone())], &Augment::none(), &mut rng(0));
        assert_eq!(batch.image[..4], case.channels[0].voxels[..4]);
        assert!(batch.image[12..16].iter().chain(&batch.image[32..]).all(|v| *v == 0.0));
    }

    #[test]
    fn a_placement_that_changes_nothing_copies_the_patch() {
        let cases = [case([12, 10, 8])];
        let sampler = PatchSampler { patch: [5, 4, 8], batch: 2, foreground_share: 0.5 };
        let still = Affine { rotation: [0.0; 3], scale: (1.0, 1.0), translation: 0.0 };
        let plain = sampler.copied(&cases[0].channels[0], [2, 3, 0]);
        let (image, label) = sampler.sampled(&cases[0], [2, 3, 0], still.draw([1.0, 1.0, 3.0], &mut rng(0)));
        assert_eq!(image, plain);
        assert_eq!(label, sampler.copied(&cases[0].label, [2, 3, 0]));
        let batch = sampler.batch(&cases, &Augment { mirror: vec![Axis::K], ..Augment::none() }, &mut rng(3));
        assert!(batch.target.iter().all(|y| *y == 0.0 || *y == 1.0));
    }

    #[test]
    fn channels_are_cut_turned_and_mirrored_together() {
        let one = case([12, 10, 8]);
        let second = one.channels[0].map(|v| 2.0 * v + 1.0);
        let two = Arc::new(Case { channels: vec![one.channels[0].clone(), second], ..Case::clone(&one) });
        let sampler = PatchSampler { patch: [4, 5, 6], batch: 3, foreground_share: 0.5 };
        let augment = Augment { mixup: Some(Mixup::default()), ..Augment { noise: None, ..Augment::default() } };
        for augment in [Augment::none(), Augment { affine: None, ..augment.clone() }, augment] {
            let (alone, both) = (
                sampler.batch(&[Arc::clone(&one)], &augment, &mut rng(5)),
                sampler.batch(&[Arc::clone(&two)], &augment, &mut rng(5)),
            );
            assert_eq!((both.shape, both.image.len()), ([3, 2, 4, 5, 6], 3 * 2 * 120));
            assert_eq!(both.target, alone.target);
            for (patch, alone) in both.image.chunks_exact(240).zip(alone.image.chunks_exact(120)) {
                assert_eq!(&patch[..120], alone, "the first channel does not know of the second");
                // Outside of a volume both are zero, not in proportion.
                let proportional = |(a, b): (&f32, &f32)| (2.0 * a + 1.0 - b).abs() < 1e-4 || augment.affine.is_some();
                assert!(patch[..120].iter().zip(&patch[120..]).all(proportional));
            }
        }
    }

    #[test]
    fn impossible_samplers_are_refused() {
        let plain = PatchSampler::default();
        assert!(plain.validate().is_ok());
        assert!(PatchSampler { patch: [0, 8, 8], ..plain }.validate().is_err());
        assert!(PatchSampler { batch: 0, ..plain }.validate().is_err());
        assert!(PatchSampler { patch: [usize::MAX; 3], ..plain }.validate().is_err());
        assert!(PatchSampler { foreground_share: f64::NAN, ..plain }.validate().is_err());
    }

    #[test]
    fn the_background_is_what_the_classes_leave() {
        // Two patches, two classes, two voxels.
        let target = [1.0, 0.0, 0.0, 0.25, 0.0, 0.0, 0.0, 1.0];
        let whole = with_background(&target, 2, 2);
        assert_eq!(whole, [0.0, 0.75, 1.0, 0.0, 0.0, 0.25, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    }
}
