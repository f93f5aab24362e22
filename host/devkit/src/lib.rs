//! Tools for authors of nodes, which run a component in the agent's sandbox: cases, the conformance
//! suite, and measurements.
//!
//! - [`Sandboxed`] makes a component the subject of case files.
//! - [`conformance`] checks that a component keeps the contract, whatever it does; [`examples`] also checks that the
//!   six example nodes behave the same in every language.
//! - [`measure`] measures the cost of a node.
//! - [`Provided`] is what a project provides to its node for all of them: grants and mocks.

mod examples;
mod measure;
mod subject;
mod suite;

pub use examples::examples;
pub use measure::{Figures, Measured, measure};
pub use subject::Sandboxed;
pub use suite::{Check, Report, conformance};
pub use wattle_mocks::Provided;
