//! A sink as workers see it.

use std::sync::Arc;

use wattle_buffer::Queue;
use wattle_buffer::disk::BufferStats;
use wattle_sink::{Encoder, Payload, SinkStats};

/// The way to a sink. The queue closes when the last generation and lane drop the handle.
pub(crate) struct SinkHandle {
    pub(crate) encoder: Arc<dyn Encoder>,
    pub(crate) queue: Queue<Payload>,
    pub(crate) stats: Arc<SinkStats>,
    /// Counts for events that do not fit, for a sink with `when_full = "drop_newest"` and a memory
    /// buffer.
    pub(crate) drop_newest: Option<Arc<BufferStats>>,
}

impl Drop for SinkHandle {
    fn drop(&mut self) {
        self.queue.close();
    }
}
