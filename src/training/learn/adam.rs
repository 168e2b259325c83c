//! Adam (Kingma and Ba 2015) over plain vectors: of the weights of a loss, and of networks whose state is written down.
//!
//! The optimiser of the tensor library does the same; but what it divides by is needed to know how a network moves, and its
//! whole state to continue after an interruption.

use super::super::recipe::EPSILON;

/// Decay of the means of gradients and of their squares.
const DECAY: [f64; 2] = [0.9, 0.999];

/// Means of the gradients and of their squares.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Adam {
    pub(super) steps: u32,
    pub(super) first: Vec<f64>,
    pub(super) second: Vec<f64>,
}

impl Adam {
    pub(super) fn new(size: usize) -> Self {
        Self { steps: 0, first: vec![0.0; size], second: vec![0.0; size] }
    }

    /// The way to go along a gradient, for a learning rate of 1.
    pub(super) fn step(&mut self, gradient: &[f64]) -> Vec<f64> {
        self.steps += 1;
        for (place, g) in gradient.iter().enumerate() {
            self.first[place] = DECAY[0] * self.first[place] + (1.0 - DECAY[0]) * g;
            self.second[place] = DECAY[1] * self.second[place] + (1.0 - DECAY[1]) * g * g;
        }
        let correction = 1.0 - DECAY[0].powf(f64::from(self.steps));
        self.first.iter().zip(self.spread()).map(|(first, spread)| first / correction / spread).collect()
    }

    /// Root of the mean squared gradient of every parameter: what a step is divided by.
    pub(super) fn spread(&self) -> Vec<f64> {
        let correction = 1.0 - DECAY[1].powf(f64::from(self.steps));
        self.second.iter().map(|second| (second / correction).sqrt() + f64::from(EPSILON)).collect()
    }
}

#[cfg(test)]
mod tests {
    use burn::optim::{AdamConfig, SgdConfig};

    use super::*;
    use crate::nn::{self, UNet3dConfig};
    use crate::rng::{Purpose, stream};

    #[test]
    fn it_moves_a_network_as_the_tensor_library_does() {
        let config = UNet3dConfig { width: 2, levels: 2, ..UNet3dConfig::default() };
        let mut theirs = config.init(&mut stream(1, Purpose::Weights, 0, 0), &nn::device().autodiff());
        let mut ours = theirs.clone();
        let size = config.parameters();
        let mut adam = Adam::new(size);
        let mut library = AdamConfig::new().with_epsilon(EPSILON).init();
        for step in 0..4 {
            let gradient: Vec<f32> = (0..size).map(|i| (0.7 * i as f32 + 2.0 * step as f32).sin()).collect();
            theirs = library.step(1e-2, theirs.clone(), nn::unflatten(&theirs, &gradient));
            let way: Vec<f32> = adam
                .step(&gradient.iter().map(|g| f64::from(*g)).collect::<Vec<_>>())
                .iter()
                .map(|w| *w as f32)
                .collect();
            ours = SgdConfig::new().init().step(1e-2, ours.clone(), nn::unflatten(&ours, &way));
        }
        let values = |network| -> Vec<f32> {
            let bytes = nn::encode(network).unwrap();
            let mut tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap().tensors();
            tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
            let of = |data: &[u8]| f32::from_le_bytes([data[0], data[1], data[2], data[3]]);
            tensors.iter().flat_map(|(_, view)| view.data().chunks_exact(4).map(of)).collect()
        };
        let (ours, theirs) = (values(&ours), values(&theirs));
        assert!(ours.len() == size && ours.iter().zip(&theirs).all(|(a, b)| (a - b).abs() < 1e-6));
    }
}
