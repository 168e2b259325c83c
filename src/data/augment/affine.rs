//! Rotation, scale, shear and shift of a patch, in millimetres where it matters.
//!
//! A drawn [`Placement`] says where in the volume each voxel of the patch comes from: `source = centre + M offset + t`.
//! M turns, shears and scales in space, not in voxels, so a rotation on 1 x 1 x 4 mm stays a rotation. The patch is then
//! sampled straight from the volume: one interpolation, and real surroundings instead of empty corners. Defaults are those
//! of nnU-Net: 30 degrees, 0.7 to 1.4, neither shear nor shift, probability 0.2 (which it draws for turning and scaling
//! apart).

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{between, happens, validate_number, validate_probability, validate_range};
use crate::fault::Result;

/// Ranges to draw from, uniformly.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Affine {
    /// Probability for each patch.
    pub probability: f64,
    /// Largest rotation about the axes i, j and k, in degrees to either side.
    pub rotation: [f64; 3],
    /// Range of the size factor; above one the anatomy grows.
    pub scale: (f64, f64),
    /// Largest shear: how many mm a plane moves sideways for each mm of distance, for every pair of axes to either side.
    pub shear: f64,
    /// Largest shift along each axis, in voxels to either side.
    pub translation: f64,
}

impl Default for Affine {
    fn default() -> Self {
        Self { probability: 0.2, rotation: [30.0; 3], scale: (0.7, 1.4), shear: 0.0, translation: 0.0 }
    }
}

/// Where the voxels of a patch come from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placement {
    /// From offsets in the patch to offsets in the volume, both in voxels from their centres.
    pub matrix: [[f64; 3]; 3],
    /// Shift of the centre, in voxels.
    pub shift: [f64; 3],
}

impl Affine {
    /// Checks the numbers of a configuration.
    ///
    /// # Errors
    /// If a range is empty or not finite, a scale is not positive, or the probability is none.
    pub fn validate(&self) -> Result<()> {
        validate_probability("affine.probability", self.probability)?;
        // Six shears of a third can still not flatten space: each row of the matrix is dominated by its diagonal.
        validate_number("affine.shear", self.shear, (0.0, 0.33))?;
        for angle in self.rotation {
            validate_range("affine.rotation", (0.0, angle), 0.0)?;
        }
        validate_range("affine.translation", (0.0, self.translation), 0.0)?;
        // Beyond a factor of ten the patch shows one voxel or the whole room.
        validate_range("affine.scale", self.scale, 0.1)?;
        validate_number("affine.scale", self.scale.1, (0.1, 10.0))
    }

    /// Draws a placement for voxels of `spacing` mm, if there is to be one.
    pub fn draw(&self, spacing: [f64; 3], rng: &mut ChaCha8Rng) -> Option<Placement> {
        happens(self.probability, rng).then(|| {
            let angles = self.rotation.map(|limit| between((-limit, limit), rng).to_radians());
            let scale = between(self.scale, rng);
            let shift = [(); 3].map(|()| between((-self.translation, self.translation), rng));
            let mut shear = IDENTITY;
            for (row, column) in [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)] {
                shear[row][column] = between((-self.shear, self.shear), rng);
            }
            let turn = (0..3).map(|axis| rotation(axis, angles[axis])).fold(shear, |a, b| product(&a, &b));
            let matrix = std::array::from_fn(|row| {
                std::array::from_fn(|column| turn[row][column] * spacing[column] / (spacing[row] * scale))
            });
            Placement { matrix, shift }
        })
    }
}

impl Placement {
    /// The offset from the volume's centre that the patch shows at `offset` from its own, in voxels.
    #[inline]
    pub fn source(&self, offset: [f64; 3]) -> [f64; 3] {
        std::array::from_fn(|row| {
            self.shift[row] + (0..3).map(|column| self.matrix[row][column] * offset[column]).sum::<f64>()
        })
    }
}

impl Default for Placement {
    /// The patch where it is.
    fn default() -> Self {
        Self { matrix: IDENTITY, shift: [0.0; 3] }
    }
}

const IDENTITY: [[f64; 3]; 3] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];

/// Rotation by `angle` (radians) about `axis`.
fn rotation(axis: usize, angle: f64) -> [[f64; 3]; 3] {
    let (sine, cosine) = angle.sin_cos();
    let (next, after) = ((axis + 1) % 3, (axis + 2) % 3);
    let mut matrix = IDENTITY;
    (matrix[next][next], matrix[next][after]) = (cosine, -sine);
    (matrix[after][next], matrix[after][after]) = (sine, cosine);
    matrix
}

fn product(a: &[[f64; 3]; 3], b: &[[f64; 3]; 3]) -> [[f64; 3]; 3] {
    std::array::from_fn(|row| std::array::from_fn(|column| (0..3).map(|k| a[row][k] * b[k][column]).sum()))
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these values are exact")]
mod tests {
    use super::*;
    use rand::SeedableRng;

    const ALWAYS: Affine =
        Affine { probability: 1.0, rotation: [0.0; 3], scale: (1.0, 1.0), shear: 0.0, translation: 0.0 };

    #[test]
    fn distances_in_space_change_by_the_scale_alone() {
        let spacing = [1.0, 0.5, 4.0];
        let length = |v: [f64; 3]| v.iter().zip(spacing).map(|(x, s)| (x * s).powi(2)).sum::<f64>().sqrt();
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for _ in 0..50 {
            let ranges = Affine { rotation: [30.0; 3], scale: (1.25, 1.25), ..ALWAYS };
            let placement = ranges.draw(spacing, &mut rng).unwrap();
            let offset = [3.0, -2.0, 1.5];
            assert!((length(placement.source(offset)) - length(offset) / 1.25).abs() < 1e-9);
        }
    }

    #[test]
    fn a_shear_moves_planes_sideways_and_space_stays_upright() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let determinant = |[a, b, c]: [[f64; 3]; 3]| {
            a[0] * (b[1] * c[2] - b[2] * c[1]) - a[1] * (b[0] * c[2] - b[2] * c[0]) + a[2] * (b[0] * c[1] - b[1] * c[0])
        };
        for _ in 0..200 {
            let drawn = Affine { shear: 0.33, ..ALWAYS }.draw([1.0, 1.0, 4.0], &mut rng).unwrap();
            assert!(determinant(drawn.matrix) > 0.5 && (0..3).all(|axis| drawn.matrix[axis][axis] == 1.0));
            // 0.33 mm a mm are 1.32 voxels a slice of 4 mm.
            assert!(drawn.matrix[0][2].abs() <= 1.32 && drawn.matrix[0][1].abs() <= 0.33);
        }
    }

    #[test]
    fn closed_ranges_leave_everything_in_place() {
        let placement = ALWAYS.draw([1.0, 2.0, 3.0], &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
        assert_eq!(placement, Placement::default());
        assert_eq!(rotation(0, 0.3)[1][2], -(0.3_f64.sin()));
    }
}
