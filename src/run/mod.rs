//! A run is a directory: what is in it, and how it is made, opened and locked.
//!
//! ```text
//! runs/<name>/
//!   manifest.ron          what was asked: resolved configuration, split, versions       replaced if generations are added
//!   journal.jsonl         settings, then one finished training a line, with checksums   appended and synced
//!   generation-0003.ron   a whole population                                            replaced atomically
//!   front.csv             best loss of each size, of the newest generation              derived, can be rebuilt
//!   events.jsonl          what happened when, for people and plots                      appended; decides nothing
//!   start-0.safetensors   the shared starts of the trainings, numbered                  written once
//!   headroom.ron          what the short trainings can tell                             derived, can be rebuilt
//!   winner.ron            the last race and why its winner won                          derived, can be rebuilt
//! ```
//!
//! A comparison has `cells.jsonl` in the place of the journal of trainings; `docs/reference/compare.md` lists its files.
//!
//! Killing a run loses at most the trainings in progress.

mod atomic;
mod journal;

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use atomic::replace;
pub use journal::{Journal, read_journal};
use serde::Serialize;

use crate::fault::{Fault, Result};

/// How often a lock that is held is tried again, and after what time.
const ATTEMPTS: usize = 20;
const PATIENCE: Duration = Duration::from_millis(10);

/// An open run, locked against a second process until it is dropped.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    _lock: File,
}

impl RunDir {
    /// Makes a new run.
    ///
    /// # Errors
    /// If the directory exists and is not empty, or cannot be made.
    pub fn create(path: &Path) -> Result<Self> {
        // A lock alone is what a kill in the first moment leaves.
        let counts = |entry: std::io::Result<std::fs::DirEntry>| entry.is_ok_and(|entry| entry.file_name() != "lock");
        let taken = path.is_dir() && std::fs::read_dir(path).is_ok_and(|mut entries| entries.any(counts));
        if taken || path.is_file() {
            return Err(Fault::new("run directory is not empty")
                .file(path)
                .expected("an empty directory, or none yet")
                .found(if path.is_file() { "a file" } else { "a directory with files in it" })
                .hint("choose another directory with `--out`, or continue the run with `--resume`"));
        }
        std::fs::create_dir_all(path).map_err(|error| Fault::io("create", path, &error))?;
        Self::lock(path)
    }

    /// Opens an existing run.
    ///
    /// # Errors
    /// If there is no manifest, or another process works on the run.
    pub fn open(path: &Path) -> Result<Self> {
        if !path.join("manifest.ron").is_file() {
            return Err(Fault::new("not a run directory")
                .file(path)
                .expected("a `manifest.ron` in it")
                .found("none")
                .hint("name the directory that `--out` made"));
        }
        let run = Self::lock(path)?;
        atomic::clear(path)?;
        Ok(run)
    }

    fn lock(path: &Path) -> Result<Self> {
        let file = path.join("lock");
        let lock = File::create(&file).map_err(|error| Fault::io("create", &file, &error))?;
        // A process that was killed a moment ago may hold it still, and so may one that is just being started by another
        // thread, until it is a program of its own.
        let is_free = || {
            std::thread::sleep(PATIENCE);
            lock.try_lock().is_ok()
        };
        let free = lock.try_lock().is_ok() || (0..ATTEMPTS).any(|_| is_free());
        free.then_some(()).ok_or_else(|| {
            Fault::new("another process works on this run")
                .file(path)
                .expected("a run that nobody works on")
                .found("a lock that is held")
                .hint("wait for it, or stop it")
        })?;
        Ok(Self { path: path.to_path_buf(), _lock: lock })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file of the run.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Replaces a file of the run atomically.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        replace(&self.file(name), bytes)
    }

    /// Appends one event to `events.jsonl`. Events are for people: a lost one changes no result, so none is synced.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn event(&self, event: &impl Serialize) -> Result<()> {
        let path = self.file("events.jsonl");
        let mut line =
            serde_json::to_string(event).map_err(|error| Fault::failed(format!("cannot write event: {error}")))?;
        line.push('\n');
        let file = OpenOptions::new().create(true).append(true).open(&path);
        file.and_then(|mut file| file.write_all(line.as_bytes())).map_err(|error| Fault::io("append to", &path, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_neither_overwritten_nor_shared() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("run");
        let run = RunDir::create(&path).unwrap();
        run.write("manifest.ron", b"()").unwrap();
        assert!(RunDir::create(&path).unwrap_err().to_string().contains("not empty"));
        assert!(RunDir::open(&path).unwrap_err().to_string().contains("another process"));
        drop(run);
        std::fs::write(path.join(".replacing-abc"), "half").unwrap();
        RunDir::open(&path).unwrap();
        assert!(!path.join(".replacing-abc").exists(), "what a kill left behind stays for ever");
        assert!(path.join("manifest.ron").exists());
        // A lock alone is what a kill in the first moment leaves.
        std::fs::create_dir(home.path().join("young")).unwrap();
        std::fs::write(home.path().join("young/lock"), "").unwrap();
        RunDir::create(&home.path().join("young")).unwrap();
        assert!(RunDir::open(home.path()).unwrap_err().to_string().contains("not a run"));
    }
}
