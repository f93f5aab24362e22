//! The option `preview` of the sink `console`: a terminal shows the first events, one short line
//! each.
//!
//! The encoder selects and escapes the events on the worker. The sink adds its name and cuts each
//! line to the width of the terminal at the time of writing.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use unicode_width::UnicodeWidthChar as _;
use wattle_batch::Batch;
use wattle_printable as printable;

use crate::sink::{Encoder, Payload};

/// Maximum bytes of a body that are escaped; no terminal is wider.
const MAX_BYTES: usize = 8 << 10;
/// Columns for the name of the sink, so that the lines of several sinks align.
const NAME_WIDTH: usize = 18;
/// Minimum columns of an event, even on a narrower terminal.
const MIN_WIDTH: usize = 20;
/// Width in columns if the terminal does not report it.
const DEFAULT_WIDTH: usize = 80;
/// Replaces the rest of a line that was cut.
const REST: &str = "...";

/// Writes the first events of a sink as escaped lines, and counts the others as delivered.
pub(crate) struct Preview {
    max_events: usize,
    shown: AtomicUsize,
}

impl Preview {
    pub(crate) fn new(max_events: usize) -> Self {
        Self { max_events, shown: AtomicUsize::new(0) }
    }
}

impl Encoder for Preview {
    fn encode(&self, batch: Batch) -> Vec<Payload> {
        let (events, mut bytes) = (batch.rows(), Vec::new());
        for row in 0..events {
            // Workers encode concurrently, so each event reserves its place by incrementing the
            // counter.
            if self.shown.load(Ordering::Relaxed) >= self.max_events
                || self.shown.fetch_add(1, Ordering::Relaxed) >= self.max_events
            {
                break;
            }
            write_line(&batch, row, &mut bytes);
        }
        let ack = batch.into_ack();
        if events == 0 {
            ack.deliver();
            return Vec::new();
        }
        vec![Payload { key: None, bytes, events, ends: Vec::new(), ack }]
    }
}

/// Writes the body of an event on one line, after the reason if the event failed.
fn write_line(batch: &Batch, row: usize, out: &mut Vec<u8>) {
    if let Some(failure) = batch.failure(row) {
        let reason = format!("{}: {} | ", failure.code, failure.message);
        out.extend_from_slice(printable::line(&reason).as_bytes());
    }
    let body = batch.body().row(row);
    let body = body.get(..MAX_BYTES).unwrap_or(body);
    let mut compact = Vec::new();
    if batch.body_kinds().get(row).is_some_and(|&kind| kind != 0) {
        wattle_json::minify(body, &mut compact);
    } else {
        compact.extend_from_slice(body);
    }
    out.extend_from_slice(printable::line(&printable::bytes(&compact)).as_bytes());
    out.push(b'\n');
}

/// Formats lines for a terminal: the name of the sink, and as much of the event as fits.
pub(crate) fn render(name: &Arc<str>, lines: &[u8], terminal: &File) -> String {
    let width = terminal_size::terminal_size_of(terminal).map_or(DEFAULT_WIDTH, |(width, _)| width.0.into());
    render_to(name, &String::from_utf8_lossy(lines), width)
}

fn render_to(name: &str, lines: &str, width: usize) -> String {
    let mut out = String::new();
    for line in lines.lines() {
        let head = format!("{:<NAME_WIDTH$}  ", printable::Line(name));
        let rest = width.saturating_sub(head.chars().count()).max(MIN_WIDTH);
        // A progress bar may occupy this line of the terminal; the agent draws it again below.
        out.push_str("\r\x1b[K");
        out.push_str(&head);
        push_cut(line, rest, &mut out);
        out.push('\n');
    }
    out
}

/// Appends as much of a text as fits into `columns`.
fn push_cut(text: &str, columns: usize, out: &mut String) {
    let width = |c: char| c.width().unwrap_or(0);
    if text.chars().map(width).sum::<usize>() <= columns {
        out.push_str(text);
        return;
    }
    let mut left = columns.saturating_sub(REST.len());
    for c in text.chars() {
        let Some(after) = left.checked_sub(width(c)) else { break };
        left = after;
        out.push(c);
    }
    out.push_str(REST);
}

#[cfg(test)]
mod tests {
    use super::*;
    use wattle_batch::{Ack, Column, Failure, Origin};

    fn batch(rows: &[&[u8]]) -> Batch {
        let origin = Arc::new(Origin { source: "in".into(), resource: "{}".into(), observed: 0 });
        Batch::new(Column::from_rows(rows).unwrap(), origin, Ack::none())
    }

    fn encoded(preview: &Preview, batch: Batch) -> (String, usize) {
        let payload = preview.encode(batch).pop().unwrap();
        (String::from_utf8(payload.bytes).unwrap(), payload.events)
    }

    #[test]
    fn the_first_events_are_shown_and_all_are_counted() {
        let preview = Preview::new(3);
        assert_eq!(encoded(&preview, batch(&[b"a", b"b"])), ("a\nb\n".into(), 2));
        assert_eq!(encoded(&preview, batch(&[b"c", b"d", b"e"])), ("c\n".into(), 3));
        assert_eq!(encoded(&preview, batch(&[b"f"])), (String::new(), 1));
    }

    #[test]
    fn any_event_is_shown_as_one_escaped_line() {
        let rows: &[&[u8]] = &[b"{\n  \"a\": \"b c\"\n}", b"x\ny\x1b[2J\tz", b"\xff\n\xfe", b""];
        let (lines, _) = encoded(&Preview::new(9), batch(rows));
        assert_eq!(lines, "{\"a\":\"b c\"}\nx\\ny\\u{1b}[2J\\tz\n\\xff\\n\\xfe\n\n");
    }

    #[test]
    fn a_failed_event_begins_with_the_reason() {
        let failure =
            Failure { node: "n".into(), version: "n@1".into(), code: "not-json".into(), message: "no\nvalue".into() };
        let failed = batch(&[b"{cut"]).with_failures(vec![failure]);
        assert_eq!(encoded(&Preview::new(1), failed).0, "not-json: no\\nvalue | {cut\n");
    }

    #[test]
    fn a_line_has_the_name_of_the_output_and_fits_the_terminal() {
        let shown = render_to("fails", "0123456789012345678901234567890123456789\nshort\n", 50);
        let lines: Vec<&str> = shown.lines().map(|line| line.strip_prefix("\r\x1b[K").unwrap()).collect();
        assert_eq!(lines, ["fails               012345678901234567890123456...", "fails               short"]);
        assert_eq!(lines[0].len(), 50);
        assert!(
            render_to("a-name-that-is-longer-than-most", "x", 10).ends_with("a-name-that-is-longer-than-most  x\n")
        );
        let mut wide = String::new();
        push_cut("東京東京東京", 9, &mut wide);
        assert_eq!(wide, "東京東...");
    }
}
