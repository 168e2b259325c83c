//! The parts of which the catalog's losses are made: each a formula in the form that is asked for.
//!
//! Guards where classes are averaged. Region and distance terms leave the background out unless it is switched in;
//! cross-entropy counts every class. With a softmax, cross-entropy is that of the true class alone.

use super::form::{Classes, Form};

/// Replaces `(# x)` by the sum that the form asks for.
fn sums(form: &Form, text: &str) -> String {
    text.replace("(#", if form.batch { "(sum_batch" } else { "(sum" })
}

/// The weight of a class as a formula, or `None` without weights.
fn class_weight(form: &Form) -> Option<String> {
    let first = form.first_weighted();
    let term = |(class, weight): (usize, &f64)| format!("(* {weight} (class {}))", first + class);
    form.class_weights.iter().enumerate().map(term).reduce(|sum, term| format!("(+ {sum} {term})"))
}

/// A term multiplied by the weight of its class.
fn weighted(form: &Form, term: String) -> String {
    match class_weight(form) {
        Some(weight) => format!("(* {weight} {term})"),
        None => term,
    }
}

/// The mean over the classes that count, weighted if weights are given. Foreground classes are averaged at the end of
/// every formula and need no word for it.
fn over_classes(form: &Form, term: String) -> String {
    let term = weighted(form, term);
    match form.classes {
        Classes::Foreground => term,
        _ => format!("(mean_classes background={} {term})", u8::from(form.background)),
    }
}

/// Cross-entropy.
pub(super) fn ce(form: &Form) -> String {
    let Classes::Softmax(_) = form.classes else {
        let term = if form.label_smoothing {
            "(mean (+ (* (- 1 label_smoothing) (+ ce_fg ce_bg)) (* (/ label_smoothing 2) (+ neg_log_p neg_log_q))))"
        } else {
            "(mean (+ ce_fg ce_bg))"
        };
        return weighted(form, term.to_string());
    };
    let voxel = if form.label_smoothing {
        "(+ (* (- 1 label_smoothing) ce_fg) (* (/ label_smoothing classes) neg_log_p))"
    } else {
        "ce_fg"
    };
    match class_weight(form) {
        None => format!("(sum_classes 1 (mean {voxel}))"),
        Some(weight) => {
            format!("(/ (sum_classes 1 (sum_batch (* {weight} {voxel}))) (sum_classes 1 (sum_batch (* {weight} y))))")
        }
    }
}

/// Cross-entropy with a weight on the foreground; with a softmax, weights of the classes.
pub(super) fn weighted_ce(form: &Form) -> String {
    if matches!(form.classes, Classes::Softmax(_)) {
        return ce(form);
    }
    let term = if form.label_smoothing {
        "(mean (+ (* (- 1 label_smoothing) (+ (* pos_weight=3 ce_fg) ce_bg)) \
         (* (/ label_smoothing 2) (+ (* pos_weight=3 neg_log_p) neg_log_q))))"
    } else {
        "(mean (+ (* pos_weight=3 ce_fg) ce_bg))"
    };
    weighted(form, term.to_string())
}

/// Cross-entropy of the worst voxels.
pub(super) fn topk(form: &Form) -> String {
    match form.classes {
        // Each voxel has one class with a cross-entropy, so a share of the voxels is a smaller share of the classes'.
        Classes::Softmax(_) => "(mean_top (/ k=10 classes) ce_fg)".to_string(),
        _ => "(mean_top k=10 (+ ce_fg ce_bg))".to_string(),
    }
}

/// Focal loss.
pub(super) fn focal(form: &Form) -> String {
    match (form.classes, form.alpha) {
        (Classes::Softmax(_), false) => "(sum_classes 1 (mean (* (^ abs_diff gamma=2) ce_fg)))".to_string(),
        (Classes::Softmax(_), true) => {
            let weight = "(+ (* (- 1 alpha) (class 0)) (* alpha (- 1 (class 0))))";
            format!("(sum_classes 1 (* {weight} (mean (* (^ abs_diff gamma=2) ce_fg))))")
        }
        (_, false) => "(mean (* (^ abs_diff gamma=2) (+ ce_fg ce_bg)))".to_string(),
        (_, true) => "(mean (* (^ abs_diff gamma=2) (+ (* alpha ce_fg) (* (- 1 alpha) ce_bg))))".to_string(),
    }
}

/// `1 - (overlap + s_n) / (overlap + mistakes + s_d)`, the mistakes being the sum of two.
fn fraction(form: &Form, overlap: &str, one: &str, other: &str) -> String {
    sums(form, &format!("(ratio (+ {overlap} smooth_nr) (+ (+ {one} {other}) (- smooth_dr smooth_nr)))"))
}

/// Dice of one sample and class.
pub(super) fn dice_of_class(form: &Form) -> String {
    if form.squared {
        let mistakes = "(# (* abs_diff abs_diff))";
        return sums(form, &format!("(ratio (+ (* 2 (# tp)) smooth_nr) (+ {mistakes} (- smooth_dr smooth_nr)))"));
    }
    fraction(form, "(* 2 (# tp))", "(# fp)", "(# fn)")
}

/// Tversky of one sample and class.
pub(super) fn tversky_of_class(form: &Form) -> String {
    fraction(form, "(# tp)", "(* fp_weight=0.3 (# fp))", "(* fn_weight=0.7 (# fn))")
}

/// Dice.
pub(super) fn dice(form: &Form) -> String {
    over_classes(form, dice_of_class(form))
}

/// Tversky.
pub(super) fn tversky(form: &Form) -> String {
    over_classes(form, tversky_of_class(form))
}

/// Intersection over union.
pub(super) fn iou(form: &Form) -> String {
    over_classes(form, fraction(form, "(# tp)", "(# fp)", "(# fn)"))
}

/// 1 - F-beta.
pub(super) fn f_beta(form: &Form, beta: &str) -> String {
    // Both sides of the fraction times 1 + beta², the smoothing too.
    let (square, whole) = (format!("(^ {beta} 2)"), format!("(+ 1 (^ {beta} 2))"));
    let mistakes = format!("(+ (+ (# fp) (* {square} (# fn))) (* {whole} (- smooth_dr smooth_nr)))");
    over_classes(form, sums(form, &format!("(ratio (* {whole} (+ (# tp) smooth_nr)) {mistakes})")))
}

/// One fraction over the classes that count, each weighted by 1 / volume².
pub(super) fn generalised_dice(form: &Form) -> String {
    let counted = match form.classes {
        Classes::Foreground => "1".to_string(),
        _ => format!("background={}", u8::from(form.background)),
    };
    let total = |of: &str| format!("(sum_classes {counted} (* volume_weight {of}))");
    let (overlap, mistakes) = (total("(sum tp)"), total("(+ (sum fp) (sum fn))"));
    format!("(ratio (+ (* 2 {overlap}) smooth_nr) (+ {mistakes} (- smooth_dr smooth_nr)))")
}

/// A loss per sample and class, raised to a power before the mean.
pub(super) fn power(form: &Form, of_class: fn(&Form) -> String) -> String {
    over_classes(form, format!("(^ {} exponent=0.75)", of_class(form)))
}

/// Probability times signed distance to the target.
pub(super) fn boundary(form: &Form) -> String {
    over_classes(form, format!("(mean (* p {}))", in_unit(form, "signed_distance")))
}

/// Squared differences times squared distances to the borders.
pub(super) fn hausdorff(form: &Form) -> String {
    over_classes(form, hausdorff_of_class(form, "mean"))
}

/// log(1 + hausdorff).
pub(super) fn log_hausdorff(form: &Form) -> String {
    format!("(log1p {})", over_classes(form, hausdorff_of_class(form, "mean_batch")))
}

fn hausdorff_of_class(form: &Form, mean: &str) -> String {
    let square = |map: &str| format!("(* {0} {0})", in_unit(form, map));
    let squares = if form.one_sided {
        square("target_distance")
    } else {
        format!("(+ {} {})", square("predicted_distance"), square("target_distance"))
    };
    format!("({mean} (* (* abs_diff abs_diff) {squares}))")
}

fn in_unit(form: &Form, map: &str) -> String {
    if form.spacing { format!("{map}_mm") } else { map.to_string() }
}

/// A weighted sum of terms.
pub(super) fn sum(terms: [(&str, String); 2]) -> String {
    let [(first, one), (second, other)] = terms;
    format!("(+ (* {first} {one}) (* {second} {other}))")
}
