//! Reads a snapshot.

use std::fmt;

use crate::id::hash;

/// The bytes are no snapshot of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged;

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the snapshot is of another type of node, or damaged")
    }
}

impl std::error::Error for Damaged {}

impl From<Damaged> for String {
    fn from(error: Damaged) -> Self {
        error.to_string()
    }
}

/// Takes values from the bytes of a snapshot, in the order in which [`Writer`](crate::Writer) appended them.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Checks the checksum of a snapshot.
    ///
    /// # Errors
    ///
    /// It is wrong.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Damaged> {
        let (bytes, sum) = bytes.split_last_chunk::<8>().ok_or(Damaged)?;
        if hash(0, bytes) == u64::from_le_bytes(*sum) { Ok(Self { bytes }) } else { Err(Damaged) }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Damaged> {
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or(Damaged)?;
        self.bytes = rest;
        Ok(taken)
    }

    /// Takes a number.
    ///
    /// # Errors
    ///
    /// The bytes end, or the number is longer than 64 bits.
    pub fn number(&mut self) -> Result<u64, Damaged> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.flags()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && byte > 1 {
                return Err(Damaged);
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Damaged)
    }

    /// Takes the number of elements that follow, of which each has at least `least` bytes.
    ///
    /// # Errors
    ///
    /// So many do not fit in what is left.
    pub fn size(&mut self, least: usize) -> Result<usize, Damaged> {
        let size = usize::try_from(self.number()?).map_err(|_| Damaged)?;
        if size.saturating_mul(least) > self.bytes.len() { Err(Damaged) } else { Ok(size) }
    }

    /// Takes a number with a sign.
    ///
    /// # Errors
    ///
    /// As [`number`](Self::number).
    pub fn signed(&mut self) -> Result<i64, Damaged> {
        let value = self.number()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// Takes a fixed 8 bytes.
    ///
    /// # Errors
    ///
    /// The bytes end.
    pub fn word(&mut self) -> Result<u64, Damaged> {
        let bytes = self.take(8)?.first_chunk().ok_or(Damaged)?;
        Ok(u64::from_le_bytes(*bytes))
    }

    /// Takes a floating-point number, which must be finite.
    ///
    /// # Errors
    ///
    /// It is not, or the bytes end.
    pub fn float(&mut self) -> Result<f64, Damaged> {
        let value = f64::from_bits(self.word()?);
        if value.is_finite() { Ok(value) } else { Err(Damaged) }
    }

    fn flags(&mut self) -> Result<u8, Damaged> {
        self.take(1)?.first().copied().ok_or(Damaged)
    }

    /// Takes a flag.
    ///
    /// # Errors
    ///
    /// It is neither 0 nor 1, or the bytes end.
    pub fn flag(&mut self) -> Result<bool, Damaged> {
        match self.flags()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Damaged),
        }
    }

    /// Takes bytes with their length.
    ///
    /// # Errors
    ///
    /// So many are not left.
    pub fn bytes(&mut self) -> Result<&'a [u8], Damaged> {
        let length = self.size(1)?;
        self.take(length)
    }

    /// Takes a text.
    ///
    /// # Errors
    ///
    /// It is not UTF-8, or the bytes end.
    pub fn text(&mut self) -> Result<&'a str, Damaged> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Damaged)
    }

    /// Takes a time that may be missing.
    ///
    /// # Errors
    ///
    /// The bytes end.
    pub fn time(&mut self) -> Result<Option<i64>, Damaged> {
        Ok(if self.flag()? { Some(self.signed()?) } else { None })
    }

    /// Checks that nothing is left.
    ///
    /// # Errors
    ///
    /// Bytes are left.
    pub const fn end(&self) -> Result<(), Damaged> {
        if self.bytes.is_empty() { Ok(()) } else { Err(Damaged) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Writer;

    proptest! {
        #[test]
        fn what_was_written_is_read(number: u64, signed: i64, word: u64, flag: bool, bytes: Vec<u8>, time: Option<i64>) {
            let mut writer = Writer::new();
            writer.number(number);
            writer.signed(signed);
            writer.word(word);
            writer.flag(flag);
            writer.bytes(&bytes);
            writer.time(time);
            writer.float(0.1);
            let saved = writer.finish();
            let mut reader = Reader::new(&saved).unwrap();
            prop_assert_eq!(reader.number().unwrap(), number);
            prop_assert_eq!(reader.signed().unwrap(), signed);
            prop_assert_eq!(reader.word().unwrap(), word);
            prop_assert_eq!(reader.flag().unwrap(), flag);
            prop_assert_eq!(reader.bytes().unwrap(), &bytes[..]);
            prop_assert_eq!(reader.time().unwrap(), time);
            prop_assert_eq!(reader.float().unwrap(), 0.1);
            prop_assert_eq!(reader.end(), Ok(()));
            prop_assert_eq!(reader.number(), Err(Damaged));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            prop_assert!(Reader::new(&bytes).is_err());
            let mut reader = Reader { bytes: &bytes };
            while reader.size(1).is_ok() && reader.text().is_ok() && reader.signed().is_ok() {}
        }
    }
}
