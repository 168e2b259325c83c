//! Rotation, scale and shift of a patch, in millimetres where it matters.
//!
//! A drawn [`Placement`] says where in the volume each voxel of the patch comes from: `source = centre + M offset + t`.
//! M turns and scales in space, not in voxels, so a rotation on 1 x 1 x 4 mm stays a rotation. The patch is then sampled
//! straight from the volume: one interpolation, and real surroundings instead of empty corners.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::validate_range;
use crate::fault::{Fault, Result};

/// Ranges to draw from, uniformly.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Affine {
    /// Largest rotation about the axes i, j and k, in degrees to either side.
    pub rotation: [f64; 3],
    /// Range of the size factor; above one the anatomy grows.
    pub scale: (f64, f64),
    /// Largest shift along each axis, in voxels to either side.
    pub translation: f64,
}

impl Default for Affine {
    fn default() -> Self {
        Self { rotation: [10.0; 3], scale: (0.9, 1.1), translation: 4.0 }
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
    /// If a range is empty or not finite, or a scale is not positive.
    pub fn validate(&self) -> Result<()> {
        for angle in self.rotation {
            validate_range("affine.rotation", (0.0, angle), 0.0)?;
        }
        validate_range("affine.translation", (0.0, self.translation), 0.0)?;
        // Beyond a factor of ten the patch shows one voxel or the whole room.
        if !(self.scale.0 >= 0.1 && self.scale.0 <= self.scale.1 && self.scale.1 <= 10.0) {
            return Err(Fault::new("range cannot be drawn from")
                .field("affine.scale")
                .expected("0.1 <= low <= high <= 10")
                .found(format!("{:?}", self.scale)));
        }
        Ok(())
    }

    /// Draws a placement for voxels of `spacing` mm.
    pub fn draw(&self, spacing: [f64; 3], rng: &mut ChaCha8Rng) -> Placement {
        let angles = self.rotation.map(|limit| between(-limit, limit, rng).to_radians());
        let scale = between(self.scale.0, self.scale.1, rng);
        let shift = std::array::from_fn(|_| between(-self.translation, self.translation, rng));
        let turn = (0..3).map(|axis| rotation(axis, angles[axis])).reduce(|a, b| product(&a, &b)).unwrap_or(IDENTITY);
        let matrix = std::array::from_fn(|row| {
            std::array::from_fn(|column| turn[row][column] * spacing[column] / (spacing[row] * scale))
        });
        Placement { matrix, shift }
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

const IDENTITY: [[f64; 3]; 3] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];

/// Uniform; written out because an empty range is a legitimate "never".
fn between(low: f64, high: f64, rng: &mut ChaCha8Rng) -> f64 {
    low + (high - low) * rng.random::<f64>()
}

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

    #[test]
    fn distances_in_space_change_by_the_scale_alone() {
        let spacing = [1.0, 0.5, 4.0];
        let length = |v: [f64; 3]| v.iter().zip(spacing).map(|(x, s)| (x * s).powi(2)).sum::<f64>().sqrt();
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for _ in 0..50 {
            let ranges = Affine { rotation: [30.0; 3], scale: (1.25, 1.25), translation: 0.0 };
            let placement = ranges.draw(spacing, &mut rng);
            let offset = [3.0, -2.0, 1.5];
            assert!((length(placement.source(offset)) - length(offset) / 1.25).abs() < 1e-9);
        }
    }

    #[test]
    fn closed_ranges_leave_everything_in_place() {
        let still = Affine { rotation: [0.0; 3], scale: (1.0, 1.0), translation: 0.0 };
        let placement = still.draw([1.0, 2.0, 3.0], &mut ChaCha8Rng::seed_from_u64(1));
        assert_eq!(placement, Placement { matrix: IDENTITY, shift: [0.0; 3] });
        assert_eq!(rotation(0, 0.3)[1][2], -(0.3_f64.sin()));
    }
}
