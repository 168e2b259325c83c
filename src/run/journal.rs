//! An append-only journal of JSON lines, each with a checksum in front, synced before it counts.
//!
//! A torn last line is what a kill leaves behind and is dropped; a bad line before it is damage and is an error.

use std::fs::{File, OpenOptions};
use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::fault::{Fault, Result};

/// A journal open for appending.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Opens a journal, made empty if it does not exist, and cuts a torn last line off.
    ///
    /// # Errors
    /// If it cannot be opened or is damaged.
    pub fn open(path: &Path) -> Result<Self> {
        let fail = |error: std::io::Error| Fault::io("open", path, &error);
        let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(path).map_err(fail)?;
        let whole = if path.exists() { whole_lines(path)?.1 } else { 0 };
        file.set_len(whole as u64).map_err(fail)?;
        file.seek(std::io::SeekFrom::End(0)).map_err(fail)?;
        Ok(Self { path: path.to_path_buf(), file })
    }

    /// Appends a record and waits until it is on the disk.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn append(&mut self, record: &impl Serialize) -> Result<()> {
        let body =
            serde_json::to_string(record).map_err(|error| Fault::failed(format!("cannot write record: {error}")))?;
        let line = format!("{} {body}\n", checksum(&body));
        let done = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
        done.map_err(|error| Fault::io("append to", &self.path, &error))
    }
}

/// The records of a journal, in order; none if there is no file.
///
/// # Errors
/// If a line before the last is damaged, or a record is not of the expected form.
pub fn read_journal<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let (lines, _) = whole_lines(path)?;
    let parse = |(number, body): (usize, &String)| {
        serde_json::from_str(body).map_err(|error| {
            Fault::new("journal record is not of the expected form")
                .file(path)
                .field(format!("line {}", number + 1))
                .expected("a record as this version writes it")
                .found(error)
                .hint("the run was made by another version; continue it with that one, or start a new run")
        })
    };
    lines.iter().enumerate().map(parse).collect()
}

/// The bodies of the lines whose checksum holds, and how many bytes they take.
fn whole_lines(path: &Path) -> Result<(Vec<String>, usize)> {
    let bytes = std::fs::read(path).map_err(|error| Fault::io("read", path, &error))?;
    let mut bodies = Vec::new();
    let mut end = 0;
    for (number, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let body = std::str::from_utf8(line).ok().and_then(|line| {
            let (sum, body) = line.strip_suffix('\n')?.split_once(' ')?;
            (sum == checksum(body)).then(|| body.to_string())
        });
        let Some(body) = body else {
            if end + line.len() == bytes.len() {
                break;
            }
            return Err(Fault::new("journal is damaged before its end")
                .file(path)
                .field(format!("line {}", number + 1))
                .expected("a line whose checksum is right")
                .found("one whose is not")
                .hint("restore the file from a copy, or start a new run"));
        };
        bodies.push(body);
        end += line.len();
    }
    Ok((bodies, end))
}

fn checksum(body: &str) -> String {
    blake3::hash(body.as_bytes()).to_hex()[..16].to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_tail_is_dropped_and_damage_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("journal.jsonl");
        let mut journal = Journal::open(&path).unwrap();
        for number in 0..3u32 {
            journal.append(&number).unwrap();
        }
        drop(journal);
        let whole = std::fs::read(&path).unwrap();

        std::fs::write(&path, &whole[..whole.len() - 2]).unwrap();
        assert_eq!(read_journal::<u32>(&path).unwrap(), [0, 1]);
        Journal::open(&path).unwrap().append(&7u32).unwrap();
        assert_eq!(read_journal::<u32>(&path).unwrap(), [0, 1, 7]);

        let mut damaged = whole.clone();
        damaged[3] ^= 1;
        std::fs::write(&path, damaged).unwrap();
        assert!(read_journal::<u32>(&path).unwrap_err().to_string().contains("line 1"));
    }
}
