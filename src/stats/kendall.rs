//! Kendall's rank correlation: do two rankings agree?
//!
//! Guards tau-b, which corrects for ties (Kendall 1945). It counts all pairs; rankings here have tens of entries, for
//! which the sorting algorithm would be longer and no faster.

/// Tau-b of paired values, from -1 (reversed) to 1 (same order). NaN if either side is constant, if the lists differ in
/// length, or if a value is NaN: none of these has an order.
pub fn tau(first: &[f64], second: &[f64]) -> f64 {
    if first.len() != second.len() || first.iter().chain(second).any(|value| value.is_nan()) {
        return f64::NAN;
    }
    let (mut agreement, mut untied_first, mut untied_second) = (0_i64, 0_i64, 0_i64);
    let sign = |a: f64, b: f64| i64::from(a > b) - i64::from(a < b);
    for i in 0..first.len() {
        for j in 0..i {
            let (a, b) = (sign(first[i], first[j]), sign(second[i], second[j]));
            agreement += a * b;
            untied_first += a.abs();
            untied_second += b.abs();
        }
    }
    agreement as f64 / ((untied_first as f64) * (untied_second as f64)).sqrt()
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these numbers are exact")]
mod tests {
    use super::*;

    #[test]
    fn tau_agrees_with_scipy() {
        // SciPy 1.17.1: kendalltau(a, b).
        let a = [0.91, 0.84, 0.88, 0.79, 0.93, 0.60, 0.88];
        let b = [1.0, 3.0, 2.0, 5.0, 2.0, 7.0, 4.0];
        assert!((tau(&a, &b) - SCIPY).abs() < 1e-15);
        assert!((tau(&b, &a) - SCIPY).abs() < 1e-15);
    }

    #[test]
    fn the_ends_of_the_scale() {
        assert_eq!(tau(&[1.0, 2.0, 3.0], &[10.0, 20.0, 30.0]), 1.0);
        assert_eq!(tau(&[1.0, 2.0, 3.0], &[3.0, 2.0, f64::NEG_INFINITY]), -1.0);
        assert!(tau(&[1.0, 1.0], &[1.0, 2.0]).is_nan());
        assert!(tau(&[1.0, f64::NAN], &[1.0, 2.0]).is_nan());
        assert!(tau(&[1.0], &[1.0, 2.0]).is_nan());
    }

    const SCIPY: f64 = -0.75;
}
