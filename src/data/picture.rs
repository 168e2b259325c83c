//! A case to look at: three planes through it, grey, with the outlines of its labels.
//!
//! Panels are sagittal, coronal and axial, as nearly as the axes of the file run, and look as radiologists are used to:
//! head up, patient's right on the left, front on the left or up. A millimetre is as long in every panel and direction,
//! so thick slices look as thick as they are. Axes are permuted and flipped, never turned in between.

use super::check::ChannelFacts;
use crate::fault::{Fault, Result};
use crate::volume::orientation::Orientation;
use crate::volume::{Volume, resample};

/// Pixels of the longest side of a panel.
const LONGEST: f64 = 420.0;

/// Pixels between panels.
const GAP: usize = 6;

/// Colours of outlines and their names, by the place of a label among those that occur.
pub const COLOURS: [(&str, [u8; 3]); 8] = [
    ("red", [255, 64, 64]),
    ("green", [64, 220, 64]),
    ("blue", [80, 140, 255]),
    ("yellow", [255, 220, 0]),
    ("magenta", [255, 80, 255]),
    ("cyan", [0, 230, 230]),
    ("orange", [255, 150, 0]),
    ("white", [255, 255, 255]),
];

/// Pixels, three bytes each, row by row from the top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Red, green and blue.
    pub pixels: Vec<u8>,
}

/// The voxel through which the planes go: on each axis the slice with most labelled voxels, or the middle one.
pub fn centre(image: &Volume<f32>, mask: Option<&Volume<u8>>) -> [usize; 3] {
    let [_, height, width] = image.grid.shape;
    let mut counts = image.grid.shape.map(|n| vec![0_usize; n]);
    if let Some(mask) = mask.filter(|mask| mask.grid.shape == image.grid.shape) {
        for (index, _) in mask.voxels.iter().enumerate().filter(|(_, value)| **value > 0) {
            let place = [index / (height * width), index / width % height, index % width];
            (0..3).for_each(|axis| counts[axis][place[axis]] += 1);
        }
    }
    std::array::from_fn(|axis| {
        let most = counts[axis].iter().max().copied().unwrap_or(0);
        let middle = image.grid.shape[axis] / 2;
        // The middle one of the best: a box has many slices that are equally full.
        let best: Vec<usize> = (0..counts[axis].len()).filter(|slice| counts[axis][*slice] == most).collect();
        if most == 0 { middle } else { best[best.len() / 2] }
    })
}

impl Picture {
    /// Three planes through the voxel `at`; labels of `mask`, if it has the shape of the image, in the colours of their
    /// places in `labels`.
    pub fn of(image: &Volume<f32>, mask: Option<&Volume<u8>>, labels: &[u8], at: [usize; 3]) -> Self {
        let facts = ChannelFacts::of(&image.voxels);
        let grey = |value: f32| {
            let share = (value - facts.low) / (facts.high - facts.low).max(f32::MIN_POSITIVE);
            (255.0 * share.clamp(0.0, 1.0)) as u8
        };
        let extent = |axis: usize| image.grid.shape[axis] as f64 * image.grid.spacing[axis];
        let scale = LONGEST / (0..3).map(extent).fold(0.0, f64::max);
        let mask = mask.filter(|mask| mask.grid.shape == image.grid.shape);
        // Columns and rows by direction: 0 left-right, 1 front-back, 2 feet-head.
        let panels = [(1, 2), (0, 2), (0, 1)].map(|(column, row)| {
            let plane = Plane::of(image, [column, row], at, scale);
            let label =
                |x: usize, y: usize| mask.map_or(0, |mask| resample::nearest_at(mask, [0; 3], plane.point(x, y)));
            let mut panel = Self { width: plane.size[0], height: plane.size[1], pixels: Vec::new() };
            for y in 0..panel.height {
                for x in 0..panel.width {
                    let own = label(x, y);
                    let inner = |x: usize, y: usize| label(x.min(panel.width - 1), y.min(panel.height - 1)) == own;
                    let is_outline = own > 0
                        && !(inner(x + 1, y)
                            && inner(x, y + 1)
                            && inner(x.saturating_sub(1), y)
                            && inner(x, y.saturating_sub(1)));
                    let place = labels.iter().position(|value| *value == own).filter(|_| is_outline);
                    let pixel = match place {
                        Some(place) => COLOURS[place % COLOURS.len()].1,
                        None => [grey(resample::linear_at(image, [0; 3], plane.point(x, y))); 3],
                    };
                    panel.pixels.extend(pixel);
                }
            }
            panel
        });
        side_by_side(&panels)
    }

    /// The picture as the bytes of a PNG file.
    ///
    /// # Errors
    /// If the picture is empty.
    pub fn png(&self) -> Result<Vec<u8>> {
        let failed = |error: png::EncodingError| Fault::failed(format!("cannot make a picture: {error}"));
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header().map_err(failed)?;
        writer.write_image_data(&self.pixels).map_err(failed)?;
        writer.finish().map_err(failed)?;
        Ok(bytes)
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
    shape: [usize; 2],
    at: [usize; 3],
}

impl Plane {
    fn of(image: &Volume<f32>, directions: [usize; 2], at: [usize; 3], scale: f64) -> Self {
        let orientation = Orientation::of(&image.grid.affine);
        let along = directions.map(|direction| orientation.axis_along(direction));
        let axes = along.map(|(axis, _)| axis);
        let zoom = axes.map(|axis| image.grid.spacing[axis] * scale);
        let shape = axes.map(|axis| image.grid.shape[axis]);
        let size = [0, 1].map(|n| ((shape[n] as f64 * zoom[n]).round() as usize).max(1));
        // To the right and down, coordinates fall: towards the patient's left, the back and the feet.
        Self { axes, forward: along.map(|(_, reversed)| reversed), zoom, size, shape, at }
    }

    /// Where a pixel's centre lies, in voxels.
    fn point(&self, x: usize, y: usize) -> [f64; 3] {
        let mut point = self.at.map(|n| n as f64);
        for (n, pixel) in [x, y].into_iter().enumerate() {
            let last = self.shape[n] as f64 - 1.0;
            let place = ((pixel as f64 + 0.5) / self.zoom[n] - 0.5).clamp(0.0, last);
            point[self.axes[n]] = if self.forward[n] { place } else { last - place };
        }
        point
    }
}

fn side_by_side(panels: &[Picture]) -> Picture {
    let height = panels.iter().map(|panel| panel.height).max().unwrap_or(0);
    let width = panels.iter().map(|panel| panel.width).sum::<usize>() + GAP * panels.len().saturating_sub(1);
    let mut pixels = vec![0; width * height * 3];
    let mut left = 0;
    for panel in panels {
        for (y, row) in panel.pixels.chunks_exact(panel.width * 3).enumerate() {
            let from = (y * width + left) * 3;
            pixels[from..from + row.len()].copy_from_slice(row);
        }
        left += panel.width + GAP;
    }
    Picture { width, height, pixels }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::Grid;
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
        let picture = Picture::of(&image, Some(&mask), &[3], centre(&image, Some(&mask)));
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
            let again = Picture::of(&image, Some(&mask), &[3], centre(&image, Some(&mask)));
            let differ = picture.pixels.iter().zip(&again.pixels).filter(|(a, b)| a.abs_diff(**b) > 8).count();
            assert_eq!((again.width, again.height), (picture.width, picture.height));
            assert!(differ * 100 < picture.pixels.len(), "{differ} bytes differ");
        }
    }

    #[test]
    fn a_png_reads_back_as_it_was_drawn() {
        let (image, _) = head();
        let picture = Picture::of(&image, None, &[], centre(&image, None));
        let bytes = picture.png().unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(&bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        assert_eq!(pixels, picture.pixels);
    }
}
