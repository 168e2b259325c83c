//! From networks and a case to a mask, and to probabilities, on the grid of the case's file.
//!
//! A volume goes through `sweep` and comes out as planes of logits, first axis first, which are resized to the resolution of
//! the file and decided as they come; then the mask is put where the image was cut out of its file. So a mask needs memory for
//! the image as it is read and as it is prepared, for the mask, and for a slab of logits: as many planes as a patch has, for
//! each output and one more for weights. That grows with the number of outputs, but not with the number of planes of the
//! volume. [`Window::Whole`] sees a volume at once and holds all its logits and feature maps; who asks for probabilities
//! ([`Prediction`], to judge test volumes) keeps all logits as well.

mod decide;
mod prediction;
mod sweep;
mod window;

pub use prediction::{Prediction, predict};
pub use window::{Window, WindowSetting};

use decide::decide;

use crate::data::Way;
use crate::fault::{Fault, Result};
use crate::nn::UNet3d;
use crate::volume::Volume;

/// How networks predict.
#[derive(Clone, Copy)]
pub struct Inference<'a> {
    /// One network, or several whose logits are averaged (nnU-Net averages those of its folds).
    pub networks: &'a [UNet3d],
    /// How they see a volume that is larger than a patch.
    pub window: Window,
    /// Axes along which the image is mirrored as well; logits are the mean over all combinations, as in nnU-Net.
    pub mirror: [bool; 3],
}

/// Takes a plane of logits: `[outputs, height, width]`, and the number of outputs.
type Tell<'a> = dyn FnMut(&[f32], usize) -> Result<()> + 'a;

impl Inference<'_> {
    /// The mask of an image that was prepared in this way (voxels of each channel), on the grid of its file: 0 is background, c + 1 is class c of `classes`. `plane` is called
    /// after each plane of the mask and may end the work.
    ///
    /// # Errors
    /// If the network wants another number of channels, one of its outputs is not a number, or those of `plane`.
    pub fn mask(
        &self,
        image: &[&[f32]],
        way: &Way,
        classes: usize,
        plane: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Volume<u8>> {
        let mut voxels = Vec::new();
        self.planes(image, way, &mut |logits, outputs| {
            if logits.iter().any(|logit| logit.is_nan()) {
                return Err(not_a_number());
            }
            voxels.extend(decide(logits, outputs, outputs > classes));
            plane()
        })?;
        way.place(voxels, 0)
    }

    /// Tells every plane of what `way` has cut out, at the resolution of the file.
    fn planes(&self, image: &[&[f32]], way: &Way, tell: &mut Tell<'_>) -> Result<()> {
        let config = self.networks[0].config();
        if config.in_channels != image.len() {
            return Err(Fault::new("image has not the channels of the network")
                .field("channels")
                .expected(format!("{} channels", config.in_channels))
                .found(image.len())
                .hint("predict images like those that the network was trained on"));
        }
        let outputs = config.out_channels;
        let mut planes = way.planes(outputs);
        sweep::sweep(self, image, way.grid().shape, &mut |plane| planes.push(plane, |_, logits| tell(logits, outputs)))
    }
}

fn not_a_number() -> Fault {
    Fault::new("the network's output is not a number").field("model").expected("logits").found("NaN").hint(
        "did its training diverge, or has the image values beyond those of float32? another model of the run may do",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::augment::mirror;
    use crate::data::{Prepared, Preprocess};
    use crate::nn::{UNet3dConfig, device};
    use crate::rng::{Purpose, stream};
    use crate::volume::orientation::{Orientation, turned};
    use crate::volume::{Grid, affine};

    const SHAPE: [usize; 3] = [8, 12, 10];

    fn network(seed: u64) -> UNet3d {
        let config = UNet3dConfig { out_channels: 2, width: 2, levels: 2, ..UNet3dConfig::default() };
        config.init(&mut stream(seed, Purpose::Weights, 0, 0), &device())
    }

    fn image(flips: [bool; 3]) -> Volume<f32> {
        let grid = Grid::aligned(SHAPE, [1.0; 3]);
        let mut voxels: Vec<f32> =
            (0..grid.voxels()).map(|n| (n as f32 * 0.7).sin() + (n as f32 * 0.013).cos()).collect();
        mirror::apply(&mut voxels, SHAPE, flips);
        Volume { grid, voxels }
    }

    fn masks(networks: &[UNet3d], window: Window, mirror: [bool; 3], flips: [bool; 3]) -> Vec<u8> {
        let Prepared { channels, way } = Preprocess::default().prepare(&[image(flips)]).unwrap();
        Inference { networks, window, mirror }.mask(&[&channels[0].voxels], &way, 2, &mut || Ok(())).unwrap().voxels
    }

    #[test]
    fn with_mirroring_a_mirrored_image_has_the_mirrored_mask() {
        let networks = [network(1)];
        for flips in [[true, false, false], [false, true, false], [false, false, true]] {
            for window in [Window::Whole, Window::Sliding { patch: [4, 8, 6], overlap: 0.5 }] {
                let mut ours = masks(&networks, window, flips, flips);
                mirror::apply(&mut ours, SHAPE, flips);
                assert_eq!(ours, masks(&networks, window, flips, [false; 3]), "{flips:?}");
            }
            let plain = masks(&networks, Window::Whole, [false; 3], [false; 3]);
            assert_ne!(masks(&networks, Window::Whole, flips, [false; 3]), plain, "mirroring changes nothing");
        }
    }

    #[test]
    fn an_output_that_is_no_number_is_a_fault_and_no_background() {
        let networks = [network(1)];
        let Prepared { mut channels, way } = Preprocess::default().prepare(&[image([false; 3])]).unwrap();
        channels[0].voxels[100] = f32::NAN;
        let inference = Inference { networks: &networks, window: Window::Whole, mirror: [false; 3] };
        let fault = inference.mask(&[&channels[0].voxels], &way, 2, &mut || Ok(())).unwrap_err();
        assert_eq!(fault.summary(), "the network's output is not a number");
    }

    #[test]
    fn the_mean_of_a_network_with_itself_is_the_network() {
        let (one, other) = (network(1), network(2));
        let window = Window::Sliding { patch: [8, 8, 8], overlap: 0.5 };
        let mask = |networks: &[UNet3d]| masks(networks, window, [false; 3], [false; 3]);
        let alone = mask(std::slice::from_ref(&one));
        assert_eq!(mask(&[one.clone(), one.clone()]), alone);
        assert_ne!(mask(&[one, other]), alone);
        assert!(alone.contains(&1) && alone.contains(&2));
    }

    /// The same anatomy in another order of axes, as a file that was written so.
    fn turned_image(order: [usize; 3], flipped: [bool; 3]) -> Volume<f32> {
        let image = image([false; 3]);
        let mut grid = image.grid.clone();
        // Oblique and anisotropic, to be sure that nothing leans on plain numbers.
        grid.affine = [[0.9, -0.2, 0.1, 5.0], [0.2, 1.4, 0.3, -6.0], [-0.1, -0.5, 2.9, 7.0]];
        grid.spacing = affine::column_norms(&grid.affine);
        let grid = turned(&grid, order, flipped);
        let voxels =
            (0..grid.voxels()).map(|index| image.voxels[original(index, grid.shape, order, flipped)]).collect();
        Volume { grid, voxels }
    }

    /// Where a voxel of the turned volume stands in the first one.
    fn original(index: usize, shape: [usize; 3], order: [usize; 3], flipped: [bool; 3]) -> usize {
        let at = [index / (shape[1] * shape[2]), index / shape[2] % shape[1], index % shape[2]];
        let mut old = [0; 3];
        for axis in 0..3 {
            old[order[axis]] = if flipped[axis] { shape[axis] - 1 - at[axis] } else { at[axis] };
        }
        (old[0] * SHAPE[1] + old[1]) * SHAPE[2] + old[2]
    }

    #[test]
    fn the_same_anatomy_in_another_orientation_has_the_same_mask() {
        let networks = [network(1)];
        let window = Window::Sliding { patch: [8, 8, 8], overlap: 0.5 };
        let inference = Inference { networks: &networks, window, mirror: [false; 3] };
        let axes = Some(Orientation::parse("RAS").unwrap());
        for more in [Preprocess::default(), Preprocess { average: [2, 1, 1], ..Preprocess::default() }] {
            let settings = Preprocess { axes, ..more };
            let mask = |image: &Volume<f32>| {
                let Prepared { channels, way } = settings.prepare(std::slice::from_ref(image)).unwrap();
                inference.mask(&[&channels[0].voxels], &way, 2, &mut || Ok(())).unwrap()
            };
            let straight = mask(&turned_image([0, 1, 2], [false; 3]));
            assert!(straight.voxels.contains(&1) && straight.voxels.contains(&2));
            for (order, flipped) in [([2, 0, 1], [false; 3]), ([0, 1, 2], [true, false, true]), ([1, 0, 2], [true; 3])]
            {
                let image = turned_image(order, flipped);
                let mask = mask(&image);
                assert_eq!(mask.grid, image.grid);
                let same = |(index, class): (usize, &u8)| {
                    straight.voxels[original(index, image.grid.shape, order, flipped)] == *class
                };
                assert!(mask.voxels.iter().enumerate().all(same), "{order:?} {flipped:?}");
            }
        }
    }
}
