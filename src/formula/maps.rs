//! Distance maps: how far every voxel is from the border of the target or of the prediction.
//!
//! Guards the conventions of the distance losses. A map of a class that is absent or that fills its volume is 0: there is
//! no border to be far from (and `SciPy` 1.17 would measure to a phantom voxel). A prediction is p > 0.5, strictly. No
//! gradient flows through a map. Maps are computed from what the loss is given: of a patch, the borders inside it.

use rayon::prelude::*;

use super::eval::{Inputs, Sample};
use super::real::Real;
use crate::volume::distance::distance;
use crate::volume::surface::edge;
use crate::volume::{Grid, Volume};

/// What is measured, and in which unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Map {
    /// From what.
    pub of: Side,
    /// In what.
    pub unit: Unit,
}

/// From what a distance is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// From the target: positive outside, 0 at its rim, negative inside (Kervadec et al. 2019).
    SignedTarget,
    /// From the border of the target, whichever side the voxel is on: at least one voxel (Karimi and Salcudean 2019).
    Target,
    /// The same for the prediction.
    Prediction,
}

/// Unit of a distance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Every voxel a cube of side 1.
    Voxel,
    /// By the spacing of the sample.
    Millimetre,
}

impl Map {
    /// The map of every sample and class, `[samples, classes, voxels]`. `p` are the predicted probabilities.
    pub fn compute<T: Sample, R: Real>(self, inputs: &Inputs<'_, T>, p: &[R]) -> Vec<f64> {
        let voxels: usize = inputs.shape.iter().product();
        let mut out = vec![0.0; p.len()];
        out.par_chunks_mut(voxels).enumerate().for_each(|(region, out)| {
            let sample = region / inputs.classes;
            let spacing = match self.unit {
                Unit::Voxel => [1.0; 3],
                Unit::Millimetre => inputs.spacing.get(sample).copied().unwrap_or([1.0; 3]),
            };
            let range = region * voxels..(region + 1) * voxels;
            let valid = |v: usize| inputs.mask.is_none_or(|mask| mask[sample * voxels + v]);
            let inside: Vec<bool> = match self.of {
                Side::Prediction => p[range].iter().enumerate().map(|(v, p)| p.wide() > 0.5 && valid(v)).collect(),
                _ => inputs.targets[range].iter().enumerate().map(|(v, y)| (*y).into() > 0.5 && valid(v)).collect(),
            };
            let inside = Volume { grid: Grid::aligned(inputs.shape, spacing), voxels: inside };
            if let Some(map) = self.of_mask(&inside) {
                out.copy_from_slice(&map);
            }
        });
        out
    }

    /// `None` if there is no border.
    fn of_mask(self, inside: &Volume<bool>) -> Option<Vec<f64>> {
        let to_outside = distance(&inside.map(|m| !m))?.voxels;
        let to_inside = distance(inside)?.voxels;
        if self.of != Side::SignedTarget {
            // One of the two is 0 at every voxel.
            return Some(to_inside.iter().zip(to_outside).map(|(a, b)| a + b).collect());
        }
        let depth = match self.unit {
            // One voxel less, which puts the rim at 0.
            Unit::Voxel => to_outside.iter().map(|d| (d - 1.0).max(0.0)).collect(),
            // One voxel has no length of its own here; 1 mm would turn whole objects positive at fine spacings. The
            // depth below the rim, which is 0 at the rim for any spacing.
            Unit::Millimetre => distance(&edge(inside))?.voxels,
        };
        let signed = |((inside, outer), depth): ((&bool, f64), f64)| if *inside { -depth } else { outer };
        Some(inside.voxels.iter().zip(to_inside).zip(depth).map(signed).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(of: Side, unit: Unit, targets: &[f64], spacing: [f64; 3]) -> Vec<f64> {
        let logits = vec![0.0; targets.len()];
        let inputs =
            Inputs { shape: [1, 1, targets.len()], spacing: &[spacing], ..Inputs::new(1, 1, &logits, targets) };
        Map { of, unit }.compute(&inputs, &logits)
    }

    #[test]
    fn the_rim_is_zero_in_either_unit() {
        let line = [0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0];
        let voxels = map(Side::SignedTarget, Unit::Voxel, &line, [1.0; 3]);
        assert_eq!(voxels, [2.0, 1.0, 0.0, -1.0, -2.0, -1.0, 0.0, 1.0]);
        // In a line every voxel has faces towards the outside of the image.
        let mm = map(Side::SignedTarget, Unit::Millimetre, &line, [1.0, 1.0, 0.5]);
        assert_eq!(mm, [1.0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5]);
    }

    #[test]
    fn fine_spacing_does_not_turn_the_inside_positive() {
        let cube = |v: usize| (1..6).contains(&(v / 49)) && (1..6).contains(&(v / 7 % 7)) && (1..6).contains(&(v % 7));
        let targets: Vec<f64> = (0..343).map(|v| f64::from(cube(v))).collect();
        let logits = vec![0.0; 343];
        let inputs = Inputs { shape: [7; 3], spacing: &[[0.4; 3]], ..Inputs::new(1, 1, &logits, &targets) };
        let map = Map { of: Side::SignedTarget, unit: Unit::Millimetre }.compute(&inputs, &logits);
        assert!((map[3 * 49 + 3 * 7 + 3] + 0.8).abs() < 1e-12 && (map[0] - 0.4 * 3f64.sqrt()).abs() < 1e-12);
        assert!(targets.iter().zip(map).all(|(y, phi)| if *y > 0.0 { phi <= 0.0 } else { phi > 0.0 }));
    }

    #[test]
    fn without_a_border_there_is_no_distance() {
        for targets in [[0.0; 4], [1.0; 4]] {
            for of in [Side::SignedTarget, Side::Target, Side::Prediction] {
                assert_eq!(map(of, Unit::Voxel, &targets, [1.0; 3]), [0.0; 4]);
            }
        }
    }

    #[test]
    fn both_sides_of_a_border_are_a_voxel_away() {
        assert_eq!(map(Side::Target, Unit::Voxel, &[0.0, 0.0, 1.0, 1.0], [1.0; 3]), [2.0, 1.0, 1.0, 2.0]);
    }
}
