//! What only shows beside the other cases: doubles, strangers, labels that one case lacks.
//!
//! A value is a stranger if its logarithm lies far from the median, in units of the median distance from it and by a
//! factor that a person would notice. Both: in a set of equal scans the median distance is zero and everything would be
//! far; in a set of many scanners a factor of three is nothing. Medians, because a mean follows the very cases that it
//! should find.

use std::collections::BTreeMap;

use super::Examined;
use super::facts::Facts;
use super::finding::Finding;
use super::labels::name;
use crate::data::layout::Layout;
use crate::fault::Fault;

/// Distances from the median, in median distances scaled to a standard deviation, from which a value is a stranger.
const FAR: f64 = 5.0;

/// Fewer cases have no usual value.
const FEWEST: usize = 5;

/// A label that so many cases have is missing where it is not.
const USUAL: f64 = 0.75;

/// What is compared between cases.
struct Measure {
    summary: &'static str,
    /// What is measured and its unit.
    field: &'static str,
    /// The smallest factor that is worth a word.
    factor: f64,
    of: fn(&Facts) -> f64,
    hint: &'static str,
}

/// One row a measure.
#[rustfmt::skip]
const MEASURES: &[Measure] = &[
    Measure { summary: "spacing is unusual", field: "mm along i", factor: 1.5, of: |f| f.spacing_mm[0], hint: SPACING },
    Measure { summary: "spacing is unusual", field: "mm along j", factor: 1.5, of: |f| f.spacing_mm[1], hint: SPACING },
    Measure { summary: "spacing is unusual", field: "mm along k", factor: 1.5, of: |f| f.spacing_mm[2], hint: SPACING },
    Measure { summary: "field of view is unusual", field: "mm³", factor: 4.0,
        of: |f| f.voxel_mm3() * f.shape.iter().product::<usize>() as f64, hint: "is this another body part, a localiser or a crop?" },
    Measure { summary: "range of intensities is unusual", field: "99.5th minus 0.5th percentile", factor: 10.0,
        of: |f| f64::from(f.channels[0].high - f.channels[0].low), hint: "another scanner or unit is no harm, because every image is normalised on its own; another sequence is" },
    Measure { summary: "foreground share is unusual", field: "%", factor: 3.0,
        of: |f| 100.0 * f.foreground.unwrap_or(0.0), hint: "is the mask complete, and is it the mask of this image?" },
];

const SPACING: &str =
    "a wrong header, or another protocol; with `preprocess.spacing` all cases are brought to one spacing";

pub(super) fn check(layout: &Layout, examined: &[Examined]) -> Vec<Finding> {
    let facts: Vec<&Facts> = examined.iter().filter_map(|case| case.facts.as_ref()).collect();
    let mut findings = doubles(examined);
    findings.extend(strangers(&facts));
    findings.extend(axes(&facts));
    findings.extend(missing(layout, &facts));
    findings.extend(layout.orphans.iter().map(|mask| {
        let fault =
            Fault::new("mask has no image").file(mask).expected("an image of the same name").found("no such image");
        Finding::of_dataset(&fault.hint("the mask is not used; is its image misnamed?"))
    }));
    findings
}

/// Images, and masks with foreground, that are the same in two cases, under whatever names and headers.
fn doubles(examined: &[Examined]) -> Vec<Finding> {
    let (mut images, mut masks) = (BTreeMap::new(), BTreeMap::new());
    let mut findings = Vec::new();
    for case in examined {
        let same = |summary: &str, other: &str| {
            Fault::new(summary).expected("voxels that differ").found(format!("the voxels of `{other}`"))
        };
        let twin = case.image.and_then(|hash| images.insert(*hash.as_bytes(), &case.id));
        if let Some(other) = twin {
            let hint = "remove one of the two; otherwise a model is tested on an image that it was trained on";
            findings.push(Finding::unusable(&case.id, &same("image is that of another case", other).hint(hint)));
        }
        let twin = case.mask.and_then(|hash| masks.insert(*hash.as_bytes(), &case.id));
        if let Some(other) = twin {
            let hint = "two people never have the same mask: one of the files was copied over the other";
            findings.push(Finding::warning(&case.id, &same("mask is that of another case", other).hint(hint)));
        }
    }
    findings
}

fn strangers(facts: &[&Facts]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for measure in MEASURES {
        let values: Vec<f64> = facts.iter().map(|facts| (measure.of)(facts)).collect();
        let usual = median(values.iter().copied().filter(|value| *value > 0.0).collect());
        for place in outlying(&values, measure.factor) {
            let fault = Fault::new(measure.summary)
                .field(measure.field)
                .expected(format!("about {}", short(usual)))
                .found(short(values[place]))
                .hint(measure.hint);
            findings.push(Finding::warning(&facts[place].id, &fault));
        }
    }
    findings
}

/// Places of values that are far from the median of the positive ones; values of zero are told elsewhere.
fn outlying(values: &[f64], factor: f64) -> Vec<usize> {
    let logs: Vec<f64> = values.iter().filter(|value| **value > 0.0).map(|value| value.ln()).collect();
    if logs.len() < FEWEST {
        return Vec::new();
    }
    let centre = median(logs.clone());
    // 1.4826 makes it a standard deviation where values are normal.
    let spread = 1.4826 * median(logs.iter().map(|log| (log - centre).abs()).collect());
    let limit = (FAR * spread).max(factor.ln());
    let is_far = |value: f64| value > 0.0 && (value.ln() - centre).abs() > limit + 1e-9;
    (0..values.len()).filter(|place| is_far(values[*place])).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

fn short(value: f64) -> String {
    if (0.01..1e5).contains(&value) { format!("{}", (value * 100.0).round() / 100.0) } else { format!("{value:.2e}") }
}

/// Cases whose axes run another way than those of most.
fn axes(facts: &[&Facts]) -> Vec<Finding> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for facts in facts {
        *counts.entry(&facts.axes).or_default() += 1;
    }
    let Some((usual, count)) = counts.iter().max_by_key(|(_, count)| **count) else { return Vec::new() };
    let others = facts.iter().filter(|facts| facts.axes != *usual);
    let finding = |facts: &&Facts| {
        let fault = Fault::new("axes run another way than in most cases")
            .field("directions of i, j, k")
            .expected(format!("{usual}, as {count} of {} cases", counts.values().sum::<usize>()))
            .found(&facts.axes)
            .hint("networks see arrays, not directions; save image and mask with the axes of the others (permute and flip)");
        Finding::warning(&facts.id, &fault)
    };
    others.map(finding).collect()
}

/// Labels that no case has, and cases without a label that most have.
fn missing(layout: &Layout, facts: &[&Facts]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (value, _) in &layout.classes {
        let (with, without): (Vec<&&Facts>, Vec<&&Facts>) = facts.iter().partition(|f| f.labels.contains_key(value));
        let field = name(layout, *value);
        if with.is_empty() && !facts.is_empty() {
            let fault = Fault::new("label occurs in no mask").field(field).expected("voxels in at least one mask");
            let hint = "take it out of dataset.json, or look for the masks that should have it";
            findings.push(Finding::of_dataset(&fault.found("none").hint(hint)));
        } else if facts.len() >= FEWEST && with.len() as f64 >= USUAL * facts.len() as f64 {
            // An empty mask is told once, not once a label.
            for case in without.into_iter().filter(|facts| !facts.labels.is_empty()) {
                let fault = Fault::new("label is missing")
                    .field(&*field)
                    .expected(format!("voxels, as in {} of {} masks", with.len(), facts.len()))
                    .found("none")
                    .hint(
                        "right if the structure is not in the image; otherwise it was forgotten or has another value",
                    );
                findings.push(Finding::warning(&case.id, &fault));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_is_far_by_the_measure_of_the_others_and_by_that_of_a_person() {
        assert!(outlying(&[1.0, 1.0, 1.0, 1.0, 1.2], 1.5).is_empty(), "no factor that a person would notice");
        assert_eq!(outlying(&[1.0, 1.0, 1.0, 1.0, 2.0], 1.5), [4]);
        assert_eq!(outlying(&[0.4, 1.0, 1.0, 1.0, 1.0, 1.0], 1.5), [0]);
        assert!(outlying(&[1.0, 10.0, 100.0, 1e3, 1e4, 1e5], 10.0).is_empty(), "many scanners");
        assert!(outlying(&[1.0, 1.0, 1.0, 9.0], 1.5).is_empty(), "too few to know what is usual");
        assert!(outlying(&[1.0, 1.0, 1.0, 1.0, 1.0, 0.0], 1.5).is_empty(), "empty masks are told elsewhere");
    }

    #[test]
    fn medians_are_in_the_middle() {
        assert_eq!((median(vec![3.0, 1.0, 2.0]), median(vec![4.0, 1.0])), (2.0, 2.5));
        assert_eq!((short(7.123_45), short(2.5e9)), ("7.12".to_string(), "2.50e9".to_string()));
    }
}
