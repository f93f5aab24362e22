//! One open output file: bytes that are not written yet, and events that are not synced yet.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::open::{Identity, Opened, identity_at};
use super::options::Settings;
use crate::compress::{Compression, Stream};
use crate::output::{Output, Todo, write_rest};
use crate::sink::{SinkStats, Written};

/// Bytes that are compressed in one step.
const PIECE: usize = 256 << 10;

/// An open output file.
pub(crate) struct OpenFile {
    pub(crate) path: PathBuf,
    pub(crate) identity: Identity,
    output: Box<dyn Output>,
    compression: Compression,
    stream: Option<Stream>,
    /// Bytes to write before anything else: output of the stream, or the line break after an
    /// incomplete event. `pending_at` is the number of bytes of it that are written.
    pending: Vec<u8>,
    pending_at: usize,
    /// Whether the stream received input.
    stream_used: bool,
    /// Whether the stream holds input that it has not written to its output.
    unflushed: bool,
    /// Whether bytes were written since the last sync.
    dirty: bool,
    /// Whether it is a regular file, not a device or a pipe.
    pub(crate) regular: bool,
    /// Size of the file in bytes.
    pub(crate) size: u64,
    /// When the file was created.
    pub(crate) made: Option<Instant>,
    /// When the file was last written to.
    pub(crate) used: Instant,
    /// Events that are written and not acknowledged.
    written: Vec<Written>,
    /// When the first of them was written.
    pub(crate) waiting_since: Option<Instant>,
    /// Bytes of these events.
    pub(crate) waiting_bytes: usize,
    /// Folders with a new entry that is not synced.
    folders: Vec<PathBuf>,
    /// Earliest time of the next rotation, after one that failed.
    pub(crate) rotate_after: Option<Instant>,
}

impl OpenFile {
    pub(crate) fn new(path: &Path, opened: Opened, settings: &Settings) -> io::Result<Self> {
        let mut file = Self::on(path, Box::new(opened.file), settings.compression)?;
        file.identity = opened.identity;
        file.regular = opened.regular;
        file.size = opened.size;
        file.made = Instant::now().checked_sub(opened.age);
        file.folders = opened.folders;
        // End the incomplete event, so that the next one starts on a new line.
        if opened.torn {
            file.pending.push(b'\n');
        }
        Ok(file)
    }

    pub(crate) fn on(path: &Path, output: Box<dyn Output>, compression: Compression) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            identity: (0, 0),
            output,
            compression,
            stream: Stream::new(compression)?,
            pending: Vec::new(),
            pending_at: 0,
            stream_used: false,
            unflushed: false,
            dirty: false,
            regular: false,
            size: 0,
            made: None,
            used: Instant::now(),
            written: Vec::new(),
            waiting_since: None,
            waiting_bytes: 0,
            folders: Vec::new(),
            rotate_after: None,
        })
    }

    /// Writes the first `count` payloads. After an error the next call continues where this one
    /// stopped.
    pub(crate) fn write(&mut self, todo: &mut Todo, count: usize) -> io::Result<()> {
        self.write_pending()?;
        let now = Instant::now();
        self.used = now;
        let Self { written, size, output, waiting_bytes, .. } = self;
        if self.stream.is_none() {
            let before = todo.offset as u64;
            let mut bytes = 0;
            let done = todo.write(count, &mut **output, |payload| {
                bytes += payload.bytes.len();
                written.push(payload.into_written());
            });
            *waiting_bytes += bytes;
            // `offset` is the number of written bytes of an incomplete payload.
            *size = (*size + bytes as u64 + todo.offset as u64).saturating_sub(before);
            self.dirty = true;
            // Also after an error: some payloads may be complete.
            self.start_waiting(now);
            return done;
        }
        for _ in 0..count {
            self.compress_first(todo)?;
            self.start_waiting(now);
        }
        Ok(())
    }

    fn start_waiting(&mut self, now: Instant) {
        if !self.written.is_empty() {
            self.waiting_since.get_or_insert(now);
        }
    }

    /// Compresses the first payload in pieces, so that its whole compressed form is never in
    /// memory.
    fn compress_first(&mut self, todo: &mut Todo) -> io::Result<()> {
        loop {
            self.write_pending()?;
            let rest = todo.first();
            let piece = rest.get(..PIECE).unwrap_or(rest);
            if piece.is_empty() {
                break;
            }
            if let Some(stream) = &mut self.stream {
                stream.write(piece)?;
                self.stream_used = true;
                self.unflushed = true;
                stream.drain(&mut self.pending);
            }
            todo.offset += piece.len();
        }
        self.waiting_bytes += todo.offset;
        todo.offset = 0;
        self.written.extend(todo.payloads.pop_front().map(|payload| payload.into_written()));
        Ok(())
    }

    fn write_pending(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let before = self.pending_at;
        let done = write_rest(&mut *self.output, &self.pending, &mut self.pending_at);
        // Count the written bytes even if the rest failed.
        self.size += (self.pending_at - before) as u64;
        self.dirty = true;
        done?;
        self.pending.clear();
        self.pending_at = 0;
        Ok(())
    }

    /// Writes all buffered bytes to the operating system.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.unflushed)
            && let Some(stream) = &mut self.stream
        {
            stream.flush(&mut self.pending)?;
        }
        self.write_pending()
    }

    /// Ends the compressed stream and starts a new one, which is empty until the next event.
    pub(crate) fn end_stream(&mut self) -> io::Result<()> {
        // Without this check, a stream without input would be written as a header and an end.
        if std::mem::take(&mut self.stream_used)
            && let Some(stream) = std::mem::replace(&mut self.stream, Stream::new(self.compression)?)
        {
            stream.finish(&mut self.pending)?;
            self.pending.extend_from_slice(self.compression.end_mark());
            self.unflushed = false;
        }
        self.write_pending()
    }

    /// Syncs all written bytes to the disk.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.dirty) {
            self.output.sync()?;
        }
        for folder in std::mem::take(&mut self.folders) {
            std::fs::File::open(folder)?.sync_all()?;
        }
        Ok(())
    }

    /// Whether the file has no name any more, so that its contents are lost when it is closed.
    pub(crate) fn is_removed(&self) -> bool {
        self.output.is_removed()
    }

    /// Number of events that are written and not acknowledged.
    pub(crate) fn waiting_events(&self) -> usize {
        self.written.iter().map(|written| written.events).sum()
    }

    /// Whether its path now names another file or no file.
    pub(crate) fn has_lost_its_name(&self) -> bool {
        self.regular && identity_at(&self.path) != Some(self.identity)
    }

    /// Acknowledges the written events.
    pub(crate) fn deliver(&mut self, stats: &SinkStats) {
        self.waiting_since = None;
        self.waiting_bytes = 0;
        self.written.drain(..).for_each(|written| stats.deliver(written));
    }

    /// Age of the file.
    pub(crate) fn age(&self, now: Instant) -> Duration {
        // `None`: the file is older than the monotonic clock can express.
        self.made.map_or(Duration::MAX, |made| now.saturating_duration_since(made))
    }
}
