//! From the body of a request to events: decompressed within limits, and cut as its content type asks.

use bytes::Bytes;
use hyper::StatusCode;
use wattle_batch::{MAX_JSON_DEPTH, Span};
use wattle_json::Kind;

use super::options::{HttpFraming, Settings};
use crate::assemble::{Chunk, cut};
use crate::decompress::{Compression, ReadFailure, decompress};
use crate::source::BatchLimits;

/// Why a request is refused: the status, and what is wrong.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) reason: String,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into() }
    }
}

/// The compression that a `Content-Encoding` names.
pub(crate) fn encoding(name: &str) -> Result<Compression, Refusal> {
    match name.trim().to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(Compression::None),
        "gzip" | "x-gzip" => Ok(Compression::Gzip),
        "zstd" => Ok(Compression::Zstd),
        "deflate" => Ok(Compression::Zlib),
        _ => {
            let reason = format!("content encoding `{name}` is not known; send `gzip`, `zstd`, `deflate` or none");
            Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason))
        }
    }
}

/// Decompresses a body.
pub(crate) fn unpack(body: Bytes, compression: Compression, settings: &Settings) -> Result<Bytes, Refusal> {
    if compression == Compression::None {
        return Ok(body);
    }
    let (unpacked, failure) = decompress(compression, &body, settings.caps, settings.max_body_bytes);
    match failure {
        Some(failure @ (ReadFailure::TooLarge(_) | ReadFailure::TooDense(_))) => {
            Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body {failure}")))
        }
        Some(failure) => Err(Refusal::new(StatusCode::BAD_REQUEST, format!("the body {failure}"))),
        None if unpacked.len() as u64 > settings.max_body_bytes => {
            let reason = format!("the body holds more than {} decompressed bytes", settings.max_body_bytes);
            Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, reason))
        }
        None => Ok(unpacked.into()),
    }
}

/// Events of a body, in batches, and how many empty lines there were.
pub(crate) fn frame(body: &Bytes, framing: HttpFraming, content_type: &str, limits: &BatchLimits) -> (Vec<Chunk>, u64) {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let is_json = media_type.eq_ignore_ascii_case("application/json");
    let (spans, empty) = match framing {
        HttpFraming::Lines => lines(body),
        HttpFraming::Document => document(body),
        HttpFraming::Auto if !is_json => lines(body),
        // What is not JSON is one event too, and fails where it is taken apart.
        HttpFraming::Auto => elements(body).map_or_else(|| document(body), |spans| (spans, 0)),
    };
    (cut(body, spans, 0, body.len() as u64, limits), empty)
}

fn span(start: usize, end: usize) -> Span {
    // Bodies are at most 2 GiB.
    Span { start: u32::try_from(start).unwrap_or(u32::MAX), end: u32::try_from(end).unwrap_or(u32::MAX) }
}

fn document(body: &Bytes) -> (Vec<Span>, u64) {
    if body.is_empty() { (Vec::new(), 1) } else { (vec![span(0, body.len())], 0) }
}

fn lines(body: &Bytes) -> (Vec<Span>, u64) {
    let (mut spans, mut empty, mut start) = (Vec::new(), 0, 0);
    let feeds = memchr::memchr_iter(b'\n', body).map(|at| (at, at + 1));
    for (end, next) in feeds.chain([(body.len(), body.len())]) {
        let line = body.get(start..end).unwrap_or_default();
        let is_fed = next > end;
        let stop = if is_fed && line.ends_with(b"\r") { end - 1 } else { end };
        if stop > start {
            spans.push(span(start, stop));
        } else if is_fed {
            empty += 1;
        }
        start = next;
    }
    (spans, empty)
}

/// The elements of a body that is a valid JSON array.
fn elements(body: &Bytes) -> Option<Vec<Span>> {
    if wattle_json::check(body, MAX_JSON_DEPTH) != Ok(Kind::Array) {
        return None;
    }
    let start = memchr::memchr(b'[', body)?;
    let mut spans = Vec::new();
    wattle_json::elements_from(body, start, |value| spans.push(span(value.start, value.end))).ok()?;
    Some(spans)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[track_caller]
    fn check(framing: HttpFraming, content_type: &str, body: &str, expected: &[&str], skipped: u64) {
        let limits = BatchLimits { max_bytes: 1 << 20, max_events: 100, max_age: Duration::ZERO };
        let (chunks, empty) = frame(&Bytes::copy_from_slice(body.as_bytes()), framing, content_type, &limits);
        let found: Vec<&str> =
            chunks.iter().flat_map(|c| c.column.iter()).map(|row| std::str::from_utf8(row).unwrap()).collect();
        assert_eq!((found.as_slice(), empty), (expected, skipped), "{content_type} {body:?}");
    }

    #[test]
    fn the_content_type_says_what_an_event_is() {
        use HttpFraming::{Auto, Document, Lines};
        let json = "application/json; charset=utf-8";
        check(Auto, json, "{\n}\n", &["{\n}\n"], 0);
        check(Auto, json, " [ {\"a\":[1]}, 2 ,\"x\"]\n", &["{\"a\":[1]}", "2", "\"x\""], 0);
        check(Auto, json, "[]", &[], 0);
        check(Auto, json, "[1,", &["[1,"], 0);
        check(Auto, json, "", &[], 1);
        for lines in ["application/x-ndjson", "application/jsonl", "text/plain", "", "what/ever"] {
            check(Auto, lines, "{}\r\n\n[1]\nlast", &["{}", "[1]", "last"], 1);
        }
        check(Lines, json, "[1,\n2]", &["[1,", "2]"], 0);
        check(Document, "text/plain", "a\nb\n", &["a\nb\n"], 0);
        check(Document, json, "[1,2]", &["[1,2]"], 0);
    }

    #[test]
    fn encodings_are_known_by_name() {
        for (name, expected) in [
            ("", Some(Compression::None)),
            ("identity", Some(Compression::None)),
            ("GZIP", Some(Compression::Gzip)),
            (" zstd ", Some(Compression::Zstd)),
            ("deflate", Some(Compression::Zlib)),
            ("br", None),
            ("gzip, gzip", None),
        ] {
            assert_eq!(encoding(name).ok(), expected, "{name}");
        }
    }
}
