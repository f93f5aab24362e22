//! Lists objects.

use bytes::Bytes;
use hyper::Method;
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use super::{S3, Target, parse, xml};
use crate::error::{Error, ErrorKind};

/// Which objects to list. The order is that of the bytes of the keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListObjects {
    /// Name of the bucket.
    pub bucket: String,
    /// The beginning of the keys.
    pub prefix: String,
    /// Lists only the part of a key up to this text, once, in [`Listed::prefixes`].
    pub delimiter: Option<String>,
    /// Lists keys after this one.
    pub start_after: Option<String>,
    /// The token of the previous page.
    pub continuation: Option<String>,
    /// Maximum number of keys; `None` for 1,000.
    pub max_keys: Option<u32>,
}

/// A page of objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// The objects.
    pub objects: Vec<ListedObject>,
    /// Common beginnings of keys, with `delimiter`.
    pub prefixes: Vec<String>,
    /// The token of the next page; `None` on the last page.
    pub next: Option<String>,
}

/// An object in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    /// The key.
    pub key: String,
    /// Size in bytes.
    pub size: u64,
    /// The entity tag, without quotes.
    pub etag: String,
    /// When it was written.
    pub last_modified: Option<Timestamp>,
    /// The class of storage; empty if the server does not say.
    pub storage_class: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Response {
    is_truncated: bool,
    next_continuation_token: Option<String>,
    encoding_type: Option<String>,
    #[serde(default)]
    contents: Vec<Contents>,
    #[serde(default)]
    common_prefixes: Vec<CommonPrefix>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Contents {
    key: String,
    #[serde(default)]
    size: u64,
    #[serde(default, rename = "ETag")]
    etag: String,
    last_modified: Option<String>,
    #[serde(default)]
    storage_class: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CommonPrefix {
    prefix: String,
}

impl S3 {
    /// A page of the objects in a bucket.
    ///
    /// # Errors
    ///
    /// The bucket does not exist, or cannot be listed.
    pub async fn list(&self, request: &ListObjects) -> Result<Listed, Error> {
        let max_keys = request.max_keys.map(|count| count.to_string());
        // Without encoding, XML cannot contain every character that a key can have.
        let mut query = vec![("encoding-type", "url"), ("list-type", "2"), ("prefix", request.prefix.as_str())];
        for (name, value) in [
            ("continuation-token", &request.continuation),
            ("delimiter", &request.delimiter),
            ("max-keys", &max_keys),
            ("start-after", &request.start_after),
        ] {
            query.extend(value.iter().map(|value| (name, value.as_str())));
        }
        let operation = "ListObjectsV2";
        let target = Target { operation, method: &Method::GET, bucket: &request.bucket, key: "", query: &query };
        let response = self.send(target, &[], Bytes::new()).await?;
        let resource = format!("s3://{}", request.bucket);
        let text = xml(operation, &resource, response).await?;
        let found: Response = parse(operation, &resource, &text)?;
        let invalid = |reason: &str| Error::new(ErrorKind::InvalidResponse, operation, resource.clone(), reason);
        // Without a token the next page would be the first one again.
        let next = found.next_continuation_token.filter(|token| found.is_truncated && !token.is_empty());
        if found.is_truncated && next.is_none() {
            return Err(invalid("the response is not the last page, and has no token for the next one"));
        }
        let is_encoded = found.encoding_type.as_deref() == Some("url");
        let decode = |text: String| {
            if !is_encoded {
                return Ok(text);
            }
            let spaces = text.replace('+', " ");
            let decoded = percent_decode_str(&spaces).decode_utf8().map(|text| text.into_owned());
            decoded.map_err(|_| invalid("a key in the response is not UTF-8"))
        };
        let object = |contents: Contents| {
            Ok(ListedObject {
                key: decode(contents.key)?,
                size: contents.size,
                etag: contents.etag.trim_matches('"').to_owned(),
                last_modified: contents.last_modified.and_then(|time| time.parse().ok()),
                storage_class: contents.storage_class,
            })
        };
        Ok(Listed {
            objects: found.contents.into_iter().map(object).collect::<Result<_, Error>>()?,
            prefixes: found.common_prefixes.into_iter().map(|p| decode(p.prefix)).collect::<Result<_, Error>>()?,
            next,
        })
    }
}
