//! A case to look at: three planes through it, grey, with the contours of masks.
//!
//! Panels are sagittal, coronal and axial, as nearly as the axes of the file run, and look as radiologists are used to:
//! head up, patient's right on the left, front on the left or up; letters at the edges say so. A millimetre is as long in
//! every panel and direction, so thick slices look as thick as they are. Axes are permuted and flipped, never turned in
//! between. A contour runs half-way between the voxels of a label and all others (marching squares), so what is seen is the
//! mask and not a smoothed opinion of it.

use std::ops::Range;

use super::raster::{Colour, LINE, Raster, text_width};
use crate::volume::orientation::Orientation;
use crate::volume::{Grid, Volume, resample};

/// Pixels of the longest side of a panel.
const LONGEST: f64 = 420.0;

/// Pixels between panels.
pub(super) const GAP: usize = 6;

/// A box of voxels, along the axes of the file.
pub type Region = [Range<usize>; 3];

/// Colours of labels and their names, by the place of a label among those that occur.
pub const COLOURS: [(&str, Colour); 8] = [
    ("red", [255, 64, 64]),
    ("green", [64, 220, 64]),
    ("blue", [80, 140, 255]),
    ("yellow", [255, 220, 0]),
    ("magenta", [255, 80, 255]),
    ("cyan", [0, 230, 230]),
    ("orange", [255, 150, 0]),
    ("white", [255, 255, 255]),
];

/// The letters of the directions to the left and up, of the sagittal, coronal and axial panel.
const LETTERS: [[&str; 2]; 3] = [["A", "S"], ["R", "S"], ["R", "A"]];

/// For each panel the directions along columns and rows: 0 for left-right, 1 for front-back, 2 for feet-head.
const PANELS: [[usize; 2]; 3] = [[1, 2], [0, 2], [0, 1]];

/// A mask and how its contours are drawn.
pub struct Layer<'a> {
    /// The mask, on the grid of the image.
    pub mask: &'a Volume<u8>,
    /// The labels that have a contour, and its colour.
    pub colours: Vec<(u8, Colour)>,
    /// Width of the contour in pixels.
    pub width: f64,
}

/// The voxel through which the planes go: on each axis the slice with most labelled voxels, or the middle one.
pub fn centre(grid: &Grid, mask: Option<&Volume<u8>>) -> [usize; 3] {
    let [_, height, width] = grid.shape;
    let mut counts = grid.shape.map(|n| vec![0_usize; n]);
    if let Some(mask) = mask.filter(|mask| mask.grid.shape == grid.shape) {
        for (index, _) in mask.voxels.iter().enumerate().filter(|(_, value)| **value > 0) {
            let place = [index / (height * width), index / width % height, index % width];
            (0..3).for_each(|axis| counts[axis][place[axis]] += 1);
        }
    }
    std::array::from_fn(|axis| {
        let most = counts[axis].iter().max().copied().unwrap_or(0);
        let middle = grid.shape[axis] / 2;
        // The middle one of the best: a box has many slices that are equally full.
        let best: Vec<usize> = (0..counts[axis].len()).filter(|slice| counts[axis][*slice] == most).collect();
        if most == 0 { middle } else { best[best.len() / 2] }
    })
}

/// The whole image.
pub fn everything(grid: &Grid) -> Region {
    grid.shape.map(|n| 0..n)
}

/// The box around all labelled voxels of some masks, with `margin` (a share of its longest side in mm) on every side as
/// far as the image reaches; the whole image if nothing is labelled.
pub fn around(masks: [&Volume<u8>; 2], margin: f64) -> Region {
    let grid = &masks[0].grid;
    let [_, height, width] = grid.shape;
    let mut found: Option<Region> = None;
    for mask in masks {
        for (index, _) in mask.voxels.iter().enumerate().filter(|(_, value)| **value > 0) {
            let place = [index / (height * width), index / width % height, index % width];
            let region = found.get_or_insert_with(|| place.map(|n| n..n + 1));
            for (range, n) in region.iter_mut().zip(place) {
                *range = range.start.min(n)..range.end.max(n + 1);
            }
        }
    }
    let Some(region) = found else { return everything(grid) };
    let longest = (0..3).map(|axis| region[axis].len() as f64 * grid.spacing[axis]).fold(0.0, f64::max);
    std::array::from_fn(|axis| {
        let more = (margin * longest / grid.spacing[axis]).round() as usize;
        region[axis].start.saturating_sub(more)..(region[axis].end + more).min(grid.shape[axis])
    })
}

/// The intensities that are black and white: the 0.5th and the 99.5th percentile of what is finite.
pub fn window(image: &Volume<f32>) -> [f32; 2] {
    let mut values: Vec<f32> = image.voxels.iter().copied().filter(|value| value.is_finite()).collect();
    let Some(last) = values.len().checked_sub(1) else { return [0.0, 1.0] };
    // Selection, not sorting: ten times faster, and nearest ranks are enough to look at.
    [0.005, 0.995].map(|share| {
        let place = (share * last as f64).round() as usize;
        *values.select_nth_unstable_by(place, f32::total_cmp).1
    })
}

/// A grey from 0 to 1; what is not a number is black.
pub(super) fn grey(value: f32, [low, high]: [f32; 2]) -> f64 {
    let share = f64::from((value - low) / (high - low).max(f32::MIN_POSITIVE));
    if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) }
}

/// Three planes through the voxel `at`, with the labels of `mask`, if it has the shape of the image, in the colours of their
/// places in `labels`.
pub fn slices(image: &Volume<f32>, mask: Option<&Volume<u8>>, labels: &[u8], at: [usize; 3]) -> Raster {
    let layer = |mask| {
        let colours = labels.iter().enumerate().map(|(n, label)| (*label, COLOURS[n % COLOURS.len()].1)).collect();
        Layer { mask, colours, width: 2.0 }
    };
    let layers: Vec<Layer> = mask.filter(|mask| mask.grid.shape == image.grid.shape).map(layer).into_iter().collect();
    Raster::beside(&panels(image, &layers, at, &everything(&image.grid)), GAP, [0; 3])
}

/// Three planes through the voxel `at`, as far as `region` reaches. A contour of a later layer lies on those of earlier
/// ones.
pub(super) fn panels(image: &Volume<f32>, layers: &[Layer<'_>], at: [usize; 3], region: &Region) -> [Raster; 3] {
    let scale = scale(&image.grid, region);
    let window = window(image);
    [0, 1, 2].map(|number| {
        let plane = Plane::of(&image.grid, PANELS[number], at, scale, region);
        let mut panel = Raster::new(plane.size[0], plane.size[1], [0; 3]);
        for y in 0..panel.height {
            for x in 0..panel.width {
                let grey = grey(resample::linear_at(image, [0; 3], plane.point(x, y)), window);
                panel.blend([x, y], [(255.0 * grey) as u8; 3], 1.0);
            }
        }
        for layer in layers {
            for (label, colour) in &layer.colours {
                panel.segments(&plane.contour(layer.mask, *label), layer.width, *colour);
            }
        }
        letters(&mut panel, LETTERS[number]);
        panel
    })
}

/// Pixels per mm of the panels of a region.
pub(super) fn scale(grid: &Grid, region: &Region) -> f64 {
    LONGEST / (0..3).map(|axis| region[axis].len() as f64 * grid.spacing[axis]).fold(f64::MIN_POSITIVE, f64::max)
}

/// The directions, where there is room for them.
fn letters(panel: &mut Raster, [left, up]: [&str; 2]) {
    let colour = [235; 3];
    if panel.height > 3 * LINE && panel.width > 5 * text_width("A") {
        panel.rimmed_text([4, (panel.height - LINE) / 2], left, colour);
        panel.rimmed_text([(panel.width - text_width(up)) / 2, 3], up, colour);
    }
}

/// A plane through a volume as pixels.
struct Plane {
    /// The axes of the file along columns and rows.
    axes: [usize; 2],
    /// Whether their indices grow with the pixel's number.
    forward: [bool; 2],
    /// Pixels per voxel along them.
    zoom: [f64; 2],
    size: [usize; 2],
    /// The voxels that are seen along them.
    seen: [Range<usize>; 2],
    at: [usize; 3],
}

impl Plane {
    fn of(grid: &Grid, directions: [usize; 2], at: [usize; 3], scale: f64, region: &Region) -> Self {
        let orientation = Orientation::of(&grid.affine);
        let along = directions.map(|direction| orientation.axis_along(direction));
        let axes = along.map(|(axis, _)| axis);
        let zoom = axes.map(|axis| grid.spacing[axis] * scale);
        let seen = axes.map(|axis| region[axis].clone());
        let size = [0, 1].map(|n| ((seen[n].len() as f64 * zoom[n]).round() as usize).max(1));
        // To the right and down, coordinates fall: towards the patient's left, the back and the feet.
        Self { axes, forward: along.map(|(_, reversed)| reversed), zoom, size, seen, at }
    }

    /// Where a pixel's centre lies, in voxels.
    fn point(&self, x: usize, y: usize) -> [f64; 3] {
        let mut point = self.at.map(|n| n as f64);
        for (n, pixel) in [x, y].into_iter().enumerate() {
            let last = self.seen[n].len() as f64 - 1.0;
            let place = ((pixel as f64 + 0.5) / self.zoom[n] - 0.5).clamp(0.0, last);
            point[self.axes[n]] = self.seen[n].start as f64 + if self.forward[n] { place } else { last - place };
        }
        point
    }

    /// Lines of pixels between the voxels of a label and the others: one or two in each square of four voxels that are not
    /// all alike.
    fn contour(&self, mask: &Volume<u8>, label: u8) -> Vec<[[f64; 2]; 2]> {
        let is = |column: i64, row: i64| {
            let mut voxel = self.at;
            for (n, place) in [column, row].into_iter().enumerate() {
                let place = if self.forward[n] { place } else { self.seen[n].len() as i64 - 1 - place };
                let index = self.seen[n].start as i64 + place;
                if index < 0 || index >= mask.grid.shape[self.axes[n]] as i64 {
                    return false;
                }
                voxel[self.axes[n]] = index as usize;
            }
            mask.voxels[mask.index(voxel)] == label
        };
        let [columns, rows] = [0, 1].map(|n| self.seen[n].len() as i64);
        let mut lines = Vec::new();
        for row in -1..rows {
            for column in -1..columns {
                let corners = [[0, 0], [1, 0], [1, 1], [0, 1]].map(|[x, y]| is(column + x, row + y));
                let pixel = |[x, y]: [f64; 2]| {
                    [(column as f64 + 0.5 + x) * self.zoom[0], (row as f64 + 0.5 + y) * self.zoom[1]]
                };
                // The middles of the upper, right, lower and left side, where the two corners of a side differ.
                let sides = [[0.5, 0.0], [1.0, 0.5], [0.5, 1.0], [0.0, 0.5]];
                let crossed: Vec<[f64; 2]> =
                    (0..4).filter(|n| corners[*n] != corners[(n + 1) % 4]).map(|n| pixel(sides[n])).collect();
                match crossed[..] {
                    [from, to] => lines.push([from, to]),
                    // Two corners across: each is cut off, as if only voxels with a common side touched.
                    [up, right, down, left] if corners[0] => lines.extend([[left, up], [right, down]]),
                    [up, right, down, left] => lines.extend([[up, right], [down, left]]),
                    _ => {}
                }
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::orientation::turned;

    /// Bright at the head, at the right and at the front; a label in the corner of all three.
    fn head() -> (Volume<f32>, Volume<u8>) {
        let grid = Grid::aligned([20, 20, 10], [1.0, 1.0, 2.0]);
        let mut image = Volume { voxels: vec![0.0; grid.voxels()], grid: grid.clone() };
        let mut mask = Volume { voxels: vec![0; grid.voxels()], grid };
        for index in 0..image.voxels.len() {
            let (i, j, k) = (index / 200, index / 10 % 20, index % 10);
            image.voxels[index] = (i + j + 2 * k) as f32;
            mask.voxels[index] = u8::from(i >= 15 && j >= 15 && k >= 7) * 3;
        }
        (image, mask)
    }

    #[test]
    fn head_right_and_front_are_where_radiologists_look_for_them_however_the_file_runs() {
        let (image, mask) = head();
        let picture = slices(&image, Some(&mask), &[3], centre(&image.grid, Some(&mask)));
        assert_eq!((picture.width, picture.height), (3 * 420 + 2 * GAP, 420));
        let at = |x: usize, y: usize| &picture.pixels[(y * picture.width + x) * 3..][..3];
        for panel in 0..3 {
            let left = panel * (420 + GAP);
            assert!(at(left + 200, 60)[1] > at(left + 200, 400)[1], "panel {panel}: up is bright");
            assert!(at(left + 150, 200)[1] > at(left + 400, 200)[1], "panel {panel}: left is bright");
            assert_eq!(at(left + 104, 50), [255, 64, 64], "panel {panel}: the outline ends after a quarter");
        }
        // The same voxels in another order are the same picture.
        for (order, flipped) in [([2, 0, 1], [true, false, true]), ([1, 0, 2], [false, false, true])] {
            let other = |grid: &Grid| turned(grid, order, flipped);
            let index = |place: [usize; 3]| {
                let mut from = [0; 3];
                let shape = order.map(|axis| image.grid.shape[axis]);
                (0..3).for_each(|n| from[order[n]] = if flipped[n] { shape[n] - 1 - place[n] } else { place[n] });
                image.index(from)
            };
            let grid = other(&image.grid);
            let [depth, height, width] = grid.shape;
            let places =
                (0..depth * height * width).map(|n| index([n / (height * width), n / width % height, n % width]));
            let places: Vec<usize> = places.collect();
            let image = Volume { voxels: places.iter().map(|n| image.voxels[*n]).collect(), grid: grid.clone() };
            let mask = Volume { voxels: places.iter().map(|n| mask.voxels[*n]).collect(), grid };
            let again = slices(&image, Some(&mask), &[3], centre(&image.grid, Some(&mask)));
            let differ = picture.pixels.iter().zip(&again.pixels).filter(|(a, b)| a.abs_diff(**b) > 8).count();
            assert_eq!((again.width, again.height), (picture.width, picture.height));
            assert!(differ * 100 < picture.pixels.len(), "{differ} bytes differ");
        }
    }

    #[test]
    fn a_contour_runs_between_voxels_and_closes_at_the_edge_of_the_image() {
        let grid = Grid::aligned([1, 3, 3], [1.0; 3]);
        let mask = |set: &[usize]| {
            let mut voxels = vec![0_u8; 9];
            for index in set {
                voxels[*index] = 1;
            }
            Volume { voxels, grid: grid.clone() }
        };
        let contour = |set: &[usize]| {
            let mask = mask(set);
            Plane::of(&grid, [1, 2], [0; 3], 10.0, &everything(&grid)).contour(&mask, 1)
        };
        let length = |lines: &[[[f64; 2]; 2]]| {
            lines.iter().map(|[from, to]| (from[0] - to[0]).hypot(from[1] - to[1])).sum::<f64>()
        };
        // A voxel in the middle or in a corner is a diamond around its centre; two across are two diamonds.
        let diamond = 4.0 * 50f64.sqrt();
        for (set, diamonds) in [(&[4][..], 1.0), (&[0], 1.0), (&[8], 1.0), (&[0, 4], 2.0), (&[2, 4], 2.0), (&[], 0.0)] {
            assert!((length(&contour(set)) - diamonds * diamond).abs() < 1e-9, "{set:?}");
        }
        for [from, to] in contour(&[4]) {
            for point in [from, to] {
                assert!(((point[0] - 15.0).abs() + (point[1] - 15.0).abs() - 5.0).abs() < 1e-9, "{point:?}");
            }
        }
    }

    #[test]
    fn a_region_holds_both_masks_and_its_margin_and_never_leaves_the_image() {
        let (_, mask) = head();
        let mut other = mask.map(|_| 0);
        assert_eq!(around([&other, &other], 0.5), [0..20, 0..20, 0..10]);
        let index = other.index([2, 17, 8]);
        other.voxels[index] = 1;
        assert_eq!(around([&mask, &other], 0.0), [2..20, 15..20, 7..10]);
        assert_eq!(around([&mask, &other], 0.25), [0..20, 10..20, 5..10]);
    }

    #[test]
    fn windows_leave_out_what_is_extreme_or_no_number() {
        let grid = Grid::aligned([1, 1, 1001], [1.0; 3]);
        let mut image = Volume { voxels: (0..1001).map(|n| n as f32).collect(), grid };
        assert_eq!(window(&image), [5.0, 995.0]);
        image.voxels.fill(f32::NAN);
        assert_eq!(window(&image), [0.0, 1.0]);
        assert_eq!([f32::NAN, f32::INFINITY, -1.0, 0.25].map(|v| grey(v, [0.0, 1.0])), [0.0, 1.0, 0.0, 0.25]);
        assert_eq!(grey(3.0, [3.0, 3.0]), 0.0);
    }
}
