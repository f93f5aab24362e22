//! What can be wrong with a text, and where.

use std::fmt;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The text ends inside a value.
    EndOfText,
    /// Something else stands where a value must.
    ExpectedValue,
    /// Something else stands where a member's key must.
    ExpectedKey,
    /// Something else stands where an object's first key or its end must.
    ExpectedKeyOrClose,
    /// Something else stands between a key and its value.
    ExpectedColon,
    /// Something else follows a member of an object.
    ExpectedCommaOrBrace,
    /// Something else follows an element of an array.
    ExpectedCommaOrBracket,
    /// The value to be split is not an array.
    ExpectedArray,
    /// The value to be walked is not an object.
    ExpectedObject,
    /// A bracket closes one of the other kind.
    Unbalanced,
    /// A word other than `true`, `false`, `null`.
    BadLiteral,
    /// A number against the grammar.
    BadNumber,
    /// A backslash that begins no escape.
    BadEscape,
    /// An escaped surrogate without its other half.
    LoneSurrogate,
    /// An unescaped control character in a string.
    ControlCharacter,
    /// Bytes in a string that are not UTF-8.
    NotUtf8,
    /// More containers inside each other than allowed.
    TooDeep,
    /// Something after the end of the value.
    AfterEnd,
    /// A path that names many values, where one is looked for.
    ManyPlaces,
}

impl ErrorKind {
    /// Returns a short name in lower case with hyphens, for metrics and failure codes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EndOfText => "end-of-text",
            Self::ExpectedValue => "expected-value",
            Self::ExpectedKey | Self::ExpectedKeyOrClose => "expected-key",
            Self::ExpectedColon => "expected-colon",
            Self::ExpectedCommaOrBrace | Self::ExpectedCommaOrBracket => "expected-comma",
            Self::ExpectedArray => "expected-array",
            Self::ExpectedObject => "expected-object",
            Self::Unbalanced => "unbalanced",
            Self::BadLiteral => "bad-literal",
            Self::BadNumber => "bad-number",
            Self::BadEscape => "bad-escape",
            Self::LoneSurrogate => "lone-surrogate",
            Self::ControlCharacter => "control-character",
            Self::NotUtf8 => "not-utf-8",
            Self::TooDeep => "too-deep",
            Self::AfterEnd => "after-end",
            Self::ManyPlaces => "many-places",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::EndOfText => "unexpected end of text",
            Self::ExpectedValue => "expected a value",
            Self::ExpectedKey => "expected a key in quotes",
            Self::ExpectedKeyOrClose => "expected a key in quotes or `}`",
            Self::ExpectedColon => "expected `:`",
            Self::ExpectedCommaOrBrace => "expected `,` or `}`",
            Self::ExpectedCommaOrBracket => "expected `,` or `]`",
            Self::ExpectedArray => "expected an array",
            Self::ExpectedObject => "expected an object",
            Self::Unbalanced => "bracket of another kind than the one that it closes",
            Self::BadLiteral => "expected `true`, `false` or `null`",
            Self::BadNumber => "number against the grammar of json",
            Self::BadEscape => "backslash that begins no escape of json",
            Self::LoneSurrogate => "surrogate without its other half",
            Self::ControlCharacter => "control character in a string, to be escaped",
            Self::NotUtf8 => "bytes that are not utf-8",
            Self::TooDeep => "more containers inside each other than allowed",
            Self::AfterEnd => "more text after the end of the value",
            Self::ManyPlaces => "path with `[*]` where one value is looked for",
        })
    }
}

/// What is wrong with a text, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Error {
    /// What is wrong.
    pub kind: ErrorKind,
    /// Offset of the byte at fault, from the start of the text.
    pub offset: usize,
}

impl Error {
    /// Builds an error; kept out of line, since the hot loops only branch to it.
    #[cold]
    pub(crate) const fn new(kind: ErrorKind, offset: usize) -> Self {
        Self { kind, offset }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} at byte {}", self.kind, self.offset)
    }
}

impl std::error::Error for Error {}
