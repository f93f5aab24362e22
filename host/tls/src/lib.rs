//! TLS of outgoing connections: trusted authorities, client certificates, and error texts that say what to do.
//!
//! Every client of the agent uses this crate, so that all of them trust the same authorities, log bad certificates, and
//! explain a failed handshake in the same words.

mod config;
mod failure;
mod roots;
mod verify;

pub use config::{ClientOptions, TlsConfigError, client_config};
pub use failure::TlsFailure;
pub use roots::system_roots;

/// The TLS settings of a `ureq` client: the authorities of the system, and the crypto provider of the agent.
#[cfg(feature = "ureq")]
pub fn ureq_config() -> ureq::tls::TlsConfig {
    use ureq::tls::{Certificate, RootCerts, TlsConfig};

    let roots = system_roots();
    let roots: Vec<Certificate<'static>> = roots.iter().map(|root| Certificate::from_der(root).to_owned()).collect();
    TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&roots))
        .unversioned_rustls_crypto_provider(std::sync::Arc::new(rustls::crypto::ring::default_provider()))
        .build()
}
