//! What nodes with memory share: the bytes of their snapshots, the ids of the events that they make, and windows of time.
//!
//! The format is written by hand and not by a crate of serialization: a snapshot comes from a disk that may be damaged, so
//! each length is checked against what is left before anything is allocated, and its bytes must not change with a release
//! of a crate. Both take fewer lines than the types of a derive would.

mod id;
mod read;
mod window;
mod write;

pub use id::{EventId, hash, write_hex};
pub use read::{Damaged, Reader};
pub use window::{Window, align};
pub use write::Writer;
