//! The network against the reference in PyTorch, and the limits of its size.

use burn::module::ModuleMapper;
use burn::optim::GradientsParams;

use super::*;
use crate::nn::{Weights, clip_global_norm, device, floats};
use crate::rng::{Purpose, stream};

fn network(config: UNet3dConfig, seed: u64) -> UNet3d {
    config.init(&mut stream(seed, Purpose::Weights, 0, 0), &device())
}

const SMALL: UNet3dConfig =
    UNet3dConfig { in_channels: 1, out_channels: 2, width: 4, levels: 3, joins: [0; 3], halvings: [6; 3] };

#[test]
fn the_reference_network_has_the_parameters_of_the_reference() {
    // 85,153 without and 85,177 with the biases of the two transposed convolutions (16 + 8).
    assert_eq!(network(UNet3dConfig::default(), 1).num_params(), 85_177);
}

#[test]
fn parameters_are_counted_without_making_the_network() {
    for (in_channels, out_channels, width, levels) in [(1, 1, 8, 3), (4, 3, 5, 1), (2, 1, 3, 2), (1, 7, 2, 4)] {
        let config = UNet3dConfig { in_channels, out_channels, width, levels, ..UNet3dConfig::default() };
        for config in [config, config.shaped_for([1.0, 4.0, 1.0], [16; 3])] {
            assert_eq!(config.parameters(), network(config, 1).num_params(), "{config:?}");
        }
    }
}

#[test]
fn multiply_adds_are_those_of_the_layers() {
    // Layer by layer from the shapes that PyTorch's hooks see: 11,864 for each voxel of the reference network.
    assert_eq!(UNet3dConfig::default().multiply_adds([32, 48, 32]), 11_864 * 32 * 48 * 32);
    let config = UNet3dConfig { in_channels: 2, out_channels: 3, width: 5, levels: 1, ..UNet3dConfig::default() };
    assert_eq!(config.multiply_adds([2, 3, 4]), 24 * (27 * 5 * (2 + 5) + 5 * 3));
    // Flat at first: 9 taps above, 27 below at a quarter of the voxels, and a rise of 4 taps.
    let flat = UNet3dConfig { levels: 2, width: 2, ..UNet3dConfig::default() }.shaped_for([2.0, 2.0, 4.0], [8, 8, 8]);
    let (above, below) = (9 * 2 * (1 + 2) + 4 * 2 + 9 * 2 * (4 + 2) + 2, 27 * 4 * (2 + 4));
    assert_eq!(flat.multiply_adds([8, 8, 8]), 512 * above + 128 * below);
}

#[test]
fn a_config_takes_what_is_left_out_from_the_default_and_knows_its_fields() {
    let read = |text| serde_json::from_str::<UNet3dConfig>(text);
    assert_eq!(read("{}").unwrap(), UNet3dConfig::default());
    assert_eq!(read("{\"width\": 4}").unwrap(), UNet3dConfig { width: 4, ..UNet3dConfig::default() });
    assert!(read("{\"widht\": 4}").is_err());
}

#[test]
fn impossible_sizes_are_named() {
    let field = |config: UNet3dConfig| config.check().unwrap_err().to_string();
    assert!(UNet3dConfig::default().check().is_ok());
    assert!(field(UNet3dConfig { levels: 0, ..SMALL }).contains("levels"));
    assert!(field(UNet3dConfig { width: 0, ..SMALL }).contains("width"));
    assert!(field(UNet3dConfig { out_channels: 0, ..SMALL }).contains("out_channels"));
    assert!(field(UNet3dConfig { in_channels: usize::MAX, ..SMALL }).contains("in_channels"));
}

#[test]
fn shapes_that_do_not_divide_are_refused() {
    assert!(SMALL.check_shape([4, 8, 12]).is_ok());
    let fault = SMALL.check_shape([4, 8, 13]).unwrap_err().to_string();
    assert!(fault.contains("multiples of 4") && fault.contains("[4, 8, 13]"), "{fault}");
    assert!(SMALL.check_shape([0, 8, 12]).is_err());
}

/// Puts sines in place of all parameters, in their order.
struct Sines(usize);

impl ModuleMapper for Sines {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|old| {
            let shape = old.dims();
            let values = (self.0..).map(|k| (1.7 * k as f64 + 0.1).sin() as f32);
            let values: Vec<f32> = values.take(shape.iter().product()).collect();
            self.0 += values.len();
            Tensor::from_data(TensorData::new(values, shape), &old.device()).require_grad()
        })
    }
}

#[test]
fn logits_and_gradients_are_those_of_the_reference_in_pytorch() {
    // PyTorch 2.15.0, double precision; weights, image and upstream gradient as here, rounded to floats.
    const PLACES: [usize; 8] = [0, 1, 100, 383, 767, 768, 1000, 1535];
    const LOGITS: [f64; 8] =
        [-0.037_518_3, -0.014_117_4, -0.395_403_7, 0.298_125_0, 0.047_047_7, 0.010_310_9, -0.463_055_8, 0.129_760_4];
    const LENGTH: f64 = 162.503_678_736;
    const FIRST: [f64; 4] = [0.981_421, 5.817_584, -2.162_928, -3.391_133];
    const RISE: [f64; 3] = [3.435_067, 0.304_731, -0.341_324];
    const RISE_BIAS: [f64; 4] = [0.046_868, -0.096_623, 0.018_834, 0.083_817];

    let device = device().autodiff();
    let config = UNet3dConfig { width: 2, ..UNet3dConfig::default() };
    let network = config.init(&mut stream(1, Purpose::Weights, 0, 0), &device).map(&mut Sines(0));
    let shape = [2, 1, 8, 12, 8];
    let tensor = |value: fn(f64) -> f64| {
        let values: Vec<f32> = (0..1536).map(|i| value(f64::from(i)) as f32).collect();
        Tensor::<5>::from_data(TensorData::new(values, shape), &device)
    };
    let logits = network.forward(tensor(|i| (1.3 * i).sin() + (0.013 * i * i).cos()));
    let gradients = (logits.clone() * tensor(|i| (0.7 * i).cos())).sum().backward();

    let close = |ours: &[f32], places: &[usize], golden: &[f64], tolerance: f64| {
        for (place, golden) in places.iter().zip(golden) {
            assert!((f64::from(ours[*place]) - golden).abs() < tolerance, "{place}: {} not {golden}", ours[*place]);
        }
    };
    close(&floats(logits.inner()), &PLACES, &LOGITS, 1e-5);
    let rise = &network.up[0].rise;
    close(&floats(network.down[0].first.weight.val().grad(&gradients).unwrap()), &[0, 13, 26, 40], &FIRST, 1e-3);
    close(&floats(rise.weight.val().grad(&gradients).unwrap()), &[0, 7, 100], &RISE, 1e-3);
    close(&floats(rise.bias.val().grad(&gradients).unwrap()), &[0, 1, 2, 3], &RISE_BIAS, 1e-3);
    let mut gradients = GradientsParams::from_grads(gradients, &network);
    let length = clip_global_norm(&network, &mut gradients, 12.0);
    assert!((length / LENGTH - 1.0).abs() < 1e-5, "{length}");
}

#[test]
fn logits_have_the_shape_of_the_image_and_a_channel_per_class() {
    let image = Tensor::<5>::ones([2, 1, 8, 12, 4], &device());
    assert_eq!(network(SMALL, 1).forward(image).dims(), [2, 2, 8, 12, 4]);
    let flat = SMALL.shaped_for([1.0, 1.0, 4.0], [16, 16, 8]);
    let image = Tensor::<5>::ones([2, 1, 8, 12, 5], &device());
    assert_eq!(network(flat, 1).forward(image).dims(), [2, 2, 8, 12, 5]);
}

#[test]
fn weights_are_a_function_of_the_stream() {
    assert_eq!(Weights::of(&network(SMALL, 1)), Weights::of(&network(SMALL, 1)));
    assert_ne!(Weights::of(&network(SMALL, 1)), Weights::of(&network(SMALL, 2)));
}

#[test]
fn fresh_activations_neither_vanish_nor_explode() {
    let mut rng = stream(3, Purpose::Probe, 0, 0);
    let values: Vec<f32> = (0..16 * 16 * 16).map(|_| rng.sample::<f32, _>(StandardNormal)).collect();
    let image = Tensor::<5>::from_data(TensorData::new(values, [1, 1, 16, 16, 16]), &device());
    let logits = floats(network(SMALL, 4).forward(image));
    let mean = logits.iter().sum::<f32>() / logits.len() as f32;
    let sd = (logits.iter().map(|z| (z - mean).powi(2)).sum::<f32>() / logits.len() as f32).sqrt();
    assert!((0.1..10.0).contains(&sd), "standard deviation {sd}");
}
