//! Listening for clients: what sources and sinks that listen have in common.
//!
//! A server keeps its address over a reload of the configuration ([`Listeners`]), begins connections with or without TLS
//! ([`Acceptor`], [`Stream`]), limits their number ([`Connections`]), and accepts only requests with its credentials
//! ([`Credential`]).
//!
//! A handshake runs in the task of its connection, so a slow client holds up no other.

mod acceptor;
mod connections;
mod credential;
mod listeners;
mod log_limit;
mod options;
mod owner;
mod stats;
mod stream;

pub use acceptor::Acceptor;
pub use connections::{Connection, Connections, Registered, Work};
pub use credential::{AuthOptions, Credential, check_secret};
pub use listeners::{Listeners, Registration, State, accept};
pub use log_limit::LogLimit;
pub use options::{Tls, TlsOptions, check_address, check_path};
pub use owner::Owner;
pub use stats::{TlsStats, UNEXPECTED_TLS};
pub use stream::Stream;
