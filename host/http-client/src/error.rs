//! Why a request got no response, with error texts that say how to fix it.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use wattle_tls::{TlsFailure, Words, find_cause, system_error_text};

/// Most sources and sinks call the option with the address `uri`; see [`RequestError::with_option`].
const WORDS: Words = Words { address: "uri", without_tls: "use `http://` in `uri`" };

/// Why a request got no usable response.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the texts of the errors describe the variants and their fields")]
pub enum RequestError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("no response from `{address}` within {limit:?} (`{option}`)")]
    Timeout { address: String, limit: Duration, option: &'static str },
    #[error("`{address}` does not speak HTTP/1.1; check the port and `http://` or `https://` in `uri`")]
    NotHttp { address: String },
    #[error("`{address}` closed the connection before it responded")]
    Closed { address: String },
    #[error("`{address}` reset the connection before it responded")]
    Reset { address: String },
    #[error("`{address}` broke off its response with status {status}")]
    Truncated { address: String, status: u16 },
    #[error("the connection to `{address}` failed: {error}")]
    Connection { address: String, error: String },
    #[error("the request to `{address}` failed: {error}")]
    Other { address: String, error: String },
}

/// Why a connection could not be made.
#[derive(Clone, Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the texts of the errors describe the variants and their fields")]
pub enum ConnectError {
    #[error("`{address}` is not a valid address; check `uri`")]
    NoHost { address: String },
    #[error("cannot resolve the name of `{address}` ({error}); check the name in `uri` and the DNS of this machine")]
    Name { address: String, error: String },
    #[error("nothing listens at `{address}` (connection refused)")]
    Refused { address: String },
    #[error("cannot connect to `{address}`: {error}")]
    Connect { address: String, error: String },
    #[error("cannot connect to `{address}` within {} s", .limit.as_secs())]
    Timeout { address: String, limit: Duration },
    #[error("`{address}` closed the connection during its setup")]
    Closed { address: String },
    #[error("`{address}` does not speak HTTP")]
    NotHttp { address: String },
    #[error("{}", proxy_rejects(.proxy, .to, *.status, *.has_credentials))]
    Proxy { proxy: String, to: String, status: u16, has_credentials: bool },
    #[error("TLS with `{address}` failed: {reason}")]
    Tls { address: String, reason: String },
}

fn proxy_rejects(proxy: &str, to: &str, status: u16, has_credentials: bool) -> String {
    let text = format!("the proxy `{proxy}` rejects a connection to `{to}` with status {status}");
    match (status, has_credentials) {
        (407, false) => {
            format!("{text}: it requires a user and a password; write the proxy like `http://user:password@host:port`")
        }
        (407, true) => format!("{text}: it does not accept the user and the password in its address"),
        (403, _) => format!("{text}: its rules do not allow it"),
        _ => text,
    }
}

impl ConnectError {
    /// Why a TCP connection could not be made within the limit.
    pub(crate) fn connect(address: String, limit: Duration, error: &(dyn StdError + 'static)) -> Self {
        // The resolver's error type is private, so compare the text.
        let is_name = error.to_string().contains("dns error");
        let Some(cause) = find_cause::<io::Error>(error) else {
            return Self::Connect { address, error: error.to_string() };
        };
        match cause.kind() {
            _ if is_name => Self::Name { address, error: system_error_text(cause) },
            io::ErrorKind::ConnectionRefused => Self::Refused { address },
            io::ErrorKind::TimedOut => Self::Timeout { address, limit },
            _ => Self::Connect { address, error: system_error_text(cause) },
        }
    }

    /// Why a TLS handshake failed.
    pub(crate) fn tls(address: String, error: &io::Error) -> Self {
        match TlsFailure::find(error) {
            Some(failure) => Self::Tls { address, reason: failure.with_hint(WORDS) },
            None if error.kind() == io::ErrorKind::UnexpectedEof => Self::Tls {
                address,
                reason: "the server closed the connection; check that it speaks TLS on this port".to_owned(),
            },
            None => Self::Tls { address, reason: system_error_text(error) },
        }
    }
}

impl RequestError {
    /// The text of the error where the option with the address has this name. Most call it `uri`, as the texts do.
    pub fn with_option(&self, option: &str) -> String {
        match option {
            "uri" => self.to_string(),
            option => self.to_string().replace("`uri`", &format!("`{option}`")),
        }
    }

    /// Why a request to `address` got no response, from the errors of the HTTP client.
    pub(crate) fn of(address: &str, error: &(dyn StdError + 'static)) -> Self {
        let at = || address.to_owned();
        if let Some(error) = find_cause::<ConnectError>(error) {
            return Self::Connect(error.clone());
        }
        if let Some(failure) = TlsFailure::find(error) {
            return Self::Connect(ConnectError::Tls { address: at(), reason: failure.with_hint(WORDS) });
        }
        if let Some(cause) = find_cause::<hyper::Error>(error) {
            if cause.is_parse() {
                return Self::NotHttp { address: at() };
            }
            if cause.is_incomplete_message() {
                return Self::Closed { address: at() };
            }
        }
        match find_cause::<io::Error>(error) {
            Some(cause) if matches!(cause.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => {
                Self::Reset { address: at() }
            }
            Some(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => Self::Closed { address: at() },
            Some(cause) => Self::Connection { address: at(), error: system_error_text(cause) },
            None => {
                let mut last = error;
                while let Some(source) = last.source() {
                    last = source;
                }
                Self::Other { address: at(), error: last.to_string() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_causes_are_found() {
        let inner = rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired);
        let outer = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, inner));
        assert_eq!(
            RequestError::of("h:443", &outer).to_string(),
            "TLS with `h:443` failed: the server requires a client certificate; set `tls.crt_file` and `tls.key_file`"
        );
    }
}
