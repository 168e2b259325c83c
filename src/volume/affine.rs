//! From voxel indices to millimetres: the affine of a header, and when two grids are the same grid.
//!
//! One rule of precedence, that of the format's definition and of nibabel: `sform`, else `qform`, else axes through the
//! centre of the volume. Everything is plain arithmetic on twelve numbers that returns an error for impossible input;
//! a matrix library would add a type to convert and a panic to guard, and save nothing.

use super::Grid;
use crate::fault::{Fault, Result};

/// From voxel indices to scanner coordinates (RAS+, mm), row by row, without the last row (0, 0, 0, 1).
pub type Affine = [[f64; 4]; 3];

/// Two grids further apart than this are different grids, in mm: float noise of writers stays far below.
pub const TOLERANCE_MM: f64 = 1e-3;

/// Largest difference of two direction cosines of the same grid. Converters differ at 1e-8 to 1e-5; 1e-4 rad moves the
/// far corner of a 200 mm volume by 0.02 mm, which no annotation resolves.
pub const TOLERANCE_DIRECTION: f64 = 1e-4;

/// The affine of a unit quaternion (a, b, c, d), an offset and a spacing in mm, as NIfTI-1 defines `qform`:
/// `a = sqrt(1 - b² - c² - d²)` and the third column is multiplied by `qfac` (-1 or 1).
///
/// # Errors
/// If a number is not finite, or if (b, c, d) is longer than one by more than rounding: no rotation has it.
pub fn from_quaternion([b, c, d]: [f64; 3], offset: [f64; 3], spacing: [f64; 3], qfac: f64) -> Result<Affine> {
    let length = b * b + c * c + d * d;
    // Half turns have a = 0 and float32 entries, so their length may exceed one a little; 1e-3 is a generous "little".
    if !length.is_finite() || length > 1.0 + 1e-3 || offset.iter().any(|o| !o.is_finite()) {
        return Err(Fault::new("orientation is not a rotation")
            .field("quatern_b, quatern_c, quatern_d, qoffset")
            .expected("finite numbers with b² + c² + d² at most 1")
            .found(format!("b {b}, c {c}, d {d}, offset {offset:?}"))
            .hint("set the affine again from the scanner's export, or remove the qform (qform_code 0)"));
    }
    let scale = 1.0 / length.sqrt().max(1.0);
    let [b, c, d] = [b * scale, c * scale, d * scale];
    let a = (1.0 - (b * b + c * c + d * d)).max(0.0).sqrt();
    let rotation = [
        [a * a + b * b - c * c - d * d, 2.0 * (b * c - a * d), 2.0 * (b * d + a * c)],
        [2.0 * (b * c + a * d), a * a + c * c - b * b - d * d, 2.0 * (c * d - a * b)],
        [2.0 * (b * d - a * c), 2.0 * (c * d + a * b), a * a + d * d - b * b - c * c],
    ];
    let steps = [spacing[0], spacing[1], spacing[2] * qfac];
    Ok(std::array::from_fn(|row| {
        std::array::from_fn(|column| if column < 3 { rotation[row][column] * steps[column] } else { offset[row] })
    }))
}

/// The affine of a header that says nothing: axes left, anterior, superior, origin at the volume's centre. The flip of
/// the first axis is the format's radiological habit; nibabel does the same.
pub fn centred(shape: [usize; 3], spacing: [f64; 3]) -> Affine {
    let steps = [-spacing[0], spacing[1], spacing[2]];
    let mut affine = [[0.0; 4]; 3];
    for (axis, row) in affine.iter_mut().enumerate() {
        row[axis] = steps[axis];
        row[3] = -steps[axis] * (shape[axis] as f64 - 1.0) / 2.0;
    }
    affine
}

/// Length of each column, in mm: the spacing that the affine itself claims.
pub fn column_norms(affine: &Affine) -> [f64; 3] {
    std::array::from_fn(|column| affine.iter().map(|row| row[column].powi(2)).sum::<f64>().sqrt())
}

/// The affine, if its axes span space. A scanner's tilted gantry shears an image by 30 degrees at most, which leaves 0.87
/// of the volume that right angles would have.
///
/// # Errors
/// If the axes nearly lie in a plane.
pub fn upright(affine: Affine) -> Result<Affine> {
    let norms = column_norms(&affine);
    let [a, b, c] = affine.map(|row| std::array::from_fn::<f64, 3, _>(|column| row[column] / norms[column]));
    let volume =
        a[0] * (b[1] * c[2] - b[2] * c[1]) - a[1] * (b[0] * c[2] - b[2] * c[0]) + a[2] * (b[0] * c[1] - b[1] * c[0]);
    if volume.abs() >= 0.1 {
        return Ok(affine);
    }
    Err(Fault::new("axes of the image lie in a plane")
        .field("srow_x, srow_y, srow_z")
        .expected("three axes at angles to each other")
        .found(format!("unit steps that span a volume of {:.3}", volume.abs()))
        .hint("set the affine again from the scanner's export, or remove the sform (sform_code 0)"))
}

/// The grid of `shape` voxels that fills the same box as `grid`: outer faces stay, voxel centres move.
///
/// The alternative, keeping the first voxel's centre, cuts or adds half a voxel at the far faces, so that going there
/// and back again would shift the image.
#[must_use]
pub fn refilled(grid: &Grid, shape: [usize; 3]) -> Grid {
    let ratio: [f64; 3] = std::array::from_fn(|axis| grid.shape[axis] as f64 / shape[axis].max(1) as f64);
    let mut affine = grid.affine;
    for (row, old) in affine.iter_mut().zip(&grid.affine) {
        for axis in 0..3 {
            row[axis] = old[axis] * ratio[axis];
            row[3] += old[axis] * (ratio[axis] - 1.0) / 2.0;
        }
    }
    Grid { shape, spacing: std::array::from_fn(|axis| grid.spacing[axis] * ratio[axis]), affine }
}

/// How two grids differ, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What differs: shape, spacing, origin or direction.
    pub what: &'static str,
    /// The first grid's value, with its unit.
    pub first: String,
    /// The second grid's value, with its unit.
    pub second: String,
}

/// The first difference of two grids beyond [`TOLERANCE_MM`] and [`TOLERANCE_DIRECTION`]; `None` if they are the same.
pub fn difference(first: &Grid, second: &Grid) -> Option<Difference> {
    let differ = |a: &[f64], b: &[f64], tolerance: f64| {
        // Written so that NaN counts as a difference.
        !a.iter().zip(b).all(|(x, y)| (x - y).abs() <= tolerance)
    };
    let origin = |grid: &Grid| grid.affine.map(|row| row[3]);
    let direction = |grid: &Grid| {
        let norms = column_norms(&grid.affine);
        grid.affine.map(|row| std::array::from_fn::<f64, 3, _>(|column| row[column] / norms[column]))
    };
    if first.shape != second.shape {
        let text = |shape: [usize; 3]| format!("{} x {} x {} voxels", shape[0], shape[1], shape[2]);
        return Some(Difference { what: "shape", first: text(first.shape), second: text(second.shape) });
    }
    if differ(&first.spacing, &second.spacing, TOLERANCE_MM) {
        let text = |[i, j, k]: [f64; 3]| format!("{i} x {j} x {k} mm");
        return Some(Difference { what: "spacing", first: text(first.spacing), second: text(second.spacing) });
    }
    if differ(&origin(first), &origin(second), TOLERANCE_MM) {
        let text = |[x, y, z]: [f64; 3]| format!("({x}, {y}, {z}) mm");
        return Some(Difference { what: "origin", first: text(origin(first)), second: text(origin(second)) });
    }
    let (a, b) = (direction(first), direction(second));
    if differ(a.as_flattened(), b.as_flattened(), TOLERANCE_DIRECTION) {
        return Some(Difference { what: "direction", first: format!("{a:?}"), second: format!("{b:?}") });
    }
    None
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these values are exact")]
mod tests {
    use super::*;

    fn close(a: &Affine, b: &Affine) {
        for (x, y) in a.as_flattened().iter().zip(b.as_flattened()) {
            assert!((x - y).abs() < 1e-6, "{a:?} is not {b:?}");
        }
    }

    #[test]
    fn the_quaternion_rule_agrees_with_nibabel() {
        // nibabel 5.4.2: quatern (0.1, -0.2, 0.3), offset (-10, 20, 5.5), pixdim (-1, 1, 2, 3), get_qform().
        let affine = from_quaternion([0.1, -0.2, 0.3], [-10.0, 20.0, 5.5], [1.0, 2.0, 3.0], -1.0).unwrap();
        let nibabel = [
            [0.739_999_983, -1.192_834_26, 0.932_834_221, -10.0],
            [0.516_417_128, 1.599_999_97, 0.916_417_135, 20.0],
            [0.430_944_747, 0.130_944_73, -2.699_999_991, 5.5],
        ];
        close(&affine, &nibabel);
        // The same header with qform_code 0, get_best_affine().
        let base = [[-1.0, 0.0, 0.0, 1.5], [0.0, 2.0, 0.0, -4.0], [0.0, 0.0, 3.0, -7.5]];
        close(&centred([4, 5, 6], [1.0, 2.0, 3.0]), &base);
        // A quarter turn about the third axis sends the first axis to the second.
        let half = 0.5_f64.sqrt();
        let turn = from_quaternion([0.0, 0.0, half], [0.0; 3], [1.0; 3], 1.0).unwrap();
        close(&turn, &[[0.0, -1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]);
    }

    #[test]
    fn impossible_quaternions_are_errors_and_rounded_ones_are_not() {
        assert!(from_quaternion([1.0, 1.0, 0.0], [0.0; 3], [1.0; 3], 1.0).is_err());
        assert!(from_quaternion([f64::NAN, 0.0, 0.0], [0.0; 3], [1.0; 3], 1.0).is_err());
        assert!(from_quaternion([0.0; 3], [f64::INFINITY, 0.0, 0.0], [1.0; 3], 1.0).is_err());
        let turned = from_quaternion([1.000_01, 0.0, 0.0], [0.0; 3], [1.0; 3], 1.0).unwrap();
        close(&turned, &[[1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, -1.0, 0.0]]);
    }

    #[test]
    fn a_refilled_grid_has_the_same_box() {
        let mut grid = Grid::aligned([6, 5, 4], [1.0, 2.0, 3.0]);
        grid.affine = from_quaternion([0.1, -0.2, 0.3], [-10.0, 20.0, 5.5], grid.spacing, 1.0).unwrap();
        let other = refilled(&grid, [3, 10, 4]);
        let face = |grid: &Grid, corner: [f64; 3]| -> [f64; 3] {
            grid.affine
                .map(|row| row[3] + (0..3).map(|a| row[a] * (corner[a] * grid.shape[a] as f64 - 0.5)).sum::<f64>())
        };
        for corner in [[0.0; 3], [1.0, 0.0, 0.0], [1.0; 3]] {
            for (x, y) in face(&grid, corner).iter().zip(face(&other, corner)) {
                assert!((x - y).abs() < 1e-9);
            }
        }
        assert_eq!(other.spacing, [2.0, 1.0, 3.0]);
        assert!(difference(&grid, &refilled(&other, grid.shape)).is_none(), "there and back again is the same grid");
    }

    #[test]
    fn axes_must_span_space() {
        let sheared = [[1.0, 0.0, 0.5, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.75_f64.sqrt(), 0.0]];
        assert_eq!(upright(sheared).unwrap(), sheared);
        let flat = [[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]];
        assert!(upright(flat).unwrap_err().to_string().contains("lie in a plane"));
        assert!(upright([[0.0; 4]; 3]).is_err(), "no directions at all");
    }

    #[test]
    fn float_noise_is_the_same_grid_and_a_tilt_is_not() {
        let grid = Grid::aligned([4, 4, 4], [1.0, 1.0, 4.0]);
        let what = |change: fn(&mut Grid)| {
            let mut other = grid.clone();
            change(&mut other);
            difference(&grid, &other).map(|d| d.what)
        };
        assert_eq!(what(|_| ()), None);
        assert_eq!(what(|g| g.affine[0][1] = 1e-8), None);
        assert_eq!(what(|g| g.spacing[0] = 1.0005), None);
        assert_eq!(what(|g| g.affine[0][1] = 1e-3), Some("direction"));
        assert_eq!(what(|g| g.affine[2][3] = 0.1), Some("origin"));
        assert_eq!(what(|g| g.spacing[2] = 3.0), Some("spacing"));
        assert_eq!(what(|g| g.shape = [4, 4, 5]), Some("shape"));
        assert_eq!(what(|g| g.affine[1][3] = f64::NAN), Some("origin"));
    }
}
