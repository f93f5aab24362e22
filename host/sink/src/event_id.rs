//! Ids of events, so that a destination that receives an event again overwrites it.
//!
//! Where the source reads an input in the same parts again (`aws_s3`), the id of an event is a hash of its part and its
//! contents: it is the same after a restart. Elsewhere nothing distinguishes an event that is read again from another one with the
//! same text, so the id is new for each event that the sink receives, and the same in all requests with it.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use wattle_batch::{Batch, FieldPath, Form, Root};

/// Bytes of an id before its encoding as text, enough to make ids unique.
const BYTES: usize = 16;

/// The ids of the events of one batch.
#[derive(Debug)]
pub(crate) enum EventIds<'a> {
    Derived(Box<Derived<'a>>),
    /// The time, then random bits. Ids near each other in time are near each other in an index, which makes it faster.
    Random {
        milliseconds: [u8; 6],
    },
}

/// Hashes of the part of the input and of the contents.
#[derive(Debug)]
pub(crate) struct Derived<'a> {
    batch: &'a Batch,
    part: Sha256,
    /// Attributes as JSON, with the offsets of the rows.
    attributes: (Bytes, Vec<u32>),
    /// How often each hash occurred.
    seen: HashMap<[u8; BYTES], u64>,
}

impl<'a> EventIds<'a> {
    pub(crate) fn of(batch: &'a Batch) -> Self {
        let Some(position) = batch.position() else {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let milliseconds = u64::try_from(now.as_millis()).unwrap_or_default().to_be_bytes();
            let [_, _, milliseconds @ ..] = milliseconds;
            return Self::Random { milliseconds };
        };
        let mut part = Sha256::new();
        let origin = batch.origin();
        for text in [origin.source.as_bytes(), origin.resource.as_bytes(), &position.to_be_bytes()] {
            add(&mut part, text);
        }
        // Not the event as a sink writes it: that may have the time of reading.
        let (bytes, offsets, _) = batch.read(&FieldPath::whole(Root::Attributes), Form::Json);
        Self::Derived(Box::new(Derived { batch, part, attributes: (bytes, offsets), seen: HashMap::new() }))
    }

    /// Appends the id of a row. The rows must be in order.
    pub(crate) fn write(&mut self, row: usize, out: &mut String) {
        let id = match self {
            Self::Random { milliseconds } => {
                let mut id = fastrand::u128(..).to_be_bytes();
                if let Some(start) = id.first_chunk_mut() {
                    *start = *milliseconds;
                }
                id
            }
            Self::Derived(derived) => {
                let Derived { batch, part, attributes: (bytes, offsets), seen } = &mut **derived;
                let mut hash = part.clone();
                add(&mut hash, &batch.timestamp(row).unwrap_or_default().to_be_bytes());
                add(&mut hash, batch.body().row(row));
                let (start, end) = (offsets.get(row).copied(), offsets.get(row + 1).copied());
                let range = start.unwrap_or_default() as usize..end.unwrap_or_default() as usize;
                add(&mut hash, bytes.get(range).unwrap_or_default());
                // Equal events of one part are different events.
                let count = seen.entry(short(hash.clone())).or_default();
                *count += 1;
                add(&mut hash, &count.to_be_bytes());
                short(hash)
            }
        };
        URL_SAFE_NO_PAD.encode_string(id, out);
    }
}

/// An id of this text.
pub(crate) fn of_text(text: &[u8], out: &mut String) {
    URL_SAFE_NO_PAD.encode_string(short(Sha256::new_with_prefix(text)), out);
}

/// Adds a text to a hash, so that it cannot run into the next one.
fn add(hash: &mut Sha256, text: &[u8]) {
    hash.update((text.len() as u64).to_be_bytes());
    hash.update(text);
}

fn short(hash: Sha256) -> [u8; BYTES] {
    hash.finalize().first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;

    use wattle_batch::{Ack, Column, Origin};

    use super::*;

    fn ids(position: Option<u64>, resource: &str, bodies: &[&str], observed: i64) -> Vec<String> {
        let origin = Arc::new(Origin { source: "in".into(), resource: resource.into(), observed });
        let batch = Batch::new(Column::from_rows(bodies).unwrap(), origin, Ack::none());
        let batch = if let Some(position) = position { batch.at(position) } else { batch };
        let mut ids = EventIds::of(&batch);
        let id = |row| {
            let mut id = String::new();
            ids.write(row, &mut id);
            id
        };
        (0..bodies.len()).map(id).collect()
    }

    #[test]
    fn an_event_of_an_object_has_the_same_id_whenever_it_is_read() {
        let bodies = ["a", "b", "a"];
        let one = ids(Some(7), r#"{"key":"x"}"#, &bodies, 1);
        assert_eq!(ids(Some(7), r#"{"key":"x"}"#, &bodies, 2), one, "the time of reading is not a part of it");
        assert_eq!(ids(Some(7), r#"{"key":"x"}"#, &["b", "a"], 2), [one[1].clone(), one[0].clone()]);
        let others = [ids(Some(8), r#"{"key":"x"}"#, &bodies, 1), ids(Some(7), r#"{"key":"y"}"#, &bodies, 1)];
        let all: HashSet<&String> = one.iter().chain(others.iter().flatten()).collect();
        assert_eq!(all.len(), 9, "equal events of one part have different ids");
    }

    #[test]
    fn elsewhere_every_event_has_its_own_id_in_the_order_of_time() {
        let first = ids(None, "{}", &["a"; 1000], 1);
        std::thread::sleep(std::time::Duration::from_millis(2));
        let second = ids(None, "{}", &["a"; 1000], 1);
        let all: HashSet<&String> = first.iter().chain(&second).collect();
        assert!(all.len() == 2000 && all.iter().all(|id| id.len() == 22));
    }
}
