//! JSON as text: finds, checks, splits and unescapes it without building trees.
//!
//! The host finds fields of events with this crate and checks the claims of guests. Guests split
//! documents and find values with it. It never turns JSON into Rust values: building trees is the
//! expensive part.
//!
//! It is written by hand for this reason. `serde_json` builds values, or types that are known in advance. `simd-json`
//! changes its input. `sonic-rs` finds values without a tree, but with unsafe SIMD code for x86 and Arm, while guests are
//! WebAssembly. Host and guests must agree on every text, and documents arrive in pieces and are read only once.
//!
//! | to | use |
//! | --- | --- |
//! | prove that a text is one JSON value | [`check`] |
//! | find the end of a document that arrives in pieces | [`DocumentEnd`] |
//! | find one value, several in one pass, or all values at a path with `[*]` | [`find`], [`find_many`], [`each`] |
//! | walk an array or an object | [`elements`], [`elements_from`], [`members`] |
//! | find the end of a value | [`skip`] |
//! | turn string content into text and back | [`unescape`], [`unescape_lossy`], [`unescape_leniently`], [`escape`] |
//! | drop white space | [`minify`] |
//!
//! # Invariants
//!
//! - Every function accepts any bytes. None panics, recurses on the nesting of the text, or takes
//!   more than linear time.
//! - Only [`check`] and, except for UTF-8, [`DocumentEnd`] validate. The others check what they
//!   need to find their way: separators where they walk, closed strings, and the number of brackets
//!   in skipped parts.
//! - A [`Value`] is only a span. It is right for its own text and harmless with any other.
//! - If members have the same key, the first one counts.
//! - Containers are skipped by classifying blocks of 64 bytes with SIMD, after stage 1 of simdjson
//!   (Langdale and Lemire, "Parsing gigabytes of JSON per second", 2019): masks of quotes and
//!   backslashes give a mask of what is inside strings, and only brackets outside of it are
//!   visited.

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

pub use check::{Boundary, Containers, DocumentEnd, check};
pub use elements::{Elements, elements, elements_from, members, members_with_escapes};
pub use error::{Error, ErrorKind};
pub use find::{each, find, locate};
pub use kind::{Kind, Value};
pub use many::find_many;
pub use path::{MAX_SEGMENTS, Path, PathError, Segment};
pub use scan::{skip, value_at, white};
pub use text::{escape, is_plain, minify, unescape, unescape_leniently, unescape_lossy};
