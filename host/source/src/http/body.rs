//! Converts the body of a request to events: decompresses it within limits and splits it by its
//! content type.

use std::io::{self, Read as _};

use bytes::Bytes;
use hyper::StatusCode;
use wattle_batch::{MAX_JSON_DEPTH, Span};
use wattle_json::Kind;

use super::options::{HttpFraming, InvalidJson, Settings};
use super::refusal::Refusal;
use crate::assemble::{BatchLimits, Chunk, cut};
use crate::decompress::{Compression, Decoder, ReadFailure, gunzip_whole};
use crate::in_flight::Share;

/// Initial capacity for decompressed bodies.
const FIRST_ROOM: usize = 64 << 10;

/// Headers of a body.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kinds {
    /// `None` without a header.
    compression: Option<Compression>,
    is_json: bool,
    utf16: Option<Utf16>,
}

/// Byte order of UTF-16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Utf16 {
    Little,
    Big,
    /// From the byte order mark; big-endian if there is none.
    Marked,
}

impl Kinds {
    /// Parses the headers `content-encoding` and `content-type`.
    ///
    /// # Errors
    ///
    /// The content encoding is not supported.
    pub(crate) fn of(content_encoding: &str, content_type: &str) -> Result<Self, Refusal> {
        let is_json = is_json(content_type);
        let charset = content_type.split(';').skip(1).map(str::trim).find_map(|part| {
            let (name, value) = part.split_once('=')?;
            name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"').to_ascii_lowercase())
        });
        let utf16 = match charset.as_deref() {
            Some("utf-16le" | "utf16le") => Some(Utf16::Little),
            Some("utf-16be" | "utf16be") => Some(Utf16::Big),
            Some("utf-16" | "utf16") => Some(Utf16::Marked),
            _ => None,
        };
        Ok(Self { compression: encoding(content_encoding)?, is_json, utf16 })
    }
}

impl Kinds {
    /// Returns whether a body is not compressed.
    pub(crate) fn is_plain(&self, body: &[u8]) -> bool {
        compression(body, self) == Compression::None
    }
}

/// Returns whether a `Content-Type` is JSON.
pub(crate) fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    matches!(media_type.as_str(), "application/json" | "text/json") || media_type.ends_with("+json")
}

/// Returns the compression of a `Content-Encoding`; `None` for an unsupported one.
pub(crate) fn encoding(names: &str) -> Result<Option<Compression>, Refusal> {
    let mut found = None;
    for name in names.split(',').map(|name| name.trim().to_ascii_lowercase()) {
        let compression = match name.as_str() {
            "" | "identity" => continue,
            "gzip" | "x-gzip" => Some(Compression::Gzip),
            "zstd" => Some(Compression::Zstd),
            "deflate" => Some(Compression::Zlib),
            _ => None,
        };
        match compression {
            Some(_) if found.is_none() => found = compression,
            _ => {
                let reason =
                    format!("content encoding `{names}` is not supported; send `gzip`, `zstd`, `deflate` or none");
                return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason));
            }
        }
    }
    Ok(found)
}

/// Returns the compression of a body. Text never starts with the magic bytes of gzip or zstd, so no
/// header is needed.
fn compression(body: &[u8], kinds: &Kinds) -> Compression {
    match kinds.compression {
        None => Compression::detect(body),
        // A zlib wrapper starts with its method, 8, and its first two bytes are a multiple of 31.
        Some(Compression::Zlib) => match body {
            [first, second, ..] if first & 15 == 8 && u16::from_be_bytes([*first, *second]) % 31 == 0 => {
                Compression::Zlib
            }
            _ => Compression::Deflate,
        },
        Some(compression) => compression,
    }
}

/// Returns the decompressed size that a body announces; 0 if unknown.
fn announced(body: &[u8], compression: Compression) -> usize {
    match compression {
        Compression::Gzip => body.last_chunk().map_or(0, |size| u32::from_le_bytes(*size) as usize),
        Compression::Zstd => {
            let size = zstd::zstd_safe::get_frame_content_size(body).ok().flatten();
            size.and_then(|size| usize::try_from(size).ok()).unwrap_or(0)
        }
        _ => 0,
    }
}

/// Decompresses a body. The share grows before the memory does.
pub(crate) fn unpack(body: Bytes, kinds: &Kinds, settings: &Settings, share: &mut Share) -> Result<Bytes, Refusal> {
    let compression = compression(&body, kinds);
    if compression == Compression::None {
        return Ok(body);
    }
    let max = usize::try_from(settings.max_body_bytes).unwrap_or(usize::MAX);
    // The announced size can be wrong, but never more than the ratio allows.
    let ratio = usize::try_from(settings.caps.max_ratio).unwrap_or(usize::MAX);
    let most = body.len().saturating_mul(ratio).max(FIRST_ROOM).min(max);
    let announced = announced(&body, compression).min(most);
    if compression == Compression::Gzip && announced > 0 {
        share.cover(announced as u64)?;
        if let Some(unpacked) = gunzip_whole(&body, settings.caps) {
            return Ok(unpacked.into());
        }
    }
    let refuse = |failure: ReadFailure| match failure {
        ReadFailure::TooLarge(most) => {
            let reason = format!("the body contains more than {most} decompressed bytes (`max_body_bytes`)");
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, reason)
        }
        ReadFailure::TooDense(_) => Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body {failure}")),
        _ => Refusal::new(StatusCode::BAD_REQUEST, format!("the body {failure}")),
    };
    let mut decoder =
        Decoder::new(compression, &body[..], settings.caps).map_err(|error| refuse(ReadFailure::Io(error)))?;
    let mut unpacked = Vec::new();
    // One byte beyond the limit shows that the body is longer.
    let limit = max.saturating_add(1);
    let mut room = announced.saturating_add(1).max(FIRST_ROOM).min(limit);
    loop {
        share.cover(room as u64)?;
        unpacked.reserve_exact(room - unpacked.len());
        let free = (room - unpacked.len()) as u64;
        let read = decoder.by_ref().take(free).read_to_end(&mut unpacked);
        let read = read.map_err(|error: io::Error| refuse(decoder.explain(error)))?;
        if unpacked.len() > max {
            return Err(refuse(ReadFailure::TooLarge(settings.max_body_bytes)));
        }
        if (read as u64) < free {
            return Ok(unpacked.into());
        }
        room = room.saturating_mul(2).min(limit);
    }
}

/// Converts UTF-16 to UTF-8 and removes a byte order mark.
pub(crate) fn decode(body: Bytes, kinds: &Kinds, settings: &Settings, share: &mut Share) -> Result<Bytes, Refusal> {
    if settings.framing == HttpFraming::Document {
        return Ok(body);
    }
    let order = match (kinds.utf16, &body[..]) {
        (None | Some(Utf16::Marked), [0xff, 0xfe, ..]) => Utf16::Little,
        (None | Some(Utf16::Marked), [0xfe, 0xff, ..]) => Utf16::Big,
        (Some(order), _) => order,
        (None, [0xef, 0xbb, 0xbf, ..]) => return Ok(body.slice(3..)),
        (None, _) => return Ok(body),
    };
    let (pairs, rest) = body.as_chunks::<2>();
    let unit = |pair: &[u8; 2]| match order {
        Utf16::Little => u16::from_le_bytes(*pair),
        Utf16::Big | Utf16::Marked => u16::from_be_bytes(*pair),
    };
    // UTF-8 needs at most three bytes for each unit of two bytes. The body itself also stays in
    // memory.
    share.cover((body.len() as u64).saturating_mul(5) / 2)?;
    let mut text = String::with_capacity(body.len() / 2);
    for (index, found) in char::decode_utf16(pairs.iter().map(unit)).enumerate() {
        match found {
            Ok('\u{feff}') if index == 0 => {}
            Ok(character) => text.push(character),
            Err(_) => return Err(Refusal::bad(format!("the body is not valid UTF-16 at character {}", index + 1))),
        }
    }
    if !rest.is_empty() {
        return Err(Refusal::bad("the body is not valid UTF-16: it ends within a character"));
    }
    Ok(text.into())
}

/// Splits a body into events, in batches; also returns the number of empty lines.
pub(crate) fn frame(
    body: &Bytes,
    kinds: &Kinds,
    settings: &Settings,
    share: &mut Share,
    limits: &BatchLimits,
) -> Result<(Vec<Chunk>, u64), Refusal> {
    let (spans, empty) = match settings.framing {
        HttpFraming::Document => document(body),
        HttpFraming::Auto if kinds.is_json => match documents(body, share)? {
            Ok(spans) if spans.is_empty() => (spans, u64::from(body.is_empty())),
            Ok(spans) => (spans, 0),
            Err(error) if settings.invalid_json == InvalidJson::Reject => return Err(invalid(body, &error)),
            // The whole body is one event; nodes that parse it will fail it.
            Err(_) => document(body),
        },
        HttpFraming::Auto | HttpFraming::Lines => lines(body, share)?,
    };
    Ok((cut(body, spans, 0, body.len() as u64, limits), empty))
}

fn invalid(body: &[u8], error: &wattle_json::Error) -> Refusal {
    let before = body.get(..error.offset).unwrap_or(body);
    let line = memchr::memchr_iter(b'\n', before).count() + 1;
    let column = before.len() - memchr::memrchr(b'\n', before).map_or(0, |feed| feed + 1) + 1;
    Refusal::bad(format!(
        "the body is not valid JSON: {} at line {line}, column {column} (byte {}); send text that is not JSON as \
         `text/plain`",
        error.kind, error.offset
    ))
}

/// Grows the share to cover the body and this many events.
fn cover(body: &[u8], events: usize, share: &mut Share) -> Result<(), Refusal> {
    Ok(share.cover((body.len() + events.saturating_mul(size_of::<Span>())) as u64)?)
}

fn span(start: usize, end: usize) -> Span {
    // A body is at most 2 GiB, so positions fit.
    Span { start: u32::try_from(start).unwrap_or(u32::MAX), end: u32::try_from(end).unwrap_or(u32::MAX) }
}

fn document(body: &Bytes) -> (Vec<Span>, u64) {
    if body.is_empty() { (Vec::new(), 1) } else { (vec![span(0, body.len())], 0) }
}

/// Splits a text into lines; also returns the number of empty ones.
pub(crate) fn lines(body: &Bytes, share: &mut Share) -> Result<(Vec<Span>, u64), Refusal> {
    let most = memchr::memchr_iter(b'\n', body).count() + 1;
    cover(body, most, share)?;
    let (mut spans, mut empty, mut start) = (Vec::with_capacity(most), 0, 0);
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
    Ok((spans, empty))
}

/// Splits consecutive JSON documents: an array becomes its elements, any other document is one
/// event. A body with exactly one document that is not an array stays unchanged, including white
/// space around it.
pub(crate) fn documents(body: &Bytes, share: &mut Share) -> Result<Result<Vec<Span>, wattle_json::Error>, Refusal> {
    let mut spans = Vec::new();
    if let Ok(kind) = wattle_json::check(body, MAX_JSON_DEPTH) {
        let start = memchr::memchr(b'[', body).unwrap_or_default();
        push(body, &mut spans, (start, kind), span(0, body.len()), share)?;
        return Ok(Ok(spans));
    }
    let mut at = 0;
    loop {
        at += body.get(at..).unwrap_or_default().iter().take_while(|byte| b" \t\r\n".contains(byte)).count();
        if at >= body.len() {
            return Ok(Ok(spans));
        }
        let next = match wattle_json::skip(body, at) {
            Ok(value) => {
                let checked = wattle_json::check(body.get(at..value.end).unwrap_or_default(), MAX_JSON_DEPTH);
                checked.map(|kind| (value.end, kind)).map_err(|error| (error.kind, at + error.offset))
            }
            // `check` finds the exact position of the error.
            Err(_) => match wattle_json::check(body.get(at..).unwrap_or_default(), MAX_JSON_DEPTH) {
                Ok(kind) => Ok((body.len(), kind)),
                Err(error) => Err((error.kind, at + error.offset)),
            },
        };
        match next {
            Ok((end, kind)) => {
                push(body, &mut spans, (at, kind), span(at, end), share)?;
                at = end;
            }
            Err((kind, offset)) => return Ok(Err(wattle_json::Error { kind, offset })),
        }
    }
}

/// Adds one document: an array, which starts at this offset, as its elements; any other document as
/// this span.
fn push(
    body: &Bytes,
    spans: &mut Vec<Span>,
    (start, kind): (usize, Kind),
    whole: Span,
    share: &mut Share,
) -> Result<(), Refusal> {
    let mut count = 1;
    if kind == Kind::Array {
        count = 0;
        // The text is valid, so neither pass can fail.
        let _ = wattle_json::elements_from(body, start, |_| count += 1);
    }
    let free = spans.capacity() - spans.len();
    if count > free {
        let more = count.max(spans.capacity());
        cover(body, spans.len() + more, share)?;
        spans.reserve_exact(more);
    }
    if kind == Kind::Array {
        let _ = wattle_json::elements_from(body, start, |value| spans.push(span(value.start, value.end)));
    } else {
        spans.push(whole);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
