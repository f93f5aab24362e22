//! An object as a file: reads it from any position, over requests for ranges of it.
//!
//! The decoders need a blocking reader, so objects are read on threads, which wait for the network on the runtime. A
//! broken connection continues at its position, under the condition that the object is still the same.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::watch;
use wattle_aws::{Error, ErrorKind, GetObject, ObjectHead, ObjectStream, Retry, S3};

use super::backoff::Backoff;
use crate::stats::{SourceStats, add};

/// Bytes at the start of an object that are kept, so that the readers can look at them again: for the compression, and
/// for the encoding of what is compressed, which takes a whole block of zstd.
const MAX_KEPT_BYTES: u64 = 256 << 10;

/// Attempts without any byte before reading an object fails.
const MAX_ATTEMPTS: u32 = 4;

/// First and longest pause between two attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// Why an object cannot be read to its end; inside of an [`io::Error`].
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum ObjectError {
    /// The service rejects the request, or there were too many failures in a row.
    #[error("{0}")]
    Service(Error),
    /// Another object has its key now.
    #[error("the object was overwritten while it was read")]
    Overwritten,
    /// The connection was closed early, again and again, without an error.
    #[error("the server ends the object after {at} of {size} bytes")]
    Short { at: u64, size: u64 },
    /// The response has no length.
    #[error("the server does not report the size of the object; check that `endpoint` is a server of S3")]
    NoSize,
    /// The source stops.
    #[error("the source stops")]
    Stopped,
}

impl ObjectError {
    /// The error of a reader. Its kind says whether the object was removed, so that it cannot be read later.
    fn into_io(self) -> io::Error {
        let kind = match &self {
            Self::Overwritten => io::ErrorKind::NotFound,
            Self::Service(error) if error.kind == ErrorKind::NotFound => io::ErrorKind::NotFound,
            Self::Service(_) | Self::Short { .. } | Self::NoSize | Self::Stopped => io::ErrorKind::Other,
        };
        io::Error::new(kind, self)
    }
}

/// Stops the threads that read objects.
#[derive(Clone, Debug)]
pub(super) struct Halt(watch::Receiver<bool>);

impl Halt {
    pub(super) fn new() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    /// Waits until the source stops.
    pub(super) async fn wait(&self) {
        let _ = self.0.clone().wait_for(|stop| *stop).await;
    }
}

/// An object that is being read.
pub(super) struct Object {
    client: Arc<S3>,
    runtime: Handle,
    halt: Halt,
    request: GetObject,
    stream: Option<ObjectStream>,
    /// Bytes that the stream gave and that are not read yet; they end at its position.
    pending: Bytes,
    /// The first bytes.
    head: Vec<u8>,
    /// Position of the next read.
    at: u64,
    size: u64,
    facts: ObjectHead,
    stats: Arc<SourceStats>,
}

impl Object {
    /// Opens an object. Blocks, so it must run on a thread outside of the runtime.
    ///
    /// # Errors
    ///
    /// The object does not exist or cannot be read.
    pub(super) fn open(
        client: Arc<S3>,
        runtime: Handle,
        halt: Halt,
        request: GetObject,
        stats: Arc<SourceStats>,
    ) -> Result<Self, ObjectError> {
        let mut object = Self {
            client,
            runtime,
            halt,
            request,
            stream: None,
            pending: Bytes::new(),
            head: Vec::new(),
            at: 0,
            size: u64::MAX,
            facts: ObjectHead::default(),
            stats,
        };
        object.connect()?;
        Ok(object)
    }

    /// Size in bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Its metadata.
    pub(super) fn facts(&self) -> &ObjectHead {
        &self.facts
    }

    /// The entity tag that all parts of this read have.
    pub(super) fn etag(&self) -> Option<&str> {
        self.request.if_match.as_deref()
    }

    /// The first bytes, without moving the position.
    ///
    /// # Errors
    ///
    /// They cannot be read.
    pub(super) fn first_bytes(&mut self, bytes: usize) -> io::Result<Vec<u8>> {
        let mut first = Vec::new();
        self.rewind()?;
        self.by_ref().take(bytes as u64).read_to_end(&mut first)?;
        self.rewind()?;
        Ok(first)
    }

    /// Begins to read at the position.
    fn connect(&mut self) -> Result<(), ObjectError> {
        self.request.start = self.at;
        let mut backoff = Backoff::new(FIRST_PAUSE, LAST_PAUSE);
        loop {
            let error = match self.wait(async |object| object.client.get(&object.request).await)? {
                Ok(stream) => {
                    // From now on, all parts must be of the same object.
                    if self.request.if_match.is_none() {
                        self.request.if_match.clone_from(&stream.head.etag);
                    }
                    self.size = stream.head.size.ok_or(ObjectError::NoSize)?;
                    self.facts = stream.head.clone();
                    self.stream = Some(stream);
                    self.pending = Bytes::new();
                    return Ok(());
                }
                Err(error) => error,
            };
            self.pause(&mut backoff, error)?;
        }
    }

    /// Waits before the next attempt.
    fn pause(&self, backoff: &mut Backoff, error: Error) -> Result<(), ObjectError> {
        if error.kind == ErrorKind::PreconditionFailed {
            return Err(ObjectError::Overwritten);
        }
        let pause = match error.retry() {
            Retry::Backoff => backoff.next(),
            // More than that is the concern of the message, which has a longer pause.
            Retry::After(pause) if pause <= LAST_PAUSE => pause.max(backoff.next()),
            Retry::After(_) | Retry::Operator | Retry::Never => return Err(ObjectError::Service(error)),
        };
        if backoff.attempts() >= MAX_ATTEMPTS {
            return Err(ObjectError::Service(error));
        }
        add(&self.stats.queue.retried_requests, 1);
        tracing::debug!(error = %error, ?pause, "reading an object is interrupted; trying again");
        self.wait(async |_| tokio::time::sleep(pause).await)
    }

    /// Waits for the network on the runtime, unless the source stops.
    fn wait<T>(&self, work: impl AsyncFnOnce(&Self) -> T) -> Result<T, ObjectError> {
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.halt.wait() => Err(ObjectError::Stopped),
                result = work(self) => Ok(result),
            }
        })
    }

    /// The next bytes at the position; `None` at the end.
    fn next(&mut self) -> Result<Option<Bytes>, ObjectError> {
        let mut backoff = Backoff::new(FIRST_PAUSE, LAST_PAUSE);
        loop {
            if self.at >= self.size {
                return Ok(None);
            }
            // The position of the next byte in `pending` or, if it is empty, of the stream.
            let stream_at = self.stream.as_ref().map(|stream| stream.position() - self.pending.len() as u64);
            if stream_at != Some(self.at) {
                self.connect()?;
            }
            if !self.pending.is_empty() {
                return Ok(Some(std::mem::take(&mut self.pending)));
            }
            let Some(mut stream) = self.stream.take() else { continue };
            let chunk = self.wait(async |_| {
                let chunk = stream.chunk().await;
                (chunk, stream)
            });
            let (chunk, stream) = chunk?;
            match chunk {
                Some(Ok(bytes)) if bytes.is_empty() => self.stream = Some(stream),
                Some(Ok(bytes)) => {
                    add(&self.stats.read_bytes, bytes.len() as u64);
                    self.stream = Some(stream);
                    return Ok(Some(bytes));
                }
                // The connection ended before the object did; `connect` continues at the position.
                None if backoff.attempts() >= MAX_ATTEMPTS => {
                    return Err(ObjectError::Short { at: self.at, size: self.size });
                }
                None => {
                    let pause = backoff.next();
                    add(&self.stats.queue.retried_requests, 1);
                    self.wait(async |_| tokio::time::sleep(pause).await)?;
                }
                Some(Err(error)) => self.pause(&mut backoff, error)?,
            }
        }
    }
}

impl Read for Object {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        let kept = usize::try_from(self.at).ok().and_then(|at| self.head.get(at..)).unwrap_or_default();
        if !kept.is_empty() {
            let n = kept.len().min(out.len());
            if let Some((out, kept)) = out.get_mut(..n).zip(kept.get(..n)) {
                out.copy_from_slice(kept);
            }
            self.at += n as u64;
            return Ok(n);
        }
        let Some(mut bytes) = self.next().map_err(ObjectError::into_io)? else { return Ok(0) };
        let taken = bytes.split_to(bytes.len().min(out.len()));
        self.pending = bytes;
        if self.at == self.head.len() as u64 && self.at + (taken.len() as u64) <= MAX_KEPT_BYTES {
            self.head.extend_from_slice(&taken);
        } else if !self.head.is_empty() && self.at >= self.head.len() as u64 {
            // Readers look at the start of an object only before they have read this far.
            self.head = Vec::new();
        }
        if let Some(out) = out.get_mut(..taken.len()) {
            out.copy_from_slice(&taken);
        }
        self.at += taken.len() as u64;
        Ok(taken.len())
    }
}

impl Seek for Object {
    /// Moves the position; the next read opens a new range if the bytes there are not at hand.
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a position outside of the object"))?;
        Ok(self.at)
    }
}

/// The reason inside of an error of [`Object`]'s reader.
pub(super) fn reason(error: &io::Error) -> Option<&ObjectError> {
    error.get_ref()?.downcast_ref()
}
