//! Scalars for `TensorBoard`: an event file, of which there is no kept writer in Rust.
//!
//! A file is a list of records `length, masked CRC32C of it, bytes, masked CRC32C of them` (`TFRecord`, little-endian), each
//! the protocol buffer `Event { double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5 }` with
//! `Summary { repeated Value { string tag = 1; float simple_value = 2 } value = 1 }`. The wall time is the step: no clock
//! decides a file of this program, so axes by step are right and those by time are not meant.

/// A number at a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scalar<'a> {
    /// Its step, from 0.
    pub step: usize,
    /// Its name; a part before a slash is its group.
    pub tag: &'a str,
    /// The number.
    pub value: f64,
}

/// The bytes of a file; its name must contain `tfevents`.
pub fn events<'a>(scalars: impl IntoIterator<Item = Scalar<'a>>) -> Vec<u8> {
    let mut file = Vec::new();
    let mut first = Message::default();
    first.double(1, 0.0);
    first.bytes(3, b"brain.Event:2");
    record(&mut file, &first.0);
    for Scalar { step, tag, value } in scalars {
        let mut number = Message::default();
        number.bytes(1, tag.as_bytes());
        number.float(2, value as f32);
        let mut summary = Message::default();
        summary.bytes(1, &number.0);
        let mut event = Message::default();
        event.double(1, step as f64);
        event.integer(2, step as u64);
        event.bytes(5, &summary.0);
        record(&mut file, &event.0);
    }
    file
}

/// A protocol buffer in the making.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// The key of a field: its number and how it is written (0 varint, 1 of 64 bits, 2 with a length, 5 of 32 bits).
    fn key(&mut self, field: u64, kind: u64) {
        self.varint(field << 3 | kind);
    }

    fn integer(&mut self, field: u64, value: u64) {
        self.key(field, 0);
        self.varint(value);
    }

    fn double(&mut self, field: u64, value: f64) {
        self.key(field, 1);
        self.0.extend(value.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, value: &[u8]) {
        self.key(field, 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
    }

    fn float(&mut self, field: u64, value: f32) {
        self.key(field, 5);
        self.0.extend(value.to_le_bytes());
    }
}

fn record(file: &mut Vec<u8>, data: &[u8]) {
    let length = (data.len() as u64).to_le_bytes();
    file.extend(length);
    file.extend(masked(crc32c(&length)).to_le_bytes());
    file.extend(data);
    file.extend(masked(crc32c(data)).to_le_bytes());
}

/// A checksum of data that hold checksums would be weak, so it is stored turned and shifted.
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32 with Castagnoli's polynomial, reflected.
fn crc32c(data: &[u8]) -> u32 {
    let byte = |crc: u32, byte: &u8| TABLE[((crc ^ u32::from(*byte)) & 0xff) as usize] ^ (crc >> 8);
    !data.iter().fold(!0, byte)
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut number = 0;
    while number < 256 {
        let mut crc = number as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[number] = crc;
        number += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_standard() {
        // RFC 3720, appendix B.4.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn a_file_has_a_record_per_scalar_and_says_its_lengths() {
        let scalars = (0..300).map(|step| Scalar { step, tag: "loss", value: 0.5 });
        let file = events(scalars);
        let (mut at, mut records) = (0, Vec::new());
        while at < file.len() {
            let length = u64::from_le_bytes(file[at..at + 8].try_into().unwrap()) as usize;
            let data = &file[at + 12..at + 12 + length];
            let crc = u32::from_le_bytes(file[at + 12 + length..at + 16 + length].try_into().unwrap());
            assert_eq!(crc, masked(crc32c(data)));
            records.push(data.to_vec());
            at += 16 + length;
        }
        assert_eq!(records.len(), 301);
        assert!(records[0].ends_with(b"brain.Event:2"));
        // Step 299 is the varint ab 02; the value 0.5 the float 00 00 00 3f behind the tag.
        assert!(
            records[300].windows(3).any(|w| w == [0x10, 0xab, 0x02]) && records[300].ends_with(&[0x15, 0, 0, 0, 0x3f])
        );
    }
}
