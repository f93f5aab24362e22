//! The threads that serve sources, sinks and timers. Guests never run on them.

use std::io;

use tokio::runtime::{Builder, Runtime};

/// Starts this number of threads, `[agent] io_threads`.
pub(crate) fn start(threads: usize) -> io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(threads).thread_name("wattle-io").enable_all().build()
}
