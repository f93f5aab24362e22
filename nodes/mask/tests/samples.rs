//! Masks real CloudTrail in many forms: no secret stays readable, and nothing else changes.
//!
//! The samples are beside the project's folder; if they are missing, the test reports this and
//! passes.

#![expect(
    clippy::string_slice,
    clippy::unwrap_used,
    clippy::panic,
    reason = "what is not as expected fails the test, as it should"
)]

use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use wattle_node::testing::run_bodies;
use wattle_node_mask::Mask;

const KEYS: [&str; 4] = ["accessKeyId", "AccessKeyId", "assumedRoleId", "sessionToken"];
const MASK: &str = "*******************";

fn samples(folder: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(folder);
    let Ok(entries) = std::fs::read_dir(&root) else {
        println!("skipped: no samples in {}", root.display());
        return Vec::new();
    };
    let read = |path: PathBuf| {
        let bytes = std::fs::read(&path).unwrap();
        let mut text = String::new();
        if path.extension().is_some_and(|e| e == "gz") {
            flate2::read::GzDecoder::new(&*bytes).read_to_string(&mut text).unwrap();
        } else {
            text = String::from_utf8(bytes).unwrap();
        }
        (path, text)
    };
    entries.map(|entry| read(entry.unwrap().path())).collect()
}

/// Compares the events before and after, including JSON inside strings. Returns the number of
/// secrets.
fn compare(before: &Value, after: &Value, secret: bool, place: &str) -> usize {
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            assert!(old.keys().eq(new.keys()), "{place}: other keys");
            let below = |key: &str| secret || KEYS.contains(&key);
            old.iter().map(|(key, value)| compare(value, &new[key], below(key), &format!("{place}.{key}"))).sum()
        }
        (Value::Array(old), Value::Array(new)) => {
            assert_eq!(old.len(), new.len(), "{place}");
            old.iter().zip(new).map(|(old, new)| compare(old, new, secret, place)).sum()
        }
        (Value::String(old), Value::String(new)) if secret => {
            assert_eq!(new, if old.is_empty() { "" } else { MASK }, "{place}");
            usize::from(!old.is_empty())
        }
        (Value::Number(_) | Value::Bool(_), Value::String(new)) if secret => {
            assert_eq!(new, MASK, "{place}");
            1
        }
        (Value::String(old), Value::String(new)) => {
            match (serde_json::from_str::<Value>(old), serde_json::from_str::<Value>(new)) {
                (Ok(old @ (Value::Object(_) | Value::Array(_) | Value::String(_))), Ok(new)) => {
                    compare(&old, &new, false, &format!("{place}<string>"))
                }
                _ => {
                    assert_eq!(old, new, "{place}");
                    0
                }
            }
        }
        _ => {
            assert_eq!(before, after, "{place}");
            0
        }
    }
}

/// The text between masks must occur in the original text, in the same order.
fn only_masks_are_new(before: &str, after: &str) {
    let mut rest = before;
    for piece in after.split(MASK) {
        let at = rest.find(piece).unwrap_or_else(|| panic!("text that was not there: {piece:.200}"));
        rest = &rest[at + piece.len()..];
    }
}

fn escaped_by_code(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].replace(r#"\""#, r"\u0022").replace('<', r"\u003C")
}

fn check(folder: &str, secrets_of_a_document: usize) {
    let mut total = 0;
    for (path, text) in samples(folder) {
        let place = path.file_name().unwrap().to_string_lossy().into_owned();
        let lines: Vec<&str> = text.lines().collect();
        let rows = if serde_json::from_str::<Value>(&text).is_ok() { vec![text.as_str()] } else { lines };
        let mut bodies: Vec<String> = Vec::new();
        for row in rows {
            let value: Value = serde_json::from_str(row).unwrap();
            bodies.extend([row.to_owned(), value.to_string(), serde_json::to_string_pretty(&value).unwrap()]);
        }
        // In nested strings, in several spellings.
        for body in bodies.clone() {
            let once = json!({ "message": body }).to_string();
            let twice = serde_json::to_string_pretty(&json!([{ "m": once }])).unwrap();
            let by_code = format!(r#"{{"message":"{}"}}"#, escaped_by_code(&body));
            let by_code_twice = format!(r#"{{"message":"{}"}}"#, escaped_by_code(&by_code));
            bodies.extend([json!(twice).to_string(), once, twice, json!(by_code).to_string(), by_code, by_code_twice]);
        }
        let texts: Vec<&str> = bodies.iter().map(String::as_str).collect();
        let ran = run_bodies::<Mask>(&json!({"rules": [{"json_key": KEYS}]}), &texts).unwrap();
        assert_eq!(ran.failed, Vec::<Value>::new());
        let masked = ran.bodies("out");
        assert_eq!(masked.len(), bodies.len());
        for (before, after) in bodies.iter().zip(&masked) {
            only_masks_are_new(before, after);
            let [before, after] = [before, after].map(|text| serde_json::from_str::<Value>(text).unwrap());
            total += compare(&before, &after, false, &place);
        }
        println!("{place}: {} texts", bodies.len());
        assert!(total >= secrets_of_a_document, "{place}: {total} secrets");
    }
}

#[test]
fn compact_log_file() {
    check("compact-gz", 20);
}

#[test]
fn pretty_attack_simulations() {
    check("stratus-pretty", 0);
}

#[test]
fn pretty_records_in_strings() {
    check("pretty-sample", 40);
}

#[test]
fn cloudwatch_envelope() {
    check("cloudwatch-envelope", 2);
}

#[test]
fn lookup_events() {
    check("lookup-events", 2);
}
