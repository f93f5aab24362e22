//! Zones that fields of events name.

use std::collections::HashMap;

use wattle_convert::time::Zone;
use wattle_node::Field;

/// Names that are remembered; the database has about 600, and there are offsets.
const MAX_KNOWN: usize = 1000;

/// The field with the zone, and the zones of the names that it had.
pub(crate) struct Zones {
    pub(crate) field: Field,
    /// `None` for a name that is no zone.
    known: HashMap<Box<[u8]>, Option<Zone>>,
}

impl Zones {
    pub(crate) fn new(field: Field) -> Self {
        Self { field, known: HashMap::new() }
    }

    /// The zone with a name, which is not empty.
    pub(crate) fn find(&mut self, name: &[u8]) -> Option<&Zone> {
        if !self.known.contains_key(name) {
            // Names of events may be anything, so they do not fill the memory.
            if self.known.len() >= MAX_KNOWN {
                self.known.clear();
            }
            let zone = std::str::from_utf8(name).ok().and_then(Zone::find);
            self.known.insert(name.into(), zone);
        }
        self.known.get(name)?.as_ref()
    }
}
