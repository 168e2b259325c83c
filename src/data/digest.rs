//! One name for the contents of a dataset: the same files and settings, the same name, whatever their dates and places.

use std::path::PathBuf;

use super::layout::Entry;
use super::preprocess::Preprocess;
use super::stream;
use crate::fault::{Fault, Result};

impl Entry {
    /// BLAKE3 of the bytes of all images, in their order, and of the mask.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub(super) fn hashes(&self) -> Result<[blake3::Hash; 2]> {
        Ok([hash(&self.images)?, hash(std::slice::from_ref(&self.label))?])
    }
}

fn hash(paths: &[PathBuf]) -> Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    for path in paths {
        hasher.update_reader(stream::file(path)?).map_err(|error| Fault::io("read", path, &error))?;
    }
    Ok(hasher.finalize())
}

/// One name for everything that decides the cases. Strings are preceded by their length, so that no two different lists
/// run together into the same bytes.
pub(super) fn digest<'a>(
    classes: &[(u8, String)],
    preprocess: &Preprocess,
    contents: impl IntoIterator<Item = (&'a str, [blake3::Hash; 2])>,
) -> String {
    let mut hasher = blake3::Hasher::new();
    let text = |hasher: &mut blake3::Hasher, text: &str| {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    // Debug output of plain data: every field, floats with all their digits, no failure to handle.
    text(&mut hasher, &format!("{preprocess:?} {classes:?}"));
    for (id, hashes) in contents {
        text(&mut hasher, id);
        for hash in hashes {
            hasher.update(hash.as_bytes());
        }
    }
    hasher.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_knows_everything_that_decides_the_cases() {
        let (a, b) = (blake3::hash(b"a"), blake3::hash(b"b"));
        let classes = [(1, "L1".to_string())];
        let clip = Preprocess { clip_percentiles: (0.0, 100.0), ..Preprocess::default() };
        let plain = Preprocess::default();
        let all = [
            digest(&classes, &plain, [("x", [a, b])]),
            digest(&classes, &plain, [("x", [b, a])]),
            digest(&classes, &plain, [("y", [a, b])]),
            digest(&classes, &clip, [("x", [a, b])]),
            digest(&[(2, "L1".to_string())], &plain, [("x", [a, b])]),
        ];
        let distinct: std::collections::BTreeSet<&String> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert_eq!(all[0], digest(&classes, &plain, [("x", [a, b])]));
    }
}
