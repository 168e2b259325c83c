//! A list of numbers in a few: mean, standard deviation, quantiles.
//!
//! Guards two conventions that the literature leaves open: the deviation is the sample's (n - 1), quantiles interpolate
//! linearly between order statistics (`NumPy`'s default). Numbers that do not exist (mean of nothing, deviation of one)
//! are NaN; what to do about undefined *values* is the caller's policy, so NaN in the input is NaN in the output.

/// A list of numbers in eight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// How many.
    pub n: usize,
    /// Arithmetic mean.
    pub mean: f64,
    /// Sample standard deviation.
    pub sd: f64,
    /// Smallest.
    pub min: f64,
    /// Lower quartile.
    pub lower: f64,
    /// Median.
    pub median: f64,
    /// Upper quartile.
    pub upper: f64,
    /// Largest.
    pub max: f64,
}

impl Summary {
    /// Summarises `values`, which are in any order.
    pub fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let [min, lower, median, upper, max] = [0.0, 0.25, 0.5, 0.75, 1.0].map(|q| quantile(&sorted, q));
        Self { n: values.len(), mean: mean(values), sd: standard_deviation(values), min, lower, median, upper, max }
    }
}

/// Arithmetic mean; NaN of nothing.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Sample standard deviation, `sqrt(sum (x - mean)² / (n - 1))`; NaN of fewer than two.
pub fn standard_deviation(values: &[f64]) -> f64 {
    // The quotient below is 0/0 for one value, but 0/-1 for none.
    if values.is_empty() {
        return f64::NAN;
    }
    let centre = mean(values);
    // Two passes: the textbook's one-pass formula loses every digit when the mean is large against the deviation.
    let squares: f64 = values.iter().map(|value| (value - centre).powi(2)).sum();
    (squares / (values.len() as f64 - 1.0)).sqrt()
}

/// The `q`-quantile (0 to 1) of numbers in ascending order, linear between neighbours; NaN of nothing.
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = q.clamp(0.0, 1.0) * last as f64;
    let (below, fraction) = (place.floor() as usize, place.fract());
    let (low, high) = (sorted[below], sorted[(below + 1).min(last)]);
    // Not where the place is a number of the list, or its neighbours are equal: infinite ones have no difference.
    if fraction == 0.0 || low.total_cmp(&high).is_eq() { low } else { low + fraction * (high - low) }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these numbers are exact")]
mod tests {
    use super::*;

    #[test]
    fn a_summary_agrees_with_numpy() {
        // NumPy 2.4.6: mean, std(ddof=1), quantile([0, .25, .5, .75, 1]) and quantile(.95).
        let values = [0.91, 0.84, 0.88, 0.79, 0.93, 0.60, 0.87];
        let found = Summary::of(&values);
        let numbers = [found.mean, found.sd, found.min, found.lower, found.median, found.upper, found.max];
        let numpy = [0.831_428_571_428_571_4, 0.111_867_268_288_296_55, 0.60, 0.815, 0.87, 0.895, 0.93];
        for (found, numpy) in numbers.iter().zip(numpy) {
            assert!((found - numpy).abs() < 1e-14, "{found} is not {numpy}");
        }
        let mut sorted = values;
        sorted.sort_unstable_by(f64::total_cmp);
        assert!((quantile(&sorted, 0.95) - 0.924).abs() < 1e-14);
    }

    #[test]
    fn what_does_not_exist_is_nan_and_what_is_infinite_stays_so() {
        assert!(mean(&[]).is_nan() && quantile(&[], 0.5).is_nan());
        assert!(standard_deviation(&[]).is_nan() && standard_deviation(&[1.0]).is_nan());
        assert_eq!(quantile(&[3.0], 0.95), 3.0);
        assert_eq!(quantile(&[f64::INFINITY; 3], 0.3), f64::INFINITY);
        assert_eq!([0.5, 0.75].map(|q| quantile(&[1.0, 2.0, f64::INFINITY], q)), [2.0, f64::INFINITY]);
        // One pass over the squares would lose this deviation altogether.
        assert!((standard_deviation(&[1e9 + 1.0, 1e9 + 2.0, 1e9 + 3.0]) - 1.0).abs() < 1e-12);
    }
}
