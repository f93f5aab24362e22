//! The operations of S3 that sources and sinks need.
//!
//! If a bucket is in another region, the client follows once, and remembers the region of the bucket.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use hyper::{HeaderMap, Method, Uri};
use parking_lot::Mutex;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::client::Call;
use crate::endpoint::Service;
use crate::error::{Error, ErrorKind};
use crate::http::Response;
use crate::session::Session;

mod list;
mod object;
mod upload;

pub use list::{ListObjects, Listed, ListedObject};
pub use object::{GetObject, ObjectHead, ObjectStream};
pub use upload::{Encryption, Part, PutObject, PutResult};

/// Maximum bytes of a response in XML: 1,000 objects with keys of 1,024 bytes, encoded.
const MAX_XML_BYTES: usize = 16 << 20;

/// Maximum number of buckets whose region is remembered.
const MAX_REGIONS: usize = 1000;

/// What stays as it is in a path.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// What stays as it is in a query.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A client of S3.
#[derive(Debug)]
pub struct S3 {
    session: Session,
    /// Buckets that are in another region than the session.
    regions: Mutex<HashMap<String, String>>,
}

/// Where and how an operation is sent.
#[derive(Clone, Copy)]
struct Target<'a> {
    operation: &'static str,
    method: &'a Method,
    bucket: &'a str,
    /// Empty for operations on the bucket.
    key: &'a str,
    query: &'a [(&'a str, &'a str)],
}

impl S3 {
    /// A client of this session.
    pub fn new(session: &Session) -> Self {
        Self { session: session.clone(), regions: Mutex::default() }
    }

    /// Sends an operation, to the region of the bucket.
    async fn send(&self, target: Target<'_>, headers: &[(String, String)], body: Bytes) -> Result<Response, Error> {
        let known = self.regions.lock().get(target.bucket).cloned();
        let region = known.unwrap_or_else(|| self.session.region().to_owned());
        let error = match self.session.call(&self.call(target, headers, body.clone(), &region)?).await {
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        let Some(other) = error.region.clone().filter(|_| error.kind == ErrorKind::WrongRegion) else {
            return Err(error);
        };
        // A server at a custom endpoint, or a region that was just followed, would send the client in a circle. The
        // region becomes a part of a host name.
        if *other == *region || !crate::region::is_region(&other) {
            return Err(error);
        }
        let response = self.session.call(&self.call(target, headers, body, &other)?).await?;
        let mut regions = self.regions.lock();
        if regions.len() < MAX_REGIONS {
            tracing::debug!(bucket = target.bucket, region = &*other, "the bucket is in another region");
            regions.insert(target.bucket.to_owned(), other.into());
        }
        Ok(response)
    }

    fn call(&self, target: Target<'_>, headers: &[(String, String)], body: Bytes, region: &str) -> Result<Call, Error> {
        let Target { operation, method, bucket, key, query } = target;
        let resource = if key.is_empty() { format!("s3://{bucket}") } else { format!("s3://{bucket}/{key}") };
        let mut call = Call {
            operation,
            resource,
            service: Service::S3,
            region: region.to_owned(),
            method: method.clone(),
            uri: Uri::default(),
            headers: HeaderMap::new(),
            body,
            wait: Duration::ZERO,
        };
        if !is_bucket(bucket) {
            return Err(call.error(ErrorKind::Rejected, "the name of the bucket is not valid"));
        }
        let endpoint = self.session.endpoint(Service::S3, region);
        let path = utf8_percent_encode(key, PATH);
        let query: Vec<String> =
            query.iter().map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, QUERY))).collect();
        let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
        // The certificate of AWS does not cover bucket names with dots.
        let address = match endpoint.split_once("://") {
            Some((scheme, host)) if !self.session.path_style() && !bucket.contains('.') => {
                format!("{scheme}://{bucket}.{host}/{path}{query}")
            }
            _ if key.is_empty() => format!("{endpoint}/{bucket}{query}"),
            _ => format!("{endpoint}/{bucket}/{path}{query}"),
        };
        call.uri = address.parse().map_err(|_| call.error(ErrorKind::Rejected, "the address is too long"))?;
        for (name, value) in headers {
            call.set(name, value)?;
        }
        Ok(call)
    }
}

/// Whether a name can be a bucket: it becomes a part of a host name or path.
pub fn is_bucket(name: &str) -> bool {
    (3..=255).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
        // A path of `..` would lead elsewhere.
        && name.bytes().any(|b| b != b'.')
}

/// The text of an XML response.
async fn xml(operation: &'static str, resource: &str, response: Response) -> Result<String, Error> {
    let invalid = |reason: String| Error::new(ErrorKind::InvalidResponse, operation, resource, reason);
    let body = response.body.collect(MAX_XML_BYTES).await;
    let body = body.map_err(|error| Error::new(error.kind(), operation, resource, error.to_string()))?;
    String::from_utf8(body.into()).map_err(|_| invalid("the response is not UTF-8".to_owned()))
}

/// Reads an XML response.
fn parse<'de, T: serde::Deserialize<'de>>(operation: &'static str, resource: &str, text: &'de str) -> Result<T, Error> {
    quick_xml::de::from_str(text).map_err(|error| {
        let reason = format!("the response cannot be understood ({error}); check that `endpoint` is a server of S3");
        Error::new(ErrorKind::InvalidResponse, operation, resource, reason)
    })
}

/// A header as text.
fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_buckets_cannot_lead_elsewhere() {
        assert!(is_bucket("logs.example-1") && is_bucket("Old_Bucket"));
        for name in ["", "a", "a/b", "..", "...", "a b", "b?c", "b#c", "b@host"] {
            assert!(!is_bucket(name), "{name}");
        }
    }
}
