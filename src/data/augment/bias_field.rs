//! Bias field: the smooth shading that coils leave on MRI.
//!
//! Signal is multiplied by exp(f), f a sum of products of Legendre polynomials up to degree 3 over the patch with random
//! coefficients, as MONAI's `RandBiasField` (coefficients up to 0.1, probability 0.1; drawn to either side here, because a
//! patch may lie on any side of a coil). No signal is zero in a scan and not in a normalised image, so the darkest value
//! of the patch stands for it.

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{between, happens, range, validate_number, validate_probability};
use crate::fault::Result;
use crate::volume::resample::{Weights, weighted};

/// How often and how strongly a patch is shaded.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BiasField {
    /// Probability for each channel of a patch.
    pub probability: f64,
    /// Largest coefficient of a polynomial, to either side.
    pub coefficient: f64,
}

impl Default for BiasField {
    fn default() -> Self {
        Self { probability: 0.1, coefficient: 0.1 }
    }
}

/// Polynomials along an axis: degrees 0 to 3.
const TERMS: usize = 4;

/// Coefficients of the products of polynomials, degree along k fastest; zero beyond degree 3 in all.
#[derive(Debug, Clone, PartialEq)]
pub struct Shading([f32; TERMS * TERMS * TERMS]);

impl BiasField {
    /// Checks the numbers of a configuration.
    ///
    /// # Errors
    /// If the coefficient is negative or above 1 (signal would vary by more than e^19), or the probability is none.
    pub fn validate(&self) -> Result<()> {
        validate_probability("bias_field.probability", self.probability)?;
        validate_number("bias_field.coefficient", self.coefficient, (0.0, 1.0))
    }

    /// Draws a shading, if there is to be one.
    pub fn draw(&self, rng: &mut ChaCha8Rng) -> Option<Shading> {
        happens(self.probability, rng).then(|| {
            let mut coefficients = [0.0; TERMS * TERMS * TERMS];
            for (term, coefficient) in coefficients.iter_mut().enumerate() {
                let degree = term / (TERMS * TERMS) + term / TERMS % TERMS + term % TERMS;
                // A constant would be a change of brightness.
                if (1..TERMS).contains(&degree) {
                    *coefficient = between((-self.coefficient, self.coefficient), rng) as f32;
                }
            }
            Shading(coefficients)
        })
    }
}

/// Shades values of `shape`.
pub fn apply(values: &mut [f32], shape: [usize; 3], Shading(coefficients): &Shading) {
    let (dark, _) = range(values);
    let field = weighted(coefficients, [TERMS; 3], &shape.map(polynomials));
    for (value, field) in values.iter_mut().zip(field) {
        *value += (*value - dark) * field.exp_m1();
    }
}

/// The Legendre polynomials at the voxels of an axis, which runs from -1 to 1.
fn polynomials(length: usize) -> Weights {
    let at = |place: usize| {
        let x = if length > 1 { 2.0 * place as f64 / (length as f64 - 1.0) - 1.0 } else { 0.0 };
        let values = [1.0, x, 0.5 * (3.0 * x * x - 1.0), 0.5 * (5.0 * x * x * x - 3.0 * x)];
        values.into_iter().enumerate().map(|(degree, value)| (degree, value as f32)).collect()
    };
    (0..length).map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shading_multiplies_signal_and_keeps_the_dark() {
        let mut coefficients = [0.0; 64];
        // First degree along j.
        coefficients[TERMS] = 0.5;
        let mut values = [2.0, 3.0, 3.0, 3.0, 3.0, 3.0];
        apply(&mut values, [1, 3, 2], &Shading(coefficients));
        let expected = [2.0, 2.0 + (-0.5_f32).exp(), 3.0, 3.0, 2.0 + 0.5_f32.exp(), 2.0 + 0.5_f32.exp()];
        assert!(values.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{values:?}");
        apply(&mut values, [1, 3, 2], &Shading([0.0; 64]));
        assert!(values.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    #[test]
    fn polynomials_are_orthogonal() {
        let table = polynomials(4001);
        let product = |a: usize, b: usize| {
            table.iter().map(|row| f64::from(row[a].1) * f64::from(row[b].1)).sum::<f64>() / 2000.5
        };
        for a in 0..TERMS {
            for b in 0..TERMS {
                // The integral over -1 to 1 is 2 / (2n + 1), or zero.
                let exact = if a == b { 2.0 / (2.0 * a as f64 + 1.0) } else { 0.0 };
                assert!((product(a, b) - exact).abs() < 2e-3, "{a} {b} {}", product(a, b));
            }
        }
    }
}
