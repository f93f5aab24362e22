//! Signs a request, sends it, and turns an error response into an [`Error`].

use std::time::Duration;

use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{HeaderMap, Method, Request, Uri};
use jiff::Timestamp;
use reqsign_aws_v4::{Credential, RequestSigner};
use reqsign_core::{Context, SignRequest as _};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::endpoint::Service;
use crate::error::{Error, ErrorKind, kind_of};
use crate::http::{Http, HttpError, Response};

/// Maximum bytes of an error response that are read.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// Maximum bytes of a reason in an error.
const MAX_REASON_BYTES: usize = 300;

/// Maximum wait that a service can request.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(15);

/// The header with the region of a bucket.
const BUCKET_REGION: &str = "x-amz-bucket-region";

/// One request to a service.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) operation: &'static str,
    /// What it is applied to, for errors.
    pub(crate) resource: String,
    pub(crate) service: Service,
    /// The region of the signature.
    pub(crate) region: String,
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// How long the service may hold the response on purpose.
    pub(crate) wait: Duration,
}

impl Call {
    pub(crate) fn error(&self, kind: ErrorKind, reason: impl Into<Box<str>>) -> Error {
        Error::new(kind, self.operation, self.resource.clone(), reason)
    }

    pub(crate) fn http_error(&self, error: &HttpError) -> Error {
        self.error(error.kind(), error.to_string())
    }

    /// Sets a header.
    ///
    /// # Errors
    ///
    /// The value has characters that a header must not have.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let parsed = HeaderName::try_from(name).ok().zip(HeaderValue::try_from(value).ok());
        let Some((header, value)) = parsed else {
            let reason = format!("the header `{name}` has characters that are not allowed in it, such as a line break");
            return Err(self.error(ErrorKind::Rejected, reason));
        };
        self.headers.insert(header, value);
        Ok(())
    }
}

/// Sends a call, signed if there is a credential, and returns a successful response.
///
/// # Errors
///
/// There was no response, or it has another status than 2xx.
pub(crate) async fn exchange(http: &Http, call: &Call, credential: Option<&Credential>) -> Result<Response, Error> {
    let mut request = Request::new(());
    *request.method_mut() = call.method.clone();
    *request.uri_mut() = call.uri.clone();
    *request.headers_mut() = call.headers.clone();
    let (mut head, ()) = request.into_parts();
    if let Some(credential) = credential {
        let hash = hex(&Sha256::digest(&call.body));
        if let Ok(value) = HeaderValue::try_from(hash) {
            head.headers.insert("x-amz-content-sha256", value);
        }
        let signer = RequestSigner::new(call.service.name(), &call.region).with_standard_session_token();
        signer.sign_request(&Context::new(), &mut head, Some(credential), None).await.map_err(|error| {
            let kind = match error.kind() {
                reqsign_core::ErrorKind::CredentialInvalid => ErrorKind::ExpiredCredentials,
                _ => ErrorKind::Rejected,
            };
            call.error(kind, format!("cannot sign the request: {error}"))
        })?;
    }
    let request = Request::from_parts(head, call.body.clone());
    let response = http.send(request, call.wait).await.map_err(|error| call.http_error(&error))?;
    if response.status.is_success() { Ok(response) } else { Err(failure(call, response).await) }
}

/// The error of a response.
async fn failure(call: &Call, response: Response) -> Error {
    let Response { status, headers, body } = response;
    // The status and the headers alone decide if the body cannot be read.
    let body = body.collect(MAX_ERROR_BYTES).await.unwrap_or_default();
    let found = match call.service {
        Service::CloudTrail | Service::Sqs => ErrorBody::of_json(&headers, &body),
        Service::S3 | Service::Sts => ErrorBody::of_xml(&body),
    };
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let region = header(BUCKET_REGION).or(found.region);
    let mut kind = kind_of(found.code.as_deref(), status.as_u16());
    // S3 reports another region in several ways; `HEAD` has no body at all.
    let is_elsewhere = region.as_ref().is_some_and(|region| *region != call.region);
    if is_elsewhere && (matches!(status.as_u16(), 301 | 307 | 308 | 400) || kind == ErrorKind::WrongRegion) {
        kind = ErrorKind::WrongRegion;
    }
    let reason = found.message.unwrap_or_else(|| format!("the service responded with status {}", status.as_u16()));
    let mut error = call.error(kind, cut(&reason));
    error.status = Some(status.as_u16());
    error.code = found.code.map(String::into_boxed_str);
    error.region = region.map(String::into_boxed_str);
    let id = header("x-amz-request-id").or_else(|| header("x-amzn-requestid")).or(found.request_id);
    error.request_id = id.map(String::into_boxed_str);
    error.retry_after = retry_after(&headers, Timestamp::now());
    if error.kind == ErrorKind::ClockSkew
        && let Some(date) = header("date")
    {
        error.reason = format!("{}; the time of the service is {}", error.reason, cut(&date)).into();
    }
    error
}

/// The error in a body.
#[derive(Debug, Default)]
struct ErrorBody {
    code: Option<String>,
    message: Option<String>,
    request_id: Option<String>,
    region: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct XmlError {
    code: Option<String>,
    message: Option<String>,
    request_id: Option<String>,
    region: Option<String>,
    /// STS wraps the error.
    error: Option<Box<XmlError>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct JsonError {
    #[serde(rename = "__type")]
    kind: Option<String>,
    #[serde(alias = "Message")]
    message: Option<String>,
}

impl ErrorBody {
    fn of_xml(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let Ok(found) = quick_xml::de::from_str::<XmlError>(&text) else { return Self::default() };
        let request_id = found.request_id;
        let inner = found.error.map_or(
            XmlError { code: found.code, message: found.message, region: found.region, ..XmlError::default() },
            |error| *error,
        );
        Self {
            code: inner.code.filter(|code| !code.is_empty()),
            message: inner.message.filter(|message| !message.is_empty()),
            request_id,
            region: inner.region,
        }
    }

    fn of_json(headers: &HeaderMap, body: &[u8]) -> Self {
        let found: JsonError = serde_json::from_slice(body).unwrap_or_default();
        // `com.amazonaws.sqs#QueueDoesNotExist`; the header has the code of the older protocol, which is more precise.
        let kind = found.kind.map(|kind| kind.rsplit('#').next().unwrap_or_default().to_owned());
        let query = headers.get("x-amzn-query-error").and_then(|value| value.to_str().ok());
        let query = query.and_then(|text| text.split(';').next()).and_then(|code| code.rsplit('.').next());
        let code = match (kind, query) {
            (Some(kind), Some(query)) if crate::error::kind_of(Some(&kind), 400) == ErrorKind::Rejected => {
                // Keep the name of the operation's own error if neither has a known kind.
                if kind_of(Some(query), 400) == ErrorKind::Rejected { Some(kind) } else { Some(query.to_owned()) }
            }
            (Some(kind), _) => Some(kind),
            (None, query) => query.map(str::to_owned),
        };
        Self { code: code.filter(|code| !code.is_empty()), message: found.message, request_id: None, region: None }
    }
}

/// The wait that the service requests: a number of seconds, or a date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
            // A date in the past means no wait.
            Duration::try_from(date.duration_since(now)).unwrap_or_default()
        }
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

/// The beginning of a text.
pub(crate) fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_REASON_BYTES)).unwrap_or(text)
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_come_from_every_form_of_error() {
        let s3 =
            "<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><Message>m</Message><RequestId>r</RequestId></Error>";
        let found = ErrorBody::of_xml(s3.as_bytes());
        assert_eq!((found.code.as_deref(), found.request_id.as_deref()), (Some("NoSuchKey"), Some("r")));
        let sts = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>m</Message></Error>\
                   <RequestId>r</RequestId></ErrorResponse>";
        let found = ErrorBody::of_xml(sts.as_bytes());
        assert_eq!((found.code.as_deref(), found.message.as_deref()), (Some("AccessDenied"), Some("m")));
        let sqs = br#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"m"}"#;
        let query = "AWS.SimpleQueueService.NonExistentQueue;Sender";
        let headers: HeaderMap = [("x-amzn-query-error", query)]
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .into_iter()
            .collect();
        assert_eq!(ErrorBody::of_json(&headers, sqs).code.as_deref(), Some("QueueDoesNotExist"));
        for body in ["", "<", "<Error>", "not xml", "<a/>", "{}", "[1]"] {
            assert_eq!(ErrorBody::of_xml(body.as_bytes()).code, None, "{body}");
            assert_eq!(ErrorBody::of_json(&HeaderMap::new(), body.as_bytes()).code, None, "{body}");
        }
    }

    #[test]
    fn a_wait_is_seconds_or_a_date_and_bounded() {
        let now = "2015-10-21T07:28:00Z".parse().unwrap();
        for (text, seconds) in
            [("3", Some(3)), ("Wed, 21 Oct 2015 07:28:30 GMT", Some(30)), ("99999", Some(900)), ("soon", None)]
        {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
            assert_eq!(retry_after(&headers, now), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
