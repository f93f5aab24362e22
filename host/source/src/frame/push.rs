//! Adds found events to those of the next batch, and counts what is skipped.

use wattle_batch::Span;
use wattle_json::Containers;

use super::Framer;
use super::cri::{LineFormat, Mark, Outcome};

impl Framer {
    /// Adds the event of a line, if it has one, and counts what is skipped. The text of a whole line ends at `end`.
    pub(super) fn push_outcome(&mut self, outcome: Outcome, end: usize) {
        match outcome {
            Outcome::Whole(skip, mark) => self.push_marked(skip, end, mark),
            Outcome::Held => {}
            Outcome::Joined(text, mark) => self.push_joined(text, mark),
            Outcome::TooLong(bytes) => self.count_too_long(bytes),
        }
    }

    /// Adds the event from `skip` to `end`, both relative to `start`.
    pub(super) fn push(&mut self, skip: usize, end: usize) {
        self.push_marked(skip, end, Mark::default());
    }

    fn push_marked(&mut self, skip: usize, end: usize, mark: Mark) {
        if end <= skip {
            self.skipped.empty += 1;
        } else if self.read_position() + (self.line as u64) < self.sent_to {
            // The event was sent when this part of the input was read before.
        } else if let (Ok(start), Ok(end)) = (u32::try_from(self.start + skip), u32::try_from(self.start + end)) {
            self.span_bytes += (end - start) as usize;
            self.spans.push(Span { start, end });
            self.push_mark(mark);
        }
    }

    /// Notes the outer containers of the document that begins at `start`.
    pub(super) fn know(&mut self, containers: Option<Containers>) {
        if let Some(Containers { spans, depth }) = containers
            && let Ok(start) = u32::try_from(self.start)
        {
            self.known.extend(spans.iter().map(|(first, end)| Span { start: start + first, end: start + end }));
            self.known_depth = self.known_depth.max(depth);
        }
    }

    fn push_mark(&mut self, mark: Mark) {
        if self.rules.line_format == LineFormat::Container {
            self.marks.push(mark);
        }
    }

    fn push_joined(&mut self, text: Vec<u8>, mark: Mark) {
        if text.is_empty() {
            self.skipped.empty += 1;
        } else if self.read_position() >= self.sent_to {
            self.span_bytes += text.len();
            self.joined.push((self.spans.len(), text));
            self.spans.push(Span { start: 0, end: 0 });
            self.push_mark(mark);
        }
    }

    pub(super) fn count_too_long(&mut self, bytes: u64) {
        self.count_skipped(self.read_position() + self.line as u64, bytes);
    }

    pub(super) fn count_skipped(&mut self, from: u64, bytes: u64) {
        if from >= self.sent_to {
            self.skipped.too_long += 1;
            self.skipped.too_long_bytes += bytes;
            self.skipped.too_long_at.get_or_insert(from);
        }
    }
}
