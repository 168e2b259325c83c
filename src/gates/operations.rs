//! The operations of the language on intervals: what comes out, and how it moves with either operand.
//!
//! Guards that there is a row for every operation of the table of words and that each encloses the kernel of its word:
//! tests draw operands and ask the kernel. Where an operation is monotone its corners are exact; elsewhere bounds are as
//! sharp as one line allows, because the corners of the language are looked at one by one anyway (see
//! [`envelope`](super::envelope)).

use super::interval::Interval;
use crate::formula::kernel::POWER_FLOOR;
use crate::formula::words::TINY;

/// The value of an operation from its operands, and its derivatives by the first and the second.
pub(super) struct Operation {
    name: &'static str,
    pub(super) value: fn(Interval, Interval) -> Interval,
    pub(super) slopes: fn(Interval, Interval) -> (Interval, Interval),
}

/// Least absolute value of which a logarithm is taken.
const LOG_FLOOR: f64 = 1e-7;

const ONE: Interval = Interval::point(1.0);

#[rustfmt::skip]
static OPERATIONS: [Operation; 11] = [
    Operation { name: "+",     value: |a, b| a + b,                                  slopes: |_, _| (ONE, ONE) },
    Operation { name: "-",     value: |a, b| a - b,                                  slopes: |_, _| (ONE, -ONE) },
    Operation { name: "*",     value: |a, b| a * b,                                  slopes: |a, b| (b, a) },
    Operation { name: "/",     value: |a, b| a * inverse(b.at_least(TINY)),          slopes: quotient_slopes },
    Operation { name: "max",   value: |a, b| Interval::new(a.low.max(b.low), a.high.max(b.high)), slopes: maximum_slopes },
    Operation { name: "^",     value: power,                                         slopes: |a, b| (power_slope(a, b), Interval::ZERO) },
    Operation { name: "abs",   value: |a, _| absolute(a),                            slopes: |a, _| (sign(a), Interval::ZERO) },
    Operation { name: "log",   value: |a, _| absolute(a).at_least(LOG_FLOOR).rising(f64::ln), slopes: |a, _| (log_slope(a), Interval::ZERO) },
    Operation { name: "log1p", value: |a, _| a.at_least(0.0).rising(f64::ln_1p),     slopes: |a, _| (if_positive(a, a.at_least(0.0).falling(|a| 1.0 / (1.0 + a))), Interval::ZERO) },
    Operation { name: "ratio", value: ratio,                                         slopes: ratio_slopes },
    Operation { name: "neg_log_ratio", value: neg_log_ratio,                         slopes: neg_log_ratio_slopes },
];

/// The row of a word.
pub(super) fn operation(name: &str) -> Option<&'static Operation> {
    OPERATIONS.iter().find(|operation| operation.name == name)
}

fn absolute(x: Interval) -> Interval {
    Interval::new(x.low.max(-x.high).max(0.0), x.size())
}

/// The slope of the absolute value.
fn sign(x: Interval) -> Interval {
    Interval::new(
        if x.low > 0.0 {
            1.0
        } else if x.low < 0.0 {
            -1.0
        } else {
            0.0
        },
        if x.high > 0.0 {
            1.0
        } else if x.high < 0.0 {
            -1.0
        } else {
            0.0
        },
    )
}

/// 1 / x, and 0 between the floors of the logarithm.
fn log_slope(x: Interval) -> Interval {
    let above = (x.high > LOG_FLOOR).then(|| inverse(x.at_least(LOG_FLOOR)));
    let below = (x.low < -LOG_FLOOR).then(|| -inverse((-x).at_least(LOG_FLOOR)));
    let between = (x.low <= LOG_FLOOR && x.high >= -LOG_FLOOR).then_some(Interval::ZERO);
    above.into_iter().chain(below).chain(between).reduce(Interval::hull).unwrap_or(Interval::ZERO)
}

/// 1 / x for positive x.
fn inverse(x: Interval) -> Interval {
    x.falling(f64::recip)
}

fn squared(x: Interval) -> Interval {
    x.rising(|x| x * x)
}

/// Where an operand may also be 0 or below, the slope may also be 0.
fn if_positive(operand: Interval, slope: Interval) -> Interval {
    match (operand.high > 0.0, operand.low > 0.0) {
        (true, true) => slope,
        (true, false) => slope.hull(Interval::ZERO),
        (false, _) => Interval::ZERO,
    }
}

/// Slopes above a bound of `x`, joined with others that hold at the bound and below it.
fn bounded(x: Interval, above: impl Fn(Interval) -> Interval, below: Interval) -> Interval {
    match (x.high > TINY, x.low > TINY) {
        (true, true) => above(x),
        (true, false) => above(x.at_least(TINY)).hull(below),
        (false, _) => below,
    }
}

fn quotient_slopes(a: Interval, b: Interval) -> (Interval, Interval) {
    (inverse(b.at_least(TINY)), bounded(b, |b| -a * inverse(squared(b)), Interval::ZERO))
}

fn maximum_slopes(a: Interval, b: Interval) -> (Interval, Interval) {
    if a.low >= b.high {
        (ONE, Interval::ZERO)
    } else if a.high < b.low {
        (Interval::ZERO, ONE)
    } else {
        (Interval::UNIT, Interval::UNIT)
    }
}

/// The exponents from 1 on and those below 1, with the floor that the base has there.
fn floors(exponent: Interval) -> impl Iterator<Item = (Interval, f64)> {
    let large = (exponent.high >= 1.0).then(|| (Interval::new(exponent.low.max(1.0), exponent.high), 0.0));
    let small = (exponent.low < 1.0).then(|| (Interval::new(exponent.low, exponent.high.min(1.0)), POWER_FLOOR));
    large.into_iter().chain(small)
}

/// A power is monotone in the base and in the exponent, so that its extremes are at the corners.
fn corners(base: Interval, exponent: Interval) -> Interval {
    let at = |base: f64, exponent: f64| if exponent == 0.0 { 1.0 } else { base.powf(exponent) };
    let all =
        [(base.low, exponent.low), (base.low, exponent.high), (base.high, exponent.low), (base.high, exponent.high)];
    Interval::of(all.map(|(base, exponent)| at(base, exponent))).widened()
}

fn power(base: Interval, exponent: Interval) -> Interval {
    let parts = floors(exponent).map(|(exponent, floor)| corners(base.at_least(floor), exponent));
    parts.reduce(Interval::hull).unwrap_or(Interval::new(f64::NAN, f64::NAN))
}

fn power_slope(base: Interval, exponent: Interval) -> Interval {
    let parts = floors(exponent).map(|(exponent, floor)| {
        if base.high <= floor {
            return Interval::ZERO;
        }
        let slope = exponent * corners(base.at_least(floor), exponent - ONE);
        if base.low > floor { slope } else { slope.hull(Interval::ZERO) }
    });
    parts.reduce(Interval::hull).unwrap_or(Interval::new(f64::NAN, f64::NAN))
}

fn is_positive(a: Interval, e: Interval) -> bool {
    a.low >= 0.0 && e.low >= 0.0 && a.low + e.low > TINY
}

/// e / (a + e).
fn ratio(a: Interval, e: Interval) -> Interval {
    let at = |a: f64, e: f64| e / (a + e).max(TINY);
    if a.low >= 0.0 && e.low >= 0.0 {
        // Where both are without bound, nothing but the share is known.
        let of = |value: f64, otherwise: f64| if value.is_nan() { otherwise } else { value };
        Interval::new(of(at(a.high, e.low), 0.0), of(at(a.low, e.high), 1.0)).widened()
    } else {
        e * inverse((a + e).at_least(TINY))
    }
}

fn ratio_slopes(a: Interval, e: Interval) -> (Interval, Interval) {
    if is_positive(a, e) {
        return (-share_of_square(e, a), share_of_square(a, e));
    }
    if a.low >= 0.0 && e.low >= 0.0 {
        // Either is at most the whole, which is at least tiny.
        let steepest = 1.0 / TINY + 1.0;
        return (Interval::new(-steepest, 0.0), Interval::new(0.0, steepest));
    }
    let whole = a + e;
    let square = |x: Interval| inverse(squared(x));
    let by_overlap = bounded(whole, |x| -e * square(x), Interval::ZERO);
    (by_overlap, bounded(whole, |x| a * square(x), Interval::point(1.0 / TINY)))
}

/// x / (x + y)² for x, y >= 0, not both 0: falls with y; rises with x up to x = y and falls from there.
fn share_of_square(x: Interval, y: Interval) -> Interval {
    let at = |x: f64, y: f64| {
        let share = x / (x + y);
        // Without bound, the square is what it tends to.
        if share.is_nan() || (x + y).is_infinite() { 0.0 } else { share / (x + y) }
    };
    let peak = y.low.clamp(x.low, x.high);
    let highest = [x.low, x.high, peak].map(|x| at(x, y.low)).into_iter().fold(0.0, f64::max);
    Interval::new(at(x.low, y.high).min(at(x.high, y.high)), highest).widened()
}

/// log((a + e + tiny) / (a + tiny)).
fn neg_log_ratio(a: Interval, e: Interval) -> Interval {
    let (a, e) = (a.at_least(0.0), e.at_least(0.0));
    let at = |a: f64, e: f64| ((a + e + TINY) / (a + TINY)).ln();
    let of = |value: f64, otherwise: f64| if value.is_nan() { otherwise } else { value };
    // The logarithm of a quotient near 1 has the rounding error of 1.
    Interval::new(of(at(a.high, e.low), 0.0) - 1e-15, of(at(a.low, e.high), f64::INFINITY) + 1e-15).widened()
}

fn neg_log_ratio_slopes(a: Interval, e: Interval) -> (Interval, Interval) {
    let (overlap, mistakes) = (a.at_least(0.0), e.at_least(0.0));
    let at = |a: f64, e: f64| e / ((a + e + TINY) * (a + TINY));
    let of = |value: f64, otherwise: f64| if value.is_nan() { otherwise } else { value };
    let steepest = of(at(overlap.low, mistakes.high), 1.0 / (overlap.low + TINY));
    let by_overlap = -Interval::new(of(at(overlap.high, mistakes.low), 0.0), steepest).widened();
    // The kernel subtracts two inverses, which cancel down to their rounding error.
    let rounding = 1e-15 / (overlap.low + TINY);
    let by_overlap = Interval::new(by_overlap.low - rounding, by_overlap.high + rounding);
    let by_mistakes = inverse(overlap + mistakes + Interval::point(TINY));
    (if_positive(a, by_overlap), if_positive(e, by_mistakes))
}

#[cfg(test)]
mod tests {
    use rand::{Rng, RngExt};

    use super::*;
    use crate::formula::word::Op;
    use crate::formula::words::WORDS;
    use crate::rng::{Purpose, stream};

    /// A number of any size, some of them 0 or negative; for exponents small ones.
    fn number(rng: &mut impl Rng, exponent: bool) -> f64 {
        if exponent {
            return f64::from(rng.random_range(0..17)) / 4.0;
        }
        match rng.random_range(0..10) {
            0 => 0.0,
            1 => -rng.random::<f64>(),
            _ => 10f64.powf(rng.random_range(-14.0..6.0)),
        }
    }

    #[test]
    fn every_operation_of_the_language_is_enclosed() {
        let mut rng = stream(2, Purpose::Probe, 0, 0);
        let kernels = WORDS.iter().filter_map(|word| match &word.op {
            Op::Pointwise(kernel) => Some((word.name, kernel)),
            _ => None,
        });
        for (name, kernel) in kernels {
            let row = operation(name).unwrap_or_else(|| panic!("`{name}` has no row"));
            for _ in 0..20_000 {
                let is_power = name == "^";
                let mut pair = |exponent: bool| {
                    let (one, other) = (number(&mut rng, exponent), number(&mut rng, exponent));
                    let thin = rng.random::<f64>() < 0.3;
                    let interval = if thin { Interval::point(one) } else { Interval::of([one, other]) };
                    let inside =
                        if thin || rng.random::<f64>() < 0.3 { one } else { one + rng.random::<f64>() * (other - one) };
                    (interval, inside)
                };
                let ((x, a), (y, b)) = (pair(false), pair(is_power));
                let (mut value, [mut by_a, mut by_b]) = ([0.0], [[0.0]; 2]);
                (kernel.double.value)(&[a], &[b], &mut value);
                (kernel.double.push)([&[a], &[b]], &[1.0], [&mut by_a, &mut by_b]);
                assert!((row.value)(x, y).holds(value[0]), "{name} {a:e} {b:e}: {value:?} in {:?}", (row.value)(x, y));
                let (left, right) = (row.slopes)(x, y);
                assert!(left.holds(by_a[0]), "{name} {a:e} {b:e} in {x:?} {y:?}: {by_a:?} in {left:?}");
                assert!(right.holds(by_b[0]), "{name} {a:e} {b:e} in {x:?} {y:?}: {by_b:?} in {right:?}");
            }
        }
    }

    #[test]
    fn a_dice_of_anything_lies_between_0_and_1() {
        let any = Interval::new(0.0, f64::INFINITY);
        let value = ratio(any, any);
        assert!(value.low == 0.0 && (1.0..1.0 + 1e-9).contains(&value.high), "{value:?}");
    }
}
