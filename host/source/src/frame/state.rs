//! State of the unfinished event.

use wattle_json::{Containers, DocumentEnd};

/// Quotes of a record of CSV, as far as it was searched.
#[derive(Debug, Default)]
pub(super) struct Quotes {
    /// Whether quoted text is open.
    pub(super) is_open: bool,
    /// Offset after the quote that closed the last one. Another quote there is an escaped one.
    pub(super) closed_at: Option<usize>,
}

/// Kind of the unfinished event.
#[derive(Debug, Default)]
pub(super) enum State {
    /// Nothing of it was examined.
    #[default]
    Idle,
    /// A line. A line that starts like JSON can also end where the next document starts.
    Line { like_json: bool, max: u64 },
    /// A JSON document.
    Document(Box<DocumentEnd>),
    /// A JSON document of this length, with its outer containers if it is UTF-8; the rest of its line decides.
    Complete(usize, Option<Containers>),
    /// A broken JSON document of several lines; it ends before a line that does not look like its
    /// rest.
    Broken { max: u64 },
    /// Too long, and discarded; it started at this position of the text and of the input.
    Skip { kind: Skip, from: u64, from_input: u64 },
}

/// Kind of a skipped event, which determines its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Skip {
    /// A line: ends at its line feed.
    Text,
    /// A line that started like JSON: ends at its line feed, or where the next document starts.
    LikeJson,
    /// A document: ends before a line that does not look like its rest, or where the next document
    /// starts.
    Document,
}
