//! Reads one object and sends its events.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::runtime::Handle;
use wattle_aws::{Error, ErrorKind, GetObject, S3};
use wattle_batch::{Batch, Origin};
use wattle_trail::{Hash, Hasher};

use super::delivery::Delivery;
use super::integrity::{Integrity, MAX_DIGEST_BYTES, is_digest};
use super::level::Level;
use super::object::{Halt, Object, ObjectError, reason};
use super::options::Format;
use super::resume::{Progress, Resume};
use crate::assemble::{self, Chunk, Unwanted};
use crate::decompress::{Compression, Decoder, Decompression, MAGIC_BYTES, ReadFailure, Tap, read_whole};
use crate::frame::Framing;
use crate::in_flight::InFlight;
use crate::reading::{End, Flow, Part, ReadError, Reading, Turns};
use crate::source::{Batches, SourceContext};
use crate::stats::add;
use crate::waits::Wait;

/// An object to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) version: Option<String>,
    pub(super) region: Option<String>,
}

/// Where to begin in an object that was read before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Start {
    /// Everything before this decompressed byte is delivered.
    pub(super) position: u64,
    /// The entity tag that the object had.
    pub(super) etag: Option<String>,
    /// Whether some of the events may have been sent before.
    pub(super) is_again: bool,
}

/// How reading an object ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// All of its events were sent.
    Whole,
    /// It can never be read to its end. All events before the damage were sent.
    Broken(String),
    /// It does not exist.
    Missing(String),
    /// It cannot be read now.
    Failed(Failure),
    /// The source stops, or nothing takes its events any more.
    Stopped,
}

impl Ended {
    /// The result of the object in the log, if all events that were sent are delivered.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Whole => "delivered",
            Self::Broken(_) => "broken",
            Self::Missing(_) => "missing",
            Self::Failed(_) => "failed",
            Self::Stopped => "stopped",
        }
    }
}

/// What came of an attempt to read an object.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) ended: Ended,
    /// Its entity tag, if it could be opened.
    pub(super) etag: Option<String>,
    /// Its size in the store, if it could be opened.
    pub(super) size: Option<u64>,
}

impl Read {
    fn unopened(ended: Ended) -> Self {
        Self { ended, etag: None, size: None }
    }
}

/// Why an object cannot be read now.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) reason: String,
    /// The wait that the service asked for.
    pub(super) after: Option<std::time::Duration>,
    /// Another object has the key, so positions in the previous one mean nothing.
    pub(super) is_overwritten: bool,
}

/// What all objects of a source share.
pub(super) struct Reader {
    pub(super) context: SourceContext,
    pub(super) client: Arc<S3>,
    pub(super) format: Format,
    pub(super) in_flight: InFlight,
    pub(super) region: String,
    pub(super) halt: Halt,
    pub(super) integrity: Option<Integrity>,
    pub(super) resume: Arc<Resume>,
    pub(super) turns: Turns,
    /// Receivers and listings that have not come to their end.
    pub(super) parts: AtomicUsize,
}

impl Reader {
    /// A receiver or a listing of a source with `once` has begun its last object. Waits until no object is being read. The
    /// last part ends the input of the source, whose wait ends when the result is dropped.
    pub(super) async fn end_part(&self, level: &Level) -> Option<Wait> {
        level.all().await;
        (self.parts.fetch_sub(1, Ordering::AcqRel) == 1).then(|| self.context.end_of_input())
    }

    /// Reads an object from `start` to its end. The position in `delivery` is that of `start`, or that where an earlier
    /// run of the agent ended.
    pub(super) async fn read(
        self: Arc<Self>,
        place: &Place,
        start: Start,
        delivery: Delivery,
        level: &Arc<Level>,
    ) -> Read {
        let (place, runtime, level) = (place.clone(), Handle::current(), level.clone());
        let task = tokio::task::spawn_blocking(move || self.read_on_thread(&place, start, &delivery, &level, &runtime));
        match task.await {
            Ok(read) => read,
            Err(error) if error.is_cancelled() => Read::unopened(Ended::Stopped),
            Err(error) => {
                let failure = Failure::new(format!("reading it panicked, which is a bug: {error}"));
                Read::unopened(Ended::Failed(failure))
            }
        }
    }

    fn read_on_thread(
        &self,
        place: &Place,
        mut start: Start,
        delivery: &Delivery,
        level: &Level,
        runtime: &Handle,
    ) -> Read {
        let resumed = if start.position == 0 { self.resume.find(place) } else { None };
        let is_resumed = resumed.is_some();
        let original = resumed.map(|resumed| std::mem::replace(&mut start, resumed));
        let asked = Instant::now();
        let opened = match self.open(place, start.etag.clone(), runtime) {
            // Another object has the key since that run.
            Err(ObjectError::Overwritten) if is_resumed => {
                self.resume.forget(place);
                start = original.unwrap_or_default();
                self.open(place, None, runtime)
            }
            opened => opened,
        };
        let mut object = match opened {
            Ok(object) => object,
            Err(error) => return Read::unopened(ended_by(&error)),
        };
        level.responded(asked.elapsed());
        let (etag, size) = (object.etag().map(str::to_owned), Some(object.size()));
        if is_resumed && start.position > 0 {
            tracing::info!(
                source = %self.context.name, bucket = %place.bucket, key = %place.key, position = start.position,
                "continuing an object where the last run ended"
            );
        }
        // The first line of CSV can name the columns of all others, and a node forgets it when the agent restarts.
        let kept = etag.as_deref().filter(|_| self.format.framing != Framing::Csv);
        delivery.begin(start.position, kept.map(|etag| Progress::new(&self.resume, place, etag)));
        add(&self.context.stats.total_bytes, object.size());
        let send = |integrity| {
            let origin = self.origin(place, integrity);
            Send { reader: self, origin, delivery, runtime, is_again: start.is_again }
        };
        let ended = match &self.integrity {
            Some(integrity) if is_digest(&place.key) => {
                match self.read_digest(integrity, place, &mut object, runtime) {
                    Ok((result, content)) => self.send_document(&send(Some(result)), content),
                    Err(ended) => ended,
                }
            }
            _ => self.read_events(&mut object, place, start.position, &send(None)),
        };
        if matches!(ended, Ended::Stopped | Ended::Failed(_)) {
            delivery.cut();
        }
        Read { ended, etag, size }
    }

    /// Opens an object.
    ///
    /// # Errors
    ///
    /// It does not exist, or cannot be read.
    pub(super) fn open(&self, place: &Place, etag: Option<String>, runtime: &Handle) -> Result<Object, ObjectError> {
        let request = GetObject {
            bucket: place.bucket.clone(),
            key: place.key.clone(),
            version: place.version.clone(),
            if_match: etag,
            ..GetObject::default()
        };
        Object::open(self.client.clone(), runtime.clone(), self.halt.clone(), request, self.context.stats.clone())
    }

    /// Reads a digest and checks it. Returns the result for `resource.source.integrity`, and the digest.
    fn read_digest(
        &self,
        integrity: &Integrity,
        place: &Place,
        object: &mut Object,
        runtime: &Handle,
    ) -> Result<(Value, Vec<u8>), Ended> {
        let content = match self.whole(object) {
            (content, None) => content,
            (_, Some(failure)) => return Err(ended_by_reading(failure.into())),
        };
        let result =
            integrity.check(self, place, object.facts(), &content, runtime).map_err(|error| ended_by(&error))?;
        Ok((result, content))
    }

    /// All decompressed bytes of an object, or why they cannot be read.
    fn whole(&self, object: &mut Object) -> (Vec<u8>, Option<ReadFailure>) {
        match self.decoder(object) {
            Ok(mut decoder) => read_whole(&mut decoder, MAX_DIGEST_BYTES),
            Err(failure) => (Vec::new(), Some(failure)),
        }
    }

    fn decoder<'o>(&self, object: &'o mut Object) -> Result<Decoder<&'o mut Object>, ReadFailure> {
        let compression = Compression::detect(&object.first_bytes(MAGIC_BYTES).map_err(ReadFailure::Io)?);
        Decoder::new(compression, object, self.format.caps).map_err(ReadFailure::Io)
    }

    /// The hash of the decompressed bytes of an object, or why they cannot be read. Needs little memory.
    pub(super) fn hash(&self, object: &mut Object) -> Result<Hash, ReadFailure> {
        let mut hasher = Hasher::default();
        let mut decoder = self.decoder(object)?;
        match std::io::copy(&mut decoder, &mut hasher) {
            Ok(_) => Ok(hasher.finish()),
            Err(error) => Err(decoder.explain(error)),
        }
    }

    fn send_document(&self, send: &Send<'_>, document: Vec<u8>) -> Ended {
        let Ok(chunk) = assemble::document(document) else {
            return Ended::Broken("is too long for one event".to_owned());
        };
        if send.chunk(0, chunk).is_err() { Ended::Stopped } else { Ended::Whole }
    }

    /// Reads an object that is no digest, and remembers its hash if digests are checked.
    fn read_events(&self, object: &mut Object, place: &Place, from: u64, send: &Send<'_>) -> Ended {
        let compression = match self.format.decompression {
            Decompression::None => Compression::None,
            Decompression::Auto => match object.first_bytes(MAGIC_BYTES) {
                Ok(head) => Compression::detect(&head),
                Err(error) => return ended_by_io(&error),
            },
        };
        // Of an object that is not compressed, only the part after `from` is read. Its hash is made when it is needed.
        let integrity = self.integrity.as_ref().filter(|_| compression != Compression::None);
        let hasher = integrity.map(|_| Arc::new(Mutex::new(Hasher::default())));
        let ended = self.send_events(compression, hasher.clone(), object, place, from, send);
        if let (Some(integrity), Some(hasher), Ended::Whole) = (integrity, hasher, &ended) {
            integrity.saw(place, object.facts(), hasher.lock().clone().finish());
        }
        ended
    }

    fn send_events(
        &self,
        compression: Compression,
        hasher: Option<Arc<Mutex<Hasher>>>,
        object: &mut Object,
        place: &Place,
        from: u64,
        send: &Send<'_>,
    ) -> Ended {
        let reading = Reading {
            compression,
            caps: self.format.caps,
            max_window_log: self.format.max_window_log,
            rules: self.format.rules.clone(),
            limits: self.context.limits,
            tap: hasher.map(|hasher| hasher as Tap),
            is_exact: true,
            turns: Some(self.turns.clone()),
        };
        let size = object.size();
        if self.format.framing == Framing::Document {
            let (document, failure) = reading.document(object, size);
            if !document.is_empty() {
                match self.send_document(send, document) {
                    Ended::Whole => {}
                    ended => return ended,
                }
            } else if failure.is_none() {
                add(&self.context.stats.skipped_empty, 1);
            }
            return failure.map_or(Ended::Whole, ended_by_reading);
        }
        let part = Part { from, until: size, sent_to: 0, end: End::Last };
        let mut at = from;
        let read = reading.events(object, part, &mut |chunk| {
            let start = std::mem::replace(&mut at, chunk.end);
            send.chunk(start, chunk).map(|()| Flow::Continue)
        });
        let Ok(read) = read else { return Ended::Stopped };
        let path = &format!("s3://{}/{}", place.bucket, place.key);
        self.context.stats.skip(&self.context.name, path, &read.skipped);
        match read.failure {
            Some(failure) => ended_by_reading(failure),
            None if read.skipped.too_long > 0 => Ended::Broken(format!(
                "has {} events longer than `max_line_bytes` or `max_event_bytes`; raise the option to read them",
                read.skipped.too_long
            )),
            None => Ended::Whole,
        }
    }

    fn origin(&self, place: &Place, integrity: Option<Value>) -> Arc<Origin> {
        let region = place.region.as_deref().unwrap_or(&self.region);
        let facts = [("bucket", place.bucket.as_str()), ("key", place.key.as_str()), ("region", region)];
        let facts = facts.map(|(name, value)| (name.to_owned(), value.into()));
        let integrity = integrity.map(|result| ("integrity".to_owned(), result));
        self.context.origin_of("aws_s3", facts.into_iter().chain(integrity).collect())
    }
}

/// Sends the events of one object.
struct Send<'r> {
    reader: &'r Reader,
    origin: Arc<Origin>,
    delivery: &'r Delivery,
    runtime: &'r Handle,
    is_again: bool,
}

impl Send<'_> {
    /// Sends the events of a part. Waits for room in the queue and within `max_in_flight_bytes`.
    fn chunk(&self, start: u64, chunk: Chunk) -> Result<(), Unwanted> {
        let context = &self.reader.context;
        let (events, bytes) = (chunk.column.rows() as u64, chunk.column.byte_len() as u64);
        let push = async {
            let mut share = self.reader.in_flight.share();
            if share.cover(bytes).is_err() {
                let _wait = context.waits.begin();
                share.wait_for(bytes).await;
            }
            let ack = self.delivery.ack((start, chunk.end), events, share);
            let mut batch = Batch::new(chunk.column, self.origin.clone(), ack).at(start);
            if self.is_again {
                batch = batch.redelivered();
            }
            context.output.push(Batches(batch)).await.map_err(|_| Unwanted)
        };
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.reader.halt.wait() => Err(Unwanted),
                pushed = push => pushed,
            }
        })?;
        add(&context.stats.events, events);
        add(&context.stats.bytes, bytes);
        Ok(())
    }
}

impl Failure {
    fn new(reason: String) -> Self {
        Self { reason, after: None, is_overwritten: false }
    }
}

fn ended_by(error: &ObjectError) -> Ended {
    match error {
        ObjectError::Stopped => Ended::Stopped,
        ObjectError::Service(error) if is_missing(error) => Ended::Missing(error.to_string()),
        ObjectError::Service(error) if error.code.as_deref() == Some("InvalidObjectState") => {
            Ended::Broken(format!("is archived and must be restored before it can be read: {error}"))
        }
        ObjectError::Service(error) => {
            Ended::Failed(Failure { reason: error.to_string(), after: error.retry_after, is_overwritten: false })
        }
        ObjectError::Overwritten => Ended::Failed(Failure { is_overwritten: true, ..Failure::new(error.to_string()) }),
        ObjectError::Short { .. } | ObjectError::NoSize => Ended::Failed(Failure::new(error.to_string())),
    }
}

/// Whether the object is gone. A bucket that does not exist is more likely a wrong option or region.
pub(super) fn is_missing(error: &Error) -> bool {
    error.kind == ErrorKind::NotFound && matches!(error.code.as_deref(), Some("NoSuchKey" | "NoSuchVersion"))
}

fn ended_by_io(error: &std::io::Error) -> Ended {
    reason(error).map_or_else(|| Ended::Failed(Failure::new(error.to_string())), ended_by)
}

fn ended_by_reading(failure: ReadError) -> Ended {
    match failure {
        ReadError::Read(ReadFailure::Io(error)) => ended_by_io(&error),
        failure => Ended::Broken(failure.to_string()),
    }
}
