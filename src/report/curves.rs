//! Learning curves: how the losses of several trainings fell, in one chart.
//!
//! Guards that noise and course are both seen: a smoothed line over the raw one, in the same colour and pale. The vertical
//! axis is logarithmic where all values are above 0 and span more than a factor of ten, else linear with 0 on it; what is
//! not finite leaves a gap.

use super::axis::Axis;
use super::legend::Legend;
use super::svg::{Anchor, FAINT, Font, Frame, GRID, INK, Stroke, Svg, TINTS};

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 380.0;
const MARGIN: f64 = 14.0;
const LEFT: f64 = 62.0;
const SMALL: Font = Font { size: 11.0, colour: FAINT, bold: false, anchor: Anchor::Middle };

/// Most points of a line: about as many as the chart has pixels.
const MOST: usize = 400;

/// Points are smoothed over such a share of a training, on either side.
const SMOOTH: f64 = 0.02;

/// Largest over smallest value above which a logarithmic axis says more.
const SPAN: f64 = 10.0;

/// More raw lines than this would hide each other.
const RAW: usize = 8;

/// A legend and a chart; the points of a curve are (step, value) from the first step to the last.
pub fn curves(title: &str, vertical: &str, curves: &[(String, Vec<[f64; 2]>)]) -> String {
    let names: Vec<&str> = curves.iter().map(|(name, _)| name.as_str()).collect();
    let legend = Legend::new(&names, WIDTH - 2.0 * MARGIN);
    let raw: Vec<Vec<[f64; 2]>> = curves.iter().map(|(_, points)| thinned(points)).collect();
    let smooth: Vec<Vec<[f64; 2]>> = raw.iter().map(|points| smoothed(points)).collect();
    // One curve or a few: the raw values decide what the axis holds; of many, which are not drawn raw, the smooth ones.
    let shown = if curves.len() <= RAW { &raw } else { &smooth };
    let y = vertical_axis(shown);
    let steps = shown.iter().flatten().map(|[step, _]| *step).filter(|step| step.is_finite());
    let (first, last) = steps.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), step| (l.min(step), h.max(step)));
    // The first point is the mean of the first steps.
    let first = if first < 0.05 * last { first.min(0.0) } else { first };
    let x = if first < last { Axis::exact(first, last, 8) } else { Axis::around([first].into_iter()) };

    let above = 50.0 + legend.height() + 14.0;
    let plot = Frame { x: LEFT, y: above, width: WIDTH - LEFT - MARGIN - 8.0, height: HEIGHT };
    let mut svg = Svg::new(WIDTH, above + HEIGHT + 46.0);
    svg.text([MARGIN, 24.0], Font { size: 15.0, colour: INK, bold: true, anchor: Anchor::Start }, title);
    let scale = if y.is_logarithmic() { ", logarithmic" } else { "" };
    let words = format!("{vertical}{}{scale}; smoothed", y.factor());
    let words = if curves.len() <= RAW { words + " over raw values" } else { words };
    svg.text([MARGIN, 42.0], Font { anchor: Anchor::Start, ..SMALL }, &words);
    legend.draw(&mut svg, [MARGIN, 50.0]);
    draw_axes(&mut svg, plot, &x, &y);
    let place = |[step, value]: [f64; 2]| {
        // Numbers that no axis holds stand at its end.
        let [right, up] = [x.position(step), y.position(value)].map(|position| position.clamp(0.0, 1.0));
        [plot.x + plot.width * right, plot.y + plot.height * (1.0 - up)]
    };
    let mut draw = |points: &[[f64; 2]], stroke: Stroke| {
        let has_place = |point: &[f64; 2]| y.position(point[1]).is_finite() && x.position(point[0]).is_finite();
        for part in points.split(|point| !has_place(point)) {
            match part {
                [alone] => svg.dots(&[place(*alone)], 2.0 * stroke.width, stroke.colour),
                part => svg.lines(&part.iter().map(|point| place(*point)).collect::<Vec<_>>(), stroke),
            }
        }
    };
    if curves.len() <= RAW {
        for (series, points) in raw.iter().enumerate() {
            draw(points, Stroke { dash: "", width: 1.0, colour: TINTS[series % TINTS.len()] });
        }
    }
    for (series, points) in smooth.iter().enumerate() {
        draw(points, Stroke::series(series));
    }
    svg.finish(title)
}

fn draw_axes(svg: &mut Svg, plot: Frame, x: &Axis, y: &Axis) {
    let foot = plot.y + plot.height;
    for (position, label) in y.ticks() {
        let height = foot - plot.height * position;
        svg.line([plot.x, height], [plot.x + plot.width, height], Stroke::thin(GRID));
        svg.text([plot.x - 7.0, height + 4.0], Font { anchor: Anchor::End, ..SMALL }, &label);
    }
    for (position, label) in x.ticks() {
        let across = plot.x + plot.width * position;
        svg.line([across, foot], [across, foot + 4.0], Stroke::thin(FAINT));
        svg.text([across, foot + 17.0], SMALL, &label);
    }
    svg.line([plot.x, foot], [plot.x + plot.width, foot], Stroke::thin(FAINT));
    svg.text([plot.x + plot.width / 2.0, foot + 36.0], SMALL, &format!("step{}", x.factor()));
}

fn vertical_axis(curves: &[Vec<[f64; 2]>]) -> Axis {
    let values = || curves.iter().flatten().map(|[_, value]| *value).filter(|value| value.is_finite());
    let (low, high) = values().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    if low > 0.0 && high > SPAN * low { Axis::logarithmic(values()) } else { Axis::from_zero(values()) }
}

/// Means of so many points each that a line has few.
fn thinned(points: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let length = points.len().div_ceil(MOST).max(1);
    points.chunks(length).map(mean).collect()
}

/// Each point the mean of its neighbours, at the ends of those on one side: a line that followed the raw one there would end
/// in its noise.
fn smoothed(points: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let reach = (SMOOTH * points.len() as f64).ceil() as usize;
    let point = |n: usize| {
        // What is not finite is a gap of its own place and no longer.
        if points[n][1].is_finite() {
            let near = &points[n.saturating_sub(reach)..(n + reach + 1).min(points.len())];
            let near: Vec<[f64; 2]> = near.iter().copied().filter(|point| point[1].is_finite()).collect();
            [points[n][0], mean(&near)[1]]
        } else {
            points[n]
        }
    };
    (0..points.len()).map(point).collect()
}

fn mean(points: &[[f64; 2]]) -> [f64; 2] {
    [0, 1].map(|n| points.iter().map(|point| point[n]).sum::<f64>() / points.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::markup::check;

    fn falling(n: usize, from: f64, to: f64) -> Vec<[f64; 2]> {
        let at = |step: usize| step as f64 / (n - 1) as f64;
        (0..n).map(|step| [step as f64, from * (to / from).powf(at(step))]).collect()
    }

    #[test]
    fn the_axis_is_logarithmic_where_that_says_more() {
        let text = |points| curves("Loss", "loss", &[("dice".to_string(), points)]);
        assert!(text(falling(50, 1.0, 0.01)).contains("logarithmic"));
        assert!(!text(falling(50, 1.0, 0.5)).contains("logarithmic"));
        assert!(!text(vec![[0.0, 1.0], [1.0, -0.001]]).contains("logarithmic"), "a boundary loss goes below 0");
    }

    #[test]
    fn smooth_lines_keep_constants_and_lose_noise_up_to_the_ends() {
        let flat: Vec<[f64; 2]> = (0..100).map(|n| [f64::from(n), 0.5]).collect();
        assert_eq!(smoothed(&flat), flat);
        let noisy: Vec<[f64; 2]> = (0..400).map(|n| [f64::from(n), f64::from(n % 2)]).collect();
        let smooth = smoothed(&noisy);
        assert!(smooth[20..380].iter().all(|[_, y]| (y - 0.5).abs() < 0.05));
        assert!(smooth.iter().all(|[_, y]| (y - 0.5).abs() < 0.1));
    }

    #[test]
    fn long_noisy_broken_and_empty_curves_are_whole_files() {
        let mut broken = falling(100, 1.0, 0.1);
        broken[40][1] = f64::NAN;
        broken[70][1] = f64::INFINITY;
        let all = [
            ("long <i>".to_string(), falling(20_000, 3.0, 1e-4)),
            ("broken".to_string(), broken.clone()),
            ("one".to_string(), vec![[0.0, 1.0]]),
            ("none".to_string(), vec![]),
        ];
        let text = curves("Loss", "loss", &all);
        check(&text);
        assert!(text.len() < 40_000, "{}", text.len());
        assert_eq!(text, curves("Loss", "loss", &all));
        // Two gaps make three parts, raw and smooth.
        let alone = curves("Loss", "loss", &all[1..2]);
        assert_eq!(alone.matches("stroke-width=\"1.8\"").count(), 3);
        for n in [1, 2, 3] {
            check(&curves("Loss", "loss", &all[4 - n..]));
        }
        check(&curves("Loss", "loss", &[]));
        let many: Vec<_> = (0..20).map(|n| (format!("loss {n}"), falling(300, 1.0 + f64::from(n), 0.1))).collect();
        check(&curves("Loss", "loss", &many));
    }
}
