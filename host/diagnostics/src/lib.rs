//! Diagnostics of configurations, and a TOML reader that keeps the place of each value for
//! diagnostics.
//!
//! [`value::parse`] parses a file to a tree of [`Item`]s. A [`Reader`] reads typed values from a
//! table of it. Both report problems to [`Findings`], which converts all of them to [`Diagnostic`]s
//! at the end.
//!
//! # Invariants
//!
//! - No text makes this crate panic.
//! - A diagnostic shows no value that was marked as secret, or whose key names a secret.

pub mod codes;
pub mod reader;
pub mod value;

mod diagnostic;
mod findings;
mod read;
mod secrets;
mod syntax;
mod unclosed;

pub use diagnostic::{Diagnostic, Excerpt, Invalid, Severity};
pub use findings::{Finding, Findings, Place};
pub use read::{bytes_to_text, in_words, read_text};
pub use reader::{Reader, Text};
pub use value::{Data, Entry, Item, Table};
pub use wattle_printable::is_harmful;
