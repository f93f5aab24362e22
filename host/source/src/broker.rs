//! What the sources of message brokers, `kafka` and `nats`, share.

pub(crate) mod format;
