//! The handshake of a server with a client, and why it failed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::failure::{find_cause, is_authority};

/// Begins TLS with a client. The caller limits the time.
///
/// # Errors
///
/// The handshake failed. The client got an alert with the reason, if TLS has one.
pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
    config: Arc<ServerConfig>,
    stream: S,
) -> Result<TlsStream<S>, AcceptError> {
    TlsAcceptor::from(config).accept(stream).await.map_err(|error| AcceptError::from(&error))
}

/// Why a server has no TLS connection with a client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AcceptError {
    /// The handshake took too long.
    #[error("the client did not complete the handshake within {} s", .0.as_secs_f64())]
    Timeout(Duration),
    /// The client closed or lost the connection.
    #[error(
        "the client closed the connection during the handshake; it may not trust the certificate in `tls.crt_file`"
    )]
    Closed,
    /// The first bytes of the client are not TLS.
    #[error("the client does not use TLS, which this port requires")]
    NotTls,
    /// The client sent no certificate.
    #[error("the client sent no certificate, but `tls.ca_file` is set, so that clients need one")]
    NoCertificate,
    /// No authority of the server issued the client's certificate.
    #[error("no authority in `tls.ca_file` issued the client's certificate")]
    UnknownIssuer,
    /// The validity period of the client's certificate is over.
    #[error("the client's certificate has expired, or the clock of this machine is wrong")]
    Expired,
    /// The validity period of the client's certificate has not begun.
    #[error("the client's certificate is not valid yet, or the clock of this machine is wrong")]
    NotYetValid,
    /// The extended key usage of the client's certificate excludes clients.
    #[error("the client's certificate is not for clients (extended key usage)")]
    WrongPurpose,
    /// The client's certificate is marked as an authority.
    #[error("the client's certificate belongs to an authority; clients need one that an authority issued")]
    AuthorityCertificate,
    /// The client's certificate has another defect.
    #[error("the client's certificate is damaged, or not an X.509 certificate of version 3")]
    BadCertificate,
    /// The client does not accept the certificate of the server.
    #[error(
        "the client does not accept the certificate in `tls.crt_file`; check its names, its validity, and whether the client \
         trusts its authority"
    )]
    Untrusted,
    /// The client ended the handshake with another alert.
    #[error("the client ended the handshake with a TLS alert")]
    Alert,
    /// The client supports old versions only.
    #[error("the client supports neither TLS 1.2 nor TLS 1.3")]
    OldVersion,
    /// There is no common cipher, group or signature scheme.
    #[error("the client and this agent have no TLS version or cipher in common")]
    NothingInCommon,
    /// The client offers other application protocols only.
    #[error("the client offers no application protocol that this port has (ALPN)")]
    NoProtocol,
    /// The client violates the protocol.
    #[error("the client violates the TLS protocol")]
    Violation,
    /// An error of the connection or of libraries, in their words.
    #[error("the handshake failed ({0})")]
    Other(String),
}

impl AcceptError {
    /// A short name for the label of a metric; see [`KINDS`](Self::KINDS).
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Timeout(_) => "timeout",
            Self::Closed => "closed",
            Self::NotTls => "not_tls",
            Self::NoCertificate
            | Self::UnknownIssuer
            | Self::Expired
            | Self::NotYetValid
            | Self::WrongPurpose
            | Self::AuthorityCertificate
            | Self::BadCertificate => "client_certificate",
            Self::Untrusted => "server_certificate",
            Self::Alert
            | Self::OldVersion
            | Self::NothingInCommon
            | Self::NoProtocol
            | Self::Violation
            | Self::Other(_) => "protocol",
        }
    }

    /// All short names.
    pub const KINDS: [&'static str; 6] =
        ["client_certificate", "server_certificate", "not_tls", "protocol", "timeout", "closed"];
}

impl From<&io::Error> for AcceptError {
    fn from(error: &io::Error) -> Self {
        if let Some(error) = find_cause::<Error>(error) {
            return Self::from(error);
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Other(error.to_string()),
        }
    }
}

impl From<&Error> for AcceptError {
    fn from(error: &Error) -> Self {
        match error {
            error if is_authority(error) => Self::AuthorityCertificate,
            Error::NoCertificatesPresented => Self::NoCertificate,
            Error::InvalidCertificate(certificate) => Self::from(certificate),
            Error::AlertReceived(alert) => Self::from(*alert),
            Error::PeerIncompatible(
                PeerIncompatible::Tls12NotOffered
                | PeerIncompatible::Tls12NotOfferedOrEnabled
                | PeerIncompatible::SupportedVersionsExtensionRequired,
            ) => Self::OldVersion,
            Error::PeerIncompatible(_) => Self::NothingInCommon,
            Error::NoApplicationProtocol => Self::NoProtocol,
            Error::InvalidMessage(_)
            | Error::InappropriateMessage { .. }
            | Error::InappropriateHandshakeMessage { .. }
            | Error::DecryptError
            | Error::PeerMisbehaved(_)
            | Error::PeerSentOversizedRecord => Self::Violation,
            error => Self::Other(error.to_string().to_lowercase()),
        }
    }
}

impl From<&CertificateError> for AcceptError {
    fn from(error: &CertificateError) -> Self {
        match error {
            // An authority with the right name and another key is the usual cause of a wrong signature.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::UnknownIssuer,
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYetValid,
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => Self::WrongPurpose,
            _ => Self::BadCertificate,
        }
    }
}

impl From<AlertDescription> for AcceptError {
    fn from(alert: AlertDescription) -> Self {
        match alert {
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError => Self::Untrusted,
            AlertDescription::ProtocolVersion => Self::OldVersion,
            // The client gave up.
            AlertDescription::UserCanceled | AlertDescription::CloseNotify => Self::Closed,
            _ => Self::Alert,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_a_known_kind_and_a_text_without_names_of_types() {
        let alert = Error::AlertReceived(AlertDescription::UnknownCA);
        for (error, kind) in [
            (AcceptError::from(&io::Error::other(alert)), "server_certificate"),
            (AcceptError::from(&io::Error::from(io::ErrorKind::UnexpectedEof)), "closed"),
            (AcceptError::from(&Error::NoCertificatesPresented), "client_certificate"),
            (AcceptError::from(&Error::InvalidCertificate(CertificateError::BadEncoding)), "client_certificate"),
            (AcceptError::from(&Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered)), "protocol"),
            (AcceptError::from(&Error::PeerMisbehaved(rustls::PeerMisbehaved::TooMuchEarlyDataReceived)), "protocol"),
            (AcceptError::from(&Error::General("No Luck".to_owned())), "protocol"),
            (AcceptError::Timeout(Duration::from_millis(2500)), "timeout"),
            (AcceptError::NotTls, "not_tls"),
        ] {
            assert_eq!(error.kind(), kind, "{error}");
            assert!(AcceptError::KINDS.contains(&kind));
            let text = error.to_string();
            let is_type =
                |word: &str| word.chars().skip(1).any(char::is_uppercase) && word.chars().any(char::is_lowercase);
            assert!(!text.split(' ').any(is_type), "{text}");
        }
        assert!(AcceptError::Timeout(Duration::from_millis(2500)).to_string().ends_with("within 2.5 s"));
    }
}
