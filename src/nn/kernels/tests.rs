//! Our path against the tensor library's own operations: values and all gradients, on all kinds of sizes.

use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;
use rand_distr::StandardNormal;

use super::{KernelPath, conv_transpose3d_on, conv3d_on, instance_norm_leaky_relu_on};
use crate::nn::{device, floats};
use crate::rng::{Purpose, stream};

fn random<const D: usize>(shape: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
    let mut rng = stream(seed, Purpose::Probe, 0, 0);
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.sample(StandardNormal)).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Largest difference as a share of the largest value.
fn error(ours: &[f32], theirs: &[f32]) -> f32 {
    assert_eq!(ours.len(), theirs.len());
    let largest = theirs.iter().fold(1e-6f32, |m, v| m.max(v.abs()));
    ours.iter().zip(theirs).fold(0.0, |m: f32, (a, b)| m.max((a - b).abs() / largest))
}

/// Values, and gradients by both arguments, of y sin y summed: a gradient without structure.
fn values_and_gradients(
    x: &Tensor<5>,
    weight: &Tensor<5>,
    operation: impl Fn(Tensor<5>, Tensor<5>) -> Tensor<5>,
) -> [Vec<f32>; 3] {
    let (x, weight) = (x.clone().require_grad(), weight.clone().require_grad());
    let y = operation(x.clone(), weight.clone());
    let gradients = (y.clone() * y.clone().sin()).sum().backward();
    [floats(y.inner()), floats(x.grad(&gradients).unwrap()), floats(weight.grad(&gradients).unwrap())]
}

fn compare(name: &str, ours: &[Vec<f32>], theirs: &[Vec<f32>]) {
    for (what, (ours, theirs)) in
        ["value", "first gradient", "second gradient", "third gradient"].iter().zip(ours.iter().zip(theirs))
    {
        let error = error(ours, theirs);
        assert!(error < 1e-4, "{name}, {what}: {error:e}");
    }
}

/// Samples, inputs, outputs and shape: odd sizes, every tile of outputs, single voxels, planes below and above a vector.
const SIZES: [(usize, usize, usize, [usize; 3]); 10] = [
    (1, 1, 1, [1, 1, 1]),
    (2, 3, 5, [7, 9, 11]),
    (1, 8, 16, [6, 5, 37]),
    (2, 4, 6, [8, 10, 12]),
    (3, 2, 15, [1, 4, 3]),
    (1, 5, 8, [5, 1, 2]),
    (2, 1, 3, [2, 3, 1]),
    (1, 16, 8, [8, 12, 8]),
    (1, 2, 2, [3, 40, 40]),
    (1, 7, 9, [4, 6, 8]),
];

#[test]
fn convolutions_agree_on_every_size() {
    if KernelPath::detected() == KernelPath::Portable {
        eprintln!("skipped: this processor has only the portable path");
        return;
    }
    let device = device().autodiff();
    for (seed, (samples, inputs, outputs, [d, h, w])) in (0u64..).zip(SIZES) {
        let x = random([samples, inputs, d, h, w], seed, &device);
        for (k, stride) in [(3, 1), (3, 2), (1, 1)] {
            let weight = random([outputs, inputs, k, k, k], 100 + seed, &device);
            let run = |path| values_and_gradients(&x, &weight, |x, weight| conv3d_on(path, x, weight, stride));
            let name = format!("{inputs} to {outputs}, kernel {k}, stride {stride}, {d} x {h} x {w}");
            compare(&name, &run(KernelPath::Avx512), &run(KernelPath::Portable));
        }
    }
}

#[test]
fn transposed_convolutions_agree_on_every_size() {
    if KernelPath::detected() == KernelPath::Portable {
        eprintln!("skipped: this processor has only the portable path");
        return;
    }
    let device = device().autodiff();
    for (seed, (samples, inputs, outputs, [d, h, w])) in (0u64..).zip(SIZES) {
        let x = random([samples, inputs, d, h, w], seed, &device);
        let weight = random([inputs, outputs, 2, 2, 2], 100 + seed, &device);
        let run = |path| values_and_gradients(&x, &weight, |x, weight| conv_transpose3d_on(path, x, weight));
        compare(
            &format!("{inputs} to {outputs}, {d} x {h} x {w}"),
            &run(KernelPath::Avx512),
            &run(KernelPath::Portable),
        );
    }
}

#[test]
fn norms_agree_on_every_size_and_far_from_zero() {
    if KernelPath::detected() == KernelPath::Portable {
        eprintln!("skipped: this processor has only the portable path");
        return;
    }
    let device = device().autodiff();
    for (seed, (samples, channels, _, [d, h, w])) in (0u64..).zip(SIZES) {
        // A single voxel is its own mean: the result is beta, and all gradients of x are rounding.
        if d * h * w < 3 {
            continue;
        }
        for shift in [0.0, 100.0] {
            let x = random([samples, channels, d, h, w], seed, &device) + shift;
            let gamma = random([channels], 200 + seed, &device);
            let beta = random([channels], 300 + seed, &device);
            let run = |path| {
                let (x, gamma, beta) =
                    (x.clone().require_grad(), gamma.clone().require_grad(), beta.clone().require_grad());
                let y = instance_norm_leaky_relu_on(path, x.clone(), gamma.clone(), beta.clone(), 1e-5, 0.01);
                let gradients = (y.clone() * y.clone().sin()).sum().backward();
                [
                    floats(y.inner()),
                    floats(x.grad(&gradients).unwrap()),
                    floats(gamma.grad(&gradients).unwrap()),
                    floats(beta.grad(&gradients).unwrap()),
                ]
            };
            compare(
                &format!("{channels} channels, {d} x {h} x {w}, mean {shift}"),
                &run(KernelPath::Avx512),
                &run(KernelPath::Portable),
            );
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let device = device().autodiff();
    let x = random([2, 6, 10, 12, 14], 1, &device);
    let weight = random([9, 6, 3, 3, 3], 2, &device);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| values_and_gradients(&x, &weight, |x, weight| super::conv3d(x, weight, 1)))
    };
    let one = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one, run(8));
}
