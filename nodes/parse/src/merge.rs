//! Merges the keys of two JSON objects as text.
//!
//! It does not look into values: an object inside an object is replaced or kept as a whole.

use wattle_node::json::{self, Kind, Value};

use crate::options::OnConflict;
use crate::texts::Texts;

/// The conflict: the key that both objects have, or `None` if the values themselves cannot be
/// merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Conflict(pub(crate) Option<String>);

/// Merges values. Keeps its memory from row to row.
#[derive(Debug, Default)]
pub(crate) struct Merger {
    /// The keys of the object that is copied as a whole.
    keys: Texts,
    /// Whether the value of each of them is null.
    nulls: Vec<bool>,
    /// Whether a value of the other object replaces each of them.
    replaced: Vec<bool>,
    /// Members of the other object.
    picked: Vec<u8>,
    key: Vec<u8>,
}

impl Merger {
    /// Appends to `out` what becomes of the value `old` with `new` put to it; both are valid JSON. A member that is null
    /// counts as none, so that it replaces no value and is in the way of none.
    ///
    /// # Errors
    ///
    /// Conflicts are to fail, and there is one.
    pub(crate) fn merge(&mut self, old: &[u8], new: &[u8], how: OnConflict, out: &mut Vec<u8>) -> Result<(), Conflict> {
        // Both are valid, so the first bytes show their types.
        let (old, new) = (old.trim_ascii(), new.trim_ascii());
        if !(old.starts_with(b"{") && new.starts_with(b"{")) {
            match how {
                OnConflict::Overwrite => out.extend_from_slice(new),
                OnConflict::Keep => out.extend_from_slice(old),
                OnConflict::Fail => return Err(Conflict(None)),
            }
            return Ok(());
        }
        // Copy one object unchanged, and the members of the other one whose keys the first one does
        // not have, or has with null.
        let (whole, picked) = if how == OnConflict::Overwrite { (new, old) } else { (old, new) };
        self.collect(whole);
        let conflict = self.pick(picked, how);
        out.push(b'{');
        let start = out.len();
        if how == OnConflict::Overwrite {
            out.append(&mut self.picked);
            self.copy(whole, start, out);
        } else {
            self.copy(whole, start, out);
            if !self.picked.is_empty() {
                separate(start, out);
                out.append(&mut self.picked);
            }
        }
        out.push(b'}');
        conflict.map_or(Ok(()), Err)
    }

    fn collect(&mut self, object: &[u8]) {
        let Self { keys, key, nulls, replaced, .. } = self;
        keys.clear();
        nulls.clear();
        members(object, |name, value| {
            key.clear();
            let key = content(name, key);
            keys.add(|out| out.extend_from_slice(key));
            nulls.push(value == b"null");
        });
        keys.sort();
        replaced.clear();
        replaced.resize(nulls.len(), false);
    }

    /// Writes the members of an object that stay beside the collected keys.
    fn pick(&mut self, object: &[u8], how: OnConflict) -> Option<Conflict> {
        let Self { keys, key, nulls, replaced, picked } = self;
        let mut conflict = None;
        picked.clear();
        members(object, |name, value| {
            key.clear();
            let key = content(name, key);
            if let Some(number) = keys.first(key) {
                if value == b"null" {
                    return;
                }
                if nulls.get(number) != Some(&true) {
                    if how == OnConflict::Fail && conflict.is_none() {
                        conflict = Some(Conflict(Some(shown(key))));
                    }
                    return;
                }
                if let Some(replaced) = replaced.get_mut(number) {
                    *replaced = true;
                }
            }
            separate(0, picked);
            picked.extend_from_slice(name);
            picked.push(b':');
            picked.extend_from_slice(value);
        });
        conflict
    }

    /// Appends the members of the collected object that are not replaced.
    fn copy(&mut self, object: &[u8], start: usize, out: &mut Vec<u8>) {
        let Self { keys, key, replaced, .. } = self;
        if !replaced.contains(&true) {
            return copy_members(object, keys.len(), start, out);
        }
        members(object, |name, value| {
            key.clear();
            let number = keys.first(content(name, key));
            if number.and_then(|number| replaced.get(number)) == Some(&true) {
                return;
            }
            separate(start, out);
            out.extend_from_slice(name);
            out.push(b':');
            out.extend_from_slice(value);
        });
    }
}

/// Appends the inside of an object with this number of members.
fn copy_members(object: &[u8], count: usize, start: usize, out: &mut Vec<u8>) {
    if count > 0 {
        separate(start, out);
        out.extend_from_slice(object.get(1..object.len() - 1).unwrap_or_default());
    }
}

fn separate(start: usize, out: &mut Vec<u8>) {
    if out.len() > start {
        out.push(b',');
    }
}

fn members(object: &[u8], mut found: impl FnMut(&[u8], &[u8])) {
    let root = Value { start: 0, end: object.len(), kind: Kind::Object };
    // The host validated the text, so there is no error to report.
    let _ = json::members(object, root, |key, value| found(key.text(object), value.text(object)));
}

/// The content of a string; unescaped into `memory` if it contains escapes.
fn content<'a>(string: &'a [u8], memory: &'a mut Vec<u8>) -> &'a [u8] {
    let inner = string.strip_prefix(b"\"").and_then(|s| s.strip_suffix(b"\"")).unwrap_or(string);
    if memchr::memchr(b'\\', inner).is_none() {
        return inner;
    }
    json::unescape_lossy(inner, memory);
    memory
}

/// A key for a message, shortened to a useful length.
fn shown(key: &[u8]) -> String {
    String::from_utf8_lossy(key).chars().take(64).collect()
}

#[cfg(test)]
mod tests;
