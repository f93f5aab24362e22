//! The key of a row: the values of some fields.

use std::hash::{BuildHasherDefault, Hasher};

use twox_hash::XxHash64;
use wattle_node::json::{self, Kind};
use wattle_node::{Batch, Column, Field, Form, Setup};

/// Bytes of each value of a key that [`Keys::write`] writes at most.
pub const MAX_SHOWN_BYTES: usize = 128;

/// 128 bits over the values of a key. Two keys of a million have the same hash with a probability of 10⁻²⁶.
///
/// Two XXH64 with different seeds, because their values are specified: a snapshot that holds them stays valid when a crate
/// is updated.
pub type KeyHash = u128;

/// Builds maps by [`KeyHash`], which is a hash already.
pub type HashedKey = BuildHasherDefault<Folded>;

/// Takes the lower half of a [`KeyHash`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Folded(u64);

impl Hasher for Folded {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "the lower half is a hash on its own")]
    fn write_u128(&mut self, hash: u128) {
        self.0 = hash as u64;
    }
}

/// The fields of a key.
#[derive(Debug, Default)]
pub struct Keys {
    names: Vec<String>,
    fields: Vec<Field>,
    columns: Vec<Column>,
    /// The row that was hashed last; its successors often have the same key.
    last: Option<(usize, Option<KeyHash>)>,
}

impl Keys {
    /// Resolves the fields of the option `at`. Without fields, all events have the same key. Returns `None` after it reported
    /// all errors to `setup`.
    pub fn new(at: &str, names: &[String], setup: &mut Setup<'_>) -> Option<Self> {
        let option = |index: usize| if names.len() == 1 { at.to_owned() } else { format!("{at}[{index}]") };
        // Resolve all fields before the first `None` ends the collection, to report every error at once.
        let fields: Vec<_> = names.iter().enumerate().map(|(i, name)| setup.read(&option(i), name)).collect();
        Some(Self { names: names.to_vec(), fields: fields.into_iter().collect::<Option<_>>()?, ..Self::default() })
    }

    /// The paths of the fields.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Reads the fields of a batch.
    pub fn read(&mut self, batch: &mut Batch<'_>) {
        self.columns.clear();
        self.columns.extend(self.fields.iter().map(|field| batch.read(*field, Form::Text)));
        self.last = None;
    }

    /// Forgets the batch.
    pub fn clear(&mut self) {
        self.columns.clear();
        self.last = None;
    }

    /// The hash of the key of a row; none if all of its fields are missing or null.
    pub fn hash(&mut self, row: usize) -> Option<KeyHash> {
        if let Some((last, hash)) = self.last
            && self
                .columns
                .iter()
                .all(|column| column.kind(last) == column.kind(row) && column.row(last) == column.row(row))
        {
            return hash;
        }
        let hash = self.hash_of(row);
        self.last = Some((row, hash));
        hash
    }

    fn hash_of(&self, row: usize) -> Option<KeyHash> {
        let is_there = |column: &Column| column.kind(row) > Kind::Null;
        if !self.columns.is_empty() && !self.columns.iter().any(is_there) {
            return None;
        }
        if let [column] = self.columns.as_slice() {
            return Some(join(|seed| XxHash64::oneshot(seed, column.row(row))));
        }
        Some(join(|seed| {
            let mut hasher = XxHash64::with_seed(seed);
            for column in &self.columns {
                let text = if is_there(column) { column.row(row) } else { &[] };
                // With its length, since `ab` and `c` are not `a` and `bc`; a missing value is not an empty one.
                let length = if is_there(column) { text.len() as u64 } else { u64::MAX };
                hasher.write(&length.to_le_bytes());
                hasher.write(text);
            }
            hasher.finish()
        }))
    }

    /// Appends the key of a row as a JSON object with the texts of its fields, each cut at [`MAX_SHOWN_BYTES`].
    pub fn write(&self, row: usize, out: &mut Vec<u8>) {
        out.push(b'{');
        for (index, (name, column)) in self.names.iter().zip(&self.columns).enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write_string(name, out);
            out.push(b':');
            if column.kind(row) > Kind::Null {
                let text = column.row(row);
                let shown = text.get(..MAX_SHOWN_BYTES).unwrap_or(text);
                write_string(&cut(&String::from_utf8_lossy(shown), shown.len() < text.len()), out);
            } else {
                out.extend_from_slice(b"null");
            }
        }
        out.push(b'}');
    }
}

/// A text whose end may have cut a character in two.
fn cut(text: &str, is_cut: bool) -> String {
    if is_cut { format!("{}…", text.trim_end_matches('\u{fffd}')) } else { text.to_owned() }
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    json::escape(text.as_bytes(), out);
    out.push(b'"');
}

fn join(hash: impl Fn(u64) -> u64) -> KeyHash {
    u128::from(hash(0)) << 64 | u128::from(hash(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(values: &[Option<&str>]) -> Column {
        let mut column = Column { offsets: vec![0], ..Column::default() };
        let mut bytes = Vec::new();
        for value in values {
            bytes.extend_from_slice(value.unwrap_or_default().as_bytes());
            column.offsets.push(u32::try_from(bytes.len()).unwrap());
            column.kinds.push(if value.is_some() { 4 } else { 0 });
        }
        column.bytes = bytes.into();
        column
    }

    fn keys(columns: Vec<Column>) -> Keys {
        let names = (0..columns.len()).map(|i| format!("attributes.f{i}")).collect();
        Keys { names, columns, ..Keys::default() }
    }

    #[test]
    fn keys_differ_by_every_value_and_never_change() {
        let texts: [&[Option<&str>]; 2] =
            [&[Some("ab"), Some("a"), Some(""), None, None], &[Some("c"), Some("bc"), None, Some(""), None]];
        let mut two = keys(texts.map(column).to_vec());
        let hashes: Vec<_> = (0..5).map(|row| two.hash(row)).collect();
        assert_eq!(hashes[4], None);
        let distinct: std::collections::BTreeSet<_> = hashes.iter().collect();
        assert_eq!(distinct.len(), 5);
        let mut one = keys(vec![column(&[Some("abc"), Some("abc"), Some("abd")])]);
        assert_eq!(one.hash(0), Some(0x44bc_2cf5_ad77_0999_u128 << 64 | u128::from(XxHash64::oneshot(1, b"abc"))));
        assert_eq!(one.hash(1), one.hash(0));
        assert_ne!(one.hash(2), one.hash(0));
        assert!(keys(Vec::new()).hash(7).is_some());
    }

    #[test]
    fn keys_are_shown_as_json_of_limited_length() {
        let long = "é".repeat(200);
        let shown = |keys: Keys, row| {
            let mut out = Vec::new();
            keys.write(row, &mut out);
            serde_json_check(&out);
            String::from_utf8(out).unwrap()
        };
        let both = || keys(vec![column(&[Some("a\"b"), Some(&long)]), column(&[None, Some("x")])]);
        assert_eq!(shown(both(), 0), r#"{"attributes.f0":"a\"b","attributes.f1":null}"#);
        let cut = format!(r#"{{"attributes.f0":"{}…","attributes.f1":"x"}}"#, "é".repeat(64));
        assert_eq!(shown(both(), 1), cut);
    }

    fn serde_json_check(text: &[u8]) {
        assert_eq!(json::check(text, 8).map_err(|e| e.to_string()), Ok(Kind::Object));
    }
}
