//! The options of a server: `tls`, addresses and paths.

use std::path::PathBuf;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use wattle_options::{Flag, OptionErrors};
use wattle_tls::{Reloaded, ServerOptions, server_config};

/// The TLS configuration of a server, which follows its files. Clones share it.
pub type Tls = Arc<Reloaded<rustls::ServerConfig>>;

/// TLS of the connections. Changed files are read again; new connections use them.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsOptions {
    /// File with the certificate of the source (PEM), followed by the certificates of its authorities.
    crt_file: PathBuf,
    /// File with the private key (PEM, without a passphrase) of the certificate in `crt_file`.
    key_file: PathBuf,
    /// File with certificates (PEM) of the authorities of clients. If set, the source refuses clients without a certificate
    /// that one of them issued. Default: none; clients need no certificate.
    ca_file: Option<PathBuf>,
    /// Whether to verify the certificates of clients. `true` requires `ca_file`; with `false`, clients need no certificate.
    /// Default: true if `ca_file` is set.
    verify: Option<Flag>,
}

impl TlsOptions {
    /// Reads the files. `protocols` are the application protocols of the server, as ALPN names them; empty if it has none.
    pub fn check(self, protocols: &'static [&'static str], errors: &mut OptionErrors) -> Option<Tls> {
        let verify = self.verify.map(|verify| verify.0);
        if verify == Some(true) && self.ca_file.is_none() {
            errors.add("tls.verify", "requires the certificates of the authorities of clients; set `tls.ca_file`");
            return None;
        }
        let options = ServerOptions {
            crt_file: self.crt_file,
            key_file: self.key_file,
            ca_file: self.ca_file.filter(|_| verify != Some(false)),
            protocols,
        };
        let create = {
            let options = options.clone();
            move || server_config(&options)
        };
        match Reloaded::new(options.files(), create) {
            Ok(tls) => Some(Arc::new(tls)),
            Err(error) => {
                errors.add(error.option().unwrap_or("tls"), error.to_string());
                None
            }
        }
    }
}

/// Adds an error if an option is not a host and a port.
pub fn check_address(option: &str, address: &str, errors: &mut OptionErrors) {
    let port = address.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>()));
    if !matches!(port, Some((host, Ok(_))) if !host.is_empty()) {
        errors.add(option, format!("`{address}` has no port or no host; write it like `127.0.0.1:8080`"));
    }
}

/// Adds an error if an option is not the path of a request.
pub fn check_path(option: &str, path: &str, errors: &mut OptionErrors) {
    if !path.starts_with('/') || path.contains(['?', '#']) {
        errors.add(option, format!("`{path}` is not a path; it must begin with `/` and have no query"));
    }
}
