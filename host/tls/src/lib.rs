//! TLS of outgoing connections: trusted authorities, client certificates, and error texts that say what to do.
//!
//! Every client of the agent uses this crate, so that all of them trust the same authorities, log bad certificates, and
//! explain a failed handshake in the same words.

#[cfg(feature = "ureq")]
mod client;
mod config;
mod failure;
mod roots;
mod verify;

#[cfg(feature = "ureq")]
pub use client::{explain, ureq_config};
pub use config::{ClientOptions, TlsConfigError, client_config};
pub use failure::TlsFailure;
pub use roots::system_roots;
