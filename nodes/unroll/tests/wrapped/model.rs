//! Random documents in random documents, against a model that knows what is in them.

use proptest::prelude::*;
use serde_json::{Value, json};
use wattle_node::testing::run_bodies;
use wattle_node_unroll::Unroll;

use super::{base64, cloudtrail, gzip};

/// A document, and what is in it.
#[derive(Clone, Debug)]
enum Document {
    Record(Value),
    Records(Vec<Value>),
    Array(Vec<Value>),
    Digest,
    Control,
    Notification,
    /// A text that is no document.
    Text(String),
    EventBridge(Box<Document>),
    Sns(Box<Document>, Spelling),
    CloudWatch(Vec<Document>, Spelling),
    Sqs(Vec<Document>, Spelling),
    Received(Vec<Document>, Spelling),
    Lookup(Vec<Document>, Spelling),
    Firehose(Vec<Document>, bool),
}

/// How a document is written into a string.
#[derive(Clone, Copy, Debug)]
enum Spelling {
    Compact,
    Pretty,
    /// Some letters, quotes and slashes as escapes.
    Escaped,
}

/// What comes out of a document.
#[derive(Debug, Default, PartialEq)]
struct Parts {
    out: Vec<Value>,
    digests: usize,
    dropped: u64,
    broken: Vec<String>,
    first_code: Option<&'static str>,
}

/// A string with this content, of which some characters are escapes that JSON does not need.
fn escaped(text: &str) -> String {
    let mut out = "\"".to_owned();
    for (number, char) in text.chars().enumerate() {
        match char {
            '/' => out += "\\/",
            c if c as u32 <= 0xffff && (number % 7 == 0 || c.is_control() || c == '"' || c == '\\') => {
                out += &format!("\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out + "\""
}

impl Document {
    /// The document as text.
    fn text(&self) -> String {
        let each = |all: &[Self], before: &str, key: &str, spelling: Spelling, after: &str| {
            let string = |inner: &Self| match spelling {
                Spelling::Compact => Value::String(inner.text()).to_string(),
                Spelling::Pretty => {
                    let text = inner.text();
                    let value: Result<Value, _> = serde_json::from_str(&text);
                    Value::String(value.map_or(text, |value| format!("\n{value:#}\n"))).to_string()
                }
                Spelling::Escaped => escaped(&inner.text()),
            };
            let all = all.iter().map(|inner| format!("{{{before}\"{key}\":{}}}", string(inner)));
            format!("[{}]{after}", all.collect::<Vec<_>>().join(" ,"))
        };
        match self {
            Self::Record(record) => record.to_string(),
            Self::Records(records) => json!({"before": {"Records": 1}, "Records": records, "after": []}).to_string(),
            Self::Array(records) => json!(records).to_string(),
            Self::Digest => r#"{"digestEndTime":1,"digestStartTime":2}"#.to_owned(),
            Self::Control => r#"{"messageType":"CONTROL_MESSAGE","logEvents":[{"message":"x"}]}"#.to_owned(),
            Self::Notification => r#"{"Records":[{"eventSource":"aws:s3","s3":{},"eventVersion":1}]}"#.to_owned(),
            Self::Text(text) => text.clone(),
            Self::EventBridge(inner) => format!(r#"{{"detail-type":"x","detail":{},"z":0}}"#, inner.text()),
            Self::Sns(inner, spelling) => {
                let array = each(std::slice::from_ref(inner), r#""TopicArn":1,"#, "Message", *spelling, "");
                array[1..array.len() - 1].to_owned()
            }
            Self::CloudWatch(all, spelling) => {
                format!(
                    r#"{{"messageType":"DATA_MESSAGE","logEvents":{}}}"#,
                    each(all, r#""id":1,"#, "message", *spelling, "")
                )
            }
            Self::Sqs(all, spelling) => {
                let before = r#""messageId":1,"receiptHandle":2,"#;
                format!(r#"{{"Records":{}}}"#, each(all, before, "body", *spelling, ""))
            }
            Self::Received(all, spelling) => {
                let before = r#""MessageId":1,"ReceiptHandle":2,"#;
                format!(r#"{{"Messages":{}}}"#, each(all, before, "Body", *spelling, ""))
            }
            Self::Lookup(all, spelling) => {
                format!(r#"{{"Events":{}}}"#, each(all, "", "CloudTrailEvent", *spelling, r#","NextToken":"t""#))
            }
            Self::Firehose(all, compressed) => {
                let encode = |text: String| if *compressed { gzip(&text) } else { text.into_bytes() };
                let data: Vec<Value> = all.iter().map(|d| json!({"data": base64(&encode(d.text()))})).collect();
                json!({"invocationId": 1, "records": data}).to_string()
            }
        }
    }

    /// Adds what comes out of the document.
    fn parts(&self, is_nested: bool, parts: &mut Parts) {
        let mut fault = |code: &'static str| {
            parts.first_code.get_or_insert(code);
            parts.broken.push(self.text());
        };
        match self {
            Self::Record(record) => parts.out.push(json!({ "Record": record })),
            Self::Records(records) | Self::Array(records) => {
                parts.out.extend(records.iter().map(|record| json!({ "Record": record })));
            }
            Self::Digest => parts.digests += 1,
            Self::Control => parts.dropped += 1,
            Self::Notification => fault("unsupported"),
            Self::Text(text) => {
                // Values may follow each other. A text from a string is checked completely, one that
                // arrived alone only up to its first fault.
                let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>().peekable();
                let first = matches!(values.peek(), Some(Ok(_)));
                let is_json = first && (!is_nested || values.all(|value| value.is_ok()));
                fault(if is_json { "missing-path" } else { "not-json" });
            }
            Self::EventBridge(inner) | Self::Sns(inner, _) => inner.parts(true, parts),
            Self::CloudWatch(all, _)
            | Self::Sqs(all, _)
            | Self::Received(all, _)
            | Self::Lookup(all, _)
            | Self::Firehose(all, _) => all.iter().for_each(|inner| inner.parts(true, parts)),
        }
    }
}

fn record() -> impl Strategy<Value = Value> {
    ("[a-c\"\\\\/\n\u{e9}\u{1f600}]{0,8}", any::<i32>())
        .prop_map(|(text, number)| json!({"eventVersion": "1", "n": number, "t": {"detail": text, "Records": [text]}}))
}

fn spelling() -> impl Strategy<Value = Spelling> {
    prop_oneof![Just(Spelling::Compact), Just(Spelling::Pretty), Just(Spelling::Escaped)]
}

fn document() -> impl Strategy<Value = Document> {
    let records = || prop::collection::vec(record(), 0..3);
    // `detail` holds objects and arrays, but no texts.
    let object = move || {
        prop_oneof![
            4 => record().prop_map(Document::Record),
            2 => records().prop_map(Document::Records),
            1 => records().prop_map(Document::Array),
            1 => Just(Document::Digest),
            1 => Just(Document::Control),
            1 => Just(Document::Notification),
        ]
    };
    // No arrays: what is whole in one without an end is a record, if it arrived alone.
    let text = "[a-z{\"]{0,6}|\\{\"x\":[0-9]{1,2}\\}".prop_map(Document::Text);
    let leaf = prop_oneof![8 => object(), 1 => text];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let all = || prop::collection::vec(inner.clone(), 0..4);
        prop_oneof![
            object().prop_map(|inner| Document::EventBridge(Box::new(inner))),
            (inner.clone(), spelling()).prop_map(|(inner, spelling)| Document::Sns(Box::new(inner), spelling)),
            (all(), spelling()).prop_map(|(all, spelling)| Document::CloudWatch(all, spelling)),
            (all(), spelling()).prop_map(|(all, spelling)| Document::Sqs(all, spelling)),
            (all(), spelling()).prop_map(|(all, spelling)| Document::Received(all, spelling)),
            (all(), spelling()).prop_map(|(all, spelling)| Document::Lookup(all, spelling)),
            (all(), any::<bool>()).prop_map(|(all, compressed)| Document::Firehose(all, compressed)),
        ]
    })
}

fn json_of(texts: &[String]) -> Vec<Value> {
    texts.iter().map(|text| serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone()))).collect()
}

/// Compares what the node makes of documents with the model.
fn check(documents: &[Document], broken: &str) -> Result<(), TestCaseError> {
    let texts: Vec<String> = documents.iter().map(Document::text).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let ran = run_bodies::<Unroll>(&cloudtrail(broken), &texts).map_err(TestCaseError::fail)?;
    let mut expected = Parts::default();
    let (mut codes, mut dropped, mut empty) = (Vec::new(), 0, 0);
    for document in documents {
        let mut parts = Parts::default();
        document.parts(false, &mut parts);
        let children = parts.out.len() + parts.digests;
        let is_lost = broken == "fail" || (children == 0 && parts.dropped == 0);
        if let Some(code) = parts.first_code.filter(|_| is_lost) {
            codes.push(code.to_owned());
            continue;
        }
        match (children + parts.broken.len(), parts.dropped) {
            (0, 0) => empty += 1,
            (0, _) => dropped += 1,
            _ => expected.dropped += parts.dropped,
        }
        expected.out.extend(parts.out);
        expected.digests += parts.digests;
        expected.broken.extend(parts.broken);
    }
    let mut out = json_of(&ran.bodies("out"));
    let mut found = json_of(&ran.bodies("broken"));
    if broken == "apart" {
        // Only a record has the wrapper.
        found = out.extract_if(.., |value| value.get("Record").is_none()).collect();
    }
    prop_assert_eq!(out, expected.out);
    prop_assert_eq!(found, json_of(&expected.broken));
    prop_assert_eq!(ran.bodies("digests").len(), expected.digests);
    prop_assert_eq!(ran.codes(), codes);
    let of = |counts: &std::collections::BTreeMap<String, usize>, name: &str| counts.get(name).copied().unwrap_or(0);
    prop_assert_eq!((of(&ran.dropped, "control-message"), of(&ran.dropped, "empty")), (dropped, empty));
    prop_assert_eq!(ran.counts.get("control-message").copied().unwrap_or(0), expected.dropped);
    Ok(())
}

proptest! {
    /// `PROPTEST_CASES` sets the number of cases.
    #[test]
    fn documents_in_documents_give_what_the_model_says(
        documents in prop::collection::vec(document(), 1..4),
        broken in prop::sample::select(vec!["fail", "apart", "port"]),
    ) {
        check(&documents, broken)?;
    }

    /// A node with rules only, and one with a path after it, give what one node gives.
    #[test]
    fn documents_can_be_unwrapped_by_a_node_before(documents in prop::collection::vec(document(), 1..4)) {
        let mut rules = cloudtrail("fail");
        rules["rules"].as_array_mut().unwrap().retain(|rule| rule.get("port").is_none() && rule.get("fail").is_none());
        let mut rules = json!({ "rules": rules["rules"] });
        // Without a path, this key has no meaning of its own.
        rules["rules"].as_array_mut().unwrap().push(json!({"keys": ["Records"], "unwrap": "Records[*]"}));
        for document in &documents {
            let mut parts = Parts::default();
            document.parts(false, &mut parts);
            let text = document.text();
            let unwrapped = run_bodies::<Unroll>(&rules, &[&text]).map_err(TestCaseError::fail)?;
            prop_assert_eq!(unwrapped.codes(), Vec::<String>::new(), "{}", text);
            let mut out = Vec::new();
            let (mut digests, mut failed) = (0, 0);
            for body in unwrapped.bodies("out") {
                let ran = run_bodies::<Unroll>(&cloudtrail("fail"), &[&body]).map_err(TestCaseError::fail)?;
                out.extend(json_of(&ran.bodies("out")));
                digests += ran.bodies("digests").len();
                failed += ran.failed.len();
            }
            prop_assert_eq!((out, digests, failed), (parts.out, parts.digests, parts.broken.len()), "{}", text);
        }
    }

    #[test]
    fn damaged_documents_are_accounted_for(
        document in document(),
        at in any::<prop::sample::Index>(),
        text in "[{}\\[\\]\":,a-c0-9 \\\\]{0,6}",
        taken in 0..4_usize,
        broken in prop::sample::select(vec!["fail", "apart", "port"]),
    ) {
        let mut chars: Vec<char> = document.text().chars().collect();
        let at = at.index(chars.len() + 1);
        chars.splice(at..chars.len().min(at + taken), text.chars());
        let damaged: String = chars.into_iter().collect();
        let ran = run_bodies::<Unroll>(&cloudtrail(broken), &[&damaged]).map_err(TestCaseError::fail)?;
        let left = ran.ports.values().map(Vec::len).sum::<usize>();
        let dropped = ran.dropped.values().sum::<usize>();
        prop_assert_eq!(ran.failed.len() + dropped + usize::from(left > 0), 1, "{}", damaged);
    }
}
