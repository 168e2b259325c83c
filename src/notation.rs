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
    let text = std::fs::read_to_string(path).map_err(|error| Fault::io("read", path, &error))?;
    from_text(&path.display().to_string(), &text).map_err(|fault| fault.file(path))
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

fn options() -> ron::Options {
    ron::Options::default().with_default_extension(Extensions::IMPLICIT_SOME)
}

fn describe(name: &str, text: &str, error: &SpannedError) -> Fault {
    let span = byte_offset(text, error.span.start)..byte_offset(text, error.span.end);
    let fault = match &error.code {
        Error::NoSuchStructField { expected, found, .. } => unknown("unknown field", found, expected),
        Error::NoSuchEnumVariant { expected, found, .. } => unknown("unknown name", found, expected),
        Error::MissingStructField { field, .. } => {
            Fault::new("missing field").field(*field).expected(format!("`{field}: ...`")).found("nothing")
        }
        Error::Eof | Error::ExpectedStructLikeEnd | Error::UnclosedBlockComment
            if text[span.start..].trim().is_empty() =>
        {
            Fault::new("text ends too early").expected("the rest of it").found("the end").hint("restore the file")
        }
        other => {
            let line = text[..span.start].rsplit('\n').next().unwrap_or_default();
            let field = line.rsplit(['(', ',']).next().unwrap_or_default().split(':').next().unwrap_or_default().trim();
            let found: String = text[span.clone()].chars().take(40).collect();
            let fault = Fault::new(other.to_string())
                .expected("a value of another form or range")
                .found(format!("`{}`", if found.is_empty() { "the end" } else { &found }))
                .hint("the spot is marked below");
            if field.is_empty() { fault } else { fault.field(field) }
        }
    };
    fault.span(name, text, span)
}

fn unknown(what: &str, found: &str, expected: &[&'static str]) -> Fault {
    let fault = Fault::new(format!("{what} `{found}`"))
        .field(found)
        .expected(format!("one of {}", expected.join(", ")))
        .found(found);
    match did_you_mean(found, expected.iter().copied()) {
        Some(close) => fault.hint(format!("did you mean `{close}`?")),
        None => fault.hint("remove it"),
    }
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

    #[test]
    fn what_is_written_reads_back() {
        let plate = Plate { population: 3, share: Some(0.1) };
        assert_eq!(from_text::<Plate>("", &to_text(&plate).unwrap()).unwrap(), plate);
    }

    #[test]
    fn truncated_text_is_an_error() {
        let text = to_text(&Plate { population: 3, share: None }).unwrap();
        for end in 0..text.trim_end().len() {
            assert!(from_text::<Plate>("", &text[..end]).is_err());
        }
    }
}
