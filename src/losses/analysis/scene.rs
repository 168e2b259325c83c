//! A target and a prediction of it, made by growing, shrinking, moving and softening masks.
//!
//! Guards that an error is as large as it says: masks grow and shrink by the exact Euclidean distance of voxel centres,
//! in voxels. A voxel is 1 mm, so losses in voxels and in mm agree.

use crate::formula::eval::{Inputs, gradient, value};
use crate::formula::plan::Plan;
use crate::volume::Volume;
use crate::volume::distance::distance;

/// What a network would say: how fast logits rise with the distance from the predicted border, and where they stop.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Confidence {
    /// Logit per voxel of distance.
    pub per_voxel: f64,
    /// Largest logit, either way.
    pub most: f64,
}

/// A trained network: p = 0.95 half a voxel inside of a border, nearly 0 or 1 beyond.
pub const SURE: Confidence = Confidence { per_voxel: 6.0, most: 10.0 };

/// A network in training: nowhere more certain than 0.95, so that no gradient is hidden by saturation.
pub const UNSURE: Confidence = Confidence { per_voxel: 2.0, most: 3.0 };

/// One class of one sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    /// Depth, height and width.
    pub shape: [usize; 3],
    /// 0 or 1.
    pub targets: Vec<f64>,
    /// What is predicted.
    pub logits: Vec<f64>,
}

impl Scene {
    /// A target of which the mask `prediction` was predicted.
    pub fn new(target: &Volume<bool>, prediction: &Volume<bool>, confidence: Confidence) -> Self {
        Self {
            shape: target.grid.shape,
            targets: target.voxels.iter().map(|m| f64::from(u8::from(*m))).collect(),
            logits: soften(prediction, confidence),
        }
    }

    /// The loss.
    pub fn value(&self, plan: &Plan, progress: f64) -> f64 {
        value(plan, &self.inputs(progress))
    }

    /// dL/dlogit of every voxel.
    pub fn gradient(&self, plan: &Plan, progress: f64) -> Vec<f64> {
        let mut slopes = vec![0.0; self.logits.len()];
        gradient(plan, &self.inputs(progress), &mut slopes);
        slopes
    }

    fn inputs(&self, progress: f64) -> Inputs<'_, f64> {
        Inputs { progress, shape: self.shape, ..Inputs::new(1, 1, &self.logits, &self.targets) }
    }
}

/// The mask grown by so many voxels, shrunk if negative.
#[must_use]
pub fn grown(mask: &Volume<bool>, voxels: f64) -> Volume<bool> {
    let keep = |from: &Volume<bool>, far: bool| match distance(from) {
        Some(map) => map.map(|d| (*d > voxels.abs()) == far),
        // Nothing to be far from: nothing grows out of nothing, and all of a full mask is far from its outside.
        None => mask.clone(),
    };
    if voxels < 0.0 { keep(&mask.map(|m| !m), true) } else { keep(mask, false) }
}

/// The mask moved by so many voxels along height and width; what leaves the grid is lost.
#[must_use]
pub fn shifted(mask: &Volume<bool>, [down, right]: [usize; 2]) -> Volume<bool> {
    let [_, height, width] = mask.grid.shape;
    let mut moved = mask.map(|_| false);
    for voxel in (0..mask.voxels.len()).filter(|v| mask.voxels[*v]) {
        let [i, j, k] = [voxel / (height * width), voxel / width % height + down, voxel % width + right];
        if j < height && k < width {
            let at = moved.index([i, j, k]);
            moved.voxels[at] = true;
        }
    }
    moved
}

/// Logits by the distance to the border of the mask, which runs halfway between voxels.
fn soften(mask: &Volume<bool>, Confidence { per_voxel, most }: Confidence) -> Vec<f64> {
    let far = |map: Option<Volume<f64>>| map.map_or(vec![f64::INFINITY; mask.voxels.len()], |map| map.voxels);
    let (to_inside, to_outside) = (far(distance(mask)), far(distance(&mask.map(|m| !m))));
    let logit = |((inside, outer), inner): ((&bool, f64), f64)| {
        let depth = if *inside { inner - 0.5 } else { 0.5 - outer };
        (per_voxel * depth).clamp(-most, most)
    };
    mask.voxels.iter().zip(to_inside).zip(to_outside).map(logit).collect()
}

#[cfg(test)]
mod tests {
    use super::super::shapes::ball;
    use super::*;

    #[test]
    fn masks_grow_and_shrink_by_the_distance_of_voxels() {
        for radius in [1.0, 2.0, 4.5] {
            assert_eq!(grown(&ball(15, 0.0), radius), ball(15, radius));
        }
        let start = ball(15, 3.0);
        let holds =
            |large: &Volume<bool>, small: &Volume<bool>| large.voxels.iter().zip(&small.voxels).all(|(l, s)| l >= s);
        assert!(holds(&grown(&grown(&start, 2.0), -2.0), &start), "closing adds");
        assert!(holds(&start, &grown(&grown(&start, -2.0), 2.0)), "opening takes away");
        assert!(grown(&start, -2.0).voxels.contains(&true));
        assert!(!grown(&start, -4.0).voxels.contains(&true));
        let empty = start.map(|_| false);
        assert_eq!(grown(&empty, 2.0), empty);
        let full = start.map(|_| true);
        assert_eq!(grown(&full, -2.0), full);
    }

    #[test]
    fn a_shift_moves_and_loses_nothing_inside() {
        let start = ball(9, 2.0);
        let moved = shifted(&start, [1, 2]);
        assert!(moved.voxels[moved.index([4, 5, 6])] && moved.voxels[moved.index([4, 5, 8])]);
        assert_eq!(moved.voxels.iter().filter(|m| **m).count(), 33);
        assert!(!shifted(&start, [0, 9]).voxels.contains(&true));
    }

    #[test]
    fn logits_change_sign_at_the_border() {
        let mask = ball(9, 2.0);
        let scene = Scene::new(&mask, &mask, SURE);
        assert!(mask.voxels.iter().zip(&scene.logits).all(|(m, z)| *m == (*z > 0.0) && z.abs() >= 3.0));
        let nothing = Scene::new(&mask, &mask.map(|_| false), SURE);
        assert!(nothing.logits.iter().all(|z| *z == -10.0));
    }
}
