//! TLS: trusted authorities, certificates that are read again when their files change, and error texts that say what to do.
//!
//! Every client and every server of the agent uses this crate, so that all of them trust the same authorities, log bad
//! certificates, and explain a failed handshake in the same words.

mod accept;
#[cfg(feature = "ureq")]
mod client;
mod config;
mod expiry;
mod failure;
mod follow;
mod options;
mod reload;
mod roots;
mod server;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod verify;

pub use accept::{AcceptError, accept};
#[cfg(feature = "ureq")]
pub use client::{explain, ureq_config};
pub use config::{ClientOptions, TlsConfigError, client_config};
pub use expiry::expiry;
pub use failure::{TlsFailure, find_cause, system_error_text};
pub use follow::{ClientTls, Endpoint, Words};
pub use options::TlsOptions;
pub use reload::Reloaded;
pub use roots::system_roots;
pub use server::{ServerOptions, server_config};
pub use tokio_rustls::server::TlsStream;
