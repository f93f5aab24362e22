//! TLS of `ureq` clients, and the texts of their errors.

use std::io;
use std::sync::Arc;

use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Error, Timeout};

use crate::failure::TlsFailure;
use crate::roots::system_roots;

/// The TLS settings of a `ureq` client: the authorities of the system, and the crypto provider of the agent.
pub fn ureq_config() -> TlsConfig {
    let roots = system_roots();
    let roots: Vec<Certificate<'static>> = roots.iter().map(|root| Certificate::from_der(root).to_owned()).collect();
    TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&roots))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build()
}

/// Why a request of a `ureq` client got no complete response. The text names the server as `the server`, since the caller
/// knows its address.
pub fn explain(error: &Error) -> String {
    match error {
        Error::Rustls(error) => handshake(&TlsFailure::from(error)),
        Error::Io(error) => explain_io(error),
        Error::HostNotFound => unresolved(),
        Error::Timeout(timeout) => timed_out(*timeout).to_owned(),
        Error::Protocol(error) => format!("the server does not speak HTTP/1.1, or its response is damaged ({error})"),
        Error::LargeResponseHeader(..) => "the head of the server's response is too large".to_owned(),
        Error::ConnectProxyFailed(reason) => format!("the proxy does not connect to the server ({reason})"),
        Error::InvalidProxyUrl => {
            "the address of the proxy is not valid; check `HTTPS_PROXY` and `HTTP_PROXY`".to_owned()
        }
        Error::ConnectionFailed => "cannot connect to the server".to_owned(),
        error => format!("the request failed ({error})"),
    }
}

fn explain_io(error: &io::Error) -> String {
    if let Some(failure) = TlsFailure::find(error) {
        return handshake(&failure);
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "nothing listens there (connection refused)".to_owned(),
        io::ErrorKind::TimedOut => "cannot connect to the server in time".to_owned(),
        io::ErrorKind::UnexpectedEof => "the server closed the connection before its response was complete".to_owned(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "the server reset the connection".to_owned(),
        // The resolver's error has no kind of its own.
        _ if error.to_string().starts_with("failed to lookup address information") => unresolved(),
        _ => format!("the connection failed ({error})"),
    }
}

fn handshake(failure: &TlsFailure) -> String {
    format!("TLS with the server failed: {failure}")
}

fn unresolved() -> String {
    "cannot resolve the name of the server; check the name and the DNS of this machine".to_owned()
}

fn timed_out(timeout: Timeout) -> &'static str {
    match timeout {
        Timeout::Resolve => "the name of the server was not resolved in time",
        Timeout::Connect => "cannot connect to the server in time",
        Timeout::SendRequest | Timeout::SendBody => "the server did not accept the request in time",
        Timeout::RecvBody => "the server did not complete its response in time",
        _ => "the server did not respond in time",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_request_is_explained_without_the_names_of_types() {
        let refused = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let nested = io::Error::new(io::ErrorKind::InvalidData, refused.clone());
        let issuer = "TLS with the server failed: an untrusted authority issued its certificate";
        let kind = |kind: io::ErrorKind| Error::Io(kind.into());
        for (error, expected) in [
            (Error::Rustls(refused), issuer),
            (Error::Io(nested), issuer),
            (kind(io::ErrorKind::ConnectionRefused), "nothing listens there (connection refused)"),
            (kind(io::ErrorKind::UnexpectedEof), "the server closed the connection before its response was complete"),
            (Error::Timeout(Timeout::Connect), "cannot connect to the server in time"),
            (
                Error::Io(io::Error::other("failed to lookup address information: Name or service not known")),
                "cannot resolve the name of the server; check the name and the DNS of this machine",
            ),
        ] {
            assert_eq!(explain(&error), expected);
        }
    }
}
