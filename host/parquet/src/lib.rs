//! Turns JSON records into Parquet files in memory.
//!
//! A [`Schema`] says which columns a file has and where in a record their values are. It comes from options
//! ([`SchemaOptions`]) or is ready-made ([`Preset`]). A [`Writer`] takes records one by one and returns the file.
//!
//! ```
//! use wattle_parquet::{Preset, Schema, Writer, WriterOptions};
//!
//! let schema = Schema::preset(Preset::Cloudtrail).map_err(|errors| wattle_options::summary(&errors))?;
//! let mut writer = Writer::new(&schema, WriterOptions::default())?;
//! writer.push(br#"{"eventName":"GetObject","userIdentity":{"type":"IAMUser"}}"#)?;
//! let file = writer.finish()?;
//! assert_eq!(file.rows, 1);
//! assert!(file.bytes.starts_with(b"PAR1"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Invariants
//!
//! - A record is either a row of the file, or [`Writer::push`] returns an error that says why it is not.
//! - A value that does not fit its column becomes null and is counted. A column of type `json` with the path `$` keeps the
//!   record byte for byte, so nothing is lost; [`Schema::keeps_record`] says whether there is one.
//! - Numbers are read from their digits, never through a floating-point number, unless the column is one.
//! - If members have the same key, the first one counts, as in [`wattle_json`]. This also holds for keys that differ only
//!   in case, if the column has no path.
//! - The same records, schema and options give the same bytes.
//! - Any bytes can be pushed: nothing panics, and memory is bounded by the size of the record times the depth of the schema.
//!
//! # How
//!
//! A record is checked once and then walked once. The walk writes values and levels of each leaf to buffers (`leaf.rs`);
//! every thousand rows these go to the encoders of Apache's `parquet`, one for each leaf, which encode and compress page by
//! page. So a file in progress takes memory for its compressed pages, not for its records.

mod error;
mod leaf;
mod numbers;
mod pages;
mod row;
mod schema;
mod writer;

pub use error::{EncodeError, PushError};
pub use schema::{ColumnOptions, ElementOptions, Preset, Schema, SchemaOptions, Type};
pub use writer::{Compression, File, Misfits, Writer, WriterOptions};
