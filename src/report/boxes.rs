//! Box plots with the cases as dots.
//!
//! Guards that no case is hidden: each is a dot, also one that the box would cover; infinite values have a place of their
//! own at the right, undefined ones are counted in words. The box reaches from the lower to the upper quartile, its line
//! is the median, whiskers end at the last case within 1.5 times its length (Tukey 1977). Infinite values take part in
//! quartiles, which need nothing but an order.

use super::axis::Axis;
use super::rows::{Ground, Rows};
use super::svg::{Frame, INK, PALETTE, Stroke, TINTS};
use crate::stats::summary::quantile;

const EXPLANATION: &str = "box: quartiles and median; whiskers: last case within 1.5 box lengths; dots: cases";

/// One row per loss: its values, one per case, in `unit`.
pub fn boxes(title: &str, unit: &str, groups: &[(String, Vec<f64>)]) -> String {
    let all = || groups.iter().flat_map(|(_, values)| values.iter().copied());
    let rows = Rows {
        title,
        explanation: EXPLANATION,
        unit,
        names: groups.iter().map(|(name, _)| name.as_str()).collect(),
        axis: Axis::around(all()),
        left: None,
        right: all().any(|value| value == f64::INFINITY).then_some("∞"),
        height: 30.0,
        column: ("median, cases", 165.0),
    };
    let mut ground = rows.ground();
    for (row, (_, values)) in groups.iter().enumerate() {
        draw(&mut ground, row, values);
        ground.text(row, &words(values), INK);
    }
    ground.svg.finish(title)
}

/// The box and the dots of a row.
pub(super) fn draw(ground: &mut Ground, row: usize, values: &[f64]) {
    let sorted = placed(values);
    if sorted.is_empty() {
        return;
    }
    let middle = ground.y(row);
    let [lower, median, upper] = [0.25, 0.5, 0.75].map(|share| quantile(&sorted, share));
    let reach = 1.5 * (upper - lower);
    let first = sorted.iter().copied().find(|v| *v >= lower - reach).unwrap_or(lower);
    let last = sorted.iter().copied().rfind(|v| *v <= upper + reach).unwrap_or(upper);
    let line = Stroke { width: 1.4, ..Stroke::thin(PALETTE[0]) };
    for (from, to) in [(first.min(lower), lower), (upper, last.max(upper))] {
        ground.svg.line([ground.x(from), middle], [ground.x(to), middle], line);
    }
    for end in [first.min(lower), last.max(upper)] {
        ground.svg.line([ground.x(end), middle - 5.0], [ground.x(end), middle + 5.0], line);
    }
    let (left, right) = (ground.x(lower), ground.x(upper));
    let half = 8.0;
    let frame = Frame { x: left, y: middle - half, width: (right - left).max(1.0), height: 2.0 * half };
    ground.svg.rectangle(frame, TINTS[0]);
    let dots: Vec<[f64; 2]> =
        sorted.iter().enumerate().map(|(n, value)| [ground.x(*value), middle + 11.0 * scatter(n)]).collect();
    ground.svg.dots(&dots, if dots.len() > 40 { 2.2 } else { 3.2 }, "#33556b");
    let median = ground.x(median);
    ground.svg.line([median, middle - half - 1.0], [median, middle + half + 1.0], Stroke { width: 2.6, ..line });
}

/// The values that have a place, ascending: all but undefined ones, of which minus infinity is one: no metric
/// gives it.
fn placed(values: &[f64]) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan() && *v != f64::NEG_INFINITY).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

/// Where in a row the n-th of its dots stands, from -1 to 1: far from its neighbours, and always at the same place (the
/// fractional parts of multiples of the golden ratio).
fn scatter(n: usize) -> f64 {
    2.0 * ((n as f64 + 1.0) * 0.618_033_988_749_895).fract() - 1.0
}

/// Median, number of cases, and how many have no place on an axis.
fn words(values: &[f64]) -> String {
    let sorted = placed(values);
    let undefined = values.len() - sorted.len();
    let mut text = match sorted.len() {
        0 => "no value".to_string(),
        n => format!("{}, n = {n}", short(quantile(&sorted, 0.5))),
    };
    if undefined > 0 {
        text += &format!(", {undefined} undefined");
    }
    text
}

/// Three digits that count, as people write them.
pub(super) fn short(value: f64) -> String {
    let text = match value.abs() {
        _ if value.is_nan() => return "?".to_string(),
        _ if value.is_infinite() => return if value > 0.0 { "∞" } else { "\u{2212}∞" }.to_string(),
        0.0 => "0".to_string(),
        size if size < 1e-4 => format!("{value:.1e}"),
        size if size < 1.0 => format!("{value:.3}"),
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        size if size < 1e6 => format!("{value:.0}"),
        _ => format!("{value:.1e}"),
    };
    text.replace('-', "\u{2212}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::markup::{check, marks};

    #[test]
    fn every_case_has_a_dot_and_what_is_infinite_or_undefined_is_told() {
        let groups = vec![
            ("dice".to_string(), vec![0.9, 0.85, 0.88, 0.2]),
            ("a<b".to_string(), vec![f64::INFINITY, f64::NAN, 0.7]),
            ("none".to_string(), vec![f64::NAN]),
        ];
        let text = boxes("Dice", "Dice", &groups);
        check(&text);
        assert_eq!(marks(&text, "h0"), 6, "{text}");
        for words in [">0.865, n = 4<", ">∞, n = 2, 1 undefined<", ">no value, 1 undefined<", "a&lt;b", ">∞<"] {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert_eq!(text, boxes("Dice", "Dice", &groups));
    }

    #[test]
    fn equal_values_and_single_cases_are_drawn() {
        for values in [vec![0.5; 20], vec![0.5], vec![], vec![f64::INFINITY; 3]] {
            check(&boxes("t", "u", &[("x".to_string(), values)]));
        }
        check(&boxes("t", "u", &[]));
    }

    #[test]
    fn dots_spread_over_their_row() {
        let all: Vec<f64> = (0..50).map(scatter).collect();
        assert!(all.iter().all(|y| y.abs() <= 1.0) && all.iter().any(|y| *y < -0.9) && all.iter().any(|y| *y > 0.9));
    }

    #[test]
    fn numbers_are_short() {
        let of = [0.0, 0.12345, -1.2345, 12.345, 123.4, 2e-5, f64::INFINITY].map(short);
        assert_eq!(of, ["0", "0.123", "−1.23", "12.3", "123", "2.0e−5", "∞"]);
    }
}
