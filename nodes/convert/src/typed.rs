//! Turns the text of a value into JSON.

use serde::Deserialize;
use wattle_json as json;

use crate::size::Prefixes;
use crate::{decimal, duration, size};

/// What a text stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum Type {
    /// Decimal digits with a sign or without, of any length.
    Integer,
    /// A number as JSON has it, also with a plus sign or zeros before it.
    Number,
    /// `true`, `yes`, `1`, `false`, `no` or `0`, in any case.
    Boolean,
    /// A duration such as `1.5s`, `250ms`, `1h30m` or `PT1H30M`; becomes a number of seconds.
    Duration,
    /// A size such as `512`, `10k` (10,000) or `1.5 MiB`; becomes a number of bytes.
    Bytes,
}

/// Why a text does not have its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongType(
    /// The type.
    pub Type,
);

impl Type {
    /// The name of the type in the options.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Duration => "duration",
            Self::Bytes => "bytes",
        }
    }
}

/// Appends a value as JSON: a string if it has no type, null if it has a type and its text is empty.
///
/// # Errors
/// The text does not have this type. Nothing is appended then.
pub fn write_value(text: &[u8], wanted: Option<Type>, out: &mut Vec<u8>) -> Result<(), WrongType> {
    let Some(wanted) = wanted else {
        write_string(text, out);
        return Ok(());
    };
    let text = text.trim_ascii();
    if text.is_empty() {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    write_typed(text, wanted, out).ok_or(WrongType(wanted))
}

fn write_typed(text: &[u8], wanted: Type, out: &mut Vec<u8>) -> Option<()> {
    match wanted {
        Type::Integer | Type::Number => {
            let (sign, digits) = number(text, wanted == Type::Integer)?;
            out.extend_from_slice(sign);
            out.extend_from_slice(digits);
        }
        Type::Boolean => out.extend_from_slice(boolean(text)?),
        Type::Duration => duration::write_seconds(duration::parse(text, None)?, out),
        Type::Bytes => decimal::write_padded(size::parse(text, Prefixes::Decimal)?, 1, out),
    }
    Some(())
}

/// Appends a string with its quotes.
pub fn write_string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    json::escape(text, out);
    out.push(b'"');
}

/// Sign and digits of a number, without a plus sign and leading zeros, which JSON does not allow.
fn number(text: &[u8], integer: bool) -> Option<(&[u8], &[u8])> {
    let (sign, digits) = match text {
        [b'-', rest @ ..] => (&b"-"[..], rest),
        [b'+', rest @ ..] => (&b""[..], rest),
        _ => (&b""[..], text),
    };
    let zeros = digits.iter().take_while(|byte| **byte == b'0').count();
    let significant = digits.get(zeros..)?;
    let is_whole = significant.first().is_some_and(u8::is_ascii_digit);
    // Keep one zero if no other digit precedes the point or the end.
    let kept = if is_whole { significant } else { digits.get(zeros.checked_sub(1)?..)? };
    let fits = match integer {
        true => kept.iter().all(u8::is_ascii_digit),
        false => json::skip(kept, 0).is_ok_and(|value| value.start == 0 && value.end == kept.len()),
    };
    fits.then_some((sign, kept))
}

fn boolean(text: &[u8]) -> Option<&'static [u8]> {
    let is = |words: &[&[u8]]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is(&[b"true", b"yes", b"1"]) {
        Some(b"true")
    } else if is(&[b"false", b"no", b"0"]) {
        Some(b"false")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(text: &[u8], wanted: Option<Type>) -> Option<String> {
        let mut out = Vec::new();
        let done = write_value(text, wanted, &mut out);
        assert_eq!(done.is_err(), out.is_empty(), "nothing is written where the type is wrong");
        done.ok().map(|()| String::from_utf8(out).unwrap())
    }

    #[track_caller]
    fn check(wanted: Type, texts: &[(&str, Option<&str>)]) {
        for (text, expected) in texts {
            assert_eq!(written(text.as_bytes(), Some(wanted)).as_deref(), *expected, "{wanted:?} {text}");
        }
    }

    #[test]
    fn texts_become_json_of_their_type() {
        check(
            Type::Integer,
            &[
                ("0", Some("0")),
                ("-007", Some("-7")),
                ("+12", Some("12")),
                (" 00 ", Some("0")),
                ("123456789012345678901234567890", Some("123456789012345678901234567890")),
                ("", Some("null")),
                ("1.5", None),
                ("1e3", None),
                ("-", None),
                ("x", None),
                ("0x10", None),
            ],
        );
        check(
            Type::Number,
            &[
                ("1.50", Some("1.50")),
                ("+0.5", Some("0.5")),
                ("-007.25e+3", Some("-7.25e+3")),
                ("00", Some("0")),
                (".5", None),
                ("5.", None),
                ("-", None),
                ("1,5", None),
                ("--1", None),
                ("+-1", None),
                ("NaN", None),
                ("\"1\"", None),
            ],
        );
        check(
            Type::Boolean,
            &[("TRUE", Some("true")), ("yes", Some("true")), ("0", Some("false")), (" No", Some("false")), ("2", None)],
        );
        check(
            Type::Duration,
            &[
                ("250ms", Some("0.25")),
                ("-1h", Some("-3600")),
                ("PT1.5S", Some("1.5")),
                ("5", None),
                ("", Some("null")),
            ],
        );
        check(Type::Bytes, &[("512", Some("512")), ("10k", Some("10000")), ("1.5 MiB", Some("1572864")), ("-1", None)]);
    }

    #[test]
    fn texts_without_a_type_become_strings() {
        assert_eq!(written(b"a\"\n", None).as_deref(), Some(r#""a\"\n""#));
        assert_eq!(written(b"", None).as_deref(), Some("\"\""));
        assert_eq!(written(b"\xff", None).as_deref(), Some("\"\u{fffd}\""));
    }

    proptest! {
        #[test]
        fn every_written_value_is_valid_json(bytes: Vec<u8>, number in "[-+0-9.eEkMiBshm]{0,8}") {
            let types = [Type::Integer, Type::Number, Type::Boolean, Type::Duration, Type::Bytes];
            for wanted in types.into_iter().map(Some).chain([None]) {
                for text in [&bytes[..], number.as_bytes()] {
                    if let Some(json) = written(text, wanted) {
                        prop_assert!(json::check(json.as_bytes(), 0).is_ok(), "{json}");
                    }
                }
            }
        }
    }
}
