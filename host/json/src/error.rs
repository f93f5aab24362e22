//! Errors in a JSON text, with their place.

use std::fmt;

/// The kind of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The text ends inside a value.
    EndOfText,
    /// Not a value where one is required.
    ExpectedValue,
    /// Not a key where a member must begin.
    ExpectedKey,
    /// Neither a key nor the closing brace at the start of an object.
    ExpectedKeyOrClose,
    /// No colon between a key and its value.
    ExpectedColon,
    /// Neither a comma nor a brace after a member of an object.
    ExpectedCommaOrBrace,
    /// Neither a comma nor a bracket after an element of an array.
    ExpectedCommaOrBracket,
    /// The value to be split is not an array.
    ExpectedArray,
    /// The value to be walked is not an object.
    ExpectedObject,
    /// A closing bracket does not match the opening one.
    Unbalanced,
    /// A word other than `true`, `false`, `null`.
    BadLiteral,
    /// A number that breaks the grammar.
    BadNumber,
    /// A backslash without a valid escape.
    BadEscape,
    /// An escaped surrogate without its other half.
    LoneSurrogate,
    /// An unescaped control character in a string.
    ControlCharacter,
    /// Bytes in a string that are not UTF-8.
    NotUtf8,
    /// More nested containers than allowed.
    TooDeep,
    /// Something after the end of the value.
    AfterEnd,
    /// A path that names many values where only one can be found.
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
            Self::Unbalanced => "closing bracket that does not match the opening one",
            Self::BadLiteral => "expected `true`, `false` or `null`",
            Self::BadNumber => "invalid number",
            Self::BadEscape => "invalid escape",
            Self::LoneSurrogate => "surrogate without its other half",
            Self::ControlCharacter => "unescaped control character in a string",
            Self::NotUtf8 => "bytes that are not UTF-8",
            Self::TooDeep => "objects and arrays nested too deep",
            Self::AfterEnd => "more text after the end of the value",
            Self::ManyPlaces => "path with `[*]` where only one value can be found",
        })
    }
}

/// An error in a text, with its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Error {
    /// The kind of the error.
    pub kind: ErrorKind,
    /// Offset of the invalid byte from the start of the text.
    pub offset: usize,
}

impl Error {
    /// Creates an error. Kept out of line, so that the hot loops only branch to it.
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
