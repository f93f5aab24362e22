//! Access to private functions for the fuzz targets of `tests/fuzz`: framing, decompression, bodies
//! of requests, streams of messages.
//!
//! The functions only call the real ones and return types of the standard library.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use wattle_options::OptionErrors;

use crate::assemble::{BatchLimits, Chunk};
use crate::decompress::{Caps, Decoder, decompress, gunzip_whole, read_whole};
use crate::frame::{Framer, Rules};
use crate::http::body;
use crate::http::options::Options;
use crate::http::refusal::Refusal;
use crate::in_flight::InFlight;
use crate::pool::Pool;
use crate::socket::messages::{Messages, StreamFraming};

/// Events of one batch, and the position in the input just after them.
pub type Events = (Vec<Vec<u8>>, u64);

/// Result of framing an input.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Framed {
    /// The batches in order.
    pub batches: Vec<Events>,
    /// Empty lines.
    pub skipped: u64,
    /// Number of events that were too long, and their bytes.
    pub too_long: (u64, u64),
    /// Zero bytes in front of events.
    pub nuls: u64,
}

fn events(chunk: &Chunk) -> Events {
    (chunk.column.iter().map(<[u8]>::to_vec).collect(), chunk.end)
}

/// Frames an input that arrives in these pieces and starts at this position, like the sources
/// `file` and `stdin`. `documents` enables the recognition of JSON documents.
pub fn frame<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    position: u64,
    limits: &BatchLimits,
    documents: bool,
    max_line_bytes: u64,
    max_event_bytes: u64,
) -> Framed {
    let mut framed = Framed::default();
    let rules = Rules { documents, max_event_bytes, ..Rules::lines(max_line_bytes) };
    let mut framer = Framer::new(rules, position, limits.max_bytes);
    for mut piece in pieces {
        while !piece.is_empty() {
            let space = framer.space();
            let count = piece.len().min(space.len());
            let Some((head, rest)) = piece.split_at_checked(count) else { return framed };
            if let Some(space) = space.get_mut(..count) {
                space.copy_from_slice(head);
            }
            piece = rest;
            framer.advance(count);
            if framer.is_full(limits) {
                framed.batches.extend(framer.take(limits).iter().map(events));
            }
        }
    }
    framed.batches.extend(framer.finish(limits).iter().map(events));
    let skipped = framer.take_skipped();
    framed.skipped = skipped.empty;
    framed.too_long = (skipped.too_long, skipped.too_long_bytes);
    framed.nuls = skipped.nuls;
    framed
}

/// Decompresses bytes in pieces, as sources do, and in one step if possible. Errors are returned as
/// text.
#[expect(clippy::type_complexity, reason = "three results, each with its bytes")]
pub fn unpack(
    encoding: &str,
    bytes: &[u8],
    max_bytes: u64,
    max_ratio: u64,
) -> Option<((Vec<u8>, Option<String>), (Vec<u8>, Option<String>), Option<Vec<u8>>)> {
    let compression = body::encoding(encoding).ok()?.unwrap_or(crate::decompress::Compression::None);
    let caps = Caps { max_bytes, max_ratio };
    let words =
        |(bytes, failure): (Vec<u8>, Option<crate::decompress::ReadFailure>)| (bytes, failure.map(|f| f.to_string()));
    let whole = words(decompress(compression, bytes, caps, max_bytes));
    let mut decoder = Decoder::new(compression, bytes, caps).ok()?;
    let pieces = words(read_whole(&mut decoder, max_bytes));
    let at_once = (compression == crate::decompress::Compression::Gzip).then(|| gunzip_whole(bytes, caps)).flatten();
    Some((whole, pieces, at_once))
}

/// Splits the body of a request like the source `http`: returns the events and the number of empty
/// lines.
///
/// # Errors
///
/// The request is refused, with this status.
pub fn request(
    content: Bytes,
    content_encoding: &str,
    content_type: &str,
    framing: &str,
    limits: &BatchLimits,
    max_body_bytes: u64,
) -> Result<(Vec<Events>, u64), u16> {
    let options = json!({ "framing": framing, "max_body_bytes": max_body_bytes });
    let options: Options = serde_json::from_value(options).map_err(|_| 0_u16)?;
    let settings = options.check(&mut OptionErrors::default());
    let refused = |refusal: Refusal| refusal.status.as_u16();
    let kinds = body::Kinds::of(content_encoding, content_type).map_err(refused)?;
    let mut share = InFlight::new(settings.max_in_flight_bytes).share();
    let content = body::unpack(content, &kinds, &settings, &mut share).map_err(refused)?;
    let content = body::decode(content, &kinds, &settings, &mut share).map_err(refused)?;
    let (chunks, empty) = body::frame(&content, &kinds, &settings, &mut share, limits).map_err(refused)?;
    Ok((chunks.iter().map(events).collect(), empty))
}

/// The messages of a stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Streamed {
    /// The messages in order.
    pub messages: Vec<Vec<u8>>,
    /// Empty messages.
    pub empty: u64,
    /// Messages that were too long.
    pub too_long: u64,
    /// Bytes of an incomplete message at the end.
    pub left: usize,
    /// Whether the stream is not divided as the framing says.
    pub is_wrong: bool,
}

/// Finds the messages of a stream that arrives in these pieces, like the sources `socket` and `syslog`, and takes them
/// whenever there are `batch`.
pub fn stream<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    framing: &str,
    max_bytes: usize,
    batch: usize,
) -> Streamed {
    let framing = match framing {
        "auto" => StreamFraming::Auto,
        "lines" => StreamFraming::Lines,
        _ => StreamFraming::OctetCounting,
    };
    let mut found = Streamed::default();
    let mut messages = Messages::new(framing, max_bytes, Pool::default());
    let limits = BatchLimits { max_bytes: usize::MAX, max_events: batch, max_age: Duration::ZERO };
    let take = |messages: &mut Messages, found: &mut Streamed| {
        let columns = messages.take(&limits);
        found.messages.extend(columns.iter().flat_map(|column| column.iter().map(<[u8]>::to_vec)));
    };
    'pieces: for mut piece in pieces {
        while !piece.is_empty() {
            let space = messages.space();
            let Some((head, rest)) = piece.split_at_checked(piece.len().min(space.len())) else { break 'pieces };
            if let Some(space) = space.get_mut(..head.len()) {
                space.copy_from_slice(head);
            }
            piece = rest;
            if messages.advance(head.len()).is_err() {
                found.is_wrong = true;
                break 'pieces;
            }
            if messages.is_full(&limits) {
                take(&mut messages, &mut found);
            }
        }
    }
    let left = messages.finish();
    // How much of a wrong stream was read depends on the pieces.
    found.left = if found.is_wrong { 0 } else { left };
    take(&mut messages, &mut found);
    let skipped = messages.take_skipped();
    (found.empty, found.too_long) = (skipped.empty, skipped.too_long);
    found
}
