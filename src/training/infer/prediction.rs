//! Everything that a network says of a case: the mask, and how far its probabilities can be trusted.

use std::borrow::Cow;

use super::{Inference, Window, decide};
use crate::data::Case;
use crate::data::store::Voxels;
use crate::fault::Result;
use crate::metrics::Calibration;
use crate::nn::UNet3d;
use crate::volume::Volume;

/// Predicts a mask on the grid of the case's file: 0 is background, c + 1 is class c. A voxel belongs to the class of the
/// largest probability, above 0.5 if each class has a sigmoid of its own.
///
/// # Errors
/// If the network wants another number of channels, or the case cannot be read any more. Outputs that are no numbers are
/// background here: a search ranks such a network last, and goes on.
pub fn predict(network: &UNet3d, case: &Case, window: Window) -> Result<Volume<u8>> {
    let inference = Inference { networks: std::slice::from_ref(network), window, mirror: [false; 3] };
    let channels = whole(case)?;
    let mut classes = Vec::new();
    inference.planes(&voxels(&channels), &case.way, &mut |logits, outputs| {
        classes.extend(decide(logits, outputs, outputs > case.classes()));
        Ok(())
    })?;
    case.way.place(classes, 0)
}

/// The image, in memory.
fn whole(case: &Case) -> Result<Vec<Cow<'_, Volume<f32>>>> {
    case.channels.iter().map(Voxels::whole).collect()
}

fn voxels<'a>(channels: &'a [Cow<'_, Volume<f32>>]) -> Vec<&'a [f32]> {
    channels.iter().map(|channel| channel.voxels.as_slice()).collect()
}

/// Everything that a network says of a case, on the grid of the case's file.
pub struct Prediction {
    /// The mask, see [`predict`].
    pub mask: Volume<u8>,
    /// Logits of each output.
    logits: Vec<Vec<f32>>,
    /// Whether the first output is that of the background, and probabilities are those of a softmax.
    background: bool,
}

impl Prediction {
    /// Predicts a case.
    ///
    /// # Errors
    /// As [`predict`].
    pub fn of(inference: &Inference<'_>, case: &Case) -> Result<Self> {
        let mut classes = Vec::new();
        let mut all: Vec<Vec<f32>> = Vec::new();
        // One output more than classes is that of the background.
        let background = |outputs: usize| outputs > case.classes();
        let channels = whole(case)?;
        inference.planes(&voxels(&channels), &case.way, &mut |logits, outputs| {
            classes.extend(decide(logits, outputs, background(outputs)));
            all.resize_with(outputs, Vec::new);
            let plane = logits.len() / outputs;
            all.iter_mut().zip(logits.chunks_exact(plane)).for_each(|(all, part)| all.extend_from_slice(part));
            Ok(())
        })?;
        let background = background(all.len());
        // What was cut away before the network saw it is background.
        let outside = |output: usize| if background && output == 0 { 0.0 } else { f32::NEG_INFINITY };
        let place = |(output, map)| Ok(case.way.place(map, outside(output))?.voxels);
        let logits = all.into_iter().enumerate().map(place).collect::<Result<_>>()?;
        Ok(Self { mask: case.way.place(classes, 0)?, logits, background })
    }

    /// How well the probabilities of every class, in ascending order from 1, agree with the truth.
    ///
    /// # Errors
    /// If `truth` is on another grid, or an output is not a number.
    pub fn calibrations(&self, truth: &[u8]) -> Result<Vec<Calibration>> {
        if !self.background {
            let sigmoid = |logit: &f32| 1.0 / (1.0 + (-f64::from(*logit)).exp());
            let judge = |(class, map): (u8, &Vec<f32>)| Calibration::of(map.iter().map(sigmoid), truth, class);
            return (1..=u8::MAX).zip(&self.logits).map(judge).collect();
        }
        // The logarithm of the sum of exponentials, once for all classes.
        let total = |voxel: usize| {
            let outputs = self.logits.iter().map(|map| f64::from(map[voxel]));
            let largest = outputs.clone().fold(f64::NEG_INFINITY, f64::max);
            largest + outputs.map(|logit| (logit - largest).exp()).sum::<f64>().ln()
        };
        let totals: Vec<f64> = (0..self.mask.voxels.len()).map(total).collect();
        let judge = |(class, map): (u8, &Vec<f32>)| {
            // Rounding may end a hair above 1.
            let softmax = |(logit, total): (&f32, &f64)| (f64::from(*logit) - total).exp().clamp(0.0, 1.0);
            Calibration::of(map.iter().zip(&totals).map(softmax), truth, class)
        };
        (1..=u8::MAX).zip(&self.logits[1..]).map(judge).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Confusion;
    use crate::volume::Grid;

    fn prediction(outputs: &[[f32; 4]], background: bool) -> Prediction {
        let grid = Grid::aligned([1, 1, 4], [1.0; 3]);
        let logits: Vec<Vec<f32>> = outputs.iter().map(|voxels| voxels.to_vec()).collect();
        let mask = Volume { grid, voxels: decide(&logits.concat(), logits.len(), background) };
        Prediction { mask, logits, background }
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
}
