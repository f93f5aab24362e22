//! Threads for blocking work.

use tokio::sync::oneshot;

use crate::error::SourceError;

/// A running thread. Dropping this does not end the thread: it ends when it finds that its receiver
/// is closed.
pub(crate) struct Worker {
    result: oneshot::Receiver<Result<(), SourceError>>,
    name: String,
}

impl Worker {
    /// Starts a thread.
    ///
    /// It is not a thread of tokio, since a read that never returns would keep the runtime from
    /// ending.
    pub(crate) fn spawn(
        name: String,
        work: impl FnOnce() -> Result<(), SourceError> + Send + 'static,
    ) -> Result<Self, SourceError> {
        let (sender, result) = oneshot::channel();
        std::thread::Builder::new()
            .name(name.clone())
            .spawn(move || {
                let _ = sender.send(work());
            })
            .map_err(|error| SourceError::Thread { name: name.clone(), error })?;
        Ok(Self { result, name })
    }

    /// Waits for the end of the thread.
    pub(crate) async fn finished(self) -> Result<(), SourceError> {
        match self.result.await {
            Ok(result) => result,
            Err(_) => Err(SourceError::ThreadPanicked(self.name)),
        }
    }
}
