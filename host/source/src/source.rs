//! What a source is, and what it is given to run.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use wattle_batch::{Batch, Origin};
use wattle_buffer::{Queue, Sized};

use crate::error::SourceError;
use crate::listeners::Listeners;
use crate::stats::SourceStats;

/// A batch on its way to the workers.
pub struct Batches(pub Batch);

impl Sized for Batches {
    fn byte_len(&self) -> usize {
        // An empty body takes a place all the same.
        self.0.byte_len() + 64 * self.0.rows()
    }

    fn event_count(&self) -> usize {
        self.0.rows()
    }
}

/// When a batch is closed.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// Bytes of bodies; one event may be larger.
    pub max_bytes: usize,
    /// Number of events.
    pub max_events: usize,
    /// Age of the oldest event.
    pub max_age: Duration,
}

/// Tells a source to stop taking in. Clones hear the same.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// A stop signal and the sender that gives it by sending `true`.
    pub fn new() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    /// Whether it is time to stop.
    pub fn is_stopped(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is time to stop.
    pub async fn stopped(&mut self) {
        // A sender that is gone means the same.
        let _ = self.0.wait_for(|stop| *stop).await;
    }
}

/// What a source is given to run.
pub struct SourceContext {
    /// Name of the source in the configuration.
    pub name: Arc<str>,
    /// Where batches go. A full queue makes the source wait; a closed one means stop.
    pub output: Queue<Batches>,
    /// When to stop.
    pub stop: Stop,
    /// Take what is there now, and end.
    pub once: bool,
    /// The agent's data folder; a source keeps its own files in `sources/<name>/` below it.
    pub data_dir: PathBuf,
    /// When to close a batch.
    pub limits: BatchLimits,
    /// Where to count.
    pub stats: Arc<SourceStats>,
}

impl SourceContext {
    /// The origin of events taken in now. `resource` is added to the object `source` of the resource, such as
    /// `("path", "/var/log/a.json")`.
    pub fn origin(&self, type_name: &str, resource: &[(&str, &str)]) -> Arc<Origin> {
        let mut source = serde_json::Map::new();
        source.insert("name".into(), self.name.as_ref().into());
        source.insert("type".into(), type_name.into());
        for (key, value) in resource {
            source.insert((*key).into(), (*value).into());
        }
        let observed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
        Arc::new(Origin {
            source: self.name.clone(),
            resource: serde_json::json!({ "source": source }).to_string().into(),
            observed: i64::try_from(observed).unwrap_or(i64::MAX),
        })
    }
}

/// A source that is ready to run.
pub trait Source: Send {
    /// Takes the listening socket of the source, if it has one, before the source runs. So an address that is in use
    /// refuses a new configuration instead of ending a running source.
    ///
    /// # Errors
    ///
    /// The source cannot listen on its address.
    fn listen(&mut self, _listeners: &Listeners) -> Result<(), SourceError> {
        Ok(())
    }

    /// Runs until the input ends or the context stops the source; then waits for the acknowledgements of all batches, so
    /// that positions are saved when it returns. The caller limits this wait by dropping the future.
    ///
    /// # Errors
    ///
    /// The source ended before its input did.
    fn run(self: Box<Self>, context: SourceContext) -> Pin<Box<dyn Future<Output = Result<(), SourceError>> + Send>>;
}
