//! The severity in the first line of an event.

use std::fmt;

use super::{Json, plain, style};

/// The names of severity numbers, each for four of them.
const NAMES: [&str; 6] = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];

/// Beginnings of names that sources use, in lower case, and the first number of their class.
const WORDS: [(&str, u8); 12] = [
    ("trace", 1),
    ("debug", 5),
    ("info", 9),
    ("notice", 9),
    ("warn", 13),
    ("err", 17),
    ("severe", 17),
    ("crit", 21),
    ("alert", 21),
    ("fatal", 21),
    ("emerg", 21),
    ("panic", 21),
];

/// A severity: the text of the source, and the number.
pub(super) struct Severity {
    text: Option<String>,
    number: Option<u8>,
}

impl Severity {
    pub(super) fn of(value: Json<'_>) -> Self {
        let mut severity = Self { text: None, number: None };
        for (key, value) in value.members() {
            match key {
                b"\"text\"" => severity.text = Some(plain(value)),
                b"\"number\"" => severity.number = std::str::from_utf8(value.text).ok().and_then(|n| n.parse().ok()),
                _ => {}
            }
        }
        severity
    }

    /// The style of a terminal for its class.
    pub(super) fn style(&self) -> &'static str {
        match self.number.or_else(|| self.number_of_text()).unwrap_or(0) {
            17.. => style::RED,
            13..=16 => style::YELLOW,
            9..=12 => style::GREEN,
            5..=8 => style::BLUE,
            1..=4 => style::DIM,
            0 => style::BOLD,
        }
    }

    fn number_of_text(&self) -> Option<u8> {
        let text = self.text.as_ref()?.to_lowercase();
        WORDS.iter().find(|(word, _)| text.starts_with(word)).map(|(_, number)| *number)
    }
}

/// The name of a number, such as `WARN` for 13 and `WARN2` for 14.
fn name(number: u8) -> String {
    let above = usize::from(number.saturating_sub(1));
    match (NAMES.get(above / 4), above % 4) {
        (Some(name), 0) => (*name).to_owned(),
        (Some(name), more) => format!("{name}{}", more + 1),
        (None, _) => number.to_string(),
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.text, self.number) {
            (Some(text), Some(number)) if !text.eq_ignore_ascii_case(&name(number)) => write!(f, "{text} ({number})"),
            (Some(text), _) => f.write_str(text),
            (None, Some(number)) => f.write_str(&name(number)),
            (None, None) => f.write_str("{}"),
        }
    }
}
