//! Why a request failed, and what a caller can do about it.

use std::fmt;
use std::time::Duration;

use crate::credentials::CredentialsError;

/// The kind of a failure, for decisions and for labels of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The service limits the rate of requests, or is overloaded.
    Throttled,
    /// The credentials do not permit the operation.
    Denied,
    /// The object, bucket, queue or upload does not exist.
    NotFound,
    /// A condition of the request, such as `If-None-Match`, does not hold.
    PreconditionFailed,
    /// The session token has expired.
    ExpiredCredentials,
    /// There are no usable credentials, or the service does not know them.
    Credentials,
    /// The clock of this machine differs too much from that of the service.
    ClockSkew,
    /// A time limit passed.
    Timeout,
    /// No connection, or it broke before the response was complete.
    Connection,
    /// The bucket is in another region.
    WrongRegion,
    /// The service failed (5xx).
    Server,
    /// The service rejects the request for good.
    Rejected,
    /// The response cannot be understood, or is larger than its limit.
    InvalidResponse,
}

impl ErrorKind {
    /// The name for labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::Denied => "denied",
            Self::NotFound => "not_found",
            Self::PreconditionFailed => "precondition_failed",
            Self::ExpiredCredentials => "expired_credentials",
            Self::Credentials => "credentials",
            Self::ClockSkew => "clock_skew",
            Self::Timeout => "timeout",
            Self::Connection => "connection",
            Self::WrongRegion => "wrong_region",
            Self::Server => "server",
            Self::Rejected => "rejected",
            Self::InvalidResponse => "invalid_response",
        }
    }

    /// How an operator fixes this kind of failure; `None` if waiting fixes it.
    fn fix(self) -> Option<&'static str> {
        match self {
            Self::Denied => {
                Some("allow the action in the IAM policy of the agent, and in the policies of the resource")
            }
            Self::Credentials => Some("check `auth`, and that the key is active"),
            Self::ClockSkew => Some("set the clock of this machine, for example by NTP"),
            Self::WrongRegion => Some("set `region` to the region of the bucket"),
            _ => None,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a caller can do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The same request can succeed after a wait that grows with each attempt, with jitter.
    Backoff,
    /// The service asked for this wait.
    After(Duration),
    /// The same request fails until an operator changes something. Retry it rarely.
    Operator,
    /// The same request never succeeds.
    Never,
}

/// A failed operation. Its texts are boxed to keep results small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The kind of the failure.
    pub kind: ErrorKind,
    /// The operation, such as `GetObject`.
    pub operation: &'static str,
    /// What the operation was applied to, such as `s3://bucket/key`.
    pub resource: Box<str>,
    /// Status of the response, if there was one.
    pub status: Option<u16>,
    /// The error code of the service, such as `SlowDown`.
    pub code: Option<Box<str>>,
    /// What went wrong.
    pub reason: Box<str>,
    /// Id of the request, for the support of AWS.
    pub request_id: Option<Box<str>>,
    /// The wait that the service asked for.
    pub retry_after: Option<Duration>,
    /// The region of the bucket, if the service named it.
    pub region: Option<Box<str>>,
}

impl Error {
    pub(crate) fn new(
        kind: ErrorKind,
        operation: &'static str,
        resource: impl Into<Box<str>>,
        reason: impl Into<Box<str>>,
    ) -> Self {
        Self {
            kind,
            operation,
            resource: resource.into(),
            status: None,
            code: None,
            reason: reason.into(),
            request_id: None,
            retry_after: None,
            region: None,
        }
    }

    pub(crate) fn credentials(operation: &'static str, resource: &str, error: &CredentialsError) -> Self {
        Self::new(ErrorKind::Credentials, operation, resource, error.to_string())
    }

    /// What a caller can do.
    pub fn retry(&self) -> Retry {
        match self.kind {
            ErrorKind::Throttled
            | ErrorKind::Server
            | ErrorKind::Timeout
            | ErrorKind::Connection
            | ErrorKind::ExpiredCredentials
            | ErrorKind::InvalidResponse => self.retry_after.map_or(Retry::Backoff, Retry::After),
            ErrorKind::Denied | ErrorKind::Credentials | ErrorKind::ClockSkew | ErrorKind::WrongRegion => {
                Retry::Operator
            }
            ErrorKind::NotFound | ErrorKind::PreconditionFailed | ErrorKind::Rejected => Retry::Never,
        }
    }
}

impl Error {
    /// Writes how an operator fixes it; nothing if waiting fixes it.
    fn write_fix(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fix = match self.code.as_deref() {
            Some("NonExistentQueue" | "QueueDoesNotExist") => Some("check `queue_url`: its region, account and name"),
            Some("NoSuchBucket") => Some("check the name of the bucket, and `endpoint`"),
            _ => self.kind.fix(),
        };
        fix.map_or(Ok(()), |fix| write!(f, "; {fix}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of `{}` failed: {}", self.operation, self.resource, self.reason)?;
        match (&self.code, self.status) {
            (Some(code), Some(status)) => write!(f, " ({code}, status {status}")?,
            (Some(code), None) => write!(f, " ({code}")?,
            (None, Some(status)) => write!(f, " (status {status}")?,
            (None, None) => return self.write_fix(f),
        }
        if let Some(id) = &self.request_id {
            write!(f, ", request {id}")?;
        }
        f.write_str(")")?;
        self.write_fix(f)
    }
}

impl std::error::Error for Error {}

/// The kind of an error response, from its code and status. Codes come first: S3 reports an expired token with 400.
pub(crate) fn kind_of(code: Option<&str>, status: u16) -> ErrorKind {
    if let Some(kind) = code.and_then(kind_of_code) {
        return kind;
    }
    match status {
        301 | 307 | 308 => ErrorKind::WrongRegion,
        401 | 403 => ErrorKind::Denied,
        404 | 410 => ErrorKind::NotFound,
        408 => ErrorKind::Timeout,
        // Conditional writes of S3 conflict with a concurrent one by 409; the same request can succeed later.
        409 => ErrorKind::Server,
        412 | 304 => ErrorKind::PreconditionFailed,
        429 | 503 => ErrorKind::Throttled,
        500.. => ErrorKind::Server,
        _ => ErrorKind::Rejected,
    }
}

fn kind_of_code(code: &str) -> Option<ErrorKind> {
    Some(match code {
        "SlowDown"
        | "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "BandwidthLimitExceeded"
        | "LimitExceededException"
        | "ProvisionedThroughputExceededException"
        | "TransactionInProgressException"
        | "PriorRequestNotComplete"
        | "KmsThrottled"
        | "KMS.ThrottlingException"
        | "OverLimit"
        | "ServiceUnavailable" => ErrorKind::Throttled,
        "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" | "RequestExpired" => {
            ErrorKind::ExpiredCredentials
        }
        "RequestTimeTooSkewed" => ErrorKind::ClockSkew,
        "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "InvalidToken"
        | "InvalidSecurity"
        | "MissingAuthenticationToken"
        | "IncompleteSignature"
        | "AuthorizationHeaderMalformed" => ErrorKind::Credentials,
        "AccessDenied"
        | "AccessDeniedException"
        | "AllAccessDisabled"
        | "AccountProblem"
        | "UnauthorizedOperation"
        | "KmsAccessDenied"
        | "KMS.AccessDeniedException"
        | "ExpiredIdentityToken"
        | "IDPRejectedClaim" => ErrorKind::Denied,
        "NoSuchKey"
        | "NoSuchBucket"
        | "NoSuchVersion"
        | "NoSuchUpload"
        | "NotFound"
        | "QueueDoesNotExist"
        | "NonExistentQueue"
        | "ResourceNotFoundException" => ErrorKind::NotFound,
        "PreconditionFailed" | "NotModified" => ErrorKind::PreconditionFailed,
        "PermanentRedirect" | "TemporaryRedirect" | "Redirect" | "IllegalLocationConstraintException" => {
            ErrorKind::WrongRegion
        }
        "InternalError"
        | "InternalFailure"
        | "InternalServerError"
        | "ConditionalRequestConflict"
        | "OperationAborted" => ErrorKind::Server,
        "RequestTimeout" | "RequestTimeoutException" => ErrorKind::Timeout,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_statuses_have_kinds() {
        for (code, status, kind) in [
            (Some("SlowDown"), 503, ErrorKind::Throttled),
            (None, 503, ErrorKind::Throttled),
            (Some("ExpiredToken"), 400, ErrorKind::ExpiredCredentials),
            (Some("RequestTimeTooSkewed"), 403, ErrorKind::ClockSkew),
            (Some("AccessDenied"), 403, ErrorKind::Denied),
            (None, 403, ErrorKind::Denied),
            (Some("InvalidAccessKeyId"), 403, ErrorKind::Credentials),
            (Some("NoSuchKey"), 404, ErrorKind::NotFound),
            (None, 404, ErrorKind::NotFound),
            (None, 412, ErrorKind::PreconditionFailed),
            (Some("ConditionalRequestConflict"), 409, ErrorKind::Server),
            (Some("PermanentRedirect"), 301, ErrorKind::WrongRegion),
            (Some("SomethingNew"), 500, ErrorKind::Server),
            (Some("SomethingNew"), 400, ErrorKind::Rejected),
        ] {
            assert_eq!(kind_of(code, status), kind, "{code:?} {status}");
        }
    }

    #[test]
    fn the_text_has_what_failed_and_how_to_fix_it() {
        let mut error = Error::new(ErrorKind::Denied, "GetObject", "s3://b/k", "Access Denied");
        error.code = Some("AccessDenied".into());
        error.status = Some(403);
        error.request_id = Some("R1".into());
        assert_eq!(
            error.to_string(),
            "GetObject of `s3://b/k` failed: Access Denied (AccessDenied, status 403, request R1); allow the action in \
             the IAM policy of the agent, and in the policies of the resource"
        );
        assert_eq!(error.retry(), Retry::Operator);
    }
}
