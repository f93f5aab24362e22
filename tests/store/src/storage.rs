//! Buckets and their objects.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::ops::Bound;

use bytes::Bytes;
use hyper::{HeaderMap, Method, Uri};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::{Digest as _, Sha256};

use crate::{Event, State};

/// Maximum number of keys on a page of a list.
const PAGE: usize = 1000;

/// What stays as it is in a listed key.
const KEY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

#[derive(Clone, Debug)]
struct Object {
    body: Bytes,
    etag: String,
    modified: Timestamp,
}

#[derive(Debug, Default)]
struct Upload {
    parts: BTreeMap<u32, Bytes>,
}

/// All objects, and uploads that are not complete.
#[derive(Debug, Default)]
pub(crate) struct Storage {
    buckets: BTreeMap<String, BTreeMap<String, Object>>,
    uploads: HashMap<String, Upload>,
    last_upload: u64,
}

/// A response.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
}

impl Answer {
    fn empty(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    fn xml(status: u16, text: String) -> Self {
        Self { status, headers: vec![("content-type", "application/xml".to_owned())], body: text.into() }
    }
}

pub(crate) fn error(status: u16, code: &str) -> Answer {
    let text =
        format!("<Error><Code>{code}</Code><Message>message of {code}</Message><RequestId>R1</RequestId></Error>");
    Answer::xml(status, text)
}

fn etag(body: &[u8]) -> String {
    let digest = Sha256::digest(body);
    digest.iter().take(16).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl Storage {
    pub(crate) fn put(&mut self, bucket: &str, key: &str, body: Bytes) -> String {
        let object = Object { etag: etag(&body), body, modified: Timestamp::now() };
        let tag = object.etag.clone();
        self.buckets.entry(bucket.to_owned()).or_default().insert(key.to_owned(), object);
        tag
    }

    pub(crate) fn objects(&self, bucket: &str) -> Vec<(String, Bytes)> {
        let objects = self.buckets.get(bucket).into_iter().flatten();
        objects.map(|(key, object)| (key.clone(), object.body.clone())).collect()
    }

    pub(crate) fn clear(&mut self, bucket: &str) {
        self.buckets.remove(bucket);
    }

    fn get(&self, bucket: &str, key: &str, headers: &HeaderMap) -> Answer {
        let Some(object) = self.buckets.get(bucket).and_then(|objects| objects.get(key)) else {
            return error(404, "NoSuchKey");
        };
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if header("if-match").is_some_and(|wanted| wanted.trim_matches('"') != object.etag) {
            return error(412, "PreconditionFailed");
        }
        let modified = object.modified.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let mut found = vec![("etag", format!("\"{}\"", object.etag)), ("last-modified", modified)];
        let size = object.body.len();
        let Some(range) = header("range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-')) else {
            return Answer { status: 200, headers: found, body: object.body.clone() };
        };
        let start: usize = range.0.parse().unwrap_or_default();
        let end = range.1.parse::<usize>().map_or(size, |last| size.min(last + 1));
        if start >= end {
            return error(416, "InvalidRange");
        }
        found.push(("content-range", format!("bytes {start}-{}/{size}", end - 1)));
        Answer { status: 206, headers: found, body: object.body.slice(start..end) }
    }

    fn list(&self, bucket: &str, query: &HashMap<String, String>) -> Answer {
        let option = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
        if !option("delimiter").is_empty() {
            return error(501, "NotImplemented");
        }
        let (prefix, token) = (option("prefix"), option("continuation-token"));
        let after = if token.is_empty() { option("start-after") } else { token };
        let page = query.get("max-keys").and_then(|count| count.parse().ok()).unwrap_or(PAGE).min(PAGE);
        let empty = BTreeMap::new();
        let objects = self.buckets.get(bucket).unwrap_or(&empty);
        let from = if after < prefix { Bound::Included(prefix) } else { Bound::Excluded(after) };
        let from = if after.is_empty() && prefix.is_empty() { Bound::Unbounded } else { from };
        let mut wanted =
            objects.range::<str, _>((from, Bound::Unbounded)).take_while(|(key, _)| key.starts_with(prefix));
        let (mut text, mut last) = (String::new(), "");
        for (key, object) in wanted.by_ref().take(page) {
            let (name, size) = (utf8_percent_encode(key, KEY), object.body.len());
            let (etag, modified) = (&object.etag, object.modified);
            let _ = write!(
                text,
                "<Contents><Key>{name}</Key><Size>{size}</Size><ETag>&quot;{etag}&quot;</ETag>\
                 <LastModified>{modified:.3}</LastModified><StorageClass>STANDARD</StorageClass></Contents>"
            );
            last = key;
        }
        let more = wanted.next().is_some();
        if more {
            let _ = write!(text, "<NextContinuationToken>{last}</NextContinuationToken>");
        }
        let start = "<ListBucketResult><EncodingType>url</EncodingType>";
        Answer::xml(200, format!("{start}<IsTruncated>{more}</IsTruncated>{text}</ListBucketResult>"))
    }

    fn begin_upload(&mut self) -> Answer {
        self.last_upload += 1;
        let id = format!("upload-{}", self.last_upload);
        self.uploads.insert(id.clone(), Upload::default());
        let text = format!("<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>");
        Answer::xml(200, text)
    }

    fn put_part(&mut self, id: &str, number: &str, body: Bytes) -> Answer {
        let Some(upload) = self.uploads.get_mut(id) else { return error(404, "NoSuchUpload") };
        let Ok(number) = number.parse() else { return error(400, "InvalidArgument") };
        let tag = format!("\"{}\"", etag(&body));
        upload.parts.insert(number, body);
        Answer { status: 200, headers: vec![("etag", tag)], ..Answer::default() }
    }
}

fn query_of(uri: &Uri) -> HashMap<String, String> {
    let parts = uri.query().unwrap_or_default().split('&').filter(|part| !part.is_empty());
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    parts
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (decode(name), decode(value))
        })
        .collect()
}

/// Answers a request for S3.
pub(crate) fn answer(state: &mut State, method: &Method, uri: &Uri, headers: &HeaderMap, body: Bytes) -> Answer {
    let path = percent_decode_str(uri.path()).decode_utf8_lossy();
    let path = path.trim_start_matches('/');
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    let query = query_of(uri);
    let upload = query.get("uploadId").map(String::as_str);
    match (method, key.is_empty(), upload) {
        (&Method::GET, true, _) => state.storage.list(bucket, &query),
        // A bucket exists as soon as it has objects.
        (&Method::PUT | &Method::HEAD, true, _) => Answer::empty(200),
        (&Method::GET | &Method::HEAD, false, None) => state.storage.get(bucket, key, headers),
        (&Method::PUT, false, None) => {
            let tag = state.storage.put(bucket, key, body.clone());
            state.note(|| Event::Put { bucket: bucket.to_owned(), key: key.to_owned(), body });
            Answer { status: 200, headers: vec![("etag", format!("\"{tag}\""))], ..Answer::default() }
        }
        (&Method::PUT, false, Some(id)) => {
            state.storage.put_part(id, query.get("partNumber").map(String::as_str).unwrap_or_default(), body)
        }
        (&Method::POST, false, None) if query.contains_key("uploads") => state.storage.begin_upload(),
        (&Method::POST, false, Some(id)) => {
            let Some(upload) = state.storage.uploads.remove(id) else { return error(404, "NoSuchUpload") };
            let parts: Vec<u8> = upload.parts.into_values().flatten().collect();
            let body = Bytes::from(parts);
            let tag = state.storage.put(bucket, key, body.clone());
            state.note(|| Event::Put { bucket: bucket.to_owned(), key: key.to_owned(), body });
            let text = format!(
                "<CompleteMultipartUploadResult><ETag>&quot;{tag}&quot;</ETag></CompleteMultipartUploadResult>"
            );
            Answer::xml(200, text)
        }
        (&Method::DELETE, false, Some(id)) => match state.storage.uploads.remove(id) {
            Some(_) => Answer::empty(204),
            None => error(404, "NoSuchUpload"),
        },
        (&Method::DELETE, false, None) => {
            state.storage.buckets.get_mut(bucket).and_then(|objects| objects.remove(key));
            Answer::empty(204)
        }
        _ => error(405, "MethodNotAllowed"),
    }
}
