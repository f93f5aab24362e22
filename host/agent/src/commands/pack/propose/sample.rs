//! The sample: lines of a file, or JSON documents.

use std::io::Read as _;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::exit::{Failure, say};

use super::fields::key_of;
use super::trial::Trial;

/// Maximum number of events that a proposal looks at.
const MAX_EVENTS: usize = 1000;
/// Maximum number of bytes that it reads, after decompression.
const MAX_BYTES: u64 = 16 << 20;
/// Maximum number of keys of an object that is only the envelope of its array.
const MAX_ENVELOPE: usize = 8;
/// Bytes at the start of a gzip file.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The beginning of a file as events.
pub(super) struct Sample {
    /// The text of each event.
    pub(super) bodies: Vec<String>,
    /// Documents with the array that contains the events, before it was split.
    pub(super) documents: Vec<String>,
    /// Number of lines or documents that were read.
    pub(super) read: usize,
    /// Whether the file is longer.
    pub(super) is_cut: bool,
    is_documents: bool,
}

impl Sample {
    /// Reads the beginning of a file; `-` is standard input.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let wrong = |error: &dyn std::fmt::Display| Failure::new(format!("`{}`: {error}", path.display()));
        let mut bytes = Vec::new();
        let mut open: Box<dyn std::io::Read> = match path.to_str() {
            Some("-") => Box::new(std::io::stdin().lock()),
            _ => Box::new(std::fs::File::open(path).map_err(|error| wrong(&error))?),
        };
        open.by_ref().take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| wrong(&error))?;
        if bytes.starts_with(&GZIP) {
            // The end of the compressed bytes can be missing: what is there before it counts.
            let mut plain = Vec::new();
            let result =
                flate2::read::MultiGzDecoder::new(bytes.as_slice()).take(MAX_BYTES + 1).read_to_end(&mut plain);
            if let (Err(error), true) = (result, plain.is_empty()) {
                return Err(wrong(&error));
            }
            bytes = plain;
        }
        let mut is_cut = bytes.len() as u64 > MAX_BYTES;
        if is_cut {
            // The last line is not complete.
            let end = bytes.iter().rposition(|byte| *byte == b'\n').unwrap_or(bytes.len());
            bytes.truncate(end);
        }
        let text = String::from_utf8_lossy(&bytes);
        if matches!(text, std::borrow::Cow::Owned(_)) {
            say("the file is not UTF-8 in all places; the sample has U+FFFD in place of each invalid sequence");
        }
        let text = text.trim_start_matches('\u{feff}');
        let (mut bodies, is_documents) = match documents(text) {
            Some(documents) => (documents, true),
            None => (text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect(), false),
        };
        if bodies.is_empty() {
            return Err(wrong(&"the file contains no line"));
        }
        is_cut |= bodies.len() > MAX_EVENTS;
        bodies.truncate(MAX_EVENTS);
        Ok(Self { read: bodies.len(), bodies, documents: Vec::new(), is_cut, is_documents })
    }

    pub(super) const fn unit(&self) -> &'static str {
        match (self.is_documents, self.read) {
            (true, 1) => "JSON document",
            (true, _) => "JSON documents",
            (false, 1) => "line",
            (false, _) => "lines",
        }
    }

    /// The events, in the form of cases.
    pub(super) fn events(&self) -> Vec<Value> {
        self.bodies.iter().map(|body| json!({ "body": body })).collect()
    }

    /// If each body is an array of objects, or an object with one, makes its elements the bodies and
    /// returns the path of the array.
    pub(super) fn take_records(&mut self, trial: &mut Trial) -> Result<Option<String>, Failure> {
        let mut paths = self.bodies.iter().map(|body| array_of(body));
        let Some(Some(path)) = paths.next() else { return Ok(None) };
        if !paths.all(|other| other.as_deref() == Some(&path)) {
            return Ok(None);
        }
        let ran = trial.run("unroll", &json!({ "path": path }), &self.events())?;
        let Some(ran) = ran.filter(|ran| ran.failed.is_empty()) else { return Ok(None) };
        let mut records = ran.bodies("out");
        records.truncate(MAX_EVENTS);
        if records.is_empty() {
            return Ok(None);
        }
        self.documents = std::mem::replace(&mut self.bodies, records);
        Ok(Some(path))
    }
}

/// The JSON values of a text that has nothing else and is not one value on each line: such a text
/// is read as documents.
fn documents(text: &str) -> Option<Vec<String>> {
    if !text.trim_start().starts_with(['{', '[']) {
        return None;
    }
    let first = text.lines().find(|line| !line.trim().is_empty())?;
    if serde_json::from_str::<Map<String, Value>>(first).is_ok() {
        return None;
    }
    let all: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(text).into_iter().collect();
    let all = all.ok().filter(|all| all.iter().all(|value| value.is_object() || value.is_array()))?;
    Some(all.iter().map(Value::to_string).collect())
}

/// The path of the only array of objects in a document: a key, or `$` for the document itself.
fn array_of(body: &str) -> Option<String> {
    let is_records =
        |value: &Value| value.as_array().is_some_and(|all| !all.is_empty() && all.iter().all(Value::is_object));
    let object = match serde_json::from_str(body).ok()? {
        Value::Object(object) => object,
        value => return is_records(&value).then(|| "$".to_owned()),
    };
    let mut arrays = object.iter().filter(|(_, value)| is_records(value)).map(|(key, _)| key);
    let key = arrays.next().filter(|_| arrays.next().is_none())?;
    // An event with a list among many other fields is one event.
    (object.len() <= MAX_ENVELOPE).then(|| key_of(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pretty_documents_are_events_and_lines_of_json_are_lines() {
        assert_eq!(documents("{\n \"a\": 1\n}\n{\"b\":\n2}"), Some(vec!["{\"a\":1}".into(), "{\"b\":2}".into()]));
        assert_eq!(documents("[{\"a\": 1},\n{\"a\":2}]"), Some(vec!["[{\"a\":1},{\"a\":2}]".into()]));
        assert_eq!(documents("[main] started\n"), None);
        assert_eq!(documents("{\"a\":1}\n{\"a\":2}\n"), None);
        assert_eq!(documents("{\"a\":1}\nnot json\n"), None);
        assert_eq!(documents("plain\n"), None);
    }

    #[test]
    fn records_are_the_only_array_of_objects_in_a_small_envelope() {
        assert_eq!(array_of(r#"{"Records":[{"a":1}]}"#).as_deref(), Some("Records"));
        assert_eq!(array_of(r#"{"Records":[{"a":1}],"x":[{}]}"#), None);
        assert_eq!(array_of(r#"{"Records":[1,2]}"#), None);
        assert_eq!(array_of(r#"[{"a":1}]"#).as_deref(), Some("$"));
        assert_eq!(array_of(r#"{"a.b":[{"a":1}]}"#).as_deref(), Some("\"a.b\""));
        let event = r#"{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"items":[{"a":1}]}"#;
        assert_eq!(array_of(event), None, "an event with a list");
    }
}
