//! From networks and a case to a mask, and to probabilities, on the grid of the case's file.
//!
//! A volume goes through [`sweep`] and comes out as planes of logits, first axis first, which are resized to the grid of the
//! file and decided as they come. So a prediction needs memory for the image, the mask and a slab of logits, whatever the
//! number of classes; only who asks for probabilities ([`Prediction`]) keeps all logits.

mod decide;
mod prediction;
mod sweep;
mod window;

pub use prediction::{Prediction, predict};
pub use window::Window;

use decide::decide;

use crate::data::{Case, Scan};
use crate::fault::{Fault, Result};
use crate::nn::UNet3d;
use crate::volume::Volume;
use crate::volume::planes::Planes;

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

/// An image as a network wants it, and the grid to come back to.
struct View<'a> {
    channels: Vec<&'a [f32]>,
    shape: [usize; 3],
    native: [usize; 3],
}

/// Takes a plane: its number, its logits, and the number of outputs.
type Tell<'a> = dyn FnMut(usize, &[f32], usize) -> Result<()> + 'a;

impl Inference<'_> {
    /// The mask of an image, on the grid of its file: 0 is background, c + 1 is class c of `classes`. `plane` is called
    /// after each plane of the mask and may end the work.
    ///
    /// # Errors
    /// If the network wants another number of channels, or those of `plane`.
    pub fn mask(&self, scan: &Scan, classes: usize, plane: &mut dyn FnMut() -> Result<()>) -> Result<Volume<u8>> {
        let grid = scan.native.clone();
        let channels: Vec<&[f32]> = scan.channels.iter().map(|channel| channel.voxels.as_slice()).collect();
        let view = View { channels, shape: scan.channels[0].grid.shape, native: grid.shape };
        let mut voxels = Vec::with_capacity(grid.voxels());
        self.planes(&view, &mut |_, logits, outputs| {
            voxels.extend(decide(logits, outputs, outputs > classes));
            plane()
        })?;
        Volume::new(grid, voxels)
    }

    /// Tells every plane of the native grid: its number, its logits `[outputs, height, width]`, and the number of outputs.
    fn planes(&self, view: &View<'_>, tell: &mut Tell<'_>) -> Result<()> {
        let config = self.networks[0].config();
        if config.in_channels != view.channels.len() {
            return Err(Fault::new("image has not the channels of the network")
                .expected(format!("{} channels", config.in_channels))
                .found(view.channels.len()));
        }
        let outputs = config.out_channels;
        let mut planes = Planes::new(outputs, view.shape, view.native);
        sweep::sweep(self, &view.channels, view.shape, &mut |plane| {
            planes.push(plane, |number, logits| tell(number, logits, outputs))
        })
    }
}

impl<'a> View<'a> {
    fn of(case: &'a Case) -> Self {
        let channels = case.channels.iter().map(|channel| channel.voxels.as_slice()).collect();
        Self { channels, shape: case.grid().shape, native: case.native_grid().shape }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::augment::mirror;
    use crate::nn::{UNet3dConfig, device};
    use crate::rng::{Purpose, stream};
    use crate::volume::Grid;

    const SHAPE: [usize; 3] = [8, 12, 10];

    fn network(seed: u64) -> UNet3d {
        let config = UNet3dConfig { out_channels: 2, width: 2, levels: 2, ..UNet3dConfig::default() };
        config.init(&mut stream(seed, Purpose::Weights, 0, 0), &device())
    }

    fn scan(flips: [bool; 3]) -> Scan {
        let grid = Grid::aligned(SHAPE, [1.0; 3]);
        let mut voxels: Vec<f32> =
            (0..grid.voxels()).map(|n| (n as f32 * 0.7).sin() + (n as f32 * 0.013).cos()).collect();
        mirror::apply(&mut voxels, SHAPE, flips);
        Scan { channels: vec![Volume { grid: grid.clone(), voxels }], native: grid }
    }

    fn masks(networks: &[UNet3d], window: Window, mirror: [bool; 3], flips: [bool; 3]) -> Vec<u8> {
        Inference { networks, window, mirror }.mask(&scan(flips), 2, &mut || Ok(())).unwrap().voxels
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
    fn the_mean_of_a_network_with_itself_is_the_network() {
        let (one, other) = (network(1), network(2));
        let window = Window::Sliding { patch: [8, 8, 8], overlap: 0.5 };
        let mask = |networks: &[UNet3d]| masks(networks, window, [false; 3], [false; 3]);
        let alone = mask(std::slice::from_ref(&one));
        assert_eq!(mask(&[one.clone(), one.clone()]), alone);
        assert_ne!(mask(&[one, other]), alone);
        assert!(alone.contains(&1) && alone.contains(&2));
    }
}
