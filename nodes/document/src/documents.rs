//! The arena: texts, nodes, and what is read of them.

use bytes::Bytes;
use wattle_json::Kind;

use crate::bytes::{copy, has_backslash};
use crate::content::{Content, Span};
use crate::index::Index;
use crate::node::{DIRTY, List, NEW_VALUE, NONE, Node, Place};
use crate::shape::Shapes;

/// The origin that stands for the scratch text.
pub(crate) const SCRATCH: u8 = 0;

/// A text of the batch that documents are opened in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source(u8);

/// Open documents over the texts of a batch; see the head of the crate.
#[derive(Debug)]
pub struct Documents {
    pub(crate) sources: Vec<Bytes>,
    /// Constants first, then the values made since the last `clear`.
    pub(crate) scratch: Vec<u8>,
    constants: usize,
    pub(crate) nodes: Vec<Node>,
    pub(crate) lists: Vec<List>,
    pub(crate) empty_object: Content,
    /// For keys with escapes.
    pub(crate) memory: Vec<u8>,
    pub(crate) shapes: Shapes,
    pub(crate) index: Index,
}

impl Default for Documents {
    fn default() -> Self {
        let mut made = Self {
            sources: Vec::new(),
            scratch: Vec::new(),
            constants: 0,
            nodes: Vec::new(),
            lists: Vec::new(),
            empty_object: Content::MISSING,
            memory: Vec::new(),
            shapes: Shapes::default(),
            index: Index::default(),
        };
        made.empty_object = made.constant(b"{}");
        made
    }
}

impl Documents {
    /// Adds a text, empty until [`load`](Self::load). At most 255 texts are possible.
    pub fn add_source(&mut self) -> Source {
        self.sources.push(Bytes::new());
        Source(u8::try_from(self.sources.len()).unwrap_or(u8::MAX))
    }

    /// Replaces a text, at the beginning of a batch.
    pub fn load(&mut self, source: Source, bytes: Bytes) {
        let text = usize::from(source.0).checked_sub(1).and_then(|number| self.sources.get_mut(number));
        text.into_iter().for_each(|text| *text = bytes.clone());
    }

    /// Adds a JSON value that stays valid when the arena is cleared. Call it before the first
    /// document is opened.
    pub fn constant(&mut self, json: &[u8]) -> Content {
        let content = self.new_json(json);
        self.keep_constants();
        content
    }

    /// Makes everything in the scratch text constant.
    pub(crate) fn keep_constants(&mut self) {
        self.constants = self.scratch.len();
    }

    /// Closes all documents and forgets all values but the constants. Keeps the texts and the
    /// memory.
    pub fn clear(&mut self) {
        self.scratch.truncate(self.constants);
        self.nodes.clear();
        self.lists.clear();
        self.index.clear();
    }

    /// Opens a JSON value that is a span of a text; `kind` must be the right one. White space may
    /// not stand around it.
    pub fn open(&mut self, source: Source, start: usize, end: usize, kind: Kind) -> Place {
        self.root(Content { span: Span::new(start, end), origin: source.0, kind, is_raw: false })
    }

    /// Opens the JSON of a text that begins at `start`, and around which white space may stand; `kind` must be the right
    /// one.
    pub fn open_trimmed(&mut self, source: Source, start: usize, text: &[u8], kind: Kind) -> Place {
        let start = start + around(text).0.len();
        self.open(source, start, start + text.trim_ascii().len(), kind)
    }

    /// Opens a span of a text as a string, without quotes and escapes.
    pub fn open_text(&mut self, source: Source, start: usize, end: usize) -> Place {
        self.root(Content { span: Span::new(start, end), origin: source.0, kind: Kind::String, is_raw: true })
    }

    /// Opens a value as a document.
    pub fn open_content(&mut self, content: Content) -> Place {
        self.root(content)
    }

    /// Opens the JSON that is the text of a string made by [`new_text`](Self::new_text) or opened by
    /// [`open_text`](Self::open_text). White space may stand around it. Its kind must be the right one; without one the
    /// document has no value.
    pub fn open_within(&mut self, text: Content, kind: Kind) -> Place {
        let bytes = self.bytes(text.span, text.origin);
        let start = text.span.start as usize + around(bytes).0.len();
        let span = Span::new(start, start + bytes.trim_ascii().len());
        self.root(Content { span, origin: text.origin, kind, is_raw: false })
    }

    /// Opens an empty object.
    pub fn open_empty(&mut self) -> Place {
        self.root(self.empty_object)
    }

    fn root(&mut self, content: Content) -> Place {
        Place(self.push(Node::new(content, NONE)))
    }

    pub(crate) fn push(&mut self, node: Node) -> u32 {
        let number = u32::try_from(self.nodes.len()).unwrap_or(NONE);
        self.nodes.push(node);
        number
    }

    #[inline]
    pub(crate) fn node(&self, number: u32) -> Option<&Node> {
        self.nodes.get(number as usize)
    }

    #[inline]
    pub(crate) fn node_mut(&mut self, number: u32) -> Option<&mut Node> {
        self.nodes.get_mut(number as usize)
    }

    #[inline]
    pub(crate) fn list(&self, node: &Node) -> Option<&List> {
        self.lists.get(node.list as usize)
    }

    #[inline]
    pub(crate) fn origin(&self, origin: u8) -> &[u8] {
        match origin.checked_sub(1) {
            None => &self.scratch,
            Some(source) => self.sources.get(usize::from(source)).map_or(&[], |bytes| bytes),
        }
    }

    pub(crate) fn bytes(&self, span: Span, origin: u8) -> &[u8] {
        span.of(self.origin(origin))
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> Span {
        let start = self.scratch.len();
        self.scratch.extend_from_slice(bytes);
        Span::new(start, self.scratch.len())
    }

    /// The kind of the value at a place.
    #[must_use]
    pub fn kind(&self, place: Place) -> Kind {
        self.node(place.0).map_or(Kind::Missing, |node| node.kind)
    }

    /// Whether an edit changed the value at a place, or something below it.
    #[must_use]
    pub fn is_changed(&self, place: Place) -> bool {
        self.node(place.0).is_some_and(|node| node.has(DIRTY | NEW_VALUE))
    }

    /// The value at a place with all edits so far, to read it or to set it elsewhere.
    pub fn content(&mut self, place: Place) -> Content {
        let Some(node) = self.node(place.0) else { return Content::MISSING };
        if !node.has(DIRTY) {
            return node.content();
        }
        let kind = node.kind;
        let mut out = std::mem::take(&mut self.memory);
        out.clear();
        self.write(place, &mut out);
        let span = self.append(&out);
        self.memory = out;
        Content { span, origin: SCRATCH, kind, is_raw: false }
    }

    /// A value in text form: strings without quotes and escapes, other values as their JSON.
    /// `memory` is for strings with escapes.
    #[inline]
    pub fn text<'a>(&'a self, content: Content, memory: &'a mut Vec<u8>) -> &'a [u8] {
        let bytes = self.bytes(content.span, content.origin);
        if content.is_raw || content.kind != Kind::String {
            return bytes;
        }
        let inner = bytes.get(1..bytes.len().saturating_sub(1)).unwrap_or_default();
        if !has_backslash(inner) {
            return inner;
        }
        memory.clear();
        wattle_json::unescape_lossy(inner, memory);
        memory
    }

    /// Appends a value as JSON.
    pub fn json(&self, content: Content, out: &mut Vec<u8>) {
        let text = self.origin(content.origin);
        let (start, end) = (content.span.start as usize, content.span.end as usize);
        if !content.is_raw {
            copy(text, start, end, out);
        } else if wattle_json::is_plain(content.span.of(text)) {
            out.push(b'"');
            copy(text, start, end, out);
            out.push(b'"');
        } else {
            write_string(content.span.of(text), out);
        }
    }

    /// Makes a string of a text. Bytes that are not UTF-8 become U+FFFD when the string is written.
    pub fn new_text(&mut self, text: &[u8]) -> Content {
        Content { span: self.append(text), origin: SCRATCH, kind: Kind::String, is_raw: true }
    }

    /// Makes a value of valid JSON without white space around it.
    pub fn new_json(&mut self, json: &[u8]) -> Content {
        let kind = json.first().map_or(Kind::Missing, |byte| Kind::of_first_byte(*byte));
        Content { span: self.append(json), origin: SCRATCH, kind, is_raw: false }
    }
}

/// The white space before and after the JSON in a text. A text of nothing else has it before.
pub fn around(text: &[u8]) -> (&[u8], &[u8]) {
    let (before, rest) = text.split_at(text.len() - text.trim_ascii_start().len());
    (before, rest.get(rest.trim_ascii_end().len()..).unwrap_or_default())
}

/// Appends a text as a JSON string.
pub(crate) fn write_string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    wattle_json::escape(text, out);
    out.push(b'"');
}
