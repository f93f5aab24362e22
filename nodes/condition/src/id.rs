//! The ids of traces and spans, which events have as lower-case hexadecimal digits.

use serde_json::Value;
use wattle_convert::otel;

use crate::options::{Condition, OneOrMany};

/// A field that holds an id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Id {
    name: &'static str,
    example: &'static str,
}

impl Id {
    /// The id in the field at this path.
    pub(crate) fn of(path: &str) -> Option<Self> {
        match path {
            "trace_id" => Some(Self { name: "trace_id", example: "0af7651916cd43dd8448eb211c80319c" }),
            "span_id" => Some(Self { name: "span_id", example: "b7ad6b7169203331" }),
            _ => None,
        }
    }

    const fn digits(self) -> usize {
        self.example.len()
    }

    /// The constants of a condition that the field can never match: each with its option and what to write instead.
    pub(crate) fn problems(self, condition: &Condition) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        if let Some(value) = &condition.equals {
            problems.extend(self.value(value).map(|message| ("equals".to_owned(), message)));
        }
        for (number, value) in condition.one_of.iter().flatten().enumerate() {
            problems.extend(self.value(value).map(|message| (format!("in[{number}]"), message)));
        }
        if let Some(text) = &condition.equals_text {
            problems.extend(self.whole(text).map(|message| ("equals_text".to_owned(), message)));
        }
        let parts = [
            ("starts_with", &condition.starts_with),
            ("ends_with", &condition.ends_with),
            ("contains", &condition.contains),
        ];
        for (option, text) in parts.iter().flat_map(|(option, list)| named(option, list)) {
            problems.extend(self.part(text).map(|message| (option, message)));
        }
        problems
    }

    /// What is wrong with a value. Null is the value of an event without an id.
    fn value(self, value: &Value) -> Option<String> {
        match value {
            Value::Null => None,
            Value::String(text) => self.whole(text),
            other => Some(self.message(&other.to_string(), None)),
        }
    }

    fn whole(self, text: &str) -> Option<String> {
        let fits = |text: &str| otel::is_id(text.as_bytes(), self.digits()) && is_lower_hex(text);
        // As other programs write ids: in upper case, or with the hyphens of a UUID.
        let meant = || Some(text.replace('-', "").to_ascii_lowercase()).filter(|meant| fits(meant));
        (!fits(text)).then(|| self.message(&format!("`{text}`"), meant()))
    }

    /// What is wrong with a part of an id.
    fn part(self, text: &str) -> Option<String> {
        let fits = |text: &str| text.len() <= self.digits() && is_lower_hex(text);
        let meant = || Some(text.to_ascii_lowercase()).filter(|meant| fits(meant));
        (!fits(text)).then(|| self.message(&format!("`{text}`"), meant()))
    }

    fn message(self, written: &str, meant: Option<String>) -> String {
        let Self { name, example } = self;
        let digits = self.digits();
        let hint = match meant {
            Some(meant) => format!("write `{meant}`"),
            None => format!("write it as in `{example}`"),
        };
        format!(
            "`{name}` has {digits} lower-case hexadecimal digits that are not all 0, so {written} never matches; {hint}"
        )
    }
}

fn named<'c>(option: &str, list: &'c Option<OneOrMany<String>>) -> Vec<(String, &'c String)> {
    list.as_ref().map(|list| list.named(option)).unwrap_or_default()
}

fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}
