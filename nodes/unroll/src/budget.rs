//! How large composed children can be together.

/// Limit for the children of one event.
const MAX_BYTES: usize = 32 << 20;
/// Bytes that the host accepts for each byte of a batch, by its default `output_ratio`. A node cannot read the limit.
const RATIO: usize = 64;
/// Bytes that the host accepts for any batch.
const FLOOR: usize = 1 << 20;
/// Bytes that the host counts for a child apart from its body: the number of its parent.
const CHILD_BYTES: usize = 4;

/// What the children of a batch can still use. A batch whose children are larger is a fault, which costs the events beside
/// the large one, so the large one must fail before.
///
/// Each event can use [`RATIO`] times its own size, whatever comes before it, and also what is left of that by earlier
/// events.
#[derive(Debug)]
pub(crate) struct Budget {
    /// Bytes left for this event and all after it.
    room: usize,
    /// Bytes of the events that are not written yet.
    remaining: usize,
}

impl Budget {
    /// The budget of a batch whose texts have this many bytes.
    pub(crate) const fn new(bytes: usize) -> Self {
        let room = bytes.saturating_mul(RATIO);
        Self { room: if room < FLOOR { FLOOR } else { room }, remaining: bytes }
    }

    /// Begins an event, and returns how many bytes its children can have.
    pub(crate) fn begin(&mut self, bytes: usize) -> usize {
        self.remaining = self.remaining.saturating_sub(bytes);
        self.room.saturating_sub(self.remaining.saturating_mul(RATIO)).min(MAX_BYTES)
    }

    /// What children use.
    pub(crate) const fn size(bytes: usize, children: usize) -> usize {
        bytes.saturating_add(children.saturating_mul(CHILD_BYTES))
    }

    /// Takes the size of the children of an event.
    pub(crate) const fn take(&mut self, size: usize) {
        self.room = self.room.saturating_sub(size);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn events_never_use_more_than_the_host_accepts(events in prop::collection::vec((1..100_000_usize, 0..10_000_000_usize), 1..40)) {
            let bytes = events.iter().map(|(bytes, _)| bytes).sum();
            let mut budget = Budget::new(bytes);
            let mut used = 0;
            for (bytes, size) in events {
                let room = budget.begin(bytes);
                prop_assert!(room >= (bytes * RATIO).min(MAX_BYTES));
                if size <= room {
                    budget.take(size);
                    used += size;
                }
            }
            prop_assert!(used <= (bytes * RATIO).max(FLOOR));
        }
    }
}
