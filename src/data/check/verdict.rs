//! Verdicts kept: a dataset whose bytes are known need not be read again.
//!
//! The key is made of the bytes of every file, not of their dates: a copy that a network drive dated anew is the same
//! data, and a file changed within the same second is not. A verdict that cannot be written or read costs a check and
//! is no error.

use std::path::{Path, PathBuf};

use super::Report;
use crate::data::layout::Layout;
use crate::run::replace;

/// Counts up when findings change their meaning, so that old verdicts are forgotten.
const VERSION: u32 = 4;

/// One name for the contents of a dataset.
pub(super) fn digest(layout: &Layout) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut text = |text: String| {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    text(format!("{:?} {:?}", layout.classes, layout.channels));
    for entry in &layout.entries {
        text(entry.id.clone());
        // Files that cannot be read are told by the check; their messages name the state.
        text(entry.hashes().map_or_else(|fault| fault.summary().to_string(), |hashes| format!("{hashes:?}")));
    }
    hasher.finalize().to_hex().to_string()
}

/// Where the verdict on a dataset is kept: its messages name files, so that a copy elsewhere has its own.
fn place(verdicts: &Path, layout: &Layout, digest: &str) -> PathBuf {
    let key = format!("{VERSION} {} {digest} {layout:?}", env!("CARGO_PKG_VERSION"));
    verdicts.join(format!("{}.json", blake3::hash(key.as_bytes()).to_hex()))
}

/// The verdict, if there is one.
pub(super) fn load(verdicts: &Path, layout: &Layout, digest: &str) -> Option<Report> {
    serde_json::from_slice(&std::fs::read(place(verdicts, layout, digest)).ok()?).ok()
}

/// Keeps a verdict if it can be kept.
pub(super) fn store(verdicts: &Path, layout: &Layout, report: &Report) {
    if let (Ok(()), Ok(text)) = (std::fs::create_dir_all(verdicts), serde_json::to_vec(report)) {
        let _ = replace(&place(verdicts, layout, &report.digest), &text);
    }
}
