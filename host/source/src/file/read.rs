//! Reads one file, once: its lines from a position on, or all of it as a document.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use crate::assemble::Chunk;
use crate::decompress::{Caps, Compression, Decoder, ReadFailure, decompress, read_whole, skip};
use crate::frame::{EventTooLong, Lines};
use crate::source::BatchLimits;

/// Compressed documents up to this size are read in one go, and decompressed in one if possible.
const MAX_COMPRESSED_WHOLE: u64 = 64 << 20;

/// Nobody takes what is read any more.
#[derive(Debug)]
pub(crate) struct Unwanted;

/// Whether to read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    Continue,
    /// Stop after the events that are framed already.
    Pause,
}

/// Why a file was not read to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileFailure {
    #[error(transparent)]
    Read(#[from] ReadFailure),
    #[error("cannot be read further: {0}")]
    TooLong(#[from] EventTooLong),
}

/// How to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub(crate) compression: Compression,
    pub(crate) caps: Caps,
    pub(crate) max_event_bytes: u64,
    pub(crate) limits: BatchLimits,
}

/// What reading lines came to.
#[derive(Debug)]
pub(crate) struct LinesRead {
    /// Just after the last event, decompressed.
    pub(crate) position: u64,
    /// Bytes taken from the file.
    pub(crate) taken: u64,
    pub(crate) skipped_empty: u64,
    pub(crate) failure: Option<FileFailure>,
    /// Reading stopped because it was asked to.
    pub(crate) is_paused: bool,
}

/// A file read from a place of its own, so that handles need no order.
struct At<'f> {
    file: &'f File,
    at: u64,
}

impl Read for At<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read_at(out, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl Reading {
    /// Reads lines from a decompressed position to the end, which for a file that is not compressed is at most `until`.
    /// With `finish` what follows the last line feed is an event too.
    pub(crate) fn lines(
        &self,
        file: &File,
        from: u64,
        until: u64,
        finish: bool,
        emit: &mut dyn FnMut(Chunk) -> Result<Flow, Unwanted>,
    ) -> Result<LinesRead, Unwanted> {
        let is_plain = self.compression == Compression::None;
        let at = if is_plain { from } else { 0 };
        let input = At { file, at }.take(if is_plain { until.saturating_sub(from) } else { u64::MAX });
        let mut read = LinesRead { position: from, taken: 0, skipped_empty: 0, failure: None, is_paused: false };
        let mut decoder = match Decoder::new(self.compression, input, self.caps) {
            Ok(decoder) => decoder,
            Err(error) => return Ok(LinesRead { failure: Some(ReadFailure::Io(error).into()), ..read }),
        };
        if !is_plain && let Err(error) = skip(&mut decoder, from) {
            return Ok(LinesRead { failure: Some(decoder.explain(error).into()), ..read });
        }
        // A small file needs no large buffer. The byte more shows the end without growing it.
        let most = if is_plain { until.saturating_sub(from).saturating_add(1) } else { u64::MAX };
        let batch_bytes = usize::try_from(most).unwrap_or(usize::MAX).min(self.limits.max_bytes);
        let mut lines = Lines::new(from, batch_bytes, self.max_event_bytes);
        let mut flow = Flow::Continue;
        read.failure = self.pump(&mut decoder, &mut lines, &mut flow, emit)?;
        let rest = match &read.failure {
            None if flow == Flow::Pause => Vec::new(),
            None if finish => lines.finish(&self.limits),
            // What was read of the last line will never be followed by the rest of it.
            Some(FileFailure::Read(ReadFailure::Damaged { .. })) => lines.finish(&self.limits),
            _ => lines.take(&self.limits),
        };
        for chunk in rest {
            // What is left is all there is.
            let _ = emit(chunk)?;
        }
        Ok(LinesRead {
            position: lines.position(),
            taken: decoder.taken(),
            skipped_empty: lines.take_skipped(),
            failure: read.failure,
            is_paused: flow == Flow::Pause,
        })
    }

    fn pump(
        &self,
        decoder: &mut Decoder<impl Read>,
        lines: &mut Lines,
        flow: &mut Flow,
        emit: &mut dyn FnMut(Chunk) -> Result<Flow, Unwanted>,
    ) -> Result<Option<FileFailure>, Unwanted> {
        loop {
            match decoder.read(lines.space()) {
                Ok(0) => return Ok(None),
                Ok(n) => {
                    if let Err(error) = lines.advance(n) {
                        return Ok(Some(error.into()));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Ok(Some(decoder.explain(error).into())),
            }
            if lines.is_full(&self.limits) {
                for chunk in lines.take(&self.limits) {
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

    /// Reads all of a file of about this size, in one buffer. Of a damaged file comes what could be read; of one beyond
    /// a limit comes nothing.
    pub(crate) fn document(&self, file: &File, size: u64) -> (Vec<u8>, Option<FileFailure>) {
        let max = self.max_event_bytes;
        let too_long = EventTooLong { max, position: 0 };
        if self.compression == Compression::None && size > max {
            return (Vec::new(), Some(too_long.into()));
        }
        let (document, failure) = self.bytes(file, size);
        match failure {
            None if document.len() as u64 > max => (Vec::new(), Some(too_long.into())),
            None | Some(ReadFailure::Damaged { .. }) => (document, failure.map(FileFailure::from)),
            Some(failure) => (Vec::new(), Some(failure.into())),
        }
    }

    fn bytes(&self, file: &File, size: u64) -> (Vec<u8>, Option<ReadFailure>) {
        let max = self.max_event_bytes;
        let mut input = At { file, at: 0 };
        if self.compression != Compression::None && size > MAX_COMPRESSED_WHOLE {
            return match Decoder::new(self.compression, input, self.caps) {
                Ok(mut decoder) => read_whole(&mut decoder, max),
                Err(error) => (Vec::new(), Some(ReadFailure::Io(error))),
            };
        }
        let most = if self.compression == Compression::None { max } else { MAX_COMPRESSED_WHOLE };
        let mut bytes = Vec::new();
        // Room for one byte more lets the end show without growing.
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
