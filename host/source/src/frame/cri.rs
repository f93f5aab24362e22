//! The log formats of container runtimes, and how parts of lines are joined.
//!
//! | runtime | line | a part |
//! | --- | --- | --- |
//! | containerd, CRI-O | `TIME STREAM TAG MESSAGE` | has the tag `P` |
//! | Docker (`json-file`) | `{"log":"MESSAGE\n","stream":"STREAM","time":"TIME"}` | has no line feed at its end |
//!
//! containerd and Docker split lines at 16 KiB, CRI-O also where a container pauses in a line. The parts are joined
//! when the last part arrives; parts of `stdout` and `stderr` may be interleaved.
//!
//! # Invariants
//!
//! - The events depend only on the bytes of the input, never on how they were read, as long as the input does not
//!   pause.
//! - Reading again from [`Joiner::held_from`] gives the same events: no part before it belongs to an event after it.

use std::borrow::Cow;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use wattle_batch::parse_rfc3339;

/// How long an incomplete line of a container waits for its next part.
pub(super) const PART_PATIENCE: Duration = Duration::from_secs(5);

/// Where an incomplete line may begin at most before the current one, in bytes, in addition to a multiple of the limit
/// of lines. Everything from there is read again after a restart.
const MAX_HELD_BYTES: u64 = 1 << 20;

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
    /// As `Cri`, also for the format of Docker; time and stream go to the [`Mark`] of the event. Only for the sources
    /// of containers.
    #[serde(skip)]
    #[schemars(skip)]
    Container,
}

/// Facts from the line of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Nanoseconds since the epoch.
    pub(crate) time: Option<i64>,
    pub(crate) stream: Option<Stream>,
}

/// The stream that a container wrote to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    const ALL: [Self; 2] = [Self::Stdout, Self::Stderr];

    /// Returns the name in the logs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// A parsed line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// Time and stream, with the space after them; empty for Docker.
    head: &'a [u8],
    /// `None` if it was not parsed or is not a time.
    time: Option<i64>,
    stream: Stream,
    is_part: bool,
    message: Cow<'a, [u8]>,
}

/// A line of Docker.
#[derive(Deserialize)]
struct DockerLine<'a> {
    #[serde(borrow)]
    log: Cow<'a, str>,
    #[serde(borrow)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
}

impl<'a> Line<'a> {
    pub(super) fn parse(line: &'a [u8], format: LineFormat) -> Option<Self> {
        match format {
            LineFormat::Raw => None,
            LineFormat::Auto | LineFormat::Cri => Self::cri(line, false),
            LineFormat::Container if line.first() == Some(&b'{') => Self::docker(line),
            LineFormat::Container => Self::cri(line, true),
        }
    }

    fn cri(line: &'a [u8], with_time: bool) -> Option<Self> {
        // A timestamp such as 2024-01-01T00:00:00.000000000Z, or one with an offset.
        if !(line.first()?.is_ascii_digit() && line.get(4) == Some(&b'-') && line.get(10) == Some(&b'T')) {
            return None;
        }
        let time_end = memchr::memchr(b' ', line.get(..64.min(line.len()))?)?;
        let rest = line.get(time_end + 1..)?;
        let stream = [(&b"stdout "[..], Stream::Stdout), (b"stderr ", Stream::Stderr)]
            .into_iter()
            .find_map(|(name, stream)| rest.starts_with(name).then_some(stream))?;
        let head_end = time_end + 1 + 7;
        let (head, rest) = line.split_at_checked(head_end)?;
        // Colons separate tags; the first tag marks parts and complete lines.
        let tags_end = memchr::memchr(b' ', rest).unwrap_or(rest.len());
        let is_part = match rest.get(..tags_end)? {
            [b'P'] | [b'P', b':', ..] => true,
            [b'F'] | [b'F', b':', ..] => false,
            _ => return None,
        };
        let time = if with_time { time(line.get(..time_end)?) } else { None };
        let message = Cow::Borrowed(rest.get(tags_end + 1..).unwrap_or_default());
        Some(Self { head, time, stream, is_part, message })
    }

    fn docker(line: &'a [u8]) -> Option<Self> {
        let DockerLine { log, stream, time: at } = serde_json::from_slice(line).ok()?;
        let stream = Stream::ALL.into_iter().find(|known| known.name() == stream)?;
        let mut message = match log {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
        let is_part = !message.ends_with(b"\n");
        let end = if message.ends_with(b"\r\n") { message.len() - 2 } else { message.len() - usize::from(!is_part) };
        match &mut message {
            Cow::Borrowed(text) => *text = text.get(..end)?,
            Cow::Owned(text) => text.truncate(end),
        }
        Some(Self { head: &[], time: parse_rfc3339(&at), stream, is_part, message })
    }

    fn mark(&self) -> Mark {
        Mark { time: self.time, stream: Some(self.stream) }
    }
}

fn time(text: &[u8]) -> Option<i64> {
    parse_rfc3339(std::str::from_utf8(text).ok()?)
}

/// The parts of an incomplete line.
#[derive(Debug)]
struct Parts {
    text: Vec<u8>,
    /// Bytes of all parts, also of those beyond the limit.
    bytes: u64,
    /// Position of the first part in the input.
    from: u64,
    /// Of the first part.
    mark: Mark,
    /// Time of the last part.
    last: Option<i64>,
    is_too_long: bool,
}

impl Parts {
    /// The incomplete line as it is.
    fn end(self) -> Outcome {
        if self.is_too_long { Outcome::TooLong(self.bytes) } else { Outcome::Joined(self.text, self.mark) }
    }
}

/// Result of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The line is an event, without this many bytes at its start.
    Whole(usize, Mark),
    /// The line is a part; the event follows later.
    Held,
    /// The line completes this event.
    Joined(Vec<u8>, Mark),
    /// The line completes an event of this many bytes, which is too long.
    TooLong(u64),
}

/// Joins parts, per stream.
#[derive(Debug, Default)]
pub(super) struct Joiner {
    open: [Option<Parts>; 2],
    /// Position since which a line is always incomplete.
    since: u64,
}

impl Joiner {
    /// Ends incomplete lines that waited too long for the line at `position`: by the times in the lines, or in bytes.
    pub(super) fn overdue(&mut self, next: Option<&Line<'_>>, position: u64, max: u64) -> Vec<Outcome> {
        if self.held_from().is_none() {
            return Vec::new();
        }
        if position.saturating_sub(self.since) > max.saturating_mul(4).saturating_add(MAX_HELD_BYTES) {
            return self.flush();
        }
        let Some(now) = next.and_then(|line| line.time) else { return Vec::new() };
        let patience = i64::try_from(PART_PATIENCE.as_nanos()).unwrap_or(i64::MAX);
        let is_late = |parts: &mut Parts| parts.last.is_some_and(|last| now.saturating_sub(last) > patience);
        let mut late: Vec<Parts> = self.open.iter_mut().filter_map(|parts| parts.take_if(is_late)).collect();
        late.sort_by_key(|parts| parts.from);
        late.into_iter().map(Parts::end).collect()
    }

    pub(super) fn line(
        &mut self,
        text: &[u8],
        line: Option<Line<'_>>,
        position: u64,
        format: LineFormat,
        max: u64,
    ) -> Outcome {
        let Some(line) = line else { return Outcome::Whole(0, Mark::default()) };
        let is_first = self.held_from().is_none();
        let mark = line.mark();
        let Some(slot) = self.open.get_mut(line.stream as usize) else { return Outcome::Whole(0, mark) };
        let bytes = line.message.len() as u64;
        if slot.is_none() && !line.is_part {
            if format == LineFormat::Container && bytes > max {
                return Outcome::TooLong(bytes);
            }
            return match line.message {
                // Docker escapes each message.
                Cow::Owned(message) => Outcome::Joined(message, mark),
                Cow::Borrowed(_) if line.head.is_empty() => Outcome::Joined(line.message.into_owned(), mark),
                Cow::Borrowed(message) if format != LineFormat::Auto => {
                    Outcome::Whole(text.len() - message.len(), mark)
                }
                Cow::Borrowed(_) => Outcome::Whole(0, mark),
            };
        }
        if is_first {
            self.since = position;
        }
        let parts = slot.get_or_insert_with(|| {
            let mut head = Vec::new();
            if format == LineFormat::Auto {
                head.extend_from_slice(line.head);
                head.extend_from_slice(b"F ");
            }
            Parts { text: head, bytes: 0, from: position, mark, last: None, is_too_long: false }
        });
        parts.last = line.time;
        parts.bytes = parts.bytes.saturating_add(bytes);
        if parts.text.len() as u64 + bytes > max {
            parts.is_too_long = true;
            parts.text = Vec::new();
        }
        if !parts.is_too_long {
            parts.text.extend_from_slice(&line.message);
        }
        if line.is_part {
            return Outcome::Held;
        }
        slot.take().map_or(Outcome::Held, Parts::end)
    }

    /// Returns the position from which the input must be read again: since then, a line was always incomplete. `None`
    /// if none is.
    pub(super) fn held_from(&self) -> Option<u64> {
        self.open.iter().any(Option::is_some).then_some(self.since)
    }

    /// Returns the incomplete lines in the order of their positions, and removes them.
    pub(super) fn flush(&mut self) -> Vec<Outcome> {
        let mut open: Vec<Parts> = self.open.iter_mut().filter_map(Option::take).collect();
        open.sort_by_key(|parts| parts.from);
        open.into_iter().map(Parts::end).collect()
    }
}
