//! Why a TLS handshake with a server failed.

use std::error::Error as StdError;
use std::io;

use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

/// Why a TLS handshake failed. The texts name the server as `it` or `the server`, and no options: those differ between
/// clients.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsFailure {
    /// The certificate is marked as an authority.
    #[error("its certificate belongs to an authority, not to a server")]
    AuthorityCertificate,
    /// No trusted authority issued the certificate.
    #[error("an untrusted authority issued its certificate")]
    UnknownIssuer,
    /// The certificate has other names.
    #[error("its certificate is for another name")]
    WrongName,
    /// The validity period of the certificate is over.
    #[error("its certificate has expired, or the clock of this machine is wrong")]
    Expired,
    /// The validity period of the certificate has not begun.
    #[error("its certificate is not valid yet, or the clock of this machine is wrong")]
    NotYetValid,
    /// The signature of the certificate does not match.
    #[error("its certificate has an invalid signature")]
    BadSignature,
    /// The extended key usage of the certificate excludes servers.
    #[error("its certificate is not for servers (extended key usage)")]
    WrongPurpose,
    /// The certificate has another defect.
    #[error(
        "its certificate cannot be used; servers need an X.509 certificate of version 3 with a subject alternative name"
    )]
    BadCertificate,
    /// The server requires a client certificate and got none.
    #[error("the server requires a client certificate")]
    ClientCertificateRequired,
    /// The server does not accept the client certificate.
    #[error("the server does not accept the client certificate")]
    ClientCertificateRejected,
    /// The server ended the handshake without a specific reason.
    #[error("the server rejected the handshake")]
    HandshakeFailure,
    /// The server ended the handshake with another alert.
    #[error("the server rejected the handshake with a TLS alert")]
    Alert,
    /// The server has no such name.
    #[error("the server does not know the requested name")]
    UnknownName,
    /// The server answered with something other than TLS.
    #[error("the server does not speak TLS on this port")]
    NotTls,
    /// The server supports old versions only.
    #[error("the server supports neither TLS 1.2 nor TLS 1.3")]
    OldVersion,
    /// There is no common version or cipher.
    #[error("the server and this agent have no TLS version or cipher in common")]
    NothingInCommon,
    /// The server sent no certificate.
    #[error("the server sent no certificate")]
    NoCertificate,
    /// The server violates the protocol.
    #[error("the server violates the TLS protocol; check whether a proxy or another service answers at this address")]
    Violation,
    /// The server speaks another application protocol only.
    #[error("the server does not speak HTTP/1.1 over TLS")]
    NoHttp,
    /// A revocation list cannot be used.
    #[error("the certificate revocation list cannot be used")]
    RevocationList,
    /// The current time is unknown.
    #[error("the clock of this machine cannot be read")]
    Clock,
    /// An error of the local configuration or of libraries, in the words of the TLS library.
    #[error("the TLS library of the agent reports an internal error ({0})")]
    Internal(String),
}

impl TlsFailure {
    /// Finds the TLS error among the causes of another error.
    pub fn find(error: &(dyn StdError + 'static)) -> Option<Self> {
        find_cause::<Error>(error).map(Self::from)
    }
}

/// Finds an error of this type among the causes of another.
pub fn find_cause<'e, T: StdError + 'static>(error: &'e (dyn StdError + 'static)) -> Option<&'e T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // `source` of an `io::Error` skips the error that it wraps.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped as &(dyn StdError + 'static)),
            None => error.source(),
        };
    }
    None
}

/// The text of a system error without its number.
pub fn system_error_text(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((text, _)) => text.to_lowercase(),
        None => text,
    }
}

impl From<&Error> for TlsFailure {
    fn from(error: &Error) -> Self {
        match error {
            error if is_authority(error) => Self::AuthorityCertificate,
            Error::InvalidCertificate(certificate) => Self::from(certificate),
            Error::AlertReceived(alert) => Self::from(*alert),
            Error::InvalidMessage(_) | Error::InappropriateMessage { .. } => Self::NotTls,
            Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13) => Self::OldVersion,
            Error::PeerIncompatible(_) => Self::NothingInCommon,
            Error::NoCertificatesPresented => Self::NoCertificate,
            Error::DecryptError | Error::PeerMisbehaved(_) | Error::PeerSentOversizedRecord => Self::Violation,
            Error::NoApplicationProtocol => Self::NoHttp,
            Error::InvalidCertRevocationList(_) => Self::RevocationList,
            Error::FailedToGetCurrentTime => Self::Clock,
            error => Self::Internal(error.to_string().to_lowercase()),
        }
    }
}

impl From<&CertificateError> for TlsFailure {
    fn from(error: &CertificateError) -> Self {
        match error {
            CertificateError::UnknownIssuer => Self::UnknownIssuer,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Self::WrongName,
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYetValid,
            CertificateError::BadSignature => Self::BadSignature,
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => Self::WrongPurpose,
            _ => Self::BadCertificate,
        }
    }
}

impl From<AlertDescription> for TlsFailure {
    fn from(alert: AlertDescription) -> Self {
        match alert {
            AlertDescription::CertificateRequired => Self::ClientCertificateRequired,
            AlertDescription::HandshakeFailure => Self::HandshakeFailure,
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError => Self::ClientCertificateRejected,
            AlertDescription::UnrecognisedName => Self::UnknownName,
            _ => Self::Alert,
        }
    }
}

/// Whether the only problem of a certificate is that it is marked as an authority, after all
/// earlier checks of `webpki` passed.
pub(crate) fn is_authority(error: &Error) -> bool {
    let Error::InvalidCertificate(CertificateError::Other(other)) = error else { return false };
    matches!(other.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn nested_causes_are_found() {
        let inner = Error::AlertReceived(AlertDescription::CertificateRequired);
        let outer = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, inner));
        assert_eq!(TlsFailure::find(&outer), Some(TlsFailure::ClientCertificateRequired));
        assert_eq!(TlsFailure::find(&io::Error::other("no TLS")), None);
    }

    #[test]
    fn no_text_contains_the_name_of_a_type() {
        let other = CertificateError::Other(rustls::OtherError(Arc::new(webpki::Error::UnsupportedCertVersion)));
        for error in [
            Error::InvalidCertificate(other),
            Error::InvalidCertificate(CertificateError::BadEncoding),
            Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType),
            Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon),
            Error::AlertReceived(AlertDescription::InternalError),
            Error::PeerMisbehaved(rustls::PeerMisbehaved::TooMuchEarlyDataReceived),
            Error::NoCertificatesPresented,
            Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch),
        ] {
            let text = TlsFailure::from(&error).to_string();
            let has_type = text
                .split(' ')
                .any(|word| word.chars().skip(1).any(char::is_uppercase) && word.chars().any(char::is_lowercase));
            assert!(!has_type, "{text}");
        }
    }
}
