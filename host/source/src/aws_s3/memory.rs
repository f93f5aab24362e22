//! What is known about the objects of messages that come again.

use std::collections::{HashMap, VecDeque};

/// Maximum number of messages that are remembered. What falls out is read again, and its events arrive twice.
const MAX_MESSAGES: usize = 10_000;

/// How far an object of a message was delivered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// Nothing of it has to be read again: it was delivered to its end, or as far as it can be read.
    pub(super) is_done: bool,
    /// Why it cannot be read to its end.
    pub(super) broken: Option<String>,
    /// Everything before this decompressed byte was delivered.
    pub(super) position: u64,
    /// Events that were delivered.
    pub(super) events: u64,
    /// The entity tag of the object that the position is in.
    pub(super) etag: Option<String>,
}

/// The objects of messages, by the id of the message, in the order of the message.
#[derive(Debug, Default)]
pub(super) struct Memory {
    messages: HashMap<String, Vec<Known>>,
    order: VecDeque<String>,
}

impl Memory {
    /// What is known about the objects of a message.
    pub(super) fn recall(&self, id: &str, objects: usize) -> Vec<Known> {
        let mut known = self.messages.get(id).cloned().unwrap_or_default();
        known.resize(objects, Known::default());
        known
    }

    /// Remembers a message that may come again.
    pub(super) fn remember(&mut self, id: &str, objects: Vec<Known>) {
        if self.messages.insert(id.to_owned(), objects).is_none() {
            self.order.push_back(id.to_owned());
        }
        while self.order.len() > MAX_MESSAGES {
            if let Some(oldest) = self.order.pop_front() {
                self.messages.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_forgets_the_oldest_message() {
        let mut memory = Memory::default();
        let done = Known { is_done: true, ..Known::default() };
        for number in 0..=MAX_MESSAGES {
            memory.remember(&number.to_string(), vec![done.clone()]);
            memory.remember(&number.to_string(), vec![done.clone()]);
        }
        assert_eq!((memory.messages.len(), memory.order.len()), (MAX_MESSAGES, MAX_MESSAGES));
        assert_eq!(memory.recall("0", 1), [Known::default()]);
        assert_eq!(memory.recall("1", 2), [done, Known::default()]);
    }
}
