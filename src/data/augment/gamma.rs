//! Gamma: tissue in between becomes darker or brighter, black and white stay apart as far as they were.
//!
//! `x' = low + (high - low) ((x - low) / (high - low))^gamma`, then brought to the mean and deviation that the patch had;
//! on the negative image for a share of the patches, which bends the curve at the other end. nnU-Net draws the two with
//! probabilities 0.3 and 0.1, both with exponents from 0.7 to 1.5; here a patch is changed at most once, with their sum.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{between, happens, mean, range, validate_number, validate_probability, validate_range};
use crate::fault::Result;

/// How often and how much the curve is bent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gamma {
    /// Probability for each channel of a patch.
    pub probability: f64,
    /// Range of the exponent; below and above one are drawn equally often where both are possible.
    pub exponent: (f64, f64),
    /// Share of the changes that are done to the negative image.
    pub inverted: f64,
}

impl Default for Gamma {
    fn default() -> Self {
        Self { probability: 0.4, exponent: (0.7, 1.5), inverted: 0.25 }
    }
}

/// One draw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Curve {
    /// The exponent.
    pub exponent: f32,
    /// Whether the negative image is bent.
    pub inverted: bool,
}

impl Gamma {
    /// Checks the numbers of a configuration.
    ///
    /// # Errors
    /// If the range is empty or reaches beyond 0.1 or 10, or a probability is none.
    pub fn validate(&self) -> Result<()> {
        validate_probability("gamma.probability", self.probability)?;
        validate_probability("gamma.inverted", self.inverted)?;
        validate_range("gamma.exponent", self.exponent, 0.1)?;
        validate_number("gamma.exponent", self.exponent.1, (0.1, 10.0))
    }

    /// Draws a curve, if there is to be a change.
    pub fn draw(&self, rng: &mut ChaCha8Rng) -> Option<Curve> {
        happens(self.probability, rng).then(|| {
            let (low, high) = self.exponent;
            // Half of the draws below one, although it is the shorter part of the range: as in nnU-Net.
            let below = rng.random::<bool>() && low < 1.0;
            let part = if below { (low, high.min(1.0)) } else { (low.max(1.0).min(high), high) };
            Curve { exponent: between(part, rng) as f32, inverted: happens(self.inverted, rng) }
        })
    }
}

/// Bends the values; those of a patch of one grey stay.
pub fn apply(values: &mut [f32], Curve { exponent, inverted }: Curve) {
    let (low, high) = range(values);
    let before = (mean(values), deviation(values));
    if high <= low || exponent == 1.0 {
        return;
    }
    let width = high - low;
    for value in &mut *values {
        let share = if inverted { high - *value } else { *value - low } / width;
        let bent = width * share.powf(exponent);
        *value = if inverted { high - bent } else { low + bent };
    }
    let (centre, width) = (mean(values), deviation(values));
    let stretch = if width > 0.0 { before.1 / width } else { 1.0 };
    for value in values {
        *value = ((f64::from(*value) - centre) * stretch + before.0) as f32;
    }
}

fn deviation(values: &[f32]) -> f64 {
    let centre = mean(values);
    (values.iter().map(|value| (f64::from(*value) - centre).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn mean_deviation_and_order_stay_and_the_middle_moves() {
        let ramp: Vec<f32> = (0..100).map(|i| i as f32 / 10.0 - 4.0).collect();
        for (exponent, inverted) in [(0.7, false), (1.5, false), (0.7, true), (1.5, true)] {
            let mut values = ramp.clone();
            apply(&mut values, Curve { exponent, inverted });
            assert!((mean(&values) - mean(&ramp)).abs() < 1e-4 && (deviation(&values) - deviation(&ramp)).abs() < 1e-4);
            assert!(values.windows(2).all(|pair| pair[0] < pair[1]), "{exponent} {inverted}");
            // Above one, the curve hangs below a line; on the negative it bulges above.
            let line = f32::midpoint(values[0], values[99]);
            assert_eq!(values[49] < line, (exponent > 1.0) != inverted, "{exponent} {inverted}");
        }
        let mut grey = [2.0; 5];
        apply(&mut grey, Curve { exponent: 0.7, inverted: false });
        assert_eq!(grey, [2.0; 5]);
    }

    #[test]
    fn exponents_below_and_above_one_come_up_alike() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let gamma = Gamma { probability: 1.0, ..Gamma::default() };
        let draws: Vec<Curve> = (0..2000).filter_map(|_| gamma.draw(&mut rng)).collect();
        assert!(draws.iter().all(|curve| (0.7..=1.5).contains(&curve.exponent)));
        let below = draws.iter().filter(|curve| curve.exponent < 1.0).count();
        let inverted = draws.iter().filter(|curve| curve.inverted).count();
        assert!((900..1100).contains(&below) && (430..570).contains(&inverted), "{below} {inverted}");
        let narrow = Gamma { probability: 1.0, exponent: (1.2, 1.4), inverted: 0.0 };
        assert!((0..50).all(|_| (1.2..=1.4).contains(&narrow.draw(&mut rng).unwrap().exponent)));
    }
}
