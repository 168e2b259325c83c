//! Dot products of bfloat16 values against 32-bit convolutions of rounded factors, and against those of whole ones.

use std::io::Write as _;

use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;
use rand_distr::StandardNormal;

use super::super::{KernelPath, conv_transpose3d, conv_transpose3d_on, conv3d, conv3d_on, in_16_bits};
use super::emulated::{self, bits};
use crate::nn::{Precision, device, floats};
use crate::rng::{Purpose, stream};

fn random(shape: [usize; 5], seed: u64, device: &Device) -> Tensor<5> {
    let mut rng = stream(seed, Purpose::Probe, 0, 0);
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.sample(StandardNormal)).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// As [`random`], of small multiples of an eighth: bfloat16 values whose products and sums are exact in 32 bits.
fn exact(shape: [usize; 5], seed: u64, device: &Device) -> Tensor<5> {
    let mut rng = stream(seed, Purpose::Probe, 1, 0);
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.random_range(-16..=16) as f32 / 8.0).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Largest difference as a share of the largest value.
fn error(ours: &[f32], theirs: &[f32]) -> f32 {
    assert_eq!(ours.len(), theirs.len());
    let largest = theirs.iter().fold(1e-6f32, |m, v| m.max(v.abs()));
    ours.iter().zip(theirs).fold(0.0, |m: f32, (a, b)| m.max((a - b).abs() / largest))
}

/// A convolution: its name, its kernel, and its stride; that of the transposed ones, which is their kernel, stands as 0.
#[derive(Clone, Copy)]
struct Kind(&'static str, [usize; 3], [usize; 3]);

const KINDS: [Kind; 6] = [
    Kind("stride 1", [3, 3, 3], [1, 1, 1]),
    Kind("stride 2", [3, 3, 3], [2, 2, 2]),
    Kind("transposed", [2, 2, 2], [0, 0, 0]),
    Kind("flat, stride 2", [3, 3, 1], [2, 2, 1]),
    Kind("planes apart, stride 2", [1, 3, 3], [1, 2, 2]),
    Kind("flat transposed", [2, 1, 2], [0, 0, 0]),
];

impl Kind {
    fn weight_shape(self, inputs: usize, outputs: usize) -> [usize; 5] {
        let Self(_, [a, b, c], stride) = self;
        if stride == [0; 3] { [inputs, outputs, a, b, c] } else { [outputs, inputs, a, b, c] }
    }
}

fn on_path(path: KernelPath, kind: Kind, x: Tensor<5>, weight: Tensor<5>) -> Tensor<5> {
    if kind.2 == [0; 3] { conv_transpose3d_on(path, x, weight) } else { conv3d_on(path, x, weight, kind.2) }
}

fn at(precision: Precision, kind: Kind, x: Tensor<5>, weight: Tensor<5>) -> Tensor<5> {
    if kind.2 == [0; 3] { conv_transpose3d(x, weight, precision) } else { conv3d(x, weight, kind.2, precision) }
}

/// Value, and gradients by both arguments under `dy`, which is drawn by `draw`.
fn value_and_gradients(
    x: &Tensor<5>,
    weight: &Tensor<5>,
    draw: fn([usize; 5], u64, &Device) -> Tensor<5>,
    operation: impl Fn(Tensor<5>, Tensor<5>) -> Tensor<5>,
) -> [Vec<f32>; 3] {
    let (x, weight) = (x.clone().require_grad(), weight.clone().require_grad());
    let y = operation(x.clone(), weight.clone());
    let dy = draw(y.dims(), 300, &x.device());
    let gradients = (y.clone() * dy).sum().backward();
    [floats(y.inner()), floats(x.grad(&gradients).unwrap()), floats(weight.grad(&gradients).unwrap())]
}

fn compare(name: &str, ours: &[Vec<f32>; 3], theirs: &[Vec<f32>; 3], tolerance: f32) {
    for (what, (ours, theirs)) in ["value", "input gradient", "weight gradient"].iter().zip(ours.iter().zip(theirs)) {
        let error = error(ours, theirs);
        assert!(error <= tolerance, "{name}, {what}: {error:e}");
    }
}

/// Samples, inputs, outputs and shape: odd sizes and channels, every tile of outputs, single voxels, planes below and above
/// a vector, a run and a slab.
const SIZES: [(usize, usize, usize, [usize; 3]); 12] = [
    (1, 2, 1, [1, 1, 1]),
    (2, 3, 5, [7, 9, 11]),
    (1, 8, 16, [6, 5, 37]),
    (2, 4, 6, [8, 10, 12]),
    (3, 2, 15, [1, 4, 3]),
    (1, 5, 8, [5, 1, 2]),
    (2, 3, 3, [2, 3, 1]),
    (1, 16, 8, [8, 12, 8]),
    (1, 2, 2, [3, 40, 40]),
    (1, 7, 9, [4, 6, 8]),
    (1, 33, 4, [9, 30, 35]),
    (9, 2, 2, [2, 4, 4]),
];

fn without_dot_products() -> bool {
    if super::detected() {
        return false;
    }
    writeln!(std::io::stderr().lock(), "skipped: this processor has no dot products of bfloat16 values").unwrap();
    true
}

#[test]
fn values_that_need_no_rounding_give_the_same_on_every_size() {
    if without_dot_products() {
        return;
    }
    let device = device().autodiff();
    for (seed, (samples, inputs, outputs, [d, h, w])) in (0u64..).zip(SIZES) {
        let x = exact([samples, inputs, d, h, w], seed, &device);
        for kind in KINDS {
            let weight = exact(kind.weight_shape(inputs, outputs), 100 + seed, &device);
            let name = format!("{}, {inputs} to {outputs}, {d} x {h} x {w}", kind.0);
            let ours = value_and_gradients(&x, &weight, exact, |x, w| at(Precision::Bf16, kind, x, w));
            let theirs = value_and_gradients(&x, &weight, exact, |x, w| on_path(KernelPath::Portable, kind, x, w));
            compare(&name, &ours, &theirs, 1e-6);
        }
    }
}

#[test]
fn the_dot_products_are_those_of_rounded_factors() {
    if without_dot_products() {
        return;
    }
    let device = device().autodiff();
    for (seed, (samples, inputs, outputs, [d, h, w])) in (0u64..).zip(SIZES) {
        let x = random([samples, inputs, d, h, w], seed, &device);
        for kind in KINDS {
            let weight = random(kind.weight_shape(inputs, outputs), 100 + seed, &device);
            let name = format!("{}, {inputs} to {outputs}, {d} x {h} x {w}", kind.0);
            let run = |operation: &dyn Fn(Tensor<5>, Tensor<5>) -> Tensor<5>| {
                value_and_gradients(&x, &weight, random, operation)
            };
            let ours = run(&|x, weight| at(Precision::Bf16, kind, x, weight));
            let whole = |x, weight| on_path(KernelPath::Portable, kind, x, weight);
            let emulated = run(&|x, weight| emulated::convolution(x, weight, whole));
            compare(&format!("{name}, emulated"), &ours, &emulated, 2e-5);
            compare(&format!("{name}, whole"), &ours, &run(&whole), 2e-2);
        }
    }
}

#[test]
fn the_rule_is_one_rounding_of_both_factors() {
    // Halfway between 1 and the next bfloat16 value, and a hair above; the former goes to the even one.
    let (half, above) = (1.0 + 2f32.powi(-8), 1.0 + 2f32.powi(-8) + 2f32.powi(-20));
    assert_eq!([bits(1.0), bits(half), bits(above), bits(-half)], [0x3f80, 0x3f80, 0x3f81, 0xbf80]);
    assert_eq!([bits(f32::INFINITY), bits(f32::MAX), bits(0.0), bits(-0.0)], [0x7f80, 0x7f80, 0, 0x8000]);
    assert_eq!(bits(f32::from_bits(0x7fff_ffff)), 0x7fff, "not a number stays none");
    let device = device().autodiff();
    let one = |value: f32| Tensor::<5>::from_data(TensorData::new(vec![value], [1; 5]), &device).require_grad();
    let (x, weight) = (one(above), one(above));
    let y = emulated::convolution(x.clone(), weight.clone(), |x, weight| x * weight);
    let step = 1.0 + 2f32.powi(-7);
    assert_eq!(floats(y.clone().inner()), [step * step], "the product itself is not rounded");
    let gradients = (y * half).sum().backward();
    assert_eq!(floats(x.grad(&gradients).unwrap()), [step], "dy is rounded, the gradient is not");
}

#[test]
fn first_and_pointwise_layers_stay_whole() {
    for shape in [[4, 1, 3, 3, 3], [4, 6, 1, 1, 1]] {
        let (x, weight) = (random([2, shape[1], 5, 6, 7], 1, &device()), random(shape, 2, &device()));
        let run = |precision| floats(conv3d(x.clone(), weight.clone(), [1; 3], precision));
        assert_eq!(run(Precision::Bf16), run(Precision::F32), "{shape:?}");
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let device = device().autodiff();
    for shape in [[2, 6, 5, 31, 33], [3, 6, 10, 12, 14], [1, 6, 33, 6, 5]] {
        let x = random(shape, 1, &device);
        for kind in KINDS {
            let weight = random(kind.weight_shape(6, 9), 2, &device);
            let run = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| {
                    value_and_gradients(&x, &weight, random, |x, weight| at(Precision::Bf16, kind, x, weight))
                })
            };
            let one = run(1);
            assert!(one.iter().flatten().all(|value| value.is_finite()));
            assert_eq!(one, run(2), "{}, {shape:?}", kind.0);
            assert_eq!(one, run(8), "{}, {shape:?}", kind.0);
        }
    }
}

#[test]
fn no_samples_give_no_results_and_no_gradient() {
    let device = device().autodiff();
    if without_dot_products() {
        return;
    }
    for kind in KINDS {
        let (x, weight) = (Tensor::zeros([0, 6, 4, 4, 4], &device), random(kind.weight_shape(6, 9), 2, &device));
        let [y, dx, dw] = value_and_gradients(&x, &weight, random, |x, w| at(Precision::Bf16, kind, x, w));
        assert!(y.is_empty() && dx.is_empty() && dw.iter().all(|v| *v == 0.0), "{}: {dw:?}", kind.0);
    }
}

/// What a CUDA device is asked for, on the CPU: values of 16 bits go in, values of 32 bits come out, and nothing between the
/// two has another type.
#[test]
fn devices_multiply_in_16_bits_themselves() {
    let device = device().autodiff();
    for (seed, (samples, inputs, outputs, [d, h, w])) in (0u64..).zip(SIZES) {
        let x = random([samples, inputs, d, h, w], seed, &device);
        for kind in KINDS {
            let name = kind.0;
            let weight = random(kind.weight_shape(inputs, outputs), 100 + seed, &device);
            let ours = value_and_gradients(&x, &weight, random, |x, weight| {
                in_16_bits(KernelPath::Reshaped, x, weight, |x, weight| on_path(KernelPath::Reshaped, kind, x, weight))
            });
            let theirs =
                value_and_gradients(&x, &weight, random, |x, weight| on_path(KernelPath::Portable, kind, x, weight));
            compare(&format!("{name}, {inputs} to {outputs}, {d} x {h} x {w}"), &ours, &theirs, 4e-2);
        }
    }
}
