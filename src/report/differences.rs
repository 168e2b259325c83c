//! Paired differences to a control with their confidence intervals: a forest plot.
//!
//! Guards that a difference is seen with what is known about it: the interval is as prominent as the mean, only what the
//! data resolve is coloured, and the numbers stand beside it. One loss that failed would press all others onto the line of
//! 0; its interval is cut at the edge and ends there in an arrow.

use super::axis::Axis;
use super::rows::{Ground, Rows};
use super::svg::{BAD, FAINT, Frame, GOOD, INK, Stroke};
use crate::stats::summary::quantile;
use crate::stats::{Direction, Verdict};

/// One loss against the control.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The loss.
    pub name: String,
    /// Mean over subjects of loss minus control, in the metric's own sign; NaN if there is none.
    pub mean: f64,
    /// Lower end of its interval; NaN if there is none.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// What may be claimed.
    pub verdict: Verdict,
}

const EXPLANATION: &str = "mean of paired differences with 95 % interval; coloured where the data resolve a difference";

/// Extents above so many times the upper quartile of all extents are cut.
const FAR: f64 = 3.0;

/// One row per loss; `direction` says on which side the better ones stand.
pub fn differences(title: &str, unit: &str, direction: Direction, differences: &[Difference]) -> String {
    let reach = reach(differences);
    let within = |value: f64| value.clamp(-reach, reach);
    let rows = Rows {
        title,
        explanation: EXPLANATION,
        unit,
        names: differences.iter().map(|difference| difference.name.as_str()).collect(),
        axis: Axis::from_zero(differences.iter().flat_map(|d| [d.low, d.mean, d.high].map(within))),
        left: None,
        right: None,
        height: 28.0,
        column: ("mean (interval), verdict", 262.0),
    };
    let mut ground = rows.ground();
    ground.upright(0.0, Stroke { width: 1.4, ..Stroke::thin(INK) });
    ground.directions(match direction {
        Direction::Higher => ["← worse", "better →"],
        Direction::Lower => ["← better", "worse →"],
    });
    for (row, difference) in differences.iter().enumerate() {
        mark(&mut ground, row, difference);
        let colour = colour(difference.verdict);
        ground.text(row, &words(difference), if colour == FAINT { INK } else { colour });
    }
    ground.svg.finish(title)
}

fn mark(ground: &mut Ground, row: usize, difference: &Difference) {
    let Difference { mean, low, high, verdict, .. } = *difference;
    let (middle, colour) = (ground.y(row), colour(verdict));
    let line = Stroke { width: 2.2, ..Stroke::thin(colour) };
    if !low.is_nan() && !high.is_nan() {
        ground.svg.line([ground.x(low), middle], [ground.x(high), middle], line);
        for end in [low, high] {
            let x = ground.x(end);
            // An arrow where it goes on beyond the edge, else a bar.
            let inwards = match ground.is_beyond(end) {
                true if end < 0.0 => 6.0,
                true => -6.0,
                false => 0.0,
            };
            ground.svg.lines(&[[x + inwards, middle - 5.0], [x, middle], [x + inwards, middle + 5.0]], line);
        }
    }
    if !mean.is_nan() && !ground.is_beyond(mean) {
        let x = ground.x(mean);
        ground.svg.rectangle(Frame { x: x - 4.5, y: middle - 4.5, width: 9.0, height: 9.0 }, colour);
        if matches!(verdict, Verdict::NotResolvable { .. }) {
            ground.svg.rectangle(Frame { x: x - 2.7, y: middle - 2.7, width: 5.4, height: 5.4 }, "#ffffff");
        }
    }
}

fn colour(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Better => GOOD,
        Verdict::Worse => BAD,
        Verdict::NotResolvable { .. } => FAINT,
    }
}

fn words(difference: &Difference) -> String {
    let Difference { mean, low, high, verdict, .. } = *difference;
    if mean.is_nan() {
        return format!("undefined, {verdict}");
    }
    let decimals = if mean.abs().max(low.abs()).max(high.abs()) < 1.0 { 3 } else { 2 };
    let number = |value: f64| match value {
        v if v.is_nan() => "?".to_string(),
        v if v.is_finite() && v.abs() >= 1e4 => format!("{v:+.1e}").replace('-', "\u{2212}"),
        v => format!("{v:+.decimals$}").replace('-', "\u{2212}").replace("inf", "∞"),
    };
    let verdict = match verdict {
        Verdict::NotResolvable { .. } => "not resolvable".to_string(),
        verdict => verdict.to_string(),
    };
    format!("{} ({} to {}) {verdict}", number(mean), number(low), number(high))
}

/// How far from 0 the axis must reach.
fn reach(differences: &[Difference]) -> f64 {
    let extent =
        |d: &Difference| [d.low, d.mean, d.high].into_iter().filter(|v| !v.is_nan()).map(f64::abs).fold(0.0, f64::max);
    let mut extents: Vec<f64> = differences.iter().map(extent).collect();
    extents.sort_unstable_by(f64::total_cmp);
    let finite = extents.iter().copied().rfind(|v| v.is_finite()).unwrap_or(0.0);
    let far = FAR * quantile(&extents, 0.75);
    if far.is_finite() && far > 0.0 && finite > far { far } else { finite }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::markup::check;

    fn of(name: &str, mean: f64, half: f64, verdict: Verdict) -> Difference {
        Difference { name: name.to_string(), mean, low: mean - half, high: mean + half, verdict }
    }

    fn open() -> Verdict {
        Verdict::NotResolvable { n: 12 }
    }

    #[test]
    fn verdicts_are_coloured_and_said_and_sides_are_named() {
        let all =
            [of("a", 0.02, 0.01, Verdict::Better), of("b", -0.03, 0.01, Verdict::Worse), of("c", 0.0, 0.02, open())];
        let text = differences("Dice", "difference", Direction::Higher, &all);
        check(&text);
        for words in
            ["+0.020 (+0.010 to +0.030) better", "−0.030 (−0.040 to −0.020) worse", "not resolvable", "better →"]
        {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert_eq!([GOOD, BAD].map(|colour| text.matches(&format!("fill=\"{colour}\"")).count()), [2, 2]);
        assert!(differences("HD95", "mm", Direction::Lower, &all).contains("← better"));
    }

    #[test]
    fn one_failed_loss_does_not_press_the_others_onto_zero() {
        let mut all: Vec<Difference> = (0..6).map(|n| of("x", 0.01 * f64::from(n), 0.01, open())).collect();
        all.push(of("failed", -0.8, 0.1, Verdict::Worse));
        assert!(reach(&all) < 0.25, "{}", reach(&all));
        let text = differences("Dice", "difference", Direction::Higher, &all);
        check(&text);
        assert!(text.contains("−0.800"), "{text}");
    }

    #[test]
    fn what_is_undefined_or_infinite_is_said() {
        let all = [
            Difference { name: "n".into(), mean: f64::NAN, low: f64::NAN, high: f64::NAN, verdict: open() },
            Difference { name: "i".into(), mean: 1.0, low: f64::NEG_INFINITY, high: f64::INFINITY, verdict: open() },
            Difference { name: "one".into(), mean: 0.5, low: f64::NAN, high: f64::NAN, verdict: open() },
        ];
        let text = differences("HD", "mm", Direction::Lower, &all);
        check(&text);
        assert!(text.contains("undefined") && text.contains("−∞ to +∞") && text.contains("(? to ?)"), "{text}");
        check(&differences("HD", "mm", Direction::Lower, &[]));
        check(&differences("HD", "mm", Direction::Lower, &[of("0", 0.0, 0.0, open())]));
    }
}
