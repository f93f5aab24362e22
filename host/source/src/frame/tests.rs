//! Framing with every possible split into reads.

use super::*;
use std::time::Duration;
use wattle_batch::{Ack, Batch, MAX_JSON_DEPTH, Origin};

const LIMITS: BatchLimits = BatchLimits { max_bytes: 1 << 20, max_events: 10_000, max_age: Duration::ZERO };

fn feed(framer: &mut Framer, mut input: &[u8], at_once: usize) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    while !input.is_empty() {
        let space = framer.space();
        let n = at_once.min(input.len()).min(space.len());
        space[..n].copy_from_slice(&input[..n]);
        input = &input[n..];
        framer.advance(n);
        if framer.is_full(&LIMITS) {
            chunks.extend(framer.take(&LIMITS));
        }
    }
    chunks
}

/// What a batch knows of its JSON without a check is true.
#[track_caller]
fn check_known(chunks: &[Chunk]) {
    for chunk in chunks {
        let origin = Origin { source: "test".into(), resource: "{}".into(), observed: 0 };
        let batch = Batch::new(chunk.column.clone(), Arc::new(origin), Ack::none());
        for (text, kind) in batch.body().iter().zip(batch.body_kinds().iter()) {
            let checked = wattle_json::check(text, MAX_JSON_DEPTH).map_or(0, |kind| kind as u8);
            assert_eq!(*kind, checked, "{}", String::from_utf8_lossy(text));
        }
    }
}

#[test]
fn documents_are_known_to_be_json() {
    for at_once in [1, 7, 64, 100_000] {
        let mut framer = Framer::new(auto(), 0, 4 << 10);
        let text = "{\"a\":[1]}\n[{}]{\"b\":\"x\"}\n[INFO] text\n {\"c\":1}\n{\"d\":\n  2}\n";
        let mut chunks = feed(&mut framer, text.as_bytes(), at_once);
        chunks.extend(framer.finish(&LIMITS));
        let known = chunks.iter().flat_map(|chunk| (0..chunk.column.rows()).map(|row| chunk.column.is_known(row)));
        assert_eq!(known.collect::<Vec<_>>(), [true, true, true, false, false, true], "{:?}", rows(&chunks));
        check_known(&chunks);
    }
}

fn rows(chunks: &[Chunk]) -> Vec<String> {
    check_known(chunks);
    chunks.iter().flat_map(|c| c.column.iter()).map(|row| String::from_utf8_lossy(row).into_owned()).collect()
}

#[track_caller]
fn check(input: &str, expected: &[&str], skipped: u64) {
    for at_once in [1, 2, 3, 7, 100_000] {
        let mut lines = Framer::new(Rules::lines(1 << 20), 0, 4 << 10);
        let mut chunks = feed(&mut lines, input.as_bytes(), at_once);
        chunks.extend(lines.finish(&LIMITS));
        assert_eq!(rows(&chunks), expected, "{at_once} bytes a read");
        assert_eq!(lines.take_skipped().empty, skipped);
        assert_eq!(lines.position(), input.len() as u64);
    }
}

#[test]
fn splits_lines_at_line_feeds_only() {
    check("", &[], 0);
    check("a\nb\n", &["a", "b"], 0);
    check("a\nb", &["a", "b"], 0);
    check("a\r\nb\r\r\nc\rd\n", &["a", "b\r", "c\rd"], 0);
    check("\n\r\n\na\n\n", &["a"], 4);
    check("\r", &["\r"], 0);
    check(" \n\0\n\u{2028}\n", &[" ", "\u{2028}"], 1);
    check("a\n\0\0\0b\0c\n\0\0", &["a", "b\0c"], 0);
}

#[test]
fn lines_longer_than_the_buffer_are_complete() {
    let long = "x".repeat(100_000);
    check(&format!("a\n{long}\nb\n{long}"), &["a", &long, "b", &long], 0);
}

#[test]
fn many_lines_are_split_into_batches_with_matching_positions() {
    let input: String = (0..50_000).map(|i| format!("line {i}\n")).collect();
    let mut lines = Framer::new(Rules::lines(1 << 20), 1000, 64 << 10);
    let mut chunks = feed(&mut lines, input.as_bytes(), 10_000);
    chunks.extend(lines.take(&LIMITS));
    assert_eq!(rows(&chunks), input.lines().collect::<Vec<_>>());
    assert!(chunks.len() > 5);
    let mut end = 1000;
    for chunk in &chunks {
        end += chunk.column.byte_len() as u64 + chunk.column.rows() as u64;
        assert_eq!(chunk.end, end);
    }
}

#[test]
fn an_unfinished_line_waits_and_is_after_the_position() {
    let mut lines = Framer::new(Rules::lines(100), 0, 4 << 10);
    feed(&mut lines, b"one\ntw", 100);
    assert_eq!(rows(&lines.take(&LIMITS)), ["one"]);
    assert_eq!(lines.position(), 4);
    assert!(!lines.has_events());
    feed(&mut lines, b"o\nth", 100);
    assert_eq!(rows(&lines.take(&LIMITS)), ["two"]);
    assert_eq!(lines.position(), 8);
}

/// The events and the skipped data of an input that arrives in pieces of this size.
fn events(rules: &Rules, input: &[u8], at_once: usize) -> (Vec<String>, Skipped) {
    let mut framer = Framer::new(rules.clone(), 0, 4 << 10);
    let mut chunks = feed(&mut framer, input, at_once);
    chunks.extend(framer.finish(&LIMITS));
    assert_eq!(framer.position(), input.len() as u64);
    (rows(&chunks), framer.take_skipped())
}

fn auto() -> Rules {
    Rules { documents: true, max_event_bytes: 1 << 20, ..Rules::lines(1 << 20) }
}

#[track_caller]
fn check_auto(input: &str, expected: &[&str]) {
    for at_once in [1, 2, 3, 7, 64, 100_000] {
        let (found, skipped) = events(&auto(), input.as_bytes(), at_once);
        assert_eq!(found, expected, "{at_once} bytes a read");
        assert_eq!(skipped.too_long, 0);
    }
}

#[test]
fn only_lines_beyond_the_limit_are_skipped_and_counted() {
    for (input, bytes) in [
        ("ok\n0123456789A\nok\n", 11),
        ("ok\n0123456789A\r\nok\n", 12),
        ("ok\n0123456789\r\r\nok\n", 12),
        (&format!("ok\n{}\nok", "x".repeat(100_000)), 100_000),
    ] {
        for at_once in [1, 7, 5000, 1 << 20] {
            let (found, skipped) = events(&Rules::lines(10), input.as_bytes(), at_once);
            assert_eq!(found, ["ok", "ok"]);
            let expected = Skipped { too_long: 1, too_long_bytes: bytes, too_long_at: Some(3), ..Skipped::default() };
            assert_eq!(skipped, expected);
        }
    }
    for at_once in [1, 3, 11, 12, 100] {
        assert_eq!(events(&Rules::lines(10), b"0123456789\n0123456789", at_once).0.len(), 2);
        // The carriage return belongs to the end of the line, so it does not count.
        let input = b"0123456789\r\n0123456789\r\n";
        assert_eq!(events(&Rules::lines(10), input, at_once).0, ["0123456789", "0123456789"], "{at_once}");
    }
    assert_eq!(events(&Rules::lines(10), b"0123456789A", 3).1.too_long, 1, "also without a line feed");
}

#[test]
fn a_too_long_line_uses_no_memory_and_is_read_again_until_it_ends() {
    let mut framer = Framer::new(Rules::lines(10), 0, 4 << 10);
    feed(&mut framer, b"ok\n", 100);
    framer.take(&LIMITS);
    for _ in 0..100 {
        feed(&mut framer, &[b'x'; 4096], 4096);
        assert!(framer.buffer.len() <= 64 << 10, "{}", framer.buffer.len());
        assert_eq!(framer.position(), 3);
    }
    feed(&mut framer, b"\nok\n", 100);
    assert_eq!(rows(&framer.take(&LIMITS)), ["ok"]);
    assert_eq!(framer.position(), 3 + 409_600 + 4);
}

#[test]
fn json_documents_are_events_with_or_without_line_feeds_between_them() {
    check_auto("{\"a\":1}\n{\"b\":2}\n", &["{\"a\":1}", "{\"b\":2}"]);
    check_auto("{\"a\":1}{\"b\":[2]}[3]{\"c\":4}", &["{\"a\":1}", "{\"b\":[2]}", "[3]", "{\"c\":4}"]);
    check_auto("{\n  \"a\": {\n  }\n}\n{\n  \"b\": 1\n}\n", &["{\n  \"a\": {\n  }\n}", "{\n  \"b\": 1\n}"]);
    check_auto("[\n{\"a\":1},\n{\"b\":2}\n]\n", &["[\n{\"a\":1},\n{\"b\":2}\n]"]);
    check_auto("\u{1e}{\"a\":1}\n\u{1e}{\"b\":2}\n", &["{\"a\":1}", "{\"b\":2}"]);
    check_auto("{\"}{\":\"}{\\\"\"}\r\n\"text\"\n1\n", &["{\"}{\":\"}{\\\"\"}", "\"text\"", "1"]);
    let long = format!("{{\"long\":\"{}\"}}", "x".repeat(50_000));
    check_auto(&format!("{long}{long}\n{long}"), &[&long, &long, &long]);
    check_auto("\u{feff}{\"a\":1}\n\u{feff}text\n", &["{\"a\":1}", "text"]);
}

#[test]
fn lines_of_text_may_start_like_json() {
    let lines = [
        "[INFO] text",
        "[2024-01-01 00:00:00] {\"a\": 1}",
        "{\"a\":1} text",
        "{curly} text",
        "[1] {\"a\":1}",
        "\tat a.b",
        "  {",
        "}",
        "[",
        "{",
        "[]x",
        "{\"open",
        "[1, 2,",
        "text",
    ];
    check_auto(&(lines.join("\n") + "\n"), &lines);
}

#[test]
fn a_broken_document_never_includes_a_valid_one() {
    let good = "{\"good\":[1,{\"x\":\"y\"}]}";
    let pretty = "{\n  \"good\": [\n    1\n  ]\n}";
    for bad in [
        "{\"a\":",
        "{\"a\":\"b",
        "{\"a\":1,",
        "{\"a\" 1}",
        "[1,2",
        "{\"a\":[1,2}",
        "{\"a\":tru}",
        "{\"a\":1}}",
        "{'a': 1}",
    ] {
        check_auto(&format!("{good}\n{bad}\n{good}\n{good}\n"), &[good, bad, good, good]);
        check_auto(&format!("{good}\n{bad}\n{pretty}\n"), &[good, bad, pretty]);
    }
    let broken = "{\n  \"a\": [\n    1\n    2\n  ]\n}";
    check_auto(&format!("{pretty}\n{broken}\n{pretty}\n{good}\n"), &[pretty, broken, pretty, good]);
    let cut = "{\n  \"a\": [\n    1,";
    check_auto(&format!("{pretty}\n{cut}\n{pretty}\n{good}\n"), &[pretty, cut, pretty, good]);
    check_auto(&format!("{good}\n{cut}"), &[good, cut]);
}

#[test]
fn without_line_feeds_a_broken_document_ends_at_the_next_one() {
    let good = "{\"good\":\"}{\"}";
    let bad = "{\"a\":[{\"b\":1}";
    check_auto(&format!("{good}{bad}{good}{good}"), &[good, bad, good, good]);
    check_auto(&format!("{good}{bad}{good}\n{good}\n"), &[good, bad, good, good]);
}

#[test]
fn only_documents_beyond_the_limit_are_skipped() {
    let rules = Rules { max_event_bytes: 1000, ..auto() };
    let long = format!("{{\"long\":\"{}\"}}", "x".repeat(5000));
    let input = format!("{{}}\n{long}\n{{\"next\":1}}\n{long}{{\"last\":1}}");
    for at_once in [1, 100, 100_000] {
        let (found, skipped) = events(&rules, input.as_bytes(), at_once);
        assert_eq!(found, ["{}", "{\"next\":1}", "{\"last\":1}"]);
        assert_eq!((skipped.too_long, skipped.too_long_bytes), (2, 2 * long.len() as u64));
    }
}

#[test]
fn the_events_do_not_depend_on_reads_and_positions_lose_none() {
    let parts = [
        "{\"a\":1}",
        "{\n \"a\": [\n  {}\n ]\n}",
        "[1,\n{\"b\":2}\n]",
        "{\"a\":",
        "{\"s\":\"}{\\\"",
        "text",
        "[x] y",
        "\n",
        "\r\n",
        " ",
        "}",
        "{\"n\":12345678901234567890123456789012345678901234567890123456789012345678901234567890}",
        "\0\0",
        "\u{feff}",
        "\n{",
        "\n[",
        "\"",
        "{\"e\":\"\\ud83d\\ude00 and more text that is longer than a block of the scanner is\"}",
    ];
    let mut random = fastrand::Rng::with_seed(16);
    for round in 0..400 {
        let input: String = (0..random.usize(1..14)).map(|_| parts[random.usize(..parts.len())]).collect();
        let (whole, skipped) = events(&auto(), input.as_bytes(), 1 << 20);
        let mut framer = Framer::new(auto(), 0, 4 << 10);
        let mut rest = input.as_bytes();
        let mut chunks = Vec::new();
        while !rest.is_empty() {
            let (piece, left) = rest.split_at(random.usize(1..=rest.len()));
            chunks.extend(feed(&mut framer, piece, random.usize(1..100)));
            if random.bool() {
                chunks.extend(framer.take(&LIMITS));
            }
            rest = left;
        }
        chunks.extend(framer.finish(&LIMITS));
        assert_eq!(rows(&chunks), whole, "round {round}: {input:?}");
        assert_eq!(framer.take_skipped(), skipped, "round {round}: {input:?}");
        // Reading again from the end of any batch gives the remaining events.
        let mut before = 0;
        for chunk in &chunks {
            before += chunk.column.rows();
            let at = usize::try_from(chunk.end).unwrap();
            let mut framer = Framer::new(auto(), chunk.end, 4 << 10);
            let mut again = feed(&mut framer, &input.as_bytes()[at..], 1 << 20);
            again.extend(framer.finish(&LIMITS));
            assert_eq!(rows(&again), &whole[before..], "round {round}, resumed at {at}: {input:?}");
        }
    }
}

fn multiline(options: serde_json::Value) -> Rules {
    let mut errors = Vec::new();
    let multiline = Multiline::new(&serde_json::from_value(options).unwrap(), &mut errors);
    assert!(errors.is_empty());
    Rules { multiline: multiline.map(Arc::new), ..Rules::lines(1000) }
}

#[test]
fn each_mode_joins_lines() {
    use serde_json::json;
    let trace = "2024 boom\njava.lang.X: x\n\tat a.b\n\n2024 ok\n";
    for (options, input, expected) in [
        (json!({ "start_pattern": "^20" }), trace, vec!["2024 boom\njava.lang.X: x\n\tat a.b\n", "2024 ok"]),
        (
            json!({ "start_pattern": "^[^\\s]", "mode": "continue_through", "condition_pattern": "^\\s" }),
            "a\n b\n\tc\nd\ne\n f",
            vec!["a\n b\n\tc", "d", "e\n f"],
        ),
        (
            json!({ "start_pattern": "\\\\$", "mode": "continue_past", "condition_pattern": "\\\\$" }),
            "a\\\nb\\\nc\nd\n",
            vec!["a\\\nb\\\nc", "d"],
        ),
        // The recipe for CSV in `nodes/parse/README.md`: a line with an odd number of quotes starts
        // or ends a record.
        (
            json!({
                "start_pattern": "^[^\"]*\"(?:[^\"]*\"[^\"]*\")*[^\"]*$", "mode": "continue_past",
                "condition_pattern": "^(?:[^\"]*\"[^\"]*\")*[^\"]*$",
            }),
            "1,\"a\",7\n2,\"b\n\"\"c\"\"\n\nd\",7\n3,\"\"\"\",7\n",
            vec!["1,\"a\",7", "2,\"b\n\"\"c\"\"\n\nd\",7", "3,\"\"\"\",7"],
        ),
        (
            json!({ "start_pattern": "^BEGIN", "mode": "halt_with", "condition_pattern": ";$" }),
            "x\nBEGIN\n1\n2;\nBEGIN;\ny\n",
            vec!["x", "BEGIN\n1\n2;", "BEGIN;", "y"],
        ),
        (json!({ "start_pattern": "^A", "max_lines": 2 }), "A\n1\n2\n3\n4\nA\n", vec!["A\n1", "2\n3", "4", "A"]),
    ] {
        for at_once in [1, 2, 5, 1000] {
            assert_eq!(events(&multiline(options.clone()), input.as_bytes(), at_once).0, expected, "{at_once}");
        }
    }
}

#[test]
fn an_unfinished_event_of_several_lines_is_bounded_and_after_the_position() {
    let rules = multiline(serde_json::json!({ "start_pattern": "^A" }));
    let mut framer = Framer::new(rules.clone(), 0, 4 << 10);
    feed(&mut framer, b"x\nA\n1\n", 100);
    assert_eq!(rows(&framer.take(&LIMITS)), ["x"]);
    assert!(framer.is_waiting());
    assert_eq!(framer.position(), 2);
    framer.flush();
    assert_eq!(rows(&framer.take(&LIMITS)), ["A\n1"]);
    assert_eq!(framer.position(), 6);
    let long = "A\n".to_owned() + &"xxxxxxxxx\n".repeat(300);
    let (found, _) = events(&rules, long.as_bytes(), 100);
    assert!(found.len() > 2 && found.iter().all(|event| event.len() <= 1020), "{}", found.len());
    let (found, skipped) = events(&rules, format!("A\n1\n{}\nA\n2", "x".repeat(2000)).as_bytes(), 7);
    assert_eq!((found, skipped.too_long), (vec!["A\n1".to_owned(), "A\n2".to_owned()], 1));
}

const CRI: &str = "2024-01-01T00:00:00.1Z stdout P {\"a\":\n2024-01-01T00:00:00.2Z stderr F other\n\
    2024-01-01T00:00:00.3Z stdout P \"b\"\n2024-01-01T00:00:00.4Z stdout F }\n2024-01-01T00:00:00.5Z stdout F \n";

#[test]
fn parts_of_container_logs_are_joined_per_stream() {
    let rules = |line_format| Rules { line_format, ..auto() };
    for at_once in [1, 10, 1000] {
        let (found, skipped) = events(&rules(LineFormat::Cri), CRI.as_bytes(), at_once);
        assert_eq!(found, ["other", "{\"a\":\"b\"}"]);
        assert_eq!(skipped.empty, 1);
        let (found, _) = events(&rules(LineFormat::Auto), CRI.as_bytes(), at_once);
        let joined = "2024-01-01T00:00:00.1Z stdout F {\"a\":\"b\"}";
        let empty = "2024-01-01T00:00:00.5Z stdout F ";
        assert_eq!(found, ["2024-01-01T00:00:00.2Z stderr F other", joined, empty]);
        assert_eq!(events(&rules(LineFormat::Raw), CRI.as_bytes(), at_once).0, CRI.lines().collect::<Vec<_>>());
    }
    let plain = "2024-01-01T00:00:00Z stdout\n2024-01-01T00:00:00Z stdin P x\n2024 stdout P x\n";
    assert_eq!(events(&rules(LineFormat::Cri), plain.as_bytes(), 5).0, plain.lines().collect::<Vec<_>>());
}

#[test]
fn held_parts_are_read_again_without_events_that_were_sent_in_between() {
    let rules = Rules { line_format: LineFormat::Cri, ..auto() };
    let end_of_second = CRI.match_indices('\n').nth(1).unwrap().0 + 1;
    let mut framer = Framer::new(rules.clone(), 0, 4 << 10);
    feed(&mut framer, &CRI.as_bytes()[..end_of_second], 100);
    let chunks = framer.take(&LIMITS);
    assert_eq!((rows(&chunks), chunks[0].end), (vec!["other".to_owned()], 0), "the position stays before the part");
    let mut framer = Framer::new(rules, framer.position(), 4 << 10).sent_to(framer.sent_position());
    feed(&mut framer, CRI.as_bytes(), 100);
    assert_eq!(rows(&framer.take(&LIMITS)), ["{\"a\":\"b\"}"]);
    assert_eq!(framer.position(), CRI.len() as u64);
}

#[test]
fn few_bytes_do_not_keep_a_large_buffer() {
    let mut lines = Framer::new(Rules::lines(1 << 20), 0, 1 << 20);
    feed(&mut lines, b"small\nrest", 100);
    let chunk = lines.take(&LIMITS).pop().unwrap();
    let bytes = chunk.column.bytes().clone();
    drop(chunk);
    // A buffer without other owners can free its capacity.
    assert!(bytes.try_into_mut().unwrap().capacity() < 1024);
}

#[test]
fn positions_refer_to_the_input_in_any_encoding() {
    let text = "eins ä\nzwei 漢😀\n{\"drei\":\"ß\"}{\"vier\":4}\nrest";
    let (encoding, scale) = (Encoding::Utf16Le, |part: &str| 2 * part.encode_utf16().count() as u64);
    for at_once in [1, 3, 1000] {
        let mut framer = Framer::new(Rules { encoding, ..auto() }, 2, 4 << 10);
        let limits = BatchLimits { max_events: 1, ..LIMITS };
        feed(&mut framer, text.as_bytes(), at_once);
        let chunks = framer.take(&limits);
        let found: Vec<(String, u64)> =
            chunks.iter().map(|c| (rows(std::slice::from_ref(c)).concat(), c.end)).collect();
        for (event, end) in &found {
            let behind = text.find(event).unwrap() + event.len();
            let next = if text.get(behind..).unwrap().starts_with('\n') { behind + 1 } else { behind };
            assert_eq!(*end, 2 + scale(text.get(..next).unwrap()), "{event} by {at_once}");
        }
        assert_eq!(found.len(), 4);
        assert_eq!(framer.position(), 2 + scale(text.strip_suffix("rest").unwrap()));
    }
}

#[test]
fn records_of_csv_end_at_line_feeds_outside_of_quotes() {
    for (input, expected) in [
        ("a,b\n1,\"x\ny\"\n2,z\n", vec!["a,b", "1,\"x\ny\"", "2,z"]),
        ("\"a\r\nb\",c\r\nd\r\n", vec!["\"a\r\nb\",c", "d"]),
        // Escaped quotes, an empty text, and a quote before the closing one.
        (
            "1,\"a \"\"b\"\"\n c\"\n\"\",\"\"\n\"x\"\"\"\n2",
            vec!["1,\"a \"\"b\"\"\n c\"", "\"\",\"\"", "\"x\"\"\"", "2"],
        ),
        // Other delimiters.
        ("1;\"a\nb\"\n2\t\"c\nd\"\n3|\"e\nf\"", vec!["1;\"a\nb\"", "2\t\"c\nd\"", "3|\"e\nf\""]),
        // Quotes inside of a column are text.
        ("5\" pipe,x\n6\"\" rod\ny\n", vec!["5\" pipe,x", "6\"\" rod", "y"]),
        // Documents are lines.
        ("{\n}\n", vec!["{", "}"]),
        // A quote that nothing closes.
        ("a,\"b\nc\nd", vec!["a,\"b\nc\nd"]),
        ("\u{feff}\"a\nb\"\n", vec!["\"a\nb\""]),
    ] {
        for at_once in [1, 2, 3, 7, 100_000] {
            let rules = Rules { quotes: true, ..Rules::lines(1 << 20) };
            let mut framer = Framer::new(rules, 0, 4 << 10);
            let mut chunks = feed(&mut framer, input.as_bytes(), at_once);
            chunks.extend(framer.finish(&LIMITS));
            assert_eq!(rows(&chunks), expected, "{at_once} bytes a read");
            assert_eq!(framer.position(), input.len() as u64);
        }
    }
}

#[test]
fn a_record_without_end_is_skipped_as_a_long_line() {
    let rules = Rules { quotes: true, ..Rules::lines(100) };
    // The 25th line feed of the text is the first one beyond the limit, so 75 lines are left.
    let text = "xyz\n".repeat(100);
    let endless = format!("a\n1,\"{text}\nb\n");
    // Its last quote begins another record, since the rest of it is read as lines.
    let too_long = format!("a\n1,\"{text}\",\nb\n");
    let just_fits = format!("a\n\"{}\"\r\nb\n", "x\n".repeat(49));
    for (input, events, skipped) in [(&endless, 77, 1), (&too_long, 77, 1), (&just_fits, 3, 0)] {
        for at_once in [1, 2, 3, 7, 101, 102, 103, 100_000] {
            let mut framer = Framer::new(rules.clone(), 0, 4 << 10);
            let mut chunks = feed(&mut framer, input.as_bytes(), at_once);
            chunks.extend(framer.finish(&LIMITS));
            let found = rows(&chunks);
            let counts = (found.len(), framer.take_skipped().too_long);
            assert_eq!(counts, (events, skipped), "{at_once} bytes a read, {found:?}");
            assert!(found[0] == "a" && found.last().unwrap().trim_end().ends_with('b'), "{found:?}");
        }
    }
}
