//! The elements of one document as a list, and how they become JSON.

use wattle_convert::write_value;
use wattle_node::json;

use crate::format::{Fault, wrong_type};
use crate::object::{put, write_clean};
use crate::options::Xml as Options;
use crate::pairs::Types;

/// Up to so many members of an element are compared one by one; more are sorted, so that time stays in proportion to
/// the text.
const FEW: usize = 16;
/// No node.
const NONE: u32 = u32::MAX;
/// Longer texts stay strings: most readers of JSON would round the number.
const MAX_NUMBER: usize = 18;

/// How values are written.
pub(super) struct Style {
    types: Types,
    arrays: Vec<Vec<u8>>,
    always_use_text_key: bool,
    parse_bool: bool,
    parse_number: bool,
    parse_null: bool,
}

impl Style {
    pub(super) fn new(options: &Options, types: Types) -> Self {
        Self {
            types,
            arrays: options.arrays.iter().map(|key| key.as_bytes().to_vec()).collect(),
            always_use_text_key: options.always_use_text_key,
            parse_bool: options.parse_bool,
            parse_number: options.parse_number,
            parse_null: options.parse_null,
        }
    }
}

/// A part of `Tree::bytes`.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u32,
    end: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Element,
    Attribute,
    Text,
}

/// An element, an attribute or a text: a member of its parent.
#[derive(Clone, Copy, Debug)]
struct Node {
    kind: Kind,
    key: Span,
    /// Empty for an element.
    value: Span,
    first: u32,
    last: u32,
    next: u32,
    /// The next member of the same parent with the same key.
    same: u32,
    /// Whether an earlier member has the same key.
    is_later: bool,
}

/// The nodes of one document. Keeps its memory.
#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    bytes: Vec<u8>,
    open: Vec<u32>,
    /// Where the text that is being added begins.
    text: usize,
    is_in_text: bool,
    order: Vec<u32>,
}

impl Tree {
    pub(super) fn clear(&mut self) {
        self.nodes.clear();
        self.bytes.clear();
        self.open.clear();
        self.is_in_text = false;
    }

    /// Number of elements, attributes and texts.
    pub(super) const fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Number of open elements.
    pub(super) const fn depth(&self) -> usize {
        self.open.len()
    }

    /// Begins an element.
    pub(super) fn open(&mut self, key: &[u8]) -> u32 {
        let start = self.bytes.len();
        put(key, &mut self.bytes);
        let key = self.span(start);
        let number = self.add(Kind::Element, key, Span::default());
        self.open.push(number);
        number
    }

    /// Ends the innermost element.
    pub(super) fn close(&mut self) {
        if let Some(number) = self.open.pop() {
            self.link(number);
        }
    }

    /// Gives an element the key that `write` appends, unless that is empty. `None` if `write` fails.
    pub(super) fn rename(&mut self, number: u32, write: impl FnOnce(&mut Vec<u8>) -> Option<()>) -> Option<()> {
        let start = self.bytes.len();
        write(&mut self.bytes)?;
        let key = self.span(start);
        if let Some(node) = self.nodes.get_mut(number as usize).filter(|_| key.start < key.end) {
            node.key = key;
        }
        Some(())
    }

    /// Adds an attribute to the innermost element. `None` if `write`, which appends the value, fails.
    pub(super) fn attribute(
        &mut self,
        prefix: &[u8],
        name: &[u8],
        write: impl FnOnce(&mut Vec<u8>) -> Option<()>,
    ) -> Option<()> {
        let start = self.bytes.len();
        put(prefix, &mut self.bytes);
        put(name, &mut self.bytes);
        let key = self.span(start);
        let start = self.bytes.len();
        write(&mut self.bytes)?;
        let value = self.span(start);
        self.add(Kind::Attribute, key, value);
        Some(())
    }

    /// Adds to the text of the innermost element.
    pub(super) fn add_text(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if !std::mem::replace(&mut self.is_in_text, true) {
            self.text = self.bytes.len();
        }
        write(&mut self.bytes);
    }

    /// Ends the text, which becomes a member or is left out.
    pub(super) fn end_text(&mut self, key: &[u8], is_kept: bool) {
        self.is_in_text = false;
        let value = self.span(self.text);
        if !is_kept {
            return self.bytes.truncate(self.text);
        }
        let start = self.bytes.len();
        put(key, &mut self.bytes);
        let key = self.span(start);
        self.add(Kind::Text, key, value);
    }

    /// The bytes from `start` up to the end. Events are smaller than 4 GiB.
    fn span(&self, start: usize) -> Span {
        let narrow = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Span { start: narrow(start), end: narrow(self.bytes.len()) }
    }

    fn get(&self, span: Span) -> &[u8] {
        self.bytes.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    fn node(&self, number: u32) -> Option<&Node> {
        self.nodes.get(number as usize)
    }

    /// Adds a member to the innermost element.
    fn add(&mut self, kind: Kind, key: Span, value: Span) -> u32 {
        let number = u32::try_from(self.nodes.len()).unwrap_or(NONE);
        self.nodes.push(Node { kind, key, value, first: NONE, last: NONE, next: NONE, same: NONE, is_later: false });
        if let Some(parent) = self.open.last().and_then(|&parent| self.nodes.get_mut(parent as usize)) {
            let before = std::mem::replace(&mut parent.last, number);
            if before == NONE {
                parent.first = number;
            } else if let Some(before) = self.nodes.get_mut(before as usize) {
                before.next = number;
            }
        }
        number
    }

    /// Links the members of an element that have the same key. Their keys are final now: an attribute may have given a
    /// child its key.
    fn link(&mut self, element: u32) {
        self.order.clear();
        let mut member = self.node(element).map_or(NONE, |element| element.first);
        while let Some(node) = self.node(member) {
            let next = node.next;
            self.order.push(member);
            member = next;
        }
        if self.order.len() > FEW {
            let order = &mut self.order;
            let (nodes, bytes) = (&self.nodes, &self.bytes);
            let key = |number: &u32| {
                let key = nodes.get(*number as usize).map_or(Span::default(), |node| node.key);
                bytes.get(key.start as usize..key.end as usize)
            };
            order.sort_unstable_by(|a, b| key(a).cmp(&key(b)).then(a.cmp(b)));
        }
        // Sorted members have the last one of their key next to them; else it is searched backwards.
        let reach = if self.order.len() > FEW { 1 } else { FEW };
        for place in 1..self.order.len() {
            let Some(&number) = self.order.get(place) else { return };
            let Some(key) = self.node(number).map(|node| self.get(node.key)) else { return };
            let before = self.order.get(place.saturating_sub(reach)..place).unwrap_or_default().iter().rev();
            let same = before.copied().find(|&other| self.node(other).is_some_and(|node| self.get(node.key) == key));
            if let Some(before) = same.and_then(|same| self.nodes.get_mut(same as usize)) {
                before.same = number;
                if let Some(node) = self.nodes.get_mut(number as usize) {
                    node.is_later = true;
                }
            }
        }
    }

    /// Writes the document as an object with the root element as its member.
    pub(super) fn write(&self, style: &Style, out: &mut Vec<u8>) -> Result<(), Fault> {
        out.push(b'{');
        if let Some(root) = self.node(0) {
            self.member(root, style, out)?;
        }
        out.push(b'}');
        Ok(())
    }

    /// Writes a key with its value, or an array of its values.
    fn member(&self, node: &Node, style: &Style, out: &mut Vec<u8>) -> Result<(), Fault> {
        let key = self.get(node.key);
        write_clean(key, out);
        out.push(b':');
        if node.same == NONE && !style.arrays.iter().any(|array| array == key) {
            return self.value(node, style, out);
        }
        out.push(b'[');
        let mut member = node;
        loop {
            self.value(member, style, out)?;
            let Some(next) = self.node(member.same) else { break };
            out.push(b',');
            member = next;
        }
        out.push(b']');
        Ok(())
    }

    fn value(&self, node: &Node, style: &Style, out: &mut Vec<u8>) -> Result<(), Fault> {
        let key = self.get(node.key);
        match (node.kind, self.node(node.first)) {
            (Kind::Attribute, _) => scalar(key, self.get(node.value), false, style, out),
            (Kind::Text, _) => scalar(key, self.get(node.value), true, style, out),
            (Kind::Element, None) if !style.always_use_text_key => scalar(key, b"", true, style, out),
            (Kind::Element, Some(only))
                if only.kind == Kind::Text && only.next == NONE && !style.always_use_text_key =>
            {
                scalar(key, self.get(only.value), true, style, out)
            }
            (Kind::Element, first) => {
                out.push(b'{');
                let start = out.len();
                let mut member = first;
                while let Some(node) = member {
                    member = self.node(node.next);
                    if node.is_later {
                        continue;
                    }
                    if out.len() > start {
                        out.push(b',');
                    }
                    // The type of an element with attributes is that of its text.
                    if node.kind == Kind::Text && node.same == NONE && style.types.get(key).is_some() {
                        write_clean(self.get(node.key), out);
                        out.push(b':');
                        scalar(key, self.get(node.value), true, style, out)?;
                    } else {
                        self.member(node, style, out)?;
                    }
                }
                out.push(b'}');
                Ok(())
            }
        }
    }
}

/// Writes a text: with the type of its key, or as `parse_…` say.
fn scalar(key: &[u8], text: &[u8], is_text: bool, style: &Style, out: &mut Vec<u8>) -> Result<(), Fault> {
    if let Some((name, wanted)) = style.types.get(key) {
        return write_value(text, Some(*wanted), out).map_err(|wrong| wrong_type(name, wrong));
    }
    // Values of attributes are strings in Vector too.
    let is_raw = is_text
        && match text {
            b"true" | b"false" => style.parse_bool,
            b"null" => style.parse_null,
            b"" if style.parse_null => {
                out.extend_from_slice(b"null");
                return Ok(());
            }
            _ => style.parse_number && is_number(text),
        };
    if is_raw {
        out.extend_from_slice(text);
    } else {
        write_clean(text, out);
    }
    Ok(())
}

fn is_number(text: &[u8]) -> bool {
    let is_short = text.len() <= MAX_NUMBER && text.last().is_some_and(u8::is_ascii_digit);
    is_short && text.first() != Some(&b' ') && json::check(text, 0).is_ok_and(|kind| kind == json::Kind::Number)
}
