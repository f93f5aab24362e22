//! Writes a snapshot.

use crate::id::hash;

/// Appends values to the bytes of a snapshot.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// A snapshot without values.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: Vec::new() }
    }

    /// Appends a number in 1 to 10 bytes; small numbers are short.
    pub fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            #[expect(clippy::cast_possible_truncation, reason = "the lowest 7 bits")]
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        #[expect(clippy::cast_possible_truncation, reason = "below 128")]
        self.bytes.push(value as u8);
    }

    /// Appends a length or a position.
    pub fn size(&mut self, value: usize) {
        self.number(value as u64);
    }

    /// Appends a number with a sign, such as a time.
    pub fn signed(&mut self, value: i64) {
        self.number(((value << 1) ^ (value >> 63)).cast_unsigned());
    }

    /// Appends a fixed 8 bytes, such as a hash.
    pub fn word(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// Appends a floating-point number, bit by bit.
    pub fn float(&mut self, value: f64) {
        self.word(value.to_bits());
    }

    /// Appends a flag.
    pub fn flag(&mut self, value: bool) {
        self.bytes.push(u8::from(value));
    }

    /// Appends bytes with their length.
    pub fn bytes(&mut self, value: &[u8]) {
        self.size(value.len());
        self.bytes.extend_from_slice(value);
    }

    /// Appends a time that may be missing.
    pub fn time(&mut self, value: Option<i64>) {
        self.flag(value.is_some());
        if let Some(value) = value {
            self.signed(value);
        }
    }

    /// The snapshot, with a checksum.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.word(hash(0, &self.bytes));
        self.bytes
    }
}
