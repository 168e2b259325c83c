//! Metrics of probabilities: is a voxel that is called foreground with 80 % foreground in 80 % of cases?
//!
//! Guards one definition of the expected calibration error where tools have two. Here the *foreground probability* of a
//! class is compared with the frequency of the class, over 15 bins of equal width from 0 to 1 (the binary form of
//! `torchmetrics`; class-wise ECE, Kull et al. 2019). Guo et al. (2017) compare the confidence of the predicted class,
//! `max(p, 1 - p)`, with accuracy. Folding p onto 1 - p puts voxels that are too sure of the foreground and voxels that
//! are too sure of the background into the same bin, where they cancel; and it needs a decision, which among several
//! classes is not the threshold 0.5. The score of Brier (1950) is the mean squared error, as in scikit-learn.
//!
//! Both are over all voxels of the volume: where the background is large and easy they are small for every network, and
//! comparable only between methods on the same cases. Sums are f64, counts u64. Which voxels are decided to be what is
//! [`super::overlap`]'s matter.

use serde::{Deserialize, Serialize};

use crate::fault::{Fault, Result};

/// Bins of the expected calibration error (Guo et al. 2017).
pub const BINS: usize = 15;

/// How the probabilities of one class agree with the truth: finite sums, from which the metrics follow.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Sum over voxels of `(probability - truth)²`.
    pub squared_error: f64,
    /// The voxels by their probability: bin b holds `b / 15 <= p < (b + 1) / 15`, the last one also 1.
    pub bins: [Bin; BINS],
}

/// Voxels of similar probability.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bin {
    /// How many.
    pub voxels: u64,
    /// How many of them are of the class.
    pub real: u64,
    /// Sum of their probabilities.
    pub probability: f64,
}

impl Calibration {
    /// Compares probabilities of `class`, each from 0 to 1, with the truth, voxel by voxel in the same order.
    ///
    /// # Errors
    /// If their number is not that of the truth, or one is not a probability: a network that has lost its numbers is not
    /// to be given a score.
    pub fn of(probabilities: impl IntoIterator<Item = f64>, truth: &[u8], class: u8) -> Result<Self> {
        let mut found = Self::default();
        let mut count = 0_usize;
        for probability in probabilities {
            if !(0.0..=1.0).contains(&probability) {
                return Err(Fault::failed("a prediction is not a probability")
                    .field(format!("voxel {count}"))
                    .expected("a number from 0 to 1")
                    .found(probability));
            }
            if let Some(voxel) = truth.get(count) {
                let real = *voxel == class;
                found.squared_error += (probability - f64::from(u8::from(real))).powi(2);
                let bin = &mut found.bins[((probability * BINS as f64) as usize).min(BINS - 1)];
                bin.voxels += 1;
                bin.real += u64::from(real);
                bin.probability += probability;
            }
            count += 1;
        }
        if count != truth.len() {
            return Err(Fault::new("probabilities and truth differ in size")
                .expected(format!("{} voxels, as the truth", truth.len()))
                .found(format!("{count} probabilities")));
        }
        Ok(found)
    }

    /// Voxels compared.
    pub fn voxels(&self) -> u64 {
        self.bins.iter().map(|bin| bin.voxels).sum()
    }

    /// Brier score, `mean (p - y)²`, from 0 to 1; NaN of no voxel.
    pub fn brier(&self) -> f64 {
        self.squared_error / self.voxels() as f64
    }

    /// Expected calibration error, `sum over bins of (share of voxels) |mean p - frequency of the class|`, from 0 to 1;
    /// NaN of no voxel.
    pub fn ece(&self) -> f64 {
        // A bin's share times the difference of its means is the difference of its sums over all voxels.
        let gaps: f64 = self.bins.iter().map(|bin| (bin.probability - bin.real as f64).abs()).sum();
        gaps / self.voxels() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(probabilities: &[f64], truth: &[u8]) -> Calibration {
        Calibration::of(probabilities.iter().copied(), truth, 2).unwrap()
    }

    #[test]
    fn brier_and_ece_agree_with_other_tools() {
        let probability = |i: u32| 1.0 / (1.0 + (-4.0 * (0.7 * f64::from(i) + 0.3).sin()).exp());
        let truth: Vec<u8> = (0..2000_u32).map(|i| if i * i % 7 < 3 { 2 } else { 1 }).collect();
        let found = Calibration::of((0..2000).map(probability), &truth, 2).unwrap();
        assert!((found.brier() - BRIER).abs() < 1e-12, "{}", found.brier());
        assert!((found.ece() - ECE).abs() < 1e-12, "{}", found.ece());
    }

    #[test]
    fn frequencies_that_are_met_cost_nothing_and_certain_errors_everything() {
        let quarter = of(&[0.25; 4], &[2, 0, 1, 0]);
        assert_eq!((quarter.ece(), quarter.brier()), (0.0, 0.1875));
        let wrong = of(&[1.0, 0.0], &[0, 2]);
        assert_eq!((wrong.ece(), wrong.brier()), (1.0, 1.0));
        assert_eq!((of(&[1.0, 0.0], &[2, 0]).ece(), of(&[1.0, 0.0], &[2, 0]).brier()), (0.0, 0.0));
    }

    #[test]
    fn errors_of_opposite_sides_do_not_cancel() {
        // 0.8 is foreground always and 0.2 in two of five: folded onto 1 - p both have confidence 0.8, and 0.8 of them
        // are right, which would be an error of 0.
        let found = of(&[0.8, 0.8, 0.8, 0.8, 0.8, 0.2, 0.2, 0.2, 0.2, 0.2], &[2, 2, 2, 2, 2, 2, 2, 0, 0, 0]);
        assert!((found.ece() - 0.2).abs() < 1e-15);
    }

    #[test]
    fn the_ends_of_the_scale_have_a_bin_and_no_voxel_has_no_score() {
        let found = of(&[0.0, 1.0, 0.999, 0.0666], &[0, 2, 2, 0]);
        assert_eq!((found.bins[0].voxels, found.bins[BINS - 1].voxels, found.bins[BINS - 1].real), (2, 2, 2));
        assert!(of(&[], &[]).brier().is_nan() && of(&[], &[]).ece().is_nan());
    }

    #[test]
    fn what_is_no_probability_or_has_no_partner_is_refused() {
        for (bad, truth) in [(&[0.5, f64::NAN][..], &[0, 0][..]), (&[1.1], &[0]), (&[0.5], &[0, 0]), (&[0.5; 3], &[0])]
        {
            assert!(Calibration::of(bad.iter().copied(), truth, 1).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn sums_survive_json_to_the_bit() {
        let found = of(&[0.1, 0.7, 1.0 / 3.0], &[0, 2, 2]);
        let text = serde_json::to_string(&found).unwrap();
        assert_eq!(serde_json::from_str::<Calibration>(&text).unwrap(), found);
    }

    /// scikit-learn 1.9.1: `brier_score_loss`; NumPy 2.4.6 the same.
    const BRIER: f64 = 0.411_021_369_270_634_5;
    /// torchmetrics 1.9.0: `binary_calibration_error(n_bins=15, norm="l1")` in float64; NumPy 2.4.6 the same.
    const ECE: f64 = 0.395_142_499_985_975_2;
}
