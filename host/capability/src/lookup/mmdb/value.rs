//! Values of records as cells: strings as their text, other values as JSON.

use std::fmt;
use std::io::Write as _;

use serde::Deserialize as _;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::values::kind;

/// Maximum depth of a value; the records of known databases have 4.
const MAX_DEPTH: u8 = 32;

/// A value of a record.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell<'a> {
    /// No value, or a number that JSON cannot have.
    Missing,
    /// A string.
    Text(&'a str),
    /// Another value as JSON, or bytes in hexadecimal, with its kind.
    Json(Vec<u8>, u8),
    /// The value is nested too deep.
    TooDeep,
}

impl Cell<'_> {
    pub(super) fn text(&self) -> Option<&[u8]> {
        match self {
            Self::Missing | Self::TooDeep => None,
            Self::Text(text) => Some(text.as_bytes()),
            Self::Json(json, _) => Some(json),
        }
    }

    pub(super) const fn kind(&self) -> u8 {
        match self {
            Self::Missing | Self::TooDeep => kind::MISSING,
            Self::Text(_) => kind::STRING,
            Self::Json(_, kind) => *kind,
        }
    }
}

impl<'de> serde::Deserialize<'de> for Cell<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (mut json, mut is_too_deep) = (Vec::new(), false);
        let top = Json { out: &mut json, depth: 0, is_too_deep: &mut is_too_deep };
        let written = deserializer.deserialize_any(top)?;
        Ok(match written {
            _ if is_too_deep => Self::TooDeep,
            Written::Text(text) => Self::Text(text),
            Written::Json(kind::MISSING) => Self::Missing,
            Written::Json(kind) => Self::Json(json, kind),
        })
    }
}

/// What was read.
enum Written<'de> {
    /// A string, which was not written, because it is the whole value.
    Text(&'de str),
    /// A value of this kind, which was written as JSON.
    Json(u8),
}

/// Writes a value as JSON.
struct Json<'a> {
    out: &'a mut Vec<u8>,
    depth: u8,
    /// Set if a value is left out. An error would look like that of a path that does not fit.
    is_too_deep: &'a mut bool,
}

impl Json<'_> {
    fn number<'de, E>(self, number: impl fmt::Display) -> Result<Written<'de>, E> {
        // Writing to a vector does not fail.
        let _ = write!(self.out, "{number}");
        Ok(Written::Json(kind::NUMBER))
    }

    /// Numbers without a value in JSON are null inside of a value, and missing as a whole.
    fn float<'de, E>(self, finite: Option<impl serde::Serialize>) -> Result<Written<'de>, E> {
        match finite {
            Some(number) => {
                let _ = serde_json::to_writer(self.out, &number);
                Ok(Written::Json(kind::NUMBER))
            }
            None => {
                self.out.extend_from_slice(b"null");
                Ok(Written::Json(kind::MISSING))
            }
        }
    }

    fn string(&mut self, text: &str) {
        let _ = serde_json::to_writer(&mut *self.out, text);
    }

    fn below(&mut self) -> Json<'_> {
        Json { out: self.out, depth: self.depth + 1, is_too_deep: self.is_too_deep }
    }
}

impl<'de> DeserializeSeed<'de> for Json<'_> {
    type Value = Written<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Written<'de>, D::Error> {
        if self.depth > MAX_DEPTH {
            *self.is_too_deep = true;
            IgnoredAny::deserialize(deserializer)?;
            return Ok(Written::Json(kind::MISSING));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Json<'_> {
    type Value = Written<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a value of a MaxMind DB")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Written<'de>, E> {
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
        Ok(Written::Json(kind::BOOLEAN))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Written<'de>, E> {
        self.number(value)
    }

    fn visit_u64<E>(self, value: u64) -> Result<Written<'de>, E> {
        self.number(value)
    }

    fn visit_u128<E>(self, value: u128) -> Result<Written<'de>, E> {
        self.number(value)
    }

    // Not as a double: 0.1 would become 0.10000000149011612.
    fn visit_f32<E>(self, value: f32) -> Result<Written<'de>, E> {
        self.float(value.is_finite().then_some(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Written<'de>, E> {
        self.float(value.is_finite().then_some(value))
    }

    fn visit_str<E>(mut self, text: &str) -> Result<Written<'de>, E> {
        match self.depth {
            0 => self.out.extend_from_slice(text.as_bytes()),
            _ => self.string(text),
        }
        Ok(Written::Json(kind::STRING))
    }

    fn visit_borrowed_str<E>(mut self, text: &'de str) -> Result<Written<'de>, E> {
        if self.depth == 0 {
            return Ok(Written::Text(text));
        }
        self.string(text);
        Ok(Written::Json(kind::STRING))
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Written<'de>, E> {
        self.visit_str(&wattle_plan::to_hex(bytes))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<Written<'de>, A::Error> {
        self.out.push(b'[');
        let mut is_first = true;
        loop {
            if !is_first {
                self.out.push(b',');
            }
            if elements.next_element_seed(self.below())?.is_none() {
                break;
            }
            is_first = false;
        }
        if !is_first {
            // The comma before the element that did not come.
            self.out.pop();
        }
        self.out.push(b']');
        Ok(Written::Json(kind::ARRAY))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<Written<'de>, A::Error> {
        self.out.push(b'{');
        let mut is_first = true;
        while let Some(name) = members.next_key::<&str>()? {
            if !is_first {
                self.out.push(b',');
            }
            is_first = false;
            self.string(name);
            self.out.push(b':');
            members.next_value_seed(self.below())?;
        }
        self.out.push(b'}');
        Ok(Written::Json(kind::OBJECT))
    }
}
