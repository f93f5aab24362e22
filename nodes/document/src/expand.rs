//! Makes the list of members or elements of a container, when a path first leads through it.

use wattle_json::{Kind, Value};

use crate::content::Content;
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
        let Self { sources, scratch, nodes, memory, .. } = self;
        let text: &[u8] = match node.origin.checked_sub(1) {
            None => scratch,
            Some(source) => sources.get(usize::from(source))?,
        };
        let first = nodes.len();
        let mut filter = [0_u64; FILTER_WORDS];
        let (mut duplicates, mut bits) = (0, 0);
        let walked = wattle_json::members_with_escapes(text, value_of(node), |key, is_escaped, value| {
            let inner = text.get(key.start + 1..key.end - 1).unwrap_or_default();
            let hash = if is_escaped {
                memory.clear();
                wattle_json::unescape_lossy(inner, memory);
                hash(memory)
            } else {
                hash(inner)
            };
            bits |= filter_bit(hash);
            let bit = hash >> 22;
            if let Some(word) = filter.get_mut((bit >> 6) as usize) {
                let is_set = *word >> (bit & 63) & 1 != 0;
                *word |= 1 << (bit & 63);
                if is_set {
                    let others = nodes.get(first..).unwrap_or_default();
                    if others.len() > VERIFIED || others.iter().any(|other| other.hash == hash) {
                        duplicates = DUPLICATES;
                    }
                }
            }
            let mut member = child(node, value, place);
            member.key.start = key.start as u32 + 1;
            member.key.end = key.end as u32 - 1;
            member.hash = hash;
            member.key_origin = node.origin;
            member.flags = if is_escaped { ESCAPED } else { 0 };
            member.next = nodes.len() as u32 + 1;
            nodes.push(member);
        });
        self.finish(first, walked.is_ok(), bits).map(|list| (list, duplicates))
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
        self.finish(first, walked.is_ok(), 0).map(|list| (list, 0))
    }

    /// Ends the list of children that begins at `first`.
    fn finish(&mut self, first: usize, is_ok: bool, filter: u64) -> Option<List> {
        if !is_ok {
            self.nodes.truncate(first);
            return None;
        }
        let count = u32::try_from(self.nodes.len() - first).ok()?;
        let Some(last) = self.nodes.get_mut(first..).and_then(<[Node]>::last_mut) else {
            return Some(List { first: NONE, last: NONE, count: 0, filter });
        };
        last.next = NONE;
        let first = u32::try_from(first).ok()?;
        Some(List { first, last: first + (count - 1), count, filter })
    }
}

fn value_of(node: &Node) -> Value {
    Value { start: node.value.start as usize, end: node.value.end as usize, kind: node.kind }
}

fn child(parent: &Node, value: Value, place: Place) -> Node {
    let span = crate::content::Span { start: value.start as u32, end: value.end as u32 };
    Node::new(Content { span, origin: parent.origin, kind: value.kind, is_raw: false }, place.0)
}
