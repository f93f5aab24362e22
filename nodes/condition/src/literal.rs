//! Values to compare fields with, by their meaning in JSON and not by their spelling.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde_json::Value;
use wattle_convert::number;
use wattle_node::json::{self, Kind};

/// A number to compare with, as JSON. It is compared digit by digit, because a 64-bit floating-point number would take
/// 9007199254740993 for 9007199254740992.
#[derive(Clone, Debug)]
pub(crate) struct Number(Box<str>);

impl Number {
    /// The number in an option.
    pub(crate) fn of(number: &serde_json::Number) -> Self {
        Self(number.to_string().into())
    }

    /// How the number in a text compares to this one; none if the text is not a number of JSON.
    pub(crate) fn order_of(&self, text: &[u8]) -> Option<Ordering> {
        compare(text, self.0.as_bytes())
    }
}

/// Compares numbers of JSON.
fn compare(a: &[u8], b: &[u8]) -> Option<Ordering> {
    // Decimal numbers may begin with `+` and `.`, those of JSON do not.
    let is_json = |text: &[u8]| text.strip_prefix(b"-").unwrap_or(text).first().is_some_and(u8::is_ascii_digit);
    if is_json(a) && is_json(b) { number::compare(a, b) } else { None }
}

/// A JSON value to compare with.
#[derive(Debug)]
pub(crate) enum Literal {
    Null,
    Bool(bool),
    Number(Number),
    String(Box<[u8]>),
    /// An array or an object, as JSON.
    Deep(Kind, Box<str>),
}

impl Literal {
    pub(crate) fn new(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::Number(Number::of(number)),
            Value::String(text) => Self::String(text.as_bytes().into()),
            deep => {
                let kind = if deep.is_array() { Kind::Array } else { Kind::Object };
                Self::Deep(kind, deep.to_string().into())
            }
        }
    }

    /// Whether a field of this kind and text has this value.
    pub(crate) fn equals(&self, kind: Kind, text: &[u8]) -> bool {
        match self {
            Self::Null => kind == Kind::Null,
            Self::Bool(wanted) => kind == Kind::Bool && text == if *wanted { &b"true"[..] } else { b"false" },
            Self::Number(wanted) => kind == Kind::Number && wanted.order_of(text) == Some(Ordering::Equal),
            Self::String(wanted) => kind == Kind::String && text == &**wanted,
            Self::Deep(wanted, json) => equal((kind, text), (*wanted, json.as_bytes())),
        }
    }
}

/// Whether two values are equal, each a kind and a text in text form.
pub(crate) fn equal((kind, text): (Kind, &[u8]), (other_kind, other): (Kind, &[u8])) -> bool {
    if kind != other_kind || text == other {
        return kind == other_kind;
    }
    match kind {
        Kind::Number => compare(text, other) == Some(Ordering::Equal),
        Kind::Array | Kind::Object => match (json::skip(text, 0), json::skip(other, 0)) {
            (Ok(a), Ok(b)) => same((text, a), (other, b)),
            _ => false,
        },
        _ => false,
    }
}

/// A value in a text.
type In<'t> = (&'t [u8], json::Value);

/// Whether two values are equal: members in any order, numbers by their digits. Recursion is as deep as valid JSON.
fn same((a_text, a): In<'_>, (b_text, b): In<'_>) -> bool {
    let (a_json, b_json) = (a.text(a_text), b.text(b_text));
    if a.kind != b.kind || a_json == b_json {
        return a.kind == b.kind;
    }
    match a.kind {
        Kind::Number => compare(a_json, b_json) == Some(Ordering::Equal),
        Kind::String => unescaped(a_text, a) == unescaped(b_text, b),
        Kind::Array => {
            let (Some(a), Some(b)) = (elements(a_text, a), elements(b_text, b)) else { return false };
            a.len() == b.len() && a.into_iter().zip(b).all(|(a, b)| same((a_text, a), (b_text, b)))
        }
        Kind::Object => {
            let (Some(a), Some(b)) = (members(a_text, a), members(b_text, b)) else { return false };
            let are_same = |((a_key, a), (b_key, b)): ((Vec<u8>, json::Value), (Vec<u8>, json::Value))| {
                a_key == b_key && same((a_text, a), (b_text, b))
            };
            a.len() == b.len() && a.into_iter().zip(b).all(are_same)
        }
        // What is left has one spelling only.
        _ => false,
    }
}

fn unescaped(text: &[u8], string: json::Value) -> Vec<u8> {
    let mut out = Vec::new();
    json::unescape_lossy(string.string(text).unwrap_or_default(), &mut out);
    out
}

fn elements(text: &[u8], array: json::Value) -> Option<Vec<json::Value>> {
    let mut found = Vec::new();
    json::elements(text, array, |element| found.push(element)).ok()?;
    Some(found)
}

/// The members by their keys. Of members with the same key the first one counts, as on the path of a field.
fn members(text: &[u8], object: json::Value) -> Option<BTreeMap<Vec<u8>, json::Value>> {
    let mut found = BTreeMap::new();
    json::members(text, object, |key, value| {
        found.entry(unescaped(text, key)).or_insert(value);
    })
    .ok()?;
    Some(found)
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
            (json!(9_007_199_254_740_993_u64), "9007199254740992.0", false),
            (json!(9_007_199_254_740_993_u64), "9007199254740993.0", true),
            (json!(0.1), "0.10", true),
            (json!(0.1), "0.1000000000000000055511151231257827", false),
            (json!([9_007_199_254_740_993_u64]), "[9007199254740992.0]", false),
            (json!([0.1]), "[0.10]", true),
            (json!({"a": "é\n"}), "{\"a\":\"\\u00e9\\n\"}", true),
            (json!({"a": 1}), "{\"a\":1,\"a\":2}", true),
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
            ("9007199254740993", "9007199254740992.0", false),
            ("340282366920938463463374607431768211457", "340282366920938463463374607431768211456", false),
            ("[1e400]", "[10e399]", true),
            ("[\"a\"]", "[\"\\u0061\"]", true),
            ("[[1,2]]", "[[1,3]]", false),
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
            assert!(compare(text.as_bytes(), b"1").is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn numbers_are_compared_by_value(a: i64, b: i64, c: f64, d: f64) {
            prop_assert_eq!(compare(a.to_string().as_bytes(), b.to_string().as_bytes()), Some(a.cmp(&b)));
            let text = |x: f64| serde_json::to_string(&x).unwrap();
            if c.is_finite() && d.is_finite() {
                prop_assert_eq!(compare(text(c).as_bytes(), text(d).as_bytes()), c.partial_cmp(&d));
            }
        }

        #[test]
        fn any_bytes_are_a_value_or_not(bytes: Vec<u8>) {
            let _ = Literal::new(&json!(1)).equals(Kind::Number, &bytes);
            let _ = Literal::new(&json!({"a": [1]})).equals(Kind::Object, &bytes);
        }
    }
}
