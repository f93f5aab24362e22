//! The TLS configuration of a server, from the files that its options name.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use crate::config::{CA_FILE, TlsConfigError, certificates, pair};

/// The TLS options of a server.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The certificate of the server, followed by those of its authorities (option `tls.crt_file`).
    pub crt_file: PathBuf,
    /// The private key of the certificate (option `tls.key_file`).
    pub key_file: PathBuf,
    /// The authorities of clients (option `tls.ca_file`). If set, the server refuses clients without a certificate that one
    /// of them issued.
    pub ca_file: Option<PathBuf>,
    /// The application protocols by preference, as ALPN names them, such as `http/1.1`. The server refuses clients that
    /// offer others only. Empty for protocols that do not use ALPN.
    pub protocols: &'static [&'static str],
}

impl ServerOptions {
    /// The files that the options name.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.crt_file, &self.key_file].into_iter().chain(&self.ca_file)
    }
}

/// Creates the TLS configuration of a server.
///
/// # Errors
///
/// A file cannot be read, or does not contain what its option requires.
pub fn server_config(options: &ServerOptions) -> Result<ServerConfig, TlsConfigError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(TlsConfigError::Library)?;
    let builder = match &options.ca_file {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(certificates(CA_FILE, path)?);
            // Fails only if there is no authority.
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|_| TlsConfigError::NoAuthority(path.clone()))?)
        }
    };
    let (crt, key) = (&options.crt_file, &options.key_file);
    let (chain, private_key) = pair(crt, key)?;
    let mut config =
        builder.with_single_cert(chain, private_key).map_err(|error| TlsConfigError::pair(crt, key, error))?;
    config.alpn_protocols = options.protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair};

    fn identity() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    #[test]
    fn an_error_says_what_is_wrong_with_which_option() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let ((crt, key), (_, other)) = (identity(), identity());
        let (good_crt, good_key) = (write("crt", &crt), write("key", &key));
        let (empty, missing) = (write("empty", ""), folder.path().join("missing"));
        let damaged = write("damaged", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        let encrypted =
            write("pkcs8", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n");
        let traditional = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
        let traditional = write("traditional", traditional);
        let (half_crt, half_key) =
            (write("half_crt", crt.get(..200).unwrap()), write("half_key", key.get(..80).unwrap()));
        let other = write("other", &other);
        let cases = [
            (&missing, &good_key, None, "tls.crt_file", "cannot read"),
            (&empty, &good_key, None, "tls.crt_file", "contains no PEM certificate"),
            (&half_crt, &good_key, None, "tls.crt_file", "it may be incomplete"),
            (&damaged, &good_key, None, "tls.crt_file", "contains a damaged certificate"),
            (&good_crt, &missing, None, "tls.key_file", "cannot read"),
            (&good_crt, &empty, None, "tls.key_file", "contains no PEM private key"),
            (&good_crt, &half_key, None, "tls.key_file", "it may be incomplete"),
            (&good_crt, &good_crt, None, "tls.key_file", "contains no PEM private key"),
            (&good_crt, &other, None, "tls.key_file", "does not belong to the certificate"),
            (&good_crt, &encrypted, None, "tls.key_file", "has a passphrase"),
            (&good_crt, &traditional, None, "tls.key_file", "has a passphrase"),
            (&good_crt, &good_key, Some(&missing), "tls.ca_file", "cannot read"),
            (&good_crt, &good_key, Some(&empty), "tls.ca_file", "contains no PEM certificate"),
            (&good_crt, &good_key, Some(&damaged), "tls.ca_file", "no usable certificate of an authority"),
        ];
        let options = |crt: &PathBuf, key: &PathBuf, ca: Option<&PathBuf>| ServerOptions {
            crt_file: crt.clone(),
            key_file: key.clone(),
            ca_file: ca.cloned(),
            protocols: &["h2", "http/1.1"],
        };
        for (crt, key, ca, option, part) in cases {
            let error = server_config(&options(crt, key, ca)).unwrap_err();
            assert_eq!(error.option(), Some(option), "{error}");
            let text = error.to_string();
            assert!(text.contains(part) && !text.contains("::"), "{text}");
        }
        let config = server_config(&options(&good_crt, &good_key, Some(&good_crt))).unwrap();
        assert_eq!(config.alpn_protocols, [&b"h2"[..], b"http/1.1"]);
    }
}
