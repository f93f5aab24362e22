//! The options of a TLS client, as a configuration has them.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use wattle_options::{Flag, OptionErrors};

use crate::config::{CRT_FILE, ClientOptions, KEY_FILE};

/// Trusted servers, and the client certificate.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TlsOptions {
    /// File with certificates (PEM) of authorities to trust instead of the system's. May contain the certificate of the
    /// server itself (not with `kafka`). Default: the system's authorities.
    pub ca_file: Option<PathBuf>,
    /// File with the client certificate (PEM), followed by the certificates of its authorities. Requires `key_file`.
    /// Default: none.
    pub crt_file: Option<PathBuf>,
    /// File with the private key (PEM, without a passphrase) of the certificate in `crt_file`. Default: none.
    pub key_file: Option<PathBuf>,
    /// Whether to verify the server's certificate. With `false`, others on the network path can read and change what is
    /// sent; the log has a warning at every start. Default: true.
    pub verify: Option<Flag>,
}

impl TlsOptions {
    /// The options for [`client_config`](crate::client_config). Adds an error if one of two options is missing.
    pub fn check(&self, errors: &mut OptionErrors) -> ClientOptions {
        match (&self.crt_file, &self.key_file) {
            (Some(_), None) => errors.add(CRT_FILE, "requires the private key of the certificate; set `tls.key_file`"),
            (None, Some(_)) => errors.add(KEY_FILE, "requires the certificate of the key; set `tls.crt_file`"),
            _ => {}
        }
        self.client()
    }

    /// The files that the options name.
    pub fn files(&self) -> Vec<PathBuf> {
        self.client().files().filter(|file| !file.as_os_str().is_empty()).cloned().collect()
    }

    fn client(&self) -> ClientOptions {
        ClientOptions {
            ca_file: self.ca_file.clone(),
            crt_file: self.crt_file.clone(),
            key_file: self.key_file.clone(),
            verify: self.verify.is_none_or(|verify| verify.0),
        }
    }
}
