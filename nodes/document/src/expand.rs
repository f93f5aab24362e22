//! Makes the list of members or elements of a container, when a path first leads through it.

use wattle_json::{Kind, Value, white};

use crate::bytes::has_backslash;
use crate::content::{Content, Span};
use crate::documents::Documents;
use crate::key::{filter_bit, hash};
use crate::node::{DUPLICATES, ESCAPED, EXPANDED, List, NONE, Node, Place};

/// Bits of the filter that finds objects in which a key may occur twice.
const FILTER_WORDS: usize = 16;
/// Members up to which a hit in the filter is verified; larger objects count as having duplicates.
const VERIFIED: usize = 64;

impl Documents {
    /// Makes the list of children of a container, unless it was made before. Returns whether the
    /// value is a container.
    pub(crate) fn expand(&mut self, place: Place) -> bool {
        let Some(node) = self.nodes.get(place.0 as usize).copied() else { return false };
        if node.has(EXPANDED) {
            return matches!(node.kind, Kind::Object | Kind::Array);
        }
        let walked = match node.kind {
            Kind::Object => self.expand_object(place, &node),
            Kind::Array => self.expand_array(place, &node),
            _ => return false,
        };
        let number = u32::try_from(self.lists.len()).unwrap_or(NONE);
        if let Some(node) = self.nodes.get_mut(place.0 as usize) {
            match walked {
                Some((list, flags)) => {
                    node.flags |= EXPANDED | flags;
                    node.list = number;
                    self.lists.push(list);
                }
                // The text is not valid JSON. Without a kind the value is neither walked nor
                // changed.
                None => node.kind = Kind::Missing,
            }
        }
        walked.is_some()
    }

    fn expand_object(&mut self, place: Place, node: &Node) -> Option<(List, u8)> {
        let Self { sources, scratch, nodes, memory, shapes, .. } = self;
        let text: &[u8] = match node.origin.checked_sub(1) {
            None => scratch,
            Some(source) => sources.get(usize::from(source))?,
        };
        // Members after the end of the span do not belong to the object.
        let text = text.get(..node.value.end as usize)?;
        let start = node.value.start as usize;
        if text.get(start..) == Some(b"{}") {
            // What edits add to, so it is frequent.
            return Some((
                List { first: NONE, last: NONE, count: 0, total: 0, filter: 0, shape: NONE, has_new_keys: false },
                0,
            ));
        }
        let (slot, shape) = shapes.of(text.get(start..)?);
        let first = nodes.len();
        let member = |key: Span, hash: u32, flags: u8, value: Value, number: usize| Node {
            key,
            value: Span { start: value.start as u32, end: value.end as u32 },
            hash,
            parent: place.0,
            next: number as u32 + 1,
            list: NONE,
            kind: value.kind,
            flags,
            key_origin: node.origin,
            origin: node.origin,
        };
        let (mut at, mut expected) = (start, 0);
        if let Some(shape) = shape {
            nodes.reserve(shape.len());
            for piece in shape.pieces() {
                let Some(begin) = shape.follow(piece, text, at) else { break };
                let Some(value) = wattle_json::value_at(text, begin) else { break };
                nodes.push(member(piece.key(at), piece.hash, piece.flags, value, nodes.len()));
                at = value.end;
                expected += 1;
            }
        }
        // Members that are not where the shape has them.
        let mut is_exact = expected > 0;
        let walked = loop {
            let found = shape.and_then(|shape| {
                let piece = shape.pieces().get(expected)?;
                Some((piece, shape.follow(piece, text, at)?))
            });
            let (key, hash, flags, begin) = match found {
                Some((piece, begin)) => {
                    expected += 1;
                    (piece.key(at), piece.hash, piece.flags, begin)
                }
                None => match next_key(text, at, at == start) {
                    Next::End => break Some(()),
                    Next::Invalid => break None,
                    Next::Key(key, begin) => {
                        let (hash, flags) = hash_of(key.of(text), memory);
                        is_exact = false;
                        expected = shape.and_then(|shape| shape.after(expected, hash)).unwrap_or(expected);
                        (key, hash, flags, begin)
                    }
                },
            };
            let Ok(value) = wattle_json::skip(text, begin) else { break None };
            nodes.push(member(key, hash, flags, value, nodes.len()));
            at = value.end;
        };
        let mut list = finish(nodes, first, walked.is_some())?;
        let members = nodes.get(first..)?;
        let flags = match shape.filter(|shape| is_exact && expected == shape.len()) {
            Some(shape) => {
                list.filter = shape.filter;
                // Of equal keys the first that was not removed counts, which may differ from object to object.
                list.shape = if shape.flags & DUPLICATES == 0 { shape.number } else { NONE };
                shape.flags
            }
            None => {
                let flags;
                (list.filter, flags) = keys(members);
                shapes.miss(slot, text, start, members, list.filter, flags);
                flags
            }
        };
        Some((list, flags))
    }

    fn expand_array(&mut self, place: Place, node: &Node) -> Option<(List, u8)> {
        let Self { sources, scratch, nodes, .. } = self;
        let text: &[u8] = match node.origin.checked_sub(1) {
            None => scratch,
            Some(source) => sources.get(usize::from(source))?,
        };
        let first = nodes.len();
        let walked = wattle_json::elements(text, value_of(node), |value| {
            let mut element = child(node, value, place);
            element.next = nodes.len() as u32 + 1;
            nodes.push(element);
        });
        finish(nodes, first, walked.is_ok()).map(|list| (list, 0))
    }
}

/// Ends the list of children that begins at `first`.
fn finish(nodes: &mut Vec<Node>, first: usize, is_ok: bool) -> Option<List> {
    if !is_ok {
        nodes.truncate(first);
        return None;
    }
    let count = u32::try_from(nodes.len() - first).ok()?;
    let Some(last) = nodes.get_mut(first..).and_then(<[Node]>::last_mut) else {
        return Some(List { first: NONE, last: NONE, count: 0, total: 0, filter: 0, shape: NONE, has_new_keys: false });
    };
    last.next = NONE;
    let first = u32::try_from(first).ok()?;
    Some(List { first, last: first + (count - 1), count, total: count, filter: 0, shape: NONE, has_new_keys: false })
}

/// What stands at a place between members.
enum Next {
    /// The content of a key, and where its value begins, or white space before it.
    Key(Span, usize),
    End,
    Invalid,
}

/// Reads what stands after a value, or at the beginning of the object.
fn next_key(text: &[u8], at: usize, is_first: bool) -> Next {
    let mark = white(text, at);
    let at = match text.get(mark) {
        Some(b'}') if !is_first => return end(text, mark),
        Some(b'{') if is_first => white(text, mark + 1),
        Some(b',') if !is_first => mark + 1,
        _ => return Next::Invalid,
    };
    if is_first && text.get(at) == Some(&b'}') {
        return end(text, at);
    }
    match wattle_json::skip(text, at) {
        Ok(key) if key.kind == Kind::String => {
            let colon = white(text, key.end);
            match text.get(colon) {
                Some(b':') => Next::Key(Span { start: key.start as u32 + 1, end: key.end as u32 - 1 }, colon + 1),
                _ => Next::Invalid,
            }
        }
        _ => Next::Invalid,
    }
}

/// The object must end where its text ends.
fn end(text: &[u8], bracket: usize) -> Next {
    if bracket + 1 == text.len() { Next::End } else { Next::Invalid }
}

/// The hash of a key, and its flags.
fn hash_of(inner: &[u8], memory: &mut Vec<u8>) -> (u32, u8) {
    if !has_backslash(inner) {
        return (hash(inner), 0);
    }
    memory.clear();
    wattle_json::unescape_lossy(inner, memory);
    (hash(memory), ESCAPED)
}

/// The filter of the keys of members, and whether a key may occur twice.
fn keys(members: &[Node]) -> (u64, u8) {
    let mut seen = [0_u64; FILTER_WORDS];
    let (mut duplicates, mut filter) = (0, 0);
    for (number, member) in members.iter().enumerate() {
        filter |= filter_bit(member.hash);
        let bit = member.hash >> 22;
        let Some(word) = seen.get_mut((bit >> 6) as usize) else { continue };
        let is_set = *word >> (bit & 63) & 1 != 0;
        *word |= 1 << (bit & 63);
        let others = members.get(..number).unwrap_or_default();
        if is_set && (number > VERIFIED || others.iter().any(|other| other.hash == member.hash)) {
            duplicates = DUPLICATES;
        }
    }
    (filter, duplicates)
}

fn value_of(node: &Node) -> Value {
    Value { start: node.value.start as usize, end: node.value.end as usize, kind: node.kind }
}

fn child(parent: &Node, value: Value, place: Place) -> Node {
    let span = crate::content::Span { start: value.start as u32, end: value.end as u32 };
    Node::new(Content { span, origin: parent.origin, kind: value.kind, is_raw: false }, place.0)
}
