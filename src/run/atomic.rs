//! The only place that replaces files: a sibling is written, synced and renamed, so a reader sees the old file or the
//! new one and never a part of either.

use std::io::Write as _;
use std::path::Path;

use crate::fault::{Fault, Result};

/// Replaces the file at `path`; its directory must exist.
///
/// # Errors
/// If the sibling cannot be written or renamed; the old file is then untouched.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut sibling = tempfile::NamedTempFile::new_in(directory)?;
        sibling.write_all(bytes)?;
        sibling.as_file().sync_all()?;
        sibling.persist(path).map_err(|error| error.error)?;
        // The rename itself must survive a power cut.
        std::fs::File::open(directory)?.sync_all()
    };
    write().map_err(|error| Fault::io("write", path, &error))
}
