//! What a header says about the lines that follow it, by the stream (usually the file) that they come from.

use std::collections::BTreeMap;

/// Maximum number of streams; a new one replaces the one that was not used for the longest time.
const MAX_STREAMS: usize = 1000;

/// A value per stream. Streams that have the same value share it.
#[derive(Debug)]
pub(crate) struct Streams<T> {
    places: BTreeMap<Vec<u8>, usize>,
    entries: Vec<Entry<T>>,
    current: Option<usize>,
    clock: u64,
    /// The value of the last header, until its stream is known.
    pending: Option<T>,
}

#[derive(Debug)]
struct Entry<T> {
    stream: Vec<u8>,
    used: u64,
    value: T,
}

impl<T> Default for Streams<T> {
    fn default() -> Self {
        Self { places: BTreeMap::new(), entries: Vec::new(), current: None, clock: 0, pending: None }
    }
}

impl<T: Clone> Streams<T> {
    pub(crate) const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Chooses the stream of the next line.
    pub(crate) fn select(&mut self, stream: &[u8]) {
        // Neighbouring lines mostly come from the same stream.
        let is_same = |number: usize| self.entries.get(number).is_some_and(|entry| entry.stream == stream);
        if !self.current.is_some_and(is_same) {
            self.current = self.places.get(stream).copied();
        }
        self.clock += 1;
        let clock = self.clock;
        if let Some(entry) = self.current.and_then(|number| self.entries.get_mut(number)) {
            entry.used = clock;
        }
    }

    /// The value of the chosen stream.
    pub(crate) fn get(&self) -> Option<&T> {
        self.current.and_then(|number| self.entries.get(number)).map(|entry| &entry.value)
    }

    /// Sets the value of a stream and chooses it.
    pub(crate) fn set(&mut self, stream: &[u8], value: T) {
        self.select(stream);
        if let Some(entry) = self.current.and_then(|number| self.entries.get_mut(number)) {
            entry.value = value;
            return;
        }
        let entry = Entry { stream: stream.to_vec(), used: self.clock, value };
        let number = if self.entries.len() < MAX_STREAMS {
            self.entries.push(entry);
            self.entries.len() - 1
        } else {
            let oldest = self.entries.iter().enumerate().min_by_key(|(_, entry)| entry.used).map_or(0, |(at, _)| at);
            if let Some(place) = self.entries.get_mut(oldest) {
                let before = std::mem::replace(place, entry);
                self.places.remove(&before.stream);
            }
            oldest
        };
        self.places.insert(stream.to_vec(), number);
        self.current = Some(number);
    }

    /// Keeps the value of a header until [`adopt`](Self::adopt) names its stream.
    pub(crate) fn hold(&mut self, value: T) {
        self.pending = Some(value);
    }

    /// Gives the value that is held to its stream.
    pub(crate) fn adopt(&mut self, stream: &[u8]) {
        if let Some(value) = self.pending.take() {
            self.set(stream, value);
        }
    }

    /// A value that some stream has and that passes the test.
    pub(crate) fn find(&self, is: impl Fn(&T) -> bool) -> Option<T> {
        self.entries.iter().map(|entry| &entry.value).find(|value| is(value)).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stream_has_its_last_value_and_the_least_recently_used_one_is_forgotten() {
        let mut streams = Streams::default();
        for number in 0..MAX_STREAMS {
            streams.set(format!("s{number}").as_bytes(), number);
        }
        streams.select(b"s0");
        assert_eq!(streams.get(), Some(&0));
        streams.set(b"s2", 7);
        streams.set(b"new", 8);
        for (stream, value) in [("s0", Some(&0)), ("s1", None), ("s2", Some(&7)), ("s3", Some(&3)), ("new", Some(&8))] {
            streams.select(stream.as_bytes());
            assert_eq!(streams.get(), value, "{stream}");
        }
        assert_eq!(streams.find(|value| *value == 7), Some(7));
    }
}
