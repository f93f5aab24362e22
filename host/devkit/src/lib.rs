//! What authors of nodes run against a component, in the sandbox that the agent has: cases, the conformance suite, and
//! measurements.
//!
//! - [`Sandboxed`] makes a component the subject of case files.
//! - [`conformance`] checks that a component keeps the contract, whatever it does; [`examples`] checks in addition that
//!   the five example nodes do the same in every language.
//! - [`measure`] tells what a node costs.
//! - [`Provided`] is what a project provides to its node for all of them: grants and mocks.

mod examples;
mod measure;
mod provided;
mod subject;
mod suite;

pub use examples::examples;
pub use measure::{Figures, Measured, measure};
pub use provided::Provided;
pub use subject::Sandboxed;
pub use suite::{Check, Report, conformance};
