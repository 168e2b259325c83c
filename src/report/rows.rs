//! Named rows over one horizontal axis: the ground that box plots, differences and rankings are drawn on.
//!
//! Guards that every value has a place: what lies beyond an end of the axis stands at that end, and what no axis holds (an
//! infinite distance, a share of 0 on a logarithmic axis) has a place of its own beside it. Names stand beside their rows
//! and not in a legend, over two lines where they are formulas.

use super::axis::Axis;
use super::svg::{Anchor, FAINT, Font, Frame, GRID, INK, Stroke, Svg, width_of, wrapped};

const MARGIN: f64 = 14.0;
const WIDTH: f64 = 860.0;
const ABOVE: f64 = 52.0;
const BELOW: f64 = 50.0;
/// Room of a place beside the axis.
const ASIDE: f64 = 60.0;
/// Names take at most so much, and at least half of it.
const WIDEST: f64 = 250.0;
const NAME: f64 = 12.0;
const SMALL: Font = Font { size: 11.0, colour: FAINT, bold: false, anchor: Anchor::Middle };

/// What is on such a picture, but for the marks.
pub struct Rows<'a> {
    /// What is seen.
    pub title: &'a str,
    /// One line on how to read it.
    pub explanation: &'a str,
    /// What the axis shows.
    pub unit: &'a str,
    /// One per row, from the top.
    pub names: Vec<&'a str>,
    /// From values to places.
    pub axis: Axis,
    /// What the place left of the axis is called, if there is one.
    pub left: Option<&'static str>,
    /// What the place right of it is called, if there is one.
    pub right: Option<&'static str>,
    /// Height of a row in pixels.
    pub height: f64,
    /// Head of the column of texts, and its width in pixels.
    pub column: (&'a str, f64),
}

/// A picture of rows, to be drawn upon.
pub struct Ground {
    /// The picture.
    pub svg: Svg,
    /// Where values between the ends of the axis stand.
    pub plot: Frame,
    axis: Axis,
    asides: [f64; 2],
    height: f64,
}

impl Rows<'_> {
    /// Draws names, axis and grid.
    pub fn ground(self) -> Ground {
        let widest = self.names.iter().map(|name| width_of(name, NAME)).fold(0.0, f64::max);
        let names = widest.clamp(WIDEST / 2.0, WIDEST);
        let aside = |place: Option<&str>| if place.is_some() { ASIDE } else { 0.0 };
        let asides = [aside(self.left), aside(self.right)];
        let left = MARGIN + names + 12.0 + asides[0];
        let plot = Frame {
            x: left,
            y: ABOVE + 16.0,
            width: WIDTH - left - asides[1] - self.column.1 - 22.0 - MARGIN,
            height: self.height * self.names.len().max(1) as f64,
        };
        let svg = Svg::new(WIDTH, plot.y + plot.height + BELOW);
        let height = self.height;
        let mut ground = Ground { svg, plot, axis: self.axis, asides, height };
        ground.head(self.title, self.explanation, self.column.0);
        ground.rows(&self.names, names);
        ground.scale(self.unit, [self.left, self.right]);
        ground
    }
}

impl Ground {
    /// Where a value stands: within the plot, or in the place beside it that was asked for.
    pub fn x(&self, value: f64) -> f64 {
        let Frame { x, width, .. } = self.plot;
        if value == f64::INFINITY && self.asides[1] > 0.0 {
            return x + width + self.asides[1] / 2.0;
        }
        if self.axis.is_logarithmic() && value <= 0.0 && self.asides[0] > 0.0 {
            return x - self.asides[0] / 2.0 - 12.0;
        }
        let position = self.axis.position(value);
        // What is no number has no place. Not to draw it is the caller's, to keep the file whole is ours.
        x + width * if position.is_nan() { 0.0 } else { position.clamp(0.0, 1.0) }
    }

    /// Whether a value lies beyond an end of the axis.
    pub fn is_beyond(&self, value: f64) -> bool {
        !(-1e-9..=1.0 + 1e-9).contains(&self.axis.position(value))
    }

    /// The middle of a row, counted from 0.
    pub fn y(&self, row: usize) -> f64 {
        self.plot.y + self.height * (row as f64 + 0.5)
    }

    /// A line down all rows.
    pub fn upright(&mut self, value: f64, stroke: Stroke) {
        let (x, Frame { y, height, .. }) = (self.x(value), self.plot);
        self.svg.line([x, y], [x, y + height], stroke);
    }

    /// The text at the right end of a row.
    pub fn text(&mut self, row: usize, text: &str, colour: &'static str) {
        let x = self.plot.x + self.plot.width + self.asides[1] + 22.0;
        let font = Font { size: 11.5, colour, bold: false, anchor: Anchor::Start };
        self.svg.text([x, self.y(row) + 4.0], font, text);
    }

    /// Two texts at the ends of the axis, which say what its directions mean.
    pub fn directions(&mut self, [left, right]: [&str; 2]) {
        let Frame { x, y, width, height } = self.plot;
        let font = Font { colour: INK, ..SMALL };
        self.svg.text([x, y + height + 34.0], Font { anchor: Anchor::Start, ..font }, left);
        self.svg.text([x + width, y + height + 34.0], Font { anchor: Anchor::End, ..font }, right);
    }

    fn head(&mut self, title: &str, explanation: &str, column: &str) {
        let font = Font { size: 15.0, colour: INK, bold: true, anchor: Anchor::Start };
        self.svg.text([MARGIN, 24.0], font, title);
        self.svg.text([MARGIN, 42.0], Font { anchor: Anchor::Start, ..SMALL }, explanation);
        let x = self.plot.x + self.plot.width + self.asides[1] + 22.0;
        self.svg.text([x, self.plot.y - 6.0], Font { anchor: Anchor::Start, ..SMALL }, column);
    }

    fn rows(&mut self, names: &[&str], width: f64) {
        let left = MARGIN;
        for (row, name) in names.iter().enumerate() {
            let middle = self.y(row);
            if row % 2 == 0 {
                let frame =
                    Frame { x: left, y: middle - self.height / 2.0, width: WIDTH - 2.0 * MARGIN, height: self.height };
                self.svg.rectangle(frame, "#f7f7f7");
            }
            let lines = wrapped(name, NAME, width);
            let size = if lines.len() > 1 { 10.5 } else { NAME };
            let first = middle + 4.0 - 6.0 * (lines.len() as f64 - 1.0);
            for (number, line) in lines.iter().enumerate() {
                let font = Font { size, colour: INK, bold: false, anchor: Anchor::Start };
                self.svg.text([left + 4.0, first + 12.0 * number as f64], font, line);
            }
        }
    }

    fn scale(&mut self, unit: &str, asides: [Option<&str>; 2]) {
        let Frame { x, y, width, height } = self.plot;
        let foot = y + height;
        for (position, label) in self.axis.ticks() {
            let across = x + width * position;
            self.svg.line([across, y], [across, foot + 4.0], Stroke::thin(GRID));
            self.svg.text([across, foot + 16.0], SMALL, &label);
        }
        self.svg.line([x, foot], [x + width, foot], Stroke::thin(FAINT));
        let places = [x - self.asides[0] / 2.0 - 12.0, x + width + self.asides[1] / 2.0];
        for (place, name) in places.into_iter().zip(asides) {
            if let Some(name) = name {
                self.svg.line([place, y], [place, foot + 4.0], Stroke { dash: "2 2", ..Stroke::thin(GRID) });
                self.svg.text([place, foot + 16.0], SMALL, name);
            }
        }
        let unit = format!("{unit}{}", self.axis.factor());
        self.svg.text([x + width / 2.0, foot + 34.0], SMALL, &unit);
    }
}
