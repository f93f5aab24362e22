//! Column chunks in memory.
//!
//! A row group has its columns one after the other, while rows fill all of them at once. So each column writes its pages to
//! its own buffer, and the buffers go to the file when the row group ends.

use std::io::{self, Write};
use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use parquet::column::page::{CompressedPage, PageWriteSpec, PageWriter};
use parquet::column::writer::{ColumnWriter, get_column_writer};
use parquet::errors::Result;
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::writer::{SerializedPageWriter, SerializedRowGroupWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

/// A column of a row group that is not complete.
pub(crate) struct Chunk {
    pub(crate) writer: ColumnWriter<'static>,
    pages: Shared,
    /// Bytes of values since the last page was written.
    unwritten: usize,
    written: usize,
}

impl Chunk {
    pub(crate) fn new(column: ColumnDescPtr, properties: WriterPropertiesPtr) -> Self {
        let pages = Shared::default();
        let writer = Pages { sink: TrackedWrite::new(pages.clone()) };
        let writer = get_column_writer(column, properties, Box::new(writer));
        Self { writer, pages, unwritten: 0, written: 0 }
    }

    /// Notes that the encoder got values of `size` bytes.
    pub(crate) fn grow(&mut self, size: usize) {
        self.unwritten += size;
        let written = self.pages.0.lock().len();
        if written != self.written {
            (self.written, self.unwritten) = (written, 0);
        }
    }

    /// Bytes of the pages that are complete, and of the values that wait for theirs.
    pub(crate) const fn size(&self) -> (usize, usize) {
        (self.written, self.unwritten)
    }

    /// Ends the column and appends it to the file.
    pub(crate) fn append_to<W: Write + Send>(self, group: &mut SerializedRowGroupWriter<'_, W>) -> Result<()> {
        let close = self.writer.close()?;
        let pages = Bytes::from(mem::take(&mut *self.pages.0.lock()));
        group.append_column(&pages, close)
    }
}

/// The bytes of all pages. The mutex is never contended; a page writer has to be `Send`.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The crate's own page writer borrows its sink, so that a column could not own both. It has no other state, so one for each
/// page does the same.
struct Pages {
    sink: TrackedWrite<Shared>,
}

impl PageWriter for Pages {
    fn write_page(&mut self, page: CompressedPage) -> Result<PageWriteSpec> {
        let written = SerializedPageWriter::new(&mut self.sink).write_page(page)?;
        self.sink.flush()?;
        Ok(written)
    }

    fn close(&mut self) -> Result<()> {
        Ok(self.sink.flush()?)
    }
}
