//! A learned loss in a picture: what it does to a voxel, by the voxel's logit, for either side of the target.

use super::chart::{Chart, Curve, Horizontal};
use super::legend::Legend;
use super::svg::{Frame, Svg};

/// Slopes against logits at one moment of a training.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// Which moment.
    pub name: String,
    /// (logit, dL/dlogit) where y = 0.
    pub background: Vec<[f64; 2]>,
    /// (logit, dL/dlogit) where y = 1.
    pub foreground: Vec<[f64; 2]>,
}

const MARGIN: f64 = 14.0;
const PANEL: [f64; 2] = [330.0, 240.0];

/// Two panels, one for each side of the target; a line for every moment.
pub fn picture(profiles: &[Profile]) -> String {
    let names: Vec<&str> = profiles.iter().map(|profile| profile.name.as_str()).collect();
    let legend = Legend::new(&names, 2.0 * PANEL[0]);
    let above = MARGIN + legend.height() + MARGIN;
    let mut svg = Svg::new(2.0 * (PANEL[0] + MARGIN), above + PANEL[1] + MARGIN);
    legend.draw(&mut svg, [MARGIN, MARGIN]);
    for (number, title) in ["voxel with y = 1", "voxel with y = 0"].into_iter().enumerate() {
        let of = |profile: &Profile| if number == 0 { &profile.foreground } else { &profile.background }.clone();
        let curve = |(series, profile)| Curve { series, points: of(profile) };
        let chart = Chart {
            title: title.to_string(),
            vertical: "dL/dlogit".to_string(),
            horizontal: Horizontal::Numbers("logit"),
            curves: profiles.iter().enumerate().map(curve).collect(),
        };
        let frame = Frame { x: MARGIN + number as f64 * PANEL[0], y: above, width: PANEL[0], height: PANEL[1] };
        chart.draw(&mut svg, frame);
    }
    svg.finish("slopes of a learned loss")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_moment_has_a_line_on_either_side() {
        let points = vec![[-1.0, 0.5], [1.0, 1.0]];
        let profile =
            |name: &str| Profile { name: name.into(), background: points.clone(), foreground: points.clone() };
        let text = picture(&[profile("early"), profile("late")]);
        assert!(text.contains(">early<") && text.contains(">late<") && text.contains(">voxel with y = 1<"), "{text}");
        // Once in the legend, once in each panel.
        assert_eq!(text.matches("#0072b2").count(), 3, "{text}");
        assert_eq!(text.matches("#d55e00").count(), 3, "{text}");
    }
}
