//! What is wrong with an option, from the messages of serde.
//!
//! Sources, sinks and nodes read their options with serde, whose errors are text that names Rust types and lists every
//! option. This module is the only place that reads such a text. It does so where an error enters the host: in
//! [`read`](crate::read) for sources and sinks, and where the answer of a guest arrives. Texts that it does not recognise
//! stay as they are.

use crate::suggest;

/// What is wrong with an option. `Display` states the problem; [`hint`](Self::hint) has a correct form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// There is no option of this name.
    #[error("unknown option `{name}`")]
    UnknownOption {
        /// The name as written, without the path of its table.
        name: String,
        /// The options that the table accepts; `None` if they are not known.
        known: Option<Vec<String>>,
    },
    /// The option accepts certain words, and this is not one of them.
    #[error("unknown value `{value}`")]
    UnknownValue {
        /// The value as written.
        value: String,
        /// The words that the option accepts; empty if they are not known.
        known: Vec<String>,
    },
    /// A required option is missing.
    #[error("`{name}` is missing")]
    Missing {
        /// Name of the option, without the path of its table.
        name: String,
    },
    /// An option is set twice.
    #[error("`{name}` is given twice")]
    Repeated {
        /// Name of the option.
        name: String,
    },
    /// The value has another type, or is outside of the range of its type.
    #[error("invalid value {found}: expected {expected}")]
    WrongType {
        /// The value, or the kind of a list or table.
        found: String,
        /// Which values are valid.
        expected: String,
    },
    /// A list has another number of elements.
    #[error("{length} elements: expected {expected}")]
    WrongLength {
        /// Number of elements.
        length: String,
        /// Which lists are valid.
        expected: String,
    },
    /// The option accepts values of several forms, and the value has another one.
    #[error("the value matches no form that this option accepts")]
    NoForm,
    /// A check of the option failed. The text has the problem and which values are valid.
    #[error("{0}")]
    Invalid(String),
}

impl Problem {
    /// A correct form, if the problem does not state it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownOption { known: None, .. } => None,
            Self::UnknownOption { known: Some(known), .. } if known.is_empty() => {
                Some("no options are allowed here".to_owned())
            }
            Self::UnknownOption { name, known: Some(known) } => suggest::hint(name, known.iter().map(String::as_str)),
            Self::UnknownValue { known, .. } if known.is_empty() => None,
            Self::UnknownValue { value, known } => match suggest::closest(value, known.iter().map(String::as_str)) {
                Some(word) => Some(format!("did you mean `{word}`?")),
                None => Some(format!("write one of {}", suggest::list(known.iter().map(String::as_str)))),
            },
            Self::Missing { name } => Some(format!("add `{name}`")),
            Self::Repeated { .. } => Some("remove one of them".to_owned()),
            Self::NoForm => Some("`wattle schema agent` and docs/CONFIGURATION.md describe every option".to_owned()),
            Self::WrongType { .. } | Self::WrongLength { .. } | Self::Invalid(_) => None,
        }
    }

    /// Reads a message of serde. Any other text is the problem itself.
    pub(crate) fn of_serde(message: &str) -> Self {
        parse(message).unwrap_or_else(|| Self::Invalid(message.to_owned()))
    }
}

fn parse(message: &str) -> Option<Problem> {
    let name = |prefix: &str| message.strip_prefix(prefix)?.split_once('`').map(|(name, rest)| (name.to_owned(), rest));
    if let Some((name, rest)) = name("unknown field `") {
        let known = names(rest);
        let is_listed = !known.is_empty() || rest.contains("there are no fields");
        return Some(Problem::UnknownOption { name, known: is_listed.then_some(known) });
    }
    if let Some((value, rest)) = name("unknown variant `") {
        return Some(Problem::UnknownValue { value, known: names(rest) });
    }
    if let Some((name, _)) = name("missing field `") {
        return Some(Problem::Missing { name });
    }
    if let Some((name, _)) = name("duplicate field `") {
        return Some(Problem::Repeated { name });
    }
    if message.starts_with("data did not match any variant of untagged enum ") {
        return Some(Problem::NoForm);
    }
    for prefix in ["invalid type: ", "invalid value: "] {
        if let Some((found, expected)) = message.strip_prefix(prefix).and_then(|rest| rest.split_once(", expected ")) {
            return Some(Problem::WrongType { found: found_words(found), expected: expected_words(expected) });
        }
    }
    let (length, expected) = message.strip_prefix("invalid length ")?.split_once(", expected ")?;
    Some(Problem::WrongLength { length: length.to_owned(), expected: expected_words(expected) })
}

/// Lists the words in backticks.
fn names(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
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
    use crate::OptionError;
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
        OptionError::of_serde("", &error).to_string()
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
    fn an_unknown_option_without_a_list_of_known_ones_gets_no_hint() {
        // As a node in another language writes it.
        let problem = Problem::of_serde("unknown field `x`");
        assert_eq!(problem, Problem::UnknownOption { name: "x".into(), known: None });
        assert_eq!(problem.hint(), None);
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
            assert_eq!(Problem::of_serde(message), Problem::Invalid(message.to_owned()));
        }
    }
}
