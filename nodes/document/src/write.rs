//! Writes documents: what no edit touched byte for byte, everything else around it.

use wattle_json::Kind;

use crate::bytes::copy;
use crate::documents::Documents;
use crate::node::{DIRTY, NEW_KEY, NEW_VALUE, NONE, Node, Place, REMOVED};

/// A run of children that stand in the text as they are to be written.
#[derive(Clone, Copy)]
struct Run {
    start: usize,
    end: usize,
    last: u32,
}

impl Documents {
    /// Appends the value at a place with all edits.
    pub fn write(&self, place: Place, out: &mut Vec<u8>) {
        if let Some(node) = self.node(place.0) {
            self.write_node(node, out);
        }
    }

    /// Recursion is as deep as the paths that edits took: a value that is moved or copied has no
    /// list of children.
    fn write_node(&self, node: &Node, out: &mut Vec<u8>) {
        if !node.has(DIRTY) {
            return self.json(node.content(), out);
        }
        let text = self.origin(node.origin);
        let (open, close) = if node.kind == Kind::Object { (b'{', b'}') } else { (b'[', b']') };
        out.push(open);
        let start = out.len();
        let mut run: Option<Run> = None;
        let mut number = self.list(node).map_or(NONE, |list| list.first);
        while number != NONE {
            let Some(child) = self.node(number) else { break };
            let here = number;
            number = child.next;
            if child.has(REMOVED) {
                continue;
            }
            let begins = if node.kind == Kind::Object {
                (child.key.start as usize).saturating_sub(1)
            } else {
                child.value.start as usize
            };
            if child.has(NEW_KEY | NEW_VALUE | DIRTY) {
                flush(text, &mut run, start, out);
                separate(start, out);
                self.write_changed(node, child, out);
                continue;
            }
            let end = child.value.end as usize;
            match &mut run {
                Some(run) if run.last + 1 == here => {
                    run.end = end;
                    run.last = here;
                }
                _ => {
                    flush(text, &mut run, start, out);
                    run = Some(Run { start: begins, end, last: here });
                }
            }
        }
        flush(text, &mut run, start, out);
        if out.len() > start {
            let end = (node.value.end as usize).saturating_sub(1);
            out.extend_from_slice(text.get(before_white(text, end)..end).unwrap_or_default());
        }
        out.push(close);
    }

    /// Writes a child with another key, another value, or a change below it.
    fn write_changed(&self, parent: &Node, child: &Node, out: &mut Vec<u8>) {
        let text = self.origin(parent.origin);
        if parent.kind == Kind::Object {
            let start = (child.key.start as usize).saturating_sub(1);
            if child.has(NEW_KEY) {
                // New keys are kept with their quotes and a colon.
                let key = self.origin(child.key_origin);
                copy(key, start, child.key.end as usize + 2, out);
            } else {
                let start = before_white(text, start);
                copy(text, start, after_colon(text, child.key.end as usize + 1), out);
            }
        } else if !child.has(NEW_VALUE) {
            let start = child.value.start as usize;
            out.extend_from_slice(text.get(before_white(text, start)..start).unwrap_or_default());
        }
        if child.has(DIRTY) {
            self.write_node(child, out);
        } else {
            self.json(child.content(), out);
        }
    }
}

fn separate(start: usize, out: &mut Vec<u8>) {
    if out.len() > start {
        out.push(b',');
    }
}

/// Writes a run with the white space before it.
fn flush(text: &[u8], run: &mut Option<Run>, start: usize, out: &mut Vec<u8>) {
    if let Some(run) = run.take() {
        separate(start, out);
        copy(text, before_white(text, run.start), run.end, out);
    }
}

fn is_white(byte: Option<&u8>) -> bool {
    matches!(byte, Some(b' ' | b'\n' | b'\r' | b'\t'))
}

/// Where the white space before `at` begins.
fn before_white(text: &[u8], mut at: usize) -> usize {
    while at > 0 && is_white(text.get(at - 1)) {
        at -= 1;
    }
    at
}

/// Where the value begins whose key ends at `at`.
fn after_colon(text: &[u8], mut at: usize) -> usize {
    while is_white(text.get(at)) || text.get(at) == Some(&b':') {
        at += 1;
    }
    at
}
