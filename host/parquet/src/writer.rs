//! Records in, a file out.

use std::mem;
use std::sync::Arc;

use parquet::basic::{Compression as Codec, ZstdLevel};
use parquet::data_type::ByteArray;
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use schemars::JsonSchema;
use serde::Deserialize;
use wattle_json as json;
use wattle_json::Kind;

use crate::leaf::{Leaf, Values};
use crate::pages::Chunk;
use crate::row::Rows;
use crate::schema::{Fields, LeafType, Schema, Shape};
use crate::{EncodeError, PushError};

/// Rows that wait in buffers until the encoders get them.
const BATCH_ROWS: usize = 1_024;
/// Bytes of records whose rows wait.
const BATCH_BYTES: usize = 1 << 20;
/// Depth of objects and arrays in a record. Query engines have their own limits for the column with the whole record, such as
/// 1,024 in DuckDB, and one record beyond that makes a query fail.
const MAX_DEPTH: usize = 512;
/// Bytes that the footer has for each column of a row group, measured with the schema of CloudTrail.
const FOOTER: usize = 300;
/// How much smaller values become until they are in a page, at least, measured with records of CloudTrail.
const RATIO: usize = 8;

/// How a file is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriterOptions {
    /// Compression of pages.
    pub compression: Compression,
    /// Rows in a row group, at most.
    pub row_group_rows: usize,
    /// Bytes of records in a row group; the record that reaches this ends it.
    pub row_group_bytes: usize,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self { compression: Compression::default(), row_group_rows: 1_000_000, row_group_bytes: 128 << 20 }
    }
}

/// Compression of pages. All readers know all three.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Zstandard at level 3.
    #[default]
    Zstd,
    /// Snappy: faster and larger.
    Snappy,
    /// No compression.
    None,
}

/// A complete file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// The file.
    pub bytes: Vec<u8>,
    /// Number of its rows.
    pub rows: u64,
    /// Values that did not fit their columns, for each column that has some.
    pub misfits: Vec<Misfits>,
}

/// Values that did not fit a column and became null.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfits {
    /// Name of the column, or of the field, such as `useridentity.arn`.
    pub column: String,
    /// How many values.
    pub values: u64,
}

/// Writes one file.
pub struct Writer {
    schema: Schema,
    options: WriterOptions,
    rows: Rows,
    /// Columns of the row group in progress; empty before its first batch.
    chunks: Vec<Chunk>,
    file: SerializedFileWriter<Vec<u8>>,
    memory: Vec<ByteArray>,
    /// Rows and bytes of records that wait in buffers.
    waiting: Extent,
    /// Rows and bytes of records of the row group in progress, with those that wait.
    group: Extent,
    total: u64,
    misfits: Vec<u64>,
    broken: bool,
}

#[derive(Clone, Copy, Default)]
struct Extent {
    rows: usize,
    bytes: usize,
}

impl Extent {
    const fn add(&mut self, bytes: usize) {
        self.rows += 1;
        self.bytes += bytes;
    }
}

impl Writer {
    /// A writer of a file without rows.
    ///
    /// # Errors
    ///
    /// The beginning of the file cannot be encoded, which no checked schema causes.
    pub fn new(schema: &Schema, options: WriterOptions) -> std::result::Result<Self, EncodeError> {
        let inner = schema.inner();
        let mut types = Vec::new();
        leaf_types(&inner.root, &mut types);
        let mut properties = WriterProperties::builder()
            .set_compression(match options.compression {
                Compression::Zstd => Codec::ZSTD(ZstdLevel::default()),
                Compression::Snappy => Codec::SNAPPY,
                Compression::None => Codec::UNCOMPRESSED,
            })
            .set_created_by(concat!("wattle version ", env!("CARGO_PKG_VERSION")).to_owned());
        // Documents rarely repeat, and no query needs the smallest one.
        let description = parquet::schema::types::SchemaDescriptor::new(Arc::clone(&inner.message));
        for (column, r#type) in description.columns().iter().zip(&types) {
            if matches!(r#type, LeafType::Json) {
                properties = properties
                    .set_column_dictionary_enabled(column.path().clone(), false)
                    .set_column_statistics_enabled(column.path().clone(), EnabledStatistics::None);
            }
        }
        let file = SerializedFileWriter::new(Vec::new(), Arc::clone(&inner.message), Arc::new(properties.build()))?;
        let leaves = description.columns().iter().zip(&types).map(|(column, r#type)| {
            Leaf::new(Values::new(r#type), column.max_rep_level(), !matches!(r#type, LeafType::Json))
        });
        Ok(Self {
            rows: Rows::new(inner, leaves.collect()),
            misfits: vec![0; inner.names.len()],
            schema: schema.clone(),
            options,
            chunks: Vec::new(),
            file,
            memory: Vec::new(),
            waiting: Extent::default(),
            group: Extent::default(),
            total: 0,
            broken: false,
        })
    }

    /// Adds a record, which is one JSON object, and returns how many of its values did not fit their columns.
    ///
    /// # Errors
    ///
    /// The record is not in the file; the writer takes further ones if [`PushError::is_about_record`].
    pub fn push(&mut self, record: &[u8]) -> std::result::Result<usize, PushError> {
        if self.broken {
            return Err(EncodeError(ParquetError::General("it failed before".to_owned())).into());
        }
        let kind = json::check(record, MAX_DEPTH).map_err(PushError::NotJson)?;
        let value = json::skip(record, 0).map_err(PushError::NotJson)?;
        if kind != Kind::Object {
            return Err(PushError::NotAnObject(kind));
        }
        let inner = self.schema.inner();
        self.rows
            .push(inner, record, value)
            .map_err(|missing| PushError::Missing { column: inner.names.get(missing).cloned().unwrap_or_default() })?;
        for node in &self.rows.misfits {
            if let Some(count) = self.misfits.get_mut(*node) {
                *count += 1;
            }
        }
        self.waiting.add(record.len());
        self.group.add(record.len());
        self.total += 1;
        let encoded = self.encode_if_due();
        self.broken = encoded.is_err();
        encoded.map_err(EncodeError)?;
        Ok(self.rows.misfits.len())
    }

    /// Number of rows so far.
    #[must_use]
    pub const fn rows(&self) -> u64 {
        self.total
    }

    /// Size in bytes that the file would have now. Complete pages count exactly, the others, which are at most about a
    /// mebibyte for each column, by experience.
    #[must_use]
    pub fn estimated_size(&self) -> usize {
        let (written, unwritten) = self.chunks.iter().map(Chunk::size).fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
        let groups = self.file.flushed_row_groups().len() + usize::from(self.group.rows > 0);
        let footer = groups * self.rows.leaves.len() * FOOTER;
        self.file.bytes_written() + written + (unwritten + self.waiting.bytes) / RATIO + footer
    }

    /// Values that did not fit their columns so far, for each column that has some.
    pub fn misfits(&self) -> impl Iterator<Item = (&str, u64)> {
        let names = self.schema.inner().names.iter().map(String::as_str);
        names.zip(self.misfits.iter().copied()).filter(|(_, count)| *count > 0)
    }

    /// Ends the file. Without rows, it is a valid file too.
    ///
    /// # Errors
    ///
    /// The rest cannot be encoded, or an earlier call of [`push`](Self::push) returned [`PushError::Encode`].
    pub fn finish(mut self) -> std::result::Result<File, EncodeError> {
        if self.broken {
            return Err(EncodeError(ParquetError::General("it failed before".to_owned())));
        }
        self.end_row_group()?;
        self.file.finish()?;
        let misfits = self.misfits().map(|(column, values)| Misfits { column: column.to_owned(), values }).collect();
        Ok(File { bytes: mem::take(self.file.inner_mut()), rows: self.total, misfits })
    }

    fn encode_if_due(&mut self) -> Result<()> {
        let WriterOptions { row_group_rows, row_group_bytes, .. } = self.options;
        if self.group.rows >= row_group_rows || self.group.bytes >= row_group_bytes {
            self.end_row_group()
        } else if self.waiting.rows >= BATCH_ROWS || self.waiting.bytes >= BATCH_BYTES {
            self.encode()
        } else {
            Ok(())
        }
    }

    /// Passes all rows that wait to the encoders.
    fn encode(&mut self) -> Result<()> {
        if self.chunks.is_empty() {
            let columns = self.file.schema_descr().columns();
            self.chunks =
                columns.iter().map(|column| Chunk::new(column.clone(), self.file.properties().clone())).collect();
        }
        for (leaf, chunk) in self.rows.leaves.iter_mut().zip(&mut self.chunks) {
            let size = leaf.write_to(&mut chunk.writer, &mut self.memory)?;
            chunk.grow(size);
        }
        self.waiting = Extent::default();
        Ok(())
    }

    fn end_row_group(&mut self) -> Result<()> {
        if self.group.rows == 0 {
            return Ok(());
        }
        if self.waiting.rows > 0 {
            self.encode()?;
        }
        let mut group = self.file.next_row_group()?;
        for chunk in mem::take(&mut self.chunks) {
            chunk.append_to(&mut group)?;
        }
        group.close()?;
        self.group = Extent::default();
        Ok(())
    }
}

/// Types of all leaves, in the order of the file.
fn leaf_types<'a>(fields: &'a Fields, types: &mut Vec<&'a LeafType>) {
    for node in &fields.nodes {
        let mut shape = &node.shape;
        loop {
            match shape {
                Shape::Leaf(r#type) => types.push(r#type),
                Shape::Struct(fields) => leaf_types(fields, types),
                Shape::List { element, .. } => {
                    shape = &element.shape;
                    continue;
                }
                Shape::Map { value, .. } => {
                    // Its keys.
                    types.push(&LeafType::String);
                    shape = &value.shape;
                    continue;
                }
            }
            break;
        }
    }
}
