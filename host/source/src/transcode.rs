//! Converts input in other encodings to UTF-8 while it is read.
//!
//! A source saves positions in bytes of its input. [`Units`] converts the length of UTF-8 text to
//! that of the input.

use std::io::{self, Read};

use encoding_rs::{CoderResult, Decoder, UTF_16BE, UTF_16LE, WINDOWS_1252};
use schemars::JsonSchema;
use serde::Deserialize;

/// Length of a byte order mark that identifies the encoding.
pub(crate) const MARK_BYTES: usize = 2;

/// Number of bytes that are decoded at a time.
const INPUT_BYTES: usize = 32 << 10;

/// Text encodings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub(crate) enum Encoding {
    /// UTF-8; a byte order mark of UTF-16 is recognised.
    #[default]
    #[serde(rename = "utf-8")]
    Utf8,
    /// UTF-16 with the lower byte first, as Windows writes it.
    #[serde(rename = "utf-16le")]
    Utf16Le,
    /// UTF-16 with the higher byte first.
    #[serde(rename = "utf-16be")]
    Utf16Be,
    /// Windows-1252, which includes Latin-1 (ISO 8859-1).
    #[serde(rename = "windows-1252")]
    Windows1252,
}

impl Encoding {
    /// Returns the encoding of an input with this start, and the length of its byte order mark. The
    /// framing removes the mark of UTF-8.
    pub(crate) fn of(self, head: &[u8]) -> (Self, u64) {
        match head {
            [0xff, 0xfe, ..] if self != Self::Windows1252 => (Self::Utf16Le, MARK_BYTES as u64),
            [0xfe, 0xff, ..] if self != Self::Windows1252 => (Self::Utf16Be, MARK_BYTES as u64),
            _ => (self, 0),
        }
    }

    /// Converts positions in the text to positions in the input.
    pub(crate) fn units(self) -> Units {
        match self {
            Self::Utf8 => Units::Bytes,
            Self::Utf16Le | Self::Utf16Be => Units::Utf16,
            Self::Windows1252 => Units::Characters,
        }
    }

    fn decoder(self) -> Option<Decoder> {
        let encoding = match self {
            Self::Utf8 => return None,
            Self::Utf16Le => UTF_16LE,
            Self::Utf16Be => UTF_16BE,
            Self::Windows1252 => WINDOWS_1252,
        };
        Some(encoding.new_decoder_without_bom_handling())
    }
}

/// Length of a character of the text in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Units {
    /// The same bytes.
    Bytes,
    /// Two or four bytes.
    Utf16,
    /// One byte.
    Characters,
}

impl Units {
    /// Returns the length of this text in the input. Undecodable bytes give a replacement
    /// character, which counts with its own length.
    pub(crate) fn len(self, text: &[u8]) -> u64 {
        let characters = || text.iter().filter(|byte| **byte & 0xc0 != 0x80).count() as u64;
        match self {
            Self::Bytes => text.len() as u64,
            Self::Characters => characters(),
            Self::Utf16 => 2 * (characters() + text.iter().filter(|byte| **byte >= 0xf0).count() as u64),
        }
    }
}

/// Reads an input as UTF-8.
pub(crate) struct Transcoder<R> {
    pub(crate) input: R,
    decoder: Option<Decoder>,
    /// Bytes that are read and not decoded.
    waiting: Vec<u8>,
    /// Decoded text; the bytes from `given` on are not returned yet.
    ready: Vec<u8>,
    given: usize,
    is_at_end: bool,
}

impl<R: Read> Transcoder<R> {
    /// The input must start after its byte order mark.
    pub(crate) fn new(input: R, encoding: Encoding) -> Self {
        let decoder = encoding.decoder();
        Self { input, decoder, waiting: Vec::new(), ready: Vec::new(), given: 0, is_at_end: false }
    }
}

impl<R: Read> Read for Transcoder<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let Some(decoder) = &mut self.decoder else { return self.input.read(out) };
        while self.given == self.ready.len() && !self.is_at_end {
            self.waiting.resize(INPUT_BYTES, 0);
            let n = self.input.read(&mut self.waiting)?;
            self.is_at_end = n == 0;
            let bytes = self.waiting.get(..n).unwrap_or_default();
            self.ready.clear();
            self.given = 0;
            // Each input byte gives at most three bytes of text, and the end of the input may add a
            // replacement character.
            self.ready.resize(3 * n + 16, 0);
            let (result, _, written, _) = decoder.decode_to_utf8(bytes, &mut self.ready, self.is_at_end);
            self.ready.truncate(written);
            if result == CoderResult::OutputFull {
                return Err(io::Error::other("the text cannot be decoded"));
            }
        }
        let ready = self.ready.get(self.given..).unwrap_or_default();
        let n = ready.len().min(out.len());
        if let (Some(to), Some(from)) = (out.get_mut(..n), ready.get(..n)) {
            to.copy_from_slice(from);
        }
        self.given += n;
        Ok(n)
    }
}

/// Converts a whole text to UTF-8, without its byte order mark.
pub(crate) fn transcode(text: Vec<u8>, encoding: Encoding) -> Vec<u8> {
    let (encoding, mark) = encoding.of(&text);
    if encoding == Encoding::Utf8 {
        return match text.strip_prefix(b"\xef\xbb\xbf") {
            Some(rest) => rest.to_vec(),
            None => text,
        };
    }
    let behind = text.get(usize::try_from(mark).unwrap_or(0)..).unwrap_or_default();
    let mut out = Vec::new();
    // Reading from memory cannot fail.
    let _ = Transcoder::new(behind, encoding).read_to_end(&mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, big: bool) -> Vec<u8> {
        text.encode_utf16().flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    }

    /// A reader that returns a few bytes at a time.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let n = self.1.min(self.0.len()).min(out.len());
            out[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    #[test]
    fn text_does_not_depend_on_read_sizes_and_positions_convert_back() {
        let text = "plain äöü 漢字 😀 end\r\n";
        for at_once in [1, 2, 3, 5, 1000] {
            for (encoding, bytes) in [
                (Encoding::Utf8, text.as_bytes().to_vec()),
                (Encoding::Utf16Le, utf16(text, false)),
                (Encoding::Utf16Be, utf16(text, true)),
            ] {
                let mut out = Vec::new();
                Transcoder::new(Slow(&bytes, at_once), encoding).read_to_end(&mut out).unwrap();
                assert_eq!(String::from_utf8(out).unwrap(), text);
                assert_eq!(encoding.units().len(text.as_bytes()), bytes.len() as u64);
            }
        }
        assert_eq!(transcode(b"caf\xe9".to_vec(), Encoding::Windows1252), "café".as_bytes());
        assert_eq!(Units::Characters.len("café".as_bytes()), 4);
    }

    #[test]
    fn a_byte_order_mark_overrides_the_option() {
        let marked = [&b"\xff\xfe"[..], &utf16("a", false)].concat();
        assert_eq!(transcode(marked, Encoding::Utf8), b"a");
        let marked = [&b"\xfe\xff"[..], &utf16("a", true)].concat();
        assert_eq!(transcode(marked, Encoding::Utf16Le), b"a", "the mark overrides the option");
        assert_eq!(transcode(b"\xef\xbb\xbfa".to_vec(), Encoding::Utf8), b"a");
        assert_eq!(transcode(b"\xffa".to_vec(), Encoding::Utf8), b"\xffa");
    }
}
