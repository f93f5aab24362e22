//! Values to compare fields with, by their meaning in JSON and not by their spelling.

use std::cmp::Ordering;

use serde_json::Value;
use wattle_node::json::Kind;

/// A number; exact if it is an integer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Number {
    Whole(i128),
    Real(f64),
}

impl Number {
    /// Reads a number of JSON.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        // The parsers of the standard library accept more than JSON does, such as `+1` and `inf`.
        let digits = text.strip_prefix(b"-").unwrap_or(text);
        if !digits.first()?.is_ascii_digit() {
            return None;
        }
        let text = std::str::from_utf8(text).ok()?;
        text.parse().map(Self::Whole).or_else(|_| text.parse().map(Self::Real)).ok()
    }

    /// The number in an option.
    pub(crate) fn of(number: &serde_json::Number) -> Self {
        match number.as_i128() {
            Some(whole) => Self::Whole(whole),
            None => Self::Real(number.as_f64().unwrap_or(f64::NAN)),
        }
    }

    pub(crate) fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => Some(a.cmp(&b)),
            (a, b) => a.real().partial_cmp(&b.real()),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "compared with a number that has no more precision")]
    const fn real(self) -> f64 {
        match self {
            Self::Whole(whole) => whole as f64,
            Self::Real(real) => real,
        }
    }
}

/// A JSON value to compare with.
#[derive(Debug)]
pub(crate) enum Literal {
    Null,
    Bool(bool),
    Number(Number),
    String(Box<[u8]>),
    /// An array or an object.
    Deep(Value),
}

impl Literal {
    pub(crate) fn new(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::Number(Number::of(number)),
            Value::String(text) => Self::String(text.as_bytes().into()),
            deep => Self::Deep(deep.clone()),
        }
    }

    /// Whether a field of this kind and text has this value.
    pub(crate) fn equals(&self, kind: Kind, text: &[u8]) -> bool {
        match self {
            Self::Null => kind == Kind::Null,
            Self::Bool(wanted) => kind == Kind::Bool && text == if *wanted { &b"true"[..] } else { b"false" },
            Self::Number(wanted) => {
                kind == Kind::Number && Number::parse(text).is_some_and(|n| n.compare(*wanted) == Some(Ordering::Equal))
            }
            Self::String(wanted) => kind == Kind::String && text == &**wanted,
            Self::Deep(wanted) => {
                matches!(kind, Kind::Array | Kind::Object)
                    && serde_json::from_slice(text).is_ok_and(|value| same(wanted, &value))
            }
        }
    }
}

/// Whether two values are equal, each a kind and a text in text form.
pub(crate) fn equal((kind, text): (Kind, &[u8]), (other_kind, other): (Kind, &[u8])) -> bool {
    if kind != other_kind || text == other {
        return kind == other_kind;
    }
    match kind {
        Kind::Number => match (Number::parse(text), Number::parse(other)) {
            (Some(a), Some(b)) => a.compare(b) == Some(Ordering::Equal),
            _ => false,
        },
        Kind::Array | Kind::Object => match (serde_json::from_slice(text), serde_json::from_slice(other)) {
            (Ok(a), Ok(b)) => same(&a, &b),
            _ => false,
        },
        _ => false,
    }
}

/// Whether two values are equal: members in any order, numbers by value.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => Number::of(a).compare(Number::of(b)) == Some(Ordering::Equal),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(literal: Value, json: &str, expected: bool) {
        let kind = json.as_bytes().first().map_or(Kind::Missing, |&byte| Kind::of_first_byte(byte));
        // In text form, strings have no quotes.
        let text = json.strip_prefix('"').and_then(|j| j.strip_suffix('"')).unwrap_or(json);
        assert_eq!(Literal::new(&literal).equals(kind, text.as_bytes()), expected, "{literal} {json}");
    }

    #[test]
    fn values_are_compared_by_their_meaning_in_json() {
        for (literal, json, expected) in [
            (json!(null), "null", true),
            (json!(null), "\"null\"", false),
            (json!(null), "", false),
            (json!(true), "true", true),
            (json!(true), "false", false),
            (json!(true), "\"true\"", false),
            (json!("true"), "true", false),
            (json!("a"), "\"a\"", true),
            (json!("5"), "5", false),
            (json!(5), "5", true),
            (json!(5), "5.0", true),
            (json!(5), "50e-1", true),
            (json!(5.5), "5.50", true),
            (json!(0), "-0.0", true),
            (json!(5), "6", false),
            (json!(5), "\"5\"", false),
            (json!(9_007_199_254_740_993_u64), "9007199254740992", false),
            (json!(9_007_199_254_740_993_u64), "9007199254740993", true),
            (json!([1, {"a": 2, "b": null}]), "[1.0, {\"b\": null, \"\\u0061\": 2}]", true),
            (json!([1]), "[1, 2]", false),
            (json!({"a": 1}), "{\"a\": 1, \"b\": 2}", false),
            (json!({}), "[]", false),
            (json!([]), "[", false),
        ] {
            check(literal, json, expected);
        }
    }

    #[test]
    fn two_values_are_compared_by_their_meaning_too() {
        for (a, b, expected) in [
            ("1", "1.0", true),
            ("1", "2", false),
            ("[1, {}]", "[1.0,{}]", true),
            ("[1]", "{}", false),
            ("{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}", true),
            ("true", "true", true),
            ("true", "false", false),
        ] {
            let value = |text: &'static str| (Kind::of_first_byte(text.as_bytes()[0]), text.as_bytes());
            assert_eq!(equal(value(a), value(b)), expected, "{a} {b}");
        }
        assert!(!equal((Kind::String, b"1"), (Kind::Number, b"1")));
        assert!(
            equal((Kind::String, b"a"), (Kind::String, b"a")) && !equal((Kind::String, b"a"), (Kind::String, b"b"))
        );
    }

    #[test]
    fn only_json_numbers_are_numbers() {
        for text in ["", "-", "+1", "inf", "NaN", "-inf", "x", ".5", "1x", " 1", "0x1"] {
            assert!(Number::parse(text.as_bytes()).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn numbers_are_compared_by_value(a: i64, b: i64, c: f64, d: f64) {
            let number = |text: String| Number::parse(text.as_bytes()).unwrap();
            prop_assert_eq!(number(a.to_string()).compare(number(b.to_string())), Some(a.cmp(&b)));
            let real = |x: f64| number(serde_json::to_string(&x).unwrap());
            if c.is_finite() && d.is_finite() {
                prop_assert_eq!(real(c).compare(real(d)), c.partial_cmp(&d));
            }
        }

        #[test]
        fn any_bytes_are_a_number_or_none(bytes: Vec<u8>) {
            let _ = Number::parse(&bytes);
            let _ = Literal::new(&json!({"a": [1]})).equals(Kind::Object, &bytes);
        }
    }
}
