//! What a node computes: the key, the functions and the windows. It is a part of every snapshot, so that the windows of
//! former options can still be made.

use wattle_snapshot::{Damaged, EventId, Reader, Writer};

use crate::function::Function;

/// What a node computes.
#[derive(Clone, Debug)]
pub(crate) struct Definition {
    /// Names of the fields of the key in the body of an event.
    pub(crate) by: Vec<String>,
    /// Names and functions of the values.
    pub(crate) values: Vec<(String, Function)>,
    /// Length of a window and time between two starts in nanoseconds; the first is a multiple of the second.
    pub(crate) length: i64,
    pub(crate) slide: i64,
    /// The whole definition, fields and conditions included, as bytes.
    pub(crate) bytes: Vec<u8>,
    /// The id of an event, without its window and its key.
    id: EventId,
}

impl Definition {
    /// A definition; `sources` are all texts that decide what is computed from which events, such as fields and conditions.
    pub(crate) fn new(
        by: Vec<String>,
        values: Vec<(String, Function)>,
        (length, slide): (i64, i64),
        sources: &[String],
    ) -> Self {
        let mut writer = Writer::new();
        writer.size(by.len());
        by.iter().for_each(|name| writer.bytes(name.as_bytes()));
        writer.size(values.len());
        for (name, function) in &values {
            writer.bytes(name.as_bytes());
            function.save(&mut writer);
        }
        writer.signed(length);
        writer.signed(slide);
        writer.size(sources.len());
        sources.iter().for_each(|text| writer.bytes(text.as_bytes()));
        Self::with_bytes(by, values, (length, slide), writer.finish())
    }

    fn with_bytes(
        by: Vec<String>,
        values: Vec<(String, Function)>,
        (length, slide): (i64, i64),
        bytes: Vec<u8>,
    ) -> Self {
        let id = EventId::new("aggregate").with(&bytes);
        Self { by, values, length, slide, bytes, id }
    }

    /// Reads the bytes of a definition.
    pub(crate) fn restore(bytes: &[u8]) -> Result<Self, Damaged> {
        let mut reader = Reader::new(bytes)?;
        let names = reader.size(1)?;
        let by = (0..names).map(|_| Ok(reader.text()?.to_owned())).collect::<Result<_, Damaged>>()?;
        let count = reader.size(2)?;
        let value = |_| Ok((reader.text()?.to_owned(), Function::restore(&mut reader)?));
        let values = (0..count).map(value).collect::<Result<_, Damaged>>()?;
        let (length, slide) = (reader.signed()?, reader.signed()?);
        for _ in 0..reader.size(1)? {
            reader.bytes()?;
        }
        reader.end()?;
        if slide <= 0 || length < slide || length % slide != 0 {
            return Err(Damaged);
        }
        Ok(Self::with_bytes(by, values, (length, slide), bytes.to_vec()))
    }

    /// Whether windows overlap.
    pub(crate) const fn is_sliding(&self) -> bool {
        self.slide < self.length
    }

    /// The id of the event of a window and a key; `stands_for` says which keys `_other` stands for.
    pub(crate) fn id(&self, start: i64, key: &[u8], part: u32, stands_for: Option<u64>) -> Vec<u8> {
        let id = self.id.clone().with_number(start).with(key).with_number(part.into());
        stands_for.into_iter().fold(id, |id, hash| id.with_number(hash.cast_signed())).finish()
    }
}
