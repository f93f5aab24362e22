//! Writes objects: at once, or in parts.

use bytes::Bytes;
use hyper::Method;
use percent_encoding::utf8_percent_encode;
use serde::Deserialize;

use super::{QUERY, S3, Target, header, parse, xml};
use crate::client::cut;
use crate::error::{Error, ErrorKind, kind_of};

/// Maximum number of parts of an upload.
const MAX_PARTS: usize = 10_000;

/// How the server encrypts an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// With keys of S3 (SSE-S3).
    S3,
    /// With a key of KMS (SSE-KMS); `None` is the key of the account for S3.
    Kms(Option<String>),
    /// Twice, with a key of KMS (DSSE-KMS).
    KmsTwice(Option<String>),
}

/// An object to write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PutObject {
    /// Name of the bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// Its bytes; not used by [`S3::create_upload`].
    pub body: Bytes,
    /// Writes only if there is no object with this key.
    pub if_none_match: bool,
    /// The content type.
    pub content_type: Option<String>,
    /// The content encoding.
    pub content_encoding: Option<String>,
    /// The class of storage, such as `STANDARD_IA`.
    pub storage_class: Option<String>,
    /// Encryption; `None` for that of the bucket.
    pub encryption: Option<Encryption>,
    /// A canned access control list, such as `bucket-owner-full-control`.
    pub acl: Option<String>,
    /// Tags.
    pub tags: Vec<(String, String)>,
    /// Metadata, with names without the prefix `x-amz-meta-`. ASCII only.
    pub metadata: Vec<(String, String)>,
}

/// A written object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PutResult {
    /// The entity tag, without quotes.
    pub etag: Option<String>,
    /// The version.
    pub version: Option<String>,
}

/// An uploaded part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its number, from 1.
    pub number: u32,
    /// The entity tag as the server wrote it.
    pub etag: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Created {
    upload_id: String,
}

/// The server reports some failures to complete with status 200.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Completed {
    code: Option<String>,
    message: Option<String>,
    #[serde(rename = "ETag")]
    etag: Option<String>,
}

impl PutObject {
    fn headers(&self) -> Vec<(String, String)> {
        let mut headers = Vec::new();
        let mut add = |name: &str, value: String| headers.push((name.to_owned(), value));
        for (name, value) in [
            ("content-type", &self.content_type),
            ("content-encoding", &self.content_encoding),
            ("x-amz-storage-class", &self.storage_class),
            ("x-amz-acl", &self.acl),
        ] {
            value.iter().for_each(|value| add(name, value.clone()));
        }
        if let Some(encryption) = &self.encryption {
            let (name, key) = match encryption {
                Encryption::S3 => ("AES256", None),
                Encryption::Kms(key) => ("aws:kms", key.as_ref()),
                Encryption::KmsTwice(key) => ("aws:kms:dsse", key.as_ref()),
            };
            add("x-amz-server-side-encryption", name.to_owned());
            if let Some(key) = key {
                add("x-amz-server-side-encryption-aws-kms-key-id", key.clone());
            }
        }
        if !self.tags.is_empty() {
            let encode = |text: &str| utf8_percent_encode(text, QUERY).to_string();
            let tags: Vec<String> =
                self.tags.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
            add("x-amz-tagging", tags.join("&"));
        }
        for (name, value) in &self.metadata {
            add(&format!("x-amz-meta-{name}"), value.clone());
        }
        headers
    }

    fn condition(&self) -> Option<(String, String)> {
        self.if_none_match.then(|| ("if-none-match".to_owned(), "*".to_owned()))
    }

    fn resource(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.key)
    }
}

impl S3 {
    /// Writes an object.
    ///
    /// # Errors
    ///
    /// The server rejects it; [`ErrorKind::PreconditionFailed`] if it exists and `if_none_match` is set.
    pub async fn put(&self, object: &PutObject) -> Result<PutResult, Error> {
        let mut headers = object.headers();
        headers.extend(object.condition());
        let target = Target {
            operation: "PutObject",
            method: &Method::PUT,
            bucket: &object.bucket,
            key: &object.key,
            query: &[],
        };
        let response = self.send(target, &headers, object.body.clone()).await?;
        Ok(PutResult {
            etag: header(&response.headers, "etag").map(|tag| tag.trim_matches('"').to_owned()),
            version: header(&response.headers, "x-amz-version-id"),
        })
    }

    /// Begins an upload in parts, and returns its id. Parts are stored, and cost, until the upload is completed or
    /// aborted.
    ///
    /// # Errors
    ///
    /// The server rejects it.
    pub async fn create_upload(&self, object: &PutObject) -> Result<String, Error> {
        let operation = "CreateMultipartUpload";
        let query = [("uploads", "")];
        let target =
            Target { operation, method: &Method::POST, bucket: &object.bucket, key: &object.key, query: &query };
        let response = self.send(target, &object.headers(), Bytes::new()).await?;
        let text = xml(operation, &object.resource(), response).await?;
        Ok(parse::<Created>(operation, &object.resource(), &text)?.upload_id)
    }

    /// Uploads a part: 5 MiB to 5 GiB, except for the last one. A part with the same number replaces it.
    ///
    /// # Errors
    ///
    /// The server rejects it.
    pub async fn upload_part(&self, object: &PutObject, upload: &str, number: u32, body: Bytes) -> Result<Part, Error> {
        let operation = "UploadPart";
        let text = number.to_string();
        let query = [("partNumber", text.as_str()), ("uploadId", upload)];
        let target =
            Target { operation, method: &Method::PUT, bucket: &object.bucket, key: &object.key, query: &query };
        let response = self.send(target, &[], body).await?;
        let etag = header(&response.headers, "etag").ok_or_else(|| {
            Error::new(ErrorKind::InvalidResponse, operation, object.resource(), "the response has no entity tag")
        })?;
        Ok(Part { number, etag })
    }

    /// Completes an upload. The object exists from then on.
    ///
    /// # Errors
    ///
    /// The server rejects it; [`ErrorKind::PreconditionFailed`] if the object exists and `if_none_match` is set.
    pub async fn complete_upload(&self, object: &PutObject, upload: &str, parts: &[Part]) -> Result<PutResult, Error> {
        let operation = "CompleteMultipartUpload";
        let failed = |kind, reason: &str| Error::new(kind, operation, object.resource(), reason);
        if parts.is_empty() || parts.len() > MAX_PARTS {
            return Err(failed(ErrorKind::Rejected, "an upload has between 1 and 10,000 parts"));
        }
        let parts: Vec<String> = parts
            .iter()
            .map(|part| {
                let etag = quick_xml::escape::escape(part.etag.as_str());
                format!("<Part><PartNumber>{}</PartNumber><ETag>{etag}</ETag></Part>", part.number)
            })
            .collect();
        let body = format!(
            "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{}</CompleteMultipartUpload>",
            parts.concat()
        );
        let query = [("uploadId", upload)];
        let target =
            Target { operation, method: &Method::POST, bucket: &object.bucket, key: &object.key, query: &query };
        let headers: Vec<(String, String)> = object.condition().into_iter().collect();
        let response = self.send(target, &headers, body.into()).await?;
        let version = header(&response.headers, "x-amz-version-id");
        let text = xml(operation, &object.resource(), response).await?;
        let found: Completed = parse(operation, &object.resource(), &text)?;
        if let Some(code) = found.code {
            let reason = found.message.unwrap_or_default();
            // With status 200 only the code says what happened; codes without a known kind are temporary.
            let mut error = failed(kind_of(Some(&code), 500), cut(&reason));
            error.code = Some(code.into());
            return Err(error);
        }
        Ok(PutResult { etag: found.etag.map(|tag| tag.trim_matches('"').to_owned()), version })
    }

    /// Aborts an upload and deletes its parts.
    ///
    /// # Errors
    ///
    /// The server rejects it; [`ErrorKind::NotFound`] if there is no such upload.
    pub async fn abort_upload(&self, object: &PutObject, upload: &str) -> Result<(), Error> {
        let query = [("uploadId", upload)];
        let target = Target {
            operation: "AbortMultipartUpload",
            method: &Method::DELETE,
            bucket: &object.bucket,
            key: &object.key,
            query: &query,
        };
        self.send(target, &[], Bytes::new()).await.map(drop)
    }
}
