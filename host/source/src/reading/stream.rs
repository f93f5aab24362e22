//! Reads an input once, from its start to its end, such as standard input or a socket.
//!
//! The input may return [`io::ErrorKind::WouldBlock`] after a timeout. The stream then ends events
//! that waited long enough for more lines, sends batches by age, and continues to read. An input
//! that blocks instead delays both until more bytes arrive.

use std::io::{self, Read};
use std::time::Instant;

use super::ReadError;
use crate::assemble::{self, BatchLimits, Chunk, Unwanted};
use crate::decompress::{Caps, Compression, Decoder, Decompression, MAGIC_BYTES, ReadFailure};
use crate::frame::{EventTooLong, Framer, Framing, Rules, Skipped};
use crate::transcode::{MARK_BYTES, Transcoder, transcode};

/// Receives the events of a stream.
pub(crate) trait Receive {
    /// Receives the events of one batch. An error ends the stream.
    fn receive(&mut self, chunk: Chunk) -> Result<(), Unwanted>;

    /// Receives counts of data that did not become events. A call follows each read, also if all
    /// counts are 0.
    fn skipped(&mut self, skipped: &Skipped);
}

/// How to read a stream.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub(crate) framing: Framing,
    pub(crate) decompression: Decompression,
    /// Limits of decompression. Sources have none: `max_event_bytes` limits the memory of an event, and the queue limits
    /// sent batches.
    pub(crate) caps: Caps,
    pub(crate) rules: Rules,
    pub(crate) limits: BatchLimits,
}

impl Stream {
    /// Reads the input to its end and passes its events to the receiver. Stops early, without an
    /// error, when the receiver is closed.
    ///
    /// # Errors
    ///
    /// The input cannot be read to its end, is damaged, or is a document longer than
    /// `max_event_bytes`. The receiver has the events before the error.
    pub(crate) fn read(&self, mut input: impl Read, receiver: &mut impl Receive) -> Result<(), ReadError> {
        let (head, compression) = match self.decompression {
            Decompression::None => (Vec::new(), Compression::None),
            Decompression::Auto => {
                let head = head_of(&mut input, MAGIC_BYTES).map_err(ReadFailure::Io)?;
                let compression = Compression::detect(&head);
                (head, compression)
            }
        };
        let input = io::Cursor::new(head).chain(input);
        let decoder = Decoder::new(compression, input, self.caps).map_err(ReadFailure::Io)?;
        match self.framing {
            Framing::Lines | Framing::Csv | Framing::Auto => self.events(decoder, receiver),
            Framing::Document => self.document(decoder, receiver),
        }
    }

    fn events(&self, mut decoder: Decoder<impl Read>, receiver: &mut impl Receive) -> Result<(), ReadError> {
        let head = head_of(&mut decoder, MARK_BYTES).map_err(|error| decoder.explain(error))?;
        let (encoding, mark) = self.rules.encoding.of(&head);
        let rules = Rules { encoding, ..self.rules.clone() };
        let mut framer = Framer::new(rules, mark, self.limits.max_bytes);
        let behind = head.get(usize::try_from(mark).unwrap_or(0)..).unwrap_or_default().to_vec();
        let mut input = Transcoder::new(io::Cursor::new(behind).chain(decoder), encoding);
        let patience = self.rules.patience();
        let mut oldest = None;
        let mut last_read = Instant::now();
        let result = loop {
            match input.read(framer.space()) {
                Ok(0) => break Ok(()),
                Ok(n) => {
                    framer.advance(n);
                    last_read = Instant::now();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // No data arrived for a while, so an event that may continue ends here.
                    if framer.is_waiting() && last_read.elapsed() >= patience {
                        framer.flush();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => break Err(input.input.get_ref().1.explain(error).into()),
            }
            receiver.skipped(&framer.take_skipped());
            let is_old = |since: &mut Instant| since.elapsed() >= self.limits.max_age;
            if !framer.has_events() {
                oldest = None;
            } else if framer.is_full(&self.limits) || is_old(oldest.get_or_insert_with(Instant::now)) {
                oldest = None;
                // The receiver is closed, so nothing more can be sent.
                if send(receiver, framer.take(&self.limits)).is_err() {
                    return Ok(());
                }
            }
        };
        // Also after an error, because the unfinished event cannot be read again.
        let rest = framer.finish(&self.limits);
        receiver.skipped(&framer.take_skipped());
        // If the receiver is closed, these events cannot be sent either.
        let _ = send(receiver, rest);
        result
    }

    fn document(&self, mut input: Decoder<impl Read>, receiver: &mut impl Receive) -> Result<(), ReadError> {
        let max = self.rules.max_event_bytes;
        let mut document = Vec::new();
        let result = loop {
            // One byte beyond the limit shows that the document is too long.
            match input.by_ref().take(max + 1 - document.len() as u64).read_to_end(&mut document) {
                Ok(_) => break Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => break Err(input.explain(error).into()),
            }
        };
        let too_long = EventTooLong { max, position: 0 };
        if document.len() as u64 > max {
            return Err(too_long.into());
        }
        if document.is_empty() {
            receiver.skipped(&Skipped { empty: 1, ..Skipped::default() });
        } else {
            let document = transcode(document, self.rules.encoding);
            // The readable part of a damaged document is an event too; nodes that parse it will
            // fail it.
            let _ = send(receiver, [assemble::document(document).map_err(|_| too_long)?]);
        }
        result
    }
}

fn send(receiver: &mut impl Receive, chunks: impl IntoIterator<Item = Chunk>) -> Result<(), Unwanted> {
    chunks.into_iter().try_for_each(|chunk| receiver.receive(chunk))
}

/// Reads the first bytes of an input, fewer only at its end.
fn head_of(input: &mut impl Read, bytes: usize) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    loop {
        match input.by_ref().take((bytes - head.len()) as u64).read_to_end(&mut head) {
            Ok(_) => return Ok(head),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}
