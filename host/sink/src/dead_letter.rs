//! Events that the destination rejected: counts them, logs them, and appends them to a dead-letter
//! file.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use base64::Engine as _;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::json;
use wattle_batch::Ack;

use crate::append::{ends_with, needs_operator, open_or_create};
use crate::batcher::RequestBatch;
use crate::http::Destination;
use crate::retry::{Backoff, Outage, Recovery};
use crate::sink::SinkStats;

/// Why events were rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rejection {
    /// Status code of the response; `None` if there was no response.
    pub(crate) status: Option<u16>,
    /// The reason that the destination gave.
    pub(crate) reason: String,
}

/// Returns the part of an encoded event that a dead-letter file has.
pub(crate) type Part = fn(&[u8]) -> Vec<u8>;

/// What happens to the rejected events of a sink.
#[derive(Debug)]
pub(crate) struct DeadLetters {
    sink: Arc<str>,
    /// Address of the destination, without secrets. For the log.
    address: String,
    stats: Arc<SinkStats>,
    /// The dead-letter file, if the options name one.
    path: Option<PathBuf>,
    /// Waits between attempts to write to the file.
    backoff: Backoff,
    /// Held while writing, so that lines of concurrent requests do not mix.
    writing: tokio::sync::Mutex<()>,
    rejections: Mutex<Outage>,
    write_failures: Mutex<Outage>,
    /// The part of an encoded event that the file has, if not all of it.
    part: Option<Part>,
    /// Set if the file has events in another form than requests.
    destination: Option<Arc<dyn Destination>>,
}

impl DeadLetters {
    pub(crate) fn new(
        sink: Arc<str>,
        address: String,
        stats: Arc<SinkStats>,
        path: Option<PathBuf>,
        backoff: Backoff,
    ) -> Self {
        Self {
            sink,
            address,
            stats,
            path,
            backoff,
            writing: tokio::sync::Mutex::new(()),
            rejections: Mutex::default(),
            write_failures: Mutex::default(),
            part: None,
            destination: None,
        }
    }

    /// For events that are encoded for requests to this destination.
    pub(crate) fn of_destination(self, destination: Arc<dyn Destination>) -> Self {
        Self { destination: Some(destination), ..self }
    }

    /// For events that are encoded with more than the file has; `part` returns what it has.
    pub(crate) fn of_messages(self, part: Part) -> Self {
        Self { part: Some(part), ..self }
    }

    /// Counts events as not delivered. With a dead-letter file, writes them there and acknowledges
    /// them as delivered; retries until that succeeds. Without one, ends their acknowledgements
    /// with `end`.
    pub(crate) async fn reject(&self, batch: RequestBatch, rejection: &Rejection, end: fn(Ack, usize)) {
        let events = batch.len();
        let Rejection { status, reason } = rejection;
        if let Some(count) = self.rejections.lock().failed() {
            let (sink, address, kept) = (&self.sink, &self.address, self.path.is_some());
            tracing::error!(%sink, address, status, reason = ?reason, events, count, kept, "server rejected events");
        }
        self.end(batch, &[(events, rejection.clone())], end).await;
    }

    /// Like [`reject`](Self::reject), for events that the sink itself refuses, such as records without a required column.
    /// Each reason is that of the next so many events.
    pub(crate) async fn refuse(&self, batch: RequestBatch, reasons: Vec<(usize, String)>) {
        let events = batch.len();
        if let Some((_, reason)) = reasons.first()
            && let Some(count) = self.rejections.lock().failed()
        {
            let (sink, address, kept) = (&self.sink, &self.address, self.path.is_some());
            tracing::error!(%sink, address, reason, events, count, kept, "events cannot be written");
        }
        let rejection = |(events, reason)| (events, Rejection { status: None, reason });
        let rejections: Vec<_> = reasons.into_iter().map(rejection).collect();
        self.end(batch, &rejections, Ack::reject).await;
    }

    /// Writes events to the dead-letter file, if there is one, counts them and ends their acknowledgements.
    async fn end(&self, batch: RequestBatch, rejections: &[(usize, Rejection)], end: fn(Ack, usize)) {
        let events = batch.len();
        if let Some(path) = &self.path {
            let mut backoff = self.backoff.clone();
            while let Err(error) = self.append(path, &batch, rejections).await {
                self.stats.retried();
                match needs_operator(&error) {
                    true => self.stats.set_broken(|| format!("dead-letter file `{}`: {error}", path.display())),
                    false => self.stats.clear_broken(),
                }
                if let Some(attempts) = self.write_failures.lock().failed() {
                    tracing::warn!(
                        sink = %self.sink, path = %path.display(), %error, attempts,
                        "cannot write to the dead-letter file; retrying"
                    );
                }
                tokio::time::sleep(backoff.next()).await;
            }
            if let Some(Recovery { lasted, attempts }) = self.write_failures.lock().over() {
                let path = path.display();
                tracing::info!(sink = %self.sink, %path, ?lasted, attempts, "dead-letter file is writable again");
            }
            self.stats.clear_broken();
        }
        self.stats.rejected_events.fetch_add(events as u64, Ordering::Relaxed);
        let kept = if self.path.is_some() { &self.stats.dead_letter_events } else { &self.stats.lost_events };
        kept.fetch_add(events as u64, Ordering::Relaxed);
        for (ack, events) in batch.into_acks() {
            if self.path.is_some() { ack.deliver() } else { end(ack, events) }
        }
    }

    /// Appends events to the file and syncs it. If it fails, the next call appends all of them
    /// again.
    async fn append(&self, path: &Path, batch: &RequestBatch, rejections: &[(usize, Rejection)]) -> io::Result<()> {
        let lines = lines(self, batch, rejections);
        let path = path.to_owned();
        let _writing = self.writing.lock().await;
        tokio::task::spawn_blocking(move || append(&path, &lines)).await?
    }
}

/// Formats each event as one line of JSON. Each rejection is that of the next so many events.
fn lines(letters: &DeadLetters, batch: &RequestBatch, rejections: &[(usize, Rejection)]) -> Vec<u8> {
    let DeadLetters { sink, destination, part, .. } = letters;
    let time = Timestamp::now().to_string();
    let mut out = Vec::new();
    let each = rejections.iter().flat_map(|(events, rejection)| std::iter::repeat_n(rejection, *events));
    for (event, Rejection { status, reason }) in batch.events().zip(each) {
        let event = match (destination, part) {
            (Some(destination), _) => destination.letter(event),
            (None, Some(part)) => part(event).into(),
            (None, None) => event.strip_suffix(b"\n").unwrap_or(event).into(),
        };
        let (key, text) = match std::str::from_utf8(&event) {
            Ok(text) => ("event", text.to_owned()),
            Err(_) => ("event_base64", base64::engine::general_purpose::STANDARD.encode(&event)),
        };
        let line = json!({"time": time, "sink": &**sink, "status": status, "reason": reason, key: text});
        out.extend_from_slice(line.to_string().as_bytes());
        out.push(b'\n');
    }
    out
}

fn append(path: &Path, lines: &[u8]) -> io::Result<()> {
    let (mut file, folders) = open_or_create(path)?;
    let metadata = file.metadata()?;
    let regular = metadata.is_file();
    if regular && metadata.len() > 0 && ends_with(path, metadata.len(), b"\n") == Some(false) {
        file.write_all(b"\n")?;
    }
    file.write_all(lines)?;
    if regular {
        file.sync_data()?;
    }
    folders.iter().try_for_each(|folder| std::fs::File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incomplete_line_is_completed_before_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/dead.jsonl");
        append(&path, b"one\n").unwrap();
        append(&path, b"to").unwrap();
        append(&path, b"two\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\nto\ntwo\n");
    }
}
