//! The bytes of an image file, decompressed if need be.
//!
//! Gzip files may have many members (parallel compressors and some archives write them so); readers that stop after the
//! first see half an image. Knows nothing of what the bytes mean.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::fault::{Fault, Result};

/// The file's bytes, decompressed if they are a gzip stream, whatever the name says.
pub(super) fn open(path: &Path) -> Result<Box<dyn Read>> {
    let open = || -> io::Result<Box<dyn Read>> {
        let mut start = [0; 2];
        let mut file = File::open(path)?;
        let known = read_up_to(&mut file, &mut start)?;
        let whole = io::Cursor::new(start).take(known as u64).chain(file);
        let buffered = BufReader::new(whole);
        Ok(if start == [0x1f, 0x8b] { Box::new(MultiGzDecoder::new(buffered)) } else { Box::new(buffered) })
    };
    open().map_err(|error| Fault::io("read", path, &error))
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
