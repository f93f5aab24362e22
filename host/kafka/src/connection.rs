//! Opens connections.

use std::time::Duration;

use krafka::auth::{AuthConfig, TlsConfig};
use krafka::{Kafka, KafkaBuilder, KrafkaError};
use wattle_options::Secret;
use wattle_tls::ClientOptions;

use crate::options::Mechanism;

/// Interval at which files with certificates are read again.
const TLS_RELOAD: Duration = Duration::from_secs(30);

/// Time limit for a connection to a broker.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Interval at which the list of brokers and partitions is read again.
const METADATA_MAX_AGE: Duration = Duration::from_secs(10);

/// Credentials, as checked.
#[derive(Clone, Debug)]
pub(crate) struct Sasl {
    pub(crate) mechanism: Mechanism,
    pub(crate) username: String,
    pub(crate) password: Secret,
}

/// The checked options of a connection.
#[derive(Clone, Debug)]
pub struct Connection {
    pub(crate) bootstrap_servers: String,
    pub(crate) sasl: Option<Sasl>,
    /// `None` without TLS.
    pub(crate) tls: Option<ClientOptions>,
}

impl Connection {
    /// The addresses of the brokers, as configured. For the log.
    pub fn servers(&self) -> &str {
        &self.bootstrap_servers
    }

    /// Whether connections use TLS without checking certificates.
    pub fn is_unverified(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| !tls.verify)
    }

    /// A client that introduces itself as `client_id`. `request_timeout` limits each request. Nothing is sent before
    /// [`connect`](KafkaBuilder::connect).
    pub fn builder(&self, client_id: &str, request_timeout: Duration) -> KafkaBuilder {
        let builder = Kafka::builder(self.bootstrap_servers.clone())
            .client_id(client_id)
            .connect_timeout(CONNECT_TIMEOUT.min(request_timeout))
            .request_timeout(request_timeout)
            .metadata_max_age(METADATA_MAX_AGE);
        let builder = match self.auth() {
            Some(auth) => builder.security(auth),
            None => builder,
        };
        // Without files there is nothing to read again.
        let has_files = self.tls.as_ref().is_some_and(|tls| tls.files().next().is_some());
        builder.tls_reload_interval(has_files.then_some(TLS_RELOAD))
    }

    /// Connects, which takes at most `request_timeout` for each broker that does not answer.
    ///
    /// # Errors
    ///
    /// No broker accepts the connection and the credentials.
    pub async fn connect(&self, client_id: &str, request_timeout: Duration) -> Result<Kafka, KrafkaError> {
        self.builder(client_id, request_timeout).connect().await
    }

    fn auth(&self) -> Option<AuthConfig> {
        let auth = self.sasl.as_ref().map(|Sasl { mechanism, username, password }| {
            let (username, password) = (username.as_str(), password.reveal());
            match mechanism {
                Mechanism::Plain => AuthConfig::sasl_plain(username, password),
                Mechanism::ScramSha256 => AuthConfig::sasl_scram_sha256(username, password),
                Mechanism::ScramSha512 => AuthConfig::sasl_scram_sha512(username, password),
            }
        });
        match (auth, self.tls.as_ref().map(tls_config)) {
            (None, tls) => tls.map(AuthConfig::ssl),
            (Some(auth), Some(tls)) => Some(auth.with_tls(tls)),
            (auth, None) => auth,
        }
    }
}

fn tls_config(options: &ClientOptions) -> TlsConfig {
    // The check of the options refuses paths that are not UTF-8.
    let text = |path: &std::path::Path| path.to_string_lossy().into_owned();
    let config = match &options.ca_file {
        _ if !options.verify => TlsConfig::insecure(),
        Some(path) => TlsConfig::new().with_ca_cert(text(path)),
        None => TlsConfig::new().with_native_roots(),
    };
    match (&options.crt_file, &options.key_file) {
        (Some(crt), Some(key)) => config.with_client_cert(text(crt), text(key)),
        _ => config,
    }
}
