//! Whether the values of a mask are labels, the right ones, and whole.
//!
//! A structure that vanishes on a slice and comes back is nearly always a slice that somebody forgot. Masks are drawn
//! slice by slice along the coarsest axis; where no axis is coarser, a gap counts along any, if it is one slice wide:
//! wider ones are two structures of the same label.

use super::finding::Finding;
use crate::data::layout::{Entry, Layout};
use crate::data::nifti::{is_label, nearest_label};
use crate::fault::Fault;
use crate::volume::Volume;

/// An axis is that of the slices if it is coarser than the finest by this factor.
const ANISOTROPIC: f64 = 1.5;

/// Share of foreground above which a mask is probably something else.
const MOST_FOREGROUND: f64 = 0.9;

/// Looks at the values of a mask.
pub(super) fn check(entry: &Entry, layout: &Layout, mask: &Volume<f32>) -> Vec<Finding> {
    let strangers: Vec<f32> = mask.voxels.iter().copied().filter(|value| !is_label(*value)).collect();
    if let Some(first) = strangers.first() {
        let fault = Fault::new("mask has values that are no labels")
            .file(&entry.label)
            .expected("whole numbers from 0 to 255")
            .found(format!("{} of {} voxels, for example {first}", strangers.len(), mask.voxels.len()))
            .hint("masks must be resampled with nearest neighbour, never interpolated; check also that this is not the image");
        return vec![Finding::unusable(&entry.id, &fault)];
    }
    let counts = super::facts::counts(mask);
    let mut findings = Vec::new();
    let unexpected: Vec<String> = counts
        .iter()
        .filter(|(value, _)| !layout.classes.is_empty() && layout.classes.iter().all(|(known, _)| known != *value))
        .map(|(value, voxels)| format!("{value} ({voxels} voxels)"))
        .collect();
    if !unexpected.is_empty() {
        let known: Vec<String> = layout.classes.iter().map(|(value, name)| format!("{value} {name}")).collect();
        let fault = Fault::new("mask has labels that nobody named")
            .file(&entry.label)
            .expected(format!("0 background, {}", known.join(", ")))
            .found(unexpected.join(", "))
            .hint("name them in dataset.json (BIDS: dseg.tsv), or correct the mask");
        findings.push(Finding::unusable(&entry.id, &fault));
    }
    let foreground = counts.values().sum::<usize>() as f64 / mask.voxels.len() as f64;
    let look = if counts.is_empty() {
        Some(("mask is empty", "at least one labelled voxel", "background alone".to_string()))
    } else if foreground > MOST_FOREGROUND {
        Some(("mask labels nearly everything", "less than 90 % foreground", format!("{:.1} %", 100.0 * foreground)))
    } else {
        None
    };
    if let Some((summary, expected, found)) = look {
        let hint = "is this the right file? an empty mask is right only if the structure is not in the image";
        let fault = Fault::new(summary).file(&entry.label).expected(expected).found(found).hint(hint);
        findings.push(Finding::warning(&entry.id, &fault));
    }
    let present = slices(mask);
    for value in counts.keys() {
        for Gap { axis, missing, extent } in gaps(&present, mask.grid.spacing, *value) {
            let letter = ["i", "j", "k"][axis];
            let fault = Fault::new("label vanishes inside its extent")
                .file(&entry.label)
                .field(name(layout, *value))
                .expected(format!("voxels on every slice from {letter} = {} to {}", extent.0, extent.1))
                .found(format!("none on {letter} = {}", ranges(&missing)))
                .hint(format!(
                    "a slice was probably forgotten; look with `lossgen data show {} --slice {letter}={}`",
                    layout.folder.join(&entry.id).display(),
                    missing[0]
                ));
            findings.push(Finding::warning(&entry.id, &fault));
        }
    }
    findings
}

/// A label for people.
pub(super) fn name(layout: &Layout, value: u8) -> String {
    match layout.classes.iter().find(|(known, _)| *known == value) {
        Some((_, name)) => format!("label {value} ({name})"),
        None => format!("label {value}"),
    }
}

/// Slices without a label between slices with it.
#[derive(Debug, PartialEq)]
struct Gap {
    axis: usize,
    missing: Vec<usize>,
    extent: (usize, usize),
}

fn gaps(present: &Slices, spacing: [f64; 3], value: u8) -> Vec<Gap> {
    let finest = spacing.iter().copied().fold(f64::INFINITY, f64::min);
    let coarse: Vec<usize> = (0..3).filter(|axis| spacing[*axis] >= ANISOTROPIC * finest).collect();
    let axes = if coarse.is_empty() { vec![0, 1, 2] } else { coarse.clone() };
    let gap = |axis: usize| {
        let on: Vec<bool> = present[axis].iter().map(|labels| labels[usize::from(value)]).collect();
        let extent = (on.iter().position(|on| *on)?, on.iter().rposition(|on| *on)?);
        let missing: Vec<usize> = (extent.0..=extent.1).filter(|slice| !on[*slice]).collect();
        let wide = missing.windows(2).any(|pair| pair[1] == pair[0] + 1);
        let is_two_parts = coarse.is_empty() && wide;
        (!missing.is_empty() && !is_two_parts).then_some(Gap { axis, missing, extent })
    };
    axes.into_iter().filter_map(gap).collect()
}

/// For every slice along every axis, which labels it has.
type Slices = [Vec<[bool; 256]>; 3];

fn slices(mask: &Volume<f32>) -> Slices {
    let [_, height, width] = mask.grid.shape;
    let mut present = mask.grid.shape.map(|n| vec![[false; 256]; n]);
    for (row, voxels) in mask.voxels.chunks_exact(width).enumerate() {
        for (k, value) in voxels.iter().enumerate() {
            let label = usize::from(nearest_label(*value));
            present[0][row / height][label] = true;
            present[1][row % height][label] = true;
            present[2][k][label] = true;
        }
    }
    present
}

/// Ascending numbers with runs drawn together: `3, 5-7`.
fn ranges(numbers: &[usize]) -> String {
    let runs = numbers.chunk_by(|a, b| a + 1 == *b);
    let text = runs.map(|run| match run {
        [one] => one.to_string(),
        run => format!("{}-{}", run[0], run[run.len() - 1]),
    });
    text.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::Grid;

    /// A mask whose label 1 stands on some slices along an axis.
    fn on(axis: usize, slices: &[usize], spacing: [f64; 3]) -> Volume<f32> {
        let grid = Grid::aligned([9, 9, 9], spacing);
        let mut mask = Volume { voxels: vec![0.0; grid.voxels()], grid };
        for slice in slices {
            let mut place = [4; 3];
            place[axis] = *slice;
            let index = mask.index(place);
            mask.voxels[index] = 1.0;
        }
        mask
    }

    fn gaps_of(mask: &Volume<f32>, value: u8) -> Vec<Gap> {
        gaps(&slices(mask), mask.grid.spacing, value)
    }

    #[test]
    fn a_forgotten_slice_is_found_where_masks_are_drawn() {
        let thick = [1.0, 1.0, 4.0];
        assert_eq!(gaps_of(&on(2, &[2, 3, 5, 8], thick), 1), [Gap { axis: 2, missing: vec![4, 6, 7], extent: (2, 8) }]);
        assert!(gaps_of(&on(2, &[2, 3, 4], thick), 1).is_empty());
        assert!(
            gaps_of(&on(1, &[2, 3, 6], thick), 1).is_empty(),
            "in the plane of the slices, two parts are two parts"
        );
        for axis in 0..3 {
            assert_eq!(gaps_of(&on(axis, &[2, 4], [1.0; 3]), 1).len(), 1);
            assert!(gaps_of(&on(axis, &[2, 5], [1.0; 3]), 1).is_empty(), "two structures of the same label");
        }
        assert!(gaps_of(&on(0, &[2], thick), 3).is_empty(), "a label that does not occur");
    }

    #[test]
    fn runs_are_drawn_together() {
        assert_eq!(ranges(&[3, 5, 6, 7, 9, 10]), "3, 5-7, 9-10");
    }
}
