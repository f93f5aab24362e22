//! What the key of a payload says: where its events go. It travels through disk buffers, as a part of the payload.

use std::fmt;
use std::sync::Arc;

/// Separates the parts of a key. A prefix has none, because templates refuse them and replace those in values.
const SEPARATOR: char = '\0';

/// Where the events of a payload go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Beginning of the object's key.
    pub(super) prefix: Arc<str>,
    pub(super) object: Which,
}

/// Which object of a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// One that it shares with other payloads. The oldest event has this time, in nanoseconds since 1970.
    Shared { oldest: i64 },
    /// An object only for this payload, with this name. A payload with another number of events was split on its way.
    Own { name: String, events: usize },
}

impl Target {
    /// Reads the key of a payload. A key that this sink did not write, from a disk buffer that another type of sink left, is
    /// a prefix.
    pub(super) fn parse(key: &str) -> Self {
        let mut parts = key.split(SEPARATOR);
        let prefix = parts.next().unwrap_or_default().into();
        let object = match (parts.next(), parts.next()) {
            (Some(oldest), None) => oldest.parse().ok().map(|oldest| Which::Shared { oldest }),
            (Some(name), Some(events)) => {
                events.parse().ok().map(|events| Which::Own { name: name.to_owned(), events })
            }
            _ => None,
        };
        Self { prefix, object: object.unwrap_or(Which::Shared { oldest: 0 }) }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { prefix, object } = self;
        match object {
            Which::Shared { oldest } => write!(f, "{prefix}{SEPARATOR}{oldest}"),
            Which::Own { name, events } => write!(f, "{prefix}{SEPARATOR}{name}{SEPARATOR}{events}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_written() {
        for object in [Which::Shared { oldest: -5 }, Which::Own { name: "a-0-ff".to_owned(), events: 7 }] {
            for prefix in ["", "date=2026-01-31/", "ä/{}"] {
                let target = Target { prefix: prefix.into(), object: object.clone() };
                assert_eq!(Target::parse(&target.to_string()), target);
            }
        }
        for foreign in ["", "logs/out.ndjson", "a\0b", "a\0b\0c"] {
            let prefix = foreign.split('\0').next().unwrap();
            let expected = Target { prefix: prefix.into(), object: Which::Shared { oldest: 0 } };
            assert_eq!(Target::parse(foreign), expected, "{foreign:?}");
        }
    }
}
