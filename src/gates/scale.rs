//! One factor per loss: losses compete on the shape of their gradient and not on a learning rate in disguise.
//!
//! The factor is that of all probes together, never of one probe: it must not change how a loss weighs samples.

use std::sync::LazyLock;

use crate::formula::fingerprint::{answers, probes, scale};
use crate::formula::plan::Plan;
use crate::losses::catalog;

/// Root mean square of dL/dlogit of Dice + CE over all probes.
static REFERENCE: LazyLock<f64> =
    LazyLock::new(|| catalog::find("dice_ce").map_or(1.0, |entry| size(&Plan::new(&entry.formula()))));

fn size(plan: &Plan) -> f64 {
    scale(&answers(plan, &probes()))
}

/// The factor that gives a gradient of this root mean square one of 1. A loss without gradient on the probes is no loss,
/// but a person may insist on training with it: it keeps its size.
pub fn unit_factor(scale: f64) -> f64 {
    let factor = scale.recip();
    if factor.is_finite() { factor } else { 1.0 }
}

/// The factor that gives a loss the gradient of Dice + CE, so that learning rates mean for all losses what people know of
/// them: 1 for Dice + CE itself.
pub fn gradient_factor(plan: &Plan) -> f64 {
    factor_like_reference(size(plan))
}

/// The same from dL/dlogit on all probes, for a loss that is no formula.
pub fn gradient_factor_of(slopes: &[f64]) -> f64 {
    factor_like_reference((slopes.iter().map(|slope| slope * slope).sum::<f64>() / slopes.len().max(1) as f64).sqrt())
}

/// The same for a loss whose gradient has this root mean square.
pub(super) fn factor_like_reference(scale: f64) -> f64 {
    let factor = *REFERENCE / scale;
    if factor.is_finite() { factor } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_the_factor_every_loss_has_the_gradient_of_dice_and_cross_entropy() {
        for entry in catalog::CATALOG {
            let plan = Plan::new(&entry.formula());
            let found = gradient_factor(&plan) * size(&plan);
            assert!((found / *REFERENCE - 1.0).abs() < 1e-12, "{}", entry.name);
            assert!((unit_factor(size(&plan)) * size(&plan) - 1.0).abs() < 1e-12, "{}", entry.name);
        }
        assert_eq!(gradient_factor(&Plan::new(&"(mean y)".parse().unwrap())), 1.0);
    }
}
