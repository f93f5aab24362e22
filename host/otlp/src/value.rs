//! Values of attributes and bodies, as JSON.
//!
//! | OTLP | JSON |
//! | --- | --- |
//! | string, boolean, array, no value | the same |
//! | integer | a number without a point and an exponent |
//! | double | a number with one of them; `{"doubleValue":"NaN"}` if it is not finite |
//! | list of keys and values | an object |
//! | bytes, and strings that are not UTF-8 | `{"bytesValue":"<base64>"}` |
//!
//! An object whose only key is `doubleValue`, `bytesValue` or `kvlistValue` is written as `{"kvlistValue":{…}}`, so that it
//! reads back as what it was.

use std::io::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use wattle_json::Kind;

use crate::common::any_value::Value;
use crate::common::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use crate::object::{Object, Read, list, text};

const DOUBLE: &[u8] = b"doubleValue";
const BYTES: &[u8] = b"bytesValue";
const LIST: &[u8] = b"kvlistValue";

/// Levels of arrays and objects that are written as such; receivers refuse deeper ones. What is below becomes a string of
/// its JSON.
const MAX_LEVELS: usize = 30;

/// Writes a value.
pub(crate) fn write(value: Option<&AnyValue>, out: &mut Vec<u8>) {
    match value.and_then(|value| value.value.as_ref()) {
        // Indexes of strings are used in profiles only.
        None | Some(Value::StringValueStrindex(_)) => out.extend_from_slice(b"null"),
        Some(Value::StringValue(value)) if std::str::from_utf8(value).is_ok() => text(value, out),
        Some(Value::StringValue(value) | Value::BytesValue(value)) => {
            let mut object = Object::begin(out);
            text(BASE64_STANDARD.encode(value).as_bytes(), object.key(BYTES));
            object.end();
        }
        Some(Value::BoolValue(value)) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Some(Value::IntValue(value)) => {
            // Writing to memory does not fail.
            let _ = write!(out, "{value}");
        }
        Some(Value::DoubleValue(value)) if value.is_finite() => double(*value, out),
        Some(Value::DoubleValue(value)) => {
            let mut object = Object::begin(out);
            double(*value, object.key(DOUBLE));
            object.end();
        }
        Some(Value::ArrayValue(ArrayValue { values })) => {
            list(values, out, |value, out| write(Some(value), out));
        }
        Some(Value::KvlistValue(KeyValueList { values })) => {
            let is_wrapper = matches!(&values[..], [member] if [DOUBLE, BYTES, LIST].contains(&&member.key[..]));
            if is_wrapper {
                let mut object = Object::begin(out);
                members(values, &mut Object::begin(object.key(LIST)));
                object.out.push(b'}');
                object.end();
            } else {
                let mut object = Object::begin(out);
                members(values, &mut object);
                object.end();
            }
        }
    }
}

/// Writes keys and values as members.
pub(crate) fn members(values: &[KeyValue], object: &mut Object<'_>) {
    for KeyValue { key, value, .. } in values {
        write(value.as_ref(), object.key(key));
    }
}

/// Writes a double so that it is not an integer; one that is not finite as the JSON of OTLP has it.
pub(crate) fn double(value: f64, out: &mut Vec<u8>) {
    let name = match value {
        f64::INFINITY => "\"Infinity\"",
        f64::NEG_INFINITY => "\"-Infinity\"",
        value if value.is_nan() => "\"NaN\"",
        value => return out.extend_from_slice(format!("{value:?}").as_bytes()),
    };
    out.extend_from_slice(name.as_bytes());
}

/// Reads a double, or the name of one that is not finite.
pub(crate) fn read_double(value: Read<'_>) -> Option<f64> {
    match (value.value.kind, &value.bytes()[..]) {
        (Kind::String, b"NaN") => Some(f64::NAN),
        (Kind::String, b"Infinity") => Some(f64::INFINITY),
        (Kind::String, b"-Infinity") => Some(f64::NEG_INFINITY),
        (Kind::Number, _) => value.parse(),
        _ => None,
    }
}

/// Reads a value that [`write`] wrote, or any other JSON. A number that neither an integer nor a double can hold becomes a
/// string.
pub(crate) fn read(value: Read<'_>) -> AnyValue {
    read_at(value, MAX_LEVELS)
}

fn read_at(value: Read<'_>, levels: usize) -> AnyValue {
    let json = |value: Read<'_>| Value::StringValue(Bytes::copy_from_slice(value.json()));
    let made = match value.value.kind {
        Kind::Missing | Kind::Null => return AnyValue { value: None },
        Kind::Bool => Value::BoolValue(value.is_true()),
        Kind::String => Value::StringValue(value.to_field()),
        Kind::Number => number(value).unwrap_or_else(|| json(value)),
        Kind::Array | Kind::Object if levels == 0 => json(value),
        Kind::Array => {
            let values = value.elements().into_iter().map(|element| read_at(element, levels - 1)).collect();
            Value::ArrayValue(ArrayValue { values })
        }
        Kind::Object => match wrapped(value, levels) {
            Some(wrapped) => wrapped,
            None => Value::KvlistValue(KeyValueList { values: read_members_at(value, levels - 1) }),
        },
    };
    AnyValue { value: Some(made) }
}

/// Reads the members of an object as keys and values.
pub(crate) fn read_members(object: Read<'_>) -> Vec<KeyValue> {
    read_members_at(object, MAX_LEVELS)
}

fn read_members_at(object: Read<'_>, levels: usize) -> Vec<KeyValue> {
    let mut values = Vec::new();
    object.members(|key, value| values.push(member(key, value, levels)));
    values
}

/// A key with its value.
pub(crate) fn read_member(key: &[u8], value: Read<'_>) -> KeyValue {
    member(key, value, MAX_LEVELS)
}

fn member(key: &[u8], value: Read<'_>, levels: usize) -> KeyValue {
    KeyValue { key: Bytes::copy_from_slice(key), value: Some(read_at(value, levels)), key_strindex: 0 }
}

fn number(value: Read<'_>) -> Option<Value> {
    let is_integer = !value.json().iter().any(|byte| matches!(byte, b'.' | b'e' | b'E'));
    // Integers have no negative zero.
    if is_integer && value.json() != b"-0" {
        return value.parse().map(Value::IntValue);
    }
    value.parse().filter(|double: &f64| double.is_finite()).map(Value::DoubleValue)
}

/// The value that an object with a single key stands for.
fn wrapped(object: Read<'_>, levels: usize) -> Option<Value> {
    let (mut count, mut found) = (0, None);
    object.members(|key, value| {
        count += 1;
        found = match (key, value.value.kind) {
            (BYTES, Kind::String) => {
                BASE64_STANDARD.decode(value.bytes()).ok().map(|bytes| Value::BytesValue(bytes.into()))
            }
            (DOUBLE, Kind::String) => read_double(value).map(Value::DoubleValue),
            (LIST, Kind::Object) => {
                Some(Value::KvlistValue(KeyValueList { values: read_members_at(value, levels - 1) }))
            }
            _ => None,
        };
    });
    found.filter(|_| count == 1)
}
