//! Lines of container runtimes: parts, streams and times, with every possible split into reads and restarts.

use proptest::collection::vec;
use proptest::prelude::*;
use std::time::Duration;
use wattle_batch::format_rfc3339;

use super::*;

const LIMITS: BatchLimits = BatchLimits { max_bytes: 1 << 20, max_events: 10_000, max_age: Duration::ZERO };

/// Time of the first line, and between two.
const START: i64 = 1_767_225_600_000_000_000;
const STEP: i64 = 1_000_000;

fn rules(max_event_bytes: u64) -> Rules {
    Rules {
        line_format: LineFormat::Container,
        max_line_bytes: max_event_bytes + (256 << 10),
        max_event_bytes,
        ..Rules::lines(1 << 20)
    }
}

type Event = (String, Option<Stream>, Option<i64>);

fn events(chunks: Vec<Chunk>) -> Vec<Event> {
    let mut events = Vec::new();
    for chunk in chunks {
        assert_eq!(chunk.marks.len(), chunk.column.rows(), "one mark for each row");
        for (row, mark) in chunk.column.iter().zip(chunk.marks) {
            events.push((String::from_utf8_lossy(row).into_owned(), mark.stream, mark.time));
        }
    }
    events
}

fn feed(framer: &mut Framer, mut input: &[u8], sizes: &mut impl Iterator<Item = usize>) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    while !input.is_empty() {
        let n = sizes.next().unwrap().min(input.len());
        let space = framer.space();
        let n = n.min(space.len());
        space[..n].copy_from_slice(&input[..n]);
        input = &input[n..];
        framer.advance(n);
        chunks.extend(framer.take(&LIMITS));
    }
    chunks
}

fn read(rules: &Rules, input: &str, at_once: usize) -> (Vec<Event>, Skipped) {
    let mut framer = Framer::new(rules.clone(), 0, 4 << 10);
    let mut chunks = feed(&mut framer, input.as_bytes(), &mut std::iter::repeat(at_once));
    chunks.extend(framer.finish(&LIMITS));
    (events(chunks), framer.take_skipped())
}

fn texts(events: &[Event]) -> Vec<&str> {
    events.iter().map(|(text, ..)| text.as_str()).collect()
}

#[test]
fn lines_of_all_runtimes_give_message_stream_and_time() {
    let input = "2026-01-01T00:00:00.1Z stdout F plain  text \n\
                 2026-01-01T01:00:00.000000002+01:00 stderr F:tag {\"a\": 1}\n\
                 {\"log\":\"from \\u003cdocker\\u003e\\r\\n\",\"stream\":\"stderr\",\"time\":\"2026-01-01T00:00:00.3Z\"}\n\
                 {\"log\":\"x\\n\",\"stream\":\"stdout\",\"attrs\":{\"a\":\"b\"},\"time\":\"2026-01-01T00:00:00.4Z\"}\n\
                 {\"level\":\"info\"}\nneither\n\
                 2026-01-01T00:00:00Z stdout F \n";
    let at = |nanoseconds| Some(START + nanoseconds);
    let expected = vec![
        ("plain  text ".to_owned(), Some(Stream::Stdout), at(100_000_000)),
        ("{\"a\": 1}".to_owned(), Some(Stream::Stderr), at(2)),
        ("from <docker>".to_owned(), Some(Stream::Stderr), at(300_000_000)),
        ("x".to_owned(), Some(Stream::Stdout), at(400_000_000)),
        ("{\"level\":\"info\"}".to_owned(), None, None),
        ("neither".to_owned(), None, None),
    ];
    for at_once in [1, 7, 100_000] {
        let (found, skipped) = read(&rules(1 << 20), input, at_once);
        assert_eq!(found, expected, "{at_once}");
        assert_eq!(skipped.empty, 1);
    }
}

#[test]
fn an_event_above_the_limit_is_skipped_and_counted_with_all_of_its_parts() {
    let line = |stream: &str, tag: &str, text: &str| format!("2026-01-01T00:00:00Z {stream} {tag} {text}\n");
    let long = "x".repeat(60);
    let input = [
        line("stdout", "F", "a"),
        line("stdout", "P", &long),
        line("stderr", "F", "b"),
        line("stdout", "P", &long),
        line("stdout", "F", &long),
        line("stdout", "F", &"y".repeat(101)),
        line("stdout", "F", &"z".repeat(100)),
        line("stdout", "P", &"z".repeat(99)),
        line("stdout", "F", "z"),
        format!("{{\"log\":\"{}\\n\",\"stream\":\"stdout\",\"time\":\"2026-01-01T00:00:00Z\"}}\n", "q".repeat(101)),
    ]
    .concat();
    for at_once in [1, 7, 100_000] {
        let (found, skipped) = read(&rules(100), &input, at_once);
        assert_eq!(texts(&found), ["a", "b", &"z".repeat(100), &"z".repeat(100)]);
        assert_eq!((skipped.too_long, skipped.too_long_bytes), (3, 180 + 101 + 101));
    }
}

#[test]
fn a_part_without_an_end_waits_a_limited_time_and_number_of_bytes() {
    let line = |seconds: i64, stream: &str, tag: &str, text: &str| {
        format!("{} {stream} {tag} {text}\n", format_rfc3339(START + seconds * 1_000_000_000))
    };
    // A prompt, for which CRI-O writes a part, while the other stream goes on.
    let mut input = line(0, "stdout", "P", "login: ");
    for second in 0..8 {
        input += &line(second, "stderr", "F", &second.to_string());
    }
    let expected = ["0", "1", "2", "3", "4", "5", "login: ", "6", "7"];
    for at_once in [1, 7, 100_000] {
        assert_eq!(texts(&read(&rules(1 << 20), &input, at_once).0), expected, "{at_once}");
    }
    // All lines have the same time.
    let mut input = line(0, "stdout", "P", "login: ");
    for _ in 0..3000 {
        input += &line(0, "stderr", "F", &"e".repeat(1000));
    }
    let found = read(&rules(1 << 10), &input, 100_000).0;
    let at = texts(&found).iter().position(|text| *text == "login: ").unwrap();
    assert!((900..1100).contains(&at), "{at}");
}

#[test]
fn no_position_is_within_a_joined_line() {
    // The parts of two lines overlap: from the second one, the end of the first would be read without its beginning.
    let input = "2026-01-01T00:00:00Z stdout F z\n2026-01-01T00:00:00Z stdout P a\n2026-01-01T00:00:00Z stderr P b\n\
                 2026-01-01T00:00:00Z stdout F c\n2026-01-01T00:00:00Z stderr F d\n2026-01-01T00:00:00Z stdout F e\n";
    let line = input.len() as u64 / 6;
    let mut framer = Framer::new(rules(1 << 20), 0, 4 << 10);
    let mut positions = Vec::new();
    for part in input.as_bytes().chunks(line as usize) {
        feed(&mut framer, part, &mut std::iter::repeat(100));
        positions.push(framer.position() / line);
    }
    assert_eq!(positions, [1, 1, 1, 1, 5, 6]);
}

/// A message of a stream, cut into parts at these lengths.
#[derive(Clone, Debug)]
struct Message {
    stream: Stream,
    is_docker: bool,
    parts: Vec<String>,
}

fn message() -> impl Strategy<Value = Message> {
    let text = prop_oneof![Just(String::new()), "[ -~]{1,12}", "[äß\"\\\\\t]{1,4}"];
    (any::<bool>(), any::<bool>(), vec(text, 1..4)).prop_map(|(is_stderr, is_docker, parts)| Message {
        stream: if is_stderr { Stream::Stderr } else { Stream::Stdout },
        is_docker,
        parts,
    })
}

/// Writes the parts of messages as runtimes do: in order in each stream, interleaved. Returns the log, and the events.
fn log(messages: &[Message], order: &[bool]) -> (String, Vec<Event>) {
    let mut log = String::new();
    let mut expected = Vec::new();
    let mut now = START;
    let numbered: Vec<(usize, Message)> = messages.iter().cloned().enumerate().collect();
    let of = |stream| {
        numbered
            .iter()
            .filter(move |(_, m)| m.stream == stream)
            .flat_map(|(number, message)| (0..message.parts.len()).map(move |part| (*number, message, part)))
    };
    let (mut stdout, mut stderr) = (of(Stream::Stdout).peekable(), of(Stream::Stderr).peekable());
    let mut order = order.iter().copied().cycle();
    let mut begun: [Option<i64>; 2] = [None, None];
    while stdout.peek().is_some() || stderr.peek().is_some() {
        let next = if order.next().unwrap_or(true) {
            stdout.next().or_else(|| stderr.next())
        } else {
            stderr.next().or_else(|| stdout.next())
        };
        let (number, message, part) = next.unwrap();
        let is_last = part + 1 == message.parts.len();
        // Each event is another one.
        let text = if part == 0 { format!("{number}:{}", message.parts[0]) } else { message.parts[part].clone() };
        let (name, time) = (message.stream.name(), format_rfc3339(now));
        if message.is_docker {
            let text = serde_json::to_string(&format!("{text}{}", if is_last { "\n" } else { "" })).unwrap();
            log += &format!("{{\"log\":{text},\"stream\":\"{name}\",\"time\":\"{time}\"}}\n");
        } else {
            log += &format!("{time} {name} {} {text}\n", if is_last { "F" } else { "P" });
        }
        let first = *begun[message.stream as usize].get_or_insert(now);
        now += STEP;
        if is_last {
            begun[message.stream as usize] = None;
            let whole = format!("{number}:{}", message.parts.concat());
            expected.push((whole, Some(message.stream), Some(first)));
        }
    }
    (log, expected)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn events_do_not_depend_on_reads(
        messages in vec(message(), 1..20), order in vec(any::<bool>(), 1..30), sizes in vec(1_usize..200, 1..20),
    ) {
        let (log, expected) = log(&messages, &order);
        let mut framer = Framer::new(rules(1 << 20), 0, 4 << 10);
        let found = events(feed(&mut framer, log.as_bytes(), &mut sizes.iter().copied().cycle()));
        prop_assert_eq!(found, expected);
        prop_assert_eq!(framer.position(), log.len() as u64);
    }

    /// A turn of the reader ends anywhere, and the next one begins at its position. After a kill, it begins at the end
    /// of an earlier chunk, without the memory of what was sent.
    #[test]
    fn events_do_not_depend_on_turns_and_restarts(
        messages in vec(message(), 1..20), order in vec(any::<bool>(), 1..30),
        turns in vec((1_usize..150, 0_usize..8), 1..40),
    ) {
        let (log, expected) = log(&messages, &order);
        let (mut position, mut sent_to, mut saved, mut read_to) = (0, 0, vec![0_u64], 0);
        let mut found: Vec<Event> = Vec::new();
        let mut repeated = 0;
        for (bytes, kill) in turns {
            read_to = (read_to + bytes).min(log.len());
            let mut framer = Framer::new(rules(1 << 20), position, 4 << 10).sent_to(sent_to);
            let from = usize::try_from(position).unwrap();
            let chunks = feed(&mut framer, &log.as_bytes()[from..read_to], &mut std::iter::repeat(64));
            saved.extend(chunks.iter().map(|chunk| chunk.end));
            found.extend(events(chunks));
            (position, sent_to) = (framer.position(), framer.sent_position());
            // One of eight turns ends with a kill after the last but `kill` acknowledgements.
            if kill == 7 {
                let kept = saved.len() - saved.len().min(kill % 3 + 1) + 1;
                saved.truncate(kept.max(1));
                (position, sent_to) = (*saved.last().unwrap(), 0);
                repeated += 1;
            }
        }
        let mut framer = Framer::new(rules(1 << 20), position, 4 << 10).sent_to(sent_to);
        let from = usize::try_from(position).unwrap();
        found.extend(events(feed(&mut framer, &log.as_bytes()[from..], &mut std::iter::repeat(64))));
        prop_assert!(found.iter().all(|event| expected.contains(event)), "no event is a part of a line: {found:?}");
        let missing: Vec<&Event> = expected.iter().filter(|event| !found.contains(event)).collect();
        prop_assert!(missing.is_empty(), "{missing:?}");
        if repeated == 0 {
            prop_assert_eq!(found, expected);
        }
    }
}
