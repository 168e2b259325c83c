//! What stands inside of `name(...)`: losses, names of parameters and settings, and what may be wrong with them.

use super::Entry;
use crate::fault::{Fault, Result, did_you_mean};
use crate::losses::Loss;

/// The parts of what was typed.
pub(super) struct Typed<'a> {
    pub(super) entry: &'a Entry,
    pub(super) settings: Vec<(&'a str, &'a str)>,
    pub(super) parameters: &'a [&'a str],
    pub(super) find: &'a dyn Fn(&str) -> Result<Loss>,
}

impl Typed<'_> {
    /// Whether every setting is one of the strategy, and there once.
    pub(super) fn check(&self) -> Result<()> {
        let known = self.entry.settings;
        let mut before = self.settings.iter().enumerate();
        let again = |(place, (name, _)): &(usize, &(&str, &str))| {
            self.settings[..*place].iter().any(|(known, _)| known == name)
        };
        if let Some((_, (name, value))) = before.find(again) {
            return Err(Fault::new(format!("`{name}` is set twice in `{}`", self.entry.name))
                .field(*name)
                .expected("every setting once")
                .found(format!("`{name}={value}` again")));
        }
        let is_known = |name: &&str, value: &str| known.contains(name) || self.is_box(value);
        let Some((stranger, value)) = self.settings.iter().find(|(name, value)| !is_known(name, value)) else {
            return Ok(());
        };
        let fault = Fault::new(format!("`{}` has no setting `{stranger}`", self.entry.name))
            .field(*stranger)
            .expected(format!("one of {}", known.join(", ")))
            .found(format!("`{stranger}={value}`"));
        Err(match did_you_mean(stranger, known.iter().copied()) {
            Some(close) => fault.hint(format!("did you mean `{close}`?")),
            None => fault.hint(format!("write `{}`", self.entry.example)),
        })
    }

    /// Whether a value is the box of a parameter: `fp_weight=[0.1, 0.9]`.
    fn is_box(&self, value: &str) -> bool {
        self.entry.names_parameters && value.starts_with('[')
    }

    /// Parameters that are given a box.
    pub(super) fn boxes(&self) -> Vec<(&str, &str)> {
        self.settings.iter().filter(|(_, value)| self.is_box(value)).copied().collect()
    }

    /// A setting as typed.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.settings.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// A number within `low..=high`, or the default.
    pub(super) fn number(&self, name: &str, default: f64, low: f64, high: f64) -> Result<f64> {
        let Some(value) = self.get(name) else { return Ok(default) };
        value.parse().ok().filter(|number| (low..=high).contains(number)).ok_or_else(|| {
            Fault::new(format!("setting of `{}` out of range", self.entry.name))
                .field(name)
                .expected(format!("a number from {low} to {high}"))
                .found(format!("`{value}`"))
        })
    }

    /// A whole number within `low..=high`, or the default.
    pub(super) fn whole(&self, name: &str, default: usize, low: f64, high: f64) -> Result<usize> {
        let number = self.number(name, default as f64, low, high)?;
        if number.fract() == 0.0 {
            return Ok(number as usize);
        }
        Err(Fault::new(format!("setting of `{}` out of range", self.entry.name))
            .field(name)
            .expected(format!("a whole number from {low} to {high}"))
            .found(format!("`{number}`")))
    }

    /// A fault if a setting is given that does nothing here: `only` says where it does something.
    pub(super) fn refuse(&self, name: &str, only: &str) -> Result<()> {
        let Some(value) = self.get(name) else { return Ok(()) };
        Err(Fault::new(format!("`{name}` of `{}` would do nothing", self.entry.name))
            .field(name)
            .expected(format!("no such setting, or {only}"))
            .found(format!("`{value}`")))
    }

    /// One of some words; the first is the default.
    pub(super) fn choice<T: Copy>(&self, name: &str, choices: &[(&str, T)]) -> Result<T> {
        let Some(value) = self.get(name) else { return Ok(choices[0].1) };
        choices.iter().find(|(word, _)| *word == value).map(|(_, choice)| *choice).ok_or_else(|| {
            Fault::new(format!("setting of `{}` unknown", self.entry.name))
                .field(name)
                .expected(choices.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", "))
                .found(format!("`{value}`"))
        })
    }
}

/// `[1, 2.5]`; `None` if it is not a list of finite numbers.
pub(super) fn numbers(text: &str) -> Option<Vec<f64>> {
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    let number = |part: &str| part.trim().parse::<f64>().ok().filter(|number| number.is_finite());
    inner.split(',').map(number).collect()
}

/// `name=value` outside of any bracket.
pub(super) fn setting(part: &str) -> Option<(&str, &str)> {
    let (name, value) = part.split_once('=')?;
    let plain = !name.trim().is_empty() && name.trim().chars().all(|c| c.is_alphanumeric() || c == '_');
    plain.then_some((name.trim(), value.trim()))
}

/// The parts between commas that stand outside of brackets.
pub(super) fn separated(text: &str) -> Vec<&str> {
    let mut depth = 0;
    let outside = |c: char| {
        depth += i32::from("([".contains(c)) - i32::from(")]".contains(c));
        c == ',' && depth == 0
    };
    text.split(outside).map(str::trim).filter(|part| !part.is_empty()).collect()
}
