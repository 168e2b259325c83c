//! `grammars/*.ron` to [`Grammar`], with everything checked that can be checked before the first tree is built.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use serde::Deserialize;

use super::pattern::Pattern;
use super::{BUILT_IN, Coverage, Grammar, Kind, Rule, Sort, SortId, cover};
use crate::fault::{Fault, Result, did_you_mean};
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
    #[serde(default)]
    coverage: Coverage,
    sorts: BTreeMap<String, Kind>,
    rules: Vec<FileRule>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRule {
    gives: String,
    form: String,
    #[serde(default = "one")]
    weight: f64,
    #[serde(default)]
    untamed: bool,
}

fn one() -> f64 {
    1.0
}

impl Grammar {
    /// The built-in grammar of this name (see [`BUILT_IN`]), or that of a RON file.
    ///
    /// # Errors
    /// As [`Grammar::from_text`], or if the file cannot be read.
    pub fn load(name_or_path: &str) -> Result<Self> {
        if let Some(grammar) = Self::built_in(name_or_path) {
            return Ok(grammar);
        }
        let path = Path::new(name_or_path);
        if !path.exists() {
            let names = || BUILT_IN.iter().map(|known| known.name);
            let fault = Fault::new("grammar not found")
                .field("grammar")
                .expected(format!("{}, or the path of a RON file", names().collect::<Vec<_>>().join(", ")))
                .found(format!("`{name_or_path}`"));
            return Err(match did_you_mean(name_or_path, names()) {
                Some(close) => fault.hint(format!("did you mean `{close}`?")),
                None => fault.hint("check the spelling; a relative path begins at the current folder"),
            });
        }
        let text = notation::read(path)?;
        Self::from_text(name_or_path, &text).map_err(|fault| fault.file(path))
    }

    /// Reads a grammar.
    ///
    /// # Errors
    /// If the text is not a grammar file, a form is malformed, a sort has no finite tree or cannot be reached, sorts lead
    /// to each other in a circle, or no whole tree covers what it must within the size limit.
    pub fn from_text(name: &str, text: &str) -> Result<Self> {
        let file: File = notation::from_text(name, text).map_err(|fault| fault.or_hint(COMPARE))?;
        let rules = file.rules.clone();
        Self::build(file, text)
            .map_err(|(fault, at)| match at.span(text, &rules) {
                Some(span) => fault.span(name, text, span),
                None => fault,
            })
            .map_err(|fault| fault.or_hint(COMPARE))
    }

    /// The same without its untamed rules; `None` if nothing is left to say.
    pub fn tame(&self) -> Option<Self> {
        let mut file: File = notation::from_text(&self.name, &self.text).ok()?;
        file.rules.retain(|rule| !rule.untamed);
        Self::build(file, &self.text).ok()
    }

    fn build(file: File, text: &str) -> Result<Self, (Fault, Place)> {
        let at = |place: Place| move |fault: Fault| (fault, place);
        if file.version != VERSION {
            return Err(at(Place::Field("version"))(
                Fault::new("unknown version of a grammar file").field("version").expected(VERSION).found(file.version),
            ));
        }
        if !(1..=LONGEST).contains(&file.max_size) {
            let fault = Fault::new("size limit out of range").field("max_size");
            let fault = fault.expected(format!("1 to {LONGEST}")).found(file.max_size);
            return Err(at(Place::Field("max_size"))(fault));
        }
        let sorts: Vec<Sort> = file.sorts.into_iter().map(|(name, kind)| Sort { name, kind }).collect();
        for sort in &sorts {
            check_sort(sort).map_err(at(Place::Sort(sort.name.clone())))?;
        }
        let find = |name: &str| sorts.iter().position(|sort| sort.name == name);
        let start =
            find(&file.start).ok_or_else(|| at(Place::Field("start"))(unknown_sort("start", &file.start, &sorts)))?;
        let mut patterns: Vec<(SortId, Pattern)> = Vec::new();
        for (number, rule) in file.rules.iter().enumerate() {
            patterns.push(read_rule(number, rule, &sorts).map_err(at(Place::Rule(number)))?);
        }

        let silent = vec![false; sorts.len()];
        let speaks = match file.coverage {
            Coverage::Complete => cover::speaking(sorts.len(), &patterns),
            Coverage::Free => silent,
        };
        let rules: Vec<Rule> = patterns
            .into_iter()
            .zip(&file.rules)
            .map(|((gives, pattern), rule)| {
                let demands = Sides::ALL.map(|need| cover::demands(&pattern, &speaks, need));
                Rule { gives, weight: rule.weight, untamed: rule.untamed, pattern, demands }
            })
            .collect();
        let smallest = cover::smallest(&sorts, &rules);
        let shallowest = cover::shallowest(&sorts, &rules);
        let (name, max_size, coverage, text) = (file.name, file.max_size, file.coverage, text.to_string());
        let grammar = Self { name, text, max_size, start, coverage, sorts, rules, smallest, shallowest };
        grammar.check()?;
        Ok(grammar)
    }

    /// Every sort has a finite tree and can be reached, no sort is built of nothing but itself, and a whole tree fits.
    fn check(&self) -> Result<(), (Fault, Place)> {
        let mut reached = vec![false; self.sorts.len()];
        let mut open = vec![self.start];
        while let Some(sort) = open.pop() {
            if !std::mem::replace(&mut reached[sort], true) {
                open.extend(self.rules_of(sort).flat_map(|rule| rule.pattern.holes()));
            }
        }
        for (sort, name) in self.sorts.iter().map(|sort| &sort.name).enumerate() {
            let (summary, expected, hint) = if self.smallest(sort, Sides::NONE).is_none() {
                ("sort without a finite tree", "a rule that ends", "give it a rule without holes")
            } else if !reached[sort] {
                ("sort that no rule uses", "a form with it", "use it in a form or remove it")
            } else {
                continue;
            };
            let fault = Fault::new(summary).field("sorts").expected(expected).found(format!("`{name}`")).hint(hint);
            return Err((fault, Place::Sort(name.clone())));
        }
        if let Err(number) = self.bottom_up() {
            let rule = &self.rules[number];
            let fault = Fault::new("sorts that lead to each other in a circle")
                .field(format!("rules[{number}]"))
                .expected("a rule that adds a word")
                .found(format!("`{}`, which leads back to itself", self.sorts[rule.gives].name))
                .hint("remove one of the rules whose form is nothing but the name of a sort");
            return Err((fault, Place::Rule(number)));
        }
        match self.smallest(self.start, self.need(Sides::BOTH)) {
            Some(size) if size <= self.max_size => Ok(()),
            Some(size) => {
                let fault = Fault::new("size limit below the smallest loss").field("max_size");
                Err((fault.expected(format!("at least {size}")).found(self.max_size), Place::Field("max_size")))
            }
            None => {
                let fault = Fault::new("no tree of the start sort speaks about both sides of the target")
                    .field("start")
                    .expected("a loss of both foreground and background")
                    .found(format!("`{}`, which speaks of one at most", self.sorts[self.start].name));
                Err((fault, Place::Field("start")))
            }
        }
    }

    /// The rules in an order in which those that add no word come after everything that builds what they pass on.
    ///
    /// # Errors
    /// With a rule that waits for itself.
    pub(super) fn bottom_up(&self) -> Result<Vec<usize>, usize> {
        let (mut waiting, mut order): (Vec<usize>, Vec<usize>) =
            (0..self.rules.len()).partition(|rule| self.rules[*rule].words() == 0);
        while !waiting.is_empty() {
            let given: Vec<SortId> = waiting.iter().map(|rule| self.rules[*rule].gives).collect();
            let is_ready = |rule: &usize| self.rules[*rule].holes().all(|hole| !given.contains(&hole));
            let (ready, others): (Vec<usize>, Vec<usize>) = waiting.iter().partition(|rule| is_ready(rule));
            if ready.is_empty() {
                return Err(waiting[0]);
            }
            order.extend(ready);
            waiting = others;
        }
        Ok(order)
    }
}

const COMPARE: &str = "compare with `grammars/polarity.ron`, the grammar `polarity`";

/// What of a file is wrong.
enum Place {
    Field(&'static str),
    Sort(String),
    Rule(usize),
}

impl Place {
    /// Where it is written.
    fn span(&self, text: &str, rules: &[FileRule]) -> Option<Range<usize>> {
        match self {
            Self::Field(name) => find(text, &format!("{name}:"), 0),
            Self::Sort(name) => find(text, &format!("\"{name}\""), 0),
            Self::Rule(number) => {
                let form = &rules.get(*number)?.form;
                let earlier = rules[..*number].iter().filter(|rule| rule.form == *form).count();
                find(text, &format!("\"{form}\""), earlier)
            }
        }
    }
}

/// The occurrence of a text after so many others, comments apart.
fn find(text: &str, wanted: &str, after: usize) -> Option<Range<usize>> {
    let mut start = 0;
    let mut found = Vec::new();
    for line in text.split_inclusive('\n') {
        let code = line.split("//").next().unwrap_or_default();
        found.extend(code.match_indices(wanted).map(|(at, _)| start + at..start + at + wanted.len()));
        start += line.len();
    }
    found.get(after).cloned()
}

/// One rule, all names of sorts looked up.
fn read_rule(number: usize, rule: &FileRule, sorts: &[Sort]) -> Result<(SortId, Pattern)> {
    let place = format!("rules[{number}] `{}`", rule.form);
    let find = |name: &str| sorts.iter().position(|sort| sort.name == name);
    let gives = find(&rule.gives).ok_or_else(|| unknown_sort(&place, &rule.gives, sorts))?;
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
    Ok((gives, pattern))
}

fn unknown_sort(field: &str, name: &str, sorts: &[Sort]) -> Fault {
    let names = || sorts.iter().map(|sort| sort.name.as_str());
    let fault = Fault::new("unknown sort").field(field).expected(names().collect::<Vec<_>>().join(", "));
    let fault = fault.found(format!("`{name}`"));
    match did_you_mean(name, names()) {
        Some(close) => fault.hint(format!("did you mean `{close}`?")),
        None => fault.hint("add it to `sorts`, or write one of those"),
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
        let fault = Grammar::from_text("test.ron", &text).unwrap_err();
        format!("{fault}\n{:?}", fault.parts())
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
        let misspelt = complaint(|text| text.replace("gives: \"overlap\"", "gives: \"overlop\""));
        assert!(misspelt.contains("did you mean `overlap`?"), "{misspelt}");
        let circle = "(gives: \"schedule\", form: \"factor\"), (gives: \"factor\", form: \"schedule\"), rules_end";
        let circle = complaint(|text| {
            let text = text.replace("\"percent\": C", "\"factor\": Tree, \"percent\": C");
            text.replace("    ],\n)", circle).replace("rules_end", "    ],\n)")
        });
        assert!(circle.contains("in a circle"), "{circle}");
    }

    #[test]
    fn mistakes_are_shown_where_they_are_written() {
        let at = |from: &str, to: &str| {
            let text = include_str!("../../grammars/polarity.ron").replacen(from, to, 1);
            let fault = Grammar::from_text("test.ron", &text).unwrap_err();
            text[fault.location().expect("the place is known")].to_string()
        };
        assert_eq!(at("(log1p error)", "(log1p eror)"), "\"(log1p eror)\"");
        assert_eq!(at("start: \"error\"", "start: \"errors\""), "start:");
        assert_eq!(at("\"power\": Constant(low: 0.25", "\"power\": Constant(low: -1.0"), "\"power\"");
        // The second of two rules of one form.
        let rules =
            "(gives: \"error_map\", form: \"(log1p error_map)\"), (gives: \"nothing\", form: \"(log1p error_map)\"),";
        let text = include_str!("../../grammars/polarity.ron").replacen(
            "(gives: \"error_map\", form: \"(log1p error_map)\", weight: 0.3),",
            rules,
            1,
        );
        let place = Grammar::from_text("test.ron", &text).unwrap_err().location().unwrap();
        assert_eq!(place.start, text.rfind("\"(log1p error_map)\"").unwrap());
    }

    #[test]
    fn without_its_untamed_rules_a_grammar_keeps_its_promises_or_falls_silent() {
        let polarity = Grammar::polarity();
        let tame = polarity.tame().unwrap();
        assert_eq!(polarity.rules.len() - tame.rules.len(), polarity.rules.iter().filter(|rule| rule.untamed).count());
        assert!(Grammar::built_in("untyped").unwrap().tame().is_none());
    }
}
