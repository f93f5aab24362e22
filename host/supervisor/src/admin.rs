//! The admin listener: health, metrics and status over HTTP, on loopback unless told otherwise.
//!
//! | path | answers |
//! | --- | --- |
//! | `/healthz` | 200 as long as the process serves requests |
//! | `/readyz` | 200 when every source and sink of the configuration runs, else 503 and the reason |
//! | `/metrics` | counts and gauges in Prometheus' text format; [`names`] has all of them |
//! | `/status` | what `wattle status` shows, as JSON |
//!
//! # Invariants
//!
//! - A request reads counters and never waits for the data path; an answer is made at once and sent afterwards, so a
//!   client that reads slowly holds nothing but its own copy.
//! - Connections, their lifetime and what they may send are bounded.

mod answer;
mod exposition;
mod guest;
mod listener;
mod metrics;
mod names;
mod process;
mod rates;
mod state;
pub mod status;

use std::sync::Arc;

use wattle_pack::AdminSettings;

pub use self::listener::ListenError;
use self::listener::Listener;
pub(crate) use self::state::{Outcome, State};

/// The listener, if there is one, and where it was told to be.
pub(crate) struct Admin {
    state: Arc<State>,
    settings: Option<AdminSettings>,
    listener: Option<Listener>,
}

impl Admin {
    /// Listens as the settings say.
    ///
    /// # Errors
    ///
    /// The address is taken or cannot be used.
    pub(crate) async fn start(settings: Option<AdminSettings>, state: Arc<State>) -> Result<Self, ListenError> {
        let mut admin = Self { state, settings: None, listener: None };
        admin.follow(&settings).await?;
        Ok(admin)
    }

    /// Where it was told to listen.
    pub(crate) fn settings(&self) -> &Option<AdminSettings> {
        &self.settings
    }

    /// Moves to where the settings say. The new place is taken before the old one is left, unless they share a port.
    ///
    /// # Errors
    ///
    /// The address is taken or cannot be used; everything is as before then.
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
