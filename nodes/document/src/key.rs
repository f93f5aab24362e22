//! Keys of members: hashes, and keys that paths look for.

use std::cell::Cell;

use crate::content::Span;
use crate::documents::Documents;
use crate::node::NONE;

/// A key that a path looks for.
#[derive(Clone, Debug)]
pub struct Key {
    pub(crate) bytes: Box<[u8]>,
    pub(crate) hash: u32,
    /// The escaped key among the constants.
    pub(crate) written: Span,
    /// Number of the member that had the key in the last object. Events of one origin have their
    /// keys in one order, so the next object usually has it at the same place.
    pub(crate) guess: Cell<u32>,
    /// The shape of the object for which `guess` was right, so that it is right for each object of this shape.
    pub(crate) shape: Cell<u32>,
}

impl Documents {
    /// Prepares a key.
    pub(crate) fn constant_key(&mut self, key: &str) -> Key {
        let (written, _) = self.write_key(key.as_bytes());
        self.keep_constants();
        Key {
            bytes: key.as_bytes().into(),
            hash: hash(key.as_bytes()),
            written,
            guess: Cell::new(0),
            shape: Cell::new(NONE),
        }
    }
}

/// The bit of a hash in the filter of an object.
#[inline]
pub(crate) const fn filter_bit(hash: u32) -> u64 {
    1 << (hash >> 26)
}

/// Hash of a key: of its length, its first and its last bytes. Keys with equal hashes are compared.
#[inline]
pub(crate) fn hash(key: &[u8]) -> u32 {
    const FACTOR: u32 = 0x9e37_79b1;
    let length = key.len() as u32;
    let mixed = match (key.first_chunk::<4>(), key.last_chunk::<4>()) {
        (Some(first), Some(last)) => {
            u32::from_le_bytes(*first).wrapping_mul(FACTOR) ^ u32::from_le_bytes(*last).rotate_left(15)
        }
        _ => key.iter().fold(0, |hash, byte| hash << 8 | u32::from(*byte)),
    };
    (mixed ^ length).wrapping_mul(FACTOR)
}
