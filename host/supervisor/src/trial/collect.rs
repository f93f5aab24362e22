//! The events that leave a pipeline, as far as a trial keeps them.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

use serde_json::Value;
use wattle_api::failures::Sample;
use wattle_batch::Batch;

use super::render;

/// Maximum bytes of the texts of one batch of the input, for each version.
const MAX_TEXT_BYTES: usize = 8 << 20;
/// Maximum number of events of one batch of the input that are compared, for each version.
const MAX_LINES: usize = 1_000_000;
/// Maximum number of failures with different nodes or codes that have samples.
const MAX_FAILURES: usize = 100;
/// Samples of one of them.
const FAILURE_SAMPLES: usize = 3;
/// Maximum number of words of an event that count for its similarity.
const MAX_WORDS: usize = 512;

/// An event as the codec `json` writes it, by its digest.
pub(super) struct Line {
    digest: [u8; 16],
    /// `None` if the batch became too many bytes.
    pub(super) text: Option<Box<[u8]>>,
    words: OnceCell<Box<[u32]>>,
}

impl Line {
    fn new(text: &[u8], is_kept: bool) -> Self {
        let mut digest = [0; 16];
        blake3::Hasher::new().update(text).finalize_xof().fill(&mut digest);
        Self { digest, text: is_kept.then(|| text.into()), words: OnceCell::new() }
    }

    /// How many words two events share.
    pub(super) fn similarity(&self, other: &Self) -> u32 {
        let (mut left, mut right) = (self.words().iter().peekable(), other.words().iter().peekable());
        let mut shared = 0;
        while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
            match a.cmp(b) {
                std::cmp::Ordering::Less => _ = left.next(),
                std::cmp::Ordering::Greater => _ = right.next(),
                std::cmp::Ordering::Equal => {
                    shared += 1;
                    left.next();
                    right.next();
                }
            }
        }
        shared
    }

    /// Hashes of the words in order.
    fn words(&self) -> &[u32] {
        self.words.get_or_init(|| {
            let words = self.text.iter().flat_map(|text| text.split(|byte| !byte.is_ascii_alphanumeric()));
            let words = words.filter(|word| !word.is_empty()).take(MAX_WORDS);
            // FNV-1a.
            let hash =
                |word: &[u8]| word.iter().fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(*b)).wrapping_mul(0x0100_0193));
            let mut hashes: Vec<u32> = words.map(hash).collect();
            hashes.sort_unstable();
            hashes.into()
        })
    }
}

impl PartialEq for Line {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Line {}

impl Hash for Line {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

/// The events of one batch of the input that left, by output.
#[derive(Default)]
pub(super) struct Lines {
    pub(super) by_output: Vec<Vec<Line>>,
    /// Events that were not kept, because there are too many.
    pub(super) left_out: u64,
    count: usize,
    bytes: usize,
}

/// What a trial keeps of the events that leave.
pub(super) struct Collected {
    /// The first events of each output.
    pub(super) samples: Vec<Vec<Value>>,
    /// The first failed events by node and code.
    pub(super) failures: BTreeMap<(String, String), Vec<Sample>>,
    max_samples: usize,
    lines: Option<Lines>,
    now: String,
    buffer: Vec<u8>,
}

impl Collected {
    pub(super) fn new(outputs: usize, max_samples: usize, compares: bool, now: i64) -> Self {
        Self {
            samples: vec![Vec::new(); outputs],
            failures: BTreeMap::new(),
            max_samples,
            lines: compares.then(Lines::default),
            now: wattle_batch::format_rfc3339(now),
            buffer: Vec::new(),
        }
    }

    /// Takes the events since the last call.
    pub(super) fn take_lines(&mut self) -> Lines {
        self.lines.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Adds the events of a batch that left through an output.
    pub(super) fn add(&mut self, output: usize, batch: &Batch) {
        for row in 0..batch.rows() {
            let is_sample = self.samples.get(output).is_some_and(|samples| samples.len() < self.max_samples);
            let is_line = self.lines.as_ref().is_some_and(|lines| lines.count < MAX_LINES);
            let is_failure = batch.failure(row).is_some_and(|f| self.wants_failure(&f.node, &f.code));
            if let Some(lines) = self.lines.as_mut().filter(|_| !is_line) {
                lines.left_out += 1;
            }
            if !(is_sample || is_line || is_failure) {
                continue;
            }
            self.buffer.clear();
            batch.write_json(row, &mut self.buffer);
            if is_sample && let Some(samples) = self.samples.get_mut(output) {
                samples.push(render::event(&self.buffer, render::MAX_SAMPLE));
            }
            if let Some(failure) = batch.failure(row).filter(|_| is_failure) {
                let event = Some(render::event(&self.buffer, render::MAX_SAMPLE));
                let sample = Sample { at: self.now.clone(), message: failure.message.to_string(), event };
                let key = (failure.node.to_string(), failure.code.to_string());
                self.failures.entry(key).or_default().push(sample);
            }
            if let Some(lines) = self.lines.as_mut().filter(|_| is_line) {
                if lines.by_output.len() <= output {
                    lines.by_output.resize_with(output + 1, Vec::new);
                }
                let is_kept = lines.bytes + self.buffer.len() <= MAX_TEXT_BYTES;
                lines.bytes += if is_kept { self.buffer.len() } else { 0 };
                lines.count += 1;
                if let Some(own) = lines.by_output.get_mut(output) {
                    own.push(Line::new(&self.buffer, is_kept));
                }
            }
        }
    }

    fn wants_failure(&self, node: &str, code: &str) -> bool {
        match self.failures.get(&(node.to_owned(), code.to_owned())) {
            Some(samples) => samples.len() < FAILURE_SAMPLES,
            None => self.failures.len() < MAX_FAILURES,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_resemble_each_other_by_their_words() {
        let line = |text: &str| Line::new(text.as_bytes(), true);
        let event = line(r#"{"body":"user anna logged in","n":1}"#);
        assert_eq!(event.similarity(&line(r#"{"body":"user anna left","n":1}"#)), 5);
        assert_eq!(event.similarity(&line("zzz")), 0);
        assert!(event == line(r#"{"body":"user anna logged in","n":1}"#));
        let without = Line::new(b"user anna", false);
        assert_eq!((without.similarity(&event), without == line("user anna")), (0, true));
    }
}
