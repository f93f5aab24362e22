//! Bodies as clients send them: content types, encodings, and their memory.

use super::*;
use serde_json::json;
use std::io::Write as _;
use std::time::Duration;

use crate::in_flight::InFlight;

fn settings(options: serde_json::Value) -> Settings {
    let options: crate::http::Options = serde_json::from_value(options).unwrap();
    options.check(&mut wattle_options::OptionErrors::default())
}

fn share() -> Share {
    InFlight::new(1 << 30).share()
}

/// The events of a body and the number of empty lines, or the reason for the refusal.
fn events(options: serde_json::Value, content_type: &str, body: &[u8]) -> Result<(Vec<String>, u64), String> {
    let limits = BatchLimits { max_bytes: 1 << 20, max_events: 100, max_age: Duration::ZERO };
    let (settings, kinds, mut share) = (settings(options), Kinds::of("", content_type).unwrap(), share());
    let body = Bytes::copy_from_slice(body);
    let framed = decode(body, &kinds, &settings, &mut share)
        .and_then(|body| frame(&body, &kinds, &settings, &mut share, &limits));
    let (chunks, empty) = framed.map_err(|refusal| {
        assert_eq!(refusal.status, StatusCode::BAD_REQUEST);
        refusal.reason
    })?;
    let rows = chunks.iter().flat_map(|c| c.column.iter());
    Ok((rows.map(|row| String::from_utf8_lossy(row).into_owned()).collect(), empty))
}

#[track_caller]
fn check(framing: &str, content_type: &str, body: &str, expected: &[&str], skipped: u64) {
    let (found, empty) = events(json!({ "framing": framing }), content_type, body.as_bytes()).unwrap();
    assert_eq!(
        (found, empty),
        (expected.iter().map(|e| (*e).to_owned()).collect(), skipped),
        "{content_type} {body:?}"
    );
}

#[test]
fn the_content_type_determines_the_events() {
    let json = "application/json; charset=utf-8";
    check("auto", json, "{\n}\n", &["{\n}\n"], 0);
    for json in [json, "text/json", "Application/VND.api+JSON"] {
        check("auto", json, " [ {\"a\":[1]}, 2 ,\"x\"]\n", &["{\"a\":[1]}", "2", "\"x\""], 0);
    }
    check("auto", json, "[]", &[], 0);
    check("auto", json, "", &[], 1);
    for lines in ["application/x-ndjson", "application/jsonl", "text/plain", "", "what/ever"] {
        check("auto", lines, "{}\r\n\n[1]\nlast", &["{}", "[1]", "last"], 1);
    }
    check("lines", json, "[1,\n2]", &["[1,", "2]"], 0);
    check("document", "text/plain", "a\nb\n", &["a\nb\n"], 0);
    check("document", json, "[1,2]", &["[1,2]"], 0);
}

#[test]
fn consecutive_json_documents_are_separate_events() {
    let json = "application/json";
    check("auto", json, "{\"a\":1}\n{\"b\": [2]}\n", &["{\"a\":1}", "{\"b\": [2]}"], 0);
    check("auto", json, "{}{}[1,[2]] {\n}", &["{}", "{}", "1", "[2]", "{\n}"], 0);
    check("auto", json, &"[1] ".repeat(50), &["1"; 50], 0);
}

#[test]
fn broken_json_is_refused_with_its_position_or_accepted_as_one_event() {
    for (body, place) in [
        ("[{\"j\":3},{\"j\":4}", "line 1, column 17"),
        ("[{\"j\":5},]", "line 1, column 10"),
        ("hello", "line 1, column 1 (byte 0)"),
        ("{}\n{\"a\":1}\n{\"b\" 2}\n", "line 3, column 6 (byte 16)"),
        ("{} ]", "line 1, column 4"),
        ("{\"a\":\"\u{1}\"}", "control character"),
    ] {
        let reason = events(json!({}), "application/json", body.as_bytes()).unwrap_err();
        assert!(reason.starts_with("the body is not valid JSON: ") && reason.contains(place), "{body}: {reason}");
        let whole = events(json!({ "invalid_json": "accept" }), "application/json", body.as_bytes()).unwrap();
        assert_eq!(whole, (vec![body.to_owned()], 0));
    }
}

#[test]
fn utf_16_becomes_utf_8() {
    let text = "[{\"u\":\"\u{1f600}\"}]";
    let bytes = |order: fn(u16) -> [u8; 2], mark: bool| {
        let mark = mark.then_some(0xfeff);
        mark.into_iter().chain(text.encode_utf16()).flat_map(order).collect::<Vec<u8>>()
    };
    type Order = fn(u16) -> [u8; 2];
    let (little, big): (Order, Order) = (u16::to_le_bytes, u16::to_be_bytes);
    for (content_type, body) in [
        ("application/json", [b"\xef\xbb\xbf", text.as_bytes()].concat()),
        ("application/json", bytes(little, true)),
        ("application/json", bytes(big, true)),
        ("application/json; charset=\"UTF-16LE\"", bytes(little, false)),
        ("application/json; charset=utf-16be", bytes(big, true)),
        ("application/json;charset=utf-16", bytes(little, true)),
        ("application/json;charset=utf-16", bytes(big, false)),
    ] {
        let found = events(json!({}), content_type, &body).unwrap();
        assert_eq!(found, (vec!["{\"u\":\"\u{1f600}\"}".to_owned()], 0), "{content_type}");
    }
    for body in [&b"\x00\xd8a\x00"[..], b"a"] {
        let reason = events(json!({}), "text/plain; charset=utf-16le", body).unwrap_err();
        assert!(reason.contains("not valid UTF-16"), "{reason}");
    }
}

#[test]
fn content_encodings_are_recognised_by_name() {
    for (name, expected) in [
        ("", Some(None)),
        ("identity", Some(None)),
        ("GZIP", Some(Some(Compression::Gzip))),
        (" zstd ", Some(Some(Compression::Zstd))),
        ("gzip, identity", Some(Some(Compression::Gzip))),
        ("deflate", Some(Some(Compression::Zlib))),
        ("br", None),
        ("gzip, gzip", None),
    ] {
        assert_eq!(encoding(name).ok(), expected, "{name}");
    }
}

fn packed(compression: Compression, body: &[u8]) -> Vec<u8> {
    let level = flate2::Compression::best();
    macro_rules! pack {
        ($encoder:expr) => {{
            let mut encoder = $encoder;
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }};
    }
    match compression {
        Compression::None => body.to_vec(),
        Compression::Gzip => pack!(flate2::write::GzEncoder::new(Vec::new(), level)),
        Compression::Zlib => pack!(flate2::write::ZlibEncoder::new(Vec::new(), level)),
        Compression::Deflate => pack!(flate2::write::DeflateEncoder::new(Vec::new(), level)),
        Compression::Zstd => zstd::encode_all(body, 3).unwrap(),
    }
}

#[test]
fn compressed_bodies_are_decompressed_with_and_without_a_header() {
    let text = b"some text that is not short\n".repeat(10_000);
    let two = [packed(Compression::Gzip, &text[..280]), packed(Compression::Gzip, &text[280..])].concat();
    for (said, body) in [
        ("gzip", packed(Compression::Gzip, &text)),
        ("", packed(Compression::Gzip, &text)),
        ("gzip", two),
        ("", packed(Compression::Zstd, &text)),
        ("deflate", packed(Compression::Zlib, &text)),
        ("deflate", packed(Compression::Deflate, &text)),
    ] {
        let kinds = Kinds::of(said, "").unwrap();
        let unpacked = unpack(body.into(), &kinds, &settings(json!({})), &mut share()).unwrap();
        assert!(unpacked == text, "{said}");
    }
}

/// A body is charged before it uses memory, also if it announces no size or a wrong one.
#[test]
fn a_body_that_exceeds_the_free_memory_is_refused_with_429() {
    let settings = settings(json!({ "max_decompression_ratio": 1_000_000 }));
    let text = vec![b' '; 8 << 20];
    let mut lies = packed(Compression::Gzip, &text);
    let end = lies.len() - 4;
    lies[end..].copy_from_slice(&10_u32.to_le_bytes());
    let mut silent = zstd::Encoder::new(Vec::new(), 1).unwrap();
    silent.include_contentsize(false).unwrap();
    silent.write_all(&text).unwrap();
    for (said, body) in [
        ("gzip", packed(Compression::Gzip, &text)),
        ("gzip", lies),
        ("deflate", packed(Compression::Deflate, &text)),
        ("zstd", packed(Compression::Zstd, &text)),
        ("zstd", silent.finish().unwrap()),
    ] {
        let all = InFlight::new(10 << 20);
        let (mut others, mut share) = (all.share(), all.share());
        others.cover(4 << 20).unwrap();
        let kinds = Kinds::of(said, "").unwrap();
        let refusal = unpack(body.into(), &kinds, &settings, &mut share).unwrap_err();
        assert_eq!(refusal.status, StatusCode::TOO_MANY_REQUESTS, "{said}: {}", refusal.reason);
    }
}

#[test]
fn spans_of_many_small_events_are_charged() {
    let settings = settings(json!({}));
    for (content_type, body) in [
        ("", "x\n".repeat(1 << 20)),
        ("application/json", "1 ".repeat(1 << 20)),
        ("text/json", format!("[1{}]", ",1".repeat(1 << 20))),
    ] {
        let all = InFlight::new(8 << 20);
        let kinds = Kinds::of("", content_type).unwrap();
        let mut others = all.share();
        others.cover(1 << 20).unwrap();
        let limits = BatchLimits { max_bytes: 1 << 20, max_events: 100, max_age: Duration::ZERO };
        let refusal = frame(&body.into(), &kinds, &settings, &mut all.share(), &limits).unwrap_err();
        assert_eq!(refusal.status, StatusCode::TOO_MANY_REQUESTS, "{content_type}");
    }
}
