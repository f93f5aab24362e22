//! The sink `prometheus`: clients such as Prometheus read the metric events that reached it.
//!
//! Workers make a record of each event ([`encoder`], [`record`]). The task puts the records into a registry
//! ([`registry`], [`deliver`]), and a server responds to scrapes with what the registry has ([`server`], [`scrape`],
//! [`exposition`]).
//!
//! # Invariants
//!
//! - Events are acknowledged when their samples are in the registry that scrapes read, or when they are in the dead
//!   letters.
//! - The registry is locked for the records of one part of a payload, or for a copy of references to all series, never
//!   while text is made or sent.
//! - The bytes of the registry, the number of connections, the number of scrapes and the time of each are limited.
//! - A sink that replaces another one at the same address continues with its socket, and with its registry if the names
//!   and labels of series stay the same.

mod deliver;
mod encoder;
mod exposition;
mod merge;
mod negotiate;
mod options;
mod record;
mod registry;
mod scrape;
mod server;

pub(crate) use self::options::DEFAULT_ADDRESS;

use std::net::TcpListener as StdListener;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::watch;
use wattle_listen::{Listeners, State};
use wattle_options::OptionError;

use self::options::Settings;
use self::registry::Registry;
use crate::error::SinkError;
use crate::sink::{Built, Prepared, Running, Sink, SinkContext};

pub(crate) fn prepare(options: &Value) -> Result<Prepared, Vec<OptionError>> {
    let (encoder, settings) = wattle_options::read(options, options::check)?;
    Ok(Box::new(move |_: &Arc<str>| {
        let sink = ExporterSink { settings, socket: None, listeners: Listeners::default(), exposed: None };
        Ok(Built { encoder: Arc::new(encoder), sink: Box::new(sink) })
    }))
}

/// The JSON schema of the options.
pub(crate) fn schema() -> Value {
    wattle_options::schema_of::<options::Options>()
}

/// What scrapes read. A successor at the same address continues with it.
struct Exposed {
    /// The options that names and labels of series depend on. With other options, the series of a predecessor would stay
    /// beside the new ones until they expire.
    identity: String,
    registry: Mutex<Registry>,
}

/// The sink, ready to run.
struct ExporterSink {
    settings: Settings,
    /// The socket, unless the sink must bind it when it runs.
    socket: Option<StdListener>,
    listeners: Listeners,
    /// That of the predecessor, if its series stay valid.
    exposed: Option<Arc<Exposed>>,
}

impl Sink for ExporterSink {
    fn listen(&mut self, listeners: &Listeners) -> Result<(), SinkError> {
        let address = &self.settings.address;
        self.socket = listeners.prepare(address).map_err(|error| SinkError::listen(address, error))?;
        let exposed = listeners.state::<Exposed>(address);
        self.exposed = exposed.filter(|exposed| exposed.identity == self.settings.identity);
        self.listeners = listeners.clone();
        Ok(())
    }

    fn run(self: Box<Self>, context: SinkContext) -> Running {
        Box::pin(async move {
            let Self { settings, socket, listeners, exposed } = *self;
            let exposed = exposed.unwrap_or_else(|| {
                Arc::new(Exposed { identity: settings.identity.clone(), registry: Mutex::default() })
            });
            let state: State = exposed.clone();
            let opened = listeners.open(&settings.address, socket, Some(&state)).await;
            let (listener, registration, at) = opened.map_err(|error| SinkError::listen(&settings.address, error))?;
            let _ = context.stats.address.set(at);
            tracing::info!(sink = %context.name, address = %at, "listening");
            let (stop, stopped) = watch::channel(false);
            let serving = server::serve(listener, registration, &settings, &context, exposed.clone(), stopped);
            let mut serving = std::pin::pin!(serving);
            let delivering = deliver::run(&settings, &context, &exposed);
            let expiring = deliver::expire(&settings, &exposed);
            tokio::select! {
                () = delivering => {}
                never = expiring => match never {},
                // It ends only after the stop.
                () = &mut serving => return Ok(()),
            }
            let _ = stop.send(true);
            // A scrape that is on its way gets its response, but does not hold up a successor.
            let _ = tokio::time::timeout(server::LAST_RESPONSES, serving).await;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests;
