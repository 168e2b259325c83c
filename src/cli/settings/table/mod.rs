//! What every field of a configuration means, a table for each part of the program.
//!
//! Defaults do not stand here, they are asked for; a test walks all fields and finds each exactly once.

mod search;
mod study;
mod training;
mod volumes;

/// A field, or several with the same meaning.
pub(super) struct Field {
    /// The way to it. One that begins with `recipe` or `window` stands in every section that has such a part.
    pub(super) path: &'static str,
    /// Of its value; empty for a bare number or a name.
    pub(super) unit: &'static str,
    /// What it may be.
    pub(super) range: &'static str,
    /// What it decides.
    pub(super) means: &'static str,
}

const fn field(path: &'static str, unit: &'static str, range: &'static str, means: &'static str) -> Field {
    Field { path, unit, range, means }
}

const SHARE: &str = "0 to 1";

/// All of them.
pub(super) fn fields() -> impl Iterator<Item = &'static Field> {
    [volumes::FIELDS, training::FIELDS, search::FIELDS, study::FIELDS].into_iter().flatten()
}
