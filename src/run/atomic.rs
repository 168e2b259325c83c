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
        let mut sibling = sibling(directory)?;
        sibling.write_all(bytes)?;
        sibling.as_file().sync_all()?;
        sibling.persist(path).map_err(|error| error.error)?;
        // The rename itself must survive a power cut.
        std::fs::File::open(directory)?.sync_all()
    };
    write().map_err(|error| Fault::io("write", path, &error))
}

/// With what the name of a sibling begins.
const PREFIX: &str = ".replacing-";

/// Removes the siblings that a kill left behind. Only for whoever alone writes into the directory.
///
/// # Errors
/// If the directory cannot be read or a sibling cannot be removed.
pub(super) fn clear(directory: &Path) -> Result<()> {
    let entries = std::fs::read_dir(directory).map_err(|error| Fault::io("read", directory, &error))?;
    for path in entries.filter_map(|entry| entry.ok().map(|entry| entry.path())) {
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX)) {
            std::fs::remove_file(&path).map_err(|error| Fault::io("remove", &path, &error))?;
        }
    }
    Ok(())
}

/// Temporary files are private by default; results are as readable as any other file of the person.
fn sibling(directory: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_else_is_left() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a.ron");
        for text in ["first", "second, longer", "3"] {
            replace(&path, text.as_bytes()).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);
        // What a kill between writing and renaming leaves.
        sibling(home.path()).unwrap().keep().unwrap();
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 2);
        clear(home.path()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "3");
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);
        assert!(replace(&home.path().join("missing/b"), b"").is_err());
    }
}
