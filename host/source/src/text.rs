//! The text of an input, for commands that read lines themselves.

use std::io::{self, Cursor, Read};

use crate::decompress::{Caps, Compression, Decoder, MAGIC_BYTES};
use crate::transcode::{Encoding, Transcoder};

/// The byte order mark of UTF-8.
const UTF_8_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads an input as the sources do by default: decompressed, as UTF-8, and without its byte order
/// mark.
///
/// # Errors
///
/// The beginning of the input cannot be read.
pub fn text<'a>(mut input: impl Read + 'a) -> io::Result<impl Read + 'a> {
    let head = peek(&mut input, MAGIC_BYTES)?;
    let compression = Compression::detect(&head);
    let caps = Caps { max_bytes: u64::MAX, max_ratio: u64::MAX };
    let mut input = Explained(Decoder::new(compression, Cursor::new(head).chain(input), caps)?);
    let head = peek(&mut input, UTF_8_MARK.len())?;
    let (encoding, mark) = Encoding::default().of(&head);
    let mark = if head == UTF_8_MARK { UTF_8_MARK.len() } else { usize::try_from(mark).unwrap_or(0) };
    let rest = head.get(mark..).unwrap_or_default().to_vec();
    Ok(Transcoder::new(Cursor::new(rest).chain(input), encoding))
}

/// A decoder whose errors name the damage.
struct Explained<R: Read>(Decoder<R>);

impl<R: Read> Read for Explained<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.read(out).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock => error,
            _ => io::Error::other(self.0.explain(error)),
        })
    }
}

/// The first bytes of an input; fewer at its end, or if a line ends before, so that a terminal does
/// not wait for another line.
fn peek(input: &mut impl Read, bytes: usize) -> io::Result<Vec<u8>> {
    let mut head = vec![0; bytes];
    let mut length = 0;
    while let Some(space) = head.get_mut(length..).filter(|space| !space.is_empty()) {
        match input.read(space) {
            Ok(0) => break,
            Ok(n) => length += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        if head.get(..length).is_some_and(|head| head.contains(&b'\n')) {
            break;
        }
    }
    head.truncate(length);
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &[u8]) -> String {
        let mut all = String::new();
        text(input).unwrap().read_to_string(&mut all).unwrap();
        all
    }

    #[test]
    fn marks_and_compression_are_removed() {
        assert_eq!(read(b"\xef\xbb\xbfa\n"), "a\n");
        assert_eq!(read(b"a"), "a");
        assert_eq!(read(b""), "");
        assert_eq!(read("\n\u{feff}a".as_bytes()), "\n\u{feff}a");
        let utf_16: Vec<u8> = "\u{feff}äb\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(read(&utf_16), "äb\n");
        assert_eq!(read(&crate::testing::gzip(b"\xef\xbb\xbfpacked\n")), "packed\n");
    }

    #[test]
    fn a_line_that_is_shorter_than_a_mark_is_read_at_once() {
        let mut input = [&b"a\n"[..], b"b\n"].into_iter();
        struct Lines<'a, I>(&'a mut I);
        impl<'a, I: Iterator<Item = &'a [u8]>> Read for Lines<'_, I> {
            fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
                self.0.next().unwrap_or_default().read(out)
            }
        }
        assert_eq!(peek(&mut Lines(&mut input), 4).unwrap(), b"a\n");
        assert_eq!(input.next(), Some(&b"b\n"[..]));
    }

    #[test]
    fn damage_has_its_name() {
        let packed = crate::testing::gzip(b"text".repeat(1000));
        let mut all = Vec::new();
        let half = packed.get(..packed.len() - 9).unwrap();
        let error = text(half).unwrap().read_to_end(&mut all).unwrap_err();
        assert!(error.to_string().contains("it ends too early"), "{error}");
    }
}
