//! The sample: lines of a file, or JSON documents.

use std::path::Path;

use serde_json::{Value, json};
use wattle_json::Segment;

use crate::exit::{Failure, say};

use super::secrets::Secrets;
use super::trial::Trial;

/// Maximum number of events that a proposal looks at.
const MAX_EVENTS: usize = 1000;
/// Maximum number of bytes of these events, after decompression.
const MAX_BYTES: usize = 16 << 20;
/// Maximum number of keys of an object that is only the envelope of its array.
const MAX_ENVELOPE: usize = 8;

/// The beginning of a file as events.
pub(super) struct Sample {
    /// The lines of the file, one for each event, or each document; without secrets after
    /// [`Sample::hide`].
    pub(super) lines: Vec<String>,
    /// The text of each event as the node after the masks gets it: a line, or a record of a document.
    pub(super) bodies: Vec<String>,
    /// Number of lines or documents that were read.
    pub(super) read: usize,
    /// Whether the file is longer.
    pub(super) is_cut: bool,
    /// Number of lines that are too long to be read.
    pub(super) too_long: u64,
    is_documents: bool,
}

impl Sample {
    /// Reads the beginning of a file; `-` is standard input.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let wrong = |error: &dyn std::fmt::Display| Failure::new(format!("`{}`: {error}", path.display()));
        let open: Box<dyn std::io::Read> = match path.to_str() {
            Some("-") => Box::new(std::io::stdin().lock()),
            _ => Box::new(std::fs::File::open(path).map_err(|error| wrong(&error))?),
        };
        let sample = wattle_source::sample(open, MAX_EVENTS, MAX_BYTES);
        let sample = sample.map_err(|error| wrong(&error))?;
        if sample.events.iter().any(|event| is_binary(event)) {
            return Err(wrong(&"the file is not text: it has zero bytes, or too many that are not UTF-8"));
        }
        if sample.events.iter().any(|event| std::str::from_utf8(event).is_err()) {
            say("the file is not UTF-8 in all places; the sample has U+FFFD in place of each invalid sequence");
        }
        let texts: Vec<_> = sample.events.iter().map(|event| String::from_utf8_lossy(event)).collect();
        let is_documents = texts.iter().any(|text| text.contains('\n'));
        let bodies: Vec<String> = texts.iter().map(|text| on_one_line(text)).collect();
        if bodies.is_empty() {
            return Err(wrong(&"the file contains no line"));
        }
        let lines = bodies.clone();
        Ok(Self { read: bodies.len(), lines, bodies, is_cut: sample.is_cut, too_long: sample.too_long, is_documents })
    }

    /// Replaces the secrets of the lines, and masks the bodies as the pack does.
    pub(super) fn hide(&mut self, trial: &mut Trial, secrets: &Secrets) -> Result<(), Failure> {
        let replaced = secrets.replaced(trial, &self.lines)?;
        self.bodies = secrets.masked(trial, &self.lines, &replaced)?;
        self.lines = replaced;
        Ok(())
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
        self.bodies = records;
        Ok(Some(path))
    }
}

/// Whether an event is not text, by the rule of `grep`, and by bytes that no encoding of text has so often.
fn is_binary(event: &[u8]) -> bool {
    let invalid: usize = event.utf8_chunks().map(|chunk| chunk.invalid().len()).sum();
    event.contains(&0) || invalid > event.len() / 4
}

/// The text of an event on one line, as the input of a test has it. Only JSON has several lines.
fn on_one_line(text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(value) if text.contains('\n') => value.to_string(),
        _ => text.to_owned(),
    }
}

/// The path of the only array of objects in a document: a key, or `$` for the document itself.
fn array_of(body: &str) -> Option<String> {
    let object = match serde_json::from_str(body).ok()? {
        Value::Object(object) => object,
        value => return is_records(&value).then(|| "$".to_owned()),
    };
    let mut arrays = object.iter().filter(|(_, value)| is_records(value)).map(|(key, _)| key);
    let key = arrays.next().filter(|_| arrays.next().is_none())?;
    // An event with a list among many other fields is one event.
    (object.len() <= MAX_ENVELOPE).then(|| Segment::Key(key.as_str().into()).to_string())
}

/// Whether a value is an array of objects.
pub(super) fn is_records(value: &Value) -> bool {
    value.as_array().is_some_and(|all| !all.is_empty() && all.iter().all(Value::is_object))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_of_several_lines_becomes_one_line_and_other_text_stays() {
        assert_eq!(on_one_line("{\n \"a\": 1\n}"), "{\"a\":1}");
        assert_eq!(on_one_line("{ \"a\": 1 }"), "{ \"a\": 1 }");
        assert_eq!(on_one_line("plain"), "plain");
    }

    #[test]
    fn bytes_that_are_no_text_are_binary() {
        for (event, expected) in [
            (&b"plain"[..], false),
            (b"caf\xe9 au lait", false),
            (b"\x93NUMPY\x01\0", true),
            (b"\x89\xff\xfe\xa0x", true),
        ] {
            assert_eq!(is_binary(event), expected, "{event:?}");
        }
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
