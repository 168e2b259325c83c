//! The arithmetic behind the words: value and slope over a block of voxels.
//!
//! Kernels work on slices because an indirect call per voxel would cost more than the arithmetic; the macros below write
//! the loop once, so that a row of the table shows only the formula and its derivative.

/// A function and its derivative.
pub struct Kernel<V, S = V> {
    /// Writes the values.
    pub value: V,
    /// Writes the derivatives.
    pub slope: S,
}

/// Of a block of voxels.
pub type LeafKernel = Kernel<fn(&Block<'_>, &mut [f64])>;

/// Of two operands, element by element; the slope has one output for each operand.
pub type BinaryKernel = Kernel<fn(&[f64], &[f64], &mut [f64]), fn(&[f64], &[f64], &mut [f64], &mut [f64])>;

/// What is known of a block of voxels; all slices have the same length.
pub struct Block<'a> {
    /// Probability of the foreground.
    pub p: &'a [f64],
    /// Probability of the background, not rounded through 1 - p.
    pub q: &'a [f64],
    /// Target.
    pub y: &'a [f64],
    /// -log p.
    pub neg_log_p: &'a [f64],
    /// -log(1 - p).
    pub neg_log_q: &'a [f64],
}

/// One voxel of a block.
#[derive(Clone, Copy)]
pub struct Voxel {
    /// Probability of the foreground.
    pub p: f64,
    /// Probability of the background.
    pub q: f64,
    /// Target.
    pub y: f64,
    /// -log p.
    pub neg_log_p: f64,
    /// -log q.
    pub neg_log_q: f64,
}

impl Block<'_> {
    /// Calls `f` for every voxel and writes what it returns.
    #[inline(always)]
    pub fn write(&self, out: &mut [f64], f: impl Fn(Voxel) -> f64) {
        let n = out.len();
        let (p, q, y) = (&self.p[..n], &self.q[..n], &self.y[..n]);
        let (neg_log_p, neg_log_q) = (&self.neg_log_p[..n], &self.neg_log_q[..n]);
        for i in 0..n {
            out[i] = f(Voxel { p: p[i], q: q[i], y: y[i], neg_log_p: neg_log_p[i], neg_log_q: neg_log_q[i] });
        }
    }
}

/// `leaf!(|v| value, slope)`: a function of one voxel and its derivative by the logit.
macro_rules! leaf {
    (|$v:ident| $value:expr, $slope:expr) => {
        Kernel {
            value: |block, out| block.write(out, |$v| $value),
            slope: |block, out| {
                block.write(out, |$v| {
                    let _ = $v;
                    $slope
                })
            },
        }
    };
}

/// `pointwise!(|a, b| value, (by a, by b))`: a function of two numbers and its two derivatives.
macro_rules! pointwise {
    (|$a:ident, $b:ident| $value:expr, $slope:expr) => {
        Op::Pointwise(Kernel {
            value: |left, right, out| {
                for ((out, &$a), &$b) in out.iter_mut().zip(left).zip(right) {
                    *out = $value;
                }
            },
            slope: |left, right, by_left, by_right| {
                for (((by_a, by_b), &$a), &$b) in by_left.iter_mut().zip(by_right).zip(left).zip(right) {
                    let _ = ($a, $b);
                    (*by_a, *by_b) = $slope;
                }
            },
        })
    };
}

pub(super) use {leaf, pointwise};

/// The smallest base of a power below 1. Below it the slope is without bound and a rounding error under zero
/// has no power at all; every reference implementation that lacks the floor returns NaN on a perfect prediction.
pub const POWER_FLOOR: f64 = 1e-7;

/// Powers from 1 on need no floor but 0, and a focal loss would be wrong with one.
const fn floor(exponent: f64) -> f64 {
    if exponent >= 1.0 { 0.0 } else { POWER_FLOOR }
}

/// max(a, floor) ^ b for an exponent b that is one number for the whole block.
pub const fn power() -> BinaryKernel {
    Kernel {
        value: |base, exponent, out| {
            let raise = exponent.first().copied().unwrap_or(1.0);
            write_power(base, raise, floor(raise), out);
        },
        slope: |base, exponent, by_base, by_exponent| {
            let raise = exponent.first().copied().unwrap_or(1.0);
            write_power(base, raise - 1.0, floor(raise), by_base);
            for (slope, x) in by_base.iter_mut().zip(base) {
                *slope = if *x > floor(raise) { raise * *slope } else { 0.0 };
            }
            // Exponents are numbers, and no gradient flows into numbers.
            by_exponent.fill(0.0);
        },
    }
}

/// The exponents that people use need no logarithm.
fn write_power(base: &[f64], exponent: f64, floor: f64, out: &mut [f64]) {
    let each = |out: &mut [f64], f: fn(f64) -> f64| {
        for (out, x) in out.iter_mut().zip(base) {
            *out = f(x.max(floor));
        }
    };
    match exponent {
        0.0 => out.fill(1.0),
        0.5 => each(out, f64::sqrt),
        1.0 => each(out, |x| x),
        2.0 => each(out, |x| x * x),
        _ => {
            for (out, x) in out.iter_mut().zip(base) {
                *out = x.max(floor).powf(exponent);
            }
        }
    }
}
