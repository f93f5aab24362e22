//! What an error of the client means: who can end it, and how the log says it.

use std::fmt;

use krafka::KrafkaError;
use krafka::error::ErrorCode;
use wattle_tls::TlsFailure;

/// The kind of a failure. A failure is logged once for each kind until the next success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FailureKind {
    /// No broker can be reached, or a connection broke.
    Connection,
    /// A broker did not answer in time.
    Timeout,
    /// The brokers do not accept the credentials or the certificate, or their certificate is not trusted.
    Authentication,
    /// The user must not do this.
    Authorization,
    /// The topic does not exist.
    UnknownTopic,
    /// The group has no offset for a partition, and the options forbid to choose one.
    NoOffset,
    /// A broker is not ready: it elects a leader, or lacks replicas.
    Unavailable,
    /// The options or the broker do not allow this.
    Refused,
    /// A response or a message cannot be read.
    Invalid,
}

/// A failure in the words of the log and of `/status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The kind.
    pub kind: FailureKind,
    /// What the client or the broker said, with a hint.
    pub text: String,
}

impl Failure {
    /// What an error means.
    pub fn of(error: &KrafkaError) -> Self {
        if let Some(failure) = TlsFailure::find(error) {
            return Self { kind: FailureKind::Authentication, text: format!("TLS failed: {failure}; check `tls`") };
        }
        let refusal = match error {
            KrafkaError::Network(error) => Some(error.to_string()).filter(|text| refuses_certificate(text)),
            _ => None,
        };
        if let Some(text) = refusal {
            let text = format!(
                "TLS failed: the brokers do not accept the client certificate, or require one ({text}); \
                 check `tls.crt_file`"
            );
            return Self { kind: FailureKind::Authentication, text };
        }
        // While connecting, the client passes such errors on as text only.
        if let text = error.to_string()
            && text.contains("(InvalidLength)")
        {
            return Self { kind: FailureKind::Invalid, text: not_kafka(&text) };
        }
        let kind = FailureKind::of(error);
        let said = match error {
            KrafkaError::Network(error) => error.to_string(),
            KrafkaError::Auth { message, .. } => message.clone(),
            KrafkaError::Timeout { operation } => format!("no answer in time: {operation}"),
            KrafkaError::Broker { code, message } => format!("{message} ({code:?})"),
            error => error.to_string(),
        };
        let hint = match kind {
            FailureKind::Authentication => "; check `sasl`",
            FailureKind::Authorization => "; give the user the permission, or check `sasl.username`",
            FailureKind::UnknownTopic => "; create the topic, or check its name",
            FailureKind::NoOffset => "; set `auto_offset_reset`, or commit an offset for the group",
            _ => "",
        };
        Self { kind, text: format!("{said}{hint}") }
    }

    /// A topic that the brokers do not know.
    pub fn unknown_topic(name: &str) -> Self {
        let text = format!("unknown topic `{name}`; create the topic, or check its name");
        Self { kind: FailureKind::UnknownTopic, text }
    }
}

/// A response with an impossible length, which is what the first bytes of other protocols are.
fn not_kafka(text: &str) -> String {
    // The bytes `HTTP`, and the beginning of an alert of TLS.
    let what = match (text.contains(" 1213486160"), text.contains(" 352518")) {
        (true, _) => "it speaks HTTP",
        (_, true) => "it speaks TLS, and `tls` is not set",
        _ => "it may speak another protocol",
    };
    format!("the server does not answer as Kafka does: {what}; check the port in `bootstrap_servers` ({text})")
}

/// Whether a broker has refused the certificate of this client, or that it has none. In TLS 1.3, it does so after the
/// handshake, and the client passes such errors on as text only.
fn refuses_certificate(text: &str) -> bool {
    let alert = text.split_once("received fatal alert: ").map(|(_, alert)| alert);
    alert.is_some_and(|alert| {
        alert.contains("Certificate") || alert.starts_with("UnknownCA") || alert.starts_with("AccessDenied")
    })
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FailureKind {
    fn of(error: &KrafkaError) -> Self {
        match error {
            KrafkaError::Network(_) | KrafkaError::Closed { .. } => Self::Connection,
            KrafkaError::Timeout { .. } | KrafkaError::DeliveryTimeout { .. } => Self::Timeout,
            KrafkaError::Auth { .. } => Self::Authentication,
            KrafkaError::NoOffset { .. } => Self::NoOffset,
            KrafkaError::UnknownTopic { .. } => Self::UnknownTopic,
            KrafkaError::Config { .. } => Self::Refused,
            KrafkaError::Broker { code, .. } => Self::of_code(*code),
            _ => Self::Invalid,
        }
    }

    fn of_code(code: ErrorCode) -> Self {
        match code {
            ErrorCode::SaslAuthenticationFailed | ErrorCode::UnsupportedSaslMechanism | ErrorCode::IllegalSaslState => {
                Self::Authentication
            }
            ErrorCode::TopicAuthorizationFailed
            | ErrorCode::GroupAuthorizationFailed
            | ErrorCode::ClusterAuthorizationFailed
            | ErrorCode::TransactionalIdAuthorizationFailed => Self::Authorization,
            ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId | ErrorCode::InvalidTopic => {
                Self::UnknownTopic
            }
            ErrorCode::RequestTimedOut => Self::Timeout,
            // Something unexpected went wrong in the broker, and its log says what.
            ErrorCode::UnknownServerError => Self::Unavailable,
            code if code.is_retriable() => Self::Unavailable,
            _ => Self::Refused,
        }
    }

    /// Whether only an operator can end the failure.
    pub fn needs_operator(self) -> bool {
        matches!(self, Self::Authentication | Self::Authorization | Self::UnknownTopic | Self::NoOffset | Self::Refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_kinds_and_hints() {
        let check = |error: KrafkaError, kind: FailureKind, part: &str, needs_operator: bool| {
            let failure = Failure::of(&error);
            assert_eq!(failure.kind, kind, "{error}");
            assert!(failure.text.contains(part), "{failure}");
            assert_eq!(kind.needs_operator(), needs_operator);
        };
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        check(KrafkaError::network(refused), FailureKind::Connection, "refused", false);
        let alert = |name: &str| std::io::Error::other(format!("last error: received fatal alert: {name}"));
        for name in ["UnknownCA", "CertificateRequired", "BadCertificate"] {
            let error = KrafkaError::network(alert(name));
            check(error, FailureKind::Authentication, "check `tls.crt_file`", true);
        }
        check(KrafkaError::network(alert("CloseNotify")), FailureKind::Connection, "CloseNotify", false);
        check(KrafkaError::auth("wrong password"), FailureKind::Authentication, "`sasl`", true);
        let http = "could not connect to any of [b:80]; last error: protocol error (InvalidLength): message size 1213486160 \
                    exceeds maximum 104857600";
        check(
            KrafkaError::network(std::io::Error::other(http)),
            FailureKind::Invalid,
            "it speaks HTTP; check the port",
            false,
        );
        let broker = |code| KrafkaError::broker(code, "said");
        check(broker(ErrorCode::UnknownServerError), FailureKind::Unavailable, "UnknownServerError", false);
        check(broker(ErrorCode::TopicAuthorizationFailed), FailureKind::Authorization, "permission", true);
        check(broker(ErrorCode::UnknownTopicOrPartition), FailureKind::UnknownTopic, "create", true);
        check(broker(ErrorCode::NotEnoughReplicas), FailureKind::Unavailable, "NotEnoughReplicas", false);
        check(broker(ErrorCode::PolicyViolation), FailureKind::Refused, "PolicyViolation", true);
        check(KrafkaError::no_offset(vec![("t".into(), 3)]), FailureKind::NoOffset, "t-3", true);
    }
}
