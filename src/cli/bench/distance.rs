//! `lossgen bench distance`: the exact Euclidean distance transform.
//!
//! The transform is the price of every surface metric and of every loss with a distance map.

use clap::Args;

use super::super::term::Term;
use super::durations::measure;
use super::scene::{self, Mask};
use super::{Repeats, Report};
use crate::fault::Result;
use crate::volume::distance::distance;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// What is in the mask
    #[arg(long, value_enum, default_value = "bodies")]
    mask: Mask,
    #[command(flatten)]
    repeats: Repeats,
}

pub(super) fn run(arguments: &Arguments, term: &Term) -> Result<Report> {
    let mask = scene::mask(arguments.mask).map(|class| *class == 1);
    let (durations, distances) = measure(arguments.repeats, term, || distance(&mask))?;
    let distances = distances.expect("the mask has voxels").voxels;
    let mut report = Report::new("distance", arguments.repeats);
    report.set("mask", format!("{:?}", arguments.mask).to_lowercase());
    report.set("shape", scene::SHAPE.to_vec());
    report.set("spacing_mm", scene::SPACING.to_vec());
    let fastest = durations.min();
    report.time("distance", durations);
    report.figure("megavoxels_per_second", distances.len() as f64 / 1e3 / fastest);
    report.result("mean_mm", distances.iter().sum::<f64>() / distances.len() as f64);
    report.result("max_mm", distances.iter().copied().fold(0.0, f64::max));
    Ok(report)
}
