//! Recognises documents to refuse, by the keys of one object.

use wattle_node::Setup;
use wattle_node::json::{Kind, Value, members};

use crate::options::Unsupported;

/// Maximum number of keys of all entries together.
const MAX_KEYS: usize = 64;

/// The entries of `unsupported`, ready for use.
#[derive(Debug, Default)]
pub(crate) struct Known {
    keys: Vec<Box<[u8]>>,
    /// Which keys an entry needs, one bit each, and its message.
    entries: Vec<(u64, Box<str>)>,
}

impl Known {
    pub(crate) fn new(entries: &[Unsupported], setup: &mut Setup<'_>) -> Self {
        let mut known = Self::default();
        for (number, entry) in entries.iter().enumerate() {
            if entry.keys.is_empty() {
                setup.error(format!("unsupported[{number}].keys"), "at least one key is needed");
            }
            let mut bits = 0;
            for key in &entry.keys {
                let key: Box<[u8]> = key.as_bytes().into();
                let index = known.keys.iter().position(|k| *k == key).unwrap_or(known.keys.len());
                if index == known.keys.len() {
                    known.keys.push(key);
                }
                bits |= u32::try_from(index).ok().and_then(|index| 1_u64.checked_shl(index)).unwrap_or_default();
            }
            known.entries.push((bits, entry.message.as_str().into()));
        }
        if known.keys.len() > MAX_KEYS {
            setup.error("unsupported", format!("{} keys are too many; the limit is {MAX_KEYS}", known.keys.len()));
        }
        known
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The index of the entry that the object at `start` matches.
    pub(crate) fn find(&self, text: &[u8], start: usize) -> Option<usize> {
        if self.is_empty() || text.get(start) != Some(&b'{') {
            return None;
        }
        let mut bits = 0_u64;
        let object = Value { start, end: text.len(), kind: Kind::Object };
        // In a truncated object, the keys before the end decide. An error after them does not
        // matter here.
        let _ = members(text, object, |key, _| {
            let name = text.get(key.start + 1..key.end.saturating_sub(1)).unwrap_or_default();
            if let Some(index) = self.keys.iter().position(|known| **known == *name) {
                bits |= 1 << index.min(MAX_KEYS - 1);
            }
        });
        self.entries.iter().position(|(wanted, _)| bits & wanted == *wanted)
    }

    /// The message of an entry.
    pub(crate) fn message(&self, number: usize) -> &str {
        self.entries.get(number).map_or("", |(_, message)| message)
    }
}
