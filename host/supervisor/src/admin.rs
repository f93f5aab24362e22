//! The admin listener: health, metrics, status and the API over HTTP, by default on loopback. The control socket serves
//! the same requests.
//!
//! | path | response |
//! | --- | --- |
//! | `/` | the page, see [`page`] |
//! | `/healthz` | 200 as long as the process serves requests |
//! | `/readyz` | 200 when every source and sink of the configuration runs, else 503 and the reason |
//! | `/metrics` | counts and gauges in Prometheus' text format; see [`names`] and `counts.rs` |
//! | `/status` | the state and all counts, as JSON |
//! | `/api/v1...` | see [`api`] |
//!
//! # Invariants
//!
//! - A request reads counters and never waits for the data path. A response is complete before it is sent, or it is a
//!   stream with a bounded queue, so a client that reads slowly holds only its own copy.
//! - The number of connections and of streams, the lifetime of connections and the size of requests are bounded.
//! - No site in a browser reads a response or causes one that matters; see [`api`].

mod api;
mod connection;
mod exposition;
mod guest;
mod listener;
mod metrics;
mod names;
mod page;
mod process;
mod rates;
mod response;
mod router;
mod state;
pub(crate) mod status;

use std::sync::Arc;

use wattle_plan::AdminSettings;

pub(crate) use self::connection::{Connection, Server, Times, converse};
pub use self::listener::ListenError;
use self::listener::Listener;
pub(crate) use self::response::{Body, JSON, with_status};
pub(crate) use self::router::respond;
pub(crate) use self::state::State;

/// The listener, if there is one, and its settings.
pub(crate) struct Admin {
    state: Arc<State>,
    settings: Option<AdminSettings>,
    listener: Option<Listener>,
}

impl Admin {
    /// Starts to listen, if the settings have an address.
    ///
    /// # Errors
    ///
    /// The address is taken or cannot be used.
    pub(crate) async fn start(settings: Option<AdminSettings>, state: Arc<State>) -> Result<Self, ListenError> {
        state.allow(settings.as_ref());
        let mut admin = Self { state, settings: None, listener: None };
        admin.follow(&settings).await?;
        Ok(admin)
    }

    /// The settings that it follows.
    pub(crate) fn settings(&self) -> &Option<AdminSettings> {
        &self.settings
    }

    /// Moves to the address in the settings. Binds the new address before it closes the old one,
    /// unless they share a port.
    ///
    /// # Errors
    ///
    /// The address is taken or cannot be used. The listener stays at the old address.
    pub(crate) async fn follow(&mut self, settings: &Option<AdminSettings>) -> Result<(), ListenError> {
        let address = |settings: &Option<AdminSettings>| settings.as_ref().and_then(|settings| settings.listen);
        let (old, new) = (address(&self.settings), address(settings));
        // The state has the other settings.
        if old == new {
            self.settings.clone_from(settings);
            return Ok(());
        }
        let shares_port = old.zip(new).is_some_and(|(old, new)| old.port() == new.port() && new.port() != 0);
        if shares_port {
            self.close().await;
        }
        let listener = match new {
            Some(address) => Listener::bind(address, self.state.clone()).await.map(Some),
            None => Ok(None),
        };
        match listener {
            Ok(listener) => {
                self.close().await;
                self.listener = listener;
                self.settings.clone_from(settings);
                Ok(())
            }
            Err(error) => {
                if shares_port && let Some(old) = old {
                    self.listener = Some(Listener::bind(old, self.state.clone()).await?);
                }
                Err(error)
            }
        }
    }

    async fn close(&mut self) {
        if let Some(listener) = self.listener.take() {
            listener.close().await;
        }
    }
}
