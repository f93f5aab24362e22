//! Options of sources and sinks: one grammar for values, one error type, one reader, one shape for tables of types.
//!
//! `[agent]` and the command line use the same [`Size`] and [`Period`], so that a value that is valid in one place is
//! valid in all.

mod error;
mod problem;
mod quantity;
mod read;
mod secret;
mod table;
pub mod uses;

pub use error::{OptionError, OptionErrors, summary};
pub use problem::Problem;
pub use quantity::{Flag, Number, Period, Quantity, QuantityError, Size};
pub use read::{read, schema_of, schema_of_value};
pub use secret::Secret;
pub use table::{Row, Table, no_files, no_uses};
pub use uses::{Address, Network, Overlap, PathPattern, Selects, Topic, Use, Used};
pub use wattle_suggest as suggest;
