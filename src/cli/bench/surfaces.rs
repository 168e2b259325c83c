//! `lossgen bench surfaces`: everything that is measured on one case and class.
//!
//! One call gives all metrics, so there is no time of HD95 alone: a tool that computes them one by one is compared by
//! the sum of what it computes.

use super::super::term::Term;
use super::durations::measure;
use super::scene::{self, Mask};
use super::{Repeats, Report};
use crate::fault::Result;
use crate::metrics::{Metric, evaluate};

pub(super) fn run(repeats: Repeats, term: &Term) -> Result<Report> {
    let (prediction, truth) = (scene::prediction(), scene::mask(Mask::Bodies));
    let (durations, metrics) = measure(repeats, term, || evaluate(&prediction, &truth, 1))?;
    let metrics = metrics?;
    let mut report = Report::new("surfaces", repeats);
    report.set("shape", scene::SHAPE.to_vec());
    report.set("spacing_mm", scene::SPACING.to_vec());
    let fastest = durations.min();
    report.time("surfaces", durations);
    report.figure("cases_per_second", 1e3 / fastest);
    for (name, metric) in
        [("dice", Metric::Dice), ("hd95_mm", Metric::Hd95), ("nsd_at_1_mm", Metric::Nsd), ("assd_mm", Metric::Assd)]
    {
        report.result(name, metrics.value(metric));
    }
    Ok(report)
}
