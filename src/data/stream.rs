//! The bytes of an image file, decompressed if need be.
//!
//! Gzip files may have many members (parallel compressors and some archives write them so); readers that stop after the
//! first see half an image. Zeros after the last member are padding, as for gzip itself. Knows nothing of what the bytes mean.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::GzDecoder;

use crate::fault::{Fault, Result};

/// With what a gzip member begins.
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The file's bytes, decompressed if they are a gzip stream, whatever the name says.
pub(super) fn open(path: &Path) -> Result<Box<dyn Read>> {
    decompressed(file(path)?).map_err(|error| Fault::io("read", path, &error))
}

/// Opens a file that has an end. Opening a pipe would wait for whoever writes into it, perhaps for ever.
pub(super) fn file(path: &Path) -> Result<File> {
    let unread = |error| Fault::io("read", path, &error);
    let kind = fs::metadata(path).map_err(unread)?;
    // A folder is told as one when it is read.
    if !kind.is_file() && !kind.is_dir() {
        return Err(Fault::new("image is not a regular file")
            .file(path)
            .expected("a file on a disk, or a link to one")
            .found("a pipe, a socket or a device")
            .hint("write what comes out of it into a file, and name that one"));
    }
    File::open(path).map_err(unread)
}

/// The bytes of a source, decompressed if they are a gzip stream.
pub(super) fn decompressed<'a>(mut source: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut start = [0; 2];
    let known = read_up_to(&mut source, &mut start)?;
    let whole = io::Cursor::new(start).take(known as u64).chain(source);
    let buffered = BufReader::new(whole);
    Ok(if start == MAGIC { Box::new(Members(Some(GzDecoder::new(buffered)))) } else { Box::new(buffered) })
}

/// The members of a gzip stream, one after the other; none behind the last. `MultiGzDecoder` takes padding for a broken
/// member.
struct Members<R>(Option<GzDecoder<R>>);

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.0 {
            let count = member.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            let rest = self.0.take().map(GzDecoder::into_inner).map(after_padding).transpose()?.flatten();
            self.0 = rest.map(member_at).transpose()?;
        }
        Ok(0)
    }
}

/// The next member. What does not begin like one is told as what it is: the decoder would miss the end of a member.
fn member_at<R: BufRead>(mut rest: R) -> io::Result<GzDecoder<R>> {
    if rest.fill_buf()?.first() != Some(&MAGIC[0]) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "trailing bytes after the end of the compressed data"));
    }
    Ok(GzDecoder::new(rest))
}

/// What comes after zeros, if anything.
fn after_padding<R: BufRead>(mut rest: R) -> io::Result<Option<R>> {
    loop {
        let bytes = rest.fill_buf()?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let found = zeros < bytes.len();
        rest.consume(zeros);
        if found {
            return Ok(Some(rest));
        }
    }
}

fn read_up_to(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..])? {
            0 => break,
            n => filled += n,
        }
    }
    Ok(filled)
}

/// An error while decoding is the file's fault unless the system says otherwise.
pub(super) fn damaged(path: &Path, error: &io::Error) -> Fault {
    let hint = "the copy was interrupted or altered; copy the file again from its source";
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Fault::new("compressed file is cut off")
            .file(path)
            .expected("the end of the compressed data")
            .found("the end of the file")
            .hint(hint),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
            Fault::new("compressed file is damaged").file(path).expected("gzip data").found(error).hint(hint)
        }
        _ => Fault::io("read", path, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn what_is_no_regular_file_is_refused_before_it_is_opened() {
        let home = tempfile::tempdir().unwrap();
        let pipe = home.path().join("x.nii.gz");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.is_ok_and(|status| status.success()), "mkfifo is a tool of every Unix");
        // In a thread of its own: without the refusal this would wait for ever, and a test that hangs tells nobody why.
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || tell.send(file(&pipe).err()));
        let fault = told.recv_timeout(std::time::Duration::from_secs(20)).expect("a pipe is opened and waited for");
        assert_eq!(fault.unwrap().summary(), "image is not a regular file");
        assert!(file(home.path()).is_ok(), "a folder is told by its reader");
    }
}
