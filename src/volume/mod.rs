//! Images as values: an array of voxels and the grid it stands on.
//!
//! Axes are the file's own axes (i, j, k of NIfTI), stored with the last one contiguous; spacing and affine follow the
//! same order, so no function here ever has to know which way is up. Distances are in millimetres.

pub mod affine;
pub mod components;
pub mod distance;
pub mod orientation;
pub mod planes;
pub mod relation;
pub mod resample;
pub mod surface;

use serde::{Deserialize, Serialize};

use crate::fault::{Fault, Result};

/// Where the voxels of an image stand in space.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grid {
    /// Number of voxels along each axis.
    pub shape: [usize; 3],
    /// Distance of neighbouring voxel centres along each axis, in mm, positive.
    pub spacing: [f64; 3],
    /// From voxel indices to scanner coordinates (RAS+, mm), row by row, without the last row (0, 0, 0, 1).
    pub affine: [[f64; 4]; 3],
}

impl Grid {
    /// A grid at the origin whose axes are those of space.
    pub fn aligned(shape: [usize; 3], spacing: [f64; 3]) -> Self {
        let mut affine = [[0.0; 4]; 3];
        for (axis, row) in affine.iter_mut().enumerate() {
            row[axis] = spacing[axis];
        }
        Self { shape, spacing, affine }
    }

    /// Number of voxels.
    pub fn voxels(&self) -> usize {
        self.shape.iter().product()
    }

    /// Length of the volume's diagonal between the outer faces of its corner voxels, in mm: the worst distance that a
    /// prediction can be wrong by.
    pub fn diagonal(&self) -> f64 {
        self.shape.iter().zip(self.spacing).map(|(n, s)| (*n as f64 * s).powi(2)).sum::<f64>().sqrt()
    }
}

/// One value per voxel of a grid.
#[derive(Debug, Clone, PartialEq)]
pub struct Volume<T> {
    /// The grid.
    pub grid: Grid,
    /// The values, `grid.voxels()` of them, last axis contiguous.
    pub voxels: Vec<T>,
}

impl<T> Volume<T> {
    /// Pairs a grid with its values.
    ///
    /// # Errors
    /// If the number of values is not the number of voxels.
    pub fn new(grid: Grid, voxels: Vec<T>) -> Result<Self> {
        if voxels.len() != grid.voxels() {
            return Err(Fault::new("number of values differs from the number of voxels")
                .expected(grid.voxels())
                .found(voxels.len()));
        }
        Ok(Self { grid, voxels })
    }

    /// Position of voxel (i, j, k) in `voxels`.
    #[inline]
    pub fn index(&self, [i, j, k]: [usize; 3]) -> usize {
        let [_, height, width] = self.grid.shape;
        (i * height + j) * width + k
    }

    /// A volume on the same grid, voxel by voxel.
    #[must_use]
    pub fn map<U>(&self, f: impl FnMut(&T) -> U) -> Volume<U> {
        Volume { grid: self.grid.clone(), voxels: self.voxels.iter().map(f).collect() }
    }
}
