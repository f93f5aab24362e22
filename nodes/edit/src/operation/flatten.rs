//! `flatten`: nested objects become one.

use wattle_document::UniqueKeys;
use wattle_node::json::{self, Kind, Value};

use super::Compiler;
use super::unflatten::MAX_LEVELS;
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
    keys: UniqueKeys,
}

impl Flatten {
    pub(super) fn new(options: &options::Flatten, compiler: &mut Compiler<'_, '_>) -> Option<Self> {
        if let Some(depth) = options.depth.filter(|depth| !(1..=MAX_LEVELS).contains(depth)) {
            compiler.error(
                "depth",
                format!("`depth` is {depth}, but 1 to {MAX_LEVELS} levels can come together; remove it for all levels"),
            );
            return None;
        }
        Some(Self {
            separator: options.separator.as_deref().unwrap_or(".").as_bytes().into(),
            depth: options.depth.unwrap_or(usize::MAX),
            arrays: options.arrays == Some(true),
            key: Vec::new(),
            keys: UniqueKeys::default(),
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
            match key.and_then(|key| key.string(text)) {
                Some(inner) => json::unescape_lossy(inner, &mut this.key),
                None => this.key.extend_from_slice(index.to_string().as_bytes()),
            }
            index += 1;
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
        self.keys.add(&mut self.key, 0, usize::MAX);
        super::text::write_string(&self.key, out);
        out.push(b':');
        out.extend_from_slice(value);
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
        out.push(b'{');
        let start = out.len();
        self.children(text, Value { start: 0, end: text.len(), kind }, 0, start, out);
        out.push(b'}');
        Ok(Made::Json)
    }
}
