//! The two number types of evaluation: `f64`, the definition, and `f32`, the fast one.
//!
//! A row of the table of words is written once; [`Real`] is what it may ask of a number beyond arithmetic. Logarithm and
//! exponential of `f32` are polynomials without branches, because a call per voxel cannot be vectorised; nothing here
//! contracts a product and a sum, so every instruction set gives the same bits.

use super::kernel::{BinaryKernel, Block, LeafKernel};
use super::level::{Level, each_level};

/// A number of the evaluator.
pub trait Real: Copy + Send + Sync + PartialOrd + std::ops::AddAssign + std::ops::Mul<Output = Self> + 'static {
    /// 0.
    const ZERO: Self;

    /// Rounds.
    fn of(value: f64) -> Self;

    /// Widens.
    fn wide(self) -> f64;

    /// Natural logarithm of a positive number.
    #[must_use]
    fn ln(self) -> Self;

    /// log(1 + x) for x >= 0.
    #[must_use]
    fn ln_1p(self) -> Self;

    /// Writes the values of a leaf.
    fn leaf(kernel: &LeafKernel, level: Level, block: &Block<'_, Self>, out: &mut [Self]);

    /// Adds slope times adjoint of a leaf to `out`.
    fn leaf_push(kernel: &LeafKernel, level: Level, block: &Block<'_, Self>, adjoint: &[Self], out: &mut [Self]);

    /// Writes the values of an operation.
    fn binary(kernel: &BinaryKernel, level: Level, left: &[Self], right: &[Self], out: &mut [Self]);

    /// Adds slope times adjoint of an operation to what its operands get.
    fn binary_push(kernel: &BinaryKernel, level: Level, operands: [&[Self]; 2], adjoint: &[Self], to: [&mut [Self]; 2]);

    /// Columns of p, q, -log p and -log q from logits; the last two may be empty.
    fn sigmoid(level: Level, logits: &[Self], columns: [&mut [Self]; 4]);

    /// Writes `z_k - log(sum exp z_c)` over the other classes c for the class k = `class`; `z` holds the classes one behind the
    /// other, each as long as `out`.
    fn apart(level: Level, z: &[Self], class: usize, out: &mut [Self]);

    /// The sum of a block, in double precision.
    fn sum(level: Level, values: &[Self]) -> f64;
}

impl Real for f64 {
    const ZERO: Self = 0.0;

    fn of(value: f64) -> Self {
        value
    }

    fn wide(self) -> f64 {
        self
    }

    fn ln(self) -> Self {
        Self::ln(self)
    }

    fn ln_1p(self) -> Self {
        Self::ln_1p(self)
    }

    fn leaf(kernel: &LeafKernel, _: Level, block: &Block<'_, Self>, out: &mut [Self]) {
        (kernel.double.value)(block, out);
    }

    fn leaf_push(kernel: &LeafKernel, _: Level, block: &Block<'_, Self>, adjoint: &[Self], out: &mut [Self]) {
        (kernel.double.push)(block, adjoint, out);
    }

    fn binary(kernel: &BinaryKernel, _: Level, left: &[Self], right: &[Self], out: &mut [Self]) {
        (kernel.double.value)(left, right, out);
    }

    fn binary_push(kernel: &BinaryKernel, _: Level, operands: [&[Self]; 2], adjoint: &[Self], to: [&mut [Self]; 2]) {
        (kernel.double.push)(operands, adjoint, to);
    }

    fn sigmoid(_: Level, logits: &[Self], [p, q, neg_log_p, neg_log_q]: [&mut [Self]; 4]) {
        for ((p, q), z) in p.iter_mut().zip(q).zip(logits) {
            let small = (-z.abs()).exp();
            let (near, far) = (1.0 / (1.0 + small), small / (1.0 + small));
            (*p, *q) = if *z >= 0.0 { (near, far) } else { (far, near) };
        }
        for ((log_p, log_q), z) in neg_log_p.iter_mut().zip(neg_log_q).zip(logits) {
            let rest = (-z.abs()).exp().ln_1p();
            (*log_p, *log_q) = ((-z).max(0.0) + rest, z.max(0.0) + rest);
        }
    }

    fn apart(_: Level, z: &[Self], class: usize, out: &mut [Self]) {
        let n = out.len();
        for (i, out) in out.iter_mut().enumerate() {
            let others = (0..z.len() / n).filter(|other| *other != class).map(|other| z[other * n + i]);
            let largest = others.clone().fold(Self::NEG_INFINITY, Self::max);
            let sum: Self = others.map(|z| (z - largest).exp()).sum();
            *out = z[class * n + i] - (largest + sum.ln());
        }
    }

    fn sum(_: Level, values: &[Self]) -> f64 {
        values.iter().sum()
    }
}

#[expect(unsafe_code, reason = "calls functions that are compiled for the instruction set of a level")]
impl Real for f32 {
    const ZERO: Self = 0.0;

    fn of(value: f64) -> Self {
        value as Self
    }

    fn wide(self) -> f64 {
        self.into()
    }

    #[inline(always)]
    fn ln(self) -> Self {
        logarithm(self)
    }

    #[inline(always)]
    fn ln_1p(self) -> Self {
        logarithm_1p(self)
    }

    fn leaf(kernel: &LeafKernel, level: Level, block: &Block<'_, Self>, out: &mut [Self]) {
        // SAFETY: a level beyond the portable one exists only where it was detected.
        unsafe { (kernel.single.value[level as usize])(block, out) }
    }

    fn leaf_push(kernel: &LeafKernel, level: Level, block: &Block<'_, Self>, adjoint: &[Self], out: &mut [Self]) {
        // SAFETY: as above.
        unsafe { (kernel.single.push[level as usize])(block, adjoint, out) }
    }

    fn binary(kernel: &BinaryKernel, level: Level, left: &[Self], right: &[Self], out: &mut [Self]) {
        // SAFETY: as above.
        unsafe { (kernel.single.value[level as usize])(left, right, out) }
    }

    fn binary_push(
        kernel: &BinaryKernel,
        level: Level,
        operands: [&[Self]; 2],
        adjoint: &[Self],
        to: [&mut [Self]; 2],
    ) {
        // SAFETY: as above.
        unsafe { (kernel.single.push[level as usize])(operands, adjoint, to) }
    }

    fn sigmoid(level: Level, logits: &[Self], columns: [&mut [Self]; 4]) {
        // SAFETY: as above.
        unsafe { SIGMOID[level as usize](logits, columns) }
    }

    fn apart(level: Level, z: &[Self], class: usize, out: &mut [Self]) {
        // SAFETY: as above.
        unsafe { APART[level as usize](z, class, out) }
    }

    fn sum(level: Level, values: &[Self]) -> f64 {
        // SAFETY: as above.
        unsafe { SUM[level as usize](values) }
    }
}

/// From logits to the columns of [`Real::sigmoid`].
type Columns = unsafe fn(&[f32], [&mut [f32]; 4]);

static SIGMOID: [Columns; 3] = each_level!(|logits: &[f32], columns: [&mut [f32]; 4]| {
    let [p, q, neg_log_p, neg_log_q] = columns;
    let n = logits.len();
    let (p, q) = (&mut p[..n], &mut q[..n]);
    if neg_log_p.is_empty() {
        for i in 0..n {
            let small = exponential(-logits[i].abs());
            let near = 1.0 / (1.0 + small);
            let far = small * near;
            (p[i], q[i]) = if logits[i] >= 0.0 { (near, far) } else { (far, near) };
        }
        return;
    }
    let (neg_log_p, neg_log_q) = (&mut neg_log_p[..n], &mut neg_log_q[..n]);
    for i in 0..n {
        let small = exponential(-logits[i].abs());
        let near = 1.0 / (1.0 + small);
        let far = small * near;
        let rest = logarithm_1p(small);
        let more = logits[i].abs() + rest;
        (p[i], q[i]) = if logits[i] >= 0.0 { (near, far) } else { (far, near) };
        (neg_log_p[i], neg_log_q[i]) = if logits[i] >= 0.0 { (rest, more) } else { (more, rest) };
    }
});

/// See [`Real::apart`].
type Apart = unsafe fn(&[f32], usize, &mut [f32]);

static APART: [Apart; 3] = each_level!(|z: &[f32], class: usize, out: &mut [f32]| {
    let n = out.len();
    let others = || z.chunks_exact(n).enumerate().filter(|(other, _)| *other != class).map(|(_, z)| &z[..n]);
    // The largest of the others stands in `out` until the sums are there.
    out.fill(f32::NEG_INFINITY);
    for z in others() {
        for i in 0..n {
            out[i] = out[i].max(z[i]);
        }
    }
    let mut sums = vec![0f32; n];
    for z in others() {
        for i in 0..n {
            sums[i] += exponential(z[i] - out[i]);
        }
    }
    let own = &z[class * n..][..n];
    for i in 0..n {
        out[i] = own[i] - (out[i] + logarithm(sums[i]));
    }
});

static SUM: [unsafe fn(&[f32]) -> f64; 3] = each_level!(|values: &[f32]| -> f64 {
    // Sixteen sums side by side: the order of additions is the same on every level.
    let mut lanes = [0f64; 16];
    let mut blocks = values.chunks_exact(16);
    for block in &mut blocks {
        for (lane, value) in lanes.iter_mut().zip(block) {
            *lane += f64::from(*value);
        }
    }
    for (lane, value) in lanes.iter_mut().zip(blocks.remainder()) {
        *lane += f64::from(*value);
    }
    lanes.iter().sum()
});

/// exp x for x <= 0, within two units of the last place; 0 below -87.
///
/// x = k log 2 + r with |r| <= log 2 / 2; exp r by a polynomial (Cephes), times 2^k by its bits.
#[inline(always)]
fn exponential(x: f32) -> f32 {
    // Added and taken away again, this rounds to a whole number, and leaves that number in the last bits of the sum.
    const ROUND: f32 = 12_582_912.0;
    let bounded = x.max(-87.0);
    let sum = bounded * std::f32::consts::LOG2_E + ROUND;
    let k = sum - ROUND;
    let r = bounded - k * 0.693_359_4 + k * 2.121_944_4e-4;
    let mut tail = 1.987_569_1e-4;
    for coefficient in [1.398_2e-3, 8.333_452e-3, 4.166_58e-2, 1.666_666_5e-1, 0.5] {
        tail = tail * r + coefficient;
    }
    let power = f32::from_bits(sum.to_bits().wrapping_add(127) << 23);
    let result = (tail * r * r + r + 1.0) * power;
    // The maximum above has lost a NaN.
    if x >= -87.0 {
        result
    } else if x.is_nan() {
        x
    } else {
        0.0
    }
}

/// log x for normal x > 0, within two units of the last place; `NaN` below 0, -inf at 0.
///
/// x = 2^k m with m in [sqrt 1/2, sqrt 2); log m by a polynomial (Cephes).
#[inline(always)]
fn logarithm(x: f32) -> f32 {
    let bits = x.to_bits();
    // The exponent of x over sqrt(1/2), as a whole number.
    let shifted = bits.wrapping_sub(0x3f35_04f3);
    let k = (shifted as i32 >> 23) as f32;
    let m = f32::from_bits((shifted & 0x007f_ffff).wrapping_add(0x3f35_04f3)) - 1.0;
    let mut tail = 7.037_683_6e-2 * m - 1.151_461e-1;
    for coefficient in [
        1.167_699_9e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_8e-1,
        2.000_071_5e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ] {
        tail = tail * m + coefficient;
    }
    let square = m * m;
    let log = tail * m * square - k * 2.121_944_4e-4 - 0.5 * square + m + k * 0.693_359_4;
    if x > 0.0 {
        if x < f32::INFINITY { log } else { x }
    } else if x == 0.0 {
        f32::NEG_INFINITY
    } else {
        f32::NAN
    }
}

/// log(1 + x) for x >= 0: what rounding takes from 1 + x is given back by the first term of the series.
#[inline(always)]
fn logarithm_1p(x: f32) -> f32 {
    let whole = 1.0 + x;
    let lost = x - (whole - 1.0);
    let correction = if whole < f32::INFINITY { lost / whole } else { 0.0 };
    logarithm(whole) + correction
}

/// max(x, floor)^exponent by logarithm and exponential; the base is positive.
#[inline(always)]
pub(super) fn raised(x: f32, exponent: f32) -> f32 {
    // exponential() wants an argument of at most 0: bases above 1 and negative exponents go by the reciprocal.
    let product = exponent * logarithm(x);
    let size = exponential(-product.abs());
    let result = if product > 0.0 { 1.0 / size } else { size };
    if x == 0.0 { if exponent > 0.0 { 0.0 } else { f32::INFINITY } } else { result }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep(low: f64, high: f64) -> impl Iterator<Item = f32> {
        (0..=200_000).map(move |i| (low + (high - low) * f64::from(i) / 200_000.0) as f32)
    }

    fn within(found: f32, exact: f64, units: f64) -> bool {
        (f64::from(found) - exact).abs() <= units * f64::from(f32::EPSILON) * exact.abs() + 1e-37
    }

    #[test]
    fn the_exponential_is_right_to_its_last_places() {
        for x in sweep(-87.0, 0.0) {
            assert!(within(exponential(x), f64::from(x).exp(), 2.0), "exp {x} = {}", exponential(x));
        }
        assert_eq!((exponential(0.0), exponential(-100.0), exponential(f32::NEG_INFINITY)), (1.0, 0.0, 0.0));
        assert!(exponential(f32::NAN).is_nan());
    }

    #[test]
    fn the_logarithm_is_right_to_its_last_places() {
        for x in sweep(-80.0, 80.0).map(f32::exp) {
            assert!(
                (f64::from(logarithm(x)) - f64::from(x).ln()).abs() <= 2e-7 * (1.0 + f64::from(x).ln().abs()),
                "{x}"
            );
        }
        for x in sweep(0.0, 1.0).chain(sweep(1.0, 100.0)) {
            assert!(within(logarithm_1p(x), f64::from(x).ln_1p(), 3.0), "log1p {x} = {}", logarithm_1p(x));
        }
        assert_eq!((logarithm(1.0), logarithm(0.0), logarithm(f32::INFINITY)), (0.0, f32::NEG_INFINITY, f32::INFINITY));
        assert!(logarithm(-1.0).is_nan() && logarithm(f32::NAN).is_nan());
    }

    #[test]
    fn powers_agree_with_the_library() {
        for exponent in [0.25f32, 0.75, 1.5, 3.0, 8.0] {
            for x in sweep(-16.0, 3.0).map(f32::exp) {
                let exact = f64::from(x).powf(exponent.into());
                assert!((f64::from(raised(x, exponent)) - exact).abs() <= 2e-5 * exact + 2e-38, "{x}^{exponent}");
            }
        }
        assert_eq!((raised(0.0, 2.5), raised(1.0, 2.5)), (0.0, 1.0));
    }
}
