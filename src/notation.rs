//! RON files: text to value with spans and hints, value to text.
//!
//! RON is the public face of the project: configurations, grammars and populations are read through this file alone, so
//! that every one of them gets the same errors. A file that a person wrote is never rewritten.

use std::path::Path;

use ron::error::{Error, Position, SpannedError};
use ron::extensions::Extensions;
use ron::ser::PrettyConfig;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::fault::{Fault, Result, did_you_mean};

/// Reads a value from RON text; `name` is what the text is called in errors.
///
/// # Errors
/// With the span of the offending characters, and a name that may have been meant where one was misspelt.
pub fn from_text<T: DeserializeOwned>(name: &str, text: &str) -> Result<T> {
    options().from_str(text).map_err(|error| describe(name, text, &error))
}

/// Reads a value from a RON file.
///
/// # Errors
/// If the file cannot be read, or as [`from_text`].
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = read(path)?;
    from_text(&path.display().to_string(), &text).map_err(|fault| fault.file(path))
}

/// The text of a RON file.
///
/// # Errors
/// If it cannot be read or is no text.
pub fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| Fault::io("read", path, &error).expected("a RON text file"))
}

/// The RON text of a value, one field a line.
///
/// # Errors
/// If the value cannot be written as RON (a map with keys that are not plain).
pub fn to_text<T: Serialize>(value: &T) -> Result<String> {
    let pretty = PrettyConfig::new().struct_names(false).indentor("    ");
    let text = options().to_string_pretty(value, pretty);
    text.map(|text| text + "\n").map_err(|error| Fault::failed(format!("cannot write as RON: {error}")))
}

/// Every field of a value that is no struct itself: the way to it, as in errors (`proxy.recipe.steps`), and its text. Names
/// of variants are no part of the way.
///
/// # Errors
/// If the value cannot be written as RON.
pub fn leaves<T: Serialize>(value: &T) -> Result<Vec<(String, String)>> {
    let text = options().to_string(value);
    let text = text.map_err(|error| Fault::failed(format!("cannot write as RON: {error}")))?;
    let mut found = Vec::new();
    collect("", &text, &mut found);
    Ok(found)
}

fn collect(way: &str, text: &str, found: &mut Vec<(String, String)>) {
    // `Sliding(patch: ...)`, `Phantoms((cases: ...))` and `(steps: ...)` are structs, `(1, 2)` and `Decathlon("DIR")` are not.
    let inner = text.find('(').and_then(|at| text[at..].strip_prefix('(')?.strip_suffix(')'));
    let is_name = |name: &str| name.chars().all(|c| c.is_alphanumeric() || c == '_');
    let begins = text.find('(').is_some_and(|at| is_name(&text[..at]));
    let Some(inner) = inner.filter(|_| begins) else { return found.push((way.to_string(), spaced(text))) };
    if inner.starts_with('(') && inner.ends_with(')') {
        return collect(way, inner, found);
    }
    let fields: Option<Vec<(&str, &str)>> = parts(inner).into_iter().map(|part| part.split_once(':')).collect();
    match fields {
        Some(fields) if !fields.is_empty() && fields.iter().all(|(name, _)| is_name(name)) => {
            for (name, value) in fields {
                let way = if way.is_empty() { name.to_string() } else { format!("{way}.{name}") };
                collect(&way, value, found);
            }
        }
        _ => found.push((way.to_string(), spaced(text))),
    }
}

/// The parts between the commas that stand in no bracket and no quotes.
fn parts(text: &str) -> Vec<&str> {
    let (mut depth, mut quoted, mut escaped, mut start) = (0usize, false, false, 0);
    let mut parts = Vec::new();
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.extend(Some(&text[start..]).filter(|rest| !rest.is_empty()));
    parts
}

/// As people write it: a space behind commas and colons outside of quotes.
fn spaced(text: &str) -> String {
    let (mut quoted, mut before) = (false, ' ');
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        quoted ^= c == '"' && before != '\\';
        before = c;
        out.push(c);
        if !quoted && matches!(c, ',' | ':') {
            out.push(' ');
        }
    }
    out
}

fn options() -> ron::Options {
    ron::Options::default().with_default_extension(Extensions::IMPLICIT_SOME)
}

/// Where a field is wrong, the whole way to it is named: `proxy.recipe.steps`.
fn describe(name: &str, text: &str, error: &SpannedError) -> Fault {
    let span = byte_offset(text, error.span.start)..byte_offset(text, error.span.end);
    let place = field_at(text, span.start);
    let found = snippet(text, span.start);
    let cut_off = matches!(error.code, Error::Eof) || text[span.start..].trim().is_empty();
    let fault = match &error.code {
        Error::NoSuchStructField { expected, found, .. } => unknown("unknown field", found, expected).field(found),
        Error::NoSuchEnumVariant { expected, found, .. } => unknown("unknown name", found, expected),
        Error::MissingStructField { field, .. } => {
            let fault = Fault::new("missing field").expected(format!("`{field}`")).found(format!("no `{field}`"));
            fault.hint(format!("add `{field}: ...`")).field(*field)
        }
        Error::DuplicateStructField { field, .. } => {
            let fault = Fault::new(format!("field `{field}` twice")).expected("every field once");
            fault.found(format!("`{field}` again")).hint("remove one of the two")
        }
        Error::IntegerOutOfBounds => Fault::new("number out of range")
            .expected("a whole number that is neither negative nor impossibly large")
            .found(found)
            .hint("write another number"),
        Error::InvalidValueForType { expected, found } => {
            Fault::new("value of the wrong kind").expected(expected).found(found).hint(REWRITE)
        }
        Error::ExpectedDifferentLength { expected, found } => {
            Fault::new("wrong number of values").expected(expected).found(found).hint(REWRITE)
        }
        _ if cut_off => Fault::new("file ends too early")
            .expected("the rest of it, with every bracket closed")
            .found("the end of the file")
            .hint("the file was cut off; restore it from a copy, or close what is open"),
        other => {
            let message = other.to_string();
            let (summary, expected) = match message.strip_prefix("Expected ") {
                Some(expected) => ("text is not of the expected form", expected.to_string()),
                None => ("text cannot be understood", format!("RON, but: {message}")),
            };
            Fault::new(summary).expected(expected).found(found).hint(REWRITE)
        }
    };
    match place {
        Some(place) => fault.within(&place).span(name, text, span),
        None => fault.span(name, text, span),
    }
}

const REWRITE: &str = "write the marked place in another way; commas, quotes and brackets before it count, too";

fn unknown(what: &str, found: &str, expected: &[&'static str]) -> Fault {
    let fault = Fault::new(format!("{what} `{found}`"))
        .expected(format!("one of {}", expected.join(", ")))
        .found(format!("`{found}`"));
    match did_you_mean(found, expected.iter().copied()) {
        Some(close) => fault.hint(format!("did you mean `{close}`?")),
        None => fault.hint("remove it, or write one of the expected names"),
    }
}

/// The value or sign at `at`, short enough for one line.
fn snippet(text: &str, at: usize) -> String {
    const LONGEST: usize = 40;
    let ends = |c: char| c.is_whitespace() || ",:()[]{}".contains(c);
    let at = text.len() - text[at..].trim_start().len();
    let start = text[..at].rfind(ends).map_or(0, |end| end + text[end..].chars().next().map_or(1, char::len_utf8));
    let rest = &text[start..];
    let sign = rest.chars().next().map_or(0, char::len_utf8);
    match rest.find(ends).map_or(rest, |end| &rest[..end.max(sign)]) {
        "" => "nothing".to_string(),
        word if word.chars().count() <= LONGEST => format!("`{word}`"),
        word => format!("`{} ...`", word.chars().take(LONGEST).collect::<String>()),
    }
}

/// The way to the field in whose value `at` lies: names before colons, outermost first; `None` outside of all fields.
fn field_at(text: &str, at: usize) -> Option<String> {
    // One entry for every open bracket: the field whose value is being read in it.
    let mut way: Vec<Option<&str>> = vec![None];
    let mut word = 0..0;
    let mut characters = text[..at].char_indices();
    while let Some((here, character)) = characters.next() {
        match character {
            '"' => {
                while characters.next().is_some_and(|(_, c)| c != '"' && (c != '\\' || characters.next().is_some())) {}
            }
            '/' if text[here..].starts_with("//") => while characters.next().is_some_and(|(_, c)| c != '\n') {},
            '(' | '[' | '{' => way.push(None),
            ')' | ']' | '}' => drop(way.pop()),
            ',' => way.last_mut().into_iter().for_each(|field| *field = None),
            ':' => way.last_mut().into_iter().for_each(|field| *field = Some(&text[word.clone()])),
            c if c.is_alphanumeric() || c == '_' => {
                word = if word.end == here { word.start } else { here }..here + c.len_utf8();
            }
            _ => {}
        }
    }
    let names: Vec<&str> = way.into_iter().flatten().collect();
    (!names.is_empty()).then(|| names.join("."))
}

/// RON counts lines and characters from 1.
fn byte_offset(text: &str, position: Position) -> usize {
    let line_start: usize = text.split_inclusive('\n').take(position.line.saturating_sub(1)).map(str::len).sum();
    let line = &text[line_start..];
    line_start + line.char_indices().nth(position.col.saturating_sub(1)).map_or(line.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use miette::Diagnostic;

    #[derive(serde::Deserialize, serde::Serialize, Debug, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Plate {
        population: usize,
        share: Option<f64>,
    }

    #[test]
    fn a_misspelt_field_is_named_with_its_place_and_its_cure() {
        let fault = from_text::<Plate>("plate.ron", "(\n    popluation: 3,\n)").unwrap_err();
        assert!(fault.to_string().contains("unknown field `popluation`"), "{fault}");
        assert_eq!(fault.help().unwrap().to_string(), "did you mean `population`?");
        let label = fault.labels().unwrap().next().unwrap();
        assert_eq!((label.offset(), label.len()), (6, 10));
    }

    #[derive(serde::Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Table {
        name: String,
        plates: Vec<Plate>,
        size: (u8, u8),
    }

    #[test]
    fn every_mistake_is_told_with_field_expectation_finding_and_cure() {
        let whole = "(name: \"a, (b: \\\"\", // c: (\n plates: [(population: 3), (population: 4)], size: (1, 2))";
        from_text::<Table>("t.ron", whole).unwrap();
        for (from, to, field, found) in [
            ("population: 4", "population: -4", "plates.population", "`-4`"),
            ("population: 4", "population: \"four\"", "plates.population", "`\"four\"`"),
            ("population: 4", "popluation: 4", "plates.popluation", "`popluation`"),
            ("population: 4", "zebra: 4", "plates.zebra", "`zebra`"),
            ("(population: 4)", "()", "plates.population", "no `population`"),
            ("(1, 2)", "(1, 2, 3)", "size", "3"),
            ("(1, 2)", "(1, 999)", "size", "999"),
            ("(1, 2)", "1", "size", "`1`"),
        ] {
            let fault = from_text::<Table>("t.ron", &whole.replacen(from, to, 1)).unwrap_err();
            let text = fault.to_string();
            assert!(text.contains(&format!("field:    {field}\n")), "{to}: {text}");
            assert!(text.contains("expected: "), "{to}: {text}");
            assert!(text.lines().any(|line| line.starts_with("  found:") && line.contains(found)), "{to}: {text}");
            assert!(fault.help().is_some(), "{to}: {text}");
        }
    }

    #[test]
    fn leaves_have_their_whole_way_and_look_as_people_write_them() {
        #[derive(serde::Serialize)]
        enum Kind {
            Plain,
            Of(Plate),
            With { size: (u8, u8) },
            Path(&'static str),
        }
        #[derive(serde::Serialize)]
        struct Whole {
            name: &'static str,
            kinds: [Kind; 2],
            first: Kind,
            second: Kind,
            third: Kind,
            axes: Vec<Kind>,
        }
        let plate = || Plate { population: 3, share: None };
        let whole = Whole {
            name: "a, (b: \"",
            kinds: [Kind::Of(plate()), Kind::Plain],
            first: Kind::Of(plate()),
            second: Kind::With { size: (1, 2) },
            third: Kind::Path("x(y: 1)"),
            axes: vec![Kind::Plain, Kind::Plain],
        };
        let found = leaves(&whole).unwrap();
        let found: Vec<(&str, &str)> = found.iter().map(|(way, text)| (way.as_str(), text.as_str())).collect();
        let expected = [
            ("name", "\"a, (b: \\\"\""),
            ("kinds", "(Of((population: 3, share: None)), Plain)"),
            ("first.population", "3"),
            ("first.share", "None"),
            ("second.size", "(1, 2)"),
            ("third", "Path(\"x(y: 1)\")"),
            ("axes", "[Plain, Plain]"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_written_reads_back() {
        let plate = Plate { population: 3, share: Some(0.1) };
        assert_eq!(from_text::<Plate>("", &to_text(&plate).unwrap()).unwrap(), plate);
    }

    #[test]
    fn truncated_text_is_an_error() {
        let text = to_text(&Plate { population: 3, share: None }).unwrap();
        for end in 0..text.trim_end().len() {
            let fault = from_text::<Plate>("", &text[..end]).unwrap_err();
            let words = fault.to_string();
            assert!(
                words.contains("expected:") && words.contains("found:") && fault.help().is_some(),
                "{end}: {words}"
            );
        }
    }
}
