//! What people found: the losses of the field, each a formula of the language.
//!
//! A loss is chosen by what a person types: a name of the [catalog], a name with parameters, or a formula.
//!
//! ```
//! let loss = lossgen::losses::named("tversky(fp_weight=0.4, fn_weight=0.6)")?;
//! assert_eq!(loss.formula.parameters()[1], ("fp_weight", 0.4));
//! # Ok::<(), lossgen::fault::Fault>(())
//! ```

pub mod analysis;
pub mod catalog;
pub mod deep_supervision;
pub mod form;
pub mod greedy;
pub mod learned;
pub mod reduction;
pub mod strategy;
mod terms;
pub mod weighting;

use crate::fault::{Fault, Result, did_you_mean};
use crate::formula::Formula;
use crate::formula::word::Op;
use catalog::Entry;
use form::Form;

/// A loss and what to call it.
#[derive(Debug, Clone, PartialEq)]
pub struct Loss {
    /// As typed, or as found in a population.
    pub name: String,
    /// What it computes.
    pub formula: Formula,
}

/// The loss that a person typed, for foreground classes with a sigmoid each: `dice`, `focal(gamma=3)` or
/// `(mean (+ ce_fg ce_bg))`.
///
/// # Errors
/// If the name is not in the catalog, a parameter is not one of the loss or out of its range, or the formula is not one.
pub fn named(typed: &str) -> Result<Loss> {
    named_in(typed, Form::default())
}

/// The loss that a person typed, in a form whose switches hold where the person set none. In a formula, names of the catalog stand for their losses:
/// `(+ (* (- 1 t) dice) (* t boundary))`.
///
/// # Errors
/// As [`named`].
pub fn named_in(typed: &str, form: Form) -> Result<Loss> {
    let typed = typed.trim();
    if typed.starts_with('(') {
        return Ok(Loss { name: typed.to_string(), formula: expanded(typed, &form).parse()? });
    }
    let (name, settings) = match typed.split_once('(') {
        None => (typed, ""),
        Some((name, rest)) => match rest.strip_suffix(')') {
            Some(settings) => (name.trim(), settings),
            None => {
                return Err(Fault::new(format!("`{typed}` is never closed"))
                    .field("loss")
                    .expected("`)` at the end")
                    .found(format!("`{typed}`"))
                    .hint("close it: `name(parameter=value)`"));
            }
        },
    };
    let Some(entry) = catalog::find(name) else {
        if strategy::is_name(name) {
            return Err(Fault::new(format!("`{name}` is a strategy, no loss"))
                .field("loss")
                .expected("a name of the catalog or a formula in parentheses")
                .found(format!("`{typed}`"))
                .hint("a strategy stands alone where a network is trained: `lossgen train --loss`, `lossgen bench step --loss`"));
        }
        let fault = Fault::new(format!("unknown loss `{name}`"))
            .field("loss")
            .expected("a name of the catalog or a formula in parentheses")
            .found(format!("`{typed}`"));
        return Err(match did_you_mean(name, catalog::names()) {
            Some(close) => fault.hint(format!("did you mean `{close}`?")),
            None => fault.hint(format!("the catalog has {}", catalog::names().collect::<Vec<_>>().join(", "))),
        });
    };
    Ok(Loss { name: typed.to_string(), formula: set_all(entry, form, settings)? })
}

/// A formula with the names of the catalog replaced by what they stand for.
fn expanded(text: &str, form: &Form) -> String {
    let mut out = String::new();
    for token in text.split_inclusive(|c: char| c.is_whitespace() || "()".contains(c)) {
        let name = token.trim_end_matches(|c: char| c.is_whitespace() || "()".contains(c));
        match catalog::find(name) {
            Some(entry) => out.push_str(&entry.formula_in(form).to_string()),
            None => out.push_str(name),
        }
        out.push_str(&token[name.len()..]);
    }
    out
}

/// The formula of an entry with `a=1, b=[1, 2]` set: switches first, because they decide which parameters there are.
fn set_all(entry: &Entry, mut form: Form, settings: &str) -> Result<Formula> {
    let mut numbers = Vec::new();
    for setting in separated(settings) {
        let Some((name, value)) = setting.split_once('=').map(|(name, value)| (name.trim(), value.trim())) else {
            return Err(Fault::new(format!("parameter of `{}` without a value", entry.name))
                .field(setting)
                .expected("`name=value`")
                .found(format!("`{setting}`"))
                .hint(format!("`{}` takes {}", entry.name, choices(entry, &form).join(", "))));
        };
        let switch = entry.switches.iter().any(|switch| switch.name == name);
        if !switch || !form.set(name, value)? {
            numbers.push((name, value));
        }
    }
    form.check_weights()?;
    let start = entry.formula_in(&form);
    numbers.into_iter().try_fold(start, |formula, (name, value)| set(&formula, entry, &form, name, value))
}

/// The settings between commas that stand outside of brackets.
fn separated(settings: &str) -> Vec<&str> {
    let mut depth = 0;
    let outside = |c: char| {
        depth += i32::from(c == '[') - i32::from(c == ']');
        c == ',' && depth == 0
    };
    settings.split(outside).map(str::trim).filter(|setting| !setting.is_empty()).collect()
}

/// What can be set.
fn choices(entry: &Entry, form: &Form) -> Vec<&'static str> {
    let switches = entry.switches.iter().map(|switch| switch.name);
    let parameters = entry.formula_in(form).parameters().into_iter().map(|(name, _)| name);
    parameters.filter(|name| !entry.switches.iter().any(|switch| switch.name == *name)).chain(switches).collect()
}

/// Sets one number.
fn set(formula: &Formula, entry: &Entry, form: &Form, name: &str, value: &str) -> Result<Formula> {
    let known = choices(entry, form);
    let Some(node) = formula.genes().iter().position(|gene| gene.word.word().name == name) else {
        let fault = Fault::new(format!("`{}` has no parameter `{name}`", entry.name))
            .field(name)
            .expected(format!("one of {}", known.join(", ")))
            .found(format!("`{name}={value}`"))
            .hint(format!("its parameters are {}", known.join(", ")));
        return Err(match did_you_mean(name, known.iter().copied()) {
            Some(close) => fault.hint(format!("did you mean `{close}`?")),
            None => fault,
        });
    };
    let Op::Parameter { low, high, .. } = formula.genes()[node].word.word().op else {
        return Err(Fault::new(format!("`{name}` is a word of the formula, not a parameter"))
            .field(name)
            .expected(format!("one of {}", known.join(", ")))
            .found(format!("`{name}={value}`"))
            .hint(format!("`lossgen loss show {}` tells its parameters", entry.name)));
    };
    match value.parse::<f64>() {
        Ok(number) if (low..=high).contains(&number) => Ok(formula.with_constant(node, number)),
        _ => Err(Fault::new(format!("parameter of `{}` out of range", entry.name))
            .field(name)
            .expected(format!("a number from {low} to {high}"))
            .found(format!("`{value}`"))
            .hint(format!("`lossgen loss show {}` tells its parameters", entry.name))),
    }
}

#[cfg(test)]
mod tests {
    use super::form::Classes;
    use super::*;

    fn named_for(typed: &str, classes: Classes) -> Result<Loss> {
        named_in(typed, Form { classes, ..Form::default() })
    }

    #[test]
    fn parameters_are_set_wherever_they_stand() {
        let loss = named("asymmetric(beta=2)").unwrap();
        assert_eq!(loss.formula.to_string().matches("beta=2").count(), 3);
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

    #[test]
    fn switches_choose_the_formula_and_numbers_fill_it() {
        let text = |typed: &str, classes| named_for(typed, classes).unwrap().formula.to_string();
        assert!(text("dice(batch=true)", Classes::Foreground).contains("sum_batch"));
        assert_eq!(text("boundary(spacing=true)", Classes::Foreground), "(mean (* p signed_distance_mm))");
        assert!(text("ce(label_smoothing=0.2)", Classes::Foreground).contains("label_smoothing=0.2"));
        assert!(text("dice(background=true)", Classes::Softmax(3)).starts_with("(mean_classes background=1 "));
        let weighted = text("dice(class_weights=[0.5, 2], smooth_nr=1)", Classes::Softmax(3));
        assert!(weighted.contains("(* 0.5 (class 1))") && weighted.contains("smooth_nr=1"), "{weighted}");
    }

    #[test]
    fn names_stand_for_losses_in_formulas() {
        let blend = named("(+ (* (- 1 t) ce) (* t boundary))").unwrap();
        assert_eq!(
            blend.formula.to_string(),
            "(+ (* (- 1 t) (mean (+ ce_fg ce_bg))) (* t (mean (* p signed_distance))))"
        );
    }

    #[test]
    fn wrong_switches_are_named() {
        let wrong = |typed: &str| named_for(typed, Classes::Softmax(3)).unwrap_err().to_string();
        assert!(wrong("dice(batch=maybe)").contains("true or false"));
        assert!(wrong("dice(class_weights=[1])").contains("class weights"));
        assert!(wrong("dice(class_weights=1)").contains("list of class weights"));
        assert!(wrong("ce(squared=true)").contains("no parameter"));
    }
}
