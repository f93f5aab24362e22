//! One value in a document, as the arena keeps it.

use wattle_json::Kind;

use crate::content::{Content, Span};
use crate::documents::SCRATCH;

/// The place of a value in an open document: a root, a member or an element. It is valid until the
/// arena is cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place(pub(crate) u32);

/// Stands for no node.
pub(crate) const NONE: u32 = u32::MAX;

/// The list of children was made.
pub(crate) const EXPANDED: u8 = 1;
/// Something below the value changed, so that its text no longer holds.
pub(crate) const DIRTY: u8 = 1 << 1;
/// The value is no longer part of its document.
pub(crate) const REMOVED: u8 = 1 << 2;
/// The text is that of a string without quotes and escapes.
pub(crate) const RAW: u8 = 1 << 3;
/// The key holds escapes.
pub(crate) const ESCAPED: u8 = 1 << 4;
/// The key is not the one before the value in the text of the container.
pub(crate) const NEW_KEY: u8 = 1 << 5;
/// The value is not the one in the text of the container.
pub(crate) const NEW_VALUE: u8 = 1 << 6;
/// An object in which a key may occur twice.
pub(crate) const DUPLICATES: u8 = 1 << 7;

/// The children of a container.
#[derive(Clone, Copy, Debug)]
pub(crate) struct List {
    pub(crate) first: u32,
    pub(crate) last: u32,
    /// How many children the text had; their numbers follow each other from `first`.
    pub(crate) count: u32,
    /// How many children the list has, also those that are removed.
    pub(crate) total: u32,
    /// Bits of the hashes of keys, so that most keys that are missing are not looked for.
    pub(crate) filter: u64,
    /// Number of the [`Shape`](crate::shape::Shape) that the text of an object has.
    pub(crate) shape: u32,
    /// Members were added or renamed.
    pub(crate) has_new_keys: bool,
}

/// A value in a document, with its key if it is a member.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    /// Content of the key, without quotes.
    pub(crate) key: Span,
    pub(crate) value: Span,
    /// Hash of the unescaped key.
    pub(crate) hash: u32,
    pub(crate) parent: u32,
    /// The next sibling.
    pub(crate) next: u32,
    /// The number of the list of children, once expanded.
    pub(crate) list: u32,
    pub(crate) kind: Kind,
    pub(crate) flags: u8,
    pub(crate) key_origin: u8,
    pub(crate) origin: u8,
}

impl Node {
    pub(crate) const fn new(content: Content, parent: u32) -> Self {
        Self {
            key: Span { start: 0, end: 0 },
            value: content.span,
            hash: 0,
            parent,
            next: NONE,
            list: NONE,
            kind: content.kind,
            flags: if content.is_raw { RAW } else { 0 },
            key_origin: SCRATCH,
            origin: content.origin,
        }
    }

    pub(crate) const fn has(&self, flags: u8) -> bool {
        self.flags & flags != 0
    }

    /// The value, as it was before children changed.
    pub(crate) const fn content(&self) -> Content {
        Content { span: self.value, origin: self.origin, kind: self.kind, is_raw: self.has(RAW) }
    }
}
