//! Reads an input that can be read again, such as a file: its events from a position, or the whole
//! input as a document.
//!
//! The position of the input before a call does not matter: each call seeks first. All positions of
//! events are in decompressed bytes.

use std::io::{self, Cursor, Read, Seek, SeekFrom};

use super::{ReadError, Turns};
use crate::assemble::{BatchLimits, Chunk, Unwanted};
use crate::decompress::{Caps, Compression, Decoder, ReadFailure, Tap, decompress, gunzip_whole, read_whole, skip};
use crate::frame::{EventTooLong, Framer, Rules, Skipped};
use crate::transcode::{Encoding, MARK_BYTES, Transcoder, transcode};

/// Maximum size of gzip inputs of events that are decompressed in one step, and of their contents. The buffer then has
/// exactly the size of the contents. A buffer that grows to 16 MiB takes 24 MiB while it does.
const MAX_SMALL_GZIP: u64 = 4 << 20;
const MAX_SMALL_BYTES: u64 = 16 << 20;

/// Compressed documents up to this size are read, and if possible decompressed, in one step.
const MAX_COMPRESSED_WHOLE: u64 = 64 << 20;

/// Whether to continue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    Continue,
    /// Stop after the events that are already framed.
    Pause,
}

/// How to read an input.
#[derive(Clone)]
pub(crate) struct Reading {
    pub(crate) compression: Compression,
    pub(crate) caps: Caps,
    /// Base 2 logarithm of the largest zstd window.
    pub(crate) max_window_log: u32,
    pub(crate) rules: Rules,
    pub(crate) limits: BatchLimits,
    /// Gets all decompressed bytes of a compressed input, also those before the part that is read.
    pub(crate) tap: Option<Tap>,
    /// Whether the batches depend only on the input and the limits: not on how many bytes a read returns, nor on the batch
    /// at whose end reading begins.
    pub(crate) is_exact: bool,
    /// Limits how many small gzip inputs are decompressed, and wait to be sent, at the same time.
    pub(crate) turns: Option<Turns>,
}

/// The part of an input to read, in decompressed bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub(crate) from: u64,
    /// Size of the input in bytes: the end of the part, unless the input is compressed.
    pub(crate) until: u64,
    /// Events up to here were sent when this part was read before.
    pub(crate) sent_to: u64,
    pub(crate) end: End,
}

/// Treatment of the last event, which may continue when the input grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The event waits for more data.
    Open,
    /// The event ends if it is complete: several joined lines, a JSON document.
    Quiet,
    /// The input does not grow any more: the event ends as it is.
    Last,
    /// As `Last`; also the part of an event before damage ends as an event.
    LastDamaged,
}

/// Result of reading events.
#[derive(Debug)]
pub(crate) struct EventsRead {
    /// Just after the last event, decompressed, and before an event that is held.
    pub(crate) position: u64,
    /// Position up to which events were sent.
    pub(crate) sent_to: u64,
    /// Whether an event waits that [`End::Quiet`] would end.
    pub(crate) is_waiting: bool,
    /// Bytes read from the input, before decompression.
    pub(crate) taken: u64,
    pub(crate) skipped: Skipped,
    pub(crate) failure: Option<ReadError>,
    /// Reading paused as the receiver requested.
    pub(crate) is_paused: bool,
}

impl EventsRead {
    /// Nothing of a part is read yet.
    fn new(part: Part) -> Self {
        Self {
            position: part.from,
            sent_to: part.sent_to,
            is_waiting: false,
            taken: 0,
            skipped: Skipped::default(),
            failure: None,
            is_paused: false,
        }
    }
}

impl Reading {
    /// Reads the events of a part of the input, and passes them to `emit` in batches.
    ///
    /// # Errors
    ///
    /// `emit` reported that the receiver of events is closed. An error of the input is in the
    /// result, with the position up to which events were read.
    pub(crate) fn events(
        &self,
        input: &mut (impl Read + Seek),
        part: Part,
        emit: &mut dyn FnMut(Chunk) -> Result<Flow, Unwanted>,
    ) -> Result<EventsRead, Unwanted> {
        let Some(compressed) = self.small_gzip(input, part.until) else { return self.decode(input, part, emit) };
        let turn = self.turns.as_ref().map(Turns::wait);
        if let Some(bytes) = self.gunzip_utf8(&compressed) {
            let taken = compressed.len() as u64;
            // Sending can wait for a long time.
            drop(compressed);
            self.copy(&bytes);
            let mut framer = self.framer(Encoding::Utf8, part.from, bytes.len(), part);
            framer.fill(bytes);
            return self.end(framer, part, EventsRead { taken, ..EventsRead::new(part) }, emit);
        }
        drop(turn);
        self.decode(&mut Cursor::new(compressed), part, emit)
    }

    /// Reads the events in pieces.
    fn decode(
        &self,
        input: &mut (impl Read + Seek),
        part: Part,
        emit: &mut dyn FnMut(Chunk) -> Result<Flow, Unwanted>,
    ) -> Result<EventsRead, Unwanted> {
        let is_plain = self.compression == Compression::None;
        let Part { until, .. } = part;
        // The byte order mark is not part of the first event.
        let (encoding, mark) = self.encoding(input);
        let from = part.from.max(mark);
        let at = if is_plain { from } else { 0 };
        let mut read = EventsRead::new(part);
        let sought = input.seek(SeekFrom::Start(at));
        let input = input.take(if is_plain { until.saturating_sub(from) } else { u64::MAX });
        let decoder = sought
            .and_then(|_| Decoder::new(self.compression, input, self.caps))
            .and_then(|d| d.with_window(self.max_window_log));
        let mut decoder = match decoder {
            Ok(decoder) => decoder.with_tap(self.tap.clone()),
            Err(error) => return Ok(EventsRead { failure: Some(ReadFailure::Io(error).into()), ..read }),
        };
        if !is_plain && let Err(error) = skip(&mut decoder, from) {
            return Ok(EventsRead { failure: Some(decoder.explain(error).into()), ..read });
        }
        // A small input needs no large buffer. One more byte shows the end without growing the buffer.
        let most = if is_plain { until.saturating_sub(from).saturating_add(1) } else { u64::MAX };
        let batch_bytes = usize::try_from(most).unwrap_or(usize::MAX).min(self.limits.max_bytes);
        let mut framer = self.framer(encoding, from, batch_bytes, part);
        let mut input = Transcoder::new(decoder, encoding);
        let mut flow = Flow::Continue;
        read.failure = self.pump(&mut input, &mut framer, &mut flow, emit)?;
        read.is_paused = flow == Flow::Pause;
        read.taken = input.input.taken();
        self.end(framer, part, read, emit)
    }

    /// Emits the events that the framer still holds.
    fn end(
        &self,
        mut framer: Framer,
        part: Part,
        mut read: EventsRead,
        emit: &mut dyn FnMut(Chunk) -> Result<Flow, Unwanted>,
    ) -> Result<EventsRead, Unwanted> {
        let ends = match &read.failure {
            // The other data after the compressed data does not belong to the last event.
            None | Some(ReadError::Read(ReadFailure::Followed(_))) => matches!(part.end, End::Last | End::LastDamaged),
            // The rest of the last event will never follow.
            Some(ReadError::Read(ReadFailure::Damaged { .. })) => part.end == End::LastDamaged,
            Some(_) => false,
        };
        if part.end == End::Quiet && read.failure.is_none() && !read.is_paused {
            framer.flush();
        }
        let rest = match &read.failure {
            // The rest of the last batch can be read later, unless the input was removed.
            Some(ReadError::Read(ReadFailure::Io(error)))
                if self.is_exact && error.kind() != io::ErrorKind::NotFound =>
            {
                framer.take_full(&self.limits)
            }
            _ if ends && !read.is_paused => framer.finish(&self.limits),
            _ => framer.take(&self.limits),
        };
        for chunk in rest {
            // These are the last events, so a request to pause has no effect.
            let _ = emit(chunk)?;
        }
        read.position = framer.position();
        if self.compression == Compression::None {
            // An input that ends within a character has no bytes after its end.
            read.position = read.position.min(part.until.max(part.from));
        }
        read.sent_to = framer.sent_position().max(part.sent_to);
        read.is_waiting = framer.is_waiting();
        read.skipped = framer.take_skipped();
        Ok(read)
    }

    fn framer(&self, encoding: Encoding, from: u64, batch_bytes: usize, part: Part) -> Framer {
        Framer::new(Rules { encoding, ..self.rules.clone() }, from, batch_bytes).sent_to(part.sent_to)
    }

    /// Reads a small gzip input to its end, so that it is read once, also if it must be decompressed in pieces.
    ///
    /// Returns `None` if the input is not small or cannot be read; the error occurs again when the events are read.
    fn small_gzip(&self, input: &mut (impl Read + Seek), size: u64) -> Option<Vec<u8>> {
        if self.compression != Compression::Gzip || size > MAX_SMALL_GZIP {
            return None;
        }
        input.rewind().ok()?;
        let mut compressed = Vec::new();
        // Room for one more byte shows the end without growing the buffer.
        compressed.reserve_exact(usize::try_from(size).ok()?.saturating_add(1));
        input.take(MAX_SMALL_GZIP + 1).read_to_end(&mut compressed).ok()?;
        (compressed.len() as u64 <= MAX_SMALL_GZIP).then_some(compressed)
    }

    /// Decompresses UTF-8 in one step, which is twice as fast. Other encodings are converted in pieces.
    fn gunzip_utf8(&self, compressed: &[u8]) -> Option<Vec<u8>> {
        let caps = Caps { max_bytes: self.caps.max_bytes.min(MAX_SMALL_BYTES), ..self.caps };
        gunzip_whole(compressed, caps).filter(|bytes| self.rules.encoding.of(bytes).0 == Encoding::Utf8)
    }

    /// Returns the encoding of the input, and the length of its byte order mark.
    fn encoding(&self, input: &mut (impl Read + Seek)) -> (Encoding, u64) {
        let mut head = Vec::new();
        // The error occurs again when the events are read.
        if let Ok(decoder) = input
            .rewind()
            .and_then(|()| Decoder::new(self.compression, input, self.caps))
            .and_then(|d| d.with_window(self.max_window_log))
        {
            let _ = decoder.take(MARK_BYTES as u64).read_to_end(&mut head);
        }
        self.rules.encoding.of(&head)
    }

    fn pump(
        &self,
        input: &mut Transcoder<Decoder<impl Read>>,
        framer: &mut Framer,
        flow: &mut Flow,
        emit: &mut dyn FnMut(Chunk) -> Result<Flow, Unwanted>,
    ) -> Result<Option<ReadError>, Unwanted> {
        loop {
            match input.read(framer.space()) {
                Ok(0) => return Ok(None),
                Ok(n) => framer.advance(n),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Ok(Some(input.input.explain(error).into())),
            }
            if framer.is_full(&self.limits) {
                let chunks = if self.is_exact { framer.take_full(&self.limits) } else { framer.take(&self.limits) };
                for chunk in chunks {
                    if emit(chunk)? == Flow::Pause {
                        *flow = Flow::Pause;
                    }
                }
                if *flow == Flow::Pause {
                    return Ok(None);
                }
            }
        }
    }

    /// Reads a whole input of about this many bytes into one buffer. Returns the readable part of a
    /// damaged input, and nothing of an input that exceeds a limit.
    pub(crate) fn document(&self, input: &mut (impl Read + Seek), size: u64) -> (Vec<u8>, Option<ReadError>) {
        let max = self.rules.max_event_bytes;
        let too_long = EventTooLong { max, position: 0 };
        if self.compression == Compression::None && size > max {
            return (Vec::new(), Some(too_long.into()));
        }
        let (document, failure) = self.bytes(input, size);
        self.copy(&document);
        let document = transcode(document, self.rules.encoding);
        match failure {
            None if document.len() as u64 > max => (Vec::new(), Some(too_long.into())),
            None | Some(ReadFailure::Damaged { .. } | ReadFailure::Followed(_)) => {
                (document, failure.map(ReadError::from))
            }
            Some(failure) => (Vec::new(), Some(failure.into())),
        }
    }

    fn copy(&self, bytes: &[u8]) {
        if let Some(tap) = &self.tap {
            // A hash accepts everything.
            let _ = tap.lock().write_all(bytes);
        }
    }

    fn bytes(&self, input: &mut (impl Read + Seek), size: u64) -> (Vec<u8>, Option<ReadFailure>) {
        let max = self.rules.max_event_bytes;
        if let Err(error) = input.rewind() {
            return (Vec::new(), Some(ReadFailure::Io(error)));
        }
        if self.compression != Compression::None && size > MAX_COMPRESSED_WHOLE {
            return match Decoder::new(self.compression, input, self.caps) {
                Ok(mut decoder) => read_whole(&mut decoder, max),
                Err(error) => (Vec::new(), Some(ReadFailure::Io(error))),
            };
        }
        let most = if self.compression == Compression::None { max } else { MAX_COMPRESSED_WHOLE };
        let mut bytes = Vec::new();
        // Room for one more byte shows the end without growing the buffer.
        bytes.reserve_exact(usize::try_from(size.min(most)).unwrap_or(0).saturating_add(1));
        if let Err(error) = input.by_ref().take(most.saturating_add(1)).read_to_end(&mut bytes) {
            return (Vec::new(), Some(ReadFailure::Io(error)));
        }
        match self.compression {
            Compression::None => (bytes, None),
            compression => decompress(compression, &bytes, self.caps, max),
        }
    }
}
