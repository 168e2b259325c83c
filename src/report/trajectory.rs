//! A training in a picture: its loss, and where the weights or parameters of the loss stood, step by step.

use super::chart::{Chart, Curve, Horizontal};
use super::legend::Legend;
use super::svg::{Frame, Svg};

const MARGIN: f64 = 14.0;
const PANEL: [f64; 2] = [360.0, 240.0];

/// Most points of a curve: more than a screen has.
const MOST: usize = 300;

/// The loss of every step beside what moved, of which `names` are the names and `moving` the values of every step.
pub fn picture(names: &[String], losses: &[f64], moving: &[Vec<f64>]) -> String {
    let names: Vec<&str> = std::iter::once("loss").chain(names.iter().map(String::as_str)).collect();
    let legend = Legend::new(&names, 2.0 * PANEL[0]);
    let above = MARGIN + legend.height() + MARGIN;
    let mut svg = Svg::new(2.0 * (PANEL[0] + MARGIN), above + PANEL[1] + MARGIN);
    legend.draw(&mut svg, [MARGIN, MARGIN]);
    let of = |series: usize| -> Vec<f64> {
        moving.iter().map(|values| values.get(series).copied().unwrap_or(f64::NAN)).collect()
    };
    let moved = (1..names.len()).map(|series| Curve { series, points: thinned(&of(series - 1)) }).collect();
    let loss = vec![Curve { series: 0, points: thinned(losses) }];
    let charts = [("loss of the batch", "loss", loss), ("what moves", "value", moved)];
    for (number, (title, vertical, curves)) in charts.into_iter().enumerate() {
        let (title, vertical) = (title.to_string(), vertical.to_string());
        let chart = Chart { title, vertical, horizontal: Horizontal::Numbers("step"), curves };
        let frame = Frame { x: MARGIN + number as f64 * PANEL[0], y: above, width: PANEL[0], height: PANEL[1] };
        chart.draw(&mut svg, frame);
    }
    svg.finish("a training and what moved in it")
}

/// Means of so many steps each that a curve has few points.
fn thinned(values: &[f64]) -> Vec<[f64; 2]> {
    let length = values.len().div_ceil(MOST).max(1);
    let point =
        |(number, part): (usize, &[f64])| [(number * length) as f64, part.iter().sum::<f64>() / part.len() as f64];
    values.chunks(length).enumerate().map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_trainings_are_thinned_and_what_moves_is_named() {
        let losses: Vec<f64> = (0..1000).map(f64::from).collect();
        let moving: Vec<Vec<f64>> = (0..1000).map(|step| vec![1.0, 1e-3 * f64::from(step)]).collect();
        let text = picture(&["weight_1".into(), "weight_2".into()], &losses, &moving);
        assert!(text.contains(">loss<") && text.contains(">weight_2<") && text.len() < 40_000, "{}", text.len());
        assert_eq!(thinned(&losses)[1], [4.0, 5.5]);
    }
}
