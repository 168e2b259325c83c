//! From where a volume is seen.
//!
//! Guards that rays are parallel: what is equally long is equally long in the picture, near or far, and two pictures of one
//! case can be compared. Places are in mm along right, front and head, from the corner of the volume that is left, back and
//! below.

/// A place or a direction: towards the patient's right, front and head.
pub(super) type Vector = [f64; 3];

/// Where the eye is, in degrees around the patient.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View {
    /// 0 at the patient's left, 90 in front of him.
    pub azimuth: f64,
    /// 0 level, 90 above the head.
    pub elevation: f64,
}

impl View {
    /// Sagittal, turned towards the front and a little from above.
    pub const SAGITTAL: Self = Self { azimuth: 32.0, elevation: 18.0 };
}

/// Parallel rays through the pixels of a square.
#[derive(Debug, Clone, Copy)]
pub(super) struct Camera {
    middle: Vector,
    /// From the volume to the eye.
    pub towards: Vector,
    /// To the right in the picture.
    pub across: Vector,
    /// Up in the picture.
    pub up: Vector,
    /// Pixels per mm.
    scale: f64,
    size: [f64; 2],
}

impl Camera {
    /// Sees a box of `extent` mm whole, in `size` pixels of which `margin` are left free on every side.
    pub(super) fn new(view: View, extent: Vector, size: [usize; 2], margin: f64) -> Self {
        let (azimuth, elevation) = (view.azimuth.to_radians(), view.elevation.to_radians());
        let level = [-azimuth.cos(), azimuth.sin(), 0.0];
        let towards = add(times(elevation.cos(), level), [0.0, 0.0, elevation.sin()]);
        // From the patient's left, his front is to the left of the picture and his back to the right.
        let across = [-azimuth.sin(), -azimuth.cos(), 0.0];
        let up = cross(towards, across);
        let reach = |axis: Vector| (0..3).map(|n| (axis[n] * extent[n]).abs()).sum::<f64>().max(1e-9);
        let size = size.map(|n| n as f64);
        let scale = ((size[0] - 2.0 * margin) / reach(across)).min((size[1] - 2.0 * margin) / reach(up));
        Self { middle: times(0.5, extent), towards, across, up, scale, size }
    }

    /// The place in the plane through the middle of the volume that a point of the picture shows.
    pub(super) fn place(&self, [x, y]: [f64; 2]) -> Vector {
        let right = (x - self.size[0] / 2.0) / self.scale;
        let above = (self.size[1] / 2.0 - y) / self.scale;
        add(self.middle, add(times(right, self.across), times(above, self.up)))
    }

    /// Where a place is in the picture, and how near to the eye, in mm.
    pub(super) fn project(&self, place: Vector) -> ([f64; 2], f64) {
        let from = add(place, times(-1.0, self.middle));
        let x = self.size[0] / 2.0 + self.scale * dot(from, self.across);
        let y = self.size[1] / 2.0 - self.scale * dot(from, self.up);
        ([x, y], dot(from, self.towards))
    }
}

pub(super) fn add(a: Vector, b: Vector) -> Vector {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

pub(super) fn times(factor: f64, a: Vector) -> Vector {
    a.map(|n| factor * n)
}

pub(super) fn dot(a: Vector, b: Vector) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn cross(a: Vector, b: Vector) -> Vector {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

pub(super) fn unit(a: Vector) -> Vector {
    let length = dot(a, a).sqrt();
    if length > 0.0 { times(1.0 / length, a) } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOX: Vector = [100.0, 100.0, 100.0];

    fn shown(view: View, place: Vector) -> [f64; 2] {
        Camera::new(view, BOX, [400, 400], 10.0).project(place).0
    }

    #[test]
    fn from_the_left_the_front_is_left_and_the_head_up() {
        let left = View { azimuth: 0.0, elevation: 0.0 };
        let [front, back] = [[50.0, 100.0, 50.0], [50.0, 0.0, 50.0]].map(|place| shown(left, place));
        assert!(front[0] < 100.0 && back[0] > 300.0 && (front[1] - 200.0).abs() < 1e-9);
        assert!(shown(left, [50.0, 50.0, 100.0])[1] < 100.0);
        // In front of him his right is to the left.
        assert!(shown(View { azimuth: 90.0, elevation: 0.0 }, [100.0, 50.0, 50.0])[0] < 100.0);
        // What is at his left is nearer to the eye.
        let camera = Camera::new(View::SAGITTAL, BOX, [400, 400], 10.0);
        assert!(camera.project([0.0, 50.0, 50.0]).1 > camera.project([100.0, 50.0, 50.0]).1);
    }

    #[test]
    fn directions_are_at_right_angles_and_places_and_pixels_agree() {
        for view in [View::SAGITTAL, View { azimuth: 200.0, elevation: -40.0 }, View { azimuth: 0.0, elevation: 90.0 }]
        {
            let camera = Camera::new(view, [50.0, 80.0, 20.0], [300, 200], 5.0);
            for (a, b) in [(camera.towards, camera.across), (camera.towards, camera.up), (camera.across, camera.up)] {
                assert!(dot(a, b).abs() < 1e-12 && (dot(a, a) - 1.0).abs() < 1e-12);
            }
            let (pixel, depth) = camera.project(camera.place([123.0, 45.0]));
            assert!((pixel[0] - 123.0).abs() < 1e-9 && (pixel[1] - 45.0).abs() < 1e-9 && depth.abs() < 1e-9);
        }
    }

    #[test]
    fn every_corner_of_the_box_is_in_the_picture() {
        for azimuth in 0..12 {
            let view = View { azimuth: 30.0 * f64::from(azimuth), elevation: 25.0 };
            let camera = Camera::new(view, [30.0, 90.0, 60.0], [400, 300], 10.0);
            for corner in 0..8 {
                let place = [0, 1, 2].map(|n| if corner >> n & 1 == 1 { [30.0, 90.0, 60.0][n] } else { 0.0 });
                let [x, y] = camera.project(place).0;
                assert!((9.99..=390.01).contains(&x) && (9.99..=290.01).contains(&y), "{x} {y}");
            }
        }
    }
}
