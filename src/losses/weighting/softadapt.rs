//! `SoftAdapt` (Heydari et al. 2019): a softmax over how fast each term changes.
//!
//! The three published variants stand as in the authors' code, failings included: higher orders read the slope at the
//! oldest sample of the window; a negative sum of slopes, which is what training looks like, turns the preference of
//! the normalised variant around; loss-weighted weights of a negative term are negative; slopes are not free of scale; and
//! after the first update the weights sum to 1 instead of to their number. The corrected variant takes the slope at the
//! newest sample of an exponential average, relative to the size of the term, and keeps the sum of the weights.

use serde::{Deserialize, Serialize};

/// Which rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Variant {
    /// Softmax of the slopes.
    Original,
    /// Softmax of the slopes over their sum.
    Normalized,
    /// Softmax of the slopes, times the mean value of each term; the authors' recommendation.
    LossWeighted,
    /// As the head of this file says; the default.
    Corrected,
}

/// The weighting and its window of values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SoftAdapt {
    variant: Variant,
    /// Sharpness: 0 weighs all alike; positive prefers the worst term.
    pub beta: f64,
    /// Steps between updates; also the length of the window of the published variants, at most 6.
    pub every: usize,
    /// What a person weighs the terms by before anything adapts; the corrected variant only.
    pub priors: Vec<f64>,
    steps: usize,
    window: Vec<Vec<f64>>,
    weights: Vec<f64>,
    average: Vec<f64>,
    size: Vec<f64>,
    slope: Vec<f64>,
}

/// Guard of the published denominators.
const TINY: f64 = 1e-8;

/// Share of the newest value in the averages of the corrected variant.
const SHARE: f64 = 0.05;

/// Forward differences of order 1 to 5: coefficients of the samples, oldest first. The window is differentiated with the
/// highest order that it allows, as by the authors.
#[rustfmt::skip]
const FORWARD: [&[f64]; 5] = [
    &[-1.0, 1.0],
    &[-3.0 / 2.0, 2.0, -1.0 / 2.0],
    &[-11.0 / 6.0, 3.0, -3.0 / 2.0, 1.0 / 3.0],
    &[-25.0 / 12.0, 4.0, -3.0, 4.0 / 3.0, -1.0 / 4.0],
    &[-137.0 / 60.0, 5.0, -5.0, 10.0 / 3.0, -5.0 / 4.0, 1.0 / 5.0],
];

impl SoftAdapt {
    /// The authors' settings: a beta of 0.1, an update every 5 values. The corrected variant moves every step, and its
    /// slopes are relative and those of the span of its averages, 20 steps: a beta of 10 makes a term that loses 10 % less
    /// in 20 steps weigh e times as much.
    pub fn new(terms: usize, variant: Variant) -> Self {
        let corrected = variant == Variant::Corrected;
        let zeros = || vec![0.0; terms];
        Self {
            variant,
            beta: if corrected { 10.0 } else { 0.1 },
            every: if corrected { 1 } else { 5 },
            priors: vec![1.0; terms],
            steps: 0,
            window: vec![Vec::new(); terms],
            weights: vec![1.0; terms],
            average: zeros(),
            size: zeros(),
            slope: zeros(),
        }
    }

    /// Weights for the values of this step. Published variants begin with 1 for each term and sum to 1 from their first
    /// update on; the corrected one always sums to the sum of the priors.
    pub fn step(&mut self, values: &[f64]) -> Vec<f64> {
        if self.variant == Variant::Corrected {
            self.correct(values);
        } else {
            for (window, value) in self.window.iter_mut().zip(values) {
                window.push(*value);
            }
            if self.window[0].len() == self.every {
                self.weights = published(self.variant, self.beta, &self.window);
                self.window.iter_mut().for_each(Vec::clear);
            }
        }
        self.steps += 1;
        self.weights.clone()
    }

    fn correct(&mut self, values: &[f64]) {
        for (i, value) in values.iter().enumerate() {
            if self.steps == 0 {
                (self.average[i], self.size[i]) = (*value, value.abs());
                continue;
            }
            let change = SHARE * (value - self.average[i]);
            self.average[i] += change;
            self.size[i] += SHARE * (value.abs() - self.size[i]);
            // The slope of the average is as noisy as the values; it is averaged once more.
            let relative = change / self.size[i].max(TINY);
            self.slope[i] += SHARE * (relative - self.slope[i]);
        }
        let shares = softmax(self.beta / SHARE, &self.slope);
        let preferred: Vec<f64> = shares.iter().zip(&self.priors).map(|(share, prior)| share * prior).collect();
        let scale = self.priors.iter().sum::<f64>() / preferred.iter().sum::<f64>();
        self.weights = preferred.iter().map(|weight| weight * scale).collect();
    }
}

/// Weights by a published variant from full windows, oldest value first.
fn published(variant: Variant, beta: f64, window: &[Vec<f64>]) -> Vec<f64> {
    let mut slopes: Vec<f64> = window.iter().map(|values| slope(values)).collect();
    if variant == Variant::Normalized {
        let sum: f64 = slopes.iter().sum();
        for slope in &mut slopes {
            *slope /= sum;
        }
    }
    let largest = slopes.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mean = |values: &Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
    let raw: Vec<f64> = slopes
        .iter()
        .zip(window)
        .map(|(slope, values)| {
            let factor = if variant == Variant::LossWeighted { mean(values) } else { 1.0 };
            factor * (beta * (slope - largest)).exp()
        })
        .collect();
    let sum: f64 = raw.iter().sum();
    raw.iter().map(|weight| weight / (sum + TINY)).collect()
}

/// Finite difference of the largest tabulated order that the window allows, at its oldest sample.
fn slope(values: &[f64]) -> f64 {
    let table = FORWARD.iter().rev().find(|coefficients| coefficients.len() <= values.len());
    table.map_or(0.0, |coefficients| coefficients.iter().zip(values).map(|(c, value)| c * value).sum())
}

fn softmax(beta: f64, slopes: &[f64]) -> Vec<f64> {
    let largest = slopes.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let raw: Vec<f64> = slopes.iter().map(|slope| (beta * (slope - largest)).exp()).collect();
    let sum: f64 = raw.iter().sum();
    raw.iter().map(|weight| weight / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the authors' README.
    const EXAMPLE: [[f64; 5]; 3] =
        [[1.0, 2.0, 3.0, 4.0, 5.0], [150.0, 100.0, 50.0, 10.0, 0.1], [1500.0, 1000.0, 500.0, 100.0, 1.0]];

    /// Weights after the five values of each term.
    fn weights(variant: Variant, terms: &[[f64; 5]]) -> Vec<f64> {
        let mut rule = SoftAdapt::new(terms.len(), variant);
        let mut weights = Vec::new();
        for step in 0..5 {
            weights = rule.step(&terms.iter().map(|values| values[step]).collect::<Vec<_>>());
        }
        weights
    }

    #[test]
    fn published_variants_give_the_numbers_of_the_authors() {
        #[rustfmt::skip]
        let table = [
            (Variant::Original,     [9.934_333_6e-01, 6.566_628_3e-03, 3.890_804_1e-22]),
            (Variant::Normalized,   [0.322_072_33,    0.325_079_23,    0.352_848_47]),
            (Variant::LossWeighted, [8.797_771_93e-1, 1.202_228_14e-1, 7.121_045_38e-20]),
        ];
        for (variant, expected) in table {
            for (found, expected) in weights(variant, &EXAMPLE).iter().zip(expected) {
                // Theirs are in 32 bits, which the smallest weights show.
                assert!(
                    (found - expected).abs() <= (if expected < 1e-10 { 1e-3 } else { 2e-6 }) * expected,
                    "{variant:?}: {found} instead of {expected}"
                );
            }
        }
    }

    #[test]
    fn the_known_failings_of_the_published_variants_are_there_and_mended_in_the_corrected_one() {
        // The slope is that of the first interval, not of the last.
        assert!(slope(&EXAMPLE[1]) < -49.0 && EXAMPLE[1][4] - EXAMPLE[1][3] > -10.0);
        // The only term that gets worse has the least weight of the normalised variant and the most of the corrected one.
        let normalized = weights(Variant::Normalized, &EXAMPLE);
        assert!(normalized[0] < normalized[1] && normalized[1] < normalized[2]);
        let corrected = weights(Variant::Corrected, &EXAMPLE);
        assert!(corrected[0] > corrected[1].max(corrected[2]), "{corrected:?}");
        // A term in other units gets another weight from the original variant and the same from the corrected one.
        let scaled = EXAMPLE.map(|values| values.map(|value| value * 100.0));
        let mixed = [scaled[0], EXAMPLE[1], EXAMPLE[2]];
        assert!((weights(Variant::Original, &mixed)[1] - weights(Variant::Original, &EXAMPLE)[1]).abs() > 1e-3);
        assert!((weights(Variant::Corrected, &mixed)[1] - corrected[1]).abs() < 1e-12);
        // Negative terms get negative weights from the loss-weighted variant alone.
        let negative = [[-1.0, -1.1, -1.2, -1.3, -1.4], EXAMPLE[1]];
        assert!(weights(Variant::LossWeighted, &negative).iter().any(|weight| *weight < 0.0));
        assert!(weights(Variant::Corrected, &negative).iter().all(|weight| *weight > 0.0));
        // The sum of the weights falls from the number of terms to 1, a learning rate in disguise.
        let mut original = SoftAdapt::new(2, Variant::Original);
        let sums: Vec<f64> = (0..5).map(|_| original.step(&[1.0, 2.0]).iter().sum()).collect();
        assert!(sums[0] == 2.0 && (sums[4] - 1.0).abs() < 1e-6, "{sums:?}");
        assert!((corrected.iter().sum::<f64>() - 3.0).abs() < 1e-12);
    }

    #[test]
    fn a_term_that_loses_a_tenth_less_in_twenty_steps_weighs_e_times_as_much() {
        let mut rule = SoftAdapt::new(2, Variant::Corrected);
        let value = |rate: f64, step: usize| (-rate * step as f64).exp();
        let mut weights = Vec::new();
        for step in 0..400 {
            weights = rule.step(&[value(0.005, step), 7.0 * value(0.01, step)]);
        }
        assert!((weights[0] / weights[1] / std::f64::consts::E - 1.0).abs() < 0.02, "{weights:?}");
    }

    #[test]
    fn priors_are_the_set_point_of_the_corrected_variant() {
        let mut rule = SoftAdapt::new(2, Variant::Corrected);
        rule.priors = vec![3.0, 1.0];
        for _ in 0..50 {
            let weights = rule.step(&[0.5, 0.25]);
            assert!((weights[0] - 3.0).abs() < 1e-12 && (weights[1] - 1.0).abs() < 1e-12, "{weights:?}");
        }
    }
}
