//! The JSON of OTLP: that of protobuf, but ids are hexadecimal digits and enumerations are numbers
//! (<https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>).
//!
//! A table of the messages and their fields translates JSON to protobuf and back, so that the rest of the crate knows one
//! encoding only. Unknown members are ignored, as the specification demands.

mod schema;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use data_encoding::HEXLOWER;
use prost::bytes::Buf;
use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint};
use serde_json::Value;

use self::schema::{Field, Form, Message, message_of};
use crate::events::read_hex;
use crate::object::{Object, text};
use crate::value::double;
use crate::{DecodeError, Signal};

/// Translates the JSON of a request to protobuf.
pub(crate) fn to_protobuf(signal: Signal, body: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let value: Value = serde_json::from_slice(body).map_err(|error| DecodeError::Json(error.to_string()))?;
    let mut out = Vec::with_capacity(body.len());
    write_message(message_of(signal), &value, &mut Vec::new(), &mut out)?;
    Ok(out)
}

/// The way to a member, for errors.
type Path<'a> = Vec<Step<'a>>;

enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

fn wrong(path: &Path<'_>, problem: impl Into<String>) -> DecodeError {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Key(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) => text.push_str(&format!(".{key}")),
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    if text.is_empty() {
        text.push('.');
    }
    DecodeError::Member { path: text, problem: problem.into() }
}

fn write_message<'a>(
    message: &'static Message,
    value: &'a Value,
    path: &mut Path<'a>,
    out: &mut Vec<u8>,
) -> Result<(), DecodeError> {
    let Value::Object(members) = value else { return Err(wrong(path, "must be an object")) };
    for (key, value) in members {
        let Some(field) = message.fields.iter().find(|field| field.has_name(key)) else { continue };
        if value.is_null() {
            continue;
        }
        path.push(Step::Key(key));
        match value {
            Value::Array(elements) if field.is_repeated => write_elements(field, elements, path, out)?,
            _ if field.is_repeated => return Err(wrong(path, "must be a list")),
            _ => write_field(field, value, path, out)?,
        }
        path.pop();
    }
    Ok(())
}

fn write_elements<'a>(
    field: &'static Field,
    elements: &'a [Value],
    path: &mut Path<'a>,
    out: &mut Vec<u8>,
) -> Result<(), DecodeError> {
    for (index, element) in elements.iter().enumerate() {
        path.push(Step::Index(index));
        // Numbers that are not packed are valid too.
        write_field(field, element, path, out)?;
        path.pop();
    }
    Ok(())
}

fn write_field<'a>(
    field: &'static Field,
    value: &'a Value,
    path: &mut Path<'a>,
    out: &mut Vec<u8>,
) -> Result<(), DecodeError> {
    let number = field.number;
    let mut bytes = |bytes: &[u8]| {
        encode_key(number, WireType::LengthDelimited, out);
        encode_varint(bytes.len() as u64, out);
        out.extend_from_slice(bytes);
    };
    let string = || value.as_str().ok_or_else(|| wrong(path, "must be a string"));
    match field.form {
        Form::Message(message) => {
            let mut inner = Vec::new();
            write_message(message, value, path, &mut inner)?;
            bytes(&inner);
        }
        Form::Text => bytes(string()?.as_bytes()),
        Form::Hex => {
            let digits = string()?;
            let id = read_hex(digits.as_bytes());
            if id.is_empty() && !digits.is_empty() {
                return Err(wrong(path, "must be hexadecimal digits"));
            }
            bytes(&id);
        }
        Form::Base64 => {
            let decoded =
                BASE64_STANDARD.decode(string()?).map_err(|error| wrong(path, format!("is not base64: {error}")))?;
            bytes(&decoded);
        }
        Form::Bool => {
            let value = value.as_bool().ok_or_else(|| wrong(path, "must be true or false"))?;
            encode_key(number, WireType::Varint, out);
            out.push(value.into());
        }
        Form::Varint => {
            let value: i128 = integer(value).ok_or_else(|| wrong(path, "must be a whole number"))?;
            let bits = i64::try_from(value).map(i64::cast_unsigned).or_else(|_| u64::try_from(value));
            encode_key(number, WireType::Varint, out);
            encode_varint(bits.map_err(|_| wrong(path, "does not fit into 64 bits"))?, out);
        }
        Form::Zigzag => {
            let value: i32 = integer(value).ok_or_else(|| wrong(path, "must be a whole number of 32 bits"))?;
            encode_key(number, WireType::Varint, out);
            encode_varint(u64::from(((value << 1) ^ (value >> 31)).cast_unsigned()), out);
        }
        Form::Fixed32 => {
            let value: u32 = integer(value).ok_or_else(|| wrong(path, "must be a whole number of 32 bits"))?;
            encode_key(number, WireType::ThirtyTwoBit, out);
            out.extend_from_slice(&value.to_le_bytes());
        }
        Form::Fixed64 => {
            let value: u64 = integer(value).ok_or_else(|| wrong(path, "must be a whole number from 0 to 2^64 - 1"))?;
            encode_key(number, WireType::SixtyFourBit, out);
            out.extend_from_slice(&value.to_le_bytes());
        }
        Form::Signed64 => {
            let value: i64 = integer(value).ok_or_else(|| wrong(path, "must be a whole number of 64 bits"))?;
            encode_key(number, WireType::SixtyFourBit, out);
            out.extend_from_slice(&value.to_le_bytes());
        }
        Form::Double => {
            let double = match value {
                Value::Number(number) => number.as_f64(),
                Value::String(text) => match &**text {
                    "NaN" => Some(f64::NAN),
                    "Infinity" => Some(f64::INFINITY),
                    "-Infinity" => Some(f64::NEG_INFINITY),
                    text => text.parse().ok().filter(|double: &f64| double.is_finite()),
                },
                _ => None,
            };
            let double = double.ok_or_else(|| wrong(path, "must be a number"))?;
            encode_key(number, WireType::SixtyFourBit, out);
            out.extend_from_slice(&double.to_le_bytes());
        }
    }
    Ok(())
}

/// A whole number, as a number or as a string; `1.0` and `1e3` are whole numbers too.
fn integer<N: std::str::FromStr + TryFrom<i128>>(value: &Value) -> Option<N> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => return None,
    };
    text.parse().ok().or_else(|| {
        // Doubles hold all whole numbers up to this one.
        let double: f64 = text.parse().ok()?;
        (double.fract() == 0.0 && double.abs() <= 9_007_199_254_740_992.0).then(|| N::try_from(double as i128).ok())?
    })
}

/// Translates the protobuf of a request to JSON. `body` is a valid message.
pub(crate) fn of_protobuf(signal: Signal, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(2 * body.len());
    // The rest of a message that is not valid is left out.
    let _ = read_message(message_of(signal), body, &mut out);
    out
}

fn read_message(message: &'static Message, mut body: &[u8], out: &mut Vec<u8>) -> Result<(), prost::DecodeError> {
    // Fields of a list need not be next to each other.
    let mut members: Vec<(&'static Field, Vec<u8>)> = Vec::new();
    while body.has_remaining() {
        let (number, wire) = decode_key(&mut body)?;
        let payload = take(wire, &mut body)?;
        let Some(field) = message.fields.iter().find(|field| field.number == number) else { continue };
        let place = members.iter().position(|(other, _)| other.number == number);
        let (is_first, json) = match place.and_then(|place| members.get_mut(place)) {
            Some((_, json)) => (false, json),
            None => {
                members.push((field, Vec::new()));
                let Some((_, json)) = members.last_mut() else { continue };
                (true, json)
            }
        };
        if !field.is_repeated {
            // The last one counts.
            json.clear();
            read_field(field, payload, json)?;
            continue;
        }
        let mut element = |payload: Payload<'_>, is_first: bool| {
            if !is_first {
                json.push(b',');
            }
            read_field(field, payload, json)
        };
        match payload {
            Payload::Bytes(mut packed) if field.is_number() => {
                let mut is_first = is_first;
                while packed.has_remaining() {
                    element(take(field.wire(), &mut packed)?, is_first)?;
                    is_first = false;
                }
            }
            payload => element(payload, is_first)?,
        }
    }
    let mut object = Object::begin(out);
    for (field, json) in members {
        let out = object.key(field.name.as_bytes());
        if field.is_repeated {
            out.push(b'[');
        }
        out.extend_from_slice(&json);
        if field.is_repeated {
            out.push(b']');
        }
    }
    object.end();
    Ok(())
}

/// The value of a field as it is on the wire.
#[derive(Clone, Copy)]
enum Payload<'b> {
    Number(u64),
    Bytes(&'b [u8]),
}

fn take<'b>(wire: WireType, body: &mut &'b [u8]) -> Result<Payload<'b>, prost::DecodeError> {
    Ok(match wire {
        WireType::Varint => Payload::Number(decode_varint(body)?),
        WireType::SixtyFourBit => {
            Payload::Number(cut(8, body)?.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)))
        }
        WireType::ThirtyTwoBit => {
            Payload::Number(cut(4, body)?.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes).into()))
        }
        WireType::LengthDelimited => {
            let length = decode_varint(body)?;
            Payload::Bytes(cut(usize::try_from(length).unwrap_or(usize::MAX), body)?)
        }
        WireType::StartGroup | WireType::EndGroup => return Err(short()),
    })
}

fn cut<'b>(length: usize, body: &mut &'b [u8]) -> Result<&'b [u8], prost::DecodeError> {
    let (taken, rest) = body.split_at_checked(length).ok_or_else(short)?;
    *body = rest;
    Ok(taken)
}

/// An error for what the messages of this crate never have.
fn short() -> prost::DecodeError {
    decode_varint(&mut &[][..]).err().unwrap_or_else(short)
}

fn read_field(field: &'static Field, payload: Payload<'_>, out: &mut Vec<u8>) -> Result<(), prost::DecodeError> {
    let mut show = |value: String| out.extend_from_slice(value.as_bytes());
    match (field.form, payload) {
        (Form::Message(message), Payload::Bytes(body)) => return read_message(message, body, out),
        (Form::Text, Payload::Bytes(bytes)) => text(bytes, out),
        (Form::Hex, Payload::Bytes(bytes)) => text(HEXLOWER.encode(bytes).as_bytes(), out),
        (Form::Base64, Payload::Bytes(bytes)) => text(BASE64_STANDARD.encode(bytes).as_bytes(), out),
        (Form::Bool, Payload::Number(number)) => show((number != 0).to_string()),
        (Form::Varint, Payload::Number(number)) if field.is_wide && field.is_repeated => show(format!("\"{number}\"")),
        (Form::Varint, Payload::Number(number)) if field.is_wide => show(format!("\"{}\"", number.cast_signed())),
        (Form::Varint, Payload::Number(number)) => show((number as i64).to_string()),
        (Form::Zigzag, Payload::Number(number)) => {
            let value = (number as u32 >> 1).cast_signed() ^ -((number as u32 & 1).cast_signed());
            show(value.to_string());
        }
        (Form::Fixed32, Payload::Number(number)) => show(number.to_string()),
        (Form::Fixed64, Payload::Number(number)) => show(format!("\"{number}\"")),
        (Form::Signed64, Payload::Number(number)) => show(format!("\"{}\"", number.cast_signed())),
        (Form::Double, Payload::Number(number)) => double(f64::from_bits(number), out),
        // Another type than the message has.
        _ => return Err(short()),
    }
    Ok(())
}
