//! Generates realistic CloudTrail from a seed, for the `demo` source, `wattle generate`, benchmarks
//! and tests, and log lines for the other built-in packs ([`Lines`]).
//!
//! A record is made from templates: compact JSON with slots, which are filled by writing bytes
//! directly. The same options and the same sequence of calls give the same bytes on every platform,
//! and [`Truth`] counts what they contain.

mod caller;
mod catalog;
mod document;
mod draft;
mod failure;
mod generator;
mod identity;
mod key;
mod kinds;
mod layout;
mod lines;
mod options;
mod random;
mod scene;
mod size;
mod template;
mod truth;
mod world;

#[cfg(test)]
mod tests;

pub use generator::Generator;
pub use key::object_key;
pub use lines::{LineKind, Lines};
pub use options::{Form, Options, Shape};
pub use size::DocumentSize;
pub use truth::Truth;
