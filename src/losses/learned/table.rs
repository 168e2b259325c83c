//! A learned loss at one moment of a training, as a table over logits (and distances, if it listens to them).
//!
//! At a moment a voxel's loss depends on its logit, its target and perhaps a distance. Targets are 0 or 1, and in between
//! the expectation of both, so that a table of a few hundred places says all: a step of a training looks up and never runs
//! the network per voxel. What is looked up is interpolated linearly, and so is what is learned from: the derivative by the
//! weights goes through the same shares.

use super::Learned;
use crate::formula::eval::Inputs;
use crate::formula::maps::{Map, Side, Unit};

/// Largest logit of the table; beyond it the slope stays.
const EDGE: f64 = 16.0;

/// Places along the logits.
const LOGITS: usize = 257;

/// Largest distance of the table in voxels, and places along the distances.
const FAR: f64 = 8.0;
const DISTANCES: usize = 33;

/// Values and slopes of both sides of the target, `[side][distance][logit]`.
pub struct Table {
    places: Vec<(f64, f64)>,
    distances: usize,
    progress: f64,
}

/// Four places at most and their shares in a voxel.
type Shares = [(usize, f64); 4];

/// A voxel among the places.
struct Spot {
    shares: Shares,
    /// How far the logit lies beyond the table.
    beyond: f64,
}

impl Table {
    pub(super) fn new(loss: &Learned, progress: f64) -> Self {
        let distances = if loss.listens.distance { DISTANCES } else { 1 };
        let mut table = Self { places: Vec::new(), distances, progress };
        table.places = (0..2 * distances * LOGITS).map(|place| loss.at(table.voxel(place))).collect();
        table
    }

    /// Logit, target, progress and distance of a place.
    fn voxel(&self, place: usize) -> [f64; 4] {
        let (logit, rest) = (place % LOGITS, place / LOGITS);
        let (distance, side) = (rest % self.distances, rest / self.distances);
        let along = |number: usize, count: usize, edge: f64| {
            if count == 1 { 0.0 } else { edge * (2.0 * number as f64 / (count - 1) as f64 - 1.0) }
        };
        [along(logit, LOGITS, EDGE), side as f64, self.progress, along(distance, self.distances, FAR)]
    }

    fn spot(&self, logit: f64, side: usize, distance: f64) -> Spot {
        let locate = |x: f64, count: usize, edge: f64| {
            if count == 1 {
                return (0, 0.0);
            }
            let at = (x.clamp(-edge, edge) + edge) / (2.0 * edge) * (count - 1) as f64;
            let floor = (at.floor() as usize).min(count - 2);
            (floor, at - floor as f64)
        };
        let (column, right) = locate(logit, LOGITS, EDGE);
        let (row, far) = locate(distance, self.distances, FAR);
        let place = |row: usize| (side * self.distances + row.min(self.distances - 1)) * LOGITS + column;
        let shares = [
            (place(row), (1.0 - right) * (1.0 - far)),
            (place(row) + 1, right * (1.0 - far)),
            (place(row + 1), (1.0 - right) * far),
            (place(row + 1) + 1, right * far),
        ];
        Spot { shares, beyond: logit - logit.clamp(-EDGE, EDGE) }
    }

    /// The loss, the mean over samples and classes of the means over voxels; dL/dlogit is written to `slopes`.
    pub fn gradient(&self, inputs: &Inputs<'_, f32>, slopes: &mut [f32]) -> f64 {
        slopes.fill(0.0);
        let mut loss = 0.0;
        self.walk(inputs, &mut |voxel, share, spot| {
            for (place, weight) in spot.shares {
                let (value, slope) = self.places[place];
                loss += share * weight * (value + slope * spot.beyond);
                slopes[voxel] += (share * weight * slope) as f32;
            }
        });
        loss
    }

    /// Adds the derivative by every weight of the sum over voxels of `shares` times dL/dlogit.
    pub fn add_slope_gradient(&self, loss: &Learned, inputs: &Inputs<'_, f32>, shares: &[f64], to: &mut [f64]) {
        let mut by_place = vec![0.0; self.places.len()];
        self.walk(inputs, &mut |voxel, share, spot| {
            for (place, weight) in spot.shares {
                by_place[place] += shares[voxel] * share * weight;
            }
        });
        for (place, share) in by_place.into_iter().enumerate().filter(|(_, share)| *share != 0.0) {
            loss.add_slope_gradient(self.voxel(place), share, to);
        }
    }

    /// Visits every voxel that counts, once for each side of which its target has a share: with its place, its share in
    /// the loss, and where it stands in the table.
    fn walk(&self, inputs: &Inputs<'_, f32>, visit: &mut dyn FnMut(usize, f64, &Spot)) {
        let voxels = inputs.voxels();
        let distances = (self.distances > 1).then(|| distances(inputs));
        let regions = inputs.samples * inputs.classes;
        for region in 0..regions {
            let sample = region / inputs.classes;
            let counts = |voxel: usize| inputs.mask.is_none_or(|mask| mask[sample * voxels + voxel]);
            let count = (0..voxels).filter(|voxel| counts(*voxel)).count().max(1);
            for voxel in (0..voxels).filter(|voxel| counts(*voxel)) {
                let at = region * voxels + voxel;
                let (logit, target) = (f64::from(inputs.logits[at]), f64::from(inputs.targets[at]));
                let distance = distances.as_ref().map_or(0.0, |map| map[at]);
                for (side, of_side) in [(0, 1.0 - target), (1, target)] {
                    if of_side > 0.0 {
                        let share = of_side / (count * regions) as f64;
                        visit(at, share, &self.spot(logit, side, distance));
                    }
                }
            }
        }
    }
}

/// Distance to the rim of the target in voxels, negative inside.
fn distances(inputs: &Inputs<'_, f32>) -> Vec<f64> {
    // The map of a target does not look at the prediction.
    Map { of: Side::SignedTarget, unit: Unit::Voxel }.compute(inputs, inputs.targets)
}
