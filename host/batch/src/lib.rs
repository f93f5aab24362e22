//! The data that flows through the agent: batches of events, stored as columns of text.
//!
//! The life of a batch: a source frames bytes into a [`Column`] of bodies and creates a [`Batch`]
//! with an [`Ack`] that knows the source's position. Nodes read its fields as columns
//! ([`Batch::read`]) and decide; the host applies their decisions ([`Batch::replace`],
//! [`Batch::set`], [`Batch::split`], [`Batch::select`]). A sink writes the bodies, or whole events
//! as JSON ([`Batch::write_json`]). When the last descendant of the batch has been delivered, the
//! acknowledgement notifies the source.
//!
//! No IO, no tokio, no wasmtime.
//!
//! # Invariants
//!
//! - Nothing is parsed to a tree. Bodies and attributes stay the received JSON text, and fields are
//!   found in it on demand. A body that no node changed reaches the sink byte for byte.
//! - Every column of a batch has one row per event.
//! - A descendant of a batch holds a share of its acknowledgement; dropping one always notifies the
//!   source.

mod ack;
mod batch;
mod call;
mod children;
mod column;
mod context;
mod decode;
mod edit;
mod encode;
mod field;
mod kind;
mod known;
mod object;
mod origin;
mod rows;
mod timestamp;

pub use ack::{Ack, Disposition, Parked};
pub use batch::{Batch, MAX_JSON_DEPTH, Replacement, RowFailed, SetProblem, SpliceError, SplitError};
pub use call::{Call, Ended, Field, InvalidDecision, MadeEvents, NodeInfo, Outcome, Refusal};
pub use children::Children;
pub use column::{Column, ColumnBuilder, ColumnTooLarge, Span};
pub use field::{FieldPath, FieldPathError, Form, Root};
pub use kind::EventKind;
pub use known::Known;
pub use object::ValueColumn;
pub use origin::{Failure, Origin};
pub use rows::{RowParts, Rows};
pub use timestamp::{format_rfc3339, parse_rfc3339};
