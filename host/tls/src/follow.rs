//! TLS of the clients of sources and sinks, from files that may change while they run.
//!
//! Changed files are read again; new connections use them.

use std::sync::Arc;
use std::time::Duration;

use crate::config::{ClientOptions, TlsConfigError, client_config};
use crate::failure::TlsFailure;
use crate::reload::Reloaded;
use rustls::ClientConfig;

const CHANGED: &str = "TLS files changed; new connections use them";

const UNUSABLE: &str = "TLS files changed but cannot be used; new connections use the previous ones";

/// Interval between checks of the files while a request waits for its next attempt.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The source or sink that a client belongs to, for logs.
#[derive(Clone, Debug)]
pub enum Endpoint {
    /// The source with this name.
    Source(Arc<str>),
    /// The sink with this name.
    Sink(Arc<str>),
}

/// The current TLS configuration of a client.
#[derive(Debug)]
pub struct ClientTls {
    endpoint: Endpoint,
    config: Arc<Reloaded<ClientConfig>>,
}

impl ClientTls {
    /// Reads the files of the options. `used` says whether any connection uses TLS.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or does not contain what its option requires.
    pub fn new(endpoint: Endpoint, options: ClientOptions, used: bool) -> Result<Self, TlsConfigError> {
        let create = {
            let options = options.clone();
            move || client_config(&options, used)
        };
        Ok(Self { endpoint, config: Arc::new(Reloaded::new(options.files(), create)?) })
    }

    /// The configuration for a new connection.
    pub async fn current(&self) -> Arc<ClientConfig> {
        self.config.refreshed(self.log()).await
    }

    /// Waits until the files have changed; forever if there are no files.
    pub async fn changed(&self) {
        self.config.changed(CHECK_INTERVAL, self.log()).await;
    }

    /// Logs whether changed files can be used.
    fn log(&self) -> impl Fn(Result<(), TlsConfigError>) + Clone + Send + 'static {
        let endpoint = self.endpoint.clone();
        move |result| match (result, &endpoint) {
            (Ok(()), Endpoint::Source(source)) => tracing::info!(%source, "{CHANGED}"),
            (Ok(()), Endpoint::Sink(sink)) => tracing::info!(%sink, "{CHANGED}"),
            (Err(error), Endpoint::Source(source)) => {
                tracing::warn!(%source, option = error.option(), %error, "{UNUSABLE}");
            }
            (Err(error), Endpoint::Sink(sink)) => {
                tracing::warn!(%sink, option = error.option(), %error, "{UNUSABLE}");
            }
        }
    }
}

/// The words of a source or sink for its address, in hints.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    /// The option with the address.
    pub address: &'static str,
    /// How to reach a server without TLS.
    pub without_tls: &'static str,
}

impl TlsFailure {
    /// The failure with a hint which option to change.
    pub fn with_hint(&self, words: Words) -> String {
        let Words { address, without_tls } = words;
        let hint = match self {
            Self::AuthorityCertificate => "to trust this server, add this certificate to the file in `tls.ca_file`",
            Self::UnknownIssuer => "name a file with the authority's certificate in `tls.ca_file`",
            Self::WrongName | Self::UnknownName => &format!("check the name in `{address}`"),
            Self::ClientCertificateRequired => "set `tls.crt_file` and `tls.key_file`",
            Self::ClientCertificateRejected => "check the certificate in `tls.crt_file`",
            Self::HandshakeFailure => {
                "it may require a client certificate (`tls.crt_file`, `tls.key_file`) or another version of TLS"
            }
            Self::NotTls => &format!("{without_tls}, or use another port"),
            _ => return self.to_string(),
        };
        format!("{self}; {hint}")
    }
}
