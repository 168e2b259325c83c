//! Whether all files of a case lie on the same grid.

use std::path::PathBuf;

use super::finding::Finding;
use crate::data::layout::Entry;
use crate::fault::Fault;
use crate::volume::affine::difference;
use crate::volume::relation::Relation;
use crate::volume::{Grid, Volume};

/// Compares every channel with the first, and the mask with the image.
pub(super) fn check(entry: &Entry, channels: &[(&PathBuf, Volume<f32>)], mask: &Volume<f32>) -> Vec<Finding> {
    let Some(((first, image), others)) = channels.split_first() else { return Vec::new() };
    let mut findings = Vec::new();
    for (path, channel) in others {
        if let Some(fault) = apart("channels of a case are on different grids", &image.grid, &channel.grid) {
            let fault = fault.file(path).hint(format!("resample or save it on the grid of {}", first.display()));
            findings.push(Finding::unusable(&entry.id, &fault));
        }
    }
    let summary = match Relation::of(&image.grid, &mask.grid) {
        Relation::Same => return findings,
        Relation::Turned => "mask has the voxels of its image in another order",
        Relation::OtherHeader => "mask has another header than its image",
        Relation::OtherGrid => "mask is on another grid than its image",
    };
    if let Some(fault) = apart(summary, &image.grid, &mask.grid) {
        let fault = fault.file(&entry.label).hint(Relation::of(&image.grid, &mask.grid).cure());
        findings.push(Finding::unusable(&entry.id, &fault));
    }
    findings
}

fn apart(summary: &str, first: &Grid, second: &Grid) -> Option<Fault> {
    let difference = difference(first, second)?;
    Some(Fault::new(summary).field(difference.what).expected(difference.first).found(difference.second))
}
