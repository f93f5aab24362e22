//! Queues between the parts of the agent, in memory or on disk, bounded in bytes, so that memory
//! does not grow with the backlog.

pub mod disk;
mod queue;

pub use queue::{Closed, Queue, Sized, Usage};
