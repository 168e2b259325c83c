//! Whether an image shows anything.

use std::path::Path;

use super::facts::ChannelFacts;
use super::finding::Finding;
use crate::data::layout::Entry;
use crate::fault::Fault;
use crate::volume::Volume;

/// Looks for voxels without a value and for images without contrast.
pub(super) fn check(entry: &Entry, path: &Path, image: &Volume<f32>) -> Option<Finding> {
    let bad = image.voxels.iter().filter(|value| !value.is_finite()).count();
    let facts = ChannelFacts::of(&image.voxels);
    let fault = if bad > 0 {
        Fault::new("image has voxels without a value")
            .expected("finite numbers")
            .found(format!(
                "{bad} of {} voxels are infinite, not a number or beyond the range of float32",
                image.voxels.len()
            ))
            .hint("replace them by the background's value; they often come from a division in an earlier step")
    } else if facts.min == facts.max {
        Fault::new("image is constant")
            .expected("different intensities")
            .found(format!("{} everywhere", facts.min))
            .hint("the export went wrong or this is another file; remove the case or export the image again")
    } else if facts.low == facts.high {
        Fault::new("image is nearly constant")
            .expected("different intensities between the 0.5th and the 99.5th percentile")
            .found(format!("{} there, {} to {} in all", facts.low, facts.min, facts.max))
            .hint("the image shows almost nothing, or a few voxels outshine it; look with `lossgen data show`")
    } else {
        return None;
    };
    Some(Finding::unusable(&entry.id, &fault.file(path)))
}
