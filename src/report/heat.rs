//! A slice as a heat map: how large a number is at every pixel, with the outlines of masks on top.
//!
//! Pixels of one shade are one path of strokes as wide as a pixel: an element for each pixel would be ten times as long,
//! and an embedded bitmap could not be compared as text.

use super::svg::{Anchor, FAINT, Font, Frame, INK, Paint, Stroke, Svg};

/// From the smallest share of the largest value to the largest: one hue family that darkens evenly, so that it survives
/// any colour vision and a grey printer. Nothing, which is white, is not drawn.
pub(super) const SHADES: [&str; 10] =
    ["#fff1dc", "#fee3bd", "#fdcf98", "#fdb77a", "#fb9a5f", "#f17a4a", "#de5737", "#c33423", "#9c1512", "#6b0005"];

/// The outline of what is wanted.
pub const TARGET: Stroke = Stroke { colour: "#0072b2", width: 1.4, dash: "" };
/// The outline of what is predicted.
pub const PREDICTION: Stroke = Stroke { colour: "#222222", width: 1.2, dash: "3 2" };

/// A map of values, row by row.
pub struct Heat<'a> {
    /// Height and width in pixels of the map.
    pub shape: [usize; 2],
    /// Values of at least 0.
    pub values: &'a [f64],
    /// Masks and how to outline them.
    pub outlines: Vec<(&'a [bool], Stroke)>,
}

impl Heat<'_> {
    /// Draws it into a frame of the same proportions. The darkest shade is the largest value.
    pub fn draw(&self, svg: &mut Svg, frame: Frame) {
        let unit = frame.width / self.shape[1] as f64;
        let largest = self.values.iter().copied().filter(|v| v.is_finite()).fold(0.0, f64::max);
        let shades: Vec<usize> = self.values.iter().map(|value| shade(*value, largest)).collect();
        for (number, colour) in SHADES.iter().enumerate() {
            let path = runs(&shades, self.shape[1], number + 1);
            if !path.is_empty() {
                svg.scaled(Frame { y: frame.y + unit / 2.0, ..frame }, unit, &path, Paint::Pixels(colour));
            }
        }
        for (mask, stroke) in &self.outlines {
            svg.scaled(frame, unit, &outline(mask, self.shape), Paint::Stroke(*stroke));
        }
        let Frame { x, y, width, height } = frame;
        let corners = [[x, y], [x + width, y], [x + width, y + height], [x, y + height], [x, y]];
        svg.lines(&corners, Stroke::thin("#bbbbbb"));
    }
}

/// The scale of all maps: each has its own largest value.
pub fn scale(svg: &mut Svg, [x, y]: [f64; 2]) {
    let font = Font { size: 10.5, colour: FAINT, bold: false, anchor: Anchor::Start };
    let (wide, high) = (11.0, 10.0);
    svg.text([x, y + 9.0], font, "0");
    for (number, colour) in SHADES.iter().enumerate() {
        svg.rectangle(Frame { x: x + 11.0 + wide * number as f64, y, width: wide, height: high }, colour);
    }
    let mut x = x + 17.0 + wide * SHADES.len() as f64;
    svg.text([x, y + 9.0], font, "largest");
    x += 48.0;
    for (stroke, name, room) in [(TARGET, "target", 60.0), (PREDICTION, "p > 0.5", 0.0)] {
        svg.line([x, y + 5.0], [x + 16.0, y + 5.0], stroke);
        svg.text([x + 20.0, y + 9.0], Font { colour: INK, ..font }, name);
        x += room;
    }
}

/// 0 for nothing to be seen, else the number of the shade from 1. The square root leaves room for what is small: a
/// tenth of the largest value is a third of the scale.
fn shade(value: f64, largest: f64) -> usize {
    if !value.is_finite() {
        return SHADES.len();
    }
    let share = if largest > 0.0 { (value / largest).sqrt() } else { 0.0 };
    (share * SHADES.len() as f64 + 0.5).floor().min(SHADES.len() as f64) as usize
}

/// The pixels of one shade as lines of one row each.
fn runs(shades: &[usize], width: usize, wanted: usize) -> String {
    let mut path = String::new();
    for (row, line) in shades.chunks_exact(width).enumerate() {
        let mut column = 0;
        for run in line.chunk_by(|a, b| a == b) {
            if run[0] == wanted {
                path += &format!("M{column} {row}h{}", run.len());
            }
            column += run.len();
        }
    }
    path
}

/// The edges of pixels between a mask and what is not in it.
fn outline(mask: &[bool], [height, width]: [usize; 2]) -> String {
    let at = |row: usize, column: usize| row < height && column < width && mask[row * width + column];
    let mut path = String::new();
    // Beyond the first row and column lies what wraps to a huge index and is not in the mask.
    for row in 0..=height {
        let edge = |column: usize| at(row, column) != at(row.wrapping_sub(1), column);
        stretches(width, edge, |from, length| path += &format!("M{from} {row}h{length}"));
    }
    for column in 0..=width {
        let edge = |row: usize| at(row, column) != at(row, column.wrapping_sub(1));
        stretches(height, edge, |from, length| path += &format!("M{column} {from}v{length}"));
    }
    path
}

/// Calls `found` with start and length of every stretch of positions at which `is` holds.
fn stretches(end: usize, is: impl Fn(usize) -> bool, mut found: impl FnMut(usize, usize)) {
    let mut start = None;
    for position in 0..=end {
        match (position < end && is(position), start) {
            (true, None) => start = Some(position),
            (false, Some(from)) => {
                found(from, position - from);
                start = None;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_cover_every_pixel_of_a_shade_once() {
        assert_eq!(runs(&[1, 1, 0, 1, 2, 1], 3, 1), "M0 0h2M0 1h1M2 1h1");
    }

    #[test]
    fn an_outline_runs_around_a_mask() {
        assert_eq!(outline(&[true], [1, 1]), "M0 0h1M0 1h1M0 0v1M1 0v1");
        let ring = [true, true, true, true, false, true, true, true, true];
        assert_eq!(outline(&ring, [3, 3]), "M0 0h3M1 1h1M1 2h1M0 3h3M0 0v3M1 1v1M2 1v1M3 0v3");
    }

    #[test]
    fn shades_grow_with_the_value() {
        assert_eq!([0.0, 0.001, 0.01, 1.0, f64::NAN].map(|v| shade(v, 1.0)), [0, 0, 1, 10, 10]);
        assert_eq!(shade(0.0, 0.0), 0);
    }
}
