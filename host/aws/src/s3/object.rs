//! Reads objects.

use bytes::Bytes;
use hyper::{HeaderMap, Method};

use super::{S3, Target, header};
use crate::error::{Error, ErrorKind};
use crate::http::Body;

/// Which object to read, and which part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetObject {
    /// Name of the bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// A version; `None` for the current one.
    pub version: Option<String>,
    /// The first byte. After an interruption, the position to continue at.
    pub start: u64,
    /// The last byte, included; `None` for the end.
    pub last: Option<u64>,
    /// The entity tag that the object must still have.
    pub if_match: Option<String>,
}

/// Metadata of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectHead {
    /// Bytes of the whole object; `None` if the server does not say.
    pub size: Option<u64>,
    /// The entity tag, without quotes.
    pub etag: Option<String>,
    /// The version.
    pub version: Option<String>,
    /// The content type.
    pub content_type: Option<String>,
    /// The content encoding.
    pub content_encoding: Option<String>,
    /// When it was written, as in the header.
    pub last_modified: Option<String>,
    /// The class of storage; `None` is the standard class.
    pub storage_class: Option<String>,
    /// Metadata of the user, with names in lower case and without the prefix `x-amz-meta-`.
    pub metadata: Vec<(String, String)>,
}

/// An object that is being read.
#[derive(Debug)]
pub struct ObjectStream {
    /// Its metadata.
    pub head: ObjectHead,
    body: Body,
    resource: String,
    /// Position of the next byte in the object.
    position: u64,
}

impl ObjectHead {
    fn of(headers: &HeaderMap) -> Self {
        let number = |text: String| text.trim().parse().ok();
        // Of a part: `bytes 0-99/1234`.
        let range = header(headers, "content-range");
        let size = match &range {
            Some(range) => range.rsplit_once('/').and_then(|(_, size)| number(size.to_owned())),
            None => header(headers, "content-length").and_then(number),
        };
        let metadata = headers.iter().filter_map(|(name, value)| {
            let name = name.as_str().strip_prefix("x-amz-meta-")?;
            Some((name.to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        });
        Self {
            size,
            etag: header(headers, "etag").map(|tag| tag.trim_matches('"').to_owned()),
            version: header(headers, "x-amz-version-id").filter(|version| version != "null"),
            content_type: header(headers, "content-type"),
            content_encoding: header(headers, "content-encoding").filter(|encoding| !encoding.is_empty()),
            last_modified: header(headers, "last-modified"),
            storage_class: header(headers, "x-amz-storage-class"),
            metadata: metadata.collect(),
        }
    }
}

impl ObjectStream {
    /// The next bytes; `None` at the end. After an error, read on with a new request from [`position`](Self::position),
    /// with `if_match`.
    ///
    /// # Errors
    ///
    /// The connection broke, or there was no byte for too long.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, Error>> {
        let chunk = self.body.chunk().await?;
        if let Ok(bytes) = &chunk {
            self.position += bytes.len() as u64;
        }
        Some(chunk.map_err(|error| Error::new(error.kind(), "GetObject", self.resource.clone(), error.to_string())))
    }

    /// Position of the next byte in the object.
    pub fn position(&self) -> u64 {
        self.position
    }
}

impl S3 {
    /// Begins to read an object.
    ///
    /// # Errors
    ///
    /// The object does not exist, cannot be read, or has another entity tag.
    pub async fn get(&self, request: &GetObject) -> Result<ObjectStream, Error> {
        let mut headers = Vec::new();
        if request.start > 0 || request.last.is_some() {
            let last = request.last.map(|last| last.to_string()).unwrap_or_default();
            headers.push(("range".to_owned(), format!("bytes={}-{last}", request.start)));
        }
        if let Some(etag) = &request.if_match {
            headers.push(("if-match".to_owned(), format!("\"{}\"", etag.trim_matches('"'))));
        }
        let query: Vec<(&str, &str)> = request.version.iter().map(|version| ("versionId", version.as_str())).collect();
        let target = Target {
            operation: "GetObject",
            method: &Method::GET,
            bucket: &request.bucket,
            key: &request.key,
            query: &query,
        };
        let response = self.send(target, &headers, Bytes::new()).await?;
        let resource = format!("s3://{}/{}", request.bucket, request.key);
        // A server that ignores the range would send bytes that were read before.
        if request.start > 0 && response.status.as_u16() != 206 {
            let reason = "the server ignored the range of the request";
            return Err(Error::new(ErrorKind::InvalidResponse, "GetObject", resource, reason));
        }
        let head = ObjectHead::of(&response.headers);
        Ok(ObjectStream { head, body: response.body, resource, position: request.start })
    }

    /// Metadata of an object.
    ///
    /// # Errors
    ///
    /// The object does not exist, or cannot be read.
    pub async fn head(&self, bucket: &str, key: &str, version: Option<&str>) -> Result<ObjectHead, Error> {
        let query: Vec<(&str, &str)> = version.iter().map(|version| ("versionId", *version)).collect();
        let target = Target { operation: "HeadObject", method: &Method::HEAD, bucket, key, query: &query };
        Ok(ObjectHead::of(&self.send(target, &[], Bytes::new()).await?.headers))
    }
}
