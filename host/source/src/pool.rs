//! Reusable read buffers. A new buffer costs a page fault per 4 KiB, which took a seventh of the
//! CPU time of the CloudTrail pack on standard input.
//!
//! A batch holds its buffer as [`Bytes`]. The buffer returns to the pool when its last slice is
//! dropped.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Maximum size of all free buffers in bytes; more can be in use.
const MAX_KEPT_BYTES: usize = 16 << 20;
/// Larger buffers are freed, so that one huge event does not keep memory.
const MAX_BUFFER_BYTES: usize = 4 << 20;

/// Free buffers. Clones share the pool.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pool(Arc<Mutex<Vec<Vec<u8>>>>);

impl Pool {
    /// Returns a buffer of at least this length, and at most twice it, with undefined contents.
    pub(crate) fn take(&self, len: usize) -> Vec<u8> {
        // Few different lengths, so that a returned buffer fits the next use.
        let len = len.next_power_of_two();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = kept.iter().rposition(|b| b.len() == len) {
            return kept.remove(index);
        }
        drop(kept);
        vec![0; len]
    }

    /// Returns the first `used` bytes of a buffer, which returns to the pool when they are dropped.
    pub(crate) fn share(&self, buffer: Vec<u8>, used: usize) -> Bytes {
        // A few bytes in a queue must not keep a whole buffer in memory, because the queue counts
        // only the bytes.
        if used < buffer.len() / 4 {
            let few = Bytes::copy_from_slice(buffer.get(..used).unwrap_or_default());
            self.give_back(buffer);
            return few;
        }
        Bytes::from_owner(Pooled { buffer, used, pool: self.clone() })
    }

    pub(crate) fn give_back(&self, buffer: Vec<u8>) {
        if buffer.len() > MAX_BUFFER_BYTES {
            return;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes: usize = buffer.len() + kept.iter().map(Vec::len).sum::<usize>();
        // Buffers with unused lengths are at the front, because used ones move to the end.
        while bytes > MAX_KEPT_BYTES && !kept.is_empty() {
            bytes -= kept.remove(0).len();
        }
        kept.push(buffer);
    }
}

struct Pooled {
    buffer: Vec<u8>,
    used: usize,
    pool: Pool,
}

impl AsRef<[u8]> for Pooled {
    fn as_ref(&self) -> &[u8] {
        self.buffer.get(..self.used).unwrap_or_default()
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        self.pool.give_back(std::mem::take(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_returns_when_its_last_slice_is_dropped() {
        let pool = Pool::default();
        let mut buffer = pool.take(8);
        buffer.copy_from_slice(b"abcdefgh");
        let place = buffer.as_ptr();
        let bytes = pool.share(buffer, 6);
        let slice = bytes.slice(2..4);
        drop(bytes);
        let other = pool.take(8);
        assert_ne!(other.as_ptr(), place, "another slice still exists");
        assert_eq!(&slice[..], b"cd");
        drop(slice);
        let again = pool.take(7);
        assert_eq!(again.as_ptr(), place);
    }

    #[test]
    fn few_bytes_are_copied_and_huge_buffers_are_freed() {
        let pool = Pool::default();
        let buffer = pool.take(100);
        let place = buffer.as_ptr();
        let few = pool.share(buffer, 3);
        assert_eq!(few.len(), 3);
        let again = pool.take(100);
        assert_eq!(again.as_ptr(), place, "the buffer returned at once");
        drop(pool.share(vec![0; MAX_BUFFER_BYTES + 1], MAX_BUFFER_BYTES + 1));
        assert!(pool.0.lock().unwrap().is_empty());
    }

    #[test]
    fn free_buffers_are_bounded_and_used_lengths_stay() {
        let pool = Pool::default();
        let old = pool.take(100);
        let buffers: Vec<Vec<u8>> = (0..5).map(|_| pool.take(MAX_BUFFER_BYTES)).collect();
        pool.give_back(old);
        buffers.into_iter().for_each(|b| pool.give_back(b));
        let lengths: Vec<usize> = pool.0.lock().unwrap().iter().map(Vec::len).collect();
        assert_eq!(lengths, [MAX_BUFFER_BYTES; 4]);
    }
}
