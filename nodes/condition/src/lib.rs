//! Conditions on events, as nodes have them in their options: tests of fields, combined by `all`, `any` and `not`.
//!
//! A node has a [`Condition`] in its options, compiles it with a [`Compiler`] when it is configured, and calls
//! [`Check::narrow`] for each batch. Conditions work on whole columns: each test runs over all rows that are still open.

mod bounds;
mod check;
mod compile;
mod hash;
mod id;
mod literal;
mod network;
mod never;
mod options;
mod pair;
mod prepare;
mod test;
mod written;

pub use crate::check::{Check, Spare};
pub use crate::compile::{Compiler, ReadFields, ResolveField};
pub use crate::hash::{Counter, Key, Sample, Share};
pub use crate::options::{Condition, Length, OneOrMany, Type};
pub use crate::written::Written;
