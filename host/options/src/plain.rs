//! Readable messages for errors in options.
//!
//! Sources, sinks and nodes read their options with serde, whose messages name Rust types and list
//! every option. This module is the only place that converts such a message to a diagnostic: the
//! problem, and a hint with a correct form. It keeps messages that it does not recognise.

use crate::suggest;

/// A readable message.
#[derive(Debug, PartialEq, Eq)]
pub struct Plain {
    /// The problem.
    pub message: String,
    /// A correct form.
    pub hint: Option<String>,
    /// Name of an unknown option; the message is about the name, not about a value.
    pub unknown: Option<String>,
}

impl Plain {
    fn new(message: impl Into<String>, hint: Option<String>) -> Self {
        Self { message: message.into(), hint, unknown: None }
    }
}

/// Converts a message of serde; returns any other message unchanged.
pub fn plain(message: &str) -> Plain {
    translate(message).unwrap_or_else(|| Plain::new(message, None))
}

fn translate(message: &str) -> Option<Plain> {
    if let Some(rest) = message.strip_prefix("unknown field `") {
        let (name, rest) = rest.split_once('`')?;
        let hint = if rest.contains("there are no fields") {
            Some("no options are allowed here".to_owned())
        } else {
            suggest::hint(name, names(rest))
        };
        return Some(Plain { unknown: Some(name.to_owned()), ..Plain::new(format!("unknown option `{name}`"), hint) });
    }
    if let Some(rest) = message.strip_prefix("unknown variant `") {
        let (name, rest) = rest.split_once('`')?;
        let known = names(rest);
        let hint = match suggest::closest(name, known.iter().copied()) {
            Some(word) => Some(format!("did you mean `{word}`?")),
            None if known.is_empty() => None,
            None => Some(format!("write one of {}", suggest::list(known))),
        };
        return Some(Plain::new(format!("unknown value `{name}`"), hint));
    }
    if let Some(rest) = message.strip_prefix("missing field `") {
        let (name, _) = rest.split_once('`')?;
        return Some(Plain::new(format!("`{name}` is missing"), Some(format!("add `{name}`"))));
    }
    if let Some(rest) = message.strip_prefix("duplicate field `") {
        let (name, _) = rest.split_once('`')?;
        return Some(Plain::new(format!("`{name}` is given twice"), Some("remove one of them".to_owned())));
    }
    if message.starts_with("data did not match any variant of untagged enum ") {
        let hint = "`wattle schema agent` and docs/CONFIGURATION.md describe every option";
        return Some(Plain::new("the value matches no form that this option accepts", Some(hint.to_owned())));
    }
    for prefix in ["invalid type: ", "invalid value: "] {
        if let Some((found, expected)) = message.strip_prefix(prefix).and_then(|rest| rest.split_once(", expected ")) {
            return Some(Plain::new(
                format!("invalid value {}: expected {}", found_words(found), expected_words(expected)),
                None,
            ));
        }
    }
    let (length, expected) = message.strip_prefix("invalid length ")?.split_once(", expected ")?;
    Some(Plain::new(format!("{length} elements: expected {}", expected_words(expected)), None))
}

/// Lists the words in backticks.
fn names(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// Translates serde's name for a found value to TOML's.
fn found_words(found: &str) -> String {
    match found {
        "sequence" => "a list".into(),
        "map" | "newtype struct" => "a table".into(),
        "null" | "unit value" | "Option value" => "no value".into(),
        _ => {
            let kinds = ["string ", "integer ", "boolean ", "floating point "];
            kinds.iter().find_map(|kind| found.strip_prefix(kind)).unwrap_or(found).to_owned()
        }
    }
}

/// Translates serde's name for an expected value to TOML's.
fn expected_words(expected: &str) -> String {
    let is_type = |names: &[&str]| names.contains(&expected);
    if expected.starts_with("a sequence") {
        "a list".into()
    } else if expected.starts_with("a map")
        || ["struct ", "internally tagged enum ", "adjacently tagged enum "].iter().any(|p| expected.starts_with(p))
    {
        "a table".into()
    } else if is_type(&["u8", "u16", "u32", "u64", "u128", "usize", "nonzero u64", "a nonzero u64"]) {
        "a whole number, 0 or more".into()
    } else if is_type(&["i8", "i16", "i32", "i64", "i128", "isize", "an integer"]) {
        "a whole number".into()
    } else if is_type(&["f32", "f64"]) {
        "a number".into()
    } else if is_type(&["a boolean", "a bool", "bool"]) {
        "`true` or `false`".into()
    } else if is_type(&["a string", "string", "path string", "a borrowed string"]) {
        "a string".into()
    } else if expected == "string or map" || expected.starts_with("enum ") || expected == "variant identifier" {
        "one of the words that this option accepts, as a string".into()
    } else if let Some(size) = expected.strip_prefix("a tuple of size ") {
        format!("a list of {size} elements")
    } else if let Some(rest) = expected.strip_prefix("tuple struct ") {
        rest.split_once(" with ").map_or("a list".into(), |(_, size)| format!("a list of {size}"))
    } else {
        expected.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::{Value, json};

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only the errors of reading it matter")]
    struct Options {
        include: Vec<String>,
        #[serde(default)]
        number: u32,
        signed: Option<i64>,
        #[serde(default)]
        share: f64,
        #[serde(default)]
        switch: bool,
        word: Option<Word>,
        auth: Option<Auth>,
        inner: Option<Inner>,
        either: Option<Either>,
        pair: Option<(u8, u8)>,
        path: Option<std::path::PathBuf>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Word {
        First,
        Second,
    }

    #[derive(Debug, Deserialize)]
    #[serde(tag = "strategy", rename_all = "lowercase")]
    #[allow(dead_code, reason = "only the errors of reading it matter")]
    enum Auth {
        Basic { user: String },
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {}

    #[derive(Debug, Deserialize)]
    #[serde(untagged)]
    #[allow(dead_code, reason = "only the errors of reading it matter")]
    enum Either {
        One(u8),
        Many(Vec<u8>),
    }

    /// Returns the final message for options that serde refuses.
    fn read(options: Value) -> String {
        let error = serde_json::from_value::<Options>(options).unwrap_err().to_string();
        let Plain { message, hint, .. } = plain(&error);
        hint.map_or(message.clone(), |hint| format!("{message}; {hint}"))
    }

    #[test]
    fn explains_an_error_in_the_terms_of_toml() {
        for (options, expected) in [
            (json!({ "inlcude": [] }), "unknown option `inlcude`; did you mean `include`?"),
            (json!({ "include": [], "inner": { "x": 1 } }), "unknown option `x`; no options are allowed here"),
            (json!({}), "`include` is missing; add `include`"),
            (json!({ "include": "x" }), "invalid value \"x\": expected a list"),
            (json!({ "include": [3] }), "invalid value `3`: expected a string"),
            (json!({ "include": { "a": 1 } }), "invalid value a table: expected a list"),
            (json!({ "include": [], "number": -1 }), "invalid value `-1`: expected a whole number, 0 or more"),
            (json!({ "include": [], "number": "x" }), "invalid value \"x\": expected a whole number, 0 or more"),
            (json!({ "include": [], "number": 1.5 }), "invalid value `1.5`: expected a whole number, 0 or more"),
            (json!({ "include": [], "signed": "x" }), "invalid value \"x\": expected a whole number"),
            (json!({ "include": [], "share": true }), "invalid value `true`: expected a number"),
            (json!({ "include": [], "switch": 1 }), "invalid value `1`: expected `true` or `false`"),
            (json!({ "include": [], "word": "frist" }), "unknown value `frist`; did you mean `first`?"),
            (json!({ "include": [], "word": "zzz" }), "unknown value `zzz`; write one of `first`, `second`"),
            (
                json!({ "include": [], "word": 3 }),
                "invalid value `3`: expected one of the words that this option accepts, as a string",
            ),
            (json!({ "include": [], "auth": "x" }), "invalid value \"x\": expected a table"),
            (json!({ "include": [], "auth": {} }), "`strategy` is missing; add `strategy`"),
            (json!({ "include": [], "auth": { "strategy": "basic" } }), "`user` is missing; add `user`"),
            (json!({ "include": [], "inner": 5 }), "invalid value `5`: expected a table"),
            (json!({ "include": [], "pair": [1] }), "1 elements: expected a list of 2 elements"),
            (json!({ "include": [], "path": 5 }), "invalid value `5`: expected a string"),
        ] {
            assert_eq!(read(options.clone()), expected, "{options}");
        }
        let either = read(json!({ "include": [], "either": "x" }));
        assert!(either.starts_with("the value matches no form that this option accepts"), "{either}");
    }

    #[test]
    fn no_message_names_a_rust_type() {
        let values = [json!(null), json!(true), json!(-3), json!(0.5), json!("text"), json!(["x"]), json!({ "k": 1 })];
        for option in
            ["include", "number", "signed", "share", "switch", "word", "auth", "inner", "either", "pair", "path"]
        {
            for value in &values {
                let options = json!({ "include": [], (option): value });
                if serde_json::from_value::<Options>(options.clone()).is_ok() {
                    continue;
                }
                let said = read(options);
                for word in [
                    "struct", "enum", "variant", "Options", "Auth", "Either", "u32", "u8", "f64", "sequence", "map",
                    "tuple",
                ] {
                    assert!(!said.split([' ', '`']).any(|w| w == word), "{option} = {value}: {said}");
                }
            }
        }
    }

    #[test]
    fn keeps_other_messages_unchanged() {
        for message in ["not a valid glob: `a[b`", "`perhaps` is not `true` or `false`", "", "invalid type: odd"] {
            assert_eq!(plain(message), Plain::new(message, None));
        }
    }
}
