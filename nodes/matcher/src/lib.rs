//! Regular expressions with many groups, large repetitions and look-around over one character: those of grok patterns
//! and of user agents.
//!
//! Used by nodes instead of the crate `regex` where it costs too much: an expression compiles in microseconds to a few
//! kilobytes, and the groups of a line that matches are found ten times as fast. [`translate`] reads the syntax of Ruby
//! and other backtracking engines, and names such as `%{INT:size}`.

mod look;
mod matcher;
mod program;
mod translate;

pub use crate::look::LookAround;
pub use crate::matcher::{Memory, TooLong};
pub use crate::program::Program;
pub use crate::translate::{Definition, Group, Names, Translated, Wrong, translate, translate_numbered};
