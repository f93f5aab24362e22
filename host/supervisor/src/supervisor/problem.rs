//! The problems of a run, and how the state of sinks and sources shows them.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wattle_sink::SinkStats;
use wattle_source::{SourceError, SourceStats};
use wattle_topology::{Endpoint, Left, Observer, Stopped};

/// How often the outputs of sinks are checked in a run that may end because of them.
pub(super) const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// How long a sink must be unable to deliver before a run that ends by itself gives up.
const MAX_BROKEN: Duration = Duration::from_secs(3);

/// A reason why a run did not end well.
#[derive(Debug)]
pub enum Problem {
    /// A source ended with an error.
    Source {
        /// Its name.
        name: String,
        /// The error.
        error: SourceError,
    },
    /// A source has inputs that it did not read to their end.
    Unread {
        /// Name of the source.
        source: String,
        /// Number of inputs.
        failures: u64,
    },
    /// A source skipped lines and documents that are longer than its options allow.
    Skipped {
        /// Name of the source.
        source: String,
        /// Number of lines and documents.
        events: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// A sink cannot deliver.
    Sink {
        /// Its name.
        name: String,
        /// The error.
        error: String,
    },
    /// A sink lost events.
    Lost {
        /// Name of the sink.
        sink: String,
        /// Number of events.
        events: u64,
    },
    /// A pipeline stopped.
    Stopped(Stopped),
    /// The drain reached its deadline.
    Undelivered,
    /// What a sink did not deliver before the deadline.
    Left(Left),
    /// A file with what a node remembers could not be written.
    Unsaved(PathBuf),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source { name, error } => write!(f, "source `{name}`: {error}"),
            Self::Unread { source, failures } => {
                write!(f, "source `{source}`: {failures} inputs were not read in full; see the log")
            }
            Self::Skipped { source, events, bytes } => {
                let what = if *events == 1 { "line or document that is" } else { "lines or documents that are" };
                write!(
                    f,
                    "source `{source}` skipped {events} {what} too long ({bytes} bytes); raise its option \
                     `max_line_bytes` or `max_event_bytes` (`wattle run --pack` has `--max-line-bytes`)"
                )
            }
            Self::Sink { name, error } => write!(f, "sink `{name}`: {error}"),
            Self::Lost { sink, events } => {
                let s = if *events == 1 { "" } else { "s" };
                write!(f, "sink `{sink}` lost {events} event{s} that its destination rejected; see the log")
            }
            Self::Stopped(stopped) => stopped.fmt(f),
            Self::Undelivered => {
                f.write_str("not everything was delivered in time; the sources offer it again at the next start")
            }
            Self::Unsaved(path) => {
                write!(f, "cannot write `{}`: its node starts with what it knew before; see the log", path.display())
            }
            Self::Left(Left { sink, events, bytes }) => {
                write!(f, "sink `{sink}` did not deliver {events} events ({bytes} bytes)")
            }
        }
    }
}

/// Waits until sinks need an operator to deliver, and returns their errors.
pub(super) async fn broken(observer: &Observer) -> Vec<Problem> {
    loop {
        let problem = |sink: Endpoint<SinkStats>| {
            let error = sink.stats.broken(MAX_BROKEN)?;
            Some(Problem::Sink { name: sink.name, error })
        };
        let problems: Vec<Problem> = observer.sinks().into_iter().filter_map(problem).collect();
        if !problems.is_empty() {
            return problems;
        }
        tokio::time::sleep(CHECK_INTERVAL).await;
    }
}

/// Sources with inputs that they did not read to the end, except those whose errors are known.
pub(super) fn unread(observer: &Observer, is_known: impl Fn(&str) -> bool) -> Vec<Problem> {
    let sources = observer.sources().into_iter().filter(|source| !is_known(&source.name));
    let failed = sources.map(|source| (source.stats.failures.load(Ordering::Relaxed), source.name));
    let failed = failed.filter(|(failures, _)| *failures > 0);
    failed.map(|(failures, source)| Problem::Unread { source, failures }).collect()
}

/// Sources that skipped lines and documents because of their length.
pub(super) fn skipped(observer: &Observer) -> Vec<Problem> {
    let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let problem = |source: Endpoint<SourceStats>| {
        let (events, bytes) = (load(&source.stats.skipped_long), load(&source.stats.skipped_long_bytes));
        (events > 0).then_some(Problem::Skipped { source: source.name, events, bytes })
    };
    observer.sources().into_iter().filter_map(problem).collect()
}

/// Sinks that lost events.
pub(super) fn lost(observer: &Observer) -> Vec<Problem> {
    let sinks = observer.sinks().into_iter();
    let lost = sinks.map(|sink| (sink.stats.lost_events.load(Ordering::Relaxed), sink.name));
    lost.filter(|(events, _)| *events > 0).map(|(events, sink)| Problem::Lost { sink, events }).collect()
}
