//! Children that get more than their record: fields of the parent, elements of other arrays, the index.
//!
//! Their bodies are composed, so this costs a copy of each record; without these options, children are spans of the
//! input.

use wattle_node::json::{self, Kind, Path, Segment, Value, elements, find, members_with_escapes, white};
use wattle_node::{ColumnWriter, Setup};

use crate::budget::Budget;
use crate::options::{Copied, Keyed, Lengths, Options};
use crate::records::{Fault, Found, Shapes, each_root};

/// Maximum number of fields and arrays; a child remembers in bits which of them its record has.
const MAX_MEMBERS: usize = 64;

/// The options, ready for use, and memory for one event.
pub(crate) struct Joined {
    /// The key that wraps the record.
    into: Option<Member>,
    keep: Vec<Member>,
    zip: Vec<Member>,
    lengths: Lengths,
    index: Option<Member>,
    records: Vec<Value>,
    /// Elements of each array in `zip`.
    columns: Vec<Vec<Value>>,
    /// The members that all children of a root have.
    kept: Vec<(usize, Value)>,
    key: Vec<u8>,
    /// The children of one event, and where each ends: a fault in a later one takes them back.
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

/// A member that children get.
struct Member {
    path: Path,
    name: Box<str>,
    /// The key with its quotes and the colon.
    json: Vec<u8>,
}

impl Member {
    fn new(name: &str, path: Path) -> Self {
        let mut json = b"\"".to_vec();
        json::escape(name.as_bytes(), &mut json);
        json.extend_from_slice(b"\":");
        Self { path, name: name.into(), json }
    }
}

impl Joined {
    /// Prepares the options; `None` if none of them is set.
    pub(crate) fn new(options: &Options, setup: &mut Setup<'_>) -> Option<Self> {
        if options.keep.is_empty() && options.zip.is_empty() && options.index.is_none() {
            if options.lengths.is_some() {
                setup.error("lengths", "`lengths` belongs to `zip`");
            }
            return None;
        }
        if options.lengths.is_some() && options.zip.is_empty() {
            setup.error("lengths", "`lengths` belongs to `zip`");
        }
        let named = |name: &String| Member::new(name, Path::default());
        let joined = Self {
            into: options.into.as_ref().map(named),
            keep: members("keep", &options.keep, setup),
            zip: members("zip", &options.zip, setup),
            lengths: options.lengths.unwrap_or_default(),
            index: options.index.as_ref().map(named),
            records: Vec::new(),
            columns: vec![Vec::new(); options.zip.len()],
            kept: Vec::new(),
            key: Vec::new(),
            bytes: Vec::new(),
            ends: Vec::new(),
        };
        joined.check(setup);
        Some(joined)
    }

    fn check(&self, setup: &mut Setup<'_>) {
        if self.keep.len() + self.zip.len() >= MAX_MEMBERS {
            setup.error("keep", format!("more than {} fields and arrays are too many", MAX_MEMBERS - 1));
        }
        let mut names: Vec<&str> = Vec::new();
        let (into, index) = (self.into.iter().map(|m| ("into", m)), self.index.iter().map(|m| ("index", m)));
        let (keep, zip) = (self.keep.iter().map(|m| ("keep", m)), self.zip.iter().map(|m| ("zip", m)));
        for (option, member) in into.chain(keep).chain(zip).chain(index) {
            if names.contains(&&*member.name) {
                let message = format!("two values have the key `{}`; give one of them a `key`", member.name);
                setup.error(option, message);
            }
            names.push(&member.name);
        }
    }

    /// Writes the children of a row. On a fault it writes none.
    pub(crate) fn write(
        &mut self,
        row: usize,
        text: &[u8],
        shapes: &Shapes,
        budget: &mut Budget,
        parents: &mut Vec<u32>,
        bodies: &mut ColumnWriter,
    ) -> Result<(), Fault> {
        self.bytes.clear();
        self.ends.clear();
        // A field that is copied into each child can make them much larger than their parent.
        let room = budget.begin(text.len());
        each_root(text, |rest, _| self.root(rest, shapes, room))?;
        budget.take(Budget::size(self.bytes.len(), self.ends.len()));
        let mut start = 0;
        for &end in &self.ends {
            parents.push(u32::try_from(row).unwrap_or(u32::MAX));
            bodies.push(self.bytes.get(start..end).unwrap_or_default());
            start = end;
        }
        Ok(())
    }

    /// Writes the children of the first root value and returns where it ends. All children of the row have `room`.
    fn root(&mut self, text: &[u8], shapes: &Shapes, room: usize) -> Result<usize, Fault> {
        let mut records = std::mem::take(&mut self.records);
        records.clear();
        // `Unroll::configure` refuses rules that find anything else.
        let end = shapes.root(text, |found| {
            if let Found::Record(record) = found {
                records.push(record);
            }
        });
        self.records = records;
        let end = end?;
        let root = text.get(..end).unwrap_or(text);
        self.kept.clear();
        for (number, member) in self.keep.iter().enumerate() {
            if let Some(value) = find(root, &member.path)? {
                self.kept.push((number, value));
            }
        }
        // A record that is the root itself has no arrays beside it.
        let is_single = matches!(&*self.records, [only] if only.end == end && only.start == white(root, 0));
        let count = if is_single { 1 } else { self.columns(root)? };
        for number in 0..count {
            self.child(root, number, is_single)?;
            self.ends.push(self.bytes.len());
            if Budget::size(self.bytes.len(), self.ends.len()) > room {
                return Err(Fault::TooLarge(room));
            }
        }
        Ok(end)
    }

    /// Finds the elements of the other arrays, and returns the number of children.
    fn columns(&mut self, root: &[u8]) -> Result<usize, Fault> {
        let mut count = self.records.len();
        for (number, (member, column)) in self.zip.iter().zip(&mut self.columns).enumerate() {
            column.clear();
            if let Some(array) = find(root, &member.path)? {
                if array.kind != Kind::Array {
                    return Err(Fault::NotAnArrayToZip(number, array.kind));
                }
                elements(root, array, |element| column.push(element))?;
            }
            let length = column.len();
            count = match self.lengths {
                Lengths::Fail if length != self.records.len() => {
                    return Err(Fault::Lengths(number, self.records.len(), length));
                }
                Lengths::Fail => count,
                Lengths::Shortest => count.min(length),
                Lengths::Null => count.max(length),
            };
        }
        Ok(count)
    }

    /// Appends a child: the record, and what is added to it.
    fn child(&mut self, root: &[u8], number: usize, is_single: bool) -> Result<(), Fault> {
        let record = self.records.get(number);
        let text = record.map_or(&b"null"[..], |record| record.text(root));
        let is_object = record.is_some_and(|record| record.kind == Kind::Object);
        let taken = if self.into.is_none() && is_object { self.taken(text) } else { 0 };
        let record = self.records.get(number);
        let out = &mut self.bytes;
        let mut has_members = true;
        if let Some(into) = &self.into {
            out.push(b'{');
            out.extend_from_slice(&into.json);
            out.extend_from_slice(text);
        } else if let Some(record) = record {
            if record.kind != Kind::Object {
                return Err(Fault::NotAnObject(record.kind));
            }
            let inner = text.strip_suffix(b"}").unwrap_or(text).trim_ascii_end();
            has_members = inner.len() > 1;
            out.extend_from_slice(inner);
        } else {
            out.push(b'{');
            has_members = false;
        }
        let mut add = |place: usize, member: &Member, value: &[u8]| {
            // The record's own members win.
            if taken & bit(place) != 0 {
                return;
            }
            if std::mem::replace(&mut has_members, true) {
                out.push(b',');
            }
            out.extend_from_slice(&member.json);
            out.extend_from_slice(value);
        };
        for (place, value) in &self.kept {
            if let Some(member) = self.keep.get(*place) {
                add(*place, member, value.text(root));
            }
        }
        if !is_single {
            for (place, (member, column)) in self.zip.iter().zip(&self.columns).enumerate() {
                let value = column.get(number).map_or(&b"null"[..], |value| value.text(root));
                add(self.keep.len() + place, member, value);
            }
        }
        if let Some(index) = &self.index {
            add(MAX_MEMBERS - 1, index, number.to_string().as_bytes());
        }
        out.push(b'}');
        Ok(())
    }

    /// Which of the added members a record has itself, as bits.
    fn taken(&mut self, record: &[u8]) -> u64 {
        let Self { keep, zip, index, key, .. } = self;
        let mut bits = 0;
        let object = Value { start: 0, end: record.len(), kind: Kind::Object };
        // What follows an error inside of the record is left to the node that parses it.
        let _ = members_with_escapes(record, object, |name, is_escaped, _| {
            let inner = record.get(name.start + 1..name.end.saturating_sub(1)).unwrap_or_default();
            let inner = if is_escaped {
                key.clear();
                json::unescape_lossy(inner, key);
                &**key
            } else {
                inner
            };
            let is_same = |member: &Member| member.name.as_bytes() == inner;
            if let Some(place) = keep.iter().chain(zip.iter()).position(is_same) {
                bits |= bit(place);
            }
            if index.as_ref().is_some_and(is_same) {
                bits |= bit(MAX_MEMBERS - 1);
            }
        });
        bits
    }

    /// Path of an array in `zip`.
    pub(crate) fn zip_path(&self, number: usize) -> String {
        self.zip.get(number).map(|member| member.path.to_string()).unwrap_or_default()
    }
}

fn bit(place: usize) -> u64 {
    u32::try_from(place).ok().and_then(|place| 1_u64.checked_shl(place)).unwrap_or_default()
}

/// The members of an option, with keys.
fn members(option: &str, entries: &[Copied], setup: &mut Setup<'_>) -> Vec<Member> {
    let mut members = Vec::new();
    for (number, entry) in entries.iter().enumerate() {
        let (text, key) = match entry {
            Copied::Path(path) => (path, None),
            Copied::Keyed(Keyed { path, key }) => (path, Some(key)),
        };
        let option = format!("{option}[{number}]");
        match Path::parse(text) {
            Ok(path) if path.around_each().is_some() => {
                setup.error(option, format!("path `{text}` must not hold `[*]`; name one value"));
            }
            Ok(path) => match (key, path.segments().last()) {
                (Some(key), _) => members.push(Member::new(key, path)),
                (None, Some(Segment::Key(key))) => members.push(Member::new(&key.clone(), path)),
                (None, _) => setup.error(option, format!("write `{{ path = \"{text}\", key = \"...\" }}`")),
            },
            Err(error) => setup.error(option, error.to_string()),
        }
    }
    members
}
