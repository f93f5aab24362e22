//! What the framing knows of the event that is not finished yet.

use wattle_json::DocumentEnd;

/// What the unfinished event is.
#[derive(Debug, Default)]
pub(super) enum State {
    /// None of it was looked at.
    #[default]
    Idle,
    /// A line. One that begins like JSON may also end where the next document begins.
    Line { like_json: bool, max: u64 },
    /// A JSON document.
    Document(Box<DocumentEnd>),
    /// A JSON document of this length; what follows on its line decides.
    Complete(usize),
    /// A JSON document of several lines that is broken; it goes on to a line that does not look like its rest.
    Broken { max: u64 },
    /// Too long, and not kept; it began at this position of the text and of the input.
    Skip { kind: Skip, from: u64, from_input: u64 },
}

/// What is skipped, which says where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Skip {
    /// A line: at its line feed.
    Text,
    /// A line that began like JSON: at its line feed, or where the next document begins.
    LikeJson,
    /// A document: in front of a line that does not look like the rest of it, or where the next document begins.
    Document,
}
