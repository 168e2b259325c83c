//! Elastic deformation: soft tissue pushed about, smoothly and without folding.
//!
//! Points of a coarse grid are displaced at random, and cubic B-splines carry the displacements to all voxels (free-form
//! deformation, Rueckert et al., 1999). A displacement is at most 0.4 of the distance of two points, below which the map
//! is one to one (Choi and Lee, 2000), so that no structure can vanish or double. All in mm: on 1 x 1 x 4 mm, tissue moves
//! equally far in every direction. Defaults are those of `TorchIO` (7 points over about 300 mm, 7.5 mm) with nnU-Net's probability.

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{between, happens, validate_probability};
use crate::fault::{Fault, Result};
use crate::volume::resample::{Weights, weighted};

/// How often and how far tissue is moved.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Elastic {
    /// Probability for each patch.
    pub probability: f64,
    /// Distance of two points of the coarse grid, in mm.
    pub grid: f64,
    /// Largest displacement along each axis, to either side, in mm.
    pub displacement: f64,
}

impl Default for Elastic {
    fn default() -> Self {
        Self { probability: 0.2, grid: 50.0, displacement: 7.5 }
    }
}

/// Largest displacement as a share of the grid's distance.
const UNFOLDED: f64 = 0.4;

/// The displacements of the coarse grid over a patch.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Number of points along each axis.
    points: [usize; 3],
    /// Displacements along i, j and k, in voxels.
    displacements: [Vec<f32>; 3],
    /// Distance of two points in voxels along each axis.
    step: [f64; 3],
    /// The largest possible displacement along each axis, in voxels.
    pub reach: [f64; 3],
}

impl Elastic {
    /// Checks the numbers of a configuration.
    ///
    /// # Errors
    /// If the grid is finer than 5 mm or not finite, a displacement is negative or could fold space, or the probability is
    /// none.
    pub fn validate(&self) -> Result<()> {
        validate_probability("elastic.probability", self.probability)?;
        if !(self.grid >= 5.0 && self.grid.is_finite()) {
            return Err(Fault::new("grid is no distance that tissue deforms over")
                .field("elastic.grid")
                .expected("at least 5 mm")
                .found(self.grid));
        }
        if !(0.0..=UNFOLDED * self.grid).contains(&self.displacement) {
            return Err(Fault::new("displacement could fold space")
                .field("elastic.displacement")
                .expected(format!("0 to {} mm, {UNFOLDED} of the grid's {} mm", UNFOLDED * self.grid, self.grid))
                .found(self.displacement));
        }
        Ok(())
    }

    /// Draws a field for a patch of `shape` voxels of `spacing` mm, if there is to be one.
    pub fn draw(&self, shape: [usize; 3], spacing: [f64; 3], rng: &mut ChaCha8Rng) -> Option<Field> {
        happens(self.probability, rng).then(|| {
            // A point a voxel at most, on voxels coarser than the grid too: memory is bounded by the patch.
            let step = spacing.map(|spacing| (self.grid / spacing).max(1.0));
            // Whole cells that cover the patch; a spline needs one point more before and two after them.
            let points = [0, 1, 2].map(|axis| ((shape[axis] as f64 - 1.0) / step[axis]).ceil().max(1.0) as usize + 3);
            let reach = spacing.map(|spacing| self.displacement / spacing);
            let count = points.iter().product();
            let displacements =
                reach.map(|reach| (0..count).map(|_| between((-reach, reach), rng) as f32).collect::<Vec<f32>>());
            Field { points, displacements, step, reach }
        })
    }
}

impl Field {
    /// Displacements along i, j and k, in voxels, of every voxel of a patch of `shape`.
    pub fn over(&self, shape: [usize; 3]) -> [Vec<f32>; 3] {
        let tables = [0, 1, 2].map(|axis| splines(shape[axis], self.step[axis], self.points[axis]));
        [0, 1, 2].map(|axis| weighted(&self.displacements[axis], self.points, &tables))
    }
}

/// The cubic B-splines of the four points around each voxel.
fn splines(length: usize, step: f64, points: usize) -> Weights {
    let at = |place: usize| {
        let place = place as f64 / step;
        let cell = (place.floor() as usize).min(points - 4);
        let t = place - cell as f64;
        let weights = [
            (1.0 - t).powi(3),
            3.0 * t.powi(3) - 6.0 * t.powi(2) + 4.0,
            -3.0 * t.powi(3) + 3.0 * t.powi(2) + 3.0 * t + 1.0,
            t.powi(3),
        ];
        weights.into_iter().enumerate().map(|(n, weight)| (cell + n, (weight / 6.0) as f32)).collect()
    };
    (0..length).map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;

    #[test]
    fn impossible_deformations_are_refused() {
        let with = |grid, displacement| Elastic { probability: 1.0, grid, displacement }.validate();
        assert!(Elastic::default().validate().is_ok() && with(10.0, 4.0).is_ok());
        for (grid, displacement) in [(10.0, 4.1), (2.0, 0.1), (f64::NAN, 1.0), (20.0, -1.0), (f64::INFINITY, 1.0)] {
            assert!(with(grid, displacement).is_err(), "{grid} {displacement}");
        }
    }

    #[test]
    fn however_coarse_voxels_are_there_is_no_more_than_a_point_for_each() {
        let elastic = Elastic { probability: 1.0, ..Elastic::default() };
        let field = elastic.draw([16, 16, 4], [1000.0, 5000.0, 1e30], &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
        assert_eq!(field.points, [18, 18, 6]);
        assert!(field.over([16, 16, 4]).iter().flatten().all(|moved| moved.abs() <= 0.05), "in voxels of a metre");
    }

    proptest! {
        #[test]
        fn splines_share_one_and_the_map_never_folds(
            shape in prop::array::uniform3(1_usize..14),
            spacing in prop::array::uniform3(0.5_f64..5.0),
            grid in 5.0_f64..40.0,
            seed: u64,
        ) {
            let elastic = Elastic { probability: 1.0, grid, displacement: UNFOLDED * grid };
            let field = elastic.draw(shape, spacing, &mut ChaCha8Rng::seed_from_u64(seed)).unwrap();
            for (axis, length) in shape.into_iter().enumerate() {
                for row in splines(length, field.step[axis], field.points[axis]) {
                    prop_assert!((row.iter().map(|(_, weight)| weight).sum::<f32>() - 1.0).abs() < 1e-5);
                    prop_assert!(row.iter().all(|(point, weight)| *point < field.points[axis] && *weight >= -1e-6));
                }
            }
            let at = |[i, j, k]: [usize; 3]| (i * shape[1] + j) * shape[2] + k;
            for (axis, moved) in field.over(shape).iter().enumerate() {
                let reach = field.reach[axis] as f32 + 1e-4;
                prop_assert!(moved.iter().all(|step| step.abs() <= reach));
                // Neighbours along an axis keep their order along it.
                for i in 0..shape[0] {
                    for j in 0..shape[1] {
                        for k in 0..shape[2] {
                            let mut next = [i, j, k];
                            next[axis] += 1;
                            if next[axis] < shape[axis] {
                                let step = 1.0 + moved[at(next)] - moved[at([i, j, k])];
                                prop_assert!(step > 0.0, "{}", step);
                            }
                        }
                    }
                }
            }
        }
    }
}
