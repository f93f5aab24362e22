//! Packs of registries for the agent: the options of the client, and the thread that polls tags.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Notify;
use wattle_plan::RegistrySettings;
use wattle_registry::client::{ClientOptions, RegistryOptions};
use wattle_registry::{Credentials, Poller, Store};

use crate::configuration::{Configuration, environment};

/// The options of a registry client from those of a configuration.
pub fn client_options(settings: &RegistrySettings) -> ClientOptions {
    let host = |(name, host): &(String, wattle_plan::RegistryHost)| {
        let login = host.login.clone();
        let credentials = login.map(|(username, password)| Credentials { username, password });
        (name.clone(), RegistryOptions { insecure: host.insecure, credentials })
    };
    let registries: BTreeMap<String, RegistryOptions> = settings.hosts.iter().map(host).collect();
    ClientOptions { registries, timeout: settings.timeout, env: Arc::new(environment) }
}

/// The packs of registries that an agent uses. Dropping this ends the polling.
pub(crate) struct Remotes {
    poller: Arc<Poller>,
    changed: Arc<Notify>,
}

impl Remotes {
    /// Creates it for the data folder and the registries of a configuration. Sends no request yet.
    pub(crate) fn new(configuration: &Configuration) -> Self {
        let settings = configuration.settings();
        let (options, interval) = (client_options(&settings.registry), settings.registry.poll);
        let poller = Poller::new(Store::new(&settings.data_dir), options, Some(interval));
        Self { poller: Arc::new(poller), changed: Arc::default() }
    }

    pub(crate) fn poller(&self) -> &Arc<Poller> {
        &self.poller
    }

    /// Loads a configuration. Loads it again if missing packs could be pulled.
    pub(crate) fn load<T, E>(&self, configuration: &Configuration, load: impl Fn() -> Result<T, E>) -> Result<T, E> {
        let settings = configuration.settings();
        self.poller.configure(client_options(&settings.registry), Some(settings.registry.poll));
        self.poller.begin();
        let loaded = load();
        if loaded.is_err() && self.poller.fetch_missing() {
            return load();
        }
        loaded
    }

    /// Starts a thread that polls.
    ///
    /// # Errors
    ///
    /// The thread cannot start.
    pub(crate) fn start(&self) -> std::io::Result<()> {
        let (poller, changed) = (self.poller.clone(), self.changed.clone());
        let run = move || poller.run(&|| changed.notify_one());
        std::thread::Builder::new().name("wattle-registry".into()).spawn(run).map(drop)
    }

    /// Waits until a tag has a new image and that image is pulled.
    ///
    /// # Cancel safety
    ///
    /// No change is lost if the wait is cancelled.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}

impl Drop for Remotes {
    fn drop(&mut self) {
        self.poller.end();
    }
}
