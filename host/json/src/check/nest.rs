//! The containers that are open during a check, and where the outer ones were.

use crate::{Error, ErrorKind};

/// Containers in at most this many others are noted: a document, its arrays, and their elements.
const NOTED_DEPTH: usize = 3;
/// Nothing is noted of a text with more of their brackets than one in this many bytes, beyond the first few: the notes could
/// take more memory than the text.
const BYTES_PER_BRACKET: usize = 16;
const MIN_NOTED: usize = 256;

/// Which containers are open: one bit each, 1 for an object, the innermost lowest.
#[derive(Clone)]
pub(super) struct Nest {
    pub(super) depth: usize,
    max_depth: usize,
    /// The innermost 1 to 64.
    near: u64,
    /// The outer ones, in full words.
    far: Vec<u64>,
    /// The most that were open at once.
    pub(super) deepest: usize,
    /// The brackets of the outer containers, in order; `None` if nobody asks for them.
    pub(super) noted: Option<Vec<u32>>,
}

impl Nest {
    pub(super) const fn new(max_depth: usize) -> Self {
        Self { depth: 0, max_depth, near: 0, far: Vec::new(), deepest: 0, noted: None }
    }

    /// The same state for a check that goes on from here, with nothing noted yet.
    pub(super) fn fork(&self) -> Self {
        Self { far: self.far.clone(), noted: self.noted.as_ref().map(|_| Vec::new()), ..*self }
    }

    /// Notes a bracket of a container that is in `depth` others.
    #[inline]
    fn note(&mut self, at: usize, depth: usize) {
        if depth >= NOTED_DEPTH {
            return;
        }
        if let Some(noted) = self.noted.as_mut().filter(|noted| noted.len() <= MIN_NOTED + at / BYTES_PER_BRACKET) {
            // A text of 4 GiB is no event.
            noted.push(u32::try_from(at).unwrap_or(u32::MAX));
        } else {
            self.noted = None;
        }
    }

    #[inline]
    pub(super) const fn in_object(&self) -> bool {
        self.near & 1 == 1
    }

    /// All ones if the innermost container is an object.
    #[inline]
    pub(super) const fn in_object_mask(&self) -> u64 {
        (self.near & 1).wrapping_neg()
    }

    #[inline]
    pub(super) fn push(&mut self, object: bool, at: usize) -> Result<(), Error> {
        if self.depth == self.max_depth {
            return Err(Error::new(ErrorKind::TooDeep, at));
        }
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.far.push(self.near);
        }
        self.note(at, self.depth);
        self.depth += 1;
        self.deepest = self.deepest.max(self.depth);
        self.near = self.near << 1 | u64::from(object);
        Ok(())
    }

    /// Closes the innermost container at `at`; returns the offset after the bracket.
    #[inline]
    pub(super) fn pop(&mut self, at: usize) -> usize {
        self.depth -= 1;
        self.note(at, self.depth);
        self.near >>= 1;
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.near = self.far.pop().unwrap_or_default();
        }
        at + 1
    }
}
