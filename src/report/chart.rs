//! Curves or bars over one horizontal axis.
//!
//! Guards that nothing is hidden: the vertical axis always holds 0, and a value that is not finite leaves a gap.

use super::axis::Axis;
use super::svg::{Anchor, FAINT, Font, Frame, GRID, INK, PALETTE, Stroke, Svg};

/// One series of numbers; its number decides its line.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// Which line it has, see [`Stroke::series`].
    pub series: usize,
    /// (x, y), from left to right.
    pub points: Vec<[f64; 2]>,
}

/// What the horizontal axis shows.
#[derive(Debug, Clone, PartialEq)]
pub enum Horizontal {
    /// Numbers of something.
    Numbers(&'static str),
    /// Things, of which x is the number: bars, not curves.
    Names(Vec<&'static str>),
}

/// A chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// What is seen.
    pub title: String,
    /// What the vertical axis shows.
    pub vertical: String,
    /// What the horizontal axis shows.
    pub horizontal: Horizontal,
    /// The numbers.
    pub curves: Vec<Curve>,
}

const LEFT: f64 = 46.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 42.0;
const BOTTOM: f64 = 36.0;
const SMALL: Font = Font { size: 10.5, colour: FAINT, bold: false, anchor: Anchor::Start };

/// How a panel is headed: a title, and a line that explains.
pub fn heading(svg: &mut Svg, frame: Frame, title: &str, explanation: &str) {
    let font = Font { size: 13.0, colour: INK, bold: true, anchor: Anchor::Start };
    svg.text([frame.x + 6.0, frame.y + 14.0], font, title);
    svg.text([frame.x + 6.0, frame.y + 29.0], SMALL, explanation);
}

impl Chart {
    /// Draws it into `frame`.
    pub fn draw(&self, svg: &mut Svg, frame: Frame) {
        let plot = Frame {
            x: frame.x + LEFT,
            y: frame.y + TOP,
            width: frame.width - LEFT - RIGHT,
            height: frame.height - TOP - BOTTOM,
        };
        let y = Axis::from_zero(self.curves.iter().flat_map(|curve| curve.points.iter().map(|[_, y]| *y)));
        heading(svg, frame, &self.title, &format!("{}{}", self.vertical, y.factor()));
        let at = |value: f64| plot.y + plot.height * (1.0 - y.position(value));
        for (position, label) in y.ticks() {
            let height = plot.y + plot.height * (1.0 - position);
            svg.line([plot.x, height], [plot.x + plot.width, height], Stroke::thin(GRID));
            svg.text([plot.x - 5.0, height + 3.5], Font { anchor: Anchor::End, ..SMALL }, &label);
        }
        match &self.horizontal {
            Horizontal::Numbers(what) => self.draw_curves(svg, plot, at, what),
            Horizontal::Names(names) => self.draw_bars(svg, plot, at, names),
        }
        svg.line([plot.x, at(0.0)], [plot.x + plot.width, at(0.0)], Stroke::thin(FAINT));
    }

    fn draw_curves(&self, svg: &mut Svg, plot: Frame, at: impl Fn(f64) -> f64, what: &str) {
        let all = || self.curves.iter().flat_map(|curve| curve.points.iter().map(|[x, _]| *x));
        let (low, high) = all().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(x), h.max(x)));
        let x = if low < high { Axis::exact(low, high, 7) } else { Axis::exact(0.0, 1.0, 7) };
        let foot = plot.y + plot.height;
        for (position, label) in x.ticks() {
            let across = plot.x + plot.width * position;
            svg.line([across, foot], [across, foot + 4.0], Stroke::thin(FAINT));
            svg.text([across, foot + 15.0], Font { anchor: Anchor::Middle, ..SMALL }, &label);
        }
        svg.text([plot.x + plot.width / 2.0, foot + 29.0], Font { anchor: Anchor::Middle, ..SMALL }, what);
        for (position, curve) in self.curves.iter().enumerate() {
            // Losses that are the same lie on top of each other: the lower ones are wider, so that all are seen.
            let above = self.curves.len() - 1 - position;
            let stroke = Stroke::series(curve.series);
            let stroke = Stroke { width: (stroke.width + 0.6 * above as f64).min(4.8), ..stroke };
            for part in curve.points.split(|[_, y]| !y.is_finite()) {
                let points: Vec<[f64; 2]> =
                    part.iter().map(|[px, py]| [plot.x + plot.width * x.position(*px), at(*py)]).collect();
                svg.lines(&points, stroke);
            }
        }
    }

    fn draw_bars(&self, svg: &mut Svg, plot: Frame, at: impl Fn(f64) -> f64, names: &[&str]) {
        let slot = plot.width / names.len() as f64;
        let bar = 0.8 * slot / self.curves.len().max(2) as f64;
        let start = (slot - bar * self.curves.len() as f64) / 2.0;
        for (number, name) in names.iter().enumerate() {
            let middle = plot.x + slot * (number as f64 + 0.5);
            svg.text([middle, plot.y + plot.height + 15.0], Font { anchor: Anchor::Middle, ..SMALL }, name);
        }
        for (position, curve) in self.curves.iter().enumerate() {
            for [x, y] in curve.points.iter().filter(|[_, y]| y.is_finite()) {
                let (foot, head) = (at(0.0), at(*y));
                let frame = Frame {
                    x: plot.x + slot * x + start + bar * position as f64,
                    y: foot.min(head),
                    width: bar * 0.9,
                    height: (foot - head).abs(),
                };
                svg.rectangle(frame, PALETTE[curve.series % PALETTE.len()]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(points: Vec<[f64; 2]>, horizontal: Horizontal) -> String {
        let curves = vec![Curve { series: 0, points }];
        let chart = Chart { title: "T".into(), vertical: "loss".into(), horizontal, curves };
        let mut svg = Svg::new(300.0, 200.0);
        chart.draw(&mut svg, Frame { x: 0.0, y: 0.0, width: 300.0, height: 200.0 });
        svg.finish("T")
    }

    #[test]
    fn curves_start_and_end_at_the_edges_of_the_plot() {
        let text = drawn(vec![[0.0, 0.0], [1.0, 1.0]], Horizontal::Numbers("x"));
        assert!(text.contains("<path d=\"M46 164L288 42\""), "{text}");
    }

    #[test]
    fn what_is_not_finite_leaves_a_gap() {
        let text = drawn(vec![[0.0, 1.0], [1.0, f64::NAN], [2.0, 0.0], [3.0, 1.0]], Horizontal::Numbers("x"));
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
        assert_eq!(text.matches("stroke-width=\"1.8\"").count(), 2);
    }

    #[test]
    fn bars_below_zero_hang_from_it() {
        let text = drawn(vec![[0.0, -1.0], [1.0, 1.0]], Horizontal::Names(vec!["a", "b"]));
        assert!(text.contains("y=\"103\"") && text.contains("y=\"42\"") && !text.contains("height=\"-"), "{text}");
    }
}
