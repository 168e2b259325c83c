//! Instance normalisation and leaky ReLU in one: y = f(gamma (x - mean) / sd + beta), f(z) = z or slope z.
//!
//! Every (sample, channel) is on its own, so results do not depend on the number of threads. Loops are written over
//! blocks of lanes without branches, which is what lets the compiler vectorise them; mean and variance take two passes
//! over a volume that is in cache by then, because E[x^2] - mean^2 loses all digits where the mean is large.

use rayon::prelude::*;

use super::instructions::{Instructions, compiled};

/// Floats that are summed side by side.
const LANES: usize = 64;
/// Floats whose sum is kept in single precision before it goes to double.
const BLOCK: usize = 4096;

/// Sizes and constants of one call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Norm {
    pub(super) set: Instructions,
    pub(super) channels: usize,
    /// Voxels of one sample and channel.
    pub(super) voxels: usize,
    pub(super) epsilon: f32,
    pub(super) slope: f32,
}

/// Mean and reciprocal standard deviation of one sample and channel.
///
/// The mean is kept as a float near it and what is left over: at a mean of 10,000 standard deviations the nearest float
/// alone would shift every normalised voxel by up to 5e-4.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moments {
    centre: f32,
    reciprocal: f32,
    /// -(mean - centre) / sd.
    offset: f32,
}

/// Gradients of the input, scale and shift.
pub(super) struct Gradients {
    pub(super) x: Vec<f32>,
    pub(super) gamma: Vec<f32>,
    pub(super) beta: Vec<f32>,
}

impl Norm {
    /// The result and what the backward pass needs.
    pub(super) fn forward(&self, x: &[f32], gamma: &[f32], beta: &[f32]) -> (Vec<f32>, Vec<Moments>) {
        if x.is_empty() {
            return (Vec::new(), Vec::new());
        }
        let mut y = vec![0f32; x.len()];
        let volumes = y.par_chunks_mut(self.voxels).zip(x.par_chunks(self.voxels)).enumerate();
        let moments = volumes.map(|(i, (y, x))| {
            let (gamma, beta) = (gamma[i % self.channels], beta[i % self.channels]);
            let moments = moments(self.set, x, self.epsilon);
            apply(self.set, x, Instance { moments, gamma, beta, slope: self.slope }, y);
            moments
        });
        let moments = moments.collect();
        (y, moments)
    }

    /// With h the normalised input and d = dy f': dgamma = sum d h, dbeta = sum d, and
    /// dx = gamma / sd (d - mean(d) - h mean(d h)).
    pub(super) fn backward(
        &self,
        x: &[f32],
        dy: &[f32],
        moments: &[Moments],
        gamma: &[f32],
        beta: &[f32],
    ) -> Gradients {
        if x.is_empty() {
            return Gradients { x: Vec::new(), gamma: vec![0.0; self.channels], beta: vec![0.0; self.channels] };
        }
        let mut dx = vec![0f32; x.len()];
        let volumes =
            dx.par_chunks_mut(self.voxels).zip(x.par_chunks(self.voxels)).zip(dy.par_chunks(self.voxels)).enumerate();
        let sums = volumes.map(|(i, ((dx, x), dy))| {
            let one = Instance {
                moments: moments[i],
                gamma: gamma[i % self.channels],
                beta: beta[i % self.channels],
                slope: self.slope,
            };
            let sums = slopes(self.set, x, dy, one);
            let [mean_d, mean_dh] = sums.map(|sum| (sum / self.voxels as f64) as f32);
            apply_backward(self.set, x, dy, one, mean_d, mean_dh, dx);
            sums
        });
        let sums: Vec<[f64; 2]> = sums.collect();
        let mut gradients = Gradients { x: dx, gamma: vec![0.0; self.channels], beta: vec![0.0; self.channels] };
        for (i, [d, dh]) in sums.into_iter().enumerate() {
            gradients.beta[i % self.channels] += d as f32;
            gradients.gamma[i % self.channels] += dh as f32;
        }
        gradients
    }
}

/// What both passes know of one sample and channel.
#[derive(Clone, Copy)]
struct Instance {
    moments: Moments,
    gamma: f32,
    beta: f32,
    slope: f32,
}

impl Instance {
    /// The normalised input, and what goes into the leaky ReLU. One function for both passes, so that they never
    /// disagree about the side of the kink on which a voxel lies.
    #[inline(always)]
    fn normal(self, x: f32) -> (f32, f32) {
        let normal = (x - self.moments.centre).mul_add(self.moments.reciprocal, self.moments.offset);
        (normal, normal.mul_add(self.gamma, self.beta))
    }

    /// The normalised input, and the slope of the leaky ReLU there.
    #[inline(always)]
    fn at(self, x: f32) -> (f32, f32) {
        let (normal, z) = self.normal(x);
        (normal, if z > 0.0 { 1.0 } else { self.slope })
    }
}

compiled! {
    /// Mean and deviation of a volume.
    fn moments(x: &[f32], epsilon: f32) -> Moments {
        let count = x.len() as f64;
        // The first pass need not be exact: it only says where to stand for the second.
        let [sum, _] = sums_about(x, 0.0);
        let centre = (sum / count) as f32;
        let [left_over, squares] = sums_about(x, centre).map(|sum| sum / count);
        let variance = (squares - left_over * left_over).max(0.0);
        let reciprocal = 1.0 / (variance + f64::from(epsilon)).sqrt();
        Moments { centre, reciprocal: reciprocal as f32, offset: (-left_over * reciprocal) as f32 }
    }
}

/// Sums of x - centre and of its square.
#[inline(always)]
fn sums_about(x: &[f32], centre: f32) -> [f64; 2] {
    let mut totals = [0f64; 2];
    for block in x.chunks(BLOCK) {
        let (mut lanes, mut squares) = ([0f32; LANES], [0f32; LANES]);
        let rows = block.chunks_exact(LANES);
        for x in rows.remainder() {
            let x = f64::from(x - centre);
            totals[0] += x;
            totals[1] += x * x;
        }
        for row in rows {
            for i in 0..LANES {
                let x = row[i] - centre;
                lanes[i] += x;
                squares[i] = x.mul_add(x, squares[i]);
            }
        }
        totals[0] += lanes.iter().map(|lane| f64::from(*lane)).sum::<f64>();
        totals[1] += squares.iter().map(|lane| f64::from(*lane)).sum::<f64>();
    }
    totals
}

compiled! {
    /// Normalises, scales and shifts a volume, and applies the leaky ReLU.
    fn apply(x: &[f32], one: Instance, y: &mut [f32]) {
        for (y, x) in y.iter_mut().zip(x) {
            let (_, z) = one.normal(*x);
            *y = if z > 0.0 { z } else { z * one.slope };
        }
    }
}

compiled! {
    /// Sums of d and d h.
    fn slopes(x: &[f32], dy: &[f32], one: Instance) -> [f64; 2] {
        let mut totals = [0f64; 2];
        for (x, dy) in x.chunks(BLOCK).zip(dy.chunks(BLOCK)) {
            let (mut d_lanes, mut dh_lanes) = ([0f32; LANES], [0f32; LANES]);
            let (xs, dys) = (x.chunks_exact(LANES), dy.chunks_exact(LANES));
            for (x, dy) in xs.remainder().iter().zip(dys.remainder()) {
                let (h, slope) = one.at(*x);
                totals[0] += f64::from(dy * slope);
                totals[1] += f64::from(dy * slope * h);
            }
            for (x, dy) in xs.zip(dys) {
                for i in 0..LANES {
                    let (h, slope) = one.at(x[i]);
                    let d = dy[i] * slope;
                    d_lanes[i] += d;
                    dh_lanes[i] = d.mul_add(h, dh_lanes[i]);
                }
            }
            totals[0] += d_lanes.iter().map(|lane| f64::from(*lane)).sum::<f64>();
            totals[1] += dh_lanes.iter().map(|lane| f64::from(*lane)).sum::<f64>();
        }
        totals
    }
}

compiled! {
    /// The gradient of the input.
    fn apply_backward(x: &[f32], dy: &[f32], one: Instance, mean_d: f32, mean_dh: f32, dx: &mut [f32]) {
        let scale = one.gamma * one.moments.reciprocal;
        for ((dx, x), dy) in dx.iter_mut().zip(x).zip(dy) {
            let (h, slope) = one.at(*x);
            *dx = scale * (dy.mul_add(slope, -mean_d) - h * mean_dh);
        }
    }
}
