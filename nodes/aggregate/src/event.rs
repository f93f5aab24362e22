//! The events that the node makes.

use std::io::Write as _;

use wattle_convert::time::{Output, Zone};
use wattle_node::{EventKind, Events, json};

use crate::definition::Definition;
use crate::function::{Function, State};
use crate::pane::END;

/// The events of a call.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) events: Events,
    /// Bytes of their bodies and attributes.
    pub(crate) bytes: usize,
    /// Results that are beyond the range of numbers.
    pub(crate) out_of_range: u64,
}

impl Made {
    pub(crate) fn new() -> Self {
        Self { events: Events::new(EventKind::Log), bytes: 0, out_of_range: 0 }
    }
}

/// Adds the event of a window and a key.
pub(crate) fn write(
    definition: &Definition,
    (key, states): (&[u8], &[State]),
    (start, end): (i64, i64),
    (id, part): (&[u8], u32),
    made: &mut Made,
) {
    let mut body = Vec::with_capacity(256);
    body.extend_from_slice(b"{\"start\":");
    write_time(start, &mut body);
    body.extend_from_slice(b",\"end\":");
    write_time(end, &mut body);
    for (name, value) in definition.by.iter().zip(key.split(|byte| *byte == END)) {
        write_name(name, &mut body);
        body.extend_from_slice(value);
    }
    for ((name, function), state) in definition.values.iter().zip(states) {
        write_name(name, &mut body);
        function.write(state, &mut body);
        made.out_of_range += u64::from(Function::is_out_of_range(state));
    }
    body.push(b'}');
    let mut attributes = Vec::with_capacity(64);
    attributes.extend_from_slice(b"{\"id\":\"");
    attributes.extend_from_slice(id);
    let _ = write!(attributes, "\",\"part\":{part}}}");
    made.bytes += body.len() + attributes.len();
    made.events.push(&body, Some(&attributes), Some(start));
}

fn write_time(time: i64, out: &mut Vec<u8>) {
    out.push(b'"');
    Output::Rfc3339(None).write(time, &Zone::UTC, out);
    out.push(b'"');
}

fn write_name(name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"");
    json::escape(name.as_bytes(), out);
    out.extend_from_slice(b"\":");
}
