//! Events that a node makes, and the call of its timer.

use crate::batch::agent;
use crate::column::ColumnWriter;
use crate::json;

/// What kind of telemetry an event is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EventKind {
    /// A log record.
    #[default]
    Log,
    /// One data point of a metric; `wit/types.wit` has the shape of its body.
    Metric,
    /// A span of a trace.
    Span,
}

/// Events of one kind for one port, collected in columns.
#[derive(Clone, Debug, Default)]
pub struct Events {
    /// What kind of telemetry they are.
    pub kind: EventKind,
    pub(crate) bodies: ColumnWriter,
    pub(crate) attributes: ColumnWriter,
    pub(crate) timestamps: Vec<i64>,
}

impl Events {
    /// Creates an empty collection.
    pub fn new(kind: EventKind) -> Self {
        Self { kind, ..Self::default() }
    }

    /// Adds an event. `attributes` is a JSON object; `timestamp` is in nanoseconds since the epoch.
    pub fn push(&mut self, body: &[u8], attributes: Option<&[u8]>, timestamp: Option<i64>) {
        self.bodies.push(body);
        match attributes {
            Some(object) => self.attributes.push(object),
            None => self.attributes.push_none(),
        }
        // The host reads the minimum as no timestamp.
        self.timestamps.push(timestamp.map_or(i64::MIN, |time| time.max(i64::MIN + 1)));
    }

    /// Number of events.
    pub fn len(&self) -> usize {
        self.timestamps.len()
    }

    /// Whether there are no events.
    pub fn is_empty(&self) -> bool {
        self.timestamps.is_empty()
    }
}

/// Writes an object of JSON strings, such as the attributes of an event.
pub fn write_object<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a [u8])>, out: &mut Vec<u8>) {
    out.push(b'{');
    for (index, (key, value)) in pairs.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        for (text, end) in [(key.as_bytes(), b':'), (value, b' ')] {
            out.push(b'"');
            json::escape(text, out);
            out.push(b'"');
            if end == b':' {
                out.push(end);
            }
        }
    }
    out.push(b'}');
}

/// The host's side of a call that makes events.
#[expect(missing_docs, reason = "the function is that of the same name in wit/events.wit")]
pub trait Emit {
    #[cfg(not(target_arch = "wasm32"))]
    fn emit(&mut self, port: u8, events: Events);
    fn count(&mut self, name: &str, value: u64);
}

/// The call of a timer.
pub struct Tick<'a> {
    io: &'a mut dyn Emit,
    now: i64,
    is_last: bool,
}

impl<'a> Tick<'a> {
    /// Creates the call on the host's side.
    pub fn new(io: &'a mut dyn Emit, now: i64, is_last: bool) -> Self {
        Self { io, now, is_last }
    }

    /// The time in nanoseconds since the epoch; it never decreases.
    pub fn now(&self) -> i64 {
        self.now
    }

    /// Whether to make all events that the node still owes: the run ends with its input, or the state is larger than the
    /// node may save. The host saves the state afterwards, and more batches can follow.
    pub fn is_last(&self) -> bool {
        self.is_last
    }

    /// Makes events that leave on a port.
    pub fn emit(&mut self, port: u8, events: Events) {
        if !events.is_empty() {
            agent!(self.io, emit, port, events);
        }
    }

    /// Adds to a count of the node; see [`Batch::count`](crate::Batch::count).
    pub fn count(&mut self, name: &str, value: u64) {
        self.io.count(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_time_is_a_timestamp() {
        let mut events = Events::new(EventKind::Log);
        for timestamp in [None, Some(i64::MIN), Some(0)] {
            events.push(b"{}", None, timestamp);
        }
        assert_eq!(events.timestamps, [i64::MIN, i64::MIN + 1, 0]);
    }
}
