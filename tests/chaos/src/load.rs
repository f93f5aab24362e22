//! The input, and the expected output of each event.

use std::io::Write as _;

use serde::Deserialize;
use wattle_tests::{Trail, values};

/// The outputs of the pack for events without a fault.
pub(crate) const OUTPUTS: [&str; 2] = ["processed", "get_describe_list"];

/// An input event.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) id: String,
    /// Index of its only correct output.
    pub(crate) output: usize,
}

#[derive(Deserialize)]
struct Record {
    #[serde(rename = "eventID")]
    id: String,
    #[serde(rename = "eventName")]
    name: String,
}

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "Record")]
    record: Record,
}

/// The id of an event as a sink writes it; `None` if the line is not a complete event.
pub(crate) fn id_of(line: &[u8]) -> Option<String> {
    serde_json::from_slice::<Line>(line).ok().map(|line| line.record.id)
}

/// Generated CloudTrail, the same for the same seed.
pub(crate) struct Load {
    trail: Trail,
}

impl Load {
    pub(crate) fn new(seed: u64, records: u32) -> Self {
        Self { trail: Trail::new(seed, records) }
    }

    /// A document, and the events in it.
    pub(crate) fn document(&mut self) -> (Vec<u8>, Vec<Known>) {
        let document = self.trail.document();
        let events = records(&document).into_iter().map(|(_, known)| known).collect();
        (document, events)
    }

    /// The events of a document separately, one per line.
    pub(crate) fn lines(&mut self) -> Vec<(String, Known)> {
        records(&self.trail.document())
    }
}

/// The events of a document, one per line.
pub(crate) fn records(document: &[u8]) -> Vec<(String, Known)> {
    let text = std::str::from_utf8(document).unwrap();
    let list = &text[text.find('[').unwrap() + 1..];
    let known = |text: &str| {
        let record: Record = serde_json::from_str(text).unwrap();
        // The model: the promise of the pack's README in one line.
        let read = ["Get", "List", "Describe"].iter().any(|verb| record.name.starts_with(verb));
        Known { id: record.id, output: usize::from(read) }
    };
    values(list).into_iter().map(|text| (text.to_owned() + "\n", known(text))).collect()
}

/// One member of gzip.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
