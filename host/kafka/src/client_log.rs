//! What the client writes to its log and reports in no other way.
//!
//! The client repeats a request that failed for one partition by itself, for as long as it fails. It has no result, no
//! listener and no count for that: only a line in its log names the partition and the code. This module reads these lines
//! during the calls of one consumer, by a subscriber of `tracing` that is set only for them. It depends on their text, so
//! the version of the client is fixed in `Cargo.toml`, and a test of the source `kafka` injects each error.
//!
//! The alternatives are worse: a second fetch for each partition costs the brokers as much as the first one, and asking
//! only for offsets does not show errors of reading, such as a missing permission.

use std::fmt;
use std::sync::Arc;

use krafka::KrafkaError;
use krafka::error::ErrorCode;
use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::instrument::{WithDispatch, WithSubscriber as _};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Level, Metadata, Subscriber, dispatcher};

use crate::failure::{Failure, FailureKind};

/// Most notes that are kept. What fails is repeated and noted again.
const MAX_NOTES: usize = 4096;

/// What the client has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A request for a partition failed, and will be repeated.
    Partition {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Why.
        failure: Failure,
    },
    /// The position was moved back, because the broker does not have what was read.
    Truncated {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The offset of the next message before.
        from: i64,
        /// The offset of the next message now.
        to: i64,
    },
    /// The group could not be joined, or did not say what it has committed.
    Group(Failure),
}

/// Reads the log of the client during some calls.
#[derive(Debug)]
pub struct ClientLog {
    notes: Arc<Mutex<Vec<Note>>>,
    dispatch: Dispatch,
}

impl Default for ClientLog {
    fn default() -> Self {
        let notes = Arc::<Mutex<Vec<Note>>>::default();
        let outer = dispatcher::get_default(Clone::clone);
        let dispatch = Dispatch::new(Reader { notes: notes.clone(), outer });
        Self { notes, dispatch }
    }
}

impl ClientLog {
    /// Reads what the client says during a call.
    pub fn during<F: Future>(&self, call: F) -> WithDispatch<F> {
        call.with_subscriber(self.dispatch.clone())
    }

    /// What the client has said since the last call of this function.
    pub fn take(&self) -> Vec<Note> {
        std::mem::take(&mut self.notes.lock())
    }
}

/// Notes what the client says, and passes everything else on.
struct Reader {
    notes: Arc<Mutex<Vec<Note>>>,
    /// The log of the agent.
    outer: Dispatch,
}

/// Whether an event may become a note.
fn is_noted(metadata: &Metadata<'_>) -> bool {
    metadata.is_event() && *metadata.level() <= Level::DEBUG && metadata.target().starts_with("krafka::consumer")
}

impl Subscriber for Reader {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_noted(metadata) { Interest::sometimes() } else { self.outer.register_callsite(metadata) }
    }

    fn max_level_hint(&self) -> Option<tracing::level_filters::LevelFilter> {
        // The log of the agent has a hint too, and the larger one counts.
        Some(tracing::level_filters::LevelFilter::DEBUG)
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_noted(metadata) || self.outer.enabled(metadata)
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.outer.new_span(span)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        self.outer.record(span, values);
    }

    fn record_follows_from(&self, span: &Id, follows: &Id) {
        self.outer.record_follows_from(span, follows);
    }

    fn event(&self, event: &Event<'_>) {
        if is_noted(event.metadata()) {
            let mut line = Line::default();
            event.record(&mut line);
            if let Some(note) = line.note() {
                let mut notes = self.notes.lock();
                if notes.len() < MAX_NOTES {
                    notes.push(note);
                }
            }
        }
        if self.outer.enabled(event.metadata()) {
            self.outer.event(event);
        }
    }

    fn enter(&self, span: &Id) {
        self.outer.enter(span);
    }

    fn exit(&self, span: &Id) {
        self.outer.exit(span);
    }

    fn clone_span(&self, span: &Id) -> Id {
        self.outer.clone_span(span)
    }

    fn try_close(&self, span: Id) -> bool {
        self.outer.try_close(span)
    }
}

/// A line of the client's log.
#[derive(Debug, Default)]
struct Line {
    message: String,
    topic: String,
    partition: Option<i32>,
    from: i64,
    to: i64,
    /// The field `code` or `result`.
    result: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = || format!("{value:?}");
        match field.name() {
            "message" => self.message = text(),
            "topic" => self.topic = text(),
            "code" | "result" => self.result = text(),
            _ => {}
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        match field.name() {
            "partition" => self.partition = i32::try_from(value).ok(),
            "old_position" => self.from = value,
            "new_position" => self.to = value,
            _ => {}
        }
    }
}

impl Line {
    fn note(self) -> Option<Note> {
        let message = self.message.as_str();
        if let Some(rest) = message.strip_prefix("Fetch error for ") {
            let (of, code) = rest.split_once(": ")?;
            return fetch(of, code);
        }
        if let Some(rest) = message.strip_prefix("Fetch for ") {
            let (of, code) = rest.split_once(" answered ")?;
            return fetch(of, code.split(';').next()?);
        }
        for group in ["Fetching committed offsets failed; retrying with backoff: ", "Join failed, retrying: "] {
            if let Some(said) = message.strip_prefix(group) {
                return Some(Note::Group(failure("the group", said)));
            }
        }
        let (topic, partition) = (self.topic, self.partition?);
        if message.starts_with("Log truncation detected") {
            return Some(Note::Truncated { topic, partition, from: self.from, to: self.to });
        }
        let is_failed =
            ["offset reset failed", "OffsetForLeaderEpoch rejected"].iter().any(|failed| message.starts_with(failed));
        let failure =
            is_failed.then(|| failure(&format!("`{topic}/{partition}`: cannot find an offset"), &self.result))?;
        Some(Note::Partition { topic, partition, failure })
    }
}

/// A failed fetch of `topic-partition`.
fn fetch(of: &str, code: &str) -> Option<Note> {
    // Topics can contain hyphens.
    let (topic, partition) = of.rsplit_once('-')?;
    let partition = partition.parse().ok()?;
    let failure = failure(&format!("`{topic}/{partition}`: the broker sends no messages"), code);
    Some(Note::Partition { topic: topic.to_owned(), partition, failure })
}

/// The failure with the code that a text contains.
fn failure(what: &str, said: &str) -> Failure {
    // The client says `broker error: CODE - …`, or only the code.
    let name = said.split_once("broker error: ").map_or(said, |(_, rest)| rest.split(" - ").next().unwrap_or_default());
    let code = (-1..200).map(ErrorCode::from_i16).find(|code| format!("{code:?}") == name).or_else(|| {
        let number = name.strip_prefix("Unknown(")?.strip_suffix(')')?;
        number.parse().ok().map(ErrorCode::Unknown)
    });
    match code {
        Some(code) => Failure::of(&KrafkaError::broker(code, what)),
        None if said.contains("timed out") => Failure { kind: FailureKind::Timeout, text: format!("{what}: {said}") },
        None => Failure { kind: FailureKind::Unavailable, text: format!("{what}: {said}") },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(message: &str) -> Line {
        Line { message: message.to_owned(), ..Line::default() }
    }

    fn kind(note: Option<Note>) -> Option<(String, i32, FailureKind)> {
        match note? {
            Note::Partition { topic, partition, failure } => Some((topic, partition, failure.kind)),
            Note::Group(failure) => Some((String::new(), -1, failure.kind)),
            Note::Truncated { .. } => None,
        }
    }

    #[test]
    fn lines_about_failed_requests_become_notes() {
        let of = |text| kind(line(text).note());
        let logs = |kind| Some(("my-logs".to_owned(), 3, kind));
        assert_eq!(of("Fetch error for my-logs-3: TopicAuthorizationFailed"), logs(FailureKind::Authorization));
        assert_eq!(of("Fetch error for my-logs-3: KafkaStorageException"), logs(FailureKind::Unavailable));
        assert_eq!(of("Fetch error for my-logs-3: Unknown(777)"), logs(FailureKind::Refused));
        let text = "Fetch for my-logs-3 answered NotLeaderForPartition; refreshing metadata and backing off";
        assert_eq!(of(text), logs(FailureKind::Unavailable));
        let group = |kind| Some((String::new(), -1, kind));
        let said = "Fetching committed offsets failed; retrying with backoff: broker error: GroupAuthorizationFailed - OffsetFetch";
        assert_eq!(of(said), group(FailureKind::Authorization));
        assert_eq!(of("Join failed, retrying: operation timed out: JoinGroup"), group(FailureKind::Timeout));
        assert_eq!(of("Fetch from broker 1 failed"), None);
        let reset = Line {
            topic: "t".into(),
            partition: Some(0),
            result: "Some(Err(\"broker error: KafkaStorageException - ListOffsets error for t-0\"))".into(),
            ..line("offset reset failed; backing off")
        };
        assert_eq!(kind(reset.note()), Some(("t".to_owned(), 0, FailureKind::Unavailable)));
    }

    #[test]
    fn a_call_is_read_and_other_events_pass() {
        let log = ClientLog::default();
        let call = std::pin::pin!(log.during(async {
            tracing::warn!(target: "krafka::consumer::fetcher", "Fetch error for {}-{}: {:?}", "t", 1, ErrorCode::CorruptMessage);
            let (topic, partition, old_position, new_position) = ("t", 2, 9_i64, 4_i64);
            tracing::warn!(
                target: "krafka::consumer::offsets::validate", %topic, partition, old_position, new_position,
                "Log truncation detected; rewinding the position"
            );
            tracing::warn!("not of the client");
        }));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(call.poll(&mut context).is_ready());
        let notes = log.take();
        assert_eq!(kind(notes.first().cloned()), Some(("t".to_owned(), 1, FailureKind::Unavailable)));
        assert_eq!(notes.get(1), Some(&Note::Truncated { topic: "t".into(), partition: 2, from: 9, to: 4 }));
        assert_eq!((notes.len(), log.take().len()), (2, 0));
    }
}
