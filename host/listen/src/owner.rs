//! The source or sink that listens, as log lines name it.

use std::sync::Arc;

use tracing::field::{DisplayValue, display};

/// The source or sink that listens.
#[derive(Clone, Debug)]
pub enum Owner {
    /// A source of this name.
    Source(Arc<str>),
    /// A sink of this name.
    Sink(Arc<str>),
}

impl Owner {
    /// The field `source` of a log line.
    pub fn source(&self) -> Option<DisplayValue<&str>> {
        match self {
            Self::Source(name) => Some(display(&**name)),
            Self::Sink(_) => None,
        }
    }

    /// The field `sink` of a log line.
    pub fn sink(&self) -> Option<DisplayValue<&str>> {
        match self {
            Self::Source(_) => None,
            Self::Sink(name) => Some(display(&**name)),
        }
    }

    /// What it is: `source` or `sink`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Source(_) => "source",
            Self::Sink(_) => "sink",
        }
    }
}
