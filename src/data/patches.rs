//! From cases to batches: random patches, some of them around foreground, varied and stacked.
//!
//! A batch is a function of the cases, the sampler and the generator it is given; nothing else decides it: everything is
//! drawn first, by one thread and in order, and then done by as many as there are. Whole volumes for prediction are not
//! cut here.

use std::sync::Arc;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::augment::{Augment, Variation, mirror, mixup};
use super::case::Case;
use super::cut;
use super::store::Places;
use crate::fault::{Fault, Result};

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
    /// # Errors
    /// If a file of the cache cannot be read any more, or has other numbers than when it was opened.
    ///
    /// # Panics
    /// If there is no case.
    pub fn batch(&self, cases: &[Arc<Case>], augment: &Augment, rng: &mut ChaCha8Rng) -> Result<Batch> {
        let voxels = self.patch.iter().product::<usize>();
        let (classes, channels) = (cases[0].classes(), cases[0].channels.len());
        let drawn: Vec<Drawn<'_>> = (0..self.batch).map(|_| self.draw(cases, augment, rng)).collect::<Result<_>>()?;
        let mix = augment.mixup.map(|mixing| mixing.draw(self.batch, rng));
        let made: Vec<Result<(Vec<f32>, Vec<u8>)>> = drawn.par_iter().map(|drawn| drawn.make(self.patch)).collect();
        let mut image = Vec::with_capacity(self.batch * channels * voxels);
        let mut target = vec![0.0; self.batch * classes * voxels];
        for ((membership, made), Drawn { case, .. }) in target.chunks_exact_mut(classes * voxels).zip(made).zip(&drawn)
        {
            let (intensities, labels) = made?;
            if let Some(class) = labels.iter().find(|class| usize::from(**class) > classes) {
                return Err(changed(case, "a class", classes, *class));
            }
            image.extend(intensities);
            for (voxel, class) in labels.into_iter().enumerate().filter(|(_, class)| *class > 0) {
                membership[(usize::from(class) - 1) * voxels + voxel] = 1.0;
            }
        }
        if let Some(mix) = mix {
            mixup::apply(&mut image, channels * voxels, mix);
            mixup::apply(&mut target, classes * voxels, mix);
        }
        let [depth, height, width] = self.patch;
        let spacing = drawn.iter().map(|drawn| drawn.case.grid().spacing).collect();
        Ok(Batch { shape: [self.batch, channels, depth, height, width], image, classes, spacing, target })
    }

    fn draw<'a>(&self, cases: &'a [Arc<Case>], augment: &Augment, rng: &mut ChaCha8Rng) -> Result<Drawn<'a>> {
        let case = &*cases[rng.random_range(0..cases.len())];
        let origin = self.origin(case, rng)?;
        let variation = augment.draw(self.patch, case.grid().spacing, case.channels.len(), rng);
        Ok(Drawn { case, origin, variation })
    }

    /// The first voxel of a patch that lies inside the volume as far as it can.
    fn origin(&self, case: &Case, rng: &mut ChaCha8Rng) -> Result<[usize; 3]> {
        let shape = case.grid().shape;
        let last: [usize; 3] = std::array::from_fn(|axis| shape[axis].saturating_sub(self.patch[axis]));
        let present: Vec<&Places> = case.voxels_of_class.iter().filter(|voxels| !voxels.is_empty()).collect();
        let around_foreground = rng.random::<f64>() < self.foreground_share;
        if !around_foreground || present.is_empty() {
            return Ok(last.map(|last| rng.random_range(0..=last)));
        }
        // A class first, then a voxel of it: small structures come up as often as large ones.
        let voxels = present[rng.random_range(0..present.len())];
        let index = voxels.at(rng.random_range(0..voxels.len()))?;
        let last_index = case.grid().voxels() - 1;
        if index > last_index {
            return Err(changed(case, "a voxel", last_index, index));
        }
        let centre = [index / (shape[1] * shape[2]), index / shape[2] % shape[1], index % shape[2]];
        Ok(std::array::from_fn(|axis| centre[axis].saturating_sub(self.patch[axis] / 2).min(last[axis])))
    }
}

/// A file of the cache was sound when it was opened, and has a number now that no case has.
fn changed(case: &Case, what: &str, most: usize, found: impl std::fmt::Display) -> Fault {
    Fault::failed("a case of the cache was changed while it was in use")
        .field(format!("case {}, {what}", case.id))
        .expected(format!("0 to {most}"))
        .found(found)
        .hint("look after the disk, or name another folder as `cache`; --resume makes the case again")
}

/// All that was drawn for one patch.
struct Drawn<'a> {
    case: &'a Case,
    origin: [usize; 3],
    variation: Variation,
}

impl Drawn<'_> {
    /// The patch: intensities, channel by channel, and classes.
    fn make(&self, shape: [usize; 3]) -> Result<(Vec<f32>, Vec<u8>)> {
        let Self { case, origin, variation } = self;
        let (mut image, mut label) = if variation.placement.is_none() && variation.field.is_none() {
            let mut image = Vec::new();
            for channel in &case.channels {
                image.extend(cut::copied(channel, *origin, shape)?);
            }
            (image, cut::copied(&case.label, *origin, shape)?)
        } else {
            let placement = variation.placement.unwrap_or_default();
            cut::sampled(case, *origin, shape, placement, variation.field.as_ref())?
        };
        for (channel, shades) in image.chunks_exact_mut(label.len()).zip(&variation.channels) {
            mirror::apply(channel, shape, variation.flips);
            shades.apply(channel, shape, case.grid().spacing);
        }
        mirror::apply(&mut label, shape, variation.flips);
        Ok((image, label))
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these values are exact")]
mod tests {
    use super::*;
    use crate::data::augment::{Affine, Axis, Elastic, Mixup, Noise, affine::Placement};
    use crate::data::store::Voxels;
    use crate::data::{LabelMode, Preprocess};
    use crate::volume::{Grid, Volume};
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

    fn batch(sampler: &PatchSampler, cases: &[Arc<Case>], augment: &Augment, seed: u64) -> Batch {
        sampler.batch(cases, augment, &mut rng(seed)).unwrap()
    }

    fn voxels<T: crate::data::store::Number>(volume: &Voxels<T>) -> Vec<T> {
        volume.whole().unwrap().voxels.clone()
    }

    /// Every family at once.
    fn everything() -> Augment {
        Augment {
            affine: Some(Affine { probability: 1.0, ..Affine::default() }),
            elastic: Some(Elastic { probability: 1.0, ..Elastic::default() }),
            noise: Some(Noise { probability: 1.0, ..Noise::default() }),
            gamma: Some(crate::data::augment::Gamma::default()),
            mixup: Some(Mixup::default()),
            ..Augment::default()
        }
    }

    #[test]
    fn the_same_generator_gives_the_same_batch() {
        let cases = [case([12, 10, 8]), case([9, 12, 8])];
        let sampler = PatchSampler { patch: [8, 8, 6], batch: 3, foreground_share: 0.5 };
        let augment = everything();
        let drawn = batch(&sampler, &cases, &augment, 4);
        assert_ne!(drawn, batch(&sampler, &cases, &augment, 5));
        for threads in [1, 2, 8] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert_eq!(pool.install(|| batch(&sampler, &cases, &augment, 4)), drawn, "{threads} threads");
        }
        let batch = drawn;
        assert_eq!((batch.shape, batch.target.len()), ([3, 1, 8, 8, 6], 3 * 2 * 8 * 8 * 6));
        assert_eq!((batch.image.len(), batch.target.len()), (3 * 384, 3 * 2 * 384));
        assert!(batch.target.iter().all(|y| (0.0..=1.0).contains(y)));
    }

    #[test]
    fn an_unvaried_patch_is_a_piece_of_its_volume() {
        let case = case([12, 10, 8]);
        let sampler = PatchSampler { patch: [4, 5, 6], batch: 1, foreground_share: 0.0 };
        for seed in 0..20 {
            let batch = batch(&sampler, &[Arc::clone(&case)], &Augment::none(), seed);
            let image = voxels(&case.channels[0]);
            let start = image.iter().position(|v| *v == batch.image[0]).unwrap();
            let last = start + (3 * 10 + 4) * 8 + 5;
            assert_eq!(batch.image.last(), Some(&image[last]));
        }
    }

    #[test]
    fn a_patch_around_foreground_contains_its_voxel_and_classes_come_up_alike() {
        let case = case([12, 10, 8]);
        let sampler = PatchSampler { patch: [3, 3, 3], batch: 400, foreground_share: 1.0 };
        let batch = batch(&sampler, &[case], &Augment::default(), 1);
        let has = |class: usize| {
            batch.target.chunks_exact(2 * 27).filter(|p| p[class * 27..(class + 1) * 27].contains(&1.0)).count()
        };
        assert_eq!(has(0) + has(1), 400);
        assert!((150..250).contains(&has(0)), "{}", has(0));
    }

    #[test]
    fn small_volumes_are_followed_by_zeros_and_no_foreground_is_no_problem() {
        let mut case = Arc::unwrap_or_clone(case([2, 3, 4]));
        case.voxels_of_class = vec![Places::Memory(Vec::new()), Places::Memory(Vec::new())];
        let sampler = PatchSampler { patch: [4, 4, 4], batch: 1, foreground_share: 1.0 };
        let batch = batch(&sampler, &[Arc::new(case.clone())], &Augment::none(), 0);
        assert_eq!(batch.image[..4], voxels(&case.channels[0])[..4]);
        assert!(batch.image[12..16].iter().chain(&batch.image[32..]).all(|v| *v == 0.0));
    }

    #[test]
    fn a_placement_that_changes_nothing_copies_the_patch() {
        let cases = [case([12, 10, 8])];
        let sampler = PatchSampler { patch: [5, 4, 8], batch: 2, foreground_share: 0.5 };
        let plain = cut::copied(&cases[0].channels[0], [2, 3, 0], sampler.patch).unwrap();
        let (image, label) = cut::sampled(&cases[0], [2, 3, 0], sampler.patch, Placement::default(), None).unwrap();
        assert_eq!(image, plain);
        assert_eq!(label, cut::copied(&cases[0].label, [2, 3, 0], sampler.patch).unwrap());
        let batch = batch(&sampler, &cases, &Augment { mirror: vec![Axis::K], ..Augment::none() }, 3);
        assert!(batch.target.iter().all(|y| *y == 0.0 || *y == 1.0));
    }

    #[test]
    fn channels_are_cut_turned_and_mirrored_together() {
        let one = case([12, 10, 8]);
        let second = Voxels::Memory(one.channels[0].whole().unwrap().map(|v| 2.0 * v + 1.0));
        let two = Arc::new(Case { channels: vec![one.channels[0].clone(), second], ..Case::clone(&one) });
        let sampler = PatchSampler { patch: [4, 5, 6], batch: 3, foreground_share: 0.5 };
        let still = Augment { mixup: Some(Mixup::default()), ..Augment::default() };
        let turned = Augment { affine: everything().affine, elastic: everything().elastic, ..still.clone() };
        for augment in [Augment::none(), still, turned] {
            let (alone, both) =
                (batch(&sampler, &[Arc::clone(&one)], &augment, 5), batch(&sampler, &[Arc::clone(&two)], &augment, 5));
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
