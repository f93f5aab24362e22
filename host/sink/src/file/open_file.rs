//! One file that is being written: bytes on their way into it, and events that wait to be safe.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::open::{Identity, Opened, identity_at};
use super::options::Settings;
use crate::compress::{Compression, Stream};
use crate::output::{Output, Todo, write_rest};
use crate::sink::{SinkStats, Written};

/// Bytes that are compressed at a time.
const PIECE: usize = 256 << 10;

/// A file that is being written.
pub(crate) struct OpenFile {
    pub(crate) path: PathBuf,
    pub(crate) identity: Identity,
    output: Box<dyn Output>,
    compression: Compression,
    stream: Option<Stream>,
    /// Bytes that go before anything else, and how many of them are written: what came out of the stream, or the line
    /// break after a torn event.
    pending: Vec<u8>,
    pending_at: usize,
    /// The stream has taken something in.
    stream_used: bool,
    /// The stream holds bytes that it has not brought out.
    unflushed: bool,
    /// Something was written since the last sync.
    dirty: bool,
    /// It is a file, not a device or a pipe.
    pub(crate) regular: bool,
    /// Bytes in the file.
    pub(crate) size: u64,
    /// When it was made.
    pub(crate) made: Option<Instant>,
    /// When it was last written to.
    pub(crate) used: Instant,
    /// Events that are written and not yet safe, and since when the first of them waits.
    written: Vec<Written>,
    pub(crate) waiting_since: Option<Instant>,
    /// Bytes of the events that wait.
    pub(crate) waiting_bytes: usize,
    folders: Vec<PathBuf>,
    /// When renaming it may be tried again after it failed.
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

    /// Writes the first `count` payloads. After an error the next call goes on where this one stopped.
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
            *size = (*size + bytes as u64 + todo.offset as u64).saturating_sub(before);
            self.dirty = true;
            self.note_waiting(now);
            return done;
        }
        for _ in 0..count {
            self.compress_first(todo)?;
            self.note_waiting(now);
        }
        Ok(())
    }

    fn note_waiting(&mut self, now: Instant) {
        if !self.written.is_empty() {
            self.waiting_since.get_or_insert(now);
        }
    }

    /// Compresses the first payload piece by piece, so that its compressed form is never in memory as a whole.
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
        self.size += (self.pending_at - before) as u64;
        self.dirty = true;
        done?;
        self.pending.clear();
        self.pending_at = 0;
        Ok(())
    }

    /// Brings everything to the operating system.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.unflushed)
            && let Some(stream) = &mut self.stream
        {
            stream.flush(&mut self.pending)?;
        }
        self.write_pending()
    }

    /// Ends the compressed stream and begins a new one, which stays empty until the next event.
    pub(crate) fn end_stream(&mut self) -> io::Result<()> {
        // A stream that never took anything in would be written too, as a header and an end of nothing.
        if std::mem::take(&mut self.stream_used)
            && let Some(stream) = std::mem::replace(&mut self.stream, Stream::new(self.compression)?)
        {
            stream.finish(&mut self.pending)?;
            self.pending.extend_from_slice(self.compression.end_mark());
            self.unflushed = false;
        }
        self.write_pending()
    }

    /// Waits until what was written is on the disk.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.dirty) {
            self.output.sync()?;
        }
        for folder in std::mem::take(&mut self.folders) {
            std::fs::File::open(folder)?.sync_all()?;
        }
        Ok(())
    }

    /// Whether the file has no name any more, so that what was written is gone when it is closed.
    pub(crate) fn is_removed(&self) -> bool {
        self.output.is_removed()
    }

    /// Events that are written and not yet acknowledged.
    pub(crate) fn waiting_events(&self) -> usize {
        self.written.iter().map(|written| written.events).sum()
    }

    /// Whether its path names another file now, or none.
    pub(crate) fn has_lost_its_name(&self) -> bool {
        self.regular && identity_at(&self.path) != Some(self.identity)
    }

    /// Acknowledges the events that were written.
    pub(crate) fn deliver(&mut self, stats: &SinkStats) {
        self.waiting_since = None;
        self.waiting_bytes = 0;
        self.written.drain(..).for_each(|written| stats.deliver(written));
    }

    /// How old the file is.
    pub(crate) fn age(&self, now: Instant) -> Duration {
        // A file older than the clock can say is older than any limit.
        self.made.map_or(Duration::MAX, |made| now.saturating_duration_since(made))
    }
}
