//! Connections to Kafka: the options that the source and the sink share, and what an error of the client means.
//!
//! The client is the crate `krafka`, which this one re-exports. Only this crate turns options into its settings, so both
//! ends trust the same authorities and explain an error in the same words.
//!
//! # Invariants
//!
//! - Options are checked without the network, and files are read: a wrong certificate is an error of `wattle validate`.
//! - Passwords appear neither in logs nor in `Debug` output.

mod client_log;
mod connection;
mod failure;
mod options;

pub use client_log::{ClientLog, Note};
pub use connection::Connection;
pub use failure::{Failure, FailureKind};
pub use krafka;
pub use options::{ConnectionOptions, Mechanism, SaslOptions, check_topic, is_topic_char};
pub use wattle_tls::TlsOptions;
