//! Queues between the parts of the agent, bounded in bytes, so that memory does not grow with the backlog.

mod queue;

pub use queue::{Closed, Queue, Sized, Usage};
