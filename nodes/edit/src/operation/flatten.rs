//! `flatten`: nested objects become one.

use wattle_node::json::{self, Kind, Value};

use super::Compiler;
use super::value::{Change, Made};
use crate::options;
use crate::problem::Problem;
use crate::rows::MAX_DEPTH;

pub(crate) struct Flatten {
    separator: Box<[u8]>,
    depth: usize,
    arrays: bool,
    /// The key of the value that is written, without escapes.
    key: Vec<u8>,
    members: Vec<Member>,
    keys: Vec<u8>,
    /// A key holds the separator, so that two keys may become the same.
    may_clash: bool,
    spare: Vec<u8>,
}

/// A member that was written.
#[derive(Clone, Copy, Debug)]
struct Member {
    /// Its key in `keys`.
    key: (usize, usize),
    /// The member in the text.
    text: (usize, usize),
}

impl Flatten {
    pub(super) fn new(options: &options::Flatten, compiler: &mut Compiler<'_, '_>) -> Option<Self> {
        if options.depth == Some(0) {
            compiler.error("depth", "at least one level comes together; remove `depth` for all levels");
        }
        Some(Self {
            separator: options.separator.as_deref().unwrap_or(".").as_bytes().into(),
            depth: options.depth.unwrap_or(usize::MAX),
            arrays: options.arrays == Some(true),
            key: Vec::new(),
            members: Vec::new(),
            keys: Vec::new(),
            may_clash: false,
            spare: Vec::new(),
        })
    }

    /// Writes the children of a container. Empty containers stay as they are.
    fn children(&mut self, text: &[u8], container: Value, level: usize, start: usize, out: &mut Vec<u8>) {
        let before = self.key.len();
        let mut index = 0_usize;
        let mut child = |this: &mut Self, key: Option<Value>, value: Value| {
            if level > 0 {
                this.key.extend_from_slice(&this.separator);
            }
            let part = this.key.len();
            match key.and_then(|key| key.string(text)) {
                Some(inner) => json::unescape_lossy(inner, &mut this.key),
                None => this.key.extend_from_slice(index.to_string().as_bytes()),
            }
            index += 1;
            let name = this.key.get(part..).unwrap_or_default();
            this.may_clash |= this.separator.is_empty() || memchr::memmem::find(name, &this.separator).is_some();
            let is_container = value.kind == Kind::Object || (value.kind == Kind::Array && this.arrays);
            let is_empty =
                || text.get(value.start + 1..value.end - 1).is_some_and(|inner| inner.trim_ascii().is_empty());
            if is_container && level < this.depth.min(MAX_DEPTH) && !is_empty() {
                this.children(text, value, level + 1, start, out);
            } else {
                this.member(value.text(text), start, out);
            }
            this.key.truncate(before);
        };
        // The text is valid, so there is no error to report.
        let _ = match container.kind {
            Kind::Object => json::members(text, container, |key, value| child(self, Some(key), value)),
            _ => json::elements(text, container, |value| child(self, None, value)),
        };
    }

    fn member(&mut self, value: &[u8], start: usize, out: &mut Vec<u8>) {
        if out.len() > start {
            out.push(b',');
        }
        let from = out.len();
        super::text::write_string(&self.key, out);
        out.push(b':');
        out.extend_from_slice(value);
        let key = self.keys.len();
        self.keys.extend_from_slice(&self.key);
        self.members.push(Member { key: (key, self.keys.len()), text: (from, out.len()) });
    }

    /// Of members with the same key, keeps the place of the first and the value of the last.
    fn without_clashes(&mut self, start: usize, out: &mut Vec<u8>) {
        let key = |member: &Member| self.keys.get(member.key.0..member.key.1);
        let mut order: Vec<usize> = (0..self.members.len()).collect();
        order.sort_by(|a, b| self.members.get(*a).map(key).cmp(&self.members.get(*b).map(key)));
        // For each first member of its key, the last one.
        let mut last: Vec<Option<usize>> = vec![None; self.members.len()];
        for group in order.chunk_by(|a, b| self.members.get(*a).map(key) == self.members.get(*b).map(key)) {
            if let (Some(first), Some(end)) = (group.first(), group.last())
                && let Some(last) = last.get_mut(*first)
            {
                *last = Some(*end);
            }
        }
        self.spare.clear();
        for member in last.into_iter().flatten().filter_map(|index| self.members.get(index)) {
            if !self.spare.is_empty() {
                self.spare.push(b',');
            }
            self.spare.extend_from_slice(out.get(member.text.0..member.text.1).unwrap_or_default());
        }
        out.truncate(start);
        out.extend_from_slice(&self.spare);
    }
}

impl Change for Flatten {
    fn takes_json(&self) -> bool {
        true
    }

    fn change(&mut self, kind: Kind, text: &[u8], out: &mut Vec<u8>) -> Result<Made, Problem> {
        if kind != Kind::Object && !(kind == Kind::Array && self.arrays) {
            return Err(Problem::WrongType(kind, "an object"));
        }
        self.key.clear();
        self.keys.clear();
        self.members.clear();
        self.may_clash = false;
        out.push(b'{');
        let start = out.len();
        self.children(text, Value { start: 0, end: text.len(), kind }, 0, start, out);
        if self.may_clash {
            self.without_clashes(start, out);
        }
        out.push(b'}');
        Ok(Made::Json)
    }
}
