//! Threads for work that blocks, and how a future hears of their end.

use tokio::sync::oneshot;

use crate::source::SourceError;

/// A thread at work. Dropping this does not end the thread: it must notice by itself that nobody listens.
pub(crate) struct Worker {
    result: oneshot::Receiver<Result<(), SourceError>>,
    name: String,
}

impl Worker {
    /// Starts a thread.
    ///
    /// Threads of their own rather than tokio's: a read that never comes back must not keep the runtime from ending.
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
            .map_err(|error| SourceError { message: format!("thread `{name}` cannot be started: {error}") })?;
        Ok(Self { result, name })
    }

    /// Waits for the end of the thread.
    pub(crate) async fn finished(self) -> Result<(), SourceError> {
        match self.result.await {
            Ok(result) => result,
            Err(_) => Err(SourceError { message: format!("thread `{}` broke off; this is a bug", self.name) }),
        }
    }
}
