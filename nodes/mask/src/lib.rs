//! The node `mask`: hides secrets and personal data in the text of events.
//!
//! Rules find places in a field by JSON key ([`json_key`]), by pattern ([`pattern`]) or by a
//! ready-made rule ([`preset`]), and a [`replacement`] replaces them. The README describes every
//! option.

mod column;
mod fit;
mod fuse;
mod json_key;
mod literals;
mod masker;
mod node;
mod options;
mod pattern;
mod plan;
mod preset;
mod replacement;
mod scan;
mod span;
mod tally;
mod undecided;

pub use node::Mask;
pub use options::{Group, Keys, OnUndecidable, Options, Replacement, Rule};

wattle_node::export_node!(Mask, fusion);
