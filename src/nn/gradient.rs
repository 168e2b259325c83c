//! The gradient of a network as one vector: its length, and a limit for it.
//!
//! Guards the invariant that clipping keeps the direction: all parameters are scaled by one factor, as nnU-Net does it
//! (Isensee et al. 2021, limit 12; Pascanu et al. 2013). The tensor library clips each tensor on its own, which turns the
//! direction. Does not judge a gradient that is not finite: the caller sees it in the length. As a vector of numbers,
//! gradients can be added and scaled by whoever makes one of several.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, TensorData};

use super::{UNet3d, floats};

/// Scales `gradients` so that their Euclidean length over all parameters of `network` is at most `limit`, and returns the
/// length that they had.
///
/// The length is summed in double precision in the order of the parameters, so its bits do not depend on the number of
/// threads. A length that is infinite or not a number is returned as such and nothing is scaled: no factor would mend it.
/// Parameters without a gradient count as zero.
///
/// # Panics
/// If `limit` is not positive.
pub fn clip_global_norm(network: &UNet3d, gradients: &mut GradientsParams, limit: f64) -> f64 {
    assert!(limit > 0.0, "a limit of {limit} for the length of a gradient");
    let mut length = Length { gradients, squares: 0.0 };
    network.visit(&mut length);
    let length = length.squares.sqrt();
    if length.is_finite() && length > limit {
        network.visit(&mut Scale { gradients, factor: limit / length });
    }
    length
}

/// The gradients of all parameters one behind the other; zeros where a parameter has none.
pub fn flatten(network: &UNet3d, gradients: &GradientsParams) -> Vec<f32> {
    let mut flat = Flat { gradients, values: Vec::new() };
    network.visit(&mut flat);
    flat.values
}

/// The gradients of which `values` is the vector, see [`flatten`].
///
/// # Panics
/// If the vector is not as long as the parameters.
pub fn unflatten(network: &UNet3d, values: &[f32]) -> GradientsParams {
    let mut cut = Cut { values, gradients: GradientsParams::new() };
    network.visit(&mut cut);
    assert!(cut.values.is_empty(), "{} values too many for the parameters", cut.values.len());
    cut.gradients
}

struct Flat<'a> {
    gradients: &'a GradientsParams,
    values: Vec<f32>,
}

impl ModuleVisitor for Flat<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        match self.gradients.get::<D>(param.id) {
            Some(gradient) => self.values.extend(floats(gradient)),
            None => self.values.resize(self.values.len() + param.shape().num_elements(), 0.0),
        }
    }
}

struct Cut<'a> {
    values: &'a [f32],
    gradients: GradientsParams,
}

impl ModuleVisitor for Cut<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let shape = param.shape();
        let (own, rest) = self.values.split_at(shape.num_elements());
        self.values = rest;
        let gradient = Tensor::<D>::from_data(TensorData::new(own.to_vec(), shape), &super::device());
        self.gradients.register(param.id, gradient);
    }
}

struct Length<'a> {
    gradients: &'a GradientsParams,
    squares: f64,
}

impl ModuleVisitor for Length<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            self.squares += floats(gradient).iter().map(|value| f64::from(*value).powi(2)).sum::<f64>();
        }
    }
}

struct Scale<'a> {
    gradients: &'a mut GradientsParams,
    factor: f64,
}

impl ModuleVisitor for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            self.gradients.register(param.id, gradient * self.factor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{UNet3dConfig, device};
    use crate::rng::{Purpose, stream};

    /// A small network and the gradient of the sum of its logits, times `scale`.
    fn network_and_gradients(scale: f32) -> (UNet3d, GradientsParams) {
        let config = UNet3dConfig { width: 2, levels: 2, ..UNet3dConfig::default() };
        let network = config.init(&mut stream(1, Purpose::Weights, 0, 0), &device().autodiff());
        let image: Vec<f32> = (0..64).map(|i| (1.7 * i as f32).sin()).collect();
        let image = Tensor::<5>::from_data(TensorData::new(image, [1, 1, 4, 4, 4]), &device().autodiff());
        let logits = network.forward(image);
        let gradients = (logits.clone() * logits * scale).sum().backward();
        let gradients = GradientsParams::from_grads(gradients, &network);
        (network, gradients)
    }

    fn vector(network: &UNet3d, gradients: &GradientsParams) -> Vec<f64> {
        flatten(network, gradients).into_iter().map(f64::from).collect()
    }

    fn norm(vector: &[f64]) -> f64 {
        vector.iter().map(|v| v * v).sum::<f64>().sqrt()
    }

    #[test]
    fn clipping_shortens_the_whole_and_keeps_the_direction() {
        let (network, mut gradients) = network_and_gradients(1.0);
        let before = vector(&network, &gradients);
        let limit = norm(&before) / 3.0;
        let length = clip_global_norm(&network, &mut gradients, limit);
        assert_eq!(length, norm(&before));
        let after = vector(&network, &gradients);
        assert!((norm(&after) / limit - 1.0).abs() < 1e-6);
        for (before, after) in before.iter().zip(&after) {
            assert!((after - before / 3.0).abs() <= 1e-6 * length, "{before} became {after}");
        }
    }

    #[test]
    fn a_gradient_survives_being_a_vector() {
        let (network, gradients) = network_and_gradients(1.0);
        let flat = flatten(&network, &gradients);
        assert_eq!(flatten(&network, &unflatten(&network, &flat)), flat);
    }

    #[test]
    fn a_short_gradient_keeps_every_bit() {
        let (network, mut gradients) = network_and_gradients(1.0);
        let before = vector(&network, &gradients);
        let length = clip_global_norm(&network, &mut gradients, norm(&before));
        assert_eq!((length, &vector(&network, &gradients)), (norm(&before), &before));
    }

    #[test]
    fn a_gradient_that_is_not_finite_is_told_and_left_alone() {
        for scale in [f32::NAN, f32::INFINITY] {
            let (network, mut gradients) = network_and_gradients(scale);
            let before = vector(&network, &gradients);
            assert!(!clip_global_norm(&network, &mut gradients, 12.0).is_finite());
            let after = vector(&network, &gradients);
            assert!(before.iter().zip(&after).all(|(b, a)| b.to_bits() == a.to_bits()));
        }
    }

    #[test]
    fn the_squares_of_large_floats_do_not_overflow() {
        let (network, mut gradients) = network_and_gradients(1e25);
        let length = clip_global_norm(&network, &mut gradients, 12.0);
        assert!(length.is_finite() && length > 1e20, "{length:e}");
        assert!((norm(&vector(&network, &gradients)) / 12.0 - 1.0).abs() < 1e-5);
    }
}
