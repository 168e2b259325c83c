//! `grammars/*.ron` to [`Grammar`], with everything checked that can be checked before the first tree is built.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::pattern::Pattern;
use super::{Grammar, Kind, Rule, Sort, SortId, cover};
use crate::fault::{Fault, Result};
use crate::formula::LONGEST;
use crate::formula::word::{Sides, WordId};
use crate::notation;

/// The only version of the file format so far.
const VERSION: u32 = 1;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    name: String,
    start: String,
    max_size: usize,
    sorts: BTreeMap<String, Kind>,
    rules: Vec<FileRule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRule {
    gives: String,
    form: String,
    #[serde(default = "one")]
    weight: f64,
}

fn one() -> f64 {
    1.0
}

impl Grammar {
    /// The grammar called `polarity`, or that of a RON file.
    ///
    /// # Errors
    /// As [`Grammar::from_text`], or if the file cannot be read.
    pub fn load(name_or_path: &str) -> Result<Self> {
        if name_or_path == "polarity" {
            return Ok(Self::polarity());
        }
        let path = Path::new(name_or_path);
        if !path.exists() {
            return Err(Fault::new("grammar not found")
                .field("grammar")
                .expected("`polarity` or the path of a RON file")
                .found(format!("`{name_or_path}`"))
                .hint("check the spelling; a relative path begins at the current folder"));
        }
        let text = notation::read(path)?;
        Self::from_text(name_or_path, &text).map_err(|fault| fault.file(path))
    }

    /// Reads a grammar.
    ///
    /// # Errors
    /// If the text is not a grammar file, a form is malformed, a sort has no finite tree or cannot be reached, or no
    /// whole tree covers both sides of the target within the size limit.
    pub fn from_text(name: &str, text: &str) -> Result<Self> {
        Self::parse(name, text)
            .map_err(|fault| fault.or_hint("compare with `grammars/polarity.ron`, the grammar `polarity`"))
    }

    fn parse(name: &str, text: &str) -> Result<Self> {
        let file: File = notation::from_text(name, text)?;
        if file.version != VERSION {
            return Err(Fault::new("unknown version of a grammar file")
                .field("version")
                .expected(VERSION)
                .found(file.version));
        }
        if !(1..=LONGEST).contains(&file.max_size) {
            return Err(Fault::new("size limit out of range")
                .field("max_size")
                .expected(format!("1 to {LONGEST}"))
                .found(file.max_size));
        }
        let sorts: Vec<Sort> = file.sorts.into_iter().map(|(name, kind)| Sort { name, kind }).collect();
        sorts.iter().try_for_each(check_sort)?;
        let find = |name: &str| sorts.iter().position(|sort| sort.name == name);
        let known = || sorts.iter().map(|sort| sort.name.as_str()).collect::<Vec<_>>().join(", ");
        let sort_called = |field: &str, name: &str| {
            find(name)
                .ok_or_else(|| Fault::new("unknown sort").field(field).expected(known()).found(format!("`{name}`")))
        };
        let start = sort_called("start", &file.start)?;

        let mut patterns: Vec<(SortId, Pattern)> = Vec::new();
        for (i, rule) in file.rules.iter().enumerate() {
            let place = format!("rules[{i}] `{}`", rule.form);
            let gives = sort_called(&place, &rule.gives)?;
            if sorts[gives].kind != Kind::Tree {
                return Err(Fault::new("a constant has no rules")
                    .field(place)
                    .expected("a sort that is a `Tree`")
                    .found(format!("`{}`", rule.gives)));
            }
            if !(rule.weight.is_finite() && rule.weight > 0.0) {
                return Err(Fault::new("weight of a rule out of range")
                    .field(place)
                    .expected("a positive number")
                    .found(rule.weight));
            }
            let pattern = Pattern::parse(&rule.form, find).map_err(|fault| fault.field(place).or_found(&rule.form))?;
            patterns.push((gives, pattern));
        }

        let speaks = cover::speaking(sorts.len(), &patterns);
        let rules: Vec<Rule> = patterns
            .into_iter()
            .zip(&file.rules)
            .map(|((gives, pattern), rule)| {
                let demands = Sides::ALL.map(|need| cover::demands(&pattern, &speaks, need));
                Rule { gives, weight: rule.weight, pattern, demands }
            })
            .collect();
        let smallest = cover::smallest(&sorts, &rules);
        let grammar =
            Self { name: file.name, text: text.to_string(), max_size: file.max_size, start, sorts, rules, smallest };
        grammar.check()?;
        Ok(grammar)
    }

    /// Every sort has a finite tree and can be reached, and a whole tree fits.
    fn check(&self) -> Result<()> {
        let mut reached = vec![false; self.sorts.len()];
        let mut open = vec![self.start];
        while let Some(sort) = open.pop() {
            if !std::mem::replace(&mut reached[sort], true) {
                open.extend(self.rules_of(sort).flat_map(|rule| rule.pattern.holes()));
            }
        }
        for (sort, name) in self.sorts.iter().map(|sort| &sort.name).enumerate() {
            if self.smallest(sort, Sides::NONE).is_none() {
                return Err(Fault::new("sort without a finite tree")
                    .field("sorts")
                    .expected("a rule that ends")
                    .found(format!("`{name}`"))
                    .hint("give it a rule without holes"));
            }
            if !reached[sort] {
                return Err(Fault::new("sort that no rule uses")
                    .field("sorts")
                    .expected("a form with it")
                    .found(format!("`{name}`"))
                    .hint("use it in a form or remove it"));
            }
        }
        match self.smallest(self.start, Sides::BOTH) {
            Some(size) if size <= self.max_size => Ok(()),
            Some(size) => Err(Fault::new("size limit below the smallest loss")
                .field("max_size")
                .expected(format!("at least {size}"))
                .found(self.max_size)),
            None => Err(Fault::new("no tree of the start sort speaks about both sides of the target")
                .field("start")
                .expected("a loss of both foreground and background")
                .found(format!("`{}`, which speaks of one at most", self.sorts[self.start].name))),
        }
    }
}

fn check_sort(sort: &Sort) -> Result<()> {
    if WordId::of(&sort.name).is_some() {
        return Err(Fault::new("sort has the name of a word")
            .field("sorts")
            .expected("a name that the language does not use")
            .found(format!("`{}`", sort.name))
            .hint("give the sort another name"));
    }
    match sort.kind {
        Kind::Constant { low, high } if !(low > 0.0 && low < high && high.is_finite()) => {
            Err(Fault::new("range of a constant out of range")
                .field(format!("sorts.{}", sort.name))
                .expected("0 < low < high")
                .found(format!("{low} to {high}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(edit: impl Fn(String) -> String) -> String {
        let text = edit(include_str!("../../grammars/polarity.ron").to_string());
        Grammar::from_text("test.ron", &text).unwrap_err().to_string()
    }

    #[test]
    fn the_smallest_losses_are_known() {
        let grammar = Grammar::polarity();
        let smallest = Sides::ALL.map(|sides| grammar.smallest(grammar.start, sides));
        assert_eq!(smallest, [Some(2), Some(2), Some(2), Some(2)]);
    }

    #[test]
    fn mistakes_in_a_grammar_are_found_when_it_is_loaded() {
        assert!(complaint(|text| text.replace("(mean error_map)", "(mean errer_map)")).contains("neither a word"));
        assert!(complaint(|text| text.replace("start: \"error\"", "start: \"loss\"")).contains("unknown sort"));
        assert!(complaint(|text| text.replace("max_size: 30", "max_size: 1")).contains("at least 2"));
        assert!(complaint(|text| text.replace("low: 0.25", "low: -1.0")).contains("0 < low < high"));
        assert!(
            complaint(|text| text.replace("\"percent\": C", "\"spare\": Tree, \"percent\": C"))
                .contains("without a finite tree")
        );
        assert!(
            complaint(|text| text.replace("(mean_top percent error_map)", "(mean error_map)")).contains("no rule uses")
        );
        assert!(complaint(|text| text.replace("version: 1", "version: 2")).contains("version"));
    }
}
