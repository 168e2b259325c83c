//! A made-up spine: which tissue is at a point of space.
//!
//! Five vertebral bodies on a gently curved line with discs between them, posterior elements of the same marrow, spinal
//! canal and cord, muscle with fatty streaks, subcutaneous fat, a vessel and mottled viscera. Lengths are millimetres,
//! about those of a child's lower thoracic spine, so that five levels fit into a field of view of 80 mm.
//! Shapes are simple on purpose; it is size, gaps and look-alikes that make the task hard. Knows no voxels and no
//! intensities.

use std::f64::consts::TAU;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Vertebral bodies of every spine.
pub(super) const LEVELS: usize = 5;

/// What is at a point. Numbers are levels, from below.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Tissue {
    /// Marrow of a vertebral body: foreground.
    Marrow(usize),
    /// The thin dense shell of a body: foreground.
    Cortex(usize),
    /// The disc above a level (or below the lowest: `LEVELS`).
    Disc(usize),
    /// Pedicles, laminae, spinous processes: marrow as well, but not labelled.
    Posterior(usize),
    Canal,
    Cord,
    Muscle,
    Fat,
    Vessel,
    /// Viscera, by how fatty they are here, 0 to 1.
    Viscera(f64),
}

/// A smooth random field of mean 0 and variance about 1: a sum of plane waves.
#[derive(Debug, Clone)]
pub(super) struct Texture {
    waves: Vec<([f64; 3], f64)>,
}

impl Texture {
    /// Waves of about `length` mm.
    pub(super) fn draw(length: f64, rng: &mut ChaCha8Rng) -> Self {
        let mut wave = || {
            let height: f64 = between(-1.0, 1.0, rng);
            let (sine, cosine) = between(0.0, TAU, rng).sin_cos();
            let flat = (1.0 - height * height).sqrt();
            let number = TAU / (length * between(0.6, 1.6, rng));
            ([flat * cosine * number, flat * sine * number, height * number], between(0.0, TAU, rng))
        };
        Self { waves: (0..6).map(|_| wave()).collect() }
    }

    pub(super) fn at(&self, point: [f64; 3]) -> f64 {
        let wave = |(k, phase): &([f64; 3], f64)| (k[0] * point[0] + k[1] * point[1] + k[2] * point[2] + phase).cos();
        self.waves.iter().map(wave).sum::<f64>() * (2.0 / self.waves.len() as f64).sqrt()
    }
}

/// One vertebral body in its own frame: u up the spine, v backwards, w sideways.
#[derive(Debug, Clone)]
struct Body {
    centre: [f64; 3],
    /// Forward and sideways tilt as (sine, cosine).
    pitch: (f64, f64),
    roll: (f64, f64),
    /// Half height, half depth, half width.
    half: [f64; 3],
}

/// A point as a body sees it.
struct View {
    u: f64,
    v: f64,
    w: f64,
    /// Distance from the axis, 1 at the waist's rim.
    radius: f64,
    /// Distance of the end plate from the middle.
    plate: f64,
    /// How far inside the body, in mm; negative outside.
    depth: f64,
}

impl Body {
    /// The point in the body's frame.
    fn frame(&self, point: [f64; 3]) -> [f64; 3] {
        let [x, y, z] = [point[0] - self.centre[0], point[1] - self.centre[1], point[2] - self.centre[2]];
        let (along, v) = (x * self.pitch.1 + y * self.pitch.0, y * self.pitch.1 - x * self.pitch.0);
        [along * self.roll.1 + z * self.roll.0, v, z * self.roll.1 - along * self.roll.0]
    }

    fn view(&self, [u, v, w]: [f64; 3]) -> View {
        let [height, depth, width] = self.half;
        let side = (w / width).abs();
        // The back is flat to hollow where the canal runs.
        let hollow = if v > 0.0 { 1.5 * (v / depth).min(1.0) * (1.0 - side * side).max(0.0) } else { 0.0 };
        let radius = (((v.abs() + hollow) / depth).powf(2.6) + side.powf(2.6)).powf(1.0 / 2.6);
        let waist = 0.92 + 0.08 * (u / height).powi(2).min(1.0);
        let plate = height * (0.9 + 0.1 * radius.min(1.0).powi(2));
        let inside = (plate - u.abs()).min((waist - radius) * depth.min(width));
        View { u, v, w, radius, plate, depth: inside }
    }
}

/// One spine with its surroundings.
#[derive(Debug, Clone)]
pub(super) struct Spine {
    bodies: [Body; LEVELS],
    /// Half the distance between neighbouring bodies' plates.
    gap: f64,
    skin: f64,
    vessel: [f64; 2],
    soft: Texture,
}

impl Spine {
    pub(super) fn draw(rng: &mut ChaCha8Rng) -> Self {
        let size = between(0.94, 1.06, rng);
        let pitch = 19.0 * size;
        let gap = between(1.6, 2.2, rng);
        let start = between(-3.5, 3.5, rng);
        let (front, lean, bow) = (between(-10.0, -6.0, rng), between(-0.1, 0.1, rng), between(-5.0, 5.0, rng));
        let (side, tilt, scoliosis) = (between(-4.0, 4.0, rng), between(-0.06, 0.06, rng), between(-3.0, 3.0, rng));
        let bodies = std::array::from_fn(|level| {
            let up = pitch * (level as f64 - 2.0);
            let bend = up / 40.0;
            let centre =
                [start + up, front + lean * up + bow * bend * bend, side + tilt * up + scoliosis * bend * bend];
            let forward = (lean + 2.0 * bow * bend / 40.0).atan() + between(-0.05, 0.05, rng);
            let sideways = (tilt + 2.0 * scoliosis * bend / 40.0).atan() + between(-0.03, 0.03, rng);
            // Bodies grow downwards, as they do.
            let grown = size * (1.0 - 0.025 * (level as f64 - 2.0)) * between(0.96, 1.04, rng);
            let half = [
                pitch / 2.0 - gap * between(0.85, 1.15, rng),
                10.0 * grown * between(0.95, 1.05, rng),
                13.0 * grown * between(0.95, 1.05, rng),
            ];
            Body { centre, pitch: forward.sin_cos(), roll: sideways.sin_cos(), half }
        });
        Self {
            bodies,
            gap,
            skin: between(32.0, 36.0, rng),
            vessel: [front - between(15.0, 18.0, rng), side + between(-8.0, 8.0, rng)],
            soft: Texture::draw(14.0, rng),
        }
    }

    /// The tissue at `point`: mm upwards, backwards and sideways from the middle of the field of view.
    pub(super) fn at(&self, point: [f64; 3]) -> Tissue {
        let frames = self.bodies.each_ref().map(|body| body.frame(point));
        let level = (1..LEVELS)
            .fold(0, |near, level| if frames[level][0].abs() < frames[near][0].abs() { level } else { near });
        let view = self.bodies[level].view(frames[level]);
        if view.depth >= 0.0 {
            return if view.depth < 0.8 { Tissue::Cortex(level) } else { Tissue::Marrow(level) };
        }
        if view.radius <= 1.02 && view.u.abs() > view.plate {
            return Tissue::Disc(if view.u > 0.0 { level } else { level.checked_sub(1).unwrap_or(LEVELS) });
        }
        self.behind(level, &view).unwrap_or_else(|| self.around(point, &view))
    }

    /// Canal and posterior elements.
    fn behind(&self, level: usize, view: &View) -> Option<Tissue> {
        let [height, depth, width] = self.bodies[level].half;
        let back = view.v - depth;
        let canal = ((back - 6.5) / 6.0).powi(2) + (view.w / 8.0).powi(2);
        if canal <= 1.0 {
            let cord = ((back - 6.5) / 3.2).powi(2) + (view.w / 4.2).powi(2);
            return Some(if cord <= 1.0 { Tissue::Cord } else { Tissue::Canal });
        }
        let side = view.w.abs();
        let within = |value: f64, low: f64, high: f64| low <= value && value <= high;
        let pedicle = within(side, 0.5 * width, 0.85 * width)
            && within(back, -0.4 * depth, 13.0)
            && within(view.u, 0.0, 0.6 * height);
        let lamina = within(back, 12.0, 16.0) && side < 10.0 && view.u.abs() < 0.5 * height;
        let drop = view.u + 0.3 * (back - 14.0);
        let process = within(back, 14.0, 30.0) && side < 3.0 && within(drop, -0.8 * height, 0.1 * height);
        (pedicle || lamina || process).then_some(Tissue::Posterior(level))
    }

    /// Soft tissue.
    fn around(&self, point: [f64; 3], view: &View) -> Tissue {
        if point[1] > self.skin {
            return Tissue::Fat;
        }
        let texture = self.soft.at(point);
        let vessel = ((point[1] - self.vessel[0]).powi(2) + (point[2] - self.vessel[1]).powi(2)).sqrt();
        let psoas = (view.v / 9.0).powi(2) + ((view.w.abs() - 24.0) / 9.0).powi(2);
        if vessel < 5.0 {
            Tissue::Vessel
        } else if view.v > self.gap + 4.0 || psoas < 1.0 {
            if texture > 1.3 { Tissue::Fat } else { Tissue::Muscle }
        } else {
            Tissue::Viscera(1.0 / (1.0 + (-3.0 * texture).exp()))
        }
    }
}

pub(super) fn between(low: f64, high: f64, rng: &mut ChaCha8Rng) -> f64 {
    low + (high - low) * rng.random::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn going_up_the_axis_meets_bodies_and_discs_in_turn() {
        for seed in 0..20 {
            let spine = Spine::draw(&mut ChaCha8Rng::seed_from_u64(seed));
            let mut seen: Vec<Tissue> = Vec::new();
            for pair in spine.bodies.windows(2) {
                for step in 0..200 {
                    let t = f64::from(step) / 200.0;
                    let point = std::array::from_fn(|a| pair[0].centre[a] * (1.0 - t) + pair[1].centre[a] * t);
                    let tissue = spine.at(point);
                    if !matches!(tissue, Tissue::Cortex(_)) && seen.last() != Some(&tissue) {
                        seen.push(tissue);
                    }
                }
            }
            let turn = |level| [Tissue::Marrow(level), Tissue::Disc(level)];
            let mut expected: Vec<Tissue> = (0..LEVELS).flat_map(turn).collect();
            expected.pop();
            assert_eq!(seen, expected, "seed {seed}");
        }
    }

    #[test]
    fn texture_has_mean_zero_and_variance_one() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let values: Vec<f64> = (0..4000)
            .map(|_| {
                let texture = Texture::draw(10.0, &mut rng);
                texture.at(std::array::from_fn(|_| between(-40.0, 40.0, &mut rng)))
            })
            .collect();
        let mean = values.iter().sum::<f64>() / 4000.0;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 4000.0;
        assert!(mean.abs() < 0.06 && (variance - 1.0).abs() < 0.08, "{mean} {variance}");
    }
}
