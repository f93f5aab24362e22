//! What the sources of message brokers, `kafka` and `nats`, share.

pub(crate) mod format;
pub(crate) mod reports;
pub(crate) mod send;
