//! Deep supervision: a loss at several resolutions of a network, summed with falling weights.
//!
//! The loss itself knows nothing of it: every output of the network is a batch of its own, with the target brought to its
//! grid. Weights are nnU-Net's (Isensee et al. 2021): 1, 1/2, 1/4, ... with 0 for the coarsest of several, normalised.

use crate::formula::eval::{Inputs, Sample, gradient};
use crate::formula::plan::Plan;

/// The weight of each output, finest first; they sum to 1.
pub fn weights(outputs: usize) -> Vec<f64> {
    let raw = |output: usize| if output > 0 && output + 1 == outputs { 0.0 } else { 0.5f64.powi(output as i32) };
    let sum: f64 = (0..outputs).map(raw).sum();
    (0..outputs).map(|output| raw(output) / sum).collect()
}

/// The weighted sum of the loss over outputs, finest first; dL/dlogit of every output is written to its slice.
///
/// # Panics
/// If there are more outputs than slices, or as [`gradient`].
pub fn supervise<T: Sample>(plan: &Plan, outputs: &[Inputs<'_, T>], slopes: &mut [&mut [T]]) -> f64 {
    assert_eq!(outputs.len(), slopes.len(), "every output has a gradient");
    let weights = weights(outputs.len());
    outputs
        .iter()
        .zip(slopes)
        .zip(weights)
        .map(|((inputs, slopes), weight)| {
            let value = gradient(plan, inputs, slopes);
            for slope in slopes.iter_mut() {
                *slope = T::round(weight * (*slope).into());
            }
            weight * value
        })
        .sum()
}

/// A target brought to a coarser grid by its nearest voxel, measured between voxel centres (`nearest-exact` of PyTorch).
/// `target` is `[regions, from]`, the result `[regions, to]`.
pub fn resize_nearest<T: Copy>(target: &[T], from: [usize; 3], to: [usize; 3]) -> Vec<T> {
    let nearest = |axis: usize| -> Vec<usize> {
        let scale = from[axis] as f64 / to[axis] as f64;
        (0..to[axis]).map(|i| (((i as f64 + 0.5) * scale) as usize).min(from[axis] - 1)).collect()
    };
    let [i, j, k] = [0, 1, 2].map(nearest);
    let voxels: usize = from.iter().product();
    let mut out = Vec::with_capacity(target.len() / voxels.max(1) * to.iter().product::<usize>());
    for region in target.chunks_exact(voxels) {
        for (i, j) in i.iter().flat_map(|i| j.iter().map(move |j| (i, j))) {
            out.extend(k.iter().map(|k| region[(i * from[1] + j) * from[2] + k]));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::losses::named;

    #[test]
    fn weights_halve_end_in_zero_and_sum_to_one() {
        assert_eq!(weights(1), [1.0]);
        assert_eq!(weights(2), [1.0, 0.0]);
        assert_eq!(weights(4), [4.0 / 7.0, 2.0 / 7.0, 1.0 / 7.0, 0.0]);
    }

    #[test]
    fn targets_are_taken_at_the_nearest_centre() {
        // PyTorch 2.15.0: interpolate(mode="nearest-exact").
        assert_eq!(resize_nearest(&[0, 1, 2, 3, 4, 5, 6], [1, 1, 7], [1, 1, 3]), [1, 3, 5]);
        assert_eq!(resize_nearest(&[0, 1, 2, 3, 4, 5, 6, 7], [2, 2, 2], [1, 2, 1]), [5, 7]);
    }

    #[test]
    fn the_sum_and_its_gradients_are_weighted() {
        let plan = Plan::new(&named("dice_ce").unwrap().formula);
        let fine: Vec<f64> = (0..16).map(|i| f64::from(i).sin()).collect();
        let target: Vec<f64> = (0..16).map(|i| f64::from(i % 3 == 0)).collect();
        let (half, half_target) = (&fine[..8], resize_nearest(&target, [1, 1, 16], [1, 1, 8]));
        let (quarter, quarter_target) = (&fine[..4], resize_nearest(&target, [1, 1, 16], [1, 1, 4]));
        let outputs = [
            Inputs::new(1, 1, &fine, &target),
            Inputs::new(1, 1, half, &half_target),
            Inputs::new(1, 1, quarter, &quarter_target),
        ];
        let (mut a, mut b, mut c) = ([0.0; 16], [0.0; 8], [1.0; 4]);
        let value = supervise(&plan, &outputs, &mut [&mut a, &mut b, &mut c]);
        let mut alone = [0.0; 8];
        let of_half = gradient(&plan, &outputs[1], &mut alone);
        let of_fine = gradient(&plan, &outputs[0], &mut [0.0; 16]);
        assert!((value - (2.0 * of_fine + of_half) / 3.0).abs() < 1e-15);
        assert!(b.iter().zip(alone).all(|(b, alone)| (b - alone / 3.0).abs() < 1e-15) && c == [0.0; 4]);
    }
}
