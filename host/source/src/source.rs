//! The trait of sources, and the context in which a source runs.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::watch;
use wattle_batch::{Batch, Origin};
use wattle_buffer::{Queue, Sized};

use crate::assemble::BatchLimits;
use crate::error::SourceError;
use crate::stats::SourceStats;
use crate::waits::{InputEnd, Wait, Waits};
use wattle_listen::Listeners;

/// A batch for the workers.
pub struct Batches(pub Batch);

impl Sized for Batches {
    fn byte_len(&self) -> usize {
        // Rows with empty bodies use memory too.
        self.0.byte_len() + 64 * self.0.rows()
    }

    fn event_count(&self) -> usize {
        self.0.rows()
    }
}

/// The stop signal of a source. Clones share the signal.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Creates a stop signal; sending `true` stops the source.
    pub fn new() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    /// Returns whether the source must stop.
    pub fn is_stopped(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until the source must stop.
    pub async fn stopped(&mut self) {
        // A dropped sender also means stop.
        let _ = self.0.wait_for(|stop| *stop).await;
    }
}

/// The context of a running source. Clones share everything.
#[derive(Clone)]
pub struct SourceContext {
    /// Name of the source in the configuration.
    pub name: Arc<str>,
    /// Queue for batches. A full queue makes the source wait; a closed one stops it.
    pub output: Queue<Batches>,
    /// The stop signal.
    pub stop: Stop,
    /// Read the existing input, and end.
    pub once: bool,
    /// The agent's data folder; a source keeps its own files in `sources/<name>/` below it.
    pub data_dir: PathBuf,
    /// Limits of batches.
    pub limits: BatchLimits,
    /// Counts of the source.
    pub stats: Arc<SourceStats>,
    /// Where the source reports that it waits for acknowledgements.
    pub waits: Waits,
    /// Where it reports that it has read all of its input.
    pub input_end: InputEnd,
}

impl SourceContext {
    /// The source has read all of its input, and waits for the last acknowledgements until the result is dropped.
    pub(crate) fn end_of_input(&self) -> Wait {
        self.input_end.reach();
        self.waits.begin()
    }

    /// Returns the origin of events received now. `resource` is added to the object `source` of the
    /// resource, such as `("path", "/var/log/a.json")`.
    pub fn origin(&self, type_name: &str, resource: &[(&str, &str)]) -> Arc<Origin> {
        self.origin_of(type_name, resource.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect())
    }

    /// The same with values of any type.
    pub(crate) fn origin_of(
        &self,
        type_name: &str,
        resource: serde_json::Map<String, serde_json::Value>,
    ) -> Arc<Origin> {
        self.origin_with(self.resource(type_name, resource, serde_json::Map::new()))
    }

    /// Returns the resource of events: `source` with the name and the type of the source, and these facts; beside it, `more`.
    pub(crate) fn resource(
        &self,
        type_name: &str,
        facts: serde_json::Map<String, serde_json::Value>,
        more: serde_json::Map<String, serde_json::Value>,
    ) -> Arc<str> {
        let mut source = serde_json::Map::new();
        source.insert("name".into(), self.name.as_ref().into());
        source.insert("type".into(), type_name.into());
        source.extend(facts);
        let mut resource = more;
        resource.insert("source".into(), source.into());
        serde_json::Value::Object(resource).to_string().into()
    }

    /// Returns the origin of events received now, with this resource.
    pub(crate) fn origin_with(&self, resource: Arc<str>) -> Arc<Origin> {
        let observed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
        Arc::new(Origin { source: self.name.clone(), resource, observed: i64::try_from(observed).unwrap_or(i64::MAX) })
    }
}

/// A source that is ready to run.
pub trait Source: Send {
    /// Takes the listening socket before the source runs, if the source has one. So an address in
    /// use refuses a new configuration instead of ending a running source.
    ///
    /// # Errors
    ///
    /// The source cannot listen on its address.
    fn listen(&mut self, _listeners: &Listeners) -> Result<(), SourceError> {
        Ok(())
    }

    /// Runs until the input ends or the context stops the source; then waits for the
    /// acknowledgements of all batches, so that positions are saved when it returns. The caller
    /// limits this wait by dropping the future.
    ///
    /// # Errors
    ///
    /// The source ended before its input did.
    fn run(self: Box<Self>, context: SourceContext) -> Pin<Box<dyn Future<Output = Result<(), SourceError>> + Send>>;
}
