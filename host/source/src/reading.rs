//! Reads events from an input of bytes, for every source: decompression, encoding, framing and
//! limits of batches.
//!
//! A source chooses one of two readers by what its input can do. [`Reading`] reads an input that can
//! be read again from a position, such as a file or an object in a store. [`Stream`] reads an input
//! once, such as standard input or a socket. Neither depends on the origin of the bytes: the source
//! opens the input, attaches acknowledgements to the events, and decides when to read again.

mod seekable;
mod stream;
mod turns;

pub(crate) use seekable::{End, Flow, Part, Reading};
pub(crate) use stream::{Receive, Stream};
pub(crate) use turns::Turns;

use crate::decompress::ReadFailure;
use crate::frame::EventTooLong;

/// An error that prevents reading an input to its end. The text continues a sentence that begins
/// with the name of the input.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error(transparent)]
    Read(#[from] ReadFailure),
    #[error("cannot be read: {0}")]
    TooLong(#[from] EventTooLong),
}

#[cfg(test)]
mod tests;
