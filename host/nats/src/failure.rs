//! What an error means: who can end it, and how the log says it.

use std::fmt;
use std::io;

use async_nats::jetstream::Error as ApiError;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::{ConnectError, ConnectErrorKind, RequestError, RequestErrorKind};
use wattle_tls::{TlsFailure, find_cause};

/// The kind of a failure. A failure is logged once for each kind until the next success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FailureKind {
    /// No server can be reached, or the connection broke.
    Connection,
    /// A server did not answer in time.
    Timeout,
    /// The server does not accept the credentials or the certificate, or its certificate is not trusted.
    Authentication,
    /// The user must not do this.
    Authorization,
    /// The stream does not exist.
    NoStream,
    /// The consumer does not exist, or was deleted.
    NoConsumer,
    /// JetStream has no leader, no memory or no disk now.
    Unavailable,
    /// The configuration of the server does not allow this.
    Refused,
    /// A response cannot be read.
    Invalid,
}

/// A failure in the words of the log and of `/status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The kind.
    pub kind: FailureKind,
    /// What the client or the server said, with a hint.
    pub text: String,
}

/// Codes of errors of JetStream.
mod code {
    pub(super) const CONSUMER_NOT_FOUND: u64 = 10014;
    pub(super) const CONSUMER_EXISTS: u64 = 10148;
    pub(super) const CONSUMER_NAME_EXISTS: u64 = 10013;
    pub(super) const NOT_ENABLED_FOR_ACCOUNT: u64 = 10039;
    pub(super) const MESSAGE_TOO_LARGE: u64 = 10054;
    pub(super) const STREAM_NOT_FOUND: u64 = 10059;
    pub(super) const NOT_ENABLED: u64 = 10076;
    pub(super) const STORE_FAILED: u64 = 10077;
    pub(super) const HEADER_TOO_LARGE: u64 = 10097;
}

impl Failure {
    fn new(kind: FailureKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    /// Why no connection was made.
    pub(crate) fn of_connect(error: &ConnectError) -> Self {
        if let Some(failure) = TlsFailure::find(error) {
            return Self::new(FailureKind::Authentication, format!("TLS failed: {failure}; check `tls`"));
        }
        let source = std::error::Error::source(error);
        let said = source.map_or_else(|| error.to_string(), ToString::to_string);
        match error.kind() {
            ConnectErrorKind::AuthorizationViolation => {
                Self::new(FailureKind::Authentication, "the server does not accept the credentials; check `auth`")
            }
            ConnectErrorKind::Authentication => {
                Self::new(FailureKind::Authentication, format!("the credentials cannot be used: {said}; check `auth`"))
            }
            ConnectErrorKind::TimedOut => Self::new(FailureKind::Timeout, "no server accepts the connection in time"),
            ConnectErrorKind::Tls => {
                Self::new(FailureKind::Authentication, format!("TLS cannot be set up: {said}; check `tls`"))
            }
            ConnectErrorKind::Dns => Self::new(
                FailureKind::Connection,
                format!("cannot resolve the name of the server ({said}); check the name and the DNS of this machine"),
            ),
            _ => match find_cause::<io::Error>(error) {
                Some(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    Self::new(FailureKind::Connection, "nothing listens there (connection refused)")
                }
                _ if said.starts_with("nats: ") => Self::of_server(said.trim_start_matches("nats: ")),
                _ => Self::new(FailureKind::Connection, format!("the connection failed ({said})")),
            },
        }
    }

    /// What the server said on its own.
    pub fn of_server(said: &str) -> Self {
        let lower = said.to_lowercase();
        if lower.contains("permissions violation") {
            let hint = "give the user the permission, or check `auth`";
            return Self::new(FailureKind::Authorization, format!("the server refused: {said}; {hint}"));
        }
        if lower.contains("authenti") || lower.contains("authorization") {
            return Self::new(FailureKind::Authentication, format!("the server refused: {said}; check `auth`"));
        }
        if lower.contains("tls") || lower.contains("secure connection") {
            return Self::new(FailureKind::Authentication, format!("the server refused: {said}; check `tls`"));
        }
        Self::new(FailureKind::Connection, format!("the server said: {said}"))
    }

    /// Why a request got no answer. `said` is what the server sent meanwhile: it does not answer a request that the user must
    /// not make, but says so.
    pub fn of_request(error: &RequestError, said: Option<String>) -> Self {
        match (error.kind(), said) {
            (RequestErrorKind::NoResponders, _) => Self::no_jetstream(),
            (RequestErrorKind::TimedOut, Some(said)) => Self::of_server(&said),
            (RequestErrorKind::TimedOut, None) => Self::no_answer(),
            _ => Self::new(FailureKind::Connection, "the connection was closed"),
        }
    }

    /// Why the client could not send a message or got no confirmation; `None` if JetStream refused it, which
    /// [`of_refusal`](Self::of_refusal) explains.
    pub fn of_publish(error: &PublishError, said: Option<String>) -> Self {
        match (error.kind(), said) {
            (PublishErrorKind::StreamNotFound, _) => {
                Self::new(FailureKind::NoStream, "no stream takes this subject; create one, or check `subject`")
            }
            (PublishErrorKind::TimedOut, Some(said)) => Self::of_server(&said),
            (PublishErrorKind::TimedOut, None) => Self::no_answer(),
            (PublishErrorKind::BrokenPipe, _) => Self::new(FailureKind::Connection, "the connection was closed"),
            _ => match find_cause::<ApiError>(error) {
                Some(refusal) => Self::of_api(refusal),
                None => Self::new(FailureKind::Connection, "the connection was closed"),
            },
        }
    }

    /// What an error of JetStream means.
    pub fn of_api(error: &ApiError) -> Self {
        let code = error.error_code().0;
        let (kind, hint) = match code {
            code::STREAM_NOT_FOUND => (FailureKind::NoStream, "; create the stream, or check `stream`"),
            code::CONSUMER_NOT_FOUND => (FailureKind::NoConsumer, ""),
            code::NOT_ENABLED | code::NOT_ENABLED_FOR_ACCOUNT => {
                (FailureKind::Refused, "; enable JetStream for the account, or set `jetstream = false`")
            }
            code::STORE_FAILED => (FailureKind::Refused, "; raise the limits of the stream, or wait until it has room"),
            _ if error.code() >= 500 => (FailureKind::Unavailable, ""),
            _ => (FailureKind::Refused, ""),
        };
        Self::new(kind, format!("{error}{hint}"))
    }

    /// Why JetStream refuses a message for good, whenever it is sent again.
    pub fn of_refusal(error: &PublishError) -> Option<String> {
        if error.kind() == PublishErrorKind::MaxPayloadExceeded {
            return Some("the message is larger than `max_payload` of the server".to_owned());
        }
        let refusal = find_cause::<ApiError>(error)?;
        let is_final = matches!(refusal.error_code().0, code::MESSAGE_TOO_LARGE | code::HEADER_TOO_LARGE);
        is_final.then(|| refusal.to_string())
    }

    /// Whether JetStream has a consumer of this name already.
    pub(crate) fn is_exists(error: &ApiError) -> bool {
        matches!(error.error_code().0, code::CONSUMER_EXISTS | code::CONSUMER_NAME_EXISTS)
    }

    /// No server with JetStream gets requests.
    pub fn no_jetstream() -> Self {
        let text = "no server with JetStream answers; enable it, check `domain`, or set `jetstream = false`";
        Self::new(FailureKind::Unavailable, text)
    }

    /// The server is silent.
    pub fn no_answer() -> Self {
        Self::new(FailureKind::Timeout, "the server did not answer in time")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FailureKind {
    /// All kinds, in their order.
    pub const FIRST: Self = Self::Connection;
    /// The last kind.
    pub const LAST: Self = Self::Invalid;

    /// Whether only an operator can end the failure.
    pub fn needs_operator(self) -> bool {
        matches!(self, Self::Authentication | Self::Authorization | Self::NoStream | Self::Refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn api(code: u16, err_code: u64, description: &str) -> ApiError {
        serde_json::from_value(json!({ "code": code, "err_code": err_code, "description": description })).unwrap()
    }

    #[test]
    fn errors_have_kinds_and_hints() {
        let check = |failure: Failure, kind: FailureKind, part: &str, needs_operator: bool| {
            assert_eq!(failure.kind, kind, "{failure}");
            assert!(failure.text.contains(part), "{failure}");
            assert_eq!(kind.needs_operator(), needs_operator);
        };
        let refused = ConnectError::from(io::Error::from(io::ErrorKind::ConnectionRefused));
        check(Failure::of_connect(&refused), FailureKind::Connection, "refused", false);
        let wrong = ConnectError::new(ConnectErrorKind::AuthorizationViolation);
        check(Failure::of_connect(&wrong), FailureKind::Authentication, "`auth`", true);
        let said = Failure::of_server("Permissions Violation for Publish to \"a\"");
        check(said, FailureKind::Authorization, "permission", true);
        check(Failure::of_server("User Authentication Expired"), FailureKind::Authentication, "Expired", true);
        check(Failure::of_api(&api(404, 10059, "stream not found")), FailureKind::NoStream, "`stream`", true);
        check(Failure::of_api(&api(503, 10077, "maximum messages exceeded")), FailureKind::Refused, "limits", true);
        check(Failure::of_api(&api(503, 10008, "no leader")), FailureKind::Unavailable, "no leader", false);
        let timeout = RequestError::new(RequestErrorKind::TimedOut);
        check(Failure::of_request(&timeout, None), FailureKind::Timeout, "in time", false);
        let said = Some("Permissions Violation for Publish".to_owned());
        check(Failure::of_request(&timeout, said), FailureKind::Authorization, "Violation", true);
    }

    #[test]
    fn only_what_can_never_be_stored_is_refused_for_good() {
        let publish = |refusal| PublishError::with_source(PublishErrorKind::Other, refusal);
        let too_large = publish(api(400, 10054, "message size exceeds maximum allowed"));
        assert!(Failure::of_refusal(&too_large).unwrap().contains("exceeds maximum"));
        assert!(Failure::of_refusal(&PublishError::new(PublishErrorKind::MaxPayloadExceeded)).is_some());
        for passing in [publish(api(503, 10077, "maximum bytes exceeded")), publish(api(503, 10008, "no leader"))] {
            assert_eq!(Failure::of_refusal(&passing), None);
        }
        assert_eq!(Failure::of_refusal(&PublishError::new(PublishErrorKind::TimedOut)), None);
    }
}
