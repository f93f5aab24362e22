//! What a listening source does with an accepted connection before it reads events: TLS, if the options say so.
//!
//! The handshake runs in the task of the connection, so a slow client holds up no other. Every source over TCP begins its
//! connections with a [`Acceptor`] and then has a [`Stream`], whether TLS is on or not.

mod acceptor;
mod options;
mod stream;

pub(crate) use acceptor::Acceptor;
pub(crate) use options::{Tls, TlsOptions};
pub(crate) use stream::Stream;
