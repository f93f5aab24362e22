//! Values and levels of one leaf, on their way from rows to the encoder.

use std::mem;

use bytes::Bytes;
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::{ParquetError, Result};

use crate::schema::LeafType;

/// Values that are not null.
#[derive(Debug)]
pub(crate) enum Values {
    /// All texts one after the other, and the end of each.
    Bytes {
        text: Vec<u8>,
        ends: Vec<usize>,
    },
    Int(Vec<i32>),
    Bigint(Vec<i64>),
    Double(Vec<f64>),
    Boolean(Vec<bool>),
}

/// The buffer of one leaf.
#[derive(Debug)]
pub(crate) struct Leaf {
    pub(crate) values: Values,
    /// Definition level of each value, and of each null.
    definitions: Vec<i16>,
    /// Repetition level of each value and null; empty outside of lists and maps.
    repetitions: Vec<i16>,
    repeats: bool,
    /// Whether the encoder keeps values, in a dictionary.
    keeps: bool,
}

/// Lengths of a buffer before a row.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mark {
    text: usize,
    values: usize,
    definitions: usize,
    repetitions: usize,
}

impl Values {
    pub(crate) const fn new(r#type: &LeafType) -> Self {
        match r#type {
            LeafType::String | LeafType::Json => Self::Bytes { text: Vec::new(), ends: Vec::new() },
            LeafType::Int | LeafType::Date(_) => Self::Int(Vec::new()),
            LeafType::Bigint | LeafType::Timestamp(_) => Self::Bigint(Vec::new()),
            LeafType::Double => Self::Double(Vec::new()),
            LeafType::Boolean => Self::Boolean(Vec::new()),
        }
    }

    const fn len(&self) -> usize {
        match self {
            Self::Bytes { ends, .. } => ends.len(),
            Self::Int(values) => values.len(),
            Self::Bigint(values) => values.len(),
            Self::Double(values) => values.len(),
            Self::Boolean(values) => values.len(),
        }
    }
}

impl Leaf {
    /// The buffer of a leaf with this maximum repetition level.
    pub(crate) const fn new(values: Values, max_repetition: i16, keeps: bool) -> Self {
        let repeats = max_repetition > 0;
        Self { values, definitions: Vec::new(), repetitions: Vec::new(), repeats, keeps }
    }

    /// Adds the levels of a value, or of a null. Values themselves are added to `values`.
    pub(crate) fn level(&mut self, definition: i16, repetition: i16) {
        self.definitions.push(definition);
        if self.repeats {
            self.repetitions.push(repetition);
        }
    }

    pub(crate) fn mark(&self) -> Mark {
        let text = if let Values::Bytes { text, .. } = &self.values { text.len() } else { 0 };
        let (definitions, repetitions) = (self.definitions.len(), self.repetitions.len());
        Mark { text, values: self.values.len(), definitions, repetitions }
    }

    /// Removes what was added after `mark`.
    pub(crate) fn return_to(&mut self, mark: Mark) {
        self.definitions.truncate(mark.definitions);
        self.repetitions.truncate(mark.repetitions);
        match &mut self.values {
            Values::Bytes { text, ends } => {
                text.truncate(mark.text);
                ends.truncate(mark.values);
            }
            Values::Int(values) => values.truncate(mark.values),
            Values::Bigint(values) => values.truncate(mark.values),
            Values::Double(values) => values.truncate(mark.values),
            Values::Boolean(values) => values.truncate(mark.values),
        }
    }

    /// Passes everything to the encoder. Returns the size of the values in bytes.
    pub(crate) fn write_to(&mut self, writer: &mut ColumnWriter<'_>, memory: &mut Vec<ByteArray>) -> Result<usize> {
        let definitions = Some(self.definitions.as_slice());
        let repetitions = self.repeats.then_some(self.repetitions.as_slice());
        let size = match (&mut self.values, writer) {
            (Values::Bytes { text, ends }, ColumnWriter::ByteArrayColumnWriter(writer)) => {
                let size = text.len();
                memory.clear();
                if self.keeps {
                    // A value that refers to `text` would keep all of it in memory as long as the dictionary.
                    memory.extend(pieces(text, ends).map(|piece| ByteArray::from(piece.to_vec())));
                } else {
                    let shared = Bytes::from(mem::take(text));
                    let mut start = 0;
                    memory.extend(ends.iter().map(|end| shared.slice(mem::replace(&mut start, *end)..*end).into()));
                }
                writer.write_batch(memory, definitions, repetitions)?;
                memory.clear();
                text.clear();
                ends.clear();
                size
            }
            (Values::Int(values), ColumnWriter::Int32ColumnWriter(writer)) => {
                writer.write_batch(values, definitions, repetitions)?;
                mem::take(values).len() * 4
            }
            (Values::Bigint(values), ColumnWriter::Int64ColumnWriter(writer)) => {
                writer.write_batch(values, definitions, repetitions)?;
                mem::take(values).len() * 8
            }
            (Values::Double(values), ColumnWriter::DoubleColumnWriter(writer)) => {
                writer.write_batch(values, definitions, repetitions)?;
                mem::take(values).len() * 8
            }
            (Values::Boolean(values), ColumnWriter::BoolColumnWriter(writer)) => {
                writer.write_batch(values, definitions, repetitions)?;
                mem::take(values).len() / 8
            }
            _ => return Err(ParquetError::General("a leaf and its encoder have different types".to_owned())),
        };
        self.definitions.clear();
        self.repetitions.clear();
        Ok(size)
    }
}

fn pieces<'a>(text: &'a [u8], ends: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut start = 0;
    ends.iter().map(move |end| text.get(mem::replace(&mut start, *end)..*end).unwrap_or_default())
}
