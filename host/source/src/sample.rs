//! The first events of an input, for commands that look at a sample before any source exists.

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::time::Duration;

use crate::assemble::BatchLimits;
use crate::frame::DEFAULT_MAX_LINE_BYTES;
use crate::input::{InputSettings, read_input};

/// The first events of an input.
#[derive(Debug, Default)]
pub struct Sample {
    /// The bytes of each event.
    pub events: Vec<Vec<u8>>,
    /// Whether the input has more.
    pub is_cut: bool,
    /// Number of lines and documents that the sources skip by default, because they are too long.
    pub too_long: u64,
}

/// Reads the first events of an input as the sources `stdin` and `file` do by default: compressed or
/// not, in any of their encodings, JSON documents or lines.
///
/// Ends after `max_events` events or about `max_bytes` bytes of them. A longer event is left out.
///
/// # Errors
///
/// The input cannot be read and contains no event before that, or each of its events is too long.
/// The text continues a sentence that begins with the name of the input.
pub fn sample(input: impl Read, max_events: usize, max_bytes: usize) -> io::Result<Sample> {
    let settings = InputSettings {
        max_event_bytes: max_bytes as u64,
        batch: BatchLimits { max_bytes, max_events, max_age: Duration::MAX },
        ..InputSettings::default()
    };
    let (mut sample, mut bytes) = (Sample::default(), 0);
    let read = read_input(input, &settings, |column| {
        for event in column.iter() {
            if sample.events.len() == max_events || bytes >= max_bytes {
                sample.is_cut = true;
                return ControlFlow::Break(());
            }
            bytes += event.len();
            sample.events.push(event.to_vec());
        }
        ControlFlow::Continue(())
    });
    sample.too_long = read.too_long;
    match read.error {
        Some(error) if sample.events.is_empty() => return Err(error),
        // The end of a damaged input is missing.
        Some(_) => sample.is_cut = true,
        None => {}
    }
    if sample.events.is_empty() && sample.too_long > 0 {
        return Err(io::Error::other(format!(
            "contains no event that the sources read by default: a line may have {DEFAULT_MAX_LINE_BYTES} bytes \
             (`max_line_bytes`), and {} are longer",
            sample.too_long
        )));
    }
    Ok(sample)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(sample: &Sample) -> Vec<&str> {
        sample.events.iter().map(|event| std::str::from_utf8(event).unwrap()).collect()
    }

    #[test]
    fn lines_and_documents_are_events_and_the_rest_is_cut() {
        let read = sample(&b"plain\n\n{\n \"a\": 1\n}\n[1,\n2]\nlast"[..], 10, 1000).unwrap();
        assert_eq!(texts(&read), ["plain", "{\n \"a\": 1\n}", "[1,\n2]", "last"]);
        assert!(!read.is_cut);
        let cut = sample(&b"a\nb\nc\n"[..], 2, 1000).unwrap();
        assert_eq!((texts(&cut), cut.is_cut), (vec!["a", "b"], true));
        let cut = sample(&b"aaaa\nbbbb\ncccc\n"[..], 10, 8).unwrap();
        assert_eq!((texts(&cut), cut.is_cut), (vec!["aaaa", "bbbb"], true));
    }

    #[test]
    fn events_that_are_too_long_are_counted_and_an_input_without_others_is_refused() {
        let long = "x".repeat(2 << 20);
        let read = sample(format!("a\n{long}\nb\n").as_bytes(), 10, 4 << 20).unwrap();
        assert_eq!((texts(&read), read.too_long, read.is_cut), (vec!["a", "b"], 1, false));
        let refused = sample(format!("{long}\n\n{long}").as_bytes(), 10, 4 << 20).unwrap_err().to_string();
        assert!(refused.contains("a line may have 1048576 bytes (`max_line_bytes`), and 2 are longer"), "{refused}");
    }

    #[test]
    fn compressed_and_utf_16_input_is_read_and_damage_cuts_it() {
        let packed = crate::testing::gzip(b"first line\nsecond line\n".repeat(1000));
        assert_eq!(sample(packed.as_slice(), 2, 1000).unwrap().events.len(), 2);
        let half = [packed.as_slice(), packed.get(..packed.len() - 10).unwrap()].concat();
        let read = sample(half.as_slice(), 10_000, 1 << 20).unwrap();
        assert!(read.events.len() >= 2000 && read.is_cut, "{} events", read.events.len());
        let utf_16: Vec<u8> = "\u{feff}ab\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(texts(&sample(utf_16.as_slice(), 10, 1000).unwrap()), ["ab"]);
        let broken = sample(&[0x1f, 0x8b, 8, 0][..], 10, 1000).unwrap_err();
        assert_eq!(broken.to_string(), "is damaged after 0 decompressed bytes: it ends too early");
    }
}
