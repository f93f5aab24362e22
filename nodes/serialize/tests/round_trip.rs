//! What `serialize` writes, `parse` reads: the values are the same, and so is the text that is written of them again.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at what must not be")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};
use wattle_node::testing::{run, run_bodies};
use wattle_node_parse::Parse;
use wattle_node_serialize::Serialize;

type Texts = BTreeMap<String, String>;

/// Texts with the characters that formats use themselves. Zero bytes at the end of a line belong to no format.
fn values() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[ -~]{0,9}",
        3 => "[a-c =|\\\\\"'\\];:,\\n\\r\\t\\x01\\x7f\u{e9}\u{a0}\u{2028}\u{1f600}]{0,9}",
        1 => "[a-z]{1,3} [a-z]{1,3}=[a-z]{0,3}",
        1 => "(-|null|true|007|'x y'|\\{\\}|\"x\")",
    ]
}

/// Texts that a header without escapes can hold.
fn words() -> impl Strategy<Value = String> {
    "[!-{}~\u{e9}]([ -{}~\u{e9}]{0,6}[!-{}~])?"
}

fn members() -> impl Strategy<Value = Texts> {
    prop::collection::btree_map("[a-z][a-zA-Z0-9_]{0,5}", values(), 1..6)
}

/// The text of an event with these objects.
fn written(options: &Value, members: &Value, header: &Value) -> Result<String, TestCaseError> {
    let event = json!({"attributes": {"x": members, "h": header}});
    let ran = run::<Serialize>(options, &[event]).map_err(TestCaseError::fail)?;
    prop_assert_eq!(ran.failed.len(), 0, "{:?}", ran.failed);
    Ok(ran.bodies("out")[0].clone())
}

/// The attributes that a text becomes.
fn parsed(options: &Value, text: &str) -> Result<Value, TestCaseError> {
    let ran = run_bodies::<Parse>(options, &[text]).map_err(TestCaseError::fail)?;
    prop_assert_eq!(ran.failed.len(), 0, "{:?} {:?}", text, ran.failed);
    Ok(ran.ports["out"][0]["attributes"].clone())
}

/// Checks a format without a header.
fn check(write: Value, read: Value, members: &Texts) -> Result<(), TestCaseError> {
    let mut write = write;
    write["from"] = json!("attributes.x");
    let text = written(&write, &json!(members), &json!({}))?;
    let found = parsed(&read, &text)?;
    prop_assert_eq!(&found, &json!(members), "{:?}", text);
    prop_assert_eq!(written(&write, &found, &json!({}))?, text);
    Ok(())
}

/// Checks a format with a header. `names` has the part of `serialize`, and the key of `parse`.
fn check_with_header(
    format: &str,
    separator: Option<&str>,
    names: &[(&str, &str)],
    header: &Texts,
    members: &Texts,
    place: &str,
) -> Result<(), TestCaseError> {
    let parts: Texts =
        names.iter().map(|(part, _)| ((*part).to_owned(), format!("{{{{ attributes.h.{part} }}}}"))).collect();
    let mut write = json!({"format": format, "from": "attributes.x", "header": parts});
    if let Some(separator) = separator {
        write["separator"] = json!(separator);
    }
    let text = written(&write, &json!(members), &json!(header))?;
    let found = parsed(&json!({"format": format}), &text)?;
    let values = found.pointer(place).cloned().unwrap_or_else(|| json!({}));
    prop_assert_eq!(&values, &json!(members), "{:?}", text);
    let again: BTreeMap<&str, Value> =
        names.iter().filter_map(|(part, key)| Some((*part, found.get(key)?.clone()))).collect();
    let shown: Texts = again
        .iter()
        .map(|(part, value)| ((*part).to_owned(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect();
    prop_assert_eq!(&shown, header, "{:?}", text);
    prop_assert_eq!(written(&write, &values, &json!(again))?, text);
    Ok(())
}

fn named(names: &[(&str, &str)], words: Vec<String>) -> Texts {
    names.iter().map(|(part, _)| (*part).to_owned()).zip(words).collect()
}

const CEF: [(&str, &str); 6] = [
    ("vendor", "device_vendor"),
    ("product", "device_product"),
    ("version", "device_version"),
    ("signature_id", "signature_id"),
    ("name", "name"),
    ("severity", "severity"),
];
const LEEF: [(&str, &str); 4] = [
    ("vendor", "device_vendor"),
    ("product", "device_product"),
    ("version", "device_version"),
    ("event_id", "event_id"),
];
const SYSLOG: [(&str, &str); 7] = [
    ("timestamp", "timestamp"),
    ("hostname", "hostname"),
    ("app_name", "appname"),
    ("proc_id", "procid"),
    ("msg_id", "msgid"),
    ("severity", "severity"),
    ("message", "message"),
];

proptest! {
    #[test]
    fn logfmt_comes_back(members in members()) {
        check(json!({"format": "logfmt"}), json!({"format": "logfmt"}), &members)?;
    }

    #[test]
    fn key_value_comes_back(members in members(), separators in 0..4_usize) {
        let (pairs, pair) = [(" ", "="), (";", ":"), (", ", "="), ("&&", "->")][separators];
        check(
            json!({"format": "key_value", "separator": pairs, "pair_separator": pair}),
            json!({"format": "key_value", "field_split": pairs, "pair_split": pair}),
            &members,
        )?;
    }

    #[test]
    fn csv_comes_back(members in members(), delimiter in 0..3_usize) {
        let delimiter = [",", ";", "\t"][delimiter];
        let columns: Vec<&String> = members.keys().collect();
        check(
            json!({"format": "csv", "fields": columns, "separator": delimiter}),
            json!({"format": "csv", "columns": columns, "delimiter": delimiter}),
            &members,
        )?;
    }

    #[test]
    fn cef_comes_back(members in prop::collection::btree_map("[a-z][a-zA-Z0-9_]{0,5}", values(), 0..6), words in prop::collection::vec("[ -~\u{e9}]{1,8}", 5), severity in "[0-9]|10|Unknown|Very-High") {
        let mut header = named(&CEF, words);
        header.insert("severity".into(), severity);
        check_with_header("cef", None, &CEF, &header, &members, "/extension")?;
    }

    #[test]
    fn leef_comes_back(members in members(), words in prop::collection::vec(words(), 4), separator in 0..3_usize) {
        let separator = ["\t", "^", "x"][separator];
        // The format has no escapes.
        let members = members.into_iter().map(|(key, value)| (format!("K{}", key.replace('x', "y")), value.replace(['\n', '\r', '\t', '^', 'x'], "_"))).collect();
        check_with_header("leef", Some(separator), &LEEF, &named(&LEEF, words), &members, "/attributes")?;
    }

    #[test]
    fn syslog_comes_back(
        members in prop::collection::btree_map("[a-z][a-zA-Z0-9_]{0,5}", values(), 0..6),
        names in prop::collection::vec("[a-zA-Z][!-~]{0,9}", 4),
        message in "[!-~\u{e9}]([ -~\u{e9}\u{1f600}]{0,9}[!-~])?",
        severity in prop::sample::select(vec!["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"]),
    ) {
        // A message is one line.
        let members = members.into_iter().map(|(key, value)| (key, value.replace(['\n', '\r'], "_"))).collect();
        let mut header = named(&SYSLOG[1..5], names);
        header.insert("timestamp".into(), "2026-11-28T10:20:30.123456Z".into());
        header.insert("severity".into(), severity.into());
        header.insert("message".into(), message);
        check_with_header("syslog", None, &SYSLOG, &header, &members, "/structured_data/event@32473")?;
    }
}
