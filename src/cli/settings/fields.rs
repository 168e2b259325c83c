//! The settings of a whole configuration: every field at its place, with its default and what the table says of it.

use super::super::config::Config;
use super::table::{Field, fields};
use crate::fault::Result;
use crate::notation;

/// Where the fields of a recipe and of a window stand.
const RECIPES: [&str; 3] = ["proxy.", "learn.", "train."];
const WINDOWS: [&str; 2] = ["proxy.", "train."];

/// A setting: its place in the document, the value that it has if it is left out, and what it means.
pub(super) struct Setting {
    pub(super) path: String,
    pub(super) default: String,
    pub(super) field: &'static Field,
}

/// The field at a path.
fn find(path: &str) -> Option<&'static Field> {
    let within = |part: &str, sections: &[&str]| {
        sections.iter().find_map(|section| path.strip_prefix(section)).filter(|rest| rest.starts_with(part))
    };
    let place = within("recipe.", &RECIPES).or(within("window.", &WINDOWS)).unwrap_or(path);
    fields().find(|field| field.path == place)
}

/// Every setting, in the order of the document, also those of what is left out by default.
///
/// # Errors
/// If a field is not in the table: an error of the program that a test finds.
pub(super) fn settings() -> Result<Vec<Setting>> {
    let read = |text: &str| notation::from_text::<Config>("defaults", text);
    let (plain, full, files) = (read(PLAIN), read(&FULL.replace("ALL", ALL)), read(FILES));
    let (plain, full, files) = (notation::leaves(&plain?)?, notation::leaves(&full?)?, notation::leaves(&files?)?);
    let folder = files.into_iter().filter(|(path, _)| path == "data");
    let mut found: Vec<(String, String)> = Vec::new();
    for (path, value) in full {
        // A family of augmentation stands before its numbers, as what is not done by default.
        let parent = plain.iter().find(|(parent, _)| path.starts_with(&format!("{parent}.")));
        for (path, value) in parent.cloned().into_iter().chain([(path, value)]) {
            if !found.iter().any(|(known, _)| *known == path) {
                found.push((path, value));
            }
        }
    }
    let place = found.iter().position(|(path, _)| path.starts_with("data.")).unwrap_or(0);
    found.splice(place..place, folder);
    let setting = |(path, written): (String, String)| {
        let default = plain.iter().find(|(known, _)| *known == path).map_or(written, |(_, value)| value.clone());
        let field = find(&path);
        let missing = || crate::fault::Fault::failed(format!("the table of settings lacks `{path}`"));
        field.ok_or_else(missing).map(|field| Setting { path: path.clone(), default, field })
    };
    found.into_iter().map(setting).collect()
}

/// A configuration in which everything is left out that can be, one in which nothing is, and one of volumes in files.
const PLAIN: &str = "(version: 1, seed: 1, data: Phantoms(()))";
const FULL: &str = "(version: 1, seed: 1, data: Phantoms(()), \
    proxy: (recipe: (augment: ALL)), learn: (recipe: (augment: ALL)), train: (recipe: (augment: ALL)))";
const ALL: &str = "(affine: (), elastic: (), noise: (), blur: (), brightness: (), contrast: (), bias_field: (), \
    low_resolution: (), gamma: (), mixup: ())";
const FILES: &str = "(version: 1, seed: 1, data: Decathlon(\"DIR\"))";

#[cfg(test)]
mod tests {
    use super::*;

    /// Adding a field to a configuration without a row here, or a row without a field, breaks this.
    #[test]
    fn every_field_of_a_configuration_is_explained_once() {
        let all = settings().unwrap();
        for (place, field) in fields().enumerate() {
            assert!(fields().take(place).all(|other| other.path != field.path), "`{}` stands there twice", field.path);
            assert!(!field.range.is_empty() && !field.means.is_empty(), "`{}` is not explained", field.path);
            let used = all.iter().any(|setting| std::ptr::eq(setting.field, field));
            assert!(used, "no configuration has `{}`", field.path);
        }
        for (place, setting) in all.iter().enumerate() {
            assert!(all[..place].iter().all(|other| other.path != setting.path), "`{}` comes twice", setting.path);
        }
        assert!(all.len() > fields().count() + 40, "three recipes have the same fields: {}", all.len());
    }

    #[test]
    fn defaults_are_those_of_the_program() {
        let all = settings().unwrap();
        let default = |path: &str| all.iter().find(|setting| setting.path == path).map(|s| s.default.as_str());
        assert_eq!(default("train.recipe.steps"), Some("1000"));
        assert_eq!(default("proxy.recipe.augment.affine"), Some("None"));
        assert_eq!(default("learn.recipe.augment.affine.scale"), Some("(0.7, 1.4)"));
        assert_eq!(default("proxy.recipe.augment.mirror"), Some("[I, J, K]"));
        assert_eq!(default("data"), Some("Decathlon(\"DIR\")"));
        assert_eq!(default("search.grammar"), Some("\"polarity\""));
    }
}
