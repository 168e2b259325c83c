//! What a ray sees: a shaded surface, a slice of the image, both, or paper.
//!
//! Guards that shading explains shape and nothing else: a point's colour is what it means times how it is lit. A ray walks
//! along the signed distance, which says how far it may go without meeting the surface; half of that is safe also where
//! slices are far apart and distances therefore too long. Colours are mixed as light and not as the numbers of a file, so
//! edges are as dark as their share.

use super::body::Body;
use super::view::{Camera, Vector, add, dot, times, unit};
use crate::report::slices::grey;
use crate::volume::{Volume, resample};

/// Red, green and blue as light, 0 to 1.
pub(super) type Light = [f64; 3];

/// How much of a body is seen through the slice in front of it.
const THROUGH: f64 = 0.4;

/// A slice of the image from front to back, and where it stands.
pub(super) struct Sheet<'a> {
    /// The image, with axes that run to the right, front and head.
    pub image: &'a Volume<f32>,
    /// Intensities that are black and white.
    pub window: [f32; 2],
    /// The number of the slice along the first axis.
    pub slice: usize,
}

/// What a ray meets.
pub(super) struct Seen {
    /// Its colour.
    pub light: Light,
    /// How near to the eye, in mm from the middle; negative infinity for paper.
    pub depth: f64,
}

/// Follows the ray of a point of the picture.
pub(super) fn trace(
    camera: &Camera,
    sheet: &Sheet<'_>,
    body: Option<&Body>,
    paint: &dyn Fn(Vector) -> Light,
    pixel: [f64; 2],
) -> Seen {
    let start = camera.place(pixel);
    let at = |depth: f64| add(start, times(depth, camera.towards));
    let surface = body.and_then(|body| meet(body, start, camera.towards).map(|depth| (body, depth)));
    let lit = surface.map(|(body, depth)| {
        let place = at(depth);
        (shade(camera, body, place, paint(place)), depth)
    });
    let slice = sheet.meet(start, camera.towards);
    match (lit, slice) {
        (None, None) => Seen { light: [1.0; 3], depth: f64::NEG_INFINITY },
        (Some((light, depth)), None) | (None, Some((light, depth))) => Seen { light, depth },
        (Some((light, depth)), Some((_, before))) if depth >= before => Seen { light, depth },
        (Some((behind, _)), Some((light, depth))) => {
            let light = [0, 1, 2].map(|n| THROUGH * behind[n] + (1.0 - THROUGH) * light[n]);
            Seen { light, depth }
        }
    }
}

impl Sheet<'_> {
    /// Where the slice is, in mm.
    pub(super) fn position(&self) -> f64 {
        (self.slice as f64 + 0.5) * self.image.grid.spacing[0]
    }

    fn meet(&self, start: Vector, towards: Vector) -> Option<(Light, f64)> {
        if towards[0].abs() < 1e-9 {
            return None;
        }
        let depth = (self.position() - start[0]) / towards[0];
        let place = add(start, times(depth, towards));
        let grid = &self.image.grid;
        let inside = |axis: usize| (0.0..grid.shape[axis] as f64 * grid.spacing[axis]).contains(&place[axis]);
        if !inside(1) || !inside(2) {
            return None;
        }
        // The outer half of the outermost voxels repeats their centres.
        let index = |axis: usize| (place[axis] / grid.spacing[axis] - 0.5).clamp(0.0, grid.shape[axis] as f64 - 1.0);
        let value = resample::linear_at(self.image, [0; 3], [self.slice as f64, index(1), index(2)]);
        Some(([linear(grey(value, self.window)); 3], depth))
    }
}

/// Where a ray from the eye first meets the surface.
fn meet(body: &Body, start: Vector, towards: Vector) -> Option<f64> {
    let (far, near) = through(body.bounds(), start, towards)?;
    let at = |depth: f64| body.distance(add(start, times(depth, towards)));
    let least = 0.25 * body.finest();
    let (mut before, mut depth) = (near, near);
    while depth > far {
        let distance = at(depth);
        if distance < 0.0 {
            let (mut outside, mut inside) = (before, depth);
            for _ in 0..8 {
                let middle = f64::midpoint(outside, inside);
                if at(middle) < 0.0 { inside = middle } else { outside = middle }
            }
            return Some(outside);
        }
        before = depth;
        depth -= (0.5 * distance).max(least);
    }
    None
}

/// The stretch of a ray within a box, the far end first.
fn through([low, high]: [Vector; 2], start: Vector, towards: Vector) -> Option<(f64, f64)> {
    let (mut far, mut near) = (f64::NEG_INFINITY, f64::INFINITY);
    for axis in 0..3 {
        if towards[axis].abs() < 1e-12 {
            if start[axis] < low[axis] || start[axis] > high[axis] {
                return None;
            }
            continue;
        }
        let ends = [low, high].map(|end| (end[axis] - start[axis]) / towards[axis]);
        far = far.max(ends[0].min(ends[1]));
        near = near.min(ends[0].max(ends[1]));
    }
    (far < near).then_some((far, near))
}

/// A colour as it is lit at a place: from the upper left, from the eye, a little from everywhere, less in hollows, with a
/// faint highlight.
fn shade(camera: &Camera, body: &Body, place: Vector, colour: Light) -> Light {
    let normal = unit(body.slope(place));
    let lamp = unit(add(add(times(-0.5, camera.across), times(0.65, camera.up)), times(0.8, camera.towards)));
    let lit = dot(normal, lamp).max(0.0);
    let facing = dot(normal, camera.towards).max(0.0);
    let hollow: f64 = [(1.0, 0.5), (2.5, 0.3), (5.0, 0.2)]
        .into_iter()
        .map(|(steps, weight)| {
            let reach = steps * body.finest();
            weight * (1.0 - body.distance(add(place, times(reach, normal))) / reach).clamp(0.0, 1.0)
        })
        .sum();
    let brightness = (0.16 + 0.68 * lit + 0.22 * facing) * (1.0 - 0.55 * hollow);
    let half = unit(add(lamp, camera.towards));
    let highlight = 0.1 * dot(normal, half).max(0.0).powi(24);
    colour.map(|channel| (channel * brightness + highlight).min(1.0))
}

/// A value of a file (0 to 1) as light: the curve of sRGB.
pub(super) fn linear(value: f64) -> f64 {
    if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
}

/// Light as a value of a file, 0 to 255.
pub(super) fn encoded(light: f64) -> u8 {
    let value = if light <= 0.003_130_8 { 12.92 * light } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 };
    (255.0 * value.clamp(0.0, 1.0)).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::scene::ball;
    use crate::report::slices::around;
    use crate::volume::Grid;

    #[test]
    fn a_ray_meets_a_ball_where_geometry_says() {
        let grid = Grid::aligned([30; 3], [1.0; 3]);
        let mask = ball(&grid, [15.0; 3], 9.0, 1);
        let body = Body::of(&mask, &around([&mask, &mask], 0.0)).unwrap();
        let towards = unit([-1.0, 0.5, 0.3]);
        let met = meet(&body, [15.0; 3], towards).unwrap();
        assert!((met - 9.0).abs() < 0.6, "{met}");
        assert!(body.distance(add([15.0; 3], times(met, towards))).abs() < 0.05);
        // A ray that passes by, and one that never enters the box.
        assert!(meet(&body, [15.0, 15.0 + 9.0, 15.0 + 9.0], [-1.0, 0.0, 0.0]).is_none());
        assert!(meet(&body, [15.0, 100.0, 15.0], [-1.0, 0.0, 0.0]).is_none());
    }

    #[test]
    fn light_and_numbers_of_files_are_inverse() {
        for value in 0..=255_u8 {
            assert_eq!(encoded(linear(f64::from(value) / 255.0)), value);
        }
    }
}
