//! Both readers over inputs in memory that return few bytes at a time, pause, or fail.

use std::collections::VecDeque;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::time::Duration;

use super::*;
use crate::assemble::{BatchLimits, Chunk, Unwanted};
use crate::decompress::{Caps, Compression, Decompression};
use crate::frame::{Framing, Rules, Skipped};
use crate::testing::gzip;
use crate::transcode::Encoding;

const LIMITS: BatchLimits = BatchLimits { max_bytes: 1 << 20, max_events: 10_000, max_age: Duration::from_secs(3600) };
const CAPS: Caps = Caps { max_bytes: 64 << 20, max_ratio: 1000 };

fn rows(chunk: &Chunk) -> Vec<String> {
    chunk.column.iter().map(|row| String::from_utf8_lossy(row).into_owned()).collect()
}

/// Fails once all bytes before this position are read.
#[derive(Clone)]
struct Memory {
    bytes: Cursor<Vec<u8>>,
    at_once: usize,
    fails_at: Option<u64>,
    /// Bytes that all reads returned together.
    returned: u64,
}

impl Memory {
    fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: Cursor::new(bytes.into()), at_once: usize::MAX, fails_at: None, returned: 0 }
    }

    fn size(&self) -> u64 {
        self.bytes.get_ref().len() as u64
    }
}

impl Read for Memory {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let before = self.fails_at.map_or(u64::MAX, |at| at.saturating_sub(self.bytes.position()));
        let n = out.len().min(self.at_once).min(usize::try_from(before).unwrap_or(usize::MAX));
        if n == 0 && !out.is_empty() {
            return Err(io::Error::other("the network cable is cut"));
        }
        let n = self.bytes.read(&mut out[..n])?;
        self.returned += n as u64;
        Ok(n)
    }
}

impl Seek for Memory {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.bytes.seek(to)
    }
}

fn reading(compression: Compression) -> Reading {
    Reading {
        compression,
        caps: CAPS,
        max_window_log: 27,
        rules: Rules::lines(1 << 20),
        limits: LIMITS,
        is_exact: false,
        tap: None,
        turns: None,
    }
}

fn part(from: u64, until: u64, end: End) -> Part {
    Part { from, until, sent_to: 0, end }
}

/// The events of a part, the position after them, and the text of the failure.
fn events(reading: &Reading, input: &mut Memory, part: Part) -> (Vec<String>, u64, Option<String>) {
    let mut found = Vec::new();
    let read = reading
        .events(input, part, &mut |chunk| {
            found.extend(rows(&chunk));
            Ok(Flow::Continue)
        })
        .unwrap();
    (found, read.position, read.failure.map(|failure| failure.to_string()))
}

#[test]
fn events_start_at_a_position_of_the_decompressed_input_wherever_the_input_stands() {
    let text = b"one\ntwo\n\nthree\nfour";
    for (compression, bytes) in [
        (Compression::None, text.to_vec()),
        (Compression::Gzip, gzip(text)),
        (Compression::Zstd, zstd::encode_all(&text[..], 1).unwrap()),
    ] {
        for at_once in [1, 5, usize::MAX] {
            let mut input = Memory { at_once, ..Memory::new(bytes.clone()) };
            input.bytes.set_position(3);
            let until = input.size();
            let reading = reading(compression);
            let open = events(&reading, &mut input, part(4, until, End::Open));
            assert_eq!(open, (vec!["two".to_owned(), "three".to_owned()], 15, None), "{compression:?}, {at_once}");
            let last = events(&reading, &mut input, part(open.1, until, End::Last));
            assert_eq!(last, (vec!["four".to_owned()], text.len() as u64, None), "{compression:?}, {at_once}");
        }
    }
}

#[test]
fn a_part_of_a_plain_input_ends_where_the_caller_says() {
    let mut input = Memory::new("one\ntwo\nthree\n");
    let found = events(&reading(Compression::None), &mut input, part(0, 10, End::Open));
    assert_eq!(found, (vec!["one".to_owned(), "two".to_owned()], 8, None));
}

#[test]
fn a_paused_reading_continues_at_its_position_without_loss_or_repetition() {
    let text: String = (0..2000).map(|i| format!("line {i}\n")).collect();
    let reading =
        Reading { limits: BatchLimits { max_bytes: 4 << 10, max_events: 50, ..LIMITS }, ..reading(Compression::None) };
    let mut input = Memory { at_once: 1000, ..Memory::new(text.as_bytes()) };
    let (mut found, mut from, mut pauses) = (Vec::new(), 0, 0);
    loop {
        let until = input.size();
        let read = reading
            .events(&mut input, part(from, until, End::Last), &mut |chunk| {
                found.extend(rows(&chunk));
                Ok(Flow::Pause)
            })
            .unwrap();
        from = read.position;
        if !read.is_paused {
            break;
        }
        pauses += 1;
    }
    assert_eq!(found, text.lines().collect::<Vec<_>>());
    assert_eq!(from, text.len() as u64);
    assert!(pauses > 5, "{pauses}");
}

#[test]
fn exact_batches_depend_on_neither_reads_nor_the_place_where_reading_begins() {
    // Lines of many lengths, and more empty lines in a row than a batch may take.
    let mut text: String =
        (0..3000).map(|i| format!("{}\n", "x".repeat(i * 7 % 97 + usize::from(i % 500 == 0) * 9000))).collect();
    text.insert_str(text.len() / 2, &"\n".repeat(100_000));
    for (compression, bytes) in [
        (Compression::None, text.clone().into_bytes()),
        (Compression::Gzip, gzip(&text)),
        (Compression::Zstd, zstd::encode_all(text.as_bytes(), 1).unwrap()),
    ] {
        let limits = BatchLimits { max_bytes: 4 << 10, max_events: 90, ..LIMITS };
        let reading = Reading { is_exact: true, limits, ..reading(compression) };
        let batches = |at_once, from| {
            let mut input = Memory { at_once, ..Memory::new(bytes.clone()) };
            let (mut found, mut start, until) = (Vec::new(), from, input.size());
            let read = reading
                .events(&mut input, part(from, until, End::Last), &mut |chunk| {
                    found.push((start, chunk.end, rows(&chunk)));
                    start = chunk.end;
                    Ok(Flow::Continue)
                })
                .unwrap();
            assert!(read.failure.is_none());
            found
        };
        let whole = batches(usize::MAX, 0);
        let rows: Vec<&String> = whole.iter().flat_map(|(_, _, rows)| rows).collect();
        assert_eq!(rows, text.lines().filter(|line| !line.is_empty()).collect::<Vec<_>>(), "{compression:?}");
        assert!(whole.len() > 40, "{}", whole.len());
        for at_once in [700, 5000, 100_000] {
            assert!(batches(at_once, 0) == whole, "{compression:?} {at_once}");
        }
        for skipped in [1, 2, 17, whole.len() / 2, whole.len() / 2 + 1, whole.len() - 1] {
            assert!(batches(3000, whole[skipped].0) == whole[skipped..], "{compression:?} {skipped}");
        }
    }
}

#[test]
fn a_closed_receiver_ends_reading() {
    let mut input = Memory::new("one\ntwo\n");
    let result = reading(Compression::None).events(&mut input, part(0, 8, End::Last), &mut |_| Err(Unwanted));
    assert!(result.is_err());
}

#[test]
fn a_failing_input_keeps_the_events_before_and_the_position_of_the_unfinished_one() {
    let mut input = Memory { fails_at: Some(6), ..Memory::new("one\ntwo\nthree\n") };
    let (found, position, failure) = events(&reading(Compression::None), &mut input, part(0, 14, End::LastDamaged));
    assert_eq!((found, position), (vec!["one".to_owned()], 4));
    assert_eq!(failure.unwrap(), "cannot be read: the network cable is cut");
}

#[test]
fn only_the_last_reading_of_a_damaged_input_ends_its_unfinished_event() {
    let text: String = (0..20_000).map(|i| format!("line number {i}\n")).collect();
    let mut packed = gzip(text.as_bytes());
    packed.truncate(packed.len() / 2);
    let mut input = Memory::new(packed);
    let until = input.size();
    let reading = reading(Compression::Gzip);
    let (complete, position, failure) = events(&reading, &mut input, part(0, until, End::Last));
    assert!(failure.unwrap().starts_with("is damaged after"));
    assert!(text.starts_with(&format!("{}\n", complete.join("\n"))));
    let (all, end, _) = events(&reading, &mut input, part(0, until, End::LastDamaged));
    assert_eq!(all.len(), complete.len() + 1);
    assert_eq!(end - position, all.last().unwrap().len() as u64);
}

#[test]
fn positions_count_bytes_of_an_input_in_another_encoding() {
    let bytes: Vec<u8> = "\u{feff}äb\ncd\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut input = Memory::new(bytes);
    let until = input.size();
    let reading = reading(Compression::None);
    let found = events(&reading, &mut input, part(0, 10, End::Open));
    assert_eq!(found, (vec!["äb".to_owned()], 8, None));
    assert_eq!(events(&reading, &mut input, part(8, until, End::Open)), (vec!["cd".to_owned()], until, None));
}

#[test]
fn a_document_is_the_whole_input_wherever_the_input_stands() {
    let text = b"{\n\"a\": 1\n}\n";
    for (compression, bytes) in [(Compression::None, text.to_vec()), (Compression::Gzip, gzip(text))] {
        let mut input = Memory { at_once: 3, ..Memory::new(bytes) };
        input.bytes.set_position(5);
        let size = input.size();
        let (document, failure) = reading(compression).document(&mut input, size);
        assert_eq!((document.as_slice(), failure.is_none()), (&text[..], true), "{compression:?}");
    }
}

#[test]
fn a_document_beyond_a_limit_or_unreadable_is_empty_and_a_damaged_one_is_its_readable_part() {
    let text = "0123456789".repeat(10_000);
    let short = |compression| Reading { rules: Rules::lines(20), ..reading(compression) };
    for (compression, bytes) in [(Compression::None, text.clone().into()), (Compression::Gzip, gzip(text.as_bytes()))] {
        let mut input = Memory::new(bytes);
        let size = input.size();
        let (document, failure) = short(compression).document(&mut input, size);
        assert!(document.is_empty(), "{compression:?}");
        let failure = failure.unwrap().to_string();
        assert!(failure.contains("longer than `max_event_bytes`, 20 bytes"), "{compression:?}: {failure}");
    }
    let mut input = Memory { fails_at: Some(50), ..Memory::new(text.as_bytes()) };
    let (document, failure) = reading(Compression::None).document(&mut input, text.len() as u64);
    assert!(document.is_empty());
    assert_eq!(failure.unwrap().to_string(), "cannot be read: the network cable is cut");
    let mut packed = gzip(text.as_bytes());
    packed.truncate(packed.len() - 9);
    let mut input = Memory::new(packed);
    let size = input.size();
    let (document, failure) = reading(Compression::Gzip).document(&mut input, size);
    assert!(!document.is_empty() && text.as_bytes().starts_with(&document));
    assert!(failure.unwrap().to_string().starts_with("is damaged after"));
}

/// An input that returns these results in turn, then ends. `None` is a timeout.
struct Script<'s> {
    steps: VecDeque<Option<&'s [u8]>>,
    fails: bool,
}

impl<'s> Script<'s> {
    fn new(steps: impl IntoIterator<Item = Option<&'s [u8]>>) -> Self {
        Self { steps: steps.into_iter().collect(), fails: false }
    }

    /// One byte at a time, and a timeout before each.
    fn slow(bytes: &'s [u8]) -> Self {
        Self::new(bytes.chunks(1).flat_map(|byte| [None, Some(byte)]))
    }
}

impl Read for Script<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.steps.pop_front() {
            None if self.fails => Err(io::Error::other("the network cable is cut")),
            None => Ok(0),
            Some(None) => Err(io::ErrorKind::WouldBlock.into()),
            Some(Some(bytes)) => {
                let (now, later) = bytes.split_at(bytes.len().min(out.len()));
                out[..now.len()].copy_from_slice(now);
                if !later.is_empty() {
                    self.steps.push_front(Some(later));
                }
                Ok(now.len())
            }
        }
    }
}

/// Keeps the rows of each batch and the sum of what was skipped, and closes after some batches.
struct Recorder {
    batches: Vec<Vec<String>>,
    skipped: Skipped,
    closes_after: usize,
}

impl Recorder {
    fn new() -> Self {
        Self { batches: Vec::new(), skipped: Skipped::default(), closes_after: usize::MAX }
    }
}

impl Receive for Recorder {
    fn receive(&mut self, chunk: Chunk) -> Result<(), Unwanted> {
        if self.batches.len() == self.closes_after {
            return Err(Unwanted);
        }
        self.batches.push(rows(&chunk));
        Ok(())
    }

    fn skipped(&mut self, skipped: &Skipped) {
        self.skipped.empty += skipped.empty;
        self.skipped.too_long += skipped.too_long;
    }
}

fn stream(framing: Framing) -> Stream {
    let decompression = Decompression::Auto;
    Stream { framing, decompression, caps: Caps::NONE, rules: Rules::lines(1000), limits: LIMITS }
}

fn read(stream: &Stream, input: Script) -> (Recorder, Result<(), String>) {
    let mut recorder = Recorder::new();
    let result = stream.read(input, &mut recorder).map_err(|error| error.to_string());
    (recorder, result)
}

#[test]
fn a_stream_with_timeouts_between_its_bytes_has_the_same_events() {
    let utf16: Vec<u8> = "\u{feff}one\ntwo".encode_utf16().flat_map(u16::to_be_bytes).collect();
    for bytes in [b"one\ntwo".to_vec(), gzip(b"one\ntwo"), utf16] {
        let (recorder, result) = read(&stream(Framing::Lines), Script::slow(&bytes));
        assert_eq!((recorder.batches, result), (vec![vec!["one".to_owned(), "two".to_owned()]], Ok(())));
    }
    let plain = Stream { decompression: Decompression::None, ..stream(Framing::Lines) };
    let packed = gzip(b"one\ntwo");
    assert_ne!(read(&plain, Script::slow(&packed)).0.batches.concat(), ["one", "two"]);
}

#[test]
fn a_stream_sends_a_batch_when_its_oldest_event_is_too_old() {
    let steps = [Some(&b"first\n"[..]), Some(b"second\n"), Some(b"third\n")];
    let young = read(&stream(Framing::Lines), Script::new(steps)).0;
    assert_eq!(young.batches, [["first", "second", "third"]]);
    let limits = BatchLimits { max_age: Duration::ZERO, ..LIMITS };
    let old = read(&Stream { limits, ..stream(Framing::Lines) }, Script::new(steps)).0;
    assert_eq!(old.batches, [["first"], ["second"], ["third"]]);
}

#[test]
fn a_stream_stops_reading_when_its_receiver_is_closed() {
    let limits = BatchLimits { max_age: Duration::ZERO, ..LIMITS };
    let mut input = Script::new([Some(&b"first\n"[..]), Some(b"second\n"), Some(b"third\n"), Some(b"fourth\n")]);
    let mut recorder = Recorder { closes_after: 1, ..Recorder::new() };
    Stream { limits, ..stream(Framing::Lines) }.read(&mut input, &mut recorder).unwrap();
    assert_eq!(recorder.batches, [["first"]]);
    assert_eq!(input.steps.len(), 2, "the rest is not read");
}

#[test]
fn a_failing_stream_passes_its_events_and_the_unfinished_one_before_the_error() {
    let input = Script { fails: true, ..Script::new([Some(&b"first\n"[..]), Some(b"sec")]) };
    let (recorder, result) = read(&stream(Framing::Lines), input);
    assert_eq!(recorder.batches.concat(), ["first", "sec"]);
    assert_eq!(result.unwrap_err(), "cannot be read: the network cable is cut");
}

#[test]
fn a_stream_reports_what_it_skips() {
    let long = "x".repeat(1001);
    let text = format!("a\n\n{long}\n\nb\n");
    let (recorder, result) = read(&stream(Framing::Lines), Script::new([Some(text.as_bytes())]));
    assert_eq!((recorder.batches.concat(), result), (vec!["a".to_owned(), "b".to_owned()], Ok(())));
    assert_eq!((recorder.skipped.empty, recorder.skipped.too_long), (2, 1));
}

#[test]
fn a_stream_as_a_document_is_one_event_none_or_an_error() {
    let document = stream(Framing::Document);
    let (recorder, result) = read(&document, Script::slow(b"a\n\nb\n"));
    assert_eq!((recorder.batches, result), (vec![vec!["a\n\nb\n".to_owned()]], Ok(())));
    let (recorder, result) = read(&document, Script::new([]));
    assert_eq!((recorder.batches.len(), recorder.skipped.empty, result), (0, 1, Ok(())));
    let long = "x".repeat(1001);
    let (recorder, result) = read(&document, Script::slow(long.as_bytes()));
    assert!(recorder.batches.is_empty());
    assert!(result.unwrap_err().contains("longer than `max_event_bytes`, 1000 bytes"));
}

#[test]
fn the_option_of_the_encoding_applies_to_streams_and_documents() {
    for framing in [Framing::Lines, Framing::Document] {
        let mut stream = stream(framing);
        stream.rules.encoding = Encoding::Windows1252;
        let (recorder, result) = read(&stream, Script::slow(b"caf\xe9"));
        assert_eq!((recorder.batches, result), (vec![vec!["café".to_owned()]], Ok(())));
    }
}

#[test]
fn a_small_gzip_input_is_read_once_whatever_is_in_it() {
    let utf16: Vec<u8> = "\u{feff}one\ntwo\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (name, bytes) in [
        ("one member", gzip(b"one\ntwo\n")),
        ("two members", [gzip(b"one\n"), gzip(b"two\n")].concat()),
        ("another encoding", gzip(&utf16)),
    ] {
        let mut input = Memory::new(bytes);
        let until = input.size();
        let (found, _, failure) = events(&reading(Compression::Gzip), &mut input, part(0, until, End::Last));
        assert_eq!((found, failure), (vec!["one".to_owned(), "two".to_owned()], None), "{name}");
        assert_eq!(input.returned, until, "{name}");
    }
}
