//! The one error of this crate that a person can cure: bad input.
//!
//! Every message names the place, the field, what was expected, what was found and a remedy. Parts that do not apply
//! are left out, never filled with a guess. Errors inside a text file also carry the text and a span, so that the
//! command line can point at the character.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};

/// What a fallible function of this crate returns.
pub type Result<T, E = Fault> = std::result::Result<T, E>;

/// Why something could not be done, in words for the person who can mend it.
#[derive(Debug, Clone)]
pub struct Fault(Box<Parts>);

#[derive(Debug, Clone, Default)]
struct Parts {
    summary: String,
    file: Option<PathBuf>,
    field: Option<String>,
    expected: Option<String>,
    found: Option<String>,
    hint: Option<String>,
    source: Option<(NamedSource<String>, Range<usize>)>,
    kind: Kind,
}

/// Decides the exit code of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// The input is wrong: exit code 2.
    #[default]
    BadInput,
    /// The input is right, but the work could not be done (disk full, training failed): exit code 1.
    Failed,
    /// A signal stopped the work, which can be resumed: exit code 3.
    Stopped,
}

impl Fault {
    /// Bad input, in one lower-case sentence without a full stop.
    pub fn new(summary: impl Into<String>) -> Self {
        Self(Box::new(Parts { summary: summary.into(), ..Parts::default() }))
    }

    /// A failure that is not the input's fault.
    pub fn failed(summary: impl Into<String>) -> Self {
        Self(Box::new(Parts { summary: summary.into(), kind: Kind::Failed, ..Parts::default() }))
    }

    /// A signal arrived; `summary` says what is saved.
    pub fn stopped(summary: impl Into<String>) -> Self {
        Self(Box::new(Parts { summary: summary.into(), kind: Kind::Stopped, ..Parts::default() }))
    }

    /// An operation of the file system went wrong: `doing` is "read", "create", ...
    ///
    /// What a person can mend (a name mistyped, a folder in place of a file, bytes that are no text) is bad input;
    /// whatever else the system refuses is a failure.
    pub fn io(doing: &str, path: &Path, error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        let input = |why: &str, expected: &str, found: &str, hint: &str| {
            Self::new(format!("cannot {doing} file: {why}")).expected(expected).found(found).hint(hint)
        };
        let reading = if doing == "read" { "a file that exists" } else { "a folder that exists" };
        let fault = match error.kind() {
            ErrorKind::NotFound => input(
                "it does not exist",
                reading,
                "nothing under this name",
                "check the spelling; a relative path begins at the current folder",
            ),
            ErrorKind::PermissionDenied => input(
                "permission denied",
                "a file that this user may use",
                "one that belongs to somebody else or is protected",
                "change its permissions, or name another file",
            ),
            ErrorKind::IsADirectory => {
                input("it is a folder", "a file", "a folder", "name the file, not the folder in which it lies")
            }
            ErrorKind::NotADirectory | ErrorKind::AlreadyExists => input(
                "a file stands where a folder is needed",
                "a folder",
                "a file",
                "name another path, or move the file away",
            ),
            ErrorKind::InvalidData => input(
                "it is not text",
                "text in UTF-8",
                "bytes that are no text",
                "check that this is the file that is meant, and that it was not compressed",
            ),
            ErrorKind::InvalidFilename | ErrorKind::InvalidInput => {
                input("its name is impossible", "a name that the file system accepts", &error.to_string(), "shorten it")
            }
            _ => Self::failed(format!("cannot {doing} file: {error}")),
        };
        fault.file(path)
    }

    /// The file that is wrong.
    #[must_use]
    pub fn file(mut self, path: impl AsRef<Path>) -> Self {
        self.0.file.get_or_insert_with(|| path.as_ref().to_path_buf());
        self
    }

    /// The field, header entry or option that is wrong.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.0.field = Some(field.into());
        self
    }

    /// The place that holds the field: `steps` within `proxy.recipe` is `proxy.recipe.steps`.
    #[must_use]
    pub fn within(mut self, place: &str) -> Self {
        let field = self.0.field.take();
        self.0.field = Some(field.map_or_else(|| place.to_string(), |field| format!("{place}.{field}")));
        self
    }

    /// What would have been right.
    #[must_use]
    pub fn expected(mut self, expected: impl fmt::Display) -> Self {
        self.0.expected = Some(expected.to_string());
        self
    }

    /// What was there instead.
    #[must_use]
    pub fn found(mut self, found: impl fmt::Display) -> Self {
        self.0.found = Some(found.to_string());
        self
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// The case that is wrong, in front of what is wrong in it.
    #[must_use]
    pub fn in_case(mut self, id: &str) -> Self {
        let field = self.0.field.take();
        self.0.field = Some(field.map_or_else(|| format!("case {id}"), |field| format!("case {id}, {field}")));
        self
    }

    /// The field, where whoever made the fault did not know it.
    #[must_use]
    pub fn or_field(mut self, field: &str) -> Self {
        self.0.field.get_or_insert_with(|| field.to_string());
        self
    }

    /// What was there, where whoever made the fault did not know it.
    #[must_use]
    pub fn or_found(mut self, found: impl fmt::Display) -> Self {
        self.0.found.get_or_insert_with(|| found.to_string());
        self
    }

    /// What to do about it, where whoever made the fault did not know it.
    #[must_use]
    pub fn or_hint(mut self, hint: &str) -> Self {
        self.0.hint.get_or_insert_with(|| hint.to_string());
        self
    }

    /// More to do about it.
    #[must_use]
    pub fn and_hint(mut self, hint: &str) -> Self {
        self.0.hint = Some(self.0.hint.take().map_or_else(|| hint.to_string(), |first| format!("{first}; {hint}")));
        self
    }

    /// The text in which the error stands and the bytes it concerns.
    #[must_use]
    pub fn span(mut self, name: &str, text: &str, bytes: Range<usize>) -> Self {
        let end = bytes.end.min(text.len());
        self.0.source = Some((NamedSource::new(name, text.to_string()), bytes.start.min(end)..end));
        self
    }

    /// Which exit code this deserves.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The parts of the message that apply, after its first sentence, under their names.
    pub fn parts(&self) -> Vec<(&'static str, String)> {
        let file = self.0.file.as_ref().map(|file| file.display().to_string());
        let Parts { field, expected, found, hint, .. } = &*self.0;
        let all = [("file", &file), ("field", field), ("expected", expected), ("found", found), ("hint", hint)];
        all.into_iter().filter_map(|(name, part)| part.clone().map(|part| (name, part))).collect()
    }

    /// The bytes it concerns of the text in which it stands.
    pub fn location(&self) -> Option<Range<usize>> {
        self.0.source.as_ref().map(|(_, bytes)| bytes.clone())
    }

    /// The first sentence alone.
    pub fn summary(&self) -> &str {
        &self.0.summary
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.summary)?;
        if let Some(file) = &self.0.file {
            write!(f, "\n  file:     {}", file.display())?;
        }
        let rows = [("field", &self.0.field), ("expected", &self.0.expected), ("found", &self.0.found)];
        for (name, value) in rows.iter().filter_map(|(name, value)| value.as_ref().map(|v| (name, v))) {
            write!(f, "\n  {:<9} {value}", format!("{name}:"))?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}

impl Diagnostic for Fault {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.0.hint.as_ref().map(|hint| Box::new(hint) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.0.source.as_ref().map(|(text, _)| text as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let (_, span) = self.0.source.as_ref()?;
        let label = LabeledSpan::new(Some("here".into()), span.start, span.len());
        Some(Box::new(std::iter::once(label)))
    }
}

/// The name in `known` closest to `typed`, if it is close enough to be a slip of the keyboard.
pub fn did_you_mean<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = 1 + typed.chars().count() / 4;
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(typed, name), name))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_file_field_expected_and_found() {
        let fault = Fault::new("label is not a whole number")
            .file("labelsTr/a.nii.gz")
            .field("voxel (1, 2, 3)")
            .expected("0, 1 or 2")
            .found(0.5);
        assert_eq!(
            fault.to_string(),
            "label is not a whole number\n  file:     labelsTr/a.nii.gz\n  field:    voxel (1, 2, 3)\n  expected: 0, 1 or 2\n  found:    0.5"
        );
    }

    #[test]
    fn what_a_person_can_mend_is_bad_input_and_says_how() {
        let home = tempfile::tempdir().unwrap();
        let (file, long) = (home.path().join("a"), home.path().join("b".repeat(300)));
        std::fs::write(&file, [0xff, 0xfe, 0x00]).unwrap();
        for path in [home.path(), &file, &file.join("inside"), &home.path().join("missing"), &long] {
            let error = std::fs::read_to_string(path).unwrap_err();
            let fault = Fault::io("read", path, &error);
            let text = fault.to_string();
            assert_eq!(fault.kind(), Kind::BadInput, "{error}");
            assert!(text.contains("expected:") && text.contains("found:") && fault.help().is_some(), "{text}");
        }
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        assert_eq!(Fault::io("write", &file, &full).kind(), Kind::Failed);
    }

    #[test]
    fn a_field_stands_within_its_place() {
        let fault = Fault::new("x").field("steps").within("recipe").within("proxy");
        assert!(fault.to_string().contains("field:    proxy.recipe.steps"), "{fault}");
        assert!(Fault::new("x").within("proxy").to_string().contains("field:    proxy"));
        for (fault, field) in [(Fault::new("x"), "case a"), (Fault::new("x").field("dim"), "case a, dim")] {
            assert!(fault.in_case("a").to_string().ends_with(&format!("field:    {field}")));
        }
    }

    #[test]
    fn a_slip_finds_its_word_and_a_stranger_finds_none() {
        assert_eq!(did_you_mean("popluation", ["generations", "population"]), Some("population"));
        assert_eq!(did_you_mean("zebra", ["generations", "population"]), None);
    }
}
