//! Bodies of requests: every one is events or a refusal, and no byte of an event is lost or made up.

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
    /// In place of a content type and an encoding that are known.
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

/// The first bytes say how, the rest is the body.
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
    if setup.odd.is_some() || setup.gzip {
        return;
    }
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
        // serde_json refuses a few arrays that the grammar allows; those come as elements, all else as one event.
        None if events.len() == 1 && events[0] == body => {}
        None => assert!(body.is_empty() || wattle_json::check(&body, 1_000).is_ok(), "cut in pieces"),
    }
}
