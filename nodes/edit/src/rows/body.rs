//! The body of a row: a text, and once a step goes below it, a JSON document.

use wattle_document::{Content, Place, around};
use wattle_node::json::{self, Kind};

use super::{MAX_DEPTH, Rows};

/// The body as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyDocument {
    /// It is not known whether the text is JSON: a step has set it, or it may be deeper than the host reads, so that
    /// the host found no JSON.
    Unchecked,
    /// The text is not JSON.
    NotJson,
    /// The text is JSON that is too deep.
    TooDeep,
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
            BodyDocument::NotJson | BodyDocument::TooDeep => None,
            _ => self.open_body(row),
        }
    }

    fn open_body(&mut self, row: usize) -> Option<Place> {
        let state = *self.rows.get(row)?;
        let text = self.documents.content(state.body);
        let kind = match state.document {
            BodyDocument::Open(_) | BodyDocument::NotJson | BodyDocument::TooDeep => return None,
            BodyDocument::Closed(kind) => Ok(kind),
            BodyDocument::Unchecked => json::check(self.documents.text(text, &mut self.memory), MAX_DEPTH),
        };
        let document = kind.map(|kind| self.documents.open_within(text, kind));
        self.rows.get_mut(row)?.document = match document {
            Ok(document) => BodyDocument::Open(document),
            Err(error) if error.kind == json::ErrorKind::TooDeep => BodyDocument::TooDeep,
            Err(_) => BodyDocument::NotJson,
        };
        document.ok()
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
