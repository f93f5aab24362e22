//! The admin listener: health, metrics and status over HTTP, by default on loopback.
//!
//! | path | response |
//! | --- | --- |
//! | `/healthz` | 200 as long as the process serves requests |
//! | `/readyz` | 200 when every source and sink of the configuration runs, else 503 and the reason |
//! | `/metrics` | counts and gauges in Prometheus' text format; see [`names`] and `counts.rs` |
//! | `/status` | what `wattle status` shows, as JSON |
//!
//! # Invariants
//!
//! - A request reads counters and never waits for the data path. A response is complete before it is sent, so a client
//!   that reads slowly holds only its own copy.
//! - The number of connections, their lifetime and the size of requests are bounded.

mod exposition;
mod guest;
mod listener;
mod metrics;
mod names;
mod process;
mod rates;
mod response;
mod state;
pub(crate) mod status;

use std::sync::Arc;

use wattle_plan::AdminSettings;

pub use self::listener::ListenError;
use self::listener::Listener;
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
        if *settings == self.settings {
            return Ok(());
        }
        let shares_port = matches!((&self.settings, settings), (Some(old), Some(new))
            if old.listen.port() == new.listen.port() && new.listen.port() != 0);
        if shares_port {
            self.close().await;
        }
        let listener = match settings {
            Some(settings) => Listener::bind(settings.listen, self.state.clone()).await.map(Some),
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
                if shares_port && let Some(old) = &self.settings {
                    self.listener = Some(Listener::bind(old.listen, self.state.clone()).await?);
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
