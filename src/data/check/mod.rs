//! What is wrong with a dataset, all of it at once: before a night of training, not at its end.
//!
//! Reads one case at a time and keeps numbers and hashes of it, so a set of any size fits in memory. Findings are of two
//! kinds: what cannot be used (training would refuse it or learn nonsense), and what a person should look at. Nothing is
//! repaired here but headers, on demand, into a new folder. Every case is judged alone first (`grids`, `labels`,
//! `intensities`), then among the others (`company`).

mod company;
mod facts;
mod finding;
mod geometry;
mod grids;
mod intensities;
mod labels;
mod verdict;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::case::other_channels;
use super::layout::{Entry, Layout, nameless};
use super::nifti::{self, nearest_label};
use super::subjects::mask_digest;
use crate::fault::Result;
use crate::phase::{self, Phase, Stage};
use crate::volume::Volume;

pub use facts::{ChannelFacts, Facts};
pub use finding::{Finding, Severity};
pub use geometry::copy_geometry;

/// Everything that was found out about a dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What the dataset calls itself.
    pub name: String,
    /// Where it is.
    pub folder: PathBuf,
    /// Its layout, in words.
    pub layout: String,
    /// BLAKE3, in hexadecimal, of ids, names of labels and channels, and the bytes of every file.
    pub digest: String,
    /// Names of channels.
    pub channels: Vec<String>,
    /// Label values and their names, background left out.
    pub classes: Vec<(u8, String)>,
    /// Number of cases, also of those that could not be read.
    pub count: usize,
    /// What cases are like, by id; those that could not be read are missing.
    pub cases: Vec<Facts>,
    /// What is wrong, cases in order of their ids, what concerns them all at the end.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Findings of a severity.
    pub fn count_of(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// Whether nothing stands in the way of training.
    pub fn is_usable(&self) -> bool {
        self.count_of(Severity::Unusable) == 0
    }
}

/// What is kept of a case while the others are read.
struct Examined {
    id: String,
    facts: Option<Facts>,
    findings: Vec<Finding>,
    /// Hash of the voxels of the image, whatever its files and headers.
    image: Option<blake3::Hash>,
    /// The same of the mask, if it has foreground.
    mask: Option<blake3::Hash>,
}

/// Checks a dataset; `progress` is told the number of finished cases and of all. With a folder for verdicts, one that was
/// found for the very same files is taken from there, and whether it was is the second value.
///
/// # Errors
/// If the folder is no dataset at all: see [`Layout::find`]. Whatever is wrong with single cases is in the report.
pub fn check(folder: &Path, verdicts: Option<&Path>, progress: &mut dyn FnMut(usize, usize)) -> Result<(Report, bool)> {
    let layout = Layout::find(folder)?;
    phase::begin(Stage::Checks);
    let digest = verdict::digest(&layout);
    phase::end(Phase::Read);
    if let Some(known) = verdicts.and_then(|verdicts| verdict::load(verdicts, &layout, &digest)) {
        return Ok((known, true));
    }
    let count = layout.entries.len();
    progress(0, count);
    let mut examined = Vec::with_capacity(count);
    for (number, entry) in layout.entries.iter().enumerate() {
        examined.push(examine(entry, &layout));
        progress(number + 1, count);
    }
    let report = judge(&layout, digest, examined);
    phase::end(Phase::Examine);
    if let Some(verdicts) = verdicts {
        verdict::store(verdicts, &layout, &report);
    }
    Ok((report, false))
}

/// Everything that one case alone can tell.
fn examine(entry: &Entry, layout: &Layout) -> Examined {
    let mut findings = Vec::new();
    let mut unusable = |fault| findings.push(Finding::unusable(&entry.id, &fault));
    let mut channels: Vec<(&PathBuf, Volume<f32>)> = Vec::new();
    let mut readable = true;
    for path in &entry.images {
        match nifti::read_values(path) {
            Ok(volumes) => channels.extend(volumes.into_iter().map(|volume| (path, volume))),
            Err(fault) => {
                readable = false;
                unusable(fault);
            }
        }
    }
    if readable && channels.len() != layout.channels.len() {
        unusable(other_channels(&entry.images[0], layout.channels.len(), channels.len()));
    }
    let mask = match nifti::read_values(&entry.label) {
        Ok(mut volumes) if volumes.len() == 1 => volumes.pop(),
        // Asked again for the message, which the reader of masks has.
        Ok(_) => {
            nifti::read_label(&entry.label).err().into_iter().for_each(&mut unusable);
            None
        }
        Err(fault) => {
            unusable(fault);
            None
        }
    };
    phase::end(Phase::Read);
    for (path, channel) in &channels {
        findings.extend(intensities::check(entry, path, channel));
    }
    let mut seen: Option<&PathBuf> = None;
    for (path, channel) in &channels {
        // Channels along the fourth axis have one header.
        if seen.replace(path) != Some(path) {
            findings.extend(grids::check_rounding(entry, path, &channel.grid));
        }
    }
    if let Some(mask) = &mask {
        findings.extend(grids::check_rounding(entry, &entry.label, &mask.grid));
        findings.extend(grids::check(entry, &channels, mask));
        findings.extend(labels::check(entry, layout, mask));
    }
    let hash = |volumes: &mut dyn Iterator<Item = &Volume<f32>>| {
        let mut hasher = blake3::Hasher::new();
        for volume in volumes {
            hasher.update(format!("{:?}", volume.grid.shape).as_bytes());
            for run in volume.voxels.chunks(1 << 14) {
                hasher.update(&run.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>());
            }
        }
        hasher.finalize()
    };
    let whole = readable && !channels.is_empty();
    let examined = Examined {
        id: entry.id.clone(),
        facts: whole.then(|| Facts::of(&entry.id, channels.iter().map(|(_, channel)| channel), mask.as_ref())),
        image: whole.then(|| hash(&mut channels.iter().map(|(_, channel)| channel))),
        mask: mask.as_ref().and_then(|mask| mask_digest(&mask.map(|value| nearest_label(*value)))),
        findings,
    };
    phase::end(Phase::Examine);
    examined
}

/// Joins the cases and compares them with each other.
fn judge(layout: &Layout, digest: String, mut examined: Vec<Examined>) -> Report {
    let incomplete = layout.incomplete.iter().map(|(id, fault)| Finding::unusable(id, fault));
    let company = company::check(layout, &examined);
    let mut findings: Vec<Finding> = incomplete.collect();
    findings.extend(examined.iter_mut().flat_map(|case| std::mem::take(&mut case.findings)));
    findings.extend(company);
    // A stable sort: what concerns all cases has no case and comes last.
    findings.sort_by_key(|finding| (finding.case.is_none(), finding.case.clone()));
    let cases: Vec<Facts> = examined.into_iter().filter_map(|case| case.facts).collect();
    let classes = if layout.classes.is_empty() {
        let values: std::collections::BTreeSet<u8> =
            cases.iter().flat_map(|case| case.labels.keys().copied()).collect();
        nameless(values)
    } else {
        layout.classes.clone()
    };
    Report {
        name: layout.name.clone(),
        folder: layout.folder.clone(),
        layout: layout.kind.name().to_string(),
        digest,
        channels: layout.channels.clone(),
        classes,
        count: layout.entries.len() + layout.incomplete.len(),
        cases,
        findings,
    }
}

#[cfg(test)]
mod tests;
