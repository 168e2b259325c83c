//! Losses that were learned (Bechtle et al. 2021, ML3): a small network says what a voxel's mistake costs.
//!
//! A [`Learned`] loss is elementwise: the mean over the voxels of a network of the prediction, the target and, if it
//! listens to them, the progress of the training and the distance to the target's rim. How it is learned is for
//! `training::learn`.

mod net;
mod table;
mod text;

use rand::Rng;
use serde::{Deserialize, Serialize};

pub use net::LossNet;
use net::{Voxel, sigmoid};
pub use table::Table;

use crate::formula::eval::Inputs;
use crate::formula::fingerprint::{Probe, SAMPLES, VOXELS};
use crate::formula::maps::{Map, Side, Unit};

/// To what a learned loss listens beside prediction and target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listens {
    /// Training progress.
    pub progress: bool,
    /// Distance to the rim of the target, in voxels.
    pub distance: bool,
}

impl Default for Listens {
    fn default() -> Self {
        Self { progress: true, distance: false }
    }
}

/// A loss that was learned.
#[derive(Debug, Clone, PartialEq)]
pub struct Learned {
    net: LossNet,
    listens: Listens,
}

/// Most features of a voxel.
const MOST: usize = 5;

/// Logits and distances are divided by this, so that features are of the order of 1.
const WIDE: f64 = 4.0;

impl Learned {
    /// A loss that has not learned anything.
    pub fn random(listens: Listens, hidden: usize, rng: &mut impl Rng) -> Self {
        Self { net: LossNet::random(listens.features(), hidden, rng), listens }
    }

    /// To what it listens.
    pub fn listens(&self) -> Listens {
        self.listens
    }

    /// The network.
    pub fn net(&self) -> &LossNet {
        &self.net
    }

    /// The weights of the network, to be moved.
    pub fn weights_mut(&mut self) -> &mut [f64] {
        self.net.weights_mut()
    }

    /// The loss of a voxel and dL/dlogit, from logit, target (0 or 1), progress and distance.
    pub fn at(&self, voxel: [f64; 4]) -> (f64, f64) {
        self.listens.with(voxel, |voxel| self.net.value_and_slope(voxel))
    }

    /// Adds `share` times the derivative of a voxel's dL/dlogit by every weight of the network.
    pub fn add_slope_gradient(&self, voxel: [f64; 4], share: f64, to: &mut [f64]) {
        self.listens.with(voxel, |voxel| self.net.add_slope_gradient(voxel, share, to));
    }

    /// The loss at a moment of a training.
    pub fn table(&self, progress: f64) -> Table {
        Table::new(self, progress)
    }

    /// dL/dlogit on all probes, as of any other loss.
    pub fn slopes(&self, probes: &[Probe]) -> Vec<f64> {
        let of = |probe: &Probe| -> Vec<f64> {
            let inputs: Inputs<'_, f64> = probe.inputs();
            let map = Map { of: Side::SignedTarget, unit: Unit::Voxel };
            let distances = if self.listens.distance { map.compute(&inputs, &probe.targets) } else { Vec::new() };
            let slope = |at: usize| {
                let distance = distances.get(at).copied().unwrap_or_default();
                let (_, slope) = self.at([probe.logits[at], probe.targets[at], probe.progress, distance]);
                slope / (SAMPLES * VOXELS) as f64
            };
            (0..probe.logits.len()).map(slope).collect()
        };
        probes.iter().flat_map(of).collect()
    }
}

impl Listens {
    /// Features of a voxel.
    fn features(self) -> usize {
        3 + usize::from(self.progress) + usize::from(self.distance)
    }

    /// The prediction twice, as a logit and as a probability: a loss may care about either, and neither can be made of the
    /// other by a few softplus units where the other saturates.
    fn with<T>(self, [logit, target, progress, distance]: [f64; 4], f: impl FnOnce(Voxel<'_>) -> T) -> T {
        let p = sigmoid(logit);
        let (mut said, mut moves) = ([0.0; MOST], [0.0; MOST]);
        said[..3].copy_from_slice(&[logit / WIDE, 2.0 * p - 1.0, 2.0 * target - 1.0]);
        moves[..2].copy_from_slice(&[1.0 / WIDE, 2.0 * p * (1.0 - p)]);
        let mut count = 3;
        for (is_heard, value) in [(self.progress, 2.0 * progress - 1.0), (self.distance, distance / WIDE)] {
            if is_heard {
                said[count] = value;
                count += 1;
            }
        }
        f(Voxel { said: &said[..count], moves: &moves[..count] })
    }
}

#[cfg(test)]
mod tests;
