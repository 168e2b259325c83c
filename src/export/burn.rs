//! Losses as functions of Burn 0.22.

use super::Export;
use super::dialect::{Dialect, Program};
use crate::formula::eval::Activation;
use crate::formula::plan::Plan;

/// Texts and not Rust files, because they are no part of this program.
const FUNCTION: &str = include_str!("runtime/function.txt");
const RUNTIME: &str = include_str!("runtime/burn.txt");

/// A file with a function and what it needs.
pub(super) fn function(export: &Export<'_>) -> String {
    let Program { statements, value } = Dialect::Burn.program(&Plan::new(export.formula));
    let parameter = |(name, value): (&str, f64)| format!("    const {}: f64 = {value:?};\n", name.to_uppercase());
    let softmax = export.activation == Activation::Softmax;
    let logits = if softmax {
        "a softmax over the classes, of which the first is the background"
    } else {
        "a sigmoid for every class"
    };
    let fillings = [
        ("{TITLE}", export.title.to_string()),
        ("{INFIX}", export.formula.infix()),
        ("{FORMULA}", export.formula.to_string()),
        ("{VERSION}", env!("CARGO_PKG_VERSION").to_string()),
        ("{LOGITS}", logits.to_string()),
        ("{NAME}", export.name.to_string()),
        ("{PARAMETERS}", export.formula.parameters().into_iter().map(parameter).collect()),
        ("{SOFTMAX}", softmax.to_string()),
        ("{BODY}", statements.iter().map(|statement| format!("    {statement}\n")).collect()),
        ("{VALUE}", value),
        ("{SCALE}", format!("{:?}", export.scale)),
    ];
    fillings.iter().fold(FUNCTION.to_string(), |text, (place, filling)| text.replace(place, filling)) + RUNTIME
}
