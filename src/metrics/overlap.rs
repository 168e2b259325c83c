//! Metrics of overlap, all from one count of voxels.
//!
//! Guards two rules: counts are u64 (a float32 counter stops at 2^24 voxels, a volume has more), and an undefined value,
//! 0/0, is NaN and never a flattering constant. A missed structure scores 0, a correctly empty mask has no score; how
//! many cases that concerns is for the table to say.

use serde::{Deserialize, Serialize};

/// How the voxels of two masks agree about one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confusion {
    /// Predicted and true.
    pub true_positive: u64,
    /// Predicted and not true.
    pub false_positive: u64,
    /// Not predicted and true.
    pub false_negative: u64,
    /// Neither.
    pub true_negative: u64,
}

impl Confusion {
    /// Counts `class` in two lists of voxels in the same order; voxels without a partner do not count.
    pub fn of(prediction: &[u8], truth: &[u8], class: u8) -> Self {
        let mut counts = Self::default();
        // Short chunks, so that the inner sums are narrow enough for the machine to add many at once.
        for (prediction, truth) in prediction.chunks(4096).zip(truth.chunks(4096)) {
            let (mut both, mut predicted, mut real) = (0_u16, 0_u16, 0_u16);
            for (p, t) in prediction.iter().zip(truth) {
                let (p, t) = (u16::from(*p == class), u16::from(*t == class));
                both += p & t;
                predicted += p;
                real += t;
            }
            let voxels = prediction.len().min(truth.len()) as u64;
            let (both, predicted, real) = (u64::from(both), u64::from(predicted), u64::from(real));
            counts.true_positive += both;
            counts.false_positive += predicted - both;
            counts.false_negative += real - both;
            counts.true_negative += voxels - (predicted + real - both);
        }
        counts
    }

    /// Voxels of the class in the prediction.
    pub fn predicted(&self) -> u64 {
        self.true_positive + self.false_positive
    }

    /// Voxels of the class in the truth.
    pub fn real(&self) -> u64 {
        self.true_positive + self.false_negative
    }

    /// `2 tp / (2 tp + fp + fn)` (Dice 1945).
    pub fn dice(&self) -> f64 {
        ratio(2 * self.true_positive, 2 * self.true_positive + self.false_positive + self.false_negative)
    }

    /// Intersection over union, `tp / (tp + fp + fn)` (Jaccard 1912).
    pub fn iou(&self) -> f64 {
        ratio(self.true_positive, self.true_positive + self.false_positive + self.false_negative)
    }

    /// `(1 + b²) tp / ((1 + b²) tp + b² fn + fp)`: recall counts `beta` times as much as precision (van Rijsbergen 1979).
    pub fn f_beta(&self, beta: f64) -> f64 {
        let [tp, fp, fn_] = [self.true_positive, self.false_positive, self.false_negative].map(|count| count as f64);
        let hit = (1.0 + beta * beta) * tp;
        hit / (hit + beta * beta * fn_ + fp)
    }

    /// `tp / (tp + fp)`: undefined where nothing is predicted.
    pub fn precision(&self) -> f64 {
        ratio(self.true_positive, self.predicted())
    }

    /// `tp / (tp + fn)`, sensitivity: undefined where nothing is true.
    pub fn recall(&self) -> f64 {
        ratio(self.true_positive, self.real())
    }

    /// `tn / (tn + fp)`: undefined where everything is true.
    pub fn specificity(&self) -> f64 {
        ratio(self.true_negative, self.true_negative + self.false_positive)
    }

    /// `(tp + tn) / all`: near 1 whenever the background is large, reported because the field reports it.
    pub fn accuracy(&self) -> f64 {
        let right = self.true_positive + self.true_negative;
        ratio(right, right + self.false_positive + self.false_negative)
    }

    /// `|predicted - real|` in voxels.
    pub fn volume_difference(&self) -> u64 {
        self.predicted().abs_diff(self.real())
    }
}

/// A quotient of counts; 0/0 is NaN.
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these numbers are exact")]
mod tests {
    use super::*;

    #[test]
    fn counts_are_exact_where_float32_stops() {
        let counts = Confusion { true_negative: 46_137_344, true_positive: 1, false_positive: 0, false_negative: 1 };
        assert_eq!(counts.accuracy(), 46_137_345.0 / 46_137_346.0);
        let long = vec![3_u8; 100_003];
        assert_eq!(Confusion::of(&long, &long, 3).true_positive, 100_003);
        assert_eq!(Confusion::of(&long, &long, 1).true_negative, 100_003);
    }

    #[test]
    fn one_class_among_several() {
        let counts = Confusion::of(&[1, 1, 2, 0, 2, 2], &[1, 2, 2, 2, 0, 1], 2);
        let expected = Confusion { true_positive: 1, false_positive: 2, false_negative: 2, true_negative: 1 };
        assert_eq!(counts, expected);
        assert_eq!((counts.predicted(), counts.real(), counts.volume_difference()), (3, 3, 0));
        // F1 is Dice, whatever the counts.
        assert_eq!(counts.f_beta(1.0), counts.dice());
    }

    #[test]
    fn only_zero_over_zero_is_undefined() {
        let empty = Confusion { true_negative: 8, ..Confusion::default() };
        assert!(
            [empty.dice(), empty.iou(), empty.f_beta(2.0), empty.precision(), empty.recall()]
                .iter()
                .all(|v| v.is_nan())
        );
        assert_eq!((empty.accuracy(), empty.specificity()), (1.0, 1.0));
        let missed = Confusion { false_negative: 3, ..empty };
        assert_eq!((missed.dice(), missed.iou(), missed.f_beta(2.0), missed.recall()), (0.0, 0.0, 0.0, 0.0));
        assert!(missed.precision().is_nan());
        let spurious = Confusion { false_positive: 3, ..empty };
        assert_eq!((spurious.dice(), spurious.iou(), spurious.f_beta(2.0), spurious.precision()), (0.0, 0.0, 0.0, 0.0));
        assert!(spurious.recall().is_nan());
    }
}
