//! The only place at which the atlas meets the gates.

pub(super) use crate::evolution::{Gates, Rejection};
use crate::formula::Formula;

/// How a loss pushes if it is worth a training, or why it is not; whether others push alike is not asked.
pub(super) fn pass(gates: &Gates, formula: &Formula) -> Result<Vec<f32>, Rejection> {
    gates.pass(formula)
}
