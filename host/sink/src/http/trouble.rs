//! Why a request got no answer, in words that say what to do.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use rustls::{AlertDescription, CertificateError, Error as TlsError, PeerIncompatible};

use super::connect::TCP_TIMEOUT;
use super::tls::is_authority;

/// Why a connection could not be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("`{address}` is not an address that can be connected to; check `uri`")]
    NoHost { address: String },
    #[error(
        "the name of `{address}` cannot be resolved ({error}); check the name in `uri` and the DNS of this machine"
    )]
    Name { address: String, error: String },
    #[error("nothing listens at `{address}` (connection refused)")]
    Refused { address: String },
    #[error("cannot connect to `{address}`: {error}")]
    Connect { address: String, error: String },
    #[error("`{address}` does not answer; no connection within {} s", .limit.as_secs())]
    Slow { address: String, limit: Duration },
    #[error("`{address}` closed the connection while it was set up")]
    Closed { address: String },
    #[error("`{address}` does not answer with HTTP")]
    NotHttp { address: String },
    #[error("{}", proxy_refuses(.proxy, .to, *.status, *.has_credentials))]
    Proxy { proxy: String, to: String, status: u16, has_credentials: bool },
    #[error("TLS with `{address}` failed: {reason}")]
    Tls { address: String, reason: String },
}

fn proxy_refuses(proxy: &str, to: &str, status: u16, has_credentials: bool) -> String {
    let text = format!("the proxy `{proxy}` refuses a connection to `{to}` with status {status}");
    match (status, has_credentials) {
        (407, false) => {
            format!("{text}: it wants a user and a password; write the proxy like `http://user:password@host:port`")
        }
        (407, true) => format!("{text}: it does not accept the user and the password in its address"),
        (403, _) => format!("{text}: its rules do not allow it"),
        _ => text,
    }
}

impl Trouble {
    /// Why a TCP connection could not be made.
    pub(super) fn connect(address: String, error: &(dyn StdError + 'static)) -> Self {
        let is_name = error.to_string().contains("dns error");
        let Some(cause) = find::<io::Error>(error) else {
            return Self::Connect { address, error: error.to_string() };
        };
        match cause.kind() {
            _ if is_name => Self::Name { address, error: short(cause) },
            io::ErrorKind::ConnectionRefused => Self::Refused { address },
            io::ErrorKind::TimedOut => Self::Slow { address, limit: TCP_TIMEOUT },
            _ => Self::Connect { address, error: short(cause) },
        }
    }

    /// Why TLS could not begin.
    pub(super) fn tls(address: String, error: &io::Error) -> Self {
        match find::<TlsError>(error) {
            Some(cause) => Self::Tls { address, reason: tls_reason(cause) },
            None if error.kind() == io::ErrorKind::UnexpectedEof => Self::Tls {
                address,
                reason: "the server closed the connection; check that it speaks TLS on this port".to_owned(),
            },
            None => Self::Tls { address, reason: short(error) },
        }
    }
}

/// What an error of TLS means.
pub(super) fn tls_reason(error: &TlsError) -> String {
    let text = match error {
        error if is_authority(error) => {
            "its certificate is that of an authority, not of a server; to trust this server, add this very certificate to \
             the file in `tls.ca_file`"
        }
        TlsError::InvalidCertificate(certificate) => match certificate {
            CertificateError::UnknownIssuer => {
                "its certificate comes from an authority that is not trusted; name a file with the authority's certificate \
                 in `tls.ca_file`"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "its certificate is for another name; write a name in `uri` that the certificate has"
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its certificate has expired, or the clock of this machine is wrong"
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid yet, or the clock of this machine is wrong"
            }
            CertificateError::BadSignature => "its certificate has a wrong signature",
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                "its certificate is not for servers (extended key usage)"
            }
            _ => {
                "its certificate cannot be used; servers need an X.509 certificate of version 3 with a subject alternative name"
            }
        },
        TlsError::AlertReceived(AlertDescription::CertificateRequired) => {
            "the server wants a client certificate; set `tls.crt_file` and `tls.key_file`"
        }
        TlsError::AlertReceived(AlertDescription::HandshakeFailure) => {
            "the server refused the handshake; it may want a client certificate (`tls.crt_file`, `tls.key_file`) or another \
             version of TLS"
        }
        TlsError::AlertReceived(
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError,
        ) => "the server does not accept the client certificate in `tls.crt_file`",
        TlsError::AlertReceived(AlertDescription::UnrecognisedName) => "the server does not know the name in `uri`",
        TlsError::AlertReceived(_) => "the server refused the handshake",
        TlsError::InvalidMessage(_) | TlsError::InappropriateMessage { .. } => {
            "the server does not speak TLS on this port; write `http://` in `uri` if that is right, or another port"
        }
        TlsError::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13) => {
            "the server supports neither TLS 1.2 nor TLS 1.3"
        }
        TlsError::PeerIncompatible(_) => "the server and this agent have no version of TLS or cipher in common",
        TlsError::NoCertificatesPresented => "the server presented no certificate",
        TlsError::DecryptError | TlsError::PeerMisbehaved(_) | TlsError::PeerSentOversizedRecord => {
            "the server violates the TLS protocol; check whether a proxy or another service answers at this address"
        }
        TlsError::NoApplicationProtocol => "the server does not speak HTTP/1.1 over TLS",
        TlsError::InvalidCertRevocationList(_) => "the list of revoked certificates cannot be used",
        TlsError::FailedToGetCurrentTime => "the clock of this machine cannot be read",
        // Errors of the local configuration and of libraries: the words are those of the TLS library.
        _ => {
            return format!(
                "the TLS library of the agent reports an internal error ({})",
                error.to_string().to_lowercase()
            );
        }
    };
    text.to_owned()
}

/// Why an exchange with `address` brought no answer.
pub(super) fn explain(address: &str, error: &(dyn StdError + 'static)) -> String {
    if let Some(trouble) = find::<Trouble>(error) {
        return trouble.to_string();
    }
    if let Some(cause) = find::<TlsError>(error) {
        return Trouble::Tls { address: address.to_owned(), reason: tls_reason(cause) }.to_string();
    }
    if let Some(cause) = find::<hyper::Error>(error) {
        if cause.is_parse() {
            return format!(
                "`{address}` does not answer with HTTP/1.1; check the port and `http://` or `https://` in `uri`"
            );
        }
        if cause.is_incomplete_message() {
            return format!("`{address}` closed the connection before it answered");
        }
    }
    match find::<io::Error>(error) {
        Some(cause) if matches!(cause.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => {
            format!("`{address}` reset the connection before it answered")
        }
        Some(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => {
            format!("`{address}` closed the connection before it answered")
        }
        Some(cause) => format!("the connection to `{address}` failed: {}", short(cause)),
        None => {
            let mut last = error;
            while let Some(source) = last.source() {
                last = source;
            }
            format!("the request to `{address}` failed: {last}")
        }
    }
}

/// An error of this type among the causes of another.
fn find<'e, T: StdError + 'static>(error: &'e (dyn StdError + 'static)) -> Option<&'e T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // What an `io::Error` wraps is not among its sources.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped as &(dyn StdError + 'static)),
            None => error.source(),
        };
    }
    None
}

/// An error of the system without its number, which means nothing to people.
fn short(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((text, _)) => text.to_lowercase(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn causes_are_found_inside_of_each_other() {
        let inner = TlsError::AlertReceived(AlertDescription::CertificateRequired);
        let outer = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, inner));
        assert_eq!(
            explain("h:443", &outer),
            "TLS with `h:443` failed: the server wants a client certificate; set `tls.crt_file` and `tls.key_file`"
        );
    }

    #[test]
    fn no_names_of_types_reach_people() {
        let other = CertificateError::Other(rustls::OtherError(Arc::new(webpki::Error::UnsupportedCertVersion)));
        for error in [
            TlsError::InvalidCertificate(other),
            TlsError::InvalidCertificate(CertificateError::BadEncoding),
            TlsError::InvalidMessage(rustls::InvalidMessage::InvalidContentType),
            TlsError::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon),
            TlsError::AlertReceived(AlertDescription::InternalError),
            TlsError::PeerMisbehaved(rustls::PeerMisbehaved::TooMuchEarlyDataReceived),
            TlsError::NoCertificatesPresented,
            TlsError::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch),
        ] {
            let text = tls_reason(&error);
            let has_type = text
                .split(' ')
                .any(|word| word.chars().skip(1).any(char::is_uppercase) && word.chars().any(char::is_lowercase));
            assert!(!has_type, "{text}");
        }
    }
}
