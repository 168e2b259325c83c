//! The bytes of an image file, decompressed if need be.
//!
//! Gzip files may have many members (parallel compressors and some archives write them so); readers that stop after the
//! first see half an image. Zeros after the last member are padding, as for gzip itself. Knows nothing of what the bytes mean.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::GzDecoder;

use crate::fault::{Fault, Result};

/// The file's bytes, decompressed if they are a gzip stream, whatever the name says.
pub(super) fn open(path: &Path) -> Result<Box<dyn Read>> {
    File::open(path).and_then(decompressed).map_err(|error| Fault::io("read", path, &error))
}

/// The bytes of a source, decompressed if they are a gzip stream.
pub(super) fn decompressed<'a>(mut source: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut start = [0; 2];
    let known = read_up_to(&mut source, &mut start)?;
    let whole = io::Cursor::new(start).take(known as u64).chain(source);
    let buffered = BufReader::new(whole);
    Ok(if start == [0x1f, 0x8b] { Box::new(Members(Some(GzDecoder::new(buffered)))) } else { Box::new(buffered) })
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
            self.0 = rest.map(GzDecoder::new);
        }
        Ok(0)
    }
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
