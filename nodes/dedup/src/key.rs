//! The keys of rows as the host remembers them.

use wattle_node::json::{self, Kind, Path};
use wattle_node::{Batch, Column, ColumnWriter, Field, Form, Setup};

/// Longest key that is kept as it is; a longer one is hashed.
const MAX_PLAIN_BYTES: usize = 64;
/// Bytes of a hash.
const HASH_BYTES: usize = 16;
/// First byte of a key that is kept as it is, and of one that is hashed.
const PLAIN: u8 = 0;
const HASHED: u8 = 1;

/// One field of a key.
#[derive(Debug)]
struct Part {
    field: Field,
    /// Paths within the value that are not compared.
    ignored: Vec<Path>,
    column: Column,
}

/// The fields of a key.
#[derive(Debug)]
pub(crate) struct Key {
    parts: Vec<Part>,
    /// Spans that are not compared.
    found: Vec<Option<json::Value>>,
    spans: Vec<(usize, usize)>,
}

impl Key {
    /// Resolves the fields. Returns `None` after it reported all errors to `setup`.
    pub(crate) fn new(fields: &[(String, &String)], ignore: &[String], setup: &mut Setup<'_>) -> Option<Self> {
        if fields.is_empty() {
            setup.error("key", "at least one field is needed; remove the option for the whole body");
        }
        let resolved: Vec<_> = fields.iter().map(|(at, name)| setup.read(at, name)).collect();
        let mut ignored = Vec::new();
        let mut is_valid = true;
        for (index, path) in ignore.iter().enumerate() {
            match within(fields, path) {
                Ok(part) => ignored.push(part),
                Err(error) => {
                    setup.error(format!("ignore[{index}]"), error);
                    is_valid = false;
                }
            }
        }
        let mut parts = Vec::new();
        for (index, field) in resolved.into_iter().enumerate() {
            let paths = ignored.iter().filter(|(part, _)| *part == index);
            let ignored: Vec<Path> = paths.map(|(_, path)| path.clone()).collect();
            parts.push(Part { field: field?, ignored, column: Column::default() });
        }
        is_valid.then_some(Self { parts, found: Vec::new(), spans: Vec::new() })
    }

    /// Reads the fields of a batch.
    pub(crate) fn read(&mut self, batch: &mut Batch<'_>) {
        for part in &mut self.parts {
            part.column = batch.read(part.field, Form::Text);
        }
    }

    /// Forgets the batch.
    pub(crate) fn clear(&mut self) {
        self.parts.iter_mut().for_each(|part| part.column = Column::default());
    }

    /// Adds the key of a row to a column. Returns whether the row has one.
    pub(crate) fn write(&mut self, row: usize, keys: &mut ColumnWriter) -> bool {
        if !self.parts.iter().any(|part| part.column.kind(row) > Kind::Null) {
            keys.push_none();
            return false;
        }
        let start = keys.bytes.len();
        keys.bytes.push(PLAIN);
        let size: usize = self.parts.iter().map(|part| part.column.row(row).len()).sum();
        self.each(row, |bytes| keys.bytes.extend_from_slice(bytes));
        if size + 5 * self.parts.len() > MAX_PLAIN_BYTES {
            // Hashing all bytes in one call is much faster than one call per piece.
            let hash = blake3::hash(keys.bytes.get(start + 1..).unwrap_or_default());
            keys.bytes.truncate(start);
            keys.bytes.push(HASHED);
            keys.bytes.extend_from_slice(hash.as_bytes().get(..HASH_BYTES).unwrap_or_default());
        }
        keys.end_row();
        true
    }

    /// Gives the parts of a row's key, each with its length, to `take`.
    fn each(&mut self, row: usize, mut take: impl FnMut(&[u8])) {
        let Self { parts, found, spans } = self;
        for part in parts.iter() {
            if part.column.kind(row) <= Kind::Null {
                take(&u32::MAX.to_le_bytes());
                continue;
            }
            let text = part.column.row(row);
            spans.clear();
            if !part.ignored.is_empty() {
                found.clear();
                found.resize(part.ignored.len(), None);
                let paths: Vec<&Path> = part.ignored.iter().collect();
                // A text that is not JSON is compared as a whole.
                if json::find_many(text, &paths, found).is_ok() {
                    spans.extend(found.iter().flatten().map(|value| (value.start, value.end)));
                    spans.sort_unstable();
                }
            }
            let mut at = 0;
            for &(start, end) in spans.iter() {
                // One ignored value can be inside another.
                if start >= at {
                    piece(text.get(at..start).unwrap_or_default(), &mut take);
                    at = end;
                }
            }
            piece(text.get(at..).unwrap_or_default(), &mut take);
            take(&[u8::MAX; 4]);
        }
    }
}

/// The field of the key that contains a path, and the path within it.
fn within(fields: &[(String, &String)], path: &str) -> Result<(usize, Path), String> {
    let inside = |(index, (_, name)): (usize, &(String, &String))| {
        let rest = path.strip_prefix(name.as_str())?;
        rest.starts_with(['.', '[']).then(|| (index, rest.strip_prefix('.').unwrap_or(rest)))
    };
    let Some((index, rest)) = fields.iter().enumerate().find_map(inside) else {
        let names: Vec<&str> = fields.iter().map(|(_, name)| name.as_str()).collect();
        return Err(format!("`{path}` is not within a field of `key`: {}", names.join(", ")));
    };
    let path = Path::parse(rest).map_err(|error| error.to_string())?;
    match path.around_each() {
        Some(_) => Err("a path to ignore cannot contain `[*]`".to_owned()),
        None => Ok((index, path)),
    }
}

fn piece(text: &[u8], take: &mut impl FnMut(&[u8])) {
    // With its length, since `ab` and `c` are not `a` and `bc`.
    take(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
    take(text);
}
