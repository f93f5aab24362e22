//! Lines in every way that reads can cut them.

use super::*;
use std::time::Duration;

const LIMITS: BatchLimits = BatchLimits { max_bytes: 1 << 20, max_events: 10_000, max_age: Duration::ZERO };

fn feed(lines: &mut Lines, mut input: &[u8], at_once: usize) -> Result<Vec<Chunk>, EventTooLong> {
    let mut chunks = Vec::new();
    while !input.is_empty() {
        let space = lines.space();
        let n = at_once.min(input.len()).min(space.len());
        space[..n].copy_from_slice(&input[..n]);
        input = &input[n..];
        lines.advance(n)?;
        if lines.is_full(&LIMITS) {
            chunks.extend(lines.take(&LIMITS));
        }
    }
    Ok(chunks)
}

fn rows(chunks: &[Chunk]) -> Vec<String> {
    chunks.iter().flat_map(|c| c.column.iter()).map(|row| String::from_utf8_lossy(row).into_owned()).collect()
}

#[track_caller]
fn check(input: &str, expected: &[&str], skipped: u64) {
    for at_once in [1, 2, 3, 7, 100_000] {
        let mut lines = Lines::new(0, 4 << 10, 1 << 20);
        let mut chunks = feed(&mut lines, input.as_bytes(), at_once).unwrap();
        chunks.extend(lines.finish(&LIMITS));
        assert_eq!(rows(&chunks), expected, "{at_once} bytes a read");
        assert_eq!(lines.take_skipped(), skipped);
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
    check(" \n\0\n\u{2028}\n", &[" ", "\0", "\u{2028}"], 0);
}

#[test]
fn lines_longer_than_the_buffer_come_whole() {
    let long = "x".repeat(100_000);
    check(&format!("a\n{long}\nb\n{long}"), &["a", &long, "b", &long], 0);
}

#[test]
fn many_lines_are_cut_into_batches_without_loss_and_positions_follow() {
    let input: String = (0..50_000).map(|i| format!("line {i}\n")).collect();
    let mut lines = Lines::new(1000, 64 << 10, 1 << 20);
    let mut chunks = feed(&mut lines, input.as_bytes(), 10_000).unwrap();
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
fn an_unfinished_line_waits_and_is_not_part_of_the_position() {
    let mut lines = Lines::new(0, 4 << 10, 100);
    feed(&mut lines, b"one\ntw", 100).unwrap();
    assert_eq!(rows(&lines.take(&LIMITS)), ["one"]);
    assert_eq!(lines.position(), 4);
    assert!(!lines.has_lines());
    feed(&mut lines, b"o\nth", 100).unwrap();
    assert_eq!(rows(&lines.take(&LIMITS)), ["two"]);
    assert_eq!(lines.position(), 8);
}

#[test]
fn a_line_beyond_the_limit_is_an_error_that_says_where_and_others_are_kept() {
    for input in ["ok\n0123456789A\n", "ok\n0123456789A"] {
        for at_once in [1, 100] {
            let mut lines = Lines::new(0, 4 << 10, 10);
            let error = feed(&mut lines, input.as_bytes(), at_once).unwrap_err();
            assert_eq!(error, EventTooLong { max: 10, position: 3 });
            assert_eq!(rows(&lines.take(&LIMITS)), ["ok"]);
        }
    }
    let mut lines = Lines::new(0, 4 << 10, 10);
    feed(&mut lines, b"0123456789\r\n", 100).unwrap_err();
    let mut lines = Lines::new(0, 4 << 10, 10);
    feed(&mut lines, b"0123456789\n", 100).unwrap();
}

#[test]
fn few_bytes_do_not_hold_a_large_buffer() {
    let mut lines = Lines::new(0, 1 << 20, 1 << 20);
    feed(&mut lines, b"small\nrest", 100).unwrap();
    let chunk = lines.take(&LIMITS).pop().unwrap();
    let bytes = chunk.column.bytes().clone();
    drop(chunk);
    // A buffer that nobody else holds gives its capacity away.
    assert!(bytes.try_into_mut().unwrap().capacity() < 1024);
}
