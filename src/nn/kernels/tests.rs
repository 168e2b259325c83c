//! Our path against the tensor library's own operations: values and all gradients, on all kinds of sizes.

use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;
use rand_distr::StandardNormal;

use super::{KernelPath, conv_transpose3d_on, conv3d_on, instance_norm_leaky_relu_on};
use crate::nn::{Precision, device, floats};
use crate::rng::{Purpose, stream};

fn random<const D: usize>(shape: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
    let mut rng = stream(seed, Purpose::Probe, 0, 0);
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.sample(StandardNormal)).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// The paths that are held to the portable one, as far as this processor has them.
fn others() -> Vec<KernelPath> {
    let all = [KernelPath::Avx512, KernelPath::Avx2, KernelPath::Reshaped];
    all.into_iter().filter(|path| path.is_available()).collect()
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

/// Kernels with their strides: those of networks for cubes, and flat ones along every axis.
const KERNELS: [([usize; 3], [usize; 3]); 9] = [
    ([3, 3, 3], [1, 1, 1]),
    ([3, 3, 3], [2, 2, 2]),
    ([1, 1, 1], [1, 1, 1]),
    ([3, 3, 1], [1, 1, 1]),
    ([3, 3, 1], [2, 2, 1]),
    ([1, 3, 3], [1, 2, 2]),
    ([3, 1, 3], [2, 1, 1]),
    ([3, 3, 3], [2, 2, 1]),
    ([3, 3, 3], [1, 2, 2]),
];

#[test]
fn convolutions_agree_on_every_size() {
    let device = device().autodiff();
    for (seed, (samples, inputs, outputs, [d, h, w])) in (0u64..).zip(SIZES) {
        let x = random([samples, inputs, d, h, w], seed, &device);
        for (kernel, stride) in KERNELS {
            let [a, b, c] = kernel;
            let weight = random([outputs, inputs, a, b, c], 100 + seed, &device);
            let run = |path| values_and_gradients(&x, &weight, |x, weight| conv3d_on(path, x, weight, stride));
            let expected = run(KernelPath::Portable);
            for path in others() {
                let name = format!("{path:?}: {inputs} to {outputs}, {kernel:?} / {stride:?}, {d} x {h} x {w}");
                compare(&name, &run(path), &expected);
            }
        }
    }
}

#[test]
fn transposed_convolutions_agree_on_every_size() {
    let device = device().autodiff();
    for (seed, (samples, inputs, outputs, [d, h, w])) in (0u64..).zip(SIZES) {
        let x = random([samples, inputs, d, h, w], seed, &device);
        for kernel in [[2, 2, 2], [2, 2, 1], [1, 2, 2], [2, 1, 2], [1, 1, 2]] {
            let [a, b, c] = kernel;
            let weight = random([inputs, outputs, a, b, c], 100 + seed, &device);
            let run = |path| values_and_gradients(&x, &weight, |x, weight| conv_transpose3d_on(path, x, weight));
            let expected = run(KernelPath::Portable);
            for path in others() {
                let name = format!("{path:?}: {inputs} to {outputs}, {kernel:?}, {d} x {h} x {w}");
                compare(&name, &run(path), &expected);
            }
        }
    }
}

#[test]
fn norms_agree_on_every_size_and_far_from_zero() {
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
            let expected = run(KernelPath::Portable);
            for path in others() {
                compare(
                    &format!("{path:?}: {channels} channels, {d} x {h} x {w}, mean {shift}"),
                    &run(path),
                    &expected,
                );
            }
        }
    }
}

/// Instance norm and leaky ReLU in double precision: values, and the gradient of x under `dy`.
fn norm_in_double(x: &[f32], dy: &[f32], gamma: f64, beta: f64) -> (Vec<f64>, Vec<f64>) {
    let count = x.len() as f64;
    let mean = x.iter().map(|x| f64::from(*x)).sum::<f64>() / count;
    let variance = x.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / count;
    let sd = (variance + 1e-5).sqrt();
    let normal: Vec<f64> = x.iter().map(|x| (f64::from(*x) - mean) / sd).collect();
    let slope = |h: f64| if gamma * h + beta > 0.0 { 1.0 } else { 0.01 };
    let d: Vec<f64> = normal.iter().zip(dy).map(|(h, dy)| f64::from(*dy) * slope(*h)).collect();
    let mean_d = d.iter().sum::<f64>() / count;
    let mean_dh = d.iter().zip(&normal).map(|(d, h)| d * h).sum::<f64>() / count;
    let dx = d.iter().zip(&normal).map(|(d, h)| gamma / sd * (d - mean_d - h * mean_dh)).collect();
    (normal.iter().map(|h| slope(*h) * (gamma * h + beta)).collect(), dx)
}

#[test]
fn a_mean_of_ten_thousand_deviations_costs_no_digits() {
    let device = device().autodiff();
    let shape = [1, 1, 9, 20, 31];
    // 10,000.3 lies between two floats that are 1e-3 apart, and so does the mean.
    let x = (random(shape, 1, &device) + 10_000.3).require_grad();
    let dy = random(shape, 2, &device);
    let one = |value: f32| Tensor::<1>::from_data(TensorData::new(vec![value], [1]), &device);
    let y = instance_norm_leaky_relu_on(KernelPath::detected(), x.clone(), one(1.5), one(-0.25), 1e-5, 0.01);
    let gradients = (y.clone() * dy.clone()).sum().backward();
    let (value, slope) = norm_in_double(&floats(x.clone().inner()), &floats(dy.inner()), 1.5, -0.25);
    let worst = |ours: Vec<f32>, golden: Vec<f64>| {
        ours.iter().zip(golden).fold(0f64, |m, (ours, golden)| m.max((f64::from(*ours) - golden).abs()))
    };
    let (value, slope) = (worst(floats(y.inner()), value), worst(floats(x.grad(&gradients).unwrap()), slope));
    assert!(value < 3e-6 && slope < 3e-6, "value {value:e}, gradient {slope:e}");
}

#[test]
fn a_single_voxel_is_its_own_mean() {
    for path in others().into_iter().chain([KernelPath::Portable]) {
        let x = random([2, 3, 1, 1, 1], 1, &device());
        let (gamma, beta) = (random([3], 2, &device()), random([3], 3, &device()));
        let y = floats(instance_norm_leaky_relu_on(path, x, gamma, beta.clone(), 1e-5, 0.01));
        let shifts = floats(beta).repeat(2);
        let expected: Vec<f32> = shifts.into_iter().map(|b| if b > 0.0 { b } else { b * 0.01 }).collect();
        assert!(error(&y, &expected) < 1e-6, "{path:?}: {y:?} not {expected:?}");
    }
}

/// One of our operations with the shapes of its arguments.
type Operation = (&'static str, [usize; 5], fn(Tensor<5>, Tensor<5>) -> Tensor<5>);

/// The convolutions, over `[samples, 6, ...]`.
const OPERATIONS: [Operation; 5] = [
    ("stride 1", [9, 6, 3, 3, 3], |x, weight| super::conv3d(x, weight, [1; 3], Precision::F32)),
    ("stride 2", [9, 6, 3, 3, 3], |x, weight| super::conv3d(x, weight, [2; 3], Precision::F32)),
    ("flat", [9, 6, 3, 3, 1], |x, weight| super::conv3d(x, weight, [2, 2, 1], Precision::F32)),
    ("kernel 1", [9, 6, 1, 1, 1], |x, weight| super::conv3d(x, weight, [1; 3], Precision::F32)),
    ("transposed", [6, 9, 2, 2, 2], |x, weight| super::conv_transpose3d(x, weight, Precision::F32)),
];

/// Instance norm with scale and shift drawn from a tensor of weights.
fn norm(x: Tensor<5>, weight: Tensor<5>) -> Tensor<5> {
    let values: Tensor<1> = weight.flatten(0, 4);
    super::instance_norm_leaky_relu(x, values.clone().slice(0..6), values.slice(6..12), 1e-5, 0.01)
}

fn operations() -> Vec<Operation> {
    let mut operations = OPERATIONS.to_vec();
    operations.push(("norm", [1, 1, 1, 1, 12], norm));
    operations
}

#[test]
fn views_give_what_their_copies_give() {
    let device = device().autodiff();
    let whole = random([4, 12, 8, 7, 9], 1, &device);
    let views: [(&str, Tensor<5>); 4] = [
        ("turned", whole.clone().permute([0, 1, 4, 2, 3]).slice([0..2, 0..6])),
        ("prefix", whole.clone().reshape([8, 6, 8, 7, 9]).slice(0..3)),
        ("inside", whole.clone().slice([1..3, 3..9, 2..7, 1..6, 0..9])),
        ("repeated", whole.slice([0..1, 0..6]).expand([3, 6, 8, 7, 9])),
    ];
    for (name, shape, operation) in operations() {
        let weight = random(shape, 2, &device);
        let turned = random([shape[4], shape[3], shape[2], shape[1], shape[0]], 2, &device).permute([4, 3, 2, 1, 0]);
        for (view, x) in &views {
            let copy = Tensor::from_data(TensorData::new(floats(x.clone()), x.dims()), &device);
            let same = values_and_gradients(x, &weight, operation) == values_and_gradients(&copy, &weight, operation);
            assert!(same, "{name} of a {view} view");
            let straight = Tensor::from_data(TensorData::new(floats(turned.clone()), shape), &device);
            let same = values_and_gradients(x, &turned, operation) == values_and_gradients(x, &straight, operation);
            assert!(same, "{name} of a {view} view with turned weights");
        }
    }
}

#[test]
fn no_samples_give_no_results_and_no_gradient() {
    let device = device().autodiff();
    for (name, shape, operation) in operations() {
        let x = Tensor::<5>::zeros([0, 6, 4, 4, 4], &device);
        let [y, dx, dw] = values_and_gradients(&x, &random(shape, 2, &device), operation);
        assert!(y.is_empty() && dx.is_empty() && dw.iter().all(|v| *v == 0.0), "{name}: {dw:?}");
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let device = device().autodiff();
    // Planes above a chunk of the weight gradient, and many below.
    for shape in [[2, 6, 5, 31, 33], [3, 6, 10, 12, 14]] {
        let x = random(shape, 1, &device);
        for (name, shape, operation) in operations() {
            let weight = random(shape, 2, &device);
            let run = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| values_and_gradients(&x, &weight, operation))
            };
            let one = run(1);
            assert_eq!(one, run(2), "{name}");
            assert_eq!(one, run(8), "{name}");
        }
    }
}
