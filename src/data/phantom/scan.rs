//! A made-up scanner: from anatomy to voxels.
//!
//! Each voxel is the mean over points inside it (partial volume), times a smooth coil sensitivity (bias field), as the
//! magnitude of a complex signal with Gaussian noise (Rician; Gudbjartsson and Patz, 1995), in whole numbers as scanners
//! store them. Tissue intensities are drawn per subject and overlap on purpose: marrow lies between muscle and fat, like
//! viscera, and a disc may look like the bodies that it separates.

use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::anatomy::{LEVELS, Spine, Texture, Tissue, between};
use crate::volume::{Grid, Volume};

/// Points per voxel along each axis; more along the last, whose voxels are the longest.
const POINTS: [usize; 3] = [2, 2, 3];

/// Stored value of a signal of one.
const GAIN: f64 = 1000.0;

/// What a subject looks like and how the scanner was tuned.
struct Scan {
    marrow: [f64; LEVELS],
    cortex: f64,
    disc: [f64; LEVELS + 1],
    muscle: f64,
    fat: f64,
    organ: f64,
    vessel: f64,
    canal: f64,
    cord: f64,
    mottle: Texture,
    /// Bias: exp of these times (x, y, z, x y, y²), coordinates from -1 to 1.
    bias: [f64; 5],
    noise: f64,
}

impl Scan {
    fn draw(rng: &mut ChaCha8Rng) -> Self {
        let marrow = between(0.48, 0.58, rng);
        Self {
            marrow: std::array::from_fn(|_| marrow + between(-0.05, 0.05, rng)),
            cortex: between(0.28, 0.42, rng),
            disc: std::array::from_fn(|_| marrow + between(-0.22, 0.16, rng)),
            muscle: between(0.36, 0.44, rng),
            fat: between(0.74, 0.86, rng),
            organ: between(0.40, 0.52, rng),
            vessel: if between(0.0, 1.0, rng) < 0.5 { marrow } else { 0.15 },
            canal: between(0.20, 0.32, rng),
            cord: between(0.42, 0.50, rng),
            mottle: Texture::draw(6.0, rng),
            bias: std::array::from_fn(|_| between(-0.15, 0.15, rng)),
            noise: between(0.04, 0.07, rng),
        }
    }

    fn signal(&self, tissue: Tissue, point: [f64; 3]) -> f64 {
        let mottled = |mean: f64| mean + 0.05 * self.mottle.at(point);
        match tissue {
            Tissue::Marrow(level) | Tissue::Posterior(level) => mottled(self.marrow[level]),
            Tissue::Cortex(_) => self.cortex,
            Tissue::Disc(level) => self.disc[level],
            Tissue::Canal => self.canal,
            Tissue::Cord => self.cord,
            Tissue::Muscle => mottled(self.muscle),
            Tissue::Fat => self.fat,
            Tissue::Vessel => self.vessel,
            Tissue::Viscera(fatty) => mottled(self.organ + fatty * (self.fat - self.organ)),
        }
    }

    fn sensitivity(&self, [x, y, z]: [f64; 3]) -> f64 {
        let terms = [x, y, z, x * y, y * y];
        self.bias.iter().zip(terms).map(|(b, t)| b * t).sum::<f64>().exp()
    }
}

/// Scans one spine: the image, and the mask with levels numbered from 1 at the lowest. A voxel belongs to the level that
/// fills at least half of it.
pub(super) fn scan(grid: &Grid, rng: &mut ChaCha8Rng) -> (Volume<i16>, Volume<u8>) {
    let (spine, scan) = (Spine::draw(rng), Scan::draw(rng));
    let mut image = Vec::with_capacity(grid.voxels());
    let mut mask = Vec::with_capacity(grid.voxels());
    let extent: [f64; 3] = std::array::from_fn(|axis| grid.shape[axis] as f64 * grid.spacing[axis]);
    // Middle of a voxel, or of the part `point` of `points` of it, from the middle of the field of view.
    let place = |axis: usize, voxel: usize, point: usize, points: usize| {
        (voxel as f64 + (point as f64 + 0.5) / points as f64) * grid.spacing[axis] - extent[axis] / 2.0
    };
    for i in 0..grid.shape[0] {
        for j in 0..grid.shape[1] {
            for k in 0..grid.shape[2] {
                let mut signal = 0.0;
                let mut filled = [0; LEVELS];
                for part in 0..POINTS.iter().product::<usize>() {
                    let [a, b, c] = [part / (POINTS[1] * POINTS[2]), part / POINTS[2] % POINTS[1], part % POINTS[2]];
                    let point = [place(0, i, a, POINTS[0]), place(1, j, b, POINTS[1]), place(2, k, c, POINTS[2])];
                    let tissue = spine.at(point);
                    signal += scan.signal(tissue, point);
                    if let Tissue::Marrow(level) | Tissue::Cortex(level) = tissue {
                        filled[level] += 1;
                    }
                }
                let points = POINTS.iter().product::<usize>();
                let voxel = [i, j, k];
                let unit = std::array::from_fn(|axis| place(axis, voxel[axis], 0, 1) / (extent[axis] / 2.0));
                let signal = signal / points as f64 * scan.sensitivity(unit);
                let (real, imaginary): (f64, f64) = (StandardNormal.sample(rng), StandardNormal.sample(rng));
                let magnitude = (signal + scan.noise * real).hypot(scan.noise * imaginary);
                image.push((magnitude * GAIN).round().clamp(0.0, f64::from(i16::MAX)) as i16);
                let level = filled.iter().position(|count| 2 * count >= points);
                mask.push(level.map_or(0, |level| level as u8 + 1));
            }
        }
    }
    (Volume { grid: grid.clone(), voxels: image }, Volume { grid: grid.clone(), voxels: mask })
}
