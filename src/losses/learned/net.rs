//! A small network per voxel whose output is a loss: dense layers with smooth activations, its slope by the logit, and how
//! that slope moves with every weight.
//!
//! Everything is written out: value and slope go forward together, and the derivative of the slope by the weights goes
//! backward through both. It is a few hundred numbers, so `f64` costs nothing, and no second-order automatic
//! differentiation is needed anywhere.

use rand::{Rng, RngExt};

/// What a voxel says to the network, and how that moves with the voxel's logit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Voxel<'a> {
    pub(super) said: &'a [f64],
    pub(super) moves: &'a [f64],
}

/// Dense layers: inputs, two hidden layers of equal width, one output. Hidden units are softplus, because a loss whose
/// slope saturated would forgive certain mistakes; the output is linear, because only slopes are followed.
#[derive(Debug, Clone, PartialEq)]
pub struct LossNet {
    inputs: usize,
    hidden: usize,
    /// For every layer its weights, `[output][input]`, then its biases.
    weights: Vec<f64>,
}

/// A layer's place among the weights.
#[derive(Clone, Copy)]
pub(super) struct Layer {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) start: usize,
}

/// What a pass forward leaves for the way back: of every layer what came in, how it moved, and of the hidden ones the
/// first and second derivative of every unit and the movement of its sum.
struct Trace {
    value: f64,
    slope: f64,
    inputs: Vec<Vec<f64>>,
    moves: Vec<Vec<f64>>,
    first: Vec<Vec<f64>>,
    second: Vec<Vec<f64>>,
    sums_move: Vec<Vec<f64>>,
}

impl LossNet {
    /// Weights uniform within the bounds of Glorot and Bengio (2010), biases 0.
    pub fn random(inputs: usize, hidden: usize, rng: &mut impl Rng) -> Self {
        let mut net = Self { inputs, hidden, weights: vec![0.0; Self::size(inputs, hidden)] };
        for layer in net.layers() {
            let bound = (6.0 / (layer.inputs + layer.outputs) as f64).sqrt();
            for weight in &mut net.weights[layer.start..layer.start + layer.inputs * layer.outputs] {
                *weight = bound * (2.0 * rng.random::<f64>() - 1.0);
            }
        }
        net
    }

    /// A network of these weights; `None` if they are not as many as its size asks, or not finite.
    pub fn of(inputs: usize, hidden: usize, weights: Vec<f64>) -> Option<Self> {
        let fits = weights.len() == Self::size(inputs, hidden) && weights.iter().all(|weight| weight.is_finite());
        fits.then_some(Self { inputs, hidden, weights })
    }

    /// Number of weights.
    pub(super) const fn size(inputs: usize, hidden: usize) -> usize {
        (inputs + 1) * hidden + (hidden + 1) * hidden + hidden + 1
    }

    /// Units of a hidden layer.
    pub fn hidden(&self) -> usize {
        self.hidden
    }

    /// All weights.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// All weights, to be moved.
    pub fn weights_mut(&mut self) -> &mut [f64] {
        &mut self.weights
    }

    pub(super) fn layers(&self) -> [Layer; 3] {
        let (inputs, hidden) = (self.inputs, self.hidden);
        let second = (inputs + 1) * hidden;
        [
            Layer { inputs, outputs: hidden, start: 0 },
            Layer { inputs: hidden, outputs: hidden, start: second },
            Layer { inputs: hidden, outputs: 1, start: second + (hidden + 1) * hidden },
        ]
    }

    /// The loss of a voxel and dL/dlogit.
    pub(super) fn value_and_slope(&self, voxel: Voxel<'_>) -> (f64, f64) {
        let trace = self.forward(voxel);
        (trace.value, trace.slope)
    }

    fn forward(&self, voxel: Voxel<'_>) -> Trace {
        let [mut inputs, mut moves, mut first, mut second, mut sums_move] = [(); 5].map(|()| Vec::new());
        let (mut said, mut moving) = (voxel.said.to_vec(), voxel.moves.to_vec());
        let layers = self.layers();
        for (number, layer) in layers.into_iter().enumerate() {
            let sums: Vec<f64> = (0..layer.outputs).map(|out| self.sum(layer, out, &said, true)).collect();
            let turns: Vec<f64> = (0..layer.outputs).map(|out| self.sum(layer, out, &moving, false)).collect();
            inputs.push(said);
            moves.push(moving);
            if number + 1 == layers.len() {
                return Trace { value: sums[0], slope: turns[0], inputs, moves, first, second, sums_move };
            }
            let rise: Vec<f64> = sums.iter().map(|sum| sigmoid(*sum)).collect();
            said = sums.iter().map(|sum| softplus(*sum)).collect();
            moving = rise.iter().zip(&turns).map(|(rise, turn)| rise * turn).collect();
            second.push(rise.iter().map(|rise| rise * (1.0 - rise)).collect());
            first.push(rise);
            sums_move.push(turns);
        }
        unreachable!("the last layer returns")
    }

    fn sum(&self, layer: Layer, out: usize, inputs: &[f64], with_bias: bool) -> f64 {
        let row = &self.weights[layer.start + out * layer.inputs..][..layer.inputs];
        let bias = if with_bias { self.weights[layer.start + layer.inputs * layer.outputs + out] } else { 0.0 };
        bias + row.iter().zip(inputs).map(|(weight, input)| weight * input).sum::<f64>()
    }

    /// Adds `share` times the derivative of dL/dlogit by every weight.
    pub(super) fn add_slope_gradient(&self, voxel: Voxel<'_>, share: f64, to: &mut [f64]) {
        let trace = self.forward(voxel);
        // Of the layer's sums: adjoints of how they move, and of what they are.
        let (mut of_moves, mut of_sums) = (vec![share], vec![0.0]);
        for (number, layer) in self.layers().into_iter().enumerate().rev() {
            let mut below = [vec![0.0; layer.inputs], vec![0.0; layer.inputs]];
            for out in 0..layer.outputs {
                let row = layer.start + out * layer.inputs;
                for place in 0..layer.inputs {
                    to[row + place] +=
                        of_moves[out] * trace.moves[number][place] + of_sums[out] * trace.inputs[number][place];
                    below[0][place] += of_moves[out] * self.weights[row + place];
                    below[1][place] += of_sums[out] * self.weights[row + place];
                }
                to[layer.start + layer.inputs * layer.outputs + out] += of_sums[out];
            }
            let Some(hidden) = number.checked_sub(1) else { return };
            let (first, second) = (&trace.first[hidden], &trace.second[hidden]);
            let turns = &trace.sums_move[hidden];
            let [moves, values] = below;
            of_sums = (0..layer.inputs).map(|i| moves[i] * turns[i] * second[i] + values[i] * first[i]).collect();
            of_moves = moves.iter().zip(first).map(|(adjoint, rise)| adjoint * rise).collect();
        }
    }
}

pub(super) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, stream};

    #[test]
    fn slopes_and_their_derivatives_are_those_of_differences() {
        let net = LossNet::random(3, 5, &mut stream(1, Purpose::Probe, 0, 0));
        let moves = [0.25, 0.4, 0.0];
        let said = |z: f64| [0.3 + moves[0] * z, -0.2 + moves[1] * z, 1.0];
        let value = |net: &LossNet, z: f64| net.value_and_slope(Voxel { said: &said(z), moves: &moves }).0;
        let slope = |net: &LossNet| net.value_and_slope(Voxel { said: &said(0.0), moves: &moves }).1;
        let h = 1e-5;
        let difference = (value(&net, h) - value(&net, -h)) / (2.0 * h);
        assert!((difference - slope(&net)).abs() < 1e-9);

        let mut exact = vec![0.0; net.weights.len()];
        net.add_slope_gradient(Voxel { said: &said(0.0), moves: &moves }, 2.0, &mut exact);
        for (place, exact) in exact.into_iter().enumerate() {
            let moved = |by: f64| {
                let mut net = net.clone();
                net.weights[place] += by;
                slope(&net)
            };
            let difference = 2.0 * (moved(h) - moved(-h)) / (2.0 * h);
            assert!((difference - exact).abs() < 1e-8, "weight {place}: {difference} and {exact}");
        }
    }

    #[test]
    fn weights_must_fit() {
        assert!(LossNet::of(3, 5, vec![0.0; 56]).is_some());
        assert!(LossNet::of(3, 5, vec![0.0; 55]).is_none() && LossNet::of(3, 5, vec![f64::NAN; 56]).is_none());
    }
}
