//! The catalog: every hand-made loss as a formula, with its source.
//!
//! Losses are per sample and class, then averaged. Region losses count voxels (`sum`), so that smoothing means the same
//! as in MONAI and nnU-Net; 1 - (overlap + s) / (whole + s) is written as its complement, mistakes over the whole,
//! which has no cancellation near a perfect prediction.

use super::form::{
    ALPHA, BACKGROUND, BATCH, CLASS_WEIGHTS, Form, LABEL_SMOOTHING, ONE_SIDED, SPACING, SQUARED, Switch,
};
use super::terms::{
    boundary, ce, dice, dice_of_class, f_beta, focal, generalised_dice, hausdorff, iou, log_hausdorff, power, sum,
    topk, tversky, tversky_of_class, weighted_ce,
};
use crate::formula::Formula;

/// One row of the catalog.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// What users type.
    pub name: &'static str,
    /// What it looks at.
    pub family: Family,
    /// The formula in a form, parameters at their defaults.
    text: fn(&Form) -> String,
    /// What can be switched.
    pub switches: &'static [Switch],
    /// Where it comes from.
    pub source: &'static str,
    /// Which libraries have it, and where they differ.
    pub elsewhere: &'static str,
}

/// What a loss looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Every voxel on its own.
    Distribution,
    /// The overlap of prediction and target.
    Region,
    /// The distance of prediction and target.
    Distance,
    /// Several of these.
    Compound,
}

impl Entry {
    /// The formula as searches and trainings use it: foreground classes with a sigmoid each, no switch set.
    pub fn formula(&self) -> Formula {
        self.formula_in(&Form::default())
    }

    /// The formula in a form.
    pub fn formula_in(&self, form: &Form) -> Formula {
        (self.text)(form).parse().expect("every formula of the catalog is tested to parse")
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

const REGION: &[Switch] = &[BATCH, BACKGROUND, CLASS_WEIGHTS];
const DICE: &[Switch] = &[BATCH, SQUARED, BACKGROUND, CLASS_WEIGHTS];
const DICE_CE: &[Switch] = &[BATCH, SQUARED, BACKGROUND, CLASS_WEIGHTS, LABEL_SMOOTHING];
const DICE_FOCAL: &[Switch] = &[BATCH, SQUARED, BACKGROUND, CLASS_WEIGHTS, ALPHA];
const TVERSKY_FOCAL: &[Switch] = &[BATCH, BACKGROUND, CLASS_WEIGHTS, ALPHA];
const DISTANCE: &[Switch] = &[SPACING, BACKGROUND, CLASS_WEIGHTS];
const HAUSDORFF: &[Switch] = &[ONE_SIDED, SPACING, BACKGROUND, CLASS_WEIGHTS];

use Family::{Compound, Distance, Distribution, Region};

/// Every loss, in the order of the field's taxonomy.
#[rustfmt::skip]
pub static CATALOG: &[Entry] = &[
    Entry { name: "ce",               family: Distribution, text: ce,               switches: &[LABEL_SMOOTHING],
        source: "cross-entropy; binary per class or over the classes of a softmax",
        elsewhere: "PyTorch, nnU-Net" },
    Entry { name: "weighted_ce",      family: Distribution, text: weighted_ce,      switches: &[CLASS_WEIGHTS, LABEL_SMOOTHING],
        source: "cross-entropy with pos_weight on the foreground, over the number of voxels; with a softmax the mean weighted by class_weights, over the sum of the weights",
        elsewhere: "PyTorch: BCEWithLogitsLoss(pos_weight), CrossEntropyLoss(weight)" },
    Entry { name: "topk",             family: Distribution, text: topk,             switches: &[],
        source: "Wu et al. 2016, bridging category-level and instance-level segmentation",
        elsewhere: "nnU-Net" },
    Entry { name: "focal",            family: Distribution, text: focal,            switches: &[ALPHA],
        source: "Lin et al. 2017, focal loss",
        elsewhere: "MONAI (its softmax form is divided by the number of classes), segmentation_models.pytorch" },
    Entry { name: "dice",             family: Region,       text: dice,             switches: DICE,
        source: "Milletari et al. 2016, V-Net",
        elsewhere: "MONAI, nnU-Net (less 1), segmentation_models.pytorch (batch only)" },
    Entry { name: "generalised_dice", family: Region,       text: generalised_dice, switches: &[BACKGROUND],
        source: "Sudre et al. 2017: classes weighted by 1 / volume^2, one fraction over the classes",
        elsewhere: "MONAI (0 without gradient where all classes are absent)" },
    Entry { name: "iou",              family: Region,       text: iou, switches: REGION,
        source: "Rahman and Wang 2016",
        elsewhere: "MONAI DiceLoss(jaccard=True), with half of the smoothing" },
    Entry { name: "tversky",          family: Region,       text: tversky,          switches: REGION,
        source: "Salehi et al. 2017",
        elsewhere: "MONAI, segmentation_models.pytorch: alpha is fp_weight, beta is fn_weight" },
    Entry { name: "asymmetric",       family: Region,       text: |form| f_beta(form, "beta=1.5"), switches: REGION,
        source: "Hashemi et al. 2018: 1 - F-beta",
        elsewhere: "as a Tversky loss with weights 1 / (1 + beta^2) and beta^2 / (1 + beta^2)" },
    Entry { name: "effectiveness",    family: Region,       text: |form| f_beta(form, "beta=1"),   switches: REGION,
        source: "van Rijsbergen 1979: E = 1 - 1 / (a / P + (1 - a) / R), a = 1 / (1 + beta^2)",
        elsewhere: "as a Tversky loss" },
    Entry { name: "boundary",         family: Distance,     text: boundary,         switches: DISTANCE,
        source: "Kervadec et al. 2019; in mm with the rim at 0 for any spacing. Negative at its best; add a region term",
        elsewhere: "MONAI 1.6 (voxels)" },
    Entry { name: "hausdorff",        family: Distance,     text: hausdorff,        switches: HAUSDORFF,
        source: "Karimi and Salcudean 2019: squared differences times squared distances",
        elsewhere: "MONAI HausdorffDTLoss (voxels)" },
    Entry { name: "log_hausdorff",    family: Distance,     text: log_hausdorff,    switches: HAUSDORFF,
        source: "log(1 + hausdorff), after the reduction",
        elsewhere: "MONAI LogHausdorffDTLoss" },
    Entry { name: "dice_ce",          family: Compound,     text: |form| sum([("dice_weight", dice(form)), ("ce_weight", ce(form))]), switches: DICE_CE,
        source: "Isensee et al. 2021, nnU-Net",
        elsewhere: "MONAI, nnU-Net" },
    Entry { name: "dice_topk",        family: Compound,     text: |form| sum([("dice_weight", dice(form)), ("ce_weight", topk(form))]), switches: DICE,
        source: "Ma et al. 2021, loss odyssey",
        elsewhere: "nnU-Net" },
    Entry { name: "focal_tversky",    family: Compound,     text: |form| power(form, tversky_of_class), switches: REGION,
        source: "Abraham and Khan 2019: the power per sample and class",
        elsewhere: "segmentation_models.pytorch (the power after the mean)" },
    Entry { name: "focal_dice",       family: Compound,     text: |form| power(form, dice_of_class),    switches: DICE,
        source: "as focal_tversky, on Dice",
        elsewhere: "no library" },
    Entry { name: "dice_focal",       family: Compound,     text: |form| sum([("dice_weight", dice(form)), ("focal_weight", focal(form))]), switches: DICE_FOCAL,
        source: "Zhu et al. 2019, AnatomyNet",
        elsewhere: "MONAI (with a softmax its focal part stays a sigmoid)" },
    Entry { name: "tversky_focal",    family: Compound,     text: |form| sum([("tversky_weight", tversky(form)), ("focal_weight", focal(form))]), switches: TVERSKY_FOCAL,
        source: "the sum of Tversky and focal loss",
        elsewhere: "no library" },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formula::word::{Sides, WordId};
    use crate::losses::form::Classes;

    #[test]
    fn every_entry_is_a_loss_that_speaks_about_both_sides() {
        for entry in CATALOG {
            assert_eq!(entry.formula().cover(), Some(Sides::BOTH), "{}", entry.name);
        }
    }

    #[test]
    fn every_form_of_every_entry_can_be_read() {
        for entry in CATALOG {
            for classes in [Classes::Foreground, Classes::Sigmoid(3), Classes::Softmax(3)] {
                let all = Form {
                    classes,
                    batch: true,
                    squared: true,
                    background: true,
                    spacing: true,
                    one_sided: true,
                    label_smoothing: true,
                    alpha: true,
                    class_weights: vec![1.0, 2.0, 3.0],
                };
                for form in [Form { classes, ..Form::default() }, all] {
                    entry.formula_in(&form);
                }
            }
        }
    }

    #[test]
    fn no_name_is_a_word() {
        for entry in CATALOG {
            assert_eq!(WordId::of(entry.name), None, "{}", entry.name);
        }
    }
}
