//! Bodies of requests: each gives events or a refusal, and no byte of an event is lost or invented.

use std::time::Duration;

use arbitrary::Unstructured;
use bytes::Bytes;
use wattle_source::BatchLimits;
use wattle_source::fuzzing::request;

#[derive(Debug)]
struct Setup<'a> {
    max_bytes: u16,
    max_events: u8,
    max_body_bytes: u16,
    framing: Framing,
    json: bool,
    /// Replaces the known content type and encoding.
    odd: Option<(&'a str, &'a str)>,
    gzip: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Framing {
    Auto,
    Lines,
    Document,
}

impl<'a> Setup<'a> {
    fn read(from: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        Ok(Self {
            max_bytes: from.arbitrary()?,
            max_events: from.arbitrary()?,
            max_body_bytes: from.arbitrary()?,
            framing: *from.choose(&[Framing::Auto, Framing::Lines, Framing::Document])?,
            json: from.arbitrary()?,
            odd: from.arbitrary()?,
            gzip: from.arbitrary()?,
        })
    }
}

/// The first bytes are the setup, the rest is the body.
pub fn http_body(bytes: &[u8]) {
    let mut source = Unstructured::new(bytes);
    let Ok(setup) = Setup::read(&mut source) else { return };
    let body = Bytes::copy_from_slice(source.take_rest());
    let limits = BatchLimits {
        max_bytes: usize::from(setup.max_bytes) + 1,
        max_events: usize::from(setup.max_events) + 1,
        max_age: Duration::ZERO,
    };
    let framing = match setup.framing {
        Framing::Auto => "auto",
        Framing::Lines => "lines",
        Framing::Document => "document",
    };
    let (content_type, encoding) = setup.odd.unwrap_or((
        if setup.json { "application/json; charset=utf-8" } else { "application/x-ndjson" },
        if setup.gzip { "gzip" } else { "" },
    ));
    let answer = request(body.clone(), encoding, content_type, framing, &limits, u64::from(setup.max_body_bytes) + 1);
    let (batches, _) = match answer {
        Ok(events) => events,
        Err(status) => return assert!([400, 413, 415].contains(&status), "refused with {status}"),
    };
    for (rows, _) in &batches {
        assert!(!rows.is_empty() && rows.len() <= limits.max_events);
        assert!(rows.len() == 1 || rows.iter().map(Vec::len).sum::<usize>() <= limits.max_bytes, "within the limit");
    }
    // Gzip and zstd are recognised by their first bytes, UTF-16 by its byte order mark.
    let is_packed = body.starts_with(b"\x1f\x8b\x08")
        || matches!(body[..], [0x28, 0xb5, 0x2f, 0xfd, ..])
        || matches!(body[..], [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]);
    let is_utf16 = body.starts_with(b"\xff\xfe") || body.starts_with(b"\xfe\xff");
    if setup.odd.is_some() || setup.gzip || is_packed || (is_utf16 && setup.framing != Framing::Document) {
        return;
    }
    let body = match body.strip_prefix(b"\xef\xbb\xbf") {
        Some(rest) if setup.framing != Framing::Document => body.slice_ref(rest),
        _ => body,
    };
    let events: Vec<&[u8]> = batches.iter().flat_map(|(rows, _)| rows.iter().map(Vec::as_slice)).collect();
    let as_lines = setup.framing == Framing::Lines || (setup.framing == Framing::Auto && !setup.json);
    if as_lines {
        let mut lines: Vec<&[u8]> = body.split(|b| *b == b'\n').collect();
        let last = lines.pop().unwrap_or_default();
        lines.iter_mut().for_each(|line| *line = line.strip_suffix(b"\r").unwrap_or(line));
        lines.push(last);
        assert!(events.iter().copied().eq(lines.into_iter().filter(|line| !line.is_empty())));
        return;
    }
    let array = match setup.framing {
        Framing::Auto => serde_json::from_slice::<Vec<serde_json::Value>>(&body).ok(),
        _ => None,
    };
    match array {
        Some(values) => {
            let found: Vec<serde_json::Value> = events.iter().map(|e| serde_json::from_slice(e).unwrap()).collect();
            assert_eq!(found, values);
        }
        // A single document that is not an array stays unchanged.
        None if events.len() == 1 && events[0] == body => {}
        // Several documents in a row, or an array that the grammar allows and serde_json refuses.
        None => {
            assert!(setup.framing == Framing::Auto || body.is_empty(), "cut in pieces");
            assert!(events.iter().all(|event| wattle_json::check(event, 1_000).is_ok()), "an event that is not JSON");
        }
    }
}
