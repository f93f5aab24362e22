//! JSON as text: finds, checks, splits and unescapes it without building trees.
//!
//! The host projects fields of events with this crate and checks what guests claim; the guests split documents and
//! look for values with it. What it does not do is turn JSON into values of Rust: building trees is what costs.
//!
//! | to | use |
//! | --- | --- |
//! | prove that a text is one JSON value | [`check`] |
//! | find where a document ends that arrives in pieces | [`DocumentEnd`] |
//! | find one value, several in one pass, or all that `[*]` names | [`find`], [`find_many`], [`each`] |
//! | walk an array or an object | [`elements`], [`elements_from`], [`members`] |
//! | find the end of a value | [`skip`] |
//! | turn string content into text and back | [`unescape`], [`unescape_lossy`], [`escape`] |
//! | drop white space | [`minify`] |
//!
//! # Invariants
//!
//! - Every function takes any bytes. None panics, recurses on the text's nesting, or takes more than linear time.
//! - Only [`check`] and, but for UTF-8, [`DocumentEnd`] validate. The others demand what they need to find their way: right separators where they walk,
//!   closed strings, and brackets that balance in number in what they skip.
//! - A [`Value`] is a span and nothing more. It is right for the text that it came from, and harmless with any other.
//! - Of members with the same key the first one counts.
//! - Containers are skipped by classifying blocks of 64 bytes with SIMD, after stage 1 of simdjson (Langdale and
//!   Lemire, "Parsing gigabytes of JSON per second", 2019): masks of quotes and backslashes give a mask of what is
//!   inside strings, and only brackets outside of it are visited.

mod block;
mod check;
mod classes;
mod elements;
mod error;
mod find;
mod kind;
mod many;
mod path;
mod scan;
mod text;

pub use check::{Boundary, DocumentEnd, check};
pub use elements::{Elements, elements, elements_from, members};
pub use error::{Error, ErrorKind};
pub use find::{each, find, locate};
pub use kind::{Kind, Value};
pub use many::find_many;
pub use path::{MAX_SEGMENTS, Path, PathError, Segment};
pub use scan::skip;
pub use text::{escape, minify, unescape, unescape_lossy};
