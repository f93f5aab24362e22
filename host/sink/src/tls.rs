//! TLS of sinks, from files that may change while they run.
//!
//! The sink reads changed files again; new connections use them.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use wattle_tls::{ClientOptions, Reloaded, TlsConfigError, TlsFailure, client_config};

/// Interval between checks of the files while a request waits for its next attempt.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The current TLS configuration of a sink.
#[derive(Debug)]
pub(crate) struct Tls {
    sink: Arc<str>,
    config: Arc<Reloaded<ClientConfig>>,
}

impl Tls {
    /// Reads the files of the options. `used` says whether any connection uses TLS.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or does not contain what its option requires.
    pub(crate) fn new(sink: Arc<str>, options: ClientOptions, used: bool) -> Result<Self, TlsConfigError> {
        let create = {
            let options = options.clone();
            move || client_config(&options, used)
        };
        Ok(Self { sink, config: Arc::new(Reloaded::new(options.files(), create)?) })
    }

    /// The configuration for a new connection.
    pub(crate) async fn current(&self) -> Arc<ClientConfig> {
        self.config.refreshed(self.log()).await
    }

    /// Waits until the files have changed; forever if there are no files.
    pub(crate) async fn changed(&self) {
        self.config.changed(CHECK_INTERVAL, self.log()).await;
    }

    /// Logs whether changed files can be used.
    fn log(&self) -> impl Fn(Result<(), TlsConfigError>) + Clone + Send + 'static {
        let sink = self.sink.clone();
        move |result| match result {
            Ok(()) => tracing::info!(sink = %sink, "TLS files changed; new connections use them"),
            Err(error) => tracing::warn!(
                sink = %sink, option = error.option(), %error,
                "TLS files changed but cannot be used; new connections use the previous ones"
            ),
        }
    }
}

/// The words of a sink for its address, in hints.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words {
    /// The option with the address.
    pub(crate) address: &'static str,
    /// How to reach a server without TLS.
    pub(crate) without_tls: &'static str,
}

/// A failed handshake with a hint which option of the sink to change.
pub(crate) fn explain(failure: &TlsFailure, words: Words) -> String {
    let Words { address, without_tls } = words;
    let hint = match failure {
        TlsFailure::AuthorityCertificate => "to trust this server, add this certificate to the file in `tls.ca_file`",
        TlsFailure::UnknownIssuer => "name a file with the authority's certificate in `tls.ca_file`",
        TlsFailure::WrongName | TlsFailure::UnknownName => &format!("check the name in `{address}`"),
        TlsFailure::ClientCertificateRequired => "set `tls.crt_file` and `tls.key_file`",
        TlsFailure::ClientCertificateRejected => "check the certificate in `tls.crt_file`",
        TlsFailure::HandshakeFailure => {
            "it may require a client certificate (`tls.crt_file`, `tls.key_file`) or another version of TLS"
        }
        TlsFailure::NotTls => &format!("{without_tls}, or use another port"),
        _ => return failure.to_string(),
    };
    format!("{failure}; {hint}")
}
