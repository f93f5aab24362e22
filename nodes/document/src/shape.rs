//! Shapes of objects: the texts between the values, remembered from object to object.
//!
//! Events of one origin have the same keys in the same order, with the same white space. An object that has the shape of
//! one before needs one comparison per member where otherwise a key is looked for, hashed and checked for duplicates;
//! and paths know which member a key is without comparing keys.

use crate::bytes::same;
use crate::content::Span;
use crate::node::{NONE, Node};

/// How many shapes are remembered. Objects with the same beginning share a slot.
const SLOTS: usize = 16;
/// Objects with more members have no shape.
const MAX_MEMBERS: usize = 256;
/// After so many objects of a slot that do not fit, the slot takes the shape of the last one.
const MAX_MISSES: u8 = 3;

/// What stands before a value: a bracket or a comma, the key and the colon, with white space.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    start: u32,
    end: u32,
    /// The content of the key, from the beginning of the piece.
    key_start: u32,
    key_end: u32,
    pub(crate) hash: u32,
    pub(crate) flags: u8,
}

impl Piece {
    /// The content of the key of a piece that stands at this place.
    #[inline]
    pub(crate) const fn key(&self, at: usize) -> Span {
        Span { start: at as u32 + self.key_start, end: at as u32 + self.key_end }
    }
}

/// The shape of an object.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    /// Differs from shape to shape, also of the same slot.
    pub(crate) number: u32,
    /// All pieces, one after the other.
    text: Vec<u8>,
    pieces: Vec<Piece>,
    /// What [`List`](crate::node::List) has of it.
    pub(crate) filter: u64,
    /// Flags of the object.
    pub(crate) flags: u8,
    misses: u8,
}

/// The shapes of the objects before.
#[derive(Debug)]
pub(crate) struct Shapes {
    slots: Vec<Shape>,
    last: u32,
}

impl Default for Shapes {
    fn default() -> Self {
        let mut slots = Vec::new();
        slots.resize_with(SLOTS, Shape::default);
        Self { slots, last: 0 }
    }
}

impl Shapes {
    /// The shape that an object may have which begins like this, and its slot.
    #[inline]
    pub(crate) fn of(&self, object: &[u8]) -> (usize, Option<&Shape>) {
        let word = object.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let slot = (word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60) as usize % SLOTS;
        (slot, self.slots.get(slot))
    }

    /// Notes that an object did not have the shape of its slot. `members` are its members.
    #[cold]
    pub(crate) fn miss(&mut self, slot: usize, text: &[u8], start: usize, members: &[Node], filter: u64, flags: u8) {
        let Some(shape) = self.slots.get_mut(slot) else { return };
        shape.misses += 1;
        if shape.misses < MAX_MISSES && !shape.pieces.is_empty() || members.len() > MAX_MEMBERS {
            shape.misses %= MAX_MISSES;
            return;
        }
        self.last = self.last.wrapping_add(1) % NONE;
        *shape = Shape {
            number: self.last,
            text: std::mem::take(&mut shape.text),
            pieces: std::mem::take(&mut shape.pieces),
            filter,
            flags,
            misses: 0,
        };
        shape.text.clear();
        shape.pieces.clear();
        let mut before = start;
        for member in members {
            let at = shape.text.len() as u32;
            shape.text.extend_from_slice(text.get(before..member.value.start as usize).unwrap_or_default());
            shape.pieces.push(Piece {
                start: at,
                end: shape.text.len() as u32,
                key_start: member.key.start - before as u32,
                key_end: member.key.end - before as u32,
                hash: member.hash,
                flags: member.flags,
            });
            before = member.value.end as usize;
        }
    }
}

impl Shape {
    /// How many members an object of this shape has.
    pub(crate) fn len(&self) -> usize {
        self.pieces.len()
    }

    pub(crate) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Where the value after a piece begins, if the piece stands at this place of a text.
    #[inline]
    pub(crate) fn follow(&self, piece: &Piece, text: &[u8], at: usize) -> Option<usize> {
        let wanted = self.text.get(piece.start as usize..piece.end as usize)?;
        let end = at + wanted.len();
        same(text.get(at..end)?, wanted).then_some(end)
    }

    /// The place after the next piece that has this key.
    pub(crate) fn after(&self, index: usize, hash: u32) -> Option<usize> {
        let rest = self.pieces.get(index..)?;
        Some(index + rest.iter().position(|piece| piece.hash == hash)? + 1)
    }
}
