//! Interval arithmetic: between which bounds a value lies, whatever the values it is made of.
//!
//! Guards soundness, not sharpness: every operation encloses all results for operands in their intervals, rounding
//! included. Bounds are widened by a relative 1e-12 after every operation instead of being rounded outwards, which is a
//! thousand times the error of an operation and needs no rounding mode. Infinite bounds mean that nothing is known; no
//! bound is ever NaN.

use std::ops::{Add, Mul, Neg, Sub};

/// Relative widening after every operation: enough for sums of some hundred values, too.
const SLACK: f64 = 1e-12;

/// All numbers from `low` to `high`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Interval {
    /// The least.
    pub(super) low: f64,
    /// The greatest.
    pub(super) high: f64,
}

impl Interval {
    /// Nothing but 0.
    pub(super) const ZERO: Self = Self { low: 0.0, high: 0.0 };
    /// From 0 to 1.
    pub(super) const UNIT: Self = Self { low: 0.0, high: 1.0 };

    /// From one number to another. NaN, which comes of infinite operands, means that nothing is known.
    pub(super) const fn new(low: f64, high: f64) -> Self {
        Self {
            low: if low.is_nan() { f64::NEG_INFINITY } else { low },
            high: if high.is_nan() { f64::INFINITY } else { high },
        }
    }

    /// One number.
    pub(super) const fn point(value: f64) -> Self {
        Self::new(value, value)
    }

    /// The least interval that holds all of these numbers.
    pub(super) fn of<const N: usize>(values: [f64; N]) -> Self {
        if values.iter().any(|value| value.is_nan()) {
            return Self::new(f64::NAN, f64::NAN);
        }
        Self {
            low: values.iter().copied().fold(f64::INFINITY, f64::min),
            high: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        }
    }

    /// The least interval that holds both.
    #[must_use]
    pub(super) fn hull(self, other: Self) -> Self {
        Self { low: self.low.min(other.low), high: self.high.max(other.high) }
    }

    /// Whether a number lies in it: what all tests of intervals ask.
    #[cfg(test)]
    pub(super) fn holds(self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// The largest absolute value.
    pub(super) fn size(self) -> f64 {
        self.low.abs().max(self.high.abs())
    }

    /// Whether every number in it is larger than `most` in absolute value.
    pub(super) fn is_beyond(self, most: f64) -> bool {
        self.low > most || self.high < -most
    }

    /// Its image under a function that never falls.
    #[must_use]
    pub(super) fn rising(self, f: impl Fn(f64) -> f64) -> Self {
        Self::new(f(self.low), f(self.high)).widened()
    }

    /// Its image under a function that never rises.
    #[must_use]
    pub(super) fn falling(self, f: impl Fn(f64) -> f64) -> Self {
        Self::new(f(self.high), f(self.low)).widened()
    }

    /// The numbers of it that are at least `least`, and `least` for the others.
    #[must_use]
    pub(super) fn at_least(self, least: f64) -> Self {
        Self { low: self.low.max(least), high: self.high.max(least) }
    }

    /// Room for rounding. Exact zeros stay, because a side of the target that a word is silent about stays silent.
    #[must_use]
    pub(super) fn widened(self) -> Self {
        Self::new(self.low - SLACK * self.low.abs(), self.high + SLACK * self.high.abs())
    }
}

impl Add for Interval {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self::new(self.low + other.low, self.high + other.high).widened()
    }
}

impl Neg for Interval {
    type Output = Self;

    fn neg(self) -> Self {
        Self { low: -self.high, high: -self.low }
    }
}

impl Sub for Interval {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Mul for Interval {
    type Output = Self;

    /// Nothing times anything is nothing, even if the other is without bound: a bound is never reached.
    fn mul(self, other: Self) -> Self {
        let times = |a: f64, b: f64| if a == 0.0 || b == 0.0 { 0.0 } else { a * b };
        let (a, b) = (self, other);
        Self::of([times(a.low, b.low), times(a.low, b.high), times(a.high, b.low), times(a.high, b.high)]).widened()
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::rng::{Purpose, stream};

    #[test]
    fn results_lie_in_the_interval_of_the_results() {
        let mut rng = stream(1, Purpose::Probe, 0, 0);
        for _ in 0..20_000 {
            let mut draw = || {
                let [a, b] = [(); 2].map(|()| (rng.random::<f64>() - 0.5) * 10f64.powi(rng.random_range(-9..9)));
                (Interval::of([a, b]), a + rng.random::<f64>() * (b - a))
            };
            let ((x, a), (y, b)) = (draw(), draw());
            assert!((x + y).holds(a + b) && (x - y).holds(a - b) && (x * y).holds(a * b) && (-x).holds(-a));
            assert!(x.hull(y).holds(a) && x.at_least(0.1).holds(a.max(0.1)) && x.rising(f64::exp).holds(a.exp()));
            assert!(x.falling(|x| -x).holds(-a) && x.size() >= a.abs());
        }
    }

    #[test]
    fn what_is_not_known_is_without_bound_and_never_nan() {
        let unknown = Interval::new(f64::NEG_INFINITY, f64::INFINITY);
        assert_eq!(unknown - unknown, unknown);
        assert_eq!(unknown * Interval::ZERO, Interval::ZERO);
        assert_eq!(Interval::point(f64::INFINITY) + Interval::point(f64::NEG_INFINITY), unknown);
        assert!(Interval::new(1e39, f64::INFINITY).is_beyond(1e38) && !unknown.is_beyond(1e38));
    }
}
