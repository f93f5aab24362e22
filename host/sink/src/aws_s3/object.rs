//! An object: its events and its key.

use std::sync::Arc;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::batcher::RequestBatch;

/// The events of an object that is complete, and what its key is made of.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) prefix: Arc<str>,
    pub(super) name: Name,
    pub(super) events: RequestBatch,
}

/// The name of an object, between its prefix and its extension.
#[derive(Debug)]
pub(super) enum Name {
    /// The time of the oldest event, in nanoseconds since 1970, and a hash of it and the contents.
    Contents { oldest: i64 },
    /// This name.
    Given(String),
    /// This name and a hash of the contents, which are a part of what the name stands for.
    PartOf(String),
}

impl Object {
    /// The key. Objects with the same events have the same key.
    pub(super) fn key(&self, extension: &str) -> String {
        let Self { prefix, name, events } = self;
        let hash = |start: &[u8]| {
            let mut hash = Sha256::new();
            hash.update(start);
            events.events().for_each(|event| hash.update(event));
            short(hash)
        };
        match name {
            Name::Contents { oldest } => {
                // Every `i64` is in the range of `Timestamp`.
                let time = Timestamp::from_nanosecond(i128::from(*oldest)).unwrap_or_default();
                let time = time.strftime("%Y%m%dT%H%M%SZ");
                // With nanoseconds, objects of the same second with equal events have different names.
                format!("{prefix}{time}-{}{extension}", hash(&oldest.to_be_bytes()))
            }
            Name::Given(name) => format!("{prefix}{name}{extension}"),
            Name::PartOf(name) => format!("{prefix}{name}-{}{extension}", hash(&[])),
        }
    }
}

/// Hexadecimal digits of the first 16 bytes of a hash, enough to make names unique.
pub(super) fn short(hash: Sha256) -> String {
    use std::fmt::Write as _;
    hash.finalize().iter().take(16).fold(String::new(), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Rig;

    fn object(name: Name, texts: &[&str]) -> Object {
        let rig = Rig::new();
        let mut events = RequestBatch::default();
        texts.iter().for_each(|text| events.append(RequestBatch::of(rig.payload(None, text, 1))));
        Object { prefix: "date=2026-01-31/".into(), name, events }
    }

    #[test]
    fn the_same_events_have_the_same_key_however_they_arrived() {
        let key = |texts: &[&str]| object(Name::Contents { oldest: 1_769_903_999_000_000_000 }, texts).key(".log.gz");
        let one = key(&["a\nb\n"]);
        assert_eq!(one, "date=2026-01-31/20260131T235959Z-f1f37c7cb28548e853a54885c62d8fab.log.gz");
        assert_eq!(key(&["a\n", "b\n"]), one);
        assert_ne!(key(&["a\n", "c\n"]), one);
        assert_eq!(object(Name::Given("n".to_owned()), &["a"]).key(""), "date=2026-01-31/n");
        let [first, second] = ["a", "b"].map(|text| object(Name::PartOf("n".to_owned()), &[text]).key(".x"));
        assert!(first != second && first.starts_with("date=2026-01-31/n-") && first.ends_with(".x"), "{first}");
    }
}
