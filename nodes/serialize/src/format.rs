//! The formats. Each writes the text of one row from its members and its header.

pub(crate) mod cef;
pub(crate) mod csv;
mod distinct;
pub(crate) mod ecs;
pub(crate) mod json;
pub(crate) mod leef;
pub(crate) mod otlp;
pub(crate) mod pairs;
pub(crate) mod syslog;

use wattle_convert::time::{Context, Format};
use wattle_document::{Content, Documents, UniqueKeys};
use wattle_node::json::Kind;

use crate::header::Header;
use crate::members::{Member, Members};

/// What a row is written from.
pub(crate) struct Row<'a> {
    pub(crate) documents: &'a Documents,
    pub(crate) members: &'a Members,
    pub(crate) header: &'a Header,
    /// The keys that were written, so that no key is written twice.
    pub(crate) keys: &'a mut UniqueKeys,
}

impl<'a> Row<'a> {
    /// The members that have a value other than null, with their keys.
    pub(crate) fn present(&self) -> impl Iterator<Item = (&'a [u8], Content)> + use<'a> {
        let members = self.members;
        let is_present = |member: &&Member| member.value.kind() > Kind::Null;
        members.list().iter().filter(is_present).map(|member| (members.key(member), member.value))
    }
}

/// Appends a text; `replace` gives what stands for a byte, if not the byte itself.
pub(crate) fn escape(text: &[u8], out: &mut Vec<u8>, replace: impl Fn(u8) -> Option<&'static [u8]>) {
    for &byte in text {
        match replace(byte) {
            Some(other) => out.extend_from_slice(other),
            None => out.push(byte),
        }
    }
}

/// Appends a text that may have these bytes only; each other one becomes `_`, and so does an empty text.
pub(crate) fn write_name(name: &[u8], out: &mut Vec<u8>, fits: impl Fn(u8) -> bool) {
    // No format can read a key without a character.
    let name = if name.is_empty() { b"_" } else { name };
    out.extend(name.iter().map(|&byte| if fits(byte) { byte } else { b'_' }));
}

/// Appends the key of a member, as [`write_name`] does. A key that was written before gets a number.
pub(crate) fn write_key(key: &[u8], keys: &mut UniqueKeys, out: &mut Vec<u8>, fits: impl Fn(u8) -> bool) {
    let start = out.len();
    write_name(key, out, fits);
    keys.add(out, start, usize::MAX);
}

/// Nanoseconds since 1970 of a time of RFC 3339.
pub(crate) fn nanoseconds(text: &[u8]) -> Option<i64> {
    Format::Rfc3339.parse_any_in(text, &Context::UTC)
}
