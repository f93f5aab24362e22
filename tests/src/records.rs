//! Splits JSON independently of the agent, and knows the expected events of a generated run.

use serde_json::Value;
use wattle_generator::{DocumentSize, Generator, Options};

/// The values of complete lines of JSON.
#[track_caller]
pub fn json_lines(bytes: &[u8]) -> Vec<Value> {
    let end = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
    let lines = bytes[..end].split(|&b| b == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).unwrap_or_else(|e| panic!("{e}: {line:.200?}"))).collect()
}

/// The texts of consecutive JSON values, separated by white space or commas.
#[track_caller]
pub fn values(mut text: &str) -> Vec<&str> {
    let mut all = Vec::new();
    loop {
        text = text.trim_start_matches([' ', '\t', '\r', '\n', ',']);
        if text.is_empty() || text.starts_with(']') {
            return all;
        }
        let mut stream = serde_json::Deserializer::from_str(text).into_iter::<serde::de::IgnoredAny>();
        stream.next().unwrap().unwrap_or_else(|e| panic!("{e}: {text:.200}"));
        let (value, rest) = text.split_at(stream.byte_offset());
        all.push(value);
        text = rest;
    }
}

/// The event id of an event that a sink wrote as JSON.
#[track_caller]
pub fn event_id(event: &Value) -> String {
    let body: Value = serde_json::from_str(event["body"].as_str().unwrap_or_default()).unwrap_or_default();
    let id = body["Record"]["eventID"].as_str();
    id.unwrap_or_else(|| panic!("no event id: {event:.300}")).to_owned()
}

/// A generated stream of documents, equal to that of the source `demo` with the same options.
#[derive(Debug)]
pub struct Trail {
    generator: Generator,
}

impl Trail {
    /// A stream of documents with this many records.
    pub fn new(seed: u64, records: u32) -> Self {
        let records_per_document = DocumentSize::Fixed(records);
        Self { generator: Generator::new(Options { seed, records_per_document, ..Options::default() }) }
    }

    /// The next document.
    pub fn document(&mut self) -> Vec<u8> {
        let mut document = Vec::new();
        let records = self.generator.document_size();
        self.generator.next_document(records, &mut document);
        document
    }

    /// The event ids of the next documents, sorted.
    pub fn ids(&mut self, documents: u64) -> Vec<String> {
        let mut ids = Vec::new();
        for _ in 0..documents {
            let document: Value = serde_json::from_slice(&self.document()).unwrap();
            let records = document["Records"].as_array().unwrap();
            ids.extend(records.iter().map(|r| r["eventID"].as_str().unwrap().to_owned()));
        }
        ids.sort();
        ids
    }

    /// The truth about the generated documents so far.
    pub fn truth(&self) -> wattle_generator::Truth {
        self.generator.truth()
    }
}
