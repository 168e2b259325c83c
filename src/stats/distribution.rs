//! The normal distribution and Student's t: tails and quantiles.
//!
//! Guards what every p-value and interval here rests on: tails are computed as tails, never as one minus the rest, so
//! that small p-values keep their digits. The few functions needed are three short, well-known expansions; a library of
//! all distributions would be a large dependency for four functions.

/// Probability that a standard normal variable exceeds `x`.
///
/// Below 3 the series of Marsaglia (2004), "Evaluating the normal distribution", beyond it Laplace's continued fraction.
pub fn normal_tail(x: f64) -> f64 {
    if x.is_nan() {
        return f64::NAN;
    }
    if x < -3.0 {
        return 1.0 - normal_tail(-x);
    }
    let density = (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    if x > 3.0 {
        return density / (1..100).rev().fold(x, |below, n| x + f64::from(n) / below);
    }
    let (mut term, mut sum, mut n) = (x, x, 1.0);
    while term.abs() > 1e-18 {
        n += 2.0;
        term *= x * x / n;
        sum += term;
    }
    0.5 - density * sum
}

/// The number that a standard normal variable stays below with probability `p` (0 to 1).
pub fn normal_quantile(p: f64) -> f64 {
    // Through the smaller tail, which has the digits.
    if p < 0.5 { -falling_root(normal_tail, p) } else { falling_root(normal_tail, 1.0 - p) }
}

/// Probability that Student's t with `freedom` > 0 degrees of freedom is further from zero than `t`, on either side.
///
/// `I_x(freedom / 2, 1 / 2)` at `x = freedom / (freedom + t²)`, the regularised incomplete beta function.
pub fn student_two_sided(t: f64, freedom: f64) -> f64 {
    if t.is_infinite() {
        return 0.0;
    }
    let square = t * t;
    incomplete_beta(freedom / (freedom + square), square / (freedom + square), freedom / 2.0, 0.5)
}

/// The number that Student's t with `freedom` > 0 degrees of freedom stays below with probability `p` (0 to 1).
pub fn student_quantile(p: f64, freedom: f64) -> f64 {
    let tail = |t: f64| student_two_sided(t, freedom) / 2.0;
    if p < 0.5 { -falling_root(tail, p) } else { falling_root(tail, 1.0 - p) }
}

/// Where a tail that falls from 1/2 at zero has the height `p`, by bisection down to neighbouring numbers.
///
/// Newton would need fewer steps and a derivative, a start and a proof; this is called a handful of times per report.
fn falling_root(tail: impl Fn(f64) -> f64, p: f64) -> f64 {
    if p.is_nan() || p < 0.0 {
        return f64::NAN;
    }
    if p == 0.0 {
        return f64::INFINITY;
    }
    let (mut low, mut high) = (0.0, 1.0);
    while tail(high) > p && high < f64::MAX / 2.0 {
        (low, high) = (high, 2.0 * high);
    }
    loop {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            return middle;
        }
        if tail(middle) > p { low = middle } else { high = middle }
    }
}

/// The regularised incomplete beta function `I_x(a, b)`, `y` being `1 - x` with all its digits.
fn incomplete_beta(x: f64, y: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || y <= 0.0 {
        return if x <= 0.0 { 0.0 } else { 1.0 };
    }
    // The fraction converges fast on this side of the mean; the other side is its mirror image.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(y, x, b, a);
    }
    let front = (a * x.ln() + b * y.ln() + ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b)).exp() / a;
    // Lentz's evaluation of the continued fraction (Numerical Recipes, 6.4).
    let guard = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    let (mut c, mut d) = (1.0, 1.0 / guard(1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = d;
    for m in 1..10_000 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut change = 1.0;
        for step in [even, odd] {
            d = 1.0 / guard(1.0 + step * d);
            c = guard(1.0 + step / c);
            change = c * d;
            fraction *= change;
        }
        if (change - 1.0).abs() < 1e-16 {
            break;
        }
    }
    front * fraction
}

/// Logarithm of the gamma function for `x` > 0, by Lanczos's approximation (g = 7, nine terms, error near 1e-15).
fn ln_gamma(x: f64) -> f64 {
    const TERMS: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    let x = x - 1.0;
    let series =
        TERMS.iter().enumerate().map(|(i, term)| term / (x + i as f64 + 1.0)).sum::<f64>() + 0.999_999_999_999_809_9;
    let t = x + 7.5;
    (2.0 * std::f64::consts::PI).ln() / 2.0 + (x + 0.5) * t.ln() - t + series.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() <= 1e-11 * expected.abs(), "{found} is not {expected}");
    }

    #[test]
    fn tails_agree_with_scipy() {
        for (x, expected) in NORMAL_TAIL {
            close(normal_tail(x), expected);
        }
        for (t, freedom, expected) in STUDENT {
            close(student_two_sided(t, freedom), expected);
            close(student_two_sided(-t, freedom), expected);
        }
    }

    #[test]
    fn quantiles_agree_with_scipy() {
        close(normal_quantile(0.975), 1.959_963_984_540_054);
        close(normal_quantile(1e-10), -6.361_340_902_404_056);
        for (p, freedom, expected) in STUDENT_QUANTILE {
            close(student_quantile(p, freedom), expected);
            close(student_quantile(1.0 - p, freedom), -expected);
        }
        assert!(normal_quantile(0.5).abs() < 1e-15);
        assert_eq!((normal_quantile(0.0), normal_quantile(1.0)), (f64::NEG_INFINITY, f64::INFINITY));
        assert!(normal_quantile(1.5).is_nan());
    }

    // SciPy 1.17.1: norm.sf(x); 2 * t.sf(t, freedom); t.ppf(p, freedom).
    const NORMAL_TAIL: [(f64, f64); 9] = [
        (-4.0, 0.999_968_328_758_166_9),
        (-1.0, 0.841_344_746_068_542_9),
        (0.0, 0.5),
        (0.3, 0.382_088_577_811_047_4),
        (1.959_963_984_540_054, 0.025),
        (2.999, 0.001_354_336_533_727_105_7),
        (3.001, 0.001_345_472_825_084_965_3),
        (8.0, 6.220_960_574_271_74e-16),
        (20.0, 2.753_624_118_606_155_6e-89),
    ];
    const STUDENT: [(f64, f64, f64); 8] = [
        (0.5, 1.0, 0.704_832_764_699_133_5),
        (2.2, 3.0, 0.115_171_951_976_470_68),
        (2.2, 11.0, 0.050_086_110_981_804_28),
        (0.01, 50.0, 0.992_061_081_367_143),
        (6.5, 11.0, 4.427_706_135_851_855e-05),
        (30.0, 4.0, 7.352_856_097_661_319e-06),
        (2.0, 1000.0, 0.045_770_346_493_251_66),
        (1e-06, 2.5, 0.999_999_276_382_551_9),
    ];
    const STUDENT_QUANTILE: [(f64, f64, f64); 6] = [
        (0.975, 1.0, 12.706_204_736_174_694),
        (0.975, 4.0, 2.776_445_105_197_793_4),
        (0.975, 11.0, 2.200_985_160_091_639),
        (0.8, 11.0, 0.875_529_978_073_881_9),
        (0.995, 50.0, 2.677_793_270_940_844),
        (0.6, 2.0, 0.288_675_134_594_812_8),
    ];
}
