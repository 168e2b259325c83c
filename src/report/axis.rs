//! A scale with round ticks: multiples of 1, 2 or 5 times a power of ten.

/// From values to positions, with ticks.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    low: f64,
    high: f64,
    /// Ticks are whole multiples of it.
    step: f64,
    /// Numbers are shown divided by ten to this power, a multiple of 3.
    pub exponent: i32,
}

impl Axis {
    /// Holds all finite values and 0, which loses no difference that can be seen and makes lengths comparable; ends at
    /// ticks.
    pub fn from_zero(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = values.filter(|v| v.is_finite()).fold((0f64, 0f64), |(l, h), v| (l.min(v), h.max(v)));
        let high = if low == high { 1.0 } else { high };
        let mut axis = Self::exact(low, high, 5);
        axis.low = (low / axis.step + 1e-9).floor() * axis.step;
        axis.high = (high / axis.step - 1e-9).ceil() * axis.step;
        axis
    }

    /// From `low` to `high`, which is larger, with about `ticks` ticks.
    pub fn exact(low: f64, high: f64, ticks: u32) -> Self {
        let rough = (high - low) / f64::from(ticks);
        let power = rough.log10().floor() as i32;
        let step = [1.0, 2.0, 5.0, 10.0]
            .map(|digit| digit * ten_to(power))
            .into_iter()
            .find(|step| *step >= 0.999 * rough)
            .unwrap_or(10.0 * ten_to(power));
        let size = low.abs().max(high.abs());
        let exponent = if (1e-2..1e4).contains(&size) { 0 } else { (size.log10() / 3.0).floor() as i32 * 3 };
        Self { low, high, step, exponent }
    }

    /// Where a value stands: 0 at the low end, 1 at the high end.
    pub fn position(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    /// Positions of the ticks, and what is written there.
    pub fn ticks(&self) -> Vec<(f64, String)> {
        let first = (self.low / self.step - 1e-9).ceil() as i64;
        let last = (self.high / self.step + 1e-9).floor() as i64;
        let unit = self.step / ten_to(self.exponent);
        let decimals = (-(unit.log10() + 1e-9).floor()).max(0.0) as usize;
        let label = |k: i64| format!("{:.*}", decimals, k as f64 * unit).replace('-', "\u{2212}");
        (first..=last).map(|k| (self.position(k as f64 * self.step), label(k))).collect()
    }

    /// The factor of the numbers: empty, or ` × 10⁻⁶`.
    pub fn factor(&self) -> String {
        let digit = |c: char| match c {
            '-' => '⁻',
            c => ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'][c.to_digit(10).unwrap_or(0) as usize],
        };
        match self.exponent {
            0 => String::new(),
            exponent => format!(" × 10{}", exponent.to_string().chars().map(digit).collect::<String>()),
        }
    }
}

/// Exact for small powers, where `powf` is not on every machine.
fn ten_to(power: i32) -> f64 {
    let size = 10f64.powi(power.abs());
    if power < 0 { 1.0 / size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks().into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round_and_enclose_the_values() {
        let axis = Axis::from_zero([0.13, 0.87].into_iter());
        assert_eq!(labels(&axis), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert!((axis.position(0.5) - 0.5).abs() < 1e-12);
        assert_eq!(labels(&Axis::from_zero([-3.0, 7.0].into_iter())), ["−4", "−2", "0", "2", "4", "6", "8"]);
    }

    #[test]
    fn small_and_large_numbers_have_a_factor() {
        let small = Axis::from_zero([3.1e-5].into_iter());
        assert_eq!((labels(&small)[1].as_str(), small.factor().as_str()), ("10", " × 10⁻⁶"));
        assert_eq!(Axis::from_zero([2.5e5].into_iter()).factor(), " × 10³");
        assert_eq!(Axis::from_zero([250.0].into_iter()).factor(), "");
    }

    #[test]
    fn an_axis_of_nothing_is_still_one() {
        for values in [vec![], vec![0.0], vec![f64::NAN, f64::INFINITY]] {
            assert_eq!(labels(&Axis::from_zero(values.into_iter())).len(), 6);
        }
    }

    #[test]
    fn exact_ends_stay() {
        let axis = Axis::exact(-6.0, 6.0, 7);
        assert_eq!(labels(&axis), ["−6", "−4", "−2", "0", "2", "4", "6"]);
        assert_eq!(labels(&Axis::exact(2.0, 13.0, 7)), ["2", "4", "6", "8", "10", "12"]);
    }
}
