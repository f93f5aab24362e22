//! The containers that are open during a check.

use crate::{Error, ErrorKind};

/// Which containers are open: one bit each, 1 for an object, the innermost lowest.
#[derive(Clone)]
pub(super) struct Nest {
    pub(super) depth: usize,
    max_depth: usize,
    /// The innermost 1 to 64.
    near: u64,
    /// The outer ones, in full words.
    far: Vec<u64>,
}

impl Nest {
    pub(super) const fn new(max_depth: usize) -> Self {
        Self { depth: 0, max_depth, near: 0, far: Vec::new() }
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
        self.depth += 1;
        self.near = self.near << 1 | u64::from(object);
        Ok(())
    }

    /// Closes the innermost container at `at`; returns the offset after the bracket.
    #[inline]
    pub(super) fn pop(&mut self, at: usize) -> usize {
        self.depth -= 1;
        self.near >>= 1;
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.near = self.far.pop().unwrap_or_default();
        }
        at + 1
    }
}
