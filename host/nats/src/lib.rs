//! Connections to NATS: the options that the source and the sink share, and what an error of the client or the server means.
//!
//! The client is the crate `async-nats`, which this one re-exports. Only this crate turns options into its settings, so both
//! ends trust the same authorities and explain an error in the same words.
//!
//! # Invariants
//!
//! - Options are checked without the network, and files are read: a wrong certificate is an error of `wattle validate`.
//! - A [`Session`] is one connection. The client never connects again by itself, so nothing that was sent before is sent after:
//!   the owner knows what is not confirmed, and connects again with files as they are then.
//! - Passwords, tokens and seeds appear neither in logs nor in `Debug` output.

mod api;
mod auth;
mod connection;
mod failure;
mod options;
mod subject;

pub use api::{Api, ConsumerFacts, Pull};
pub use async_nats;
pub use connection::{Connection, Session};
pub use failure::{Failure, FailureKind};
pub use futures_util::StreamExt;
pub use options::{AuthOptions, ConnectionOptions};
pub use subject::{Wildcards, check_name, check_subject, is_token_char};
pub use wattle_tls::TlsOptions;
