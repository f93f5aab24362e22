//! The body of a row: a text, and once a step goes below it, a JSON document.

use wattle_document::{Content, Place, around};
use wattle_node::json::Kind;

use super::Rows;

/// The body as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyDocument {
    /// A step has set the text, and it was not checked yet.
    Unchecked,
    /// The text is not JSON.
    NotJson,
    /// The text is JSON of this kind, and no step went below it yet.
    Closed(Kind),
    /// Steps change the document, which holds instead of the text once it is changed.
    Open(Place),
}

impl Rows {
    /// The document of the body, or none if the body is not JSON.
    #[inline]
    pub(super) fn body_document(&mut self, row: usize) -> Option<Place> {
        match self.rows.get(row)?.document {
            BodyDocument::Open(place) => Some(place),
            BodyDocument::NotJson => None,
            _ => self.open_body(row),
        }
    }

    fn open_body(&mut self, row: usize) -> Option<Place> {
        let state = *self.rows.get(row)?;
        let text = self.documents.content(state.body);
        let kind = match state.document {
            BodyDocument::Open(_) | BodyDocument::NotJson => None,
            BodyDocument::Closed(kind) => Some(kind),
            BodyDocument::Unchecked => Self::kind_of(self.documents.text(text, &mut self.memory)),
        };
        let document = kind.map(|kind| self.documents.open_within(text, kind));
        self.rows.get_mut(row)?.document = document.map_or(BodyDocument::NotJson, BodyDocument::Open);
        document
    }

    /// The text of the body with all changes.
    pub(super) fn whole_body(&mut self, row: usize) -> Content {
        let Some(state) = self.rows.get(row).copied() else { return Content::MISSING };
        if let BodyDocument::Open(document) = state.document
            && self.documents.is_changed(document)
        {
            let mut out = std::mem::take(&mut self.spare);
            out.clear();
            self.write_body(state.body, document, &mut out);
            let text = self.documents.new_text(&out);
            self.spare = out;
            self.documents.set(state.body, text);
        }
        self.documents.content(state.body)
    }

    /// Writes a changed document with the white space that stands around it in the text.
    pub(super) fn write_body(&mut self, text: Place, document: Place, out: &mut Vec<u8>) {
        let content = self.documents.content(text);
        let text = self.documents.text(content, &mut self.memory);
        let (before, after) = around(text);
        out.extend_from_slice(before);
        self.documents.write(document, out);
        out.extend_from_slice(after);
    }

    /// Sets the text of the body: that of a string, or the JSON of another value.
    pub(super) fn set_body(&mut self, row: usize, content: Content) {
        let mut memory = std::mem::take(&mut self.spare);
        let text = self.documents.text(content, &mut memory);
        // Strings are unescaped now, so that the text of the body is always a span.
        self.memory.clear();
        self.memory.extend_from_slice(text);
        let text = self.documents.new_text(&self.memory);
        self.spare = memory;
        if let Some(state) = self.rows.get_mut(row) {
            state.document = BodyDocument::Unchecked;
            let body = state.body;
            self.documents.set(body, text);
        }
    }
}
