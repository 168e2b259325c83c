//! The catalog: every hand-made loss as a formula, with its source.
//!
//! Losses are per sample and class, then averaged. Region losses count voxels (`sum`), so that smoothing means the same
//! as in MONAI and nnU-Net; 1 - (overlap + s) / (whole + s) is written as its complement, mistakes over the whole,
//! which has no cancellation near a perfect prediction.

use crate::formula::Formula;

/// One row of the catalog.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// What users type.
    pub name: &'static str,
    /// The formula, parameters at their defaults.
    pub text: &'static str,
    /// What it looks at.
    pub family: Family,
    /// Where it comes from.
    pub source: &'static str,
}

/// What a loss looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Every voxel on its own.
    Distribution,
    /// The overlap of prediction and target.
    Region,
    /// Both.
    Compound,
}

impl Entry {
    /// The formula.
    pub fn formula(&self) -> Formula {
        self.text.parse().expect("every formula of the catalog is tested to parse")
    }
}

/// The row called `name`.
pub fn find(name: &str) -> Option<&'static Entry> {
    CATALOG.iter().find(|entry| entry.name == name)
}

/// All names, in the order of the table.
pub fn names() -> impl Iterator<Item = &'static str> {
    CATALOG.iter().map(|entry| entry.name)
}

macro_rules! ce {
    () => {
        "(mean (+ ce_fg ce_bg))"
    };
}
macro_rules! focal {
    () => {
        "(mean (* (^ abs_diff gamma=2) (+ ce_fg ce_bg)))"
    };
}
macro_rules! topk {
    () => {
        "(mean_top k=10 (+ ce_fg ce_bg))"
    };
}
macro_rules! dice {
    () => {
        "(ratio (+ (* 2 (sum tp)) smooth_nr) (+ (+ (sum fp) (sum fn)) (- smooth_dr smooth_nr)))"
    };
}
macro_rules! tversky {
    () => {
        "(ratio (+ (sum tp) smooth) (+ (* fp_weight=0.3 (sum fp)) (* fn_weight=0.7 (sum fn))))"
    };
}

use Family::{Compound, Distribution, Region};

/// Every loss, in the order of the field's taxonomy.
#[rustfmt::skip]
pub static CATALOG: &[Entry] = &[
    Entry { name: "ce",            family: Distribution, text: ce!(),                                                    source: "binary cross-entropy per class" },
    Entry { name: "weighted_ce",   family: Distribution, text: "(mean (+ (* pos_weight=3 ce_fg) ce_bg))",                source: "cross-entropy with a weight on the foreground, divided by the number of voxels" },
    Entry { name: "topk",          family: Distribution, text: topk!(),                                                  source: "Wu et al. 2016, bridging category-level and instance-level segmentation; nnU-Net" },
    Entry { name: "focal",         family: Distribution, text: focal!(),                                                 source: "Lin et al. 2017, focal loss" },
    Entry { name: "dice",          family: Region,       text: dice!(),                                                  source: "Milletari et al. 2016, V-Net" },
    Entry { name: "iou",           family: Region,       text: "(ratio (+ (sum tp) smooth) (+ (sum fp) (sum fn)))",      source: "Rahman and Wang 2016" },
    Entry { name: "tversky",       family: Region,       text: tversky!(),                                               source: "Salehi et al. 2017" },
    Entry { name: "asymmetric",    family: Region,       text: "(ratio (* (+ 1 (^ beta=1.5 2)) (+ (sum tp) smooth)) (+ (sum fp) (* (^ beta=1.5 2) (sum fn))))", source: "Hashemi et al. 2018: 1 - F-beta" },
    Entry { name: "effectiveness", family: Region,       text: "(ratio (* (+ 1 (^ beta=1 2)) (+ (sum tp) smooth)) (+ (sum fp) (* (^ beta=1 2) (sum fn))))",     source: "van Rijsbergen 1979: E = 1 - 1 / (a / P + (1 - a) / R), a = 1 / (1 + beta^2)" },
    Entry { name: "dice_ce",       family: Compound,     text: concat!("(+ (* dice_weight ", dice!(), ") (* ce_weight ", ce!(), "))"),   source: "Isensee et al. 2021, nnU-Net" },
    Entry { name: "dice_topk",     family: Compound,     text: concat!("(+ (* dice_weight ", dice!(), ") (* ce_weight ", topk!(), "))"), source: "Ma et al. 2021, loss odyssey" },
    Entry { name: "focal_tversky", family: Compound,     text: concat!("(^ ", tversky!(), " exponent=0.75)"),            source: "Abraham and Khan 2019: the power per sample and class" },
    Entry { name: "focal_dice",    family: Compound,     text: concat!("(^ ", dice!(), " exponent=0.75)"),               source: "as focal_tversky, on Dice" },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formula::word::Sides;

    #[test]
    fn every_entry_is_a_loss_that_speaks_about_both_sides() {
        for entry in CATALOG {
            assert_eq!(entry.formula().cover(), Some(Sides::BOTH), "{}", entry.name);
        }
    }
}
