//! Records that were made to break the writer.

use wattle_parquet::{Preset, PushError, Schema, SchemaOptions, Writer, WriterOptions};

use crate::read::{rows, schema};

const RECORDS: usize = 100_000;

const KEYS: [&str; 14] = [
    "eventName",
    "EVENTNAME",
    "userIdentity",
    "sessionContext",
    "webIdFederationData",
    "attributes",
    "resources",
    "arn",
    "ARN",
    "requestParameters",
    "",
    "\\u0000",
    "event\\u004eame",
    "\\\"",
];

struct Hostile(fastrand::Rng);

impl Hostile {
    fn value(&mut self, depth: usize, out: &mut String) {
        match self.0.u8(0..if depth == 0 { 9 } else { 14 }) {
            0 => out.push_str("null"),
            1 => out.push_str("true"),
            2 => out.push_str("-1e99999999999999999999"),
            3 => out.push_str(&"9".repeat(self.0.usize(1..400))),
            4 => out.push_str(&format!("0.{}1E-{}", "0".repeat(self.0.usize(0..40)), self.0.u64(..))),
            5 => out.push_str("\"\\u0000\\ud83d\\ude00\\ufffe\u{feff}\u{10ffff}\""),
            6 if self.0.u8(..) < 10 => out.push_str("\"\\ud800\""),
            6 | 7 => out.push_str("\"12\""),
            8 => {
                let depth = self.0.usize(1..520);
                let (open, close) = if self.0.bool() { ("[", "]") } else { ("{\"userIdentity\":", "}") };
                out.push_str(&open.repeat(depth));
                out.push('1');
                out.push_str(&close.repeat(depth));
            }
            9 | 10 => {
                out.push('[');
                for number in 0..self.0.usize(0..5) {
                    out.push_str(if number > 0 { " ,\t" } else { "" });
                    self.value(depth - 1, out);
                }
                out.push(']');
            }
            _ => self.object(depth - 1, out),
        }
    }

    fn object(&mut self, depth: usize, out: &mut String) {
        out.push('{');
        for number in 0..self.0.usize(0..6) {
            out.push_str(if number > 0 { ",\n" } else { "" });
            out.push('"');
            out.push_str(KEYS[self.0.usize(..KEYS.len())]);
            out.push_str("\":");
            self.value(depth, out);
        }
        out.push('}');
    }

    fn record(&mut self) -> Vec<u8> {
        let mut text = String::new();
        self.object(5, &mut text);
        let mut record = text.into_bytes();
        // A third is damaged, mostly so that it is not JSON any more.
        match self.0.u8(0..9) {
            0 => record.truncate(self.0.usize(..=record.len())),
            1 => {
                let at = self.0.usize(..record.len());
                record[at] = self.0.u8(..);
            }
            2 => {
                let (at, length) = (self.0.usize(..record.len()), self.0.usize(..8));
                record.splice(at..at, (0..length).map(|_| self.0.u8(..)).collect::<Vec<_>>());
            }
            _ => {}
        }
        record
    }
}

#[test]
fn a_hundred_thousand_hostile_records_are_rows_or_errors() {
    let columns = r#"
        preset = "cloudtrail"
        columns = [
            { name = "number", type = "bigint", path = "eventName" },
            { name = "double", type = "double", path = "requestParameters" },
            { name = "time", type = "timestamp", path = "requestParameters" },
            { name = "nested", type = "list", path = "resources", element = { type = "list", element = { type = "map",
              element = { type = "int" } } } },
        ]
    "#;
    let schema = Schema::new(&toml::from_str::<SchemaOptions>(columns).unwrap()).unwrap();
    let options = WriterOptions { row_group_rows: 7_777, ..WriterOptions::default() };
    let mut writer = Writer::new(&schema, options).unwrap();
    let mut hostile = Hostile(fastrand::Rng::with_seed(20));
    let (mut kept, mut not_json) = (Vec::new(), 0_usize);
    for _ in 0..RECORDS {
        let record = hostile.record();
        match writer.push(&record) {
            Ok(_) => kept.push(record),
            Err(PushError::NotJson(_)) => not_json += 1,
            Err(PushError::NotAnObject(_)) => {}
            Err(error) => panic!("{error}: {}", String::from_utf8_lossy(&record)),
        }
    }
    let misfits: u64 = writer.misfits().map(|(_, values)| values).sum();
    let file = writer.finish().unwrap();
    assert!(kept.len() > RECORDS / 2 && not_json > RECORDS / 10, "{} kept, {not_json} not JSON", kept.len());
    assert!(misfits > 10_000, "{misfits}");
    let rows = rows(&file);
    assert_eq!(rows.len(), kept.len());
    for (row, record) in rows.iter().zip(&kept) {
        let whole = row["record"].as_str().unwrap();
        assert_eq!(whole.as_bytes(), record.trim_ascii(), "the record is kept byte for byte");
    }
}

#[test]
fn records_that_are_not_json_say_where() {
    let schema = Schema::preset(Preset::Cloudtrail).unwrap();
    let mut writer = Writer::new(&schema, WriterOptions::default()).unwrap();
    let mut error = |record: &[u8]| writer.push(record).unwrap_err().to_string();
    assert_eq!(error(b"{\"a\":1,}"), "the record is not JSON: expected a key in quotes at byte 7");
    assert_eq!(error(b""), "the record is not JSON: unexpected end of text at byte 0");
    assert_eq!(error(b"[1]"), "the record must be an object, but is of type array");
    assert!(error(b"{\"a\":\"\\ud800\"}").starts_with("the record is not JSON: surrogate"));
    assert!(error(&[b"{\"a\":".repeat(600), b"1".to_vec(), b"}".repeat(600)].concat()).contains("too deep"));
    writer.push(b" {} ").unwrap();
    assert_eq!(rows(&writer.finish().unwrap()).len(), 1);
}

#[test]
fn a_small_record_cannot_fill_the_memory() {
    let fields: Vec<_> = (0..1_000).map(|n| format!("{{ name = \"f{n}\", type = \"int\" }}")).collect();
    let columns = format!(
        "columns = [{{ name = \"a\", type = \"list\", element = {{ type = \"struct\", fields = [{}] }} }}, \
         {{ name = \"n\", type = \"list\", path = \"a\", element = {{ type = \"json\" }} }}]",
        fields.join(",")
    );
    let schema = schema(&columns);
    let mut writer = Writer::new(&schema, WriterOptions::default()).unwrap();
    // A million structs with a thousand fields each would be 4 GB.
    let record = format!("{{\"a\":[{{}}{}]}}", ",{}".repeat(999_999));
    assert_eq!(writer.push(record.as_bytes()).unwrap(), 1);
    let counts: Vec<_> = writer.misfits().collect();
    assert_eq!(counts, [("a", 1)], "the list of texts has room");
    let file = writer.finish().unwrap();
    let rows = rows(&file);
    assert!(rows[0]["a"].is_null());
    assert_eq!(rows[0]["n"].as_array().unwrap().len(), 1_000_000);
}
