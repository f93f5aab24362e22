//! Packs of registries for the agent: the options of the client, and the thread that polls tags.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Notify;
use wattle_pack::RegistrySettings;
use wattle_registry::client::{ClientOptions, RegistryOptions};
use wattle_registry::{Credentials, Poller, Store};

use crate::configuration::{Configuration, environment};

/// The options of a registry client from those of a configuration.
pub fn client_options(settings: &RegistrySettings) -> ClientOptions {
    let host = |(name, host): &(String, wattle_pack::RegistryHost)| {
        let login = host.login.clone();
        let credentials = login.map(|(username, password)| Credentials { username, password });
        (name.clone(), RegistryOptions { insecure: host.insecure, credentials })
    };
    let registries: BTreeMap<String, RegistryOptions> = settings.hosts.iter().map(host).collect();
    ClientOptions { registries, timeout: settings.timeout, env: Arc::new(environment) }
}

/// The packs of registries that an agent uses, polled until this goes.
pub(crate) struct Remotes {
    poller: Arc<Poller>,
    changed: Arc<Notify>,
}

impl Remotes {
    /// For the data folder and the registries of a configuration. Nothing is asked yet.
    pub(crate) fn new(configuration: &Configuration) -> Self {
        let settings = configuration.settings();
        let (options, interval) = (client_options(&settings.registry), settings.registry.poll);
        let poller = Poller::new(Store::new(&settings.data_dir), options, Some(interval));
        Self { poller: Arc::new(poller), changed: Arc::default() }
    }

    pub(crate) fn poller(&self) -> &Arc<Poller> {
        &self.poller
    }

    /// Loads a configuration by this, and once more if a pack that was not here could be pulled.
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

    /// Polls from now on, on a thread of its own.
    ///
    /// # Errors
    ///
    /// The system gives no thread.
    pub(crate) fn start(&self) -> std::io::Result<()> {
        let (poller, changed) = (self.poller.clone(), self.changed.clone());
        let run = move || poller.run(&|| changed.notify_one());
        std::thread::Builder::new().name("wattle-registry".into()).spawn(run).map(drop)
    }

    /// Waits until the image of a tag that changed is here.
    ///
    /// # Cancel safety
    ///
    /// Nothing is forgotten if the wait is cancelled.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}

impl Drop for Remotes {
    fn drop(&mut self) {
        self.poller.end();
    }
}
