//! Rules for the ends of events.
//!
//! # Invariants
//!
//! - The events depend only on the bytes of the input, never on how they were read.
//! - A broken JSON document ends at a line feed or where the next document starts. It never
//!   includes a document that starts at the start of a line.

use memchr::{memchr, memchr2_iter, memmem, memrchr};
use wattle_batch::MAX_JSON_DEPTH;
use wattle_json::{Boundary, Containers, DocumentEnd};

use super::cri::{Line, LineFormat};
use super::multiline::Meaning;
use super::state::{Quotes, Skip, State};
use super::{Framer, Group};

/// The end of a document and the start of the next. No valid document contains these bytes: outside
/// of strings they are invalid, and inside of strings the quote would be escaped.
const NEXT_DOCUMENT: &[u8] = b"}{\"";

/// The parser detects an error after at most this many more bytes.
const FAULT_REACH: u64 = 256;

/// The byte order mark of UTF-8, which is removed.
const BYTE_ORDER_MARK: &[u8; 3] = b"\xef\xbb\xbf";

/// Up to this distance from its start, a broken document is split at the first line that may start
/// another one; after it at the last one, so that no byte is read very often.
const CLOSE_BY: usize = 1 << 20;

impl Framer {
    /// Finds the events in the buffer; `is_end` marks the end of the input.
    pub(super) fn split(&mut self, is_end: bool) {
        // Moved out of `self` for the borrow checker, without a copy.
        let buffer = std::mem::take(&mut self.buffer);
        let text = buffer.get(..self.filled).unwrap_or_default();
        loop {
            let goes_on = self.step(text.get(self.start..).unwrap_or_default(), is_end);
            if let State::Skip { from, from_input, .. } = &mut self.state
                && *from_input == u64::MAX
            {
                let before = usize::try_from(*from - self.base).unwrap_or(usize::MAX);
                *from_input = self.input_base + self.rules.encoding.units().len(text.get(..before).unwrap_or_default());
            }
            if !goes_on {
                break;
            }
        }
        self.buffer = buffer;
    }

    /// Makes one step; returns whether another one may follow. `rest` is all data from `start`.
    fn step(&mut self, rest: &[u8], is_end: bool) -> bool {
        match std::mem::take(&mut self.state) {
            State::Idle => self.begin(rest, is_end),
            State::Line { like_json, max } => self.line(rest, like_json, max, is_end),
            State::Document(document) => self.document(rest, document, is_end),
            State::Complete(len, containers) => self.complete(rest, len, containers, is_end),
            State::Broken { max } => self.broken(rest, max, is_end),
            State::Skip { kind, from, from_input } => self.skip(rest, kind, (from, from_input), is_end),
        }
    }

    fn begin(&mut self, rest: &[u8], is_end: bool) -> bool {
        let Some(first) = rest.first() else { return false };
        // A byte order mark can be at the start of the input, or where files were concatenated.
        if *first == BYTE_ORDER_MARK[0] {
            if rest.starts_with(BYTE_ORDER_MARK) {
                self.start += BYTE_ORDER_MARK.len();
                return true;
            }
            if BYTE_ORDER_MARK.starts_with(rest) && !is_end {
                return false;
            }
        }
        // Zero bytes of a sparse file, or record separators between JSON texts.
        if *first == 0 || (*first == 0x1e && self.rules.documents) {
            let junk = rest.iter().take_while(|byte| **byte == *first).count();
            self.skipped.nuls += if *first == 0 { junk as u64 } else { 0 };
            self.start += junk;
            return true;
        }
        self.scan = 0;
        self.line = 0;
        self.quotes = Quotes::default();
        if self.rules.documents && matches!(first, b'{' | b'[') {
            self.state = State::Document(Box::new(DocumentEnd::new(MAX_JSON_DEPTH)));
        } else {
            self.state = State::Line { like_json: false, max: self.rules.max_line_bytes };
        }
        true
    }

    fn line(&mut self, rest: &[u8], like_json: bool, max: u64, is_end: bool) -> bool {
        let unseen = rest.get(self.scan..).unwrap_or_default();
        let feed = if self.rules.quotes { self.record_end(rest, max) } else { memchr(b'\n', unseen) };
        if like_json
            && let Some(at) =
                memmem::find(unseen.get(..feed.unwrap_or(unseen.len())).unwrap_or_default(), NEXT_DOCUMENT)
        {
            let end = self.scan + at + 1;
            if end as u64 > max {
                self.count_too_long(end as u64);
            } else {
                self.push(0, end);
            }
            self.start += end;
            return true;
        }
        match feed {
            Some(at) => {
                let feed = self.scan + at;
                let line = rest.get(self.line..feed).unwrap_or_default();
                let end = if line.ends_with(b"\r") { feed - 1 } else { feed };
                self.end_line(rest, end, feed, feed + 1, max);
                true
            }
            None if is_end => {
                if rest.len() > self.line {
                    self.end_line(rest, rest.len(), rest.len(), rest.len(), max);
                } else {
                    self.end_group();
                }
                self.start < self.filled
            }
            None => {
                // After two bytes of `NEXT_DOCUMENT`, the third one decides. A final carriage
                // return does not count.
                let is_too_long = (rest.len() - self.line) as u64 > max + if like_json { 2 } else { 1 };
                self.scan = if like_json { rest.len().saturating_sub(2).max(self.scan) } else { rest.len() };
                self.state = State::Line { like_json, max };
                if is_too_long {
                    self.end_group();
                    // A record of CSV can have line feeds before `scan`.
                    let looked_at = if self.rules.quotes { skipped_from(max) } else { self.scan };
                    self.begin_skip(if like_json { Skip::LikeJson } else { Skip::Text }, looked_at);
                }
                is_too_long
            }
        }
    }

    /// Finds the end of a record of CSV behind `scan`: the first line feed outside of quotes. A quote opens quoted text only
    /// at the start of a column, so that a stray one does not join lines.
    fn record_end(&mut self, rest: &[u8], max: u64) -> Option<usize> {
        let unseen = rest.get(self.scan..).unwrap_or_default();
        for found in memchr2_iter(b'"', b'\n', unseen) {
            let at = self.scan + found;
            // It is skipped from here, whether more of it is in the buffer or not.
            if at >= skipped_from(max) {
                return None;
            }
            let before = at.checked_sub(1).and_then(|before| rest.get(before));
            if unseen.get(found) == Some(&b'\n') {
                if !self.quotes.is_open {
                    return Some(found);
                }
            } else if self.quotes.is_open {
                self.quotes = Quotes { is_open: false, closed_at: Some(at + 1) };
            } else {
                let is_escaped = self.quotes.closed_at == Some(at);
                self.quotes.is_open = is_escaped || matches!(before, None | Some(b',' | b';' | b'\t' | b'|'));
            }
        }
        None
    }

    /// Ends the line that begins at `line`: its text ends at `end`, its bytes end at `full`, the
    /// next is at `next`.
    fn end_line(&mut self, rest: &[u8], end: usize, full: usize, next: usize, max: u64) {
        let begin = self.line;
        if (end - begin) as u64 > max {
            self.end_group();
            self.count_too_long((full - begin) as u64);
            self.start += next - begin;
            return;
        }
        let line = rest.get(begin..end).unwrap_or_default();
        let Some(multiline) = self.rules.multiline.clone() else {
            self.end_single(line, end, next);
            return;
        };
        let lines = self.group.map_or(0, |group| group.lines);
        let is_full = lines >= multiline.max_lines || (lines > 0 && end as u64 > self.rules.max_event_bytes);
        let mut meaning = multiline.judge(line, lines > 0);
        if meaning == Meaning::EndedBefore || (is_full && lines > 0) {
            self.end_group();
            // The group was full, so this line starts the next event.
            meaning = if meaning == Meaning::EndedBefore { multiline.judge(line, false) } else { Meaning::Begins };
            let moved = begin;
            self.after_line(meaning, lines, end - moved, next - moved);
            return;
        }
        self.after_line(meaning, lines, end, next);
    }

    fn after_line(&mut self, meaning: Meaning, lines: u64, end: usize, next: usize) {
        match meaning {
            Meaning::Single | Meaning::EndedBefore => {
                self.push(0, end);
                self.start += next;
            }
            Meaning::Ends => {
                self.push(0, end);
                self.group = None;
                self.start += next;
            }
            Meaning::Begins | Meaning::Continues => {
                let lines = if meaning == Meaning::Begins { 1 } else { lines + 1 };
                self.group = Some(Group { lines, end });
                self.line = next;
                self.scan = next;
                self.state = State::Line { like_json: false, max: self.rules.max_line_bytes };
            }
        }
    }

    fn end_single(&mut self, line: &[u8], end: usize, next: usize) {
        let position = self.read_position();
        let format = if self.rules.quotes { LineFormat::Raw } else { self.rules.line_format };
        let max = match format {
            // The line may be longer than its message.
            LineFormat::Container => self.rules.max_event_bytes,
            LineFormat::Auto | LineFormat::Raw | LineFormat::Cri => self.rules.max_line_bytes,
        };
        let parsed = Line::parse(line, format);
        for overdue in self.joiner.overdue(parsed.as_ref(), position, max) {
            self.push_outcome(overdue, end);
        }
        let outcome = self.joiner.line(line, parsed, position, format, max);
        self.push_outcome(outcome, end);
        self.start += next;
    }

    /// Ends the open event of several lines, if any.
    fn end_group(&mut self) {
        if let Some(group) = self.group.take() {
            // The last line of the group starts before the current line, which was not sent before
            // either.
            let line = std::mem::take(&mut self.line);
            self.push(0, group.end);
            self.start += line;
            self.scan = self.scan.saturating_sub(line);
        }
    }

    fn document(&mut self, rest: &[u8], mut document: Box<DocumentEnd>, is_end: bool) -> bool {
        let mut boundary = document.look(rest, is_end);
        if boundary == Boundary::Open && !is_end {
            if let Some(feed) = memrchr(b'\n', rest.get(self.scan..).unwrap_or_default()) {
                // All bytes up to the line feed are known, and a line that is not JSON must not wait
                // for the next one.
                let end = self.scan + feed + 1;
                boundary = document.look(rest.get(..end).unwrap_or_default(), true);
            }
            // Later line feeds come with later bytes. Searching these again would take quadratic time for a long line.
            self.scan = rest.len();
        }
        let max = self.rules.max_event_bytes;
        match boundary {
            Boundary::End(len) if len as u64 <= max => self.state = State::Complete(len, document.containers()),
            Boundary::Wrong(fault) if fault as u64 <= max => self.fault(rest, fault),
            Boundary::Open if is_end && rest.len() as u64 <= max => self.cut_document(rest),
            // The parser detects an error only some bytes later.
            Boundary::Open if !is_end && rest.len() as u64 <= max.saturating_add(FAULT_REACH) => {
                self.state = State::Document(document);
                return false;
            }
            _ => self.begin_skip(Skip::Document, usize::try_from(max).unwrap_or(usize::MAX)),
        }
        true
    }

    fn complete(&mut self, rest: &[u8], len: usize, containers: Option<Containers>, is_end: bool) -> bool {
        let behind = rest.get(len..).unwrap_or_default();
        let space = behind.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | 0 | 0x1e)).count();
        match behind.get(space) {
            Some(b'\n') => self.finish_document(len, len + space + 1, containers),
            // A line of text may start like `[1] {"a": 2}`.
            Some(b'{' | b'[') if space == 0 || rest.first() == Some(&b'{') => {
                self.finish_document(len, len + space, containers);
            }
            None if is_end => self.finish_document(len, len + space, containers),
            None => {
                self.state = State::Complete(len, containers);
                return false;
            }
            // A line of text that starts like a document, such as `[INFO] ...`.
            Some(_) => {
                self.scan = len;
                self.state = State::Line { like_json: true, max: len as u64 + self.rules.max_line_bytes };
            }
        }
        true
    }

    /// Classifies an event that starts like a document and has its first error here.
    fn fault(&mut self, rest: &[u8], fault: usize) {
        let max = fault as u64 + self.rules.max_line_bytes;
        let Some(first) = memchr(b'\n', rest.get(..fault).unwrap_or_default()) else {
            self.scan = fault.saturating_sub(1);
            // An early error means a line of text. An event that was valid for longer may have the
            // length of a document.
            let max = if fault < 64 { self.rules.max_line_bytes } else { max };
            self.state = State::Line { like_json: true, max };
            return;
        };
        let line = memrchr(b'\n', rest.get(..fault).unwrap_or_default()).map_or(0, |feed| feed + 1);
        let is_text = !matches!(rest.get(line), Some(b' ' | b'\t' | b'\r' | b'\n' | b'}' | b']' | b'"'));
        match next_beginning(rest, first, fault + 1) {
            Some(next) => self.finish_lines(rest, next),
            // A line of text after a line that could have been the start of a document.
            None if is_text => self.finish_lines(rest, line),
            None => {
                self.scan = fault;
                self.state = State::Broken { max };
            }
        }
    }

    /// Handles the end of the input within a document.
    fn cut_document(&mut self, rest: &[u8]) {
        let next = memchr(b'\n', rest).and_then(|first| next_beginning(rest, first, rest.len()));
        self.finish_lines(rest, next.unwrap_or(rest.len()));
    }

    fn broken(&mut self, rest: &[u8], max: u64, is_end: bool) -> bool {
        while let Some(feed) = memchr(b'\n', rest.get(self.scan..).unwrap_or_default()).map(|at| self.scan + at) {
            match rest.get(feed + 1) {
                None => {
                    self.scan = feed;
                    break;
                }
                // This is the closing bracket of the document.
                Some(b'}' | b']') => match memchr(b'\n', rest.get(feed + 1..).unwrap_or_default()) {
                    Some(at) => {
                        self.finish_lines(rest, feed + 1 + at + 1);
                        return true;
                    }
                    None => {
                        self.scan = feed;
                        break;
                    }
                },
                Some(b' ' | b'\t' | b'\r' | b'\n') if feed as u64 <= max => self.scan = feed + 1,
                Some(_) => {
                    self.finish_lines(rest, feed + 1);
                    return true;
                }
            }
        }
        if is_end {
            self.finish_lines(rest, rest.len());
            return true;
        }
        self.state = State::Broken { max };
        if rest.len() as u64 > max + self.rules.max_line_bytes {
            self.begin_skip(Skip::Document, usize::try_from(max).unwrap_or(usize::MAX));
            return true;
        }
        false
    }

    /// Skips the current event, of which this many bytes were examined.
    fn begin_skip(&mut self, kind: Skip, looked_at: usize) {
        // The caller sets the position in the input.
        self.state = State::Skip { kind, from: self.read_position(), from_input: u64::MAX };
        self.start = (self.start + looked_at).min(self.filled);
    }

    fn skip(&mut self, rest: &[u8], kind: Skip, (from, from_input): (u64, u64), is_end: bool) -> bool {
        let mut searched = 0;
        let mut ends_at = None;
        // The offset of bytes that may become an end when more data arrives.
        let mut keep = rest.len();
        while let Some(feed) = memchr(b'\n', rest.get(searched..).unwrap_or_default()).map(|at| searched + at) {
            searched = feed + 1;
            let next = rest.get(searched);
            if kind == Skip::Document && next.is_none() && !is_end {
                keep = feed;
            } else if kind == Skip::Document && matches!(next, Some(b' ' | b'\t' | b'\r' | b'\n' | b'}' | b']')) {
                // The rest of a broken document is indented or closes it.
                continue;
            } else {
                ends_at = Some((feed, searched));
                break;
            }
        }
        if kind != Skip::Text {
            let before = rest.get(..ends_at.map_or(keep, |(end, _)| end)).unwrap_or_default();
            if let Some(at) = memmem::find(before, NEXT_DOCUMENT) {
                ends_at = Some((at + 1, at + 1));
            }
            keep = keep.min(rest.len().saturating_sub(2));
        }
        if is_end {
            ends_at = ends_at.or(Some((rest.len(), rest.len())));
        }
        let Some((end, next)) = ends_at else {
            self.start += keep;
            self.state = State::Skip { kind, from, from_input };
            return false;
        };
        self.count_skipped(from, self.read_position() + end as u64 - from);
        self.start += next;
        true
    }

    /// Ends events that wait for more: an event of several lines, parts of lines, a document at the
    /// end of its line.
    pub(crate) fn flush(&mut self) {
        match std::mem::take(&mut self.state) {
            State::Complete(len, containers) => self.finish_document(len, len, containers),
            other => self.state = other,
        }
        if self.group.is_some() {
            self.end_group();
            self.state = State::Idle;
        }
        for incomplete in self.joiner.flush() {
            self.push_outcome(incomplete, 0);
        }
    }

    /// Returns whether [`flush`](Self::flush) would end an event.
    pub(crate) fn is_waiting(&self) -> bool {
        self.group.is_some() || self.joiner.held_from().is_some() || matches!(self.state, State::Complete(..))
    }

    fn finish_event(&mut self, end: usize, next: usize) {
        self.push(0, end);
        self.start += next;
    }

    /// Creates an event of a JSON document with these outer containers.
    fn finish_document(&mut self, end: usize, next: usize, containers: Option<Containers>) {
        self.know(containers);
        self.finish_event(end, next);
    }

    /// Creates an event of whole lines, without the last line feed.
    fn finish_lines(&mut self, rest: &[u8], next: usize) {
        let lines = rest.get(..next).unwrap_or_default();
        let end = lines.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |last| last + 1);
        self.finish_event(end, next);
    }
}

/// The offset in a record of CSV with at most `max` bytes from which it is certainly too long: behind its line feed.
fn skipped_from(max: u64) -> usize {
    usize::try_from(max).unwrap_or(usize::MAX).saturating_add(2)
}

/// Returns where the next document may start, after the line feed at `first` and before `until`.
fn next_beginning(rest: &[u8], first: usize, until: usize) -> Option<usize> {
    let lines = rest.get(first..until.min(rest.len()))?;
    let mut found = memchr::memchr_iter(b'\n', lines)
        .map(|at| first + at + 1)
        .filter(|at| *at < until && matches!(rest.get(*at), Some(b'{' | b'[')));
    let near = found.next()?;
    if until <= CLOSE_BY { Some(near) } else { found.next_back().or(Some(near)) }
}
