//! Objects in which no field occurs twice. To readers of the Elastic Common Schema, a member `a.b` and a member `b` of the
//! object `a` are the same field, and an object with a key twice is an error.

use wattle_document::{Documents, Place, UniqueKeys};
use wattle_node::json::Kind;

use super::json::write_string;

/// Objects below this depth keep their bytes.
const MAX_DEPTH: usize = 64;

/// A field that is written in any case, and its text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken<'a> {
    /// Its path with dots.
    pub(crate) path: &'a str,
    pub(crate) text: &'a [u8],
}

/// Whether each field of an object can occur only once: no key has a dot, and no object has a key twice.
pub(crate) fn is_distinct(documents: &mut Documents, object: Place) -> bool {
    is_distinct_below(documents, object, MAX_DEPTH)
}

fn is_distinct_below(documents: &mut Documents, object: Place, depth: usize) -> bool {
    let mut memory = Vec::new();
    let mut child = documents.first(object);
    while let Some(place) = child {
        if documents.key(place, &mut memory).contains(&b'.') {
            return false;
        }
        let is_walked = depth > 0 && documents.kind(place) == Kind::Object;
        if is_walked && !is_distinct_below(documents, place, depth - 1) {
            return false;
        }
        child = documents.next(place);
    }
    !documents.may_repeat_keys(object)
}

/// Appends an object in which the first of the members that are the same field keeps its key, and each further one gets a
/// number. The taken fields are left free: a member with the same text, or null, is left out, and others get a number.
pub(crate) fn write(documents: &mut Documents, object: Place, taken: &[Taken<'_>], out: &mut Vec<u8>) {
    let mut paths = UniqueKeys::default();
    taken.iter().for_each(|field| paths.add(&mut field.path.into(), 0, usize::MAX));
    Writer { documents, taken, paths, memory: Vec::new() }.object(object, &mut Vec::new(), MAX_DEPTH, out);
}

struct Writer<'a> {
    documents: &'a mut Documents,
    taken: &'a [Taken<'a>],
    /// The fields that were written, other than objects.
    paths: UniqueKeys,
    memory: Vec<u8>,
}

impl Writer<'_> {
    /// Writes an object; `path` is empty, or the path of the object with a dot after it.
    fn object(&mut self, object: Place, path: &mut Vec<u8>, depth: usize, out: &mut Vec<u8>) {
        out.push(b'{');
        let first = out.len();
        let start = path.len();
        let mut keys = UniqueKeys::default();
        let mut child = self.documents.first(object);
        while let Some(place) = child {
            child = self.documents.next(place);
            let is_object = depth > 0 && self.documents.kind(place) == Kind::Object;
            path.extend_from_slice(self.documents.key(place, &mut self.memory));
            if !self.is_left_out(place, path) {
                self.move_away(path, start, is_object);
                self.claim(path, start, is_object, &mut keys);
                if out.len() > first {
                    out.push(b',');
                }
                write_string(path.get(start..).unwrap_or_default(), out);
                out.push(b':');
                if is_object {
                    path.push(b'.');
                    self.object(place, path, depth - 1, out);
                } else {
                    let content = self.documents.content(place);
                    self.documents.json(content, out);
                }
            }
            path.truncate(start);
        }
        out.push(b'}');
    }

    /// Whether a member is a taken field with the same text, or without a value.
    fn is_left_out(&mut self, place: Place, path: &[u8]) -> bool {
        let Some(field) = self.taken.iter().find(|field| field.path.as_bytes() == path) else { return false };
        let content = self.documents.content(place);
        match content.kind() {
            Kind::Missing | Kind::Null => true,
            Kind::String => self.documents.text(content, &mut self.memory) == field.text,
            _ => false,
        }
    }

    /// Gives a number to the part of a key that would make a taken field an object.
    fn move_away(&self, path: &mut Vec<u8>, start: usize, is_object: bool) {
        let end = self.taken.iter().find_map(|field| {
            let below = path.strip_prefix(field.path.as_bytes())?;
            let is_in_it = below.first() == Some(&b'.') || (below.is_empty() && is_object);
            (is_in_it && field.path.len() > start).then_some(field.path.len())
        });
        if let Some(end) = end {
            path.splice(end..end, *b"_2");
        }
    }

    /// Gives a number to the key that begins at `start`, if the object has it or the field was written.
    fn claim(&mut self, path: &mut Vec<u8>, start: usize, is_object: bool, keys: &mut UniqueKeys) {
        keys.add(path, start, usize::MAX);
        if is_object {
            // Two objects with one path can have different fields.
            return;
        }
        loop {
            let length = path.len();
            self.paths.add(path, 0, usize::MAX);
            if path.len() == length {
                return;
            }
            let length = path.len();
            keys.add(path, start, usize::MAX);
            if path.len() == length {
                return;
            }
        }
    }
}
