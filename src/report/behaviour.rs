//! How losses behave, drawn: one sheet for all analyses, or one picture each.
//!
//! Guards how losses of different size are compared. One loss alone is shown as it is. Several are shown as their rise
//! above what the target itself would cost, in shares of each loss's largest: a distance loss is a hundred times a Dice
//! loss, the best boundary loss is negative, and an optimiser sees neither.

use super::chart::{Chart, Curve, Horizontal, heading};
use super::heat::{self, Heat};
use super::legend::Legend;
use super::svg::{Anchor, FAINT, Font, Frame, INK, Stroke, Svg, cut};
use crate::losses::analysis::shapes::Shape;
use crate::losses::analysis::{Analysis, Behaviour, Point, Slope};

const MARGIN: f64 = 14.0;
const PANEL: [f64; 2] = [330.0, 230.0];
const COLUMNS: usize = 3;
const MAP: f64 = 172.0;
const MAPS: usize = 5;
const SMALL: Font = Font { size: 10.5, colour: FAINT, bold: false, anchor: Anchor::Start };

/// All of `analyses` on one sheet.
pub fn sheet(behaviours: &[Behaviour], analyses: &[Analysis]) -> String {
    let charts: Vec<Chart> = analyses.iter().flat_map(|analysis| charts(behaviours, *analysis)).collect();
    let maps = if analyses.contains(&Analysis::Slice) { behaviours } else { &[] };
    let width = [charts.len().min(COLUMNS) as f64 * PANEL[0], maps_size(maps)[0], PANEL[0]];
    let width = width.into_iter().fold(0.0, f64::max);
    let names: Vec<&str> = behaviours.iter().map(|b| b.loss.as_str()).collect();
    let legend = Legend::new(&names, width);
    let above = MARGIN + legend.height() + MARGIN;
    let below = above + charts.len().div_ceil(COLUMNS) as f64 * PANEL[1];
    let mut svg = Svg::new(width + 2.0 * MARGIN, below + maps_size(maps)[1] + MARGIN);
    legend.draw(&mut svg, [MARGIN, MARGIN]);
    for (number, chart) in charts.iter().enumerate() {
        let (x, y) = ((number % COLUMNS) as f64, (number / COLUMNS) as f64);
        chart.draw(&mut svg, panel([MARGIN + x * PANEL[0], above + y * PANEL[1]]));
    }
    draw_maps(&mut svg, maps, [MARGIN, below]);
    svg.finish(&format!("behaviour of {}", names.join(", ")))
}

/// One loss in four panels: profile, size, segmentation, slice. Small enough for a table.
pub fn card(behaviour: &Behaviour) -> String {
    let curves = |parts: &[Vec<[f64; 2]>]| {
        let curve = |(series, points): (usize, &Vec<[f64; 2]>)| Curve { series, points: points.clone() };
        parts.iter().enumerate().map(curve).collect::<Vec<_>>()
    };
    let raw = |points: &[Point]| points.iter().map(|point| [point.x, point.loss]).collect::<Vec<_>>();
    let slopes = |slopes: &[Slope]| slopes.iter().map(|slope| [slope.p, slope.slope]).collect::<Vec<_>>();
    let profile = Chart {
        title: "slope of one voxel".into(),
        vertical: "dL/dlogit".into(),
        horizontal: Horizontal::Numbers("p"),
        curves: curves(&[slopes(&behaviour.foreground), slopes(&behaviour.background)]),
    };
    let size = Chart { curves: curves(&[raw(&behaviour.size)]), ..size_chart("loss") };
    let errors = Chart {
        horizontal: Horizontal::Numbers("error in voxels, sphere of radius 8"),
        curves: curves(&[raw(&behaviour.growth), raw(&behaviour.shift)]),
        ..growth_chart("loss")
    };
    let mut svg = Svg::new(2.0 * PANEL[0] + 2.0 * MARGIN, 2.0 * PANEL[1] + 2.0 * MARGIN + 18.0);
    let at = |column: f64, row: f64| [MARGIN + column * PANEL[0], MARGIN + row * (PANEL[1] + 18.0)];
    profile.draw(&mut svg, panel(at(0.0, 0.0)));
    key(&mut svg, [at(0.0, 0.0)[0] + 46.0, at(0.0, 1.0)[1] - 12.0], ["voxel with y = 1", "with y = 0"]);
    size.draw(&mut svg, panel(at(1.0, 0.0)));
    errors.draw(&mut svg, panel(at(0.0, 1.0)));
    key(&mut svg, [at(0.0, 1.0)[0] + 46.0, at(0.0, 2.0)[1] - 12.0], ["too small, too large", "beside its place"]);
    if let Some(slice) = &behaviour.slice {
        let frame = panel(at(1.0, 1.0));
        heading(
            &mut svg,
            frame,
            "where the gradient is",
            &format!("|dL/dlogit| in a slice, largest {}", largest(&slice.magnitude)),
        );
        let side = PANEL[1] - 44.0;
        draw_map(&mut svg, behaviour, Frame { x: frame.x + 62.0, y: frame.y + 38.0, width: side, height: side });
        heat::scale(&mut svg, [frame.x + 6.0, frame.y + PANEL[1] + 2.0]);
    }
    svg.finish(&format!("behaviour of {}", behaviour.loss))
}

/// Two lines named below a panel.
fn key(svg: &mut Svg, [x, y]: [f64; 2], names: [&str; 2]) {
    for (number, name) in names.iter().enumerate() {
        let x = x + 140.0 * number as f64;
        svg.line([x, y], [x + 22.0, y], Stroke::series(number));
        svg.text([x + 27.0, y + 4.0], Font { colour: INK, ..SMALL }, name);
    }
}

fn panel([x, y]: [f64; 2]) -> Frame {
    Frame { x, y, width: PANEL[0] - 8.0, height: PANEL[1] - 8.0 }
}

fn size_chart(vertical: &str) -> Chart {
    Chart {
        title: "structure size".into(),
        vertical: vertical.into(),
        horizontal: Horizontal::Numbers("radius of a sphere, predicted one voxel too small"),
        curves: Vec::new(),
    }
}

fn growth_chart(vertical: &str) -> Chart {
    Chart {
        title: "under- and over-segmentation".into(),
        vertical: vertical.into(),
        horizontal: Horizontal::Numbers("voxels too small (−) or too large, radius 8"),
        curves: Vec::new(),
    }
}

/// The charts of an analysis; a slice has none.
fn charts(behaviours: &[Behaviour], analysis: Analysis) -> Vec<Chart> {
    let several = behaviours.len() > 1;
    let vertical = if several { "loss above that of the target itself, largest = 1" } else { "loss" };
    let points = |of: fn(&Behaviour) -> &Vec<Point>, chart: Chart| {
        let curve = |(series, b): (usize, &Behaviour)| Curve { series, points: shown(of(b), several) };
        Chart { curves: behaviours.iter().enumerate().map(curve).collect(), ..chart }
    };
    match analysis {
        Analysis::Size => vec![points(|b| &b.size, size_chart(vertical))],
        Analysis::Shape => {
            let names = Shape::ALL.map(Shape::name).to_vec();
            let horizontal = Horizontal::Names(names);
            let title = "shape: equal volume, one voxel too small".into();
            vec![points(|b| &b.shape, Chart { title, horizontal, ..size_chart(vertical) })]
        }
        Analysis::Segmentation => {
            let horizontal = Horizontal::Numbers("voxels beside its place, radius 8");
            let shift = Chart { title: "shift".into(), horizontal, ..growth_chart(vertical) };
            vec![points(|b| &b.growth, growth_chart(vertical)), points(|b| &b.shift, shift)]
        }
        Analysis::Profile => profile_charts(behaviours),
        Analysis::Slice => Vec::new(),
    }
}

fn profile_charts(behaviours: &[Behaviour]) -> Vec<Chart> {
    let several = behaviours.len() > 1;
    let both = |b: &Behaviour| largest_of(b.foreground.iter().chain(&b.background).map(|slope| slope.slope));
    let size = |b: &Behaviour| if several { both(b) } else { 1.0 };
    let chart = |title: &str, of: fn(&Behaviour) -> &Vec<Slope>| {
        let curve = |(series, b): (usize, &Behaviour)| Curve {
            series,
            points: of(b).iter().map(|slope| [slope.p, slope.slope / size(b)]).collect(),
        };
        Chart {
            title: title.into(),
            vertical: if several { "dL/dlogit, largest of both = 1" } else { "dL/dlogit" }.into(),
            horizontal: Horizontal::Numbers("p of the voxel"),
            curves: behaviours.iter().enumerate().map(curve).collect(),
        }
    };
    vec![
        chart("slope of one voxel with y = 1", |b| &b.foreground),
        chart("slope of one voxel with y = 0", |b| &b.background),
    ]
}

/// What is drawn of a row of losses.
fn shown(points: &[Point], several: bool) -> Vec<[f64; 2]> {
    let largest = largest_of(points.iter().map(|point| point.loss - point.perfect));
    let y = |point: &Point| if several { (point.loss - point.perfect) / largest } else { point.loss };
    points.iter().map(|point| [point.x, y(point)]).collect()
}

/// The largest magnitude; 1 if all are 0.
fn largest_of(values: impl Iterator<Item = f64>) -> f64 {
    let largest = values.map(f64::abs).filter(|v| v.is_finite()).fold(0.0, f64::max);
    if largest > 0.0 { largest } else { 1.0 }
}

fn largest(values: &[f64]) -> String {
    format!("{:.1e}", values.iter().copied().fold(0.0, f64::max))
}

/// Width and height of the small multiples with their heading.
fn maps_size(behaviours: &[Behaviour]) -> [f64; 2] {
    if behaviours.is_empty() {
        return [0.0; 2];
    }
    let columns = map_columns(behaviours.len());
    let rows = behaviours.len().div_ceil(columns);
    [(columns as f64 * (MAP + 26.0)).max(PANEL[0]), 60.0 + rows as f64 * (MAP + 40.0)]
}

/// As few rows as there have to be, about equally long.
fn map_columns(maps: usize) -> usize {
    maps.div_ceil(maps.div_ceil(MAPS))
}

/// The slices of all losses.
fn draw_maps(svg: &mut Svg, behaviours: &[Behaviour], [x, y]: [f64; 2]) {
    if behaviours.is_empty() {
        return;
    }
    let frame = Frame { x, y, width: 0.0, height: 0.0 };
    heading(
        svg,
        frame,
        "where the gradient is",
        "|dL/dlogit| in the middle slice of a vertebra predicted beside its place, with an island",
    );
    heat::scale(svg, [x + 6.0, y + 38.0]);
    let columns = map_columns(behaviours.len());
    for (number, behaviour) in behaviours.iter().enumerate() {
        let (column, row) = ((number % columns) as f64, (number / columns) as f64);
        let corner = [x + 6.0 + column * (MAP + 26.0), y + 60.0 + row * (MAP + 40.0)];
        svg.line(
            [corner[0], corner[1] + 8.0],
            [corner[0] + 18.0, corner[1] + 8.0],
            Stroke { width: 2.4, ..Stroke::series(number) },
        );
        let name = cut(&behaviour.loss, 12.0, MAP - 24.0);
        svg.text([corner[0] + 24.0, corner[1] + 12.0], Font { size: 12.0, colour: INK, ..SMALL }, &name);
        draw_map(svg, behaviour, Frame { x: corner[0], y: corner[1] + 18.0, width: MAP, height: MAP });
        if let Some(slice) = &behaviour.slice {
            let text = format!("largest {}", largest(&slice.magnitude));
            svg.text([corner[0], corner[1] + MAP + 31.0], SMALL, &text);
        }
    }
}

fn draw_map(svg: &mut Svg, behaviour: &Behaviour, frame: Frame) {
    if let Some(slice) = &behaviour.slice {
        let outlines = vec![(slice.target.as_slice(), heat::TARGET), (slice.prediction.as_slice(), heat::PREDICTION)];
        Heat { shape: slice.shape, values: &slice.magnitude, outlines }.draw(svg, frame);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::losses::analysis::behaviours;
    use crate::losses::{Loss, named};

    fn losses(typed: &[&str]) -> Vec<Loss> {
        typed.iter().map(|typed| named(typed).unwrap()).collect()
    }

    #[test]
    fn a_sheet_shows_every_loss_in_every_analysis() {
        let behaviours = behaviours(&losses(&["dice", "boundary", "(mean ce_fg)"]), &Analysis::ALL, 0.0);
        let text = sheet(&behaviours, &Analysis::ALL);
        for what in ["structure size", "thin plate", "shift", "y = 0", "where the gradient is", "(mean ce_fg)"] {
            assert!(text.contains(what), "{what}");
        }
        // Six panels, of which the shapes are bars; the topmost line is the thinnest.
        assert_eq!(text.matches("stroke-width=\"1.8\"").count(), 5);
        assert_eq!(text, sheet(&behaviours, &Analysis::ALL));
    }

    #[test]
    fn several_losses_are_compared_by_their_rise() {
        let points = [(1.0, -3.0, -5.0), (2.0, -1.0, -5.0)].map(|(x, loss, perfect)| Point { x, loss, perfect });
        assert_eq!(shown(&points, true), [[1.0, 0.5], [2.0, 1.0]]);
        assert_eq!(shown(&points, false), [[1.0, -3.0], [2.0, -1.0]]);
    }

    #[test]
    fn a_card_is_small() {
        for behaviour in behaviours(&losses(&["hausdorff", "ce"]), &Analysis::ALL, 0.0) {
            let text = card(&behaviour);
            assert!(text.len() < 60_000 && text.ends_with("</svg>\n"), "{} bytes", text.len());
        }
    }
}
