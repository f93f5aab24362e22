//! Edits JSON texts at paths without building trees of them.
//!
//! [`Documents`] is an arena over the texts of a batch. A document is opened as a span of a text.
//! Its containers are expanded to lists of members only where a path leads through them, and a
//! member is a pair of spans. An edit replaces spans; [`Documents::write`] copies everything that
//! no edit touched byte for byte, white space included; only white space right beside a changed
//! value may go.
//!
//! | to | use |
//! | --- | --- |
//! | begin a batch, begin the next rows | [`Documents::load`], [`Documents::clear`] |
//! | open a JSON text, or plain text as a string | [`Documents::open`], [`Documents::open_text`] |
//! | follow a path, one or many values | [`Documents::get`], [`Documents::all`], with a [`Route`] |
//! | walk members and elements | [`Documents::first`], [`Documents::next`], [`Documents::key`] |
//! | read a value | [`Documents::content`], [`Documents::text`], [`Documents::json`] |
//! | make a value | [`Documents::constant`], [`Documents::new_text`], [`Documents::new_json`] |
//! | change a document | [`Documents::set`], [`Documents::put`], [`Documents::remove`], [`Documents::rename`] |
//!
//! # Invariants
//!
//! - Memory is reused from batch to batch: after the first batches no call allocates.
//! - Texts are valid JSON, which the caller has checked. With other texts the results are useless, but nothing panics.
//! - A moved or copied value is a span, never a copy of its text, unless an edit changed the inside of the value.
//! - Of members with the same key the first one counts, and a change of it removes the others.

mod bytes;
mod change;
mod content;
mod documents;
mod expand;
mod index;
mod key;
mod node;
mod route;
mod shape;
mod unique;
mod walk;
mod write;

pub use change::NoPlace;
pub use content::Content;
pub use documents::{Documents, Source, around};
pub use node::Place;
pub use route::{Glob, Route, RouteError, Step};
pub use unique::UniqueKeys;

#[cfg(test)]
mod tests;
