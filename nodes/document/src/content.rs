//! Values apart from their place in a document.

use wattle_json::Kind;

use crate::documents::SCRATCH;

/// A span of one of the texts of an arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Span {
    pub(crate) fn new(start: usize, end: usize) -> Self {
        // Texts of a batch and the scratch text are shorter than 4 GiB, as a guest's memory is.
        Self { start: u32::try_from(start).unwrap_or(u32::MAX), end: u32::try_from(end).unwrap_or(u32::MAX) }
    }

    pub(crate) fn of<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        text.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// A value: a span of a text of the arena. It is valid until the arena is cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    pub(crate) span: Span,
    pub(crate) origin: u8,
    pub(crate) kind: Kind,
    /// The span is the text of a string, without quotes and escapes.
    pub(crate) is_raw: bool,
}

impl Content {
    /// No value.
    pub const MISSING: Self =
        Self { span: Span { start: 0, end: 0 }, origin: SCRATCH, kind: Kind::Missing, is_raw: false };

    /// The kind of the value.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The value as a string whose text is the JSON of the value; a string stays as it is.
    #[must_use]
    pub fn as_text(self) -> Self {
        match self.kind {
            Kind::String | Kind::Missing => self,
            _ => Self { kind: Kind::String, is_raw: true, ..self },
        }
    }
}
