//! Holm's correction: how small must a p-value be when it is one of many?
//!
//! Guards the family-wise error: the chance of even one false claim stays below the level, whatever the dependence of
//! the tests (Holm 1979). Uniformly better than Bonferroni's, so that one is not offered.

/// The p-values adjusted for their number, in the given order: each may be compared with the level on its own.
///
/// `max over i <= k of min(1, (m - i + 1) p_(i))` for the k-th smallest of m. An undefined p-value stays NaN and still
/// counts as one of the tests.
pub fn adjusted(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut adjusted = vec![f64::NAN; p.len()];
    let mut largest = 0.0_f64;
    for (rank, index) in order.into_iter().enumerate().filter(|(_, index)| !p[*index].is_nan()) {
        largest = largest.max((p.len() - rank) as f64 * p[index]).min(1.0);
        adjusted[index] = largest;
    }
    adjusted
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these numbers are exact")]
mod tests {
    use super::*;

    #[test]
    fn a_worked_example() {
        // Ascending: 4 * 0.005, 3 * 0.01, 2 * 0.03, and 1 * 0.04 raised to its predecessor's 0.06.
        let found = adjusted(&[0.01, 0.04, 0.03, 0.005]);
        for (found, expected) in found.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((found - expected).abs() < 1e-15);
        }
    }

    #[test]
    fn one_test_needs_no_correction_and_undefined_ones_count() {
        assert_eq!(adjusted(&[0.03]), [0.03]);
        assert_eq!(adjusted(&[0.7, 0.9]), [1.0, 1.0]);
        let found = adjusted(&[f64::NAN, 0.01]);
        assert!(found[0].is_nan());
        assert_eq!(found[1], 0.02);
    }
}
