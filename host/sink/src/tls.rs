//! TLS of the sink, from files that may change while it runs.
//!
//! The sink reads changed files again; new connections use them.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustls::ClientConfig;
use tokio::sync::watch;
use wattle_tls::{ClientOptions, TlsConfigError, TlsFailure, client_config};

/// Interval between checks of the files while a request waits for its next attempt.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The current TLS configuration of a sink.
#[derive(Debug)]
pub(crate) struct Tls {
    sink: Arc<str>,
    options: ClientOptions,
    /// State of the files when they were last read.
    read: Mutex<Vec<Option<Stamp>>>,
    config: watch::Sender<Arc<ClientConfig>>,
}

/// Metadata that changes when the contents of a file change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl From<Metadata> for Stamp {
    fn from(metadata: Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            changed: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

fn stamps(options: &ClientOptions) -> Vec<Option<Stamp>> {
    options.files().map(|path| std::fs::metadata(path).ok().map(Stamp::from)).collect()
}

impl Tls {
    /// Reads the files of the options. `used` says whether any connection uses TLS.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or does not contain what its option requires.
    pub(crate) fn new(sink: Arc<str>, options: ClientOptions, used: bool) -> Result<Self, TlsConfigError> {
        // Taken before the files are read, so that a change in between is detected.
        let read = Mutex::new(stamps(&options));
        let config = watch::Sender::new(Arc::new(client_config(&options, used)?));
        Ok(Self { sink, options, read, config })
    }

    /// The configuration for a new connection. Blocks on files.
    pub(crate) fn current(&self) -> Arc<ClientConfig> {
        self.refresh();
        self.config.borrow().clone()
    }

    /// Waits until the files have changed; forever if there are no files.
    pub(crate) async fn changed(self: &Arc<Self>) {
        let mut config = self.config.subscribe();
        if self.options.files().next().is_none() {
            return std::future::pending().await;
        }
        loop {
            tokio::select! {
                // The sender lives in `self`, so this cannot be an error.
                _ = config.changed() => return,
                () = tokio::time::sleep(CHECK_INTERVAL) => {}
            }
            let tls = self.clone();
            let _ = tokio::task::spawn_blocking(move || tls.refresh()).await;
        }
    }

    /// Reads the files again if they have changed. If they cannot be used, the previous configuration stays.
    fn refresh(&self) {
        // Held while the files are read, so that concurrent connections read them once.
        let mut read = self.read.lock();
        let now = stamps(&self.options);
        if *read == now {
            return;
        }
        // Set even if the files cannot be used, so that each change is logged once.
        *read = now;
        match client_config(&self.options, true) {
            Ok(config) => {
                self.config.send_replace(Arc::new(config));
                tracing::info!(sink = %self.sink, "TLS files changed; new connections use them");
            }
            Err(error) => tracing::warn!(
                sink = %self.sink, option = error.option(), %error,
                "TLS files changed but cannot be used; new connections use the previous ones"
            ),
        }
    }
}

/// A failed handshake with a hint which option of the sink to change.
pub(crate) fn explain(failure: &TlsFailure) -> String {
    let hint = match failure {
        TlsFailure::AuthorityCertificate => "to trust this server, add this certificate to the file in `tls.ca_file`",
        TlsFailure::UnknownIssuer => "name a file with the authority's certificate in `tls.ca_file`",
        TlsFailure::WrongName | TlsFailure::UnknownName => "check the name in `uri`",
        TlsFailure::ClientCertificateRequired => "set `tls.crt_file` and `tls.key_file`",
        TlsFailure::ClientCertificateRejected => "check the certificate in `tls.crt_file`",
        TlsFailure::HandshakeFailure => {
            "it may require a client certificate (`tls.crt_file`, `tls.key_file`) or another version of TLS"
        }
        TlsFailure::NotTls => "use `http://` in `uri`, or another port",
        _ => return failure.to_string(),
    };
    format!("{failure}; {hint}")
}
