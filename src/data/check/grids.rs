//! Whether all files of a case lie on the same grid, and whether each says so in all digits.

use std::path::{Path, PathBuf};

use super::finding::Finding;
use crate::data::layout::Entry;
use crate::data::nifti;
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

/// Looks for a spacing in `pixdim` that is a rounded form of the one that is used.
pub(super) fn check_rounding(entry: &Entry, path: &Path, grid: &Grid) -> Option<Finding> {
    // A file that cannot be read has been told already.
    let rounded = nifti::read_rounded(path).ok()??;
    let share = (0..3).map(|axis| (rounded[axis] / grid.spacing[axis] - 1.0).abs()).fold(0.0, f64::max);
    let fault = Fault::new("voxel size is rounded in the header")
        .file(path)
        .field("pixdim[1..=3]")
        .expected(format!("{} mm, the lengths of the columns of the sform", digits(grid.spacing)))
        .found(format!("{} mm, up to {:.2} % off", digits(rounded), 100.0 * share))
        .hint(
            "the sform is used: it has all digits, and it is what places voxels in the patient. Tools that read pixdim \
             measure differently; to cure the file, with nibabel: \
             `i = nib.load(F); i.header.set_zooms(nib.affines.voxel_sizes(i.affine)); nib.save(i, NEW)`",
        );
    Some(Finding::warning(&entry.id, &fault))
}

/// Six digits behind the point, without zeros at their end.
fn digits(spacing: [f64; 3]) -> String {
    let short = |s: f64| format!("{s:.6}").trim_end_matches('0').trim_end_matches('.').to_string();
    spacing.map(short).join(" x ")
}

fn apart(summary: &str, first: &Grid, second: &Grid) -> Option<Fault> {
    let difference = difference(first, second)?;
    Some(Fault::new(summary).field(difference.what).expected(difference.first).found(difference.second))
}
