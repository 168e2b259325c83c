//! From a network and a case to a mask, and to probabilities, on the grid of the case's file.

use std::borrow::Cow;

use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::data::Case;
use crate::data::store::Voxels;
use crate::fault::{Fault, Result};
use crate::metrics::Calibration;
use crate::nn::{self, UNet3d, floats};
use crate::volume::Volume;

/// How a network sees a volume larger than a patch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Window {
    /// The whole volume at once, padded with zeros to what the network divides by. Fast, but instance normalisation then
    /// sees other statistics than in training: on phantoms of twice the patch, Dice + CE fell from 0.76 to 0.61.
    Whole,
    /// Patches that overlap, blended by a Gaussian of an eighth of the patch (nnU-Net).
    Sliding {
        /// Voxels of a patch.
        patch: [usize; 3],
        /// Share of a patch by which neighbours overlap, from 0 to below 1.
        overlap: f64,
    },
}

/// Most voxels of a patch.
const MOST_VOXELS: f64 = 1e9;

impl Window {
    /// Whether volumes can be predicted with it.
    ///
    /// # Errors
    /// If a patch is empty or patches would not advance.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Sliding { patch, overlap }
                if !(1.0..=MOST_VOXELS).contains(&patch.iter().map(|n| *n as f64).product())
                    || !(0.0..1.0).contains(overlap) =>
            {
                Err(Fault::new("setting out of range")
                    .expected("a patch of 1 to 1e9 voxels and an overlap from 0 to below 1")
                    .found(format!("{self:?}")))
            }
            _ => Ok(()),
        }
    }
}

/// Predicts a mask on the grid of the case's file: 0 is background, c + 1 is class c. A voxel belongs to the class of the
/// largest probability, above 0.5 if each class has a sigmoid of its own.
///
/// # Errors
/// If the case cannot be brought back to its own grid.
pub fn predict(network: &UNet3d, case: &Case, window: Window) -> Result<Volume<u8>> {
    Ok(Prediction::of(network, case, window)?.mask)
}

/// Everything that a network says of a case, on the grid of the case's file.
pub struct Prediction {
    /// The mask, see [`predict`].
    pub mask: Volume<u8>,
    /// One volume per output.
    logits: Vec<Volume<f32>>,
    /// Whether the first output is that of the background, and probabilities are those of a softmax.
    background: bool,
}

impl Prediction {
    /// Predicts a case.
    ///
    /// # Errors
    /// As [`predict`].
    pub fn of(network: &UNet3d, case: &Case, window: Window) -> Result<Self> {
        let shape = case.grid().shape;
        let channels: Vec<Cow<'_, Volume<f32>>> = case.channels.iter().map(Voxels::whole).collect::<Result<_>>()?;
        let image: Vec<&[f32]> = channels.iter().map(|channel| channel.voxels.as_slice()).collect();
        let logits = match window {
            Window::Whole => whole(network, &image, shape),
            Window::Sliding { patch, overlap } => sliding(network, &image, shape, patch, overlap),
        };
        // One output more than classes is that of the background.
        let background = logits.len() > case.classes();
        // What was cut away before the network saw it is background.
        let outside = |output: usize| if background && output == 0 { 0.0 } else { f32::NEG_INFINITY };
        let restore = |(output, map)| case.restore(map, outside(output));
        let logits: Vec<Volume<f32>> = logits.into_iter().enumerate().map(restore).collect::<Result<_>>()?;
        let native = case.native_grid();
        let empty = Volume { grid: native.clone(), voxels: vec![0; native.voxels()] };
        Ok(Self { mask: decide(empty, &logits, background), logits, background })
    }

    /// How well the probabilities of every class, in ascending order from 1, agree with the truth.
    ///
    /// # Errors
    /// If `truth` is on another grid, or an output is not a number.
    pub fn calibrations(&self, truth: &[u8]) -> Result<Vec<Calibration>> {
        if !self.background {
            let sigmoid = |logit: &f32| 1.0 / (1.0 + (-f64::from(*logit)).exp());
            let judge =
                |(class, map): (u8, &Volume<f32>)| Calibration::of(map.voxels.iter().map(sigmoid), truth, class);
            return (1..=u8::MAX).zip(&self.logits).map(judge).collect();
        }
        // The logarithm of the sum of exponentials, once for all classes.
        let total = |voxel: usize| {
            let outputs = self.logits.iter().map(|map| f64::from(map.voxels[voxel]));
            let largest = outputs.clone().fold(f64::NEG_INFINITY, f64::max);
            largest + outputs.map(|logit| (logit - largest).exp()).sum::<f64>().ln()
        };
        let totals: Vec<f64> = (0..self.mask.voxels.len()).map(total).collect();
        let judge = |(class, map): (u8, &Volume<f32>)| {
            // Rounding may end a hair above 1.
            let softmax = |(logit, total): (&f32, &f64)| (f64::from(*logit) - total).exp().clamp(0.0, 1.0);
            Calibration::of(map.voxels.iter().zip(&totals).map(softmax), truth, class)
        };
        (1..=u8::MAX).zip(&self.logits[1..]).map(judge).collect()
    }
}

/// Gives every voxel of an empty mask the class of its largest logit.
fn decide(mut mask: Volume<u8>, logits: &[Volume<f32>], background: bool) -> Volume<u8> {
    // With a sigmoid per class the background is where none reaches 0, a probability of 0.5.
    let mut best = vec![if background { f32::NEG_INFINITY } else { 0.0 }; mask.voxels.len()];
    for (class, map) in (u8::from(!background)..=u8::MAX).zip(logits) {
        for ((voxel, best), logit) in mask.voxels.iter_mut().zip(&mut best).zip(&map.voxels) {
            if *logit > *best {
                (*voxel, *best) = (class, *logit);
            }
        }
    }
    mask
}

/// Logits per class of a box of the volume, which may reach past its end.
fn window(network: &UNet3d, image: &[&[f32]], shape: [usize; 3], origin: [usize; 3], size: [usize; 3]) -> Vec<f32> {
    let [depth, height, width] = size;
    let mut voxels = vec![0f32; image.len() * depth * height * width];
    for (part, channel) in voxels.chunks_exact_mut(depth * height * width).zip(image) {
        copy_box(shape, origin, size, |inside, from| part[inside].copy_from_slice(&channel[from]));
    }
    let shape = [1, image.len(), depth, height, width];
    let image = Tensor::<5>::from_data(TensorData::new(voxels, shape), &nn::device());
    floats(network.forward(image))
}

fn whole(network: &UNet3d, image: &[&[f32]], shape: [usize; 3]) -> Vec<Vec<f32>> {
    let size = shape.map(|n| n.next_multiple_of(network.multiple()));
    let logits = window(network, image, shape, [0; 3], size);
    let padded: usize = size.iter().product();
    logits
        .chunks_exact(padded)
        .map(|class| {
            let mut cut = vec![0f32; shape.iter().product()];
            copy_box(shape, [0; 3], size, |inside, to| cut[to].copy_from_slice(&class[inside]));
            cut
        })
        .collect()
}

fn sliding(network: &UNet3d, image: &[&[f32]], shape: [usize; 3], patch: [usize; 3], overlap: f64) -> Vec<Vec<f32>> {
    let patch = patch.map(|n| n.next_multiple_of(network.multiple()));
    let importance = gaussian(patch);
    let voxels: usize = shape.iter().product();
    let mut sums: Vec<Vec<f32>> = Vec::new();
    let mut weights = vec![0f32; voxels];
    let [i, j, k] = [0, 1, 2].map(|axis| starts(shape[axis], patch[axis], overlap));
    for origin in i.iter().flat_map(|i| j.iter().flat_map(|j| k.iter().map(|k| [*i, *j, *k]))) {
        let logits = window(network, image, shape, origin, patch);
        let classes: Vec<&[f32]> = logits.chunks_exact(importance.len()).collect();
        sums.resize_with(classes.len(), || vec![0f32; voxels]);
        copy_box(shape, origin, patch, |inside, to| {
            let importance = &importance[inside.clone()];
            for (weight, more) in weights[to.clone()].iter_mut().zip(importance) {
                *weight += more;
            }
            for (sum, class) in sums.iter_mut().zip(&classes) {
                for ((sum, logit), weight) in sum[to.clone()].iter_mut().zip(&class[inside.clone()]).zip(importance) {
                    *sum += logit * weight;
                }
            }
        });
    }
    for sum in &mut sums {
        sum.iter_mut().zip(&weights).for_each(|(sum, weight)| *sum /= weight);
    }
    sums
}

/// Where patches begin along an axis: evenly spread, the last one ending with the volume.
fn starts(length: usize, patch: usize, overlap: f64) -> Vec<usize> {
    let last = length.saturating_sub(patch);
    let stride = ((patch as f64 * (1.0 - overlap)) as usize).max(1);
    let steps = last.div_ceil(stride);
    (0..=steps).map(|step| (last * step + steps / 2).checked_div(steps).unwrap_or(0)).collect()
}

/// Weight of each voxel of a patch: a Gaussian of an eighth of the patch around its centre. Never zero, or a voxel that
/// only one corner sees would be divided by nothing.
fn gaussian(patch: [usize; 3]) -> Vec<f32> {
    let axis = |n: usize| -> Vec<f64> {
        let (centre, deviation) = ((n as f64 - 1.0) / 2.0, n as f64 / 8.0);
        (0..n).map(|i| (-0.5 * ((i as f64 - centre) / deviation).powi(2)).exp().max(1e-3)).collect()
    };
    let [i, j, k] = patch.map(axis);
    i.iter()
        .flat_map(|a| {
            j.iter().flat_map(|b| k.iter().map(|c| (a * b * c) as f32).collect::<Vec<f32>>()).collect::<Vec<f32>>()
        })
        .collect()
}

/// Calls `row` for every row of a box that lies inside the volume, with its range in the box and in the volume.
fn copy_box(
    shape: [usize; 3],
    origin: [usize; 3],
    size: [usize; 3],
    mut row: impl FnMut(std::ops::Range<usize>, std::ops::Range<usize>),
) {
    let inside = [0, 1, 2].map(|axis| size[axis].min(shape[axis].saturating_sub(origin[axis])));
    for i in 0..inside[0] {
        for j in 0..inside[1] {
            let from = (i * size[1] + j) * size[2];
            let to = ((origin[0] + i) * shape[1] + origin[1] + j) * shape[2] + origin[2];
            row(from..from + inside[2], to..to + inside[2]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Confusion;
    use crate::volume::Grid;

    fn prediction(outputs: &[[f32; 4]], background: bool) -> Prediction {
        let grid = Grid::aligned([1, 1, 4], [1.0; 3]);
        let logits: Vec<Volume<f32>> =
            outputs.iter().map(|voxels| Volume { grid: grid.clone(), voxels: voxels.to_vec() }).collect();
        Prediction { mask: decide(Volume { grid, voxels: vec![0; 4] }, &logits, background), logits, background }
    }

    #[test]
    fn a_sigmoid_decides_at_one_half_and_a_softmax_for_the_largest() {
        let outputs = [[-1.0, 2.0, 0.5, -90.0], [-2.0, 1.0, 0.75, 90.0]];
        assert_eq!(prediction(&outputs, false).mask.voxels, [0, 1, 2, 2]);
        assert_eq!(prediction(&outputs, true).mask.voxels, [0, 0, 1, 1]);
    }

    #[test]
    fn two_outputs_of_a_softmax_are_the_sigmoid_of_their_difference() {
        let softmax = prediction(&[[0.5, -1.0, 90.0, 30.0], [1.0, 1.5, -90.0, -60.0]], true);
        let sigmoid = prediction(&[[0.5, 2.5, -180.0, -90.0]], false);
        let truth = [1, 1, 0, 1];
        let (one, other) = (softmax.calibrations(&truth).unwrap(), sigmoid.calibrations(&truth).unwrap());
        assert_eq!((one.len(), other.len()), (1, 1));
        assert!((one[0].brier() - other[0].brier()).abs() < 1e-15 && (one[0].ece() - other[0].ece()).abs() < 1e-15);
        let expected = [0.5_f64, 2.5].map(|logit| (1.0 / (1.0 + logit.exp())).powi(2)).iter().sum::<f64>() + 1.0;
        assert!((one[0].brier() - expected / 4.0).abs() < 1e-15, "{}", one[0].brier());
    }

    #[test]
    fn each_class_is_judged_on_its_own_probabilities() {
        let outputs = [[-50.0, 50.0, -50.0, -50.0], [-50.0, -50.0, 50.0, -50.0]];
        let with_background = [[0.0; 4], outputs[0], outputs[1]];
        for found in [prediction(&outputs, false), prediction(&with_background, true)] {
            let truth = [0, 1, 2, 2];
            let errors: Vec<f64> = found.calibrations(&truth).unwrap().iter().map(Calibration::brier).collect();
            // Certain outputs err where the mask errs.
            assert_eq!(Confusion::of(&found.mask.voxels, &truth, 2).false_negative, 1);
            assert!(errors[0] < 1e-20 && (errors[1] - 0.25).abs() < 1e-15, "{errors:?}");
        }
        let lost = prediction(&[[0.0, f32::NAN, 0.0, 0.0]], false);
        assert!(lost.calibrations(&[0; 4]).is_err());
        assert!(prediction(&outputs, false).calibrations(&[0; 3]).is_err(), "another grid");
    }

    #[test]
    fn patches_cover_every_voxel_and_end_with_the_volume() {
        for length in 1..60 {
            for patch in [1, 4, 16, 32] {
                let starts = starts(length, patch, 0.5);
                let mut seen = vec![false; length];
                for start in &starts {
                    assert!(start + patch <= length || *start == 0);
                    (*start..length.min(start + patch)).for_each(|i| seen[i] = true);
                }
                assert!(seen.iter().all(|s| *s), "{length} {patch} {starts:?}");
            }
        }
    }

    #[test]
    fn a_box_finds_its_rows() {
        let mut rows = Vec::new();
        copy_box([2, 3, 4], [1, 1, 2], [2, 2, 4], |inside, outside| rows.push((inside, outside)));
        assert_eq!(rows, [(0..2, 18..20), (4..6, 22..24)]);
    }
}
