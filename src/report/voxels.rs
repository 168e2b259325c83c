//! How much of the data is foreground: the share of voxels that each class has in each case.
//!
//! Guards that imbalance is seen as what it is, a ratio: the axis is logarithmic, so a structure of a thousandth and one of
//! a tenth both have room. Cases without a class have a place of their own, because they decide how an empty mask must be
//! treated.

use super::axis::Axis;
use super::boxes::{draw, short};
use super::rows::Rows;
use super::svg::INK;
use crate::stats::summary::quantile;

const EXPLANATION: &str = "share of all voxels of a case, one dot per case; logarithmic";

/// One row per class, of which the background is usually one: its share (0 to 1) of the voxels of every case.
pub fn distribution(title: &str, classes: &[(String, Vec<f64>)]) -> String {
    let all = || classes.iter().flat_map(|(_, shares)| shares.iter().map(|share| 100.0 * share));
    let rows = Rows {
        title,
        explanation: EXPLANATION,
        unit: "% of the voxels",
        names: classes.iter().map(|(name, _)| name.as_str()).collect(),
        axis: Axis::logarithmic(all()),
        left: all().any(|share| share <= 0.0).then_some("absent"),
        right: None,
        height: 30.0,
        column: ("median, cases", 190.0),
    };
    let mut ground = rows.ground();
    for (row, (_, shares)) in classes.iter().enumerate() {
        let mut percent: Vec<f64> = shares.iter().map(|share| 100.0 * share).filter(|v| v.is_finite()).collect();
        draw(&mut ground, row, &percent);
        percent.sort_unstable_by(f64::total_cmp);
        ground.text(row, &words(&percent), INK);
    }
    ground.svg.finish(title)
}

fn words(sorted: &[f64]) -> String {
    let absent = sorted.iter().filter(|share| **share <= 0.0).count();
    let mut text = match sorted.len() {
        0 => "no case".to_string(),
        n => match quantile(sorted, 0.5) {
            median if median > 0.0 && median < 0.01 => format!("{median:.5} %, n = {n}"),
            median => format!("{} %, n = {n}", short(median)),
        },
    };
    if absent > 0 {
        text += &format!(", absent in {absent}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::markup::{check, marks};

    #[test]
    fn every_case_is_a_dot_and_absent_classes_have_a_place() {
        let classes = vec![
            ("background".to_string(), vec![0.97, 0.98, 0.99]),
            ("vertebra".to_string(), vec![0.03, 0.0, 0.01]),
            ("rare".to_string(), vec![0.0, 0.0, 2e-6]),
        ];
        let text = distribution("Voxels", &classes);
        check(&text);
        assert_eq!(marks(&text, "h0"), 9);
        assert!(text.contains(">absent<") && text.contains("absent in 2") && text.contains("98.0 %, n = 3"), "{text}");
        assert_eq!(text, distribution("Voxels", &classes));
    }

    #[test]
    fn nothing_and_only_absent_classes_are_drawn() {
        for shares in [vec![], vec![0.0; 4], vec![f64::NAN], vec![1.0]] {
            check(&distribution("Voxels", &[("x".to_string(), shares)]));
        }
    }
}
