//! What people found: the losses of the field, each a formula of the language.
//!
//! A loss is chosen by what a person types: a name of the [catalog], a name with parameters, or a formula.
//!
//! ```
//! let loss = lossgen::losses::named("tversky(fp_weight=0.4, fn_weight=0.6)")?;
//! assert_eq!(loss.formula.parameters()[1], ("fp_weight", 0.4));
//! # Ok::<(), lossgen::fault::Fault>(())
//! ```

pub mod catalog;

use crate::fault::{Fault, Result, did_you_mean};
use crate::formula::Formula;
use crate::formula::word::{Op, WordId};

/// A loss and what to call it.
#[derive(Debug, Clone, PartialEq)]
pub struct Loss {
    /// As typed, or as found in a population.
    pub name: String,
    /// What it computes.
    pub formula: Formula,
}

/// The loss that a person typed: `dice`, `focal(gamma=3)` or `(mean (+ ce_fg ce_bg))`.
///
/// # Errors
/// If the name is not in the catalog, a parameter is not one of the loss or out of its range, or the formula is not one.
pub fn named(typed: &str) -> Result<Loss> {
    let typed = typed.trim();
    if typed.starts_with('(') {
        return Ok(Loss { name: typed.to_string(), formula: typed.parse()? });
    }
    let (name, settings) = match typed.split_once('(') {
        None => (typed, ""),
        Some((name, rest)) => match rest.strip_suffix(')') {
            Some(settings) => (name.trim(), settings),
            None => return Err(Fault::new(format!("`{typed}` is never closed")).expected("`)`")),
        },
    };
    let Some(entry) = catalog::find(name) else {
        let fault =
            Fault::new(format!("unknown loss `{name}`")).expected("a name of the catalog or a formula in parentheses");
        return Err(match did_you_mean(name, catalog::names()) {
            Some(close) => fault.hint(format!("did you mean `{close}`?")),
            None => fault.hint(format!("the catalog has {}", catalog::names().collect::<Vec<_>>().join(", "))),
        });
    };
    let mut formula = entry.formula();
    for setting in settings.split(',').map(str::trim).filter(|s| !s.is_empty()) {
        formula = set(&formula, name, setting)?;
    }
    Ok(Loss { name: typed.to_string(), formula })
}

/// Sets one `parameter=value`.
fn set(formula: &Formula, loss: &str, setting: &str) -> Result<Formula> {
    let known: Vec<&str> = formula.parameters().iter().map(|(name, _)| *name).collect();
    let listed = || if known.is_empty() { "none".to_string() } else { known.join(", ") };
    let Some((name, value)) = setting.split_once('=').map(|(name, value)| (name.trim(), value.trim())) else {
        return Err(Fault::new(format!("parameter of `{loss}` without a value"))
            .expected("`name=value`")
            .found(format!("`{setting}`"))
            .hint(format!("the parameters of `{loss}` are {}", listed())));
    };
    let Some(node) = formula.genes().iter().position(|gene| gene.word.word().name == name) else {
        let fault =
            Fault::new(format!("`{loss}` has no parameter `{name}`")).hint(format!("its parameters are {}", listed()));
        return Err(match did_you_mean(name, known.iter().copied()) {
            Some(close) => fault.hint(format!("did you mean `{close}`?")),
            None => fault,
        });
    };
    let word: WordId = formula.genes()[node].word;
    let Op::Parameter { low, high, .. } = word.word().op else {
        return Err(Fault::new(format!("`{name}` is a word of the formula, not a parameter"))
            .hint(format!("the parameters of `{loss}` are {}", listed())));
    };
    match value.parse::<f64>() {
        Ok(number) if (low..=high).contains(&number) => Ok(formula.with_constant(node, number)),
        _ => Err(Fault::new(format!("parameter of `{loss}` out of range"))
            .field(name)
            .expected(format!("a number from {low} to {high}"))
            .found(format!("`{value}`"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_set_wherever_they_stand() {
        let loss = named("asymmetric(beta=2)").unwrap();
        assert_eq!(loss.formula.to_string().matches("beta=2").count(), 2);
    }

    #[test]
    fn slips_are_named_with_their_cure() {
        let hint = |typed: &str| {
            miette::Diagnostic::help(&named(typed).unwrap_err()).map(|h| h.to_string()).unwrap_or_default()
        };
        assert_eq!(hint("tverksy"), "did you mean `tversky`?");
        assert_eq!(hint("tversky(fp_wieght=1)"), "did you mean `fp_weight`?");
        assert!(named("focal(gamma=-1)").unwrap_err().to_string().contains("0 to 8"));
        assert!(named("focal(gamma=2").unwrap_err().to_string().contains("never closed"));
        assert!(named("dice(tp=2)").unwrap_err().to_string().contains("not a parameter"));
        assert!(named("").is_err());
    }
}
