//! All events of an input that no source reads, for commands that run them themselves.

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::time::Duration;

use wattle_batch::Column;

use crate::assemble::{BatchLimits, Chunk, Unwanted};
use crate::decompress::{Caps, Decompression, ReadFailure};
use crate::frame::{DEFAULT_MAX_EVENT_BYTES, DEFAULT_MAX_LINE_BYTES, Framing, LineFormat, Rules, Skipped};
use crate::reading::{ReadError, Receive, Stream};
use crate::transcode::Encoding;

/// How an input is split into events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InputFraming {
    /// Each JSON document is an event, and so is each line that is not JSON.
    #[default]
    Auto,
    /// Each line is an event.
    Lines,
    /// The whole input is one event.
    Document,
}

/// How to read an input.
#[derive(Clone, Copy, Debug)]
pub struct InputSettings {
    /// How it is split into events.
    pub framing: InputFraming,
    /// Maximum length of a line in bytes; longer lines are skipped and counted.
    pub max_line_bytes: u64,
    /// Maximum length of an event in bytes; a longer one is skipped and counted, or ends the input if the whole input is
    /// one event.
    pub max_event_bytes: u64,
    /// Maximum number of decompressed bytes of the input.
    pub max_decompressed_bytes: u64,
    /// When a batch is closed.
    pub batch: BatchLimits,
}

impl Default for InputSettings {
    /// As the source `stdin` reads by default.
    fn default() -> Self {
        Self {
            framing: InputFraming::default(),
            max_line_bytes: DEFAULT_MAX_LINE_BYTES,
            max_event_bytes: DEFAULT_MAX_EVENT_BYTES,
            max_decompressed_bytes: u64::MAX,
            batch: BatchLimits { max_bytes: 256 << 10, max_events: 10_000, max_age: Duration::MAX },
        }
    }
}

/// Result of reading an input.
#[derive(Debug, Default)]
pub struct InputRead {
    /// Number of lines and documents that were skipped because they are too long.
    pub too_long: u64,
    /// Why the input could not be read to its end. The text continues a sentence that begins with the name of the input.
    pub error: Option<io::Error>,
}

/// Reads an input as the sources do: compressed or not, in any of their encodings. Passes the bodies of its events on in
/// batches, until the input ends or the receiver breaks.
pub fn read_input(
    input: impl Read,
    settings: &InputSettings,
    receive: impl FnMut(Column) -> ControlFlow<()>,
) -> InputRead {
    let stream = Stream {
        framing: match settings.framing {
            InputFraming::Auto => Framing::Auto,
            InputFraming::Lines => Framing::Lines,
            InputFraming::Document => Framing::Document,
        },
        decompression: Decompression::default(),
        caps: Caps { max_bytes: settings.max_decompressed_bytes, ..Caps::NONE },
        rules: Rules {
            documents: settings.framing == InputFraming::Auto,
            quotes: false,
            max_line_bytes: settings.max_line_bytes.min(settings.max_event_bytes),
            max_event_bytes: settings.max_event_bytes,
            line_format: LineFormat::default(),
            multiline: None,
            encoding: Encoding::default(),
        },
        limits: settings.batch,
    };
    let mut receiver = Receiver { receive, too_long: 0 };
    let error = stream.read(input, &mut receiver).err().map(|error| match error {
        // The options that the texts of sources name do not exist here.
        ReadError::Read(ReadFailure::TooLarge(max)) => {
            io::Error::other(format!("contains more than {max} decompressed bytes"))
        }
        error => io::Error::other(error),
    });
    InputRead { too_long: receiver.too_long, error }
}

struct Receiver<F> {
    receive: F,
    too_long: u64,
}

impl<F: FnMut(Column) -> ControlFlow<()>> Receive for Receiver<F> {
    fn receive(&mut self, chunk: Chunk) -> Result<(), Unwanted> {
        match (self.receive)(chunk.column) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Unwanted),
        }
    }

    fn skipped(&mut self, skipped: &Skipped) {
        self.too_long += skipped.too_long;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &[u8], settings: &InputSettings) -> (Vec<String>, InputRead) {
        let mut events = Vec::new();
        let read = read_input(input, settings, |column| {
            events.extend(column.iter().map(|row| String::from_utf8_lossy(row).into_owned()));
            ControlFlow::Continue(())
        });
        (events, read)
    }

    #[test]
    fn events_are_those_of_the_framing() {
        let input = b"plain\n{\n \"a\": 1\n}\n[1]";
        for (framing, expected) in [
            (InputFraming::Auto, vec!["plain", "{\n \"a\": 1\n}", "[1]"]),
            (InputFraming::Lines, vec!["plain", "{", " \"a\": 1", "}", "[1]"]),
            (InputFraming::Document, vec!["plain\n{\n \"a\": 1\n}\n[1]"]),
        ] {
            let (events, read) = read(input, &InputSettings { framing, ..InputSettings::default() });
            assert_eq!(events, expected);
            assert!(read.error.is_none());
        }
    }

    #[test]
    fn a_bomb_ends_at_the_limit_and_keeps_what_came_before() {
        let settings = InputSettings { max_decompressed_bytes: 1 << 20, ..InputSettings::default() };
        let (events, read) = read(&crate::testing::gzip(b"a line\n".repeat(1 << 20)), &settings);
        assert!(!events.is_empty() && events.len() < 1 << 18, "{}", events.len());
        assert_eq!(read.error.unwrap().to_string(), "contains more than 1048576 decompressed bytes");
    }

    #[test]
    fn a_receiver_that_breaks_ends_the_input_without_an_error() {
        let settings = InputSettings {
            batch: BatchLimits { max_bytes: 1, max_events: 1, max_age: Duration::MAX },
            ..InputSettings::default()
        };
        let mut count = 0;
        let read = read_input(&b"a\nb\nc\n"[..], &settings, |_| {
            count += 1;
            if count == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!((count, read.error.is_none()), (2, true));
    }

    #[test]
    fn long_lines_are_counted_and_long_documents_are_an_error() {
        let settings = InputSettings { max_line_bytes: 4, max_event_bytes: 8, ..InputSettings::default() };
        let (events, read_lines) = read(b"a\nlonger\nb\n", &settings);
        assert_eq!((events, read_lines.too_long), (vec!["a".to_owned(), "b".to_owned()], 1));
        let (_, document) = read(b"0123456789", &InputSettings { framing: InputFraming::Document, ..settings });
        assert!(document.error.unwrap().to_string().contains("`max_event_bytes`, 8 bytes"));
    }
}
