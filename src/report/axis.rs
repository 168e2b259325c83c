//! A scale with round ticks: multiples of 1, 2 or 5 times a power of ten, or on a logarithmic axis these numbers
//! themselves.

/// From values to positions, with ticks.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// The ends: values, or their decimal logarithms on a logarithmic axis.
    low: f64,
    high: f64,
    /// Ticks are whole multiples of it; on a logarithmic axis 0.
    step: f64,
    /// Numbers are shown divided by ten to this power, a multiple of 3.
    pub exponent: i32,
}

/// Decimal logarithms of 1, 2 and 5.
const STOPS: [f64; 3] = [0.0, std::f64::consts::LOG10_2, 1.0 - std::f64::consts::LOG10_2];

/// What is larger or smaller than any unit could make it: an axis of such numbers would lose its digits. Values beyond the
/// ends of an axis are the drawing's to place.
const LARGEST: f64 = 1e150;
const SMALLEST: f64 = 1e-150;

/// Most ticks of a logarithmic axis.
const MOST: usize = 8;

impl Axis {
    /// Holds all finite values and 0, which loses no difference that can be seen and makes lengths comparable; ends at
    /// ticks.
    pub fn from_zero(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = values.filter(|v| has_place(*v)).fold((0f64, 0f64), |(l, h), v| (l.min(v), h.max(v)));
        let high = if high - low < SMALLEST { 1.0 } else { high };
        Self::rounded(low, high)
    }

    /// Holds all finite values, and 0 only if it is near: for values whose differences are looked at and not their
    /// sizes. Ends at ticks.
    pub fn around(values: impl Iterator<Item = f64>) -> Self {
        match ends(values.filter(|v| has_place(*v))) {
            None => Self::rounded(0.0, 1.0),
            Some((low, high)) => {
                // Values that are all equal, or equal up to rounding, stand in the middle of something.
                let room = if high - low > 1e-9 * low.abs().max(high.abs()) { 0.0 } else { 0.1 * low.abs().max(1e-3) };
                Self::rounded(low - room, high + room)
            }
        }
    }

    /// Holds all values above 0 that are finite, at equal distances for equal ratios. Ends at 1, 2 or 5 times a power of
    /// ten.
    pub fn logarithmic(values: impl Iterator<Item = f64>) -> Self {
        let logarithms = values.filter(|v| has_place(*v) && *v > SMALLEST).map(f64::log10);
        let (low, high) = ends(logarithms).unwrap_or((-1.0, 0.0));
        let below = stops(low).into_iter().rfind(|stop| *stop <= low + 1e-9).unwrap_or(low);
        let above = stops(high).into_iter().find(|stop| *stop >= high - 1e-9 && *stop > below).unwrap_or(below + 1.0);
        Self { low: below, high: above, step: 0.0, exponent: 0 }
    }

    /// From a tick at or below `low` to one at or above `high`.
    fn rounded(low: f64, high: f64) -> Self {
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

    /// Whether equal distances are equal ratios.
    pub fn is_logarithmic(&self) -> bool {
        self.step == 0.0
    }

    /// Where a value stands: 0 at the low end, 1 at the high end.
    pub fn position(&self, value: f64) -> f64 {
        let value = if self.is_logarithmic() { value.log10() } else { value };
        (value - self.low) / (self.high - self.low)
    }

    /// Positions of the ticks, and what is written there.
    pub fn ticks(&self) -> Vec<(f64, String)> {
        if self.is_logarithmic() {
            return self.logarithmic_ticks();
        }
        let first = (self.low / self.step - 1e-9).ceil() as i64;
        let last = (self.high / self.step + 1e-9).floor() as i64;
        let unit = self.step / ten_to(self.exponent);
        let decimals = (-(unit.log10() + 1e-9).floor()).max(0.0) as usize;
        let label = |k: i64| format!("{:.*}", decimals, k as f64 * unit).replace('-', "\u{2212}");
        (first..=last).map(|k| (self.position(k as f64 * self.step), label(k))).collect()
    }

    /// All stops between the ends, or only the decades, or only every second, third ... of these, whatever fits.
    fn logarithmic_ticks(&self) -> Vec<(f64, String)> {
        let decades = self.low.floor() as i32..=self.high.ceil() as i32;
        let within = |stop: &f64| (self.low - 1e-9..=self.high + 1e-9).contains(stop);
        let all: Vec<f64> =
            decades.clone().flat_map(|k| STOPS.map(|stop| f64::from(k) + stop)).filter(within).collect();
        let stops = if all.len() <= MOST {
            all
        } else {
            let stride = decades.clone().count().div_ceil(MOST).max(1);
            decades.map(f64::from).filter(within).step_by(stride).collect()
        };
        stops.into_iter().map(|stop| ((stop - self.low) / (self.high - self.low), power_of_ten(stop))).collect()
    }

    /// The factor of the numbers: empty, or ` × 10⁻⁶`.
    pub fn factor(&self) -> String {
        match self.exponent {
            0 => String::new(),
            exponent => format!(" × 10{}", superscript(exponent)),
        }
    }
}

fn has_place(value: f64) -> bool {
    value.abs() <= LARGEST
}

/// The smallest and the largest; nothing of nothing.
fn ends(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |ends, v| ends.map_or(Some((v, v)), |(low, high): (f64, f64)| Some((low.min(v), high.max(v)))))
}

/// Stops of a logarithmic axis around a logarithm, ascending.
fn stops(logarithm: f64) -> Vec<f64> {
    let decade = logarithm.floor();
    (-1..=1).flat_map(|k| STOPS.map(|stop| decade + f64::from(k) + stop)).collect()
}

/// A stop as people write it.
fn power_of_ten(stop: f64) -> String {
    let decade = (stop + 1e-9).floor();
    let digit = 10f64.powf(stop - decade).round();
    let power = decade as i32;
    match power {
        -4..=-1 => format!("{:.*}", power.unsigned_abs() as usize, digit * ten_to(power)),
        0..=4 => format!("{}", digit * ten_to(power)),
        _ if digit == 1.0 => format!("10{}", superscript(power)),
        _ => format!("{digit}·10{}", superscript(power)),
    }
}

fn superscript(number: i32) -> String {
    let digit = |c: char| match c {
        '-' => '⁻',
        c => ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'][c.to_digit(10).unwrap_or(0) as usize],
    };
    number.to_string().chars().map(digit).collect()
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

    #[test]
    fn an_axis_around_values_holds_them_and_need_not_hold_zero() {
        assert_eq!(labels(&Axis::around([0.813, 0.871].into_iter())), ["0.80", "0.82", "0.84", "0.86", "0.88"]);
        for value in [0.0, 0.5, -3.0, 1e-7, 2e5] {
            let axis = Axis::around([value, value].into_iter());
            assert!((0.1..0.9).contains(&axis.position(value)), "{value}: {axis:?}");
        }
        assert_eq!(labels(&Axis::around([f64::NAN].into_iter())).len(), 6);
    }

    #[test]
    fn a_logarithmic_axis_has_the_ticks_that_fit() {
        assert_eq!(labels(&Axis::logarithmic([0.03, 0.9].into_iter())), ["0.02", "0.05", "0.1", "0.2", "0.5", "1"]);
        let wide = Axis::logarithmic([2e-7, 1.0].into_iter());
        assert_eq!(labels(&wide), ["10⁻⁶", "10⁻⁵", "0.0001", "0.001", "0.01", "0.1", "1"]);
        assert!((wide.position(1.0) - 1.0).abs() < 1e-12 && wide.position(2e-7).abs() < 1e-9);
        let equal = Axis::logarithmic([5.0].into_iter());
        assert!((0.0..=1.0).contains(&equal.position(5.0)) && labels(&equal) == ["5", "10"], "{equal:?}");
        assert!(labels(&Axis::logarithmic([1e-140, 1e140].into_iter())).len() <= MOST + 1);
        assert!(labels(&Axis::logarithmic([0.0, -1.0].into_iter())).len() > 1);
    }
}
