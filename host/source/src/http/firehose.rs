//! The source `aws_firehose`: takes the records that Amazon Data Firehose sends to an HTTP endpoint.
//!
//! The format is that of "HTTP endpoint delivery request and response specifications" in the developer guide of Amazon
//! Data Firehose: the body has records in base64, and the response has the id of the request and a time. Firehose takes
//! any status but 200 as a failure of the whole request and sends it again, except 413: it drops those records.

use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use hyper::header::HeaderName;
use hyper::{HeaderMap, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use wattle_batch::Span;
use wattle_listen::{Credential, check_path};
use wattle_options::{OptionErrors, Secret};

use super::body::{documents, lines};
use super::options::{HTTP_1, Protocol, Settings, server_options};
use super::refusal::Refusal;
use crate::assemble::{BatchLimits, Chunk, cut};
use crate::decompress::{Compression, ReadFailure, decompress};
use crate::in_flight::Share;

/// The header with the access key.
pub(super) const ACCESS_KEY: &str = "x-amz-firehose-access-key";
/// The header with the id of the request, which stays the same when Firehose sends it again.
const REQUEST_ID: &str = "x-amz-firehose-request-id";
/// The header with the ARN of the stream.
const SOURCE_ARN: &str = "x-amz-firehose-source-arn";
/// The header with the attributes that the stream adds to each request.
const COMMON_ATTRIBUTES: &str = "x-amz-firehose-common-attributes";

/// Firehose accepts error messages of up to this many characters.
const MAX_MESSAGE_CHARS: usize = 8192;

server_options! {
    /// The options of an `aws_firehose` source.
    Options, acknowledge_timeout = 150, protocols = HTTP_1, {
        /// Address to listen on: a host name or IP address, and a port. Default: `127.0.0.1:8080`.
        address = "127.0.0.1:8080",
        /// The only path that accepts events, with `POST` and `PUT`. Default: `/`.
        path = "/",
    }, {
        /// Access keys, one of which a request must have. With two, a key can be changed without an outage. Use variables,
        /// such as `${FIREHOSE_KEY}`. Default: none; every request is accepted.
        access_keys: Vec<Secret> = Vec::new(),
        /// How the data of each record is compressed: `auto` (by its first bytes), `gzip` or `none`. Records of CloudWatch
        /// Logs are gzip. Default: `auto`.
        record_compression: RecordCompression = RecordCompression::default(),
    }
}

/// How the data of each record is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RecordCompression {
    /// Data that begins like gzip is decompressed.
    #[default]
    Auto,
    /// All data is gzip.
    Gzip,
    /// Data stays as it is.
    None,
}

impl Options {
    pub(crate) fn check(mut self, errors: &mut OptionErrors) -> Settings {
        let address = std::mem::take(&mut self.address);
        let mut settings = self.server(&[("address", &address)], errors);
        check_path("path", &self.path, errors);
        settings.path = self.path;
        let keys = self.access_keys.into_iter().enumerate();
        let keys = keys.filter_map(|(at, key)| {
            Credential::in_header(HeaderName::from_static(ACCESS_KEY), &format!("access_keys[{at}]"), key, errors)
        });
        settings.credentials = keys.collect();
        settings.protocol = Protocol::Firehose(self.record_compression);
        settings
    }
}

/// What the headers of a request say about all of its records.
#[derive(Clone, Debug, Default)]
pub(super) struct About {
    request_id: String,
    /// For `resource.source`.
    pub(super) resource: Map<String, Value>,
}

impl About {
    /// Reads the headers.
    ///
    /// # Errors
    ///
    /// The id is missing, or a header cannot be read.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let request_id = text(REQUEST_ID).to_owned();
        if request_id.is_empty() {
            return Err(Refusal::bad(format!(
                "the header `{REQUEST_ID}` is missing; only Firehose sends to this source"
            )));
        }
        let mut resource = Map::new();
        resource.insert("request_id".into(), request_id.as_str().into());
        if !text(SOURCE_ARN).is_empty() {
            resource.insert("arn".into(), text(SOURCE_ARN).into());
        }
        if headers.contains_key(COMMON_ATTRIBUTES) {
            let common: Option<Map<String, Value>> = serde_json::from_str(text(COMMON_ATTRIBUTES)).ok();
            let common = common.and_then(|mut common| common.remove("commonAttributes")).filter(Value::is_object);
            let Some(common) = common else {
                let reason = format!("the header `{COMMON_ATTRIBUTES}` is not an object with `commonAttributes`");
                return Err(Refusal::bad(reason));
            };
            resource.insert("common_attributes".into(), common);
        }
        Ok(Self { request_id, resource })
    }

    /// The body of a response to this request.
    pub(super) fn response(headers: &HeaderMap, error: Option<&str>) -> Value {
        let id = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        match error {
            None => json!({ "requestId": id, "timestamp": now }),
            Some(error) => {
                let error: String = error.chars().take(MAX_MESSAGE_CHARS).collect();
                json!({ "requestId": id, "timestamp": now, "errorMessage": error })
            }
        }
    }

    /// The status of a response that Firehose understands as it is meant.
    pub(super) fn status(status: StatusCode) -> StatusCode {
        match status {
            // Firehose drops the records of a request that is answered with 413.
            StatusCode::PAYLOAD_TOO_LARGE => StatusCode::BAD_REQUEST,
            other => other,
        }
    }
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(rename = "requestId", borrow)]
    request_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    records: Vec<Record<'a>>,
}

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    data: Cow<'a, str>,
}

/// Converts the body of a request to events: each JSON document in a record is one, and each line of a record that is
/// not JSON. Also returns the number of empty lines and records.
///
/// # Errors
///
/// The body is not one of Firehose, or a limit is exceeded.
pub(super) fn frame(
    body: &Bytes,
    about: &About,
    compression: RecordCompression,
    settings: &Settings,
    share: &mut Share,
    limits: &BatchLimits,
) -> Result<(Vec<Chunk>, u64), Refusal> {
    let Body { request_id, records } = serde_json::from_slice(body)
        .map_err(|error| Refusal::bad(format!("the body is not that of a request of Firehose: {error}")))?;
    if request_id.is_some_and(|id| id != about.request_id) {
        return Err(Refusal::bad("the id of the request in the body is not the one in the header"));
    }
    let max = usize::try_from(settings.max_body_bytes).unwrap_or(usize::MAX);
    let (mut text, mut spans, mut empty) = (Vec::new(), Vec::new(), 0);
    for (at, record) in records.iter().enumerate() {
        let refuse = |reason: String| Refusal::bad(format!("record {at}: {reason}"));
        let data = BASE64_STANDARD.decode(record.data.as_bytes());
        let data = data.map_err(|error| refuse(format!("`data` is not base64: {error}")))?;
        let data = unpack(data, compression, settings, max - text.len()).map_err(refuse)?;
        if data.is_empty() {
            empty += 1;
            continue;
        }
        // The body, the text of all records, and the one that is being copied.
        share.cover((body.len() + text.len() + 2 * data.len()) as u64)?;
        let data = Bytes::from(data);
        let (found, skipped) = match documents(&data, share)? {
            Ok(found) => (found, 0),
            Err(_) => lines(&data, share)?,
        };
        empty += skipped;
        // At most 2 GiB of text, so positions fit.
        let base = u32::try_from(text.len()).unwrap_or(u32::MAX);
        spans.extend(found.into_iter().map(|span| Span { start: base + span.start, end: base + span.end }));
        text.extend_from_slice(&data);
    }
    let text = Bytes::from(text);
    share.cover((text.len() + spans.len().saturating_mul(size_of::<Span>())) as u64)?;
    Ok((cut(&text, spans, 0, text.len() as u64, limits), empty))
}

/// Decompresses the data of a record to at most `room` bytes.
fn unpack(data: Vec<u8>, compression: RecordCompression, settings: &Settings, room: usize) -> Result<Vec<u8>, String> {
    let is_gzip = match compression {
        RecordCompression::Auto => Compression::detect(&data) == Compression::Gzip,
        RecordCompression::Gzip => !data.is_empty(),
        RecordCompression::None => false,
    };
    let too_large = || format!("the records have more than {} bytes (`max_body_bytes`)", settings.max_body_bytes);
    if !is_gzip {
        return if data.len() > room { Err(too_large()) } else { Ok(data) };
    }
    match decompress(Compression::Gzip, &data, settings.caps, room as u64) {
        (unpacked, None) if unpacked.len() <= room => Ok(unpacked),
        (_, None | Some(ReadFailure::TooLarge(_))) => Err(too_large()),
        (_, Some(failure @ ReadFailure::TooDense(_))) => Err(format!("the data {failure}")),
        // It would come again and again. As it is, a node fails it with a reason, and it is kept.
        (_, Some(_)) => Ok(data),
    }
}

#[cfg(test)]
mod tests;
