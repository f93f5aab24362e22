//! The log format of container runtimes: `TIME STREAM TAG MESSAGE`. The tag `P` marks a part of a
//! longer line.
//!
//! containerd and CRI-O split lines at 16 KiB. The parts are joined when the part with the tag `F`
//! arrives; parts of `stdout` and `stderr` may be interleaved.

use schemars::JsonSchema;
use serde::Deserialize;

/// Whether lines are read as those of a container runtime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LineFormat {
    /// Joins the parts of lines that a container runtime (CRI) has split to one line in the same format.
    #[default]
    Auto,
    /// Lines stay unchanged.
    Raw,
    /// Joins the parts of lines that a container runtime (CRI) has split; the event is the message without time, stream
    /// and tag.
    Cri,
}

/// A parsed line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// Time and stream, with the space after them.
    head: &'a [u8],
    stream: usize,
    is_part: bool,
    message: &'a [u8],
}

impl<'a> Line<'a> {
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        // A timestamp such as 2024-01-01T00:00:00.000000000Z, or one with an offset.
        if !(line.first()?.is_ascii_digit() && line.get(4) == Some(&b'-') && line.get(10) == Some(&b'T')) {
            return None;
        }
        let time_end = memchr::memchr(b' ', line.get(..64.min(line.len()))?)?;
        let rest = line.get(time_end + 1..)?;
        let stream = [&b"stdout "[..], b"stderr "].iter().position(|name| rest.starts_with(name))?;
        let head_end = time_end + 1 + 7;
        let (head, rest) = line.split_at_checked(head_end)?;
        // Colons separate tags; the first tag marks parts and complete lines.
        let tags_end = memchr::memchr(b' ', rest).unwrap_or(rest.len());
        let is_part = match rest.get(..tags_end)? {
            [b'P'] | [b'P', b':', ..] => true,
            [b'F'] | [b'F', b':', ..] => false,
            _ => return None,
        };
        Some(Self { head, stream, is_part, message: rest.get(tags_end + 1..).unwrap_or_default() })
    }
}

/// The parts of an incomplete line.
#[derive(Debug)]
struct Parts {
    text: Vec<u8>,
    /// Position of the first part in the input.
    from: u64,
    is_too_long: bool,
}

/// Result of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The line is an event, without this many bytes at its start.
    Whole(usize),
    /// The line is a part; the event follows later.
    Held,
    /// The line completes this event.
    Joined(Vec<u8>),
    /// The line completes an event of this many bytes, which is too long.
    TooLong(u64),
}

/// Joins parts, per stream.
#[derive(Debug, Default)]
pub(super) struct Joiner {
    open: [Option<Parts>; 2],
}

impl Joiner {
    pub(super) fn line(&mut self, text: &[u8], position: u64, format: LineFormat, max: u64) -> Outcome {
        let Some(line) = (format != LineFormat::Raw).then(|| Line::parse(text)).flatten() else {
            return Outcome::Whole(0);
        };
        let Some(slot) = self.open.get_mut(line.stream) else { return Outcome::Whole(0) };
        if slot.is_none() && !line.is_part {
            let skip = if format == LineFormat::Cri { text.len() - line.message.len() } else { 0 };
            return Outcome::Whole(skip);
        }
        let parts = slot.get_or_insert_with(|| {
            let mut head = Vec::new();
            if format == LineFormat::Auto {
                head.extend_from_slice(line.head);
                head.extend_from_slice(b"F ");
            }
            Parts { text: head, from: position, is_too_long: false }
        });
        if parts.text.len() as u64 + line.message.len() as u64 > max {
            parts.is_too_long = true;
        }
        if !parts.is_too_long {
            parts.text.extend_from_slice(line.message);
        }
        if line.is_part {
            return Outcome::Held;
        }
        match slot.take() {
            Some(parts) if parts.is_too_long => Outcome::TooLong(parts.text.len() as u64),
            Some(parts) => Outcome::Joined(parts.text),
            None => Outcome::Held,
        }
    }

    /// Returns the position of the first incomplete part.
    pub(super) fn held_from(&self) -> Option<u64> {
        self.open.iter().flatten().map(|parts| parts.from).min()
    }

    /// Returns the incomplete lines in the order of their positions, and removes them.
    pub(super) fn flush(&mut self) -> Vec<Vec<u8>> {
        let mut open: Vec<Parts> = self.open.iter_mut().filter_map(Option::take).collect();
        open.sort_by_key(|parts| parts.from);
        open.into_iter().filter(|parts| !parts.is_too_long).map(|parts| parts.text).collect()
    }
}
