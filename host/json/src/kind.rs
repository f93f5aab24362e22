//! The kind of a JSON value and its place in the text.

/// The kind of a JSON value; the numbers are part of the guest contract.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// There is no value.
    #[default]
    Missing = 0,
    /// `null`.
    Null = 1,
    /// `true` or `false`.
    Bool = 2,
    /// A number.
    Number = 3,
    /// A string.
    String = 4,
    /// An array.
    Array = 5,
    /// An object.
    Object = 6,
}

impl Kind {
    /// Returns the kind with this number, or `None` if there is no such kind.
    #[must_use]
    pub const fn from_u8(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Missing,
            1 => Self::Null,
            2 => Self::Bool,
            3 => Self::Number,
            4 => Self::String,
            5 => Self::Array,
            6 => Self::Object,
            _ => return None,
        })
    }

    /// Returns the kind of a value that begins with this byte; [`Kind::Missing`] if no value can.
    #[must_use]
    pub const fn of_first_byte(byte: u8) -> Self {
        match byte {
            b'n' => Self::Null,
            b't' | b'f' => Self::Bool,
            b'-' | b'0'..=b'9' => Self::Number,
            b'"' => Self::String,
            b'[' => Self::Array,
            b'{' => Self::Object,
            _ => Self::Missing,
        }
    }

    /// Returns the kind's name in lower case, for messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Null => "null",
            Self::Bool => "bool",
            Self::Number => "number",
            Self::String => "string",
            Self::Array => "array",
            Self::Object => "object",
        }
    }
}

/// The place of a value in a text, without white space around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Value {
    /// Offset of the first byte.
    pub start: usize,
    /// Offset after the last byte.
    pub end: usize,
    /// The kind, determined by the first byte.
    pub kind: Kind,
}

impl Value {
    /// Returns the bytes of the value in `text`, including quotes and brackets; `None` if the span
    /// lies outside.
    #[must_use]
    pub fn text<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        text.get(self.start..self.end).unwrap_or_default()
    }

    /// Returns the content of a string without its quotes, still escaped; `None` if the value is
    /// not a string.
    #[must_use]
    pub fn string<'a>(&self, text: &'a [u8]) -> Option<&'a [u8]> {
        match self.text(text) {
            [b'"', inner @ .., b'"'] => Some(inner),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_kinds_round_trip() {
        for number in 0..=6 {
            assert_eq!(Kind::from_u8(number).map(|kind| kind as u8), Some(number));
        }
        assert_eq!(Kind::from_u8(7), None);
        assert_eq!(Kind::from_u8(255), None);
    }

    #[test]
    fn spans_outside_the_text_are_empty() {
        let value = |start, end| Value { start, end, kind: Kind::String };
        assert_eq!(value(0, 3).text(b"\"a\""), b"\"a\"");
        assert_eq!(value(0, 3).string(b"\"a\""), Some(&b"a"[..]));
        assert_eq!(value(0, 9).text(b"\"a\""), b"");
        assert_eq!(value(3, 1).text(b"\"a\""), b"");
        assert_eq!(value(0, 1).string(b"\"a\""), None);
    }
}
