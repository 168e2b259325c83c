//! The arithmetic behind the words: value and slope over a block of voxels, in double and in single precision.
//!
//! Kernels work on slices because an indirect call per voxel would cost more than the arithmetic; the macros below write
//! the loop once and compile it for `f64` and, at every [level](super::level), for `f32`, so that a row of the table shows
//! only the formula and its derivative.

use super::level::each_level;
use super::real::raised;

/// A function and its derivative for one number type.
pub struct Kernel<V, P> {
    /// Writes the values.
    pub value: V,
    /// Adds derivative times adjoint to what the operands get.
    pub push: P,
}

/// A function in both precisions.
pub struct Kernels<D, S> {
    /// In double precision: the definition.
    pub double: D,
    /// In single precision, in the order of [`Level`](super::level::Level); the processor must have the level.
    pub single: S,
}

/// Of a block of voxels. A push gets the block, the adjoint, and where to add.
pub type LeafKernel = Kernels<
    Kernel<fn(&Block<'_, f64>, &mut [f64]), fn(&Block<'_, f64>, &[f64], &mut [f64])>,
    Kernel<[unsafe fn(&Block<'_, f32>, &mut [f32]); 3], [unsafe fn(&Block<'_, f32>, &[f32], &mut [f32]); 3]>,
>;

/// Of two operands, element by element. A push gets the operands, the adjoint, and where to add for each operand.
pub type BinaryKernel = Kernels<
    Kernel<fn(&[f64], &[f64], &mut [f64]), fn([&[f64]; 2], &[f64], [&mut [f64]; 2])>,
    Kernel<[unsafe fn(&[f32], &[f32], &mut [f32]); 3], [unsafe fn([&[f32]; 2], &[f32], [&mut [f32]; 2]); 3]>,
>;

/// What is known of a block of voxels; all slices have the same length.
pub struct Block<'a, R> {
    /// Probability of the foreground.
    pub p: &'a [R],
    /// Probability of the background, not rounded through 1 - p.
    pub q: &'a [R],
    /// Target.
    pub y: &'a [R],
    /// -log p.
    pub neg_log_p: &'a [R],
    /// -log(1 - p).
    pub neg_log_q: &'a [R],
}

/// One voxel of a block.
#[derive(Clone, Copy)]
pub struct Voxel<R> {
    /// Probability of the foreground.
    pub p: R,
    /// Probability of the background.
    pub q: R,
    /// Target.
    pub y: R,
    /// -log p.
    pub neg_log_p: R,
    /// -log q.
    pub neg_log_q: R,
}

impl<R: Copy> Block<'_, R> {
    /// Calls `f` for every voxel with its place in the block.
    #[inline(always)]
    pub fn each(&self, n: usize, mut f: impl FnMut(usize, Voxel<R>)) {
        let (p, q, y) = (&self.p[..n], &self.q[..n], &self.y[..n]);
        let (neg_log_p, neg_log_q) = (&self.neg_log_p[..n], &self.neg_log_q[..n]);
        for i in 0..n {
            f(i, Voxel { p: p[i], q: q[i], y: y[i], neg_log_p: neg_log_p[i], neg_log_q: neg_log_q[i] });
        }
    }
}

/// `leaf!(|v| value, slope)`: a function of one voxel and its derivative by the logit.
macro_rules! leaf {
    (|$v:ident| $value:expr, $slope:expr) => {
        Kernels {
            double: Kernel {
                value: |block, out| block.each(out.len(), |i, $v| out[i] = $value),
                push: |block, adjoint, out| {
                    let adjoint = &adjoint[..out.len()];
                    block.each(out.len(), |i, $v| {
                        let _ = $v;
                        out[i] += $slope * adjoint[i];
                    });
                },
            },
            single: Kernel {
                value: each_level!(|block: &Block<'_, f32>, out: &mut [f32]| {
                    block.each(out.len(), |i, $v| out[i] = $value);
                }),
                push: each_level!(|block: &Block<'_, f32>, adjoint: &[f32], out: &mut [f32]| {
                    let adjoint = &adjoint[..out.len()];
                    block.each(out.len(), |i, $v| {
                        let _ = $v;
                        out[i] += $slope * adjoint[i];
                    });
                }),
            },
        }
    };
}

/// `pointwise!(|a, b| value, (by a, by b))`: a function of two numbers and its two derivatives.
macro_rules! pointwise {
    (|$a:ident, $b:ident| $value:expr, $slope:expr) => {
        Op::Pointwise(Kernels {
            double: Kernel {
                value: |left, right, out| write(left, right, out, |$a: f64, $b: f64| $value),
                push: |operands, adjoint, to| {
                    add(operands, adjoint, to, |$a: f64, $b: f64| {
                        let _ = ($a, $b);
                        $slope
                    });
                },
            },
            single: Kernel {
                value: each_level!(|left: &[f32], right: &[f32], out: &mut [f32]| {
                    #[allow(dead_code, reason = "the bound of those words that divide")]
                    const TINY: f32 = super::words::TINY as f32;
                    write(left, right, out, |$a: f32, $b: f32| $value);
                }),
                push: each_level!(|operands: [&[f32]; 2], adjoint: &[f32], to: [&mut [f32]; 2]| {
                    #[allow(dead_code, reason = "the bound of those words that divide")]
                    const TINY: f32 = super::words::TINY as f32;
                    add(operands, adjoint, to, |$a: f32, $b: f32| {
                        let _ = ($a, $b);
                        $slope
                    });
                }),
            },
        })
    };
}

pub(super) use {leaf, pointwise};

/// Writes a function of two operands.
#[inline(always)]
pub(super) fn write<R: Copy>(left: &[R], right: &[R], out: &mut [R], f: impl Fn(R, R) -> R) {
    for ((out, a), b) in out.iter_mut().zip(left).zip(right) {
        *out = f(*a, *b);
    }
}

/// Adds two slopes times an adjoint.
#[inline(always)]
pub(super) fn add<R: Copy + std::ops::AddAssign + std::ops::Mul<Output = R>>(
    [left, right]: [&[R]; 2],
    adjoint: &[R],
    [to_left, to_right]: [&mut [R]; 2],
    f: impl Fn(R, R) -> (R, R),
) {
    let n = adjoint.len();
    let (left, right, to_left, to_right) = (&left[..n], &right[..n], &mut to_left[..n], &mut to_right[..n]);
    for i in 0..n {
        let (by_left, by_right) = f(left[i], right[i]);
        to_left[i] += by_left * adjoint[i];
        to_right[i] += by_right * adjoint[i];
    }
}

/// The smallest base of a power below 1. Below it the slope is without bound and a rounding error under zero
/// has no power at all; every reference implementation that lacks the floor returns NaN on a perfect prediction.
pub const POWER_FLOOR: f64 = 1e-7;

/// Powers from 1 on need no floor but 0, and a focal loss would be wrong with one.
const fn floor(exponent: f64) -> f64 {
    if exponent >= 1.0 { 0.0 } else { POWER_FLOOR }
}

/// max(a, floor) ^ b for an exponent b that is one number for the whole block. No gradient flows into the exponent:
/// exponents are numbers.
pub const fn power() -> BinaryKernel {
    Kernels {
        double: Kernel {
            value: |base, exponents, out| {
                let exponent = exponents.first().copied().unwrap_or(1.0);
                let floor = floor(exponent);
                for (out, x) in out.iter_mut().zip(base) {
                    *out = raise(x.max(floor), exponent);
                }
            },
            push: |[base, exponents], adjoint, [to_base, _]| {
                let exponent = exponents.first().copied().unwrap_or(1.0);
                let floor = floor(exponent);
                for ((to, x), adjoint) in to_base.iter_mut().zip(base).zip(adjoint) {
                    let slope = if *x > floor { exponent * raise(x.max(floor), exponent - 1.0) } else { 0.0 };
                    *to += slope * adjoint;
                }
            },
        },
        single: Kernel {
            value: each_level!(|base: &[f32], exponents: &[f32], out: &mut [f32]| {
                let exponent = exponents.first().copied().unwrap_or(1.0);
                let floor = floor(exponent.into()) as f32;
                raise_all(base, floor, exponent, |i, power, _| out[i] = power);
            }),
            push: each_level!(|operands: [&[f32]; 2], adjoint: &[f32], to: [&mut [f32]; 2]| {
                let ([base, exponents], [to, _]) = (operands, to);
                let exponent = exponents.first().copied().unwrap_or(1.0);
                let floor = floor(exponent.into()) as f32;
                let (base, to) = (&base[..adjoint.len()], &mut to[..adjoint.len()]);
                raise_all(base, floor, exponent - 1.0, |i, power, x| {
                    to[i] += if x > floor { exponent * power * adjoint[i] } else { 0.0 };
                });
            }),
        },
    }
}

/// The exponents that people use need no logarithm.
fn raise(x: f64, exponent: f64) -> f64 {
    match exponent {
        0.0 => 1.0,
        0.5 => x.sqrt(),
        1.0 => x,
        2.0 => x * x,
        _ => x.powf(exponent),
    }
}

/// Tells max(x, floor)^exponent and x for every place; one loop for each kind of exponent, or none would be vectorised.
#[inline(always)]
fn raise_all(base: &[f32], floor: f32, exponent: f32, mut tell: impl FnMut(usize, f32, f32)) {
    macro_rules! all {
        (|$x:ident| $power:expr) => {
            for i in 0..base.len() {
                let $x = base[i].max(floor);
                tell(i, $power, base[i]);
            }
        };
    }
    match exponent {
        0.0 => all!(|_x| 1.0),
        0.5 => all!(|x| x.sqrt()),
        1.0 => all!(|x| x),
        2.0 => all!(|x| x * x),
        _ => all!(|x| raised(x, exponent)),
    }
}
