//! Requests that write one object: one, or several if it is uploaded in parts.

use std::time::Duration;

use wattle_aws::{Error, ErrorKind, Part, PutObject, Retry, S3};

/// Larger objects are uploaded in parts, and every part but the last has this size.
const PART_BYTES: usize = 8 << 20;

/// S3 permits this many parts, so the parts of an object are larger if there would be more.
const MAX_PARTS: usize = 10_000;

/// Errors of S3 that come from the options of the sink or from the bucket rather than from an object, although S3 reports
/// them as errors of the request.
const OPTIONS: [&str; 12] = [
    "AccessControlListNotSupported",
    "InvalidArgument",
    "InvalidBucketName",
    "InvalidBucketState",
    "InvalidEncryptionAlgorithmError",
    "InvalidRequest",
    "InvalidStorageClass",
    "InvalidTag",
    "MalformedACLError",
    "MethodNotAllowed",
    "NotImplemented",
    "TooManyBuckets",
];

/// Errors after which the same bytes can be sent again: they did not arrive as they were sent, or the parts are others.
const TRANSFER: [&str; 7] = [
    "BadDigest",
    "EntityTooSmall",
    "IncompleteBody",
    "InvalidDigest",
    "InvalidPart",
    "InvalidPartOrder",
    "XAmzContentSHA256Mismatch",
];

/// What to do after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Try again, but not sooner than S3 requests.
    Retry(Duration),
    /// Try again; it fails until an operator changes something.
    Operator,
    /// Give the object up: it can never be written.
    Reject,
}

/// Why an attempt failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) step: Step,
    /// Status of the response, if there was one.
    pub(super) status: Option<u16>,
    pub(super) reason: String,
}

/// An upload in parts that is not complete: its id, and the parts that S3 has.
#[derive(Debug, Default)]
pub(super) struct Upload {
    id: Option<String>,
    parts: Vec<Part>,
}

impl Upload {
    /// The id, if the upload was begun.
    pub(super) fn into_id(self) -> Option<String> {
        self.id
    }
}

/// Writes an object. An object in parts continues after the last part that `upload` has.
///
/// # Errors
///
/// S3 did not confirm the object.
pub(super) async fn write(client: &S3, object: &PutObject, upload: &mut Upload) -> Result<(), Failure> {
    if object.body.len() <= PART_BYTES {
        return client.put(object).await.map(drop).map_err(|error| failure(&error));
    }
    let written = write_parts(client, object, upload).await;
    written.map_err(|error| {
        let is_gone = error.code.as_deref() == Some("NoSuchUpload");
        if is_gone || error.code.as_deref().is_some_and(|code| TRANSFER.contains(&code)) {
            // It was completed by a request whose response was lost, or a lifecycle rule aborted it.
            *upload = Upload::default();
        }
        if is_gone { Failure { step: Step::Retry(Duration::ZERO), ..failure(&error) } } else { failure(&error) }
    })
}

async fn write_parts(client: &S3, object: &PutObject, upload: &mut Upload) -> Result<(), Error> {
    let Upload { id, parts } = upload;
    let id = match id {
        Some(id) => id,
        None => id.insert(client.create_upload(object).await?),
    };
    let part_bytes = PART_BYTES.max(object.body.len().div_ceil(MAX_PARTS));
    let mut start = parts.len() * part_bytes;
    while start < object.body.len() {
        let end = (start + part_bytes).min(object.body.len());
        // At most `MAX_PARTS`.
        let number = u32::try_from(parts.len() + 1).unwrap_or(u32::MAX);
        parts.push(client.upload_part(object, id, number, object.body.slice(start..end)).await?);
        start = end;
    }
    client.complete_upload(object, id, parts).await.map(drop)
}

fn failure(error: &Error) -> Failure {
    let code = error.code.as_deref().unwrap_or_default();
    let (step, advice) = match error.retry() {
        Retry::Backoff => (Step::Retry(Duration::ZERO), ""),
        Retry::After(wait) => (Step::Retry(wait), ""),
        Retry::Operator => (Step::Operator, ""),
        // The sink writes to no object that must exist.
        Retry::Never if error.kind == ErrorKind::NotFound => {
            (Step::Operator, "; create the bucket, or correct `bucket` or `endpoint`")
        }
        Retry::Never if TRANSFER.contains(&code) => (Step::Retry(Duration::ZERO), ""),
        Retry::Never if OPTIONS.contains(&code) || code.starts_with("KMS.") => {
            (Step::Operator, "; check the options of the sink, and the bucket")
        }
        Retry::Never => (Step::Reject, ""),
    };
    Failure { step, status: error.status, reason: format!("{error}{advice}") }
}
