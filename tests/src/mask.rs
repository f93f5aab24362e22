//! Secrets of CloudTrail: finds them in any spelling, and models a masked text.

use regex::Regex;
use serde_json::Value;

/// Keys whose values must not be readable.
pub const SECRET_KEYS: &[&str] =
    &["accessKeyId", "AccessKeyId", "assumedRoleId", "AssumedRoleId", "sessionToken", "SessionToken"];

/// The default replacement of a masked value.
const MASK: &str = "*******************";

/// The masked form of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Masked {
    /// The text with values replaced.
    pub text: String,
    /// Number of replaced values.
    pub count: usize,
}

fn is_hidden(value: &str) -> bool {
    value.chars().all(|c| c == '*') || matches!(value, "HIDDEN_DUE_TO_SECURITY_REASONS" | "<sensitiveDataRemoved>")
}

/// All readable secrets of a value: at any depth, and in strings that hold JSON.
pub fn secrets_in(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect(value, &mut found);
    found
}

fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(members) => {
            for (key, value) in members {
                match value.as_str() {
                    Some(text) if SECRET_KEYS.contains(&key.as_str()) => {
                        found.extend((!is_hidden(text)).then(|| text.to_owned()));
                    }
                    _ => collect(value, found),
                }
            }
        }
        Value::String(text) => {
            if let Ok(inner @ (Value::Array(_) | Value::Object(_) | Value::String(_))) = serde_json::from_str(text) {
                collect(&inner, found);
            } else if text.contains(['"', '{']) {
                // Text around JSON, or a part of JSON.
                found.extend(in_text(text));
            }
        }
        _ => {}
    }
}

/// A secret in any text, if its quotes are escaped equally often.
fn pattern() -> Regex {
    let keys = SECRET_KEYS.join("|");
    Regex::new(&format!(r#"(\\*"(?:{keys})\\*"\s*(?:\\[nrt]\s*)*:\s*\\*")([^"\\]*)"#)).unwrap()
}

fn in_text(text: &str) -> Vec<String> {
    let found = pattern().captures_iter(text).map(|c| c[2].to_owned()).collect::<Vec<_>>();
    found.into_iter().filter(|value| !is_hidden(value)).collect()
}

/// Fails if a secret is readable in the output of a sink, both in its JSON values and in its text.
#[track_caller]
pub fn assert_hidden(written: &str) {
    let readable = in_text(written);
    assert!(readable.is_empty(), "readable: {readable:?}");
    for line in written.lines() {
        let readable = serde_json::from_str::<Value>(line).map(|v| secrets_in(&v)).unwrap_or_default();
        assert!(readable.is_empty(), "readable: {readable:?}");
    }
}

/// The expected text, by a model that shares nothing with the node: a regular expression.
pub fn mask_model(text: &str) -> Masked {
    let mut count = 0;
    let masked = pattern().replace_all(text, |c: &regex::Captures<'_>| {
        if is_hidden(&c[2]) {
            return c[0].to_owned();
        }
        count += 1;
        format!("{}{MASK}", &c[1])
    });
    Masked { text: masked.into_owned(), count }
}
