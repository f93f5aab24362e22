//! `unflatten`: keys with separators become nested objects.

use wattle_document::UniqueKeys;
use wattle_node::json::{self, Kind, Value};

use super::Compiler;
use super::text::write_string;
use super::value::{Change, Made};
use crate::options;
use crate::problem::Problem;

/// More levels would make paths longer than fields can name.
pub(super) const MAX_LEVELS: usize = 64;

pub(crate) struct Unflatten {
    separator: memchr::memmem::Finder<'static>,
    depth: usize,
    /// All keys, unescaped.
    keys: Vec<u8>,
    members: Vec<Member>,
}

/// A member of the object.
#[derive(Clone, Copy, Debug)]
struct Member {
    /// What is left of the key, in `keys`.
    key: (usize, usize),
    value: Value,
    number: usize,
}

impl Unflatten {
    pub(super) fn new(options: &options::Unflatten, compiler: &mut Compiler<'_, '_>) -> Option<Self> {
        let separator = options.separator.as_deref().unwrap_or(".");
        if separator.is_empty() {
            compiler.error("separator", "a separator has at least one character");
            return None;
        }
        if let Some(depth) = options.depth.filter(|depth| !(1..=MAX_LEVELS).contains(depth)) {
            compiler.error(
                "depth",
                format!("`depth` is {depth}, but 1 to {MAX_LEVELS} levels can be made; remove it for all levels"),
            );
            return None;
        }
        let separator = memchr::memmem::Finder::new(separator).into_owned();
        let depth = options.depth.unwrap_or(MAX_LEVELS).min(MAX_LEVELS);
        Some(Self { separator, depth, keys: Vec::new(), members: Vec::new() })
    }

    fn key(&self, member: &Member) -> &[u8] {
        self.keys.get(member.key.0..member.key.1).unwrap_or_default()
    }

    /// The first part of a key, and where the rest begins, if there is one.
    fn part(&self, member: &Member, level: usize) -> (&[u8], Option<usize>) {
        let key = self.key(member);
        let found = if level < self.depth { self.separator.find(key) } else { None };
        match found.and_then(|at| Some((key.get(..at)?, member.key.0 + at + self.separator.needle().len()))) {
            Some((part, rest)) => (part, Some(rest)),
            None => (key, None),
        }
    }

    /// The names of the members of an object.
    fn names(&self, groups: &[Vec<Member>], level: usize) -> UniqueKeys {
        let mut names = UniqueKeys::default();
        for first in groups.iter().filter_map(|group| group.first()) {
            names.add(&mut self.part(first, level).0.to_vec(), 0, usize::MAX);
        }
        names
    }

    /// Writes an object of the members in a range. Recursion is as deep as levels are made.
    fn object(&mut self, text: &[u8], members: (usize, usize), level: usize, out: &mut Vec<u8>) -> Result<(), Problem> {
        // Members whose keys begin with the same part follow each other, the earliest of them first.
        let mut range = self.members.get(members.0..members.1).unwrap_or_default().to_vec();
        range.sort_by(|a, b| self.part(a, level).0.cmp(self.part(b, level).0).then(a.number.cmp(&b.number)));
        let mut groups: Vec<Vec<Member>> =
            range.chunk_by(|a, b| self.part(a, level).0 == self.part(b, level).0).map(<[Member]>::to_vec).collect();
        groups.sort_by_key(|group| group.first().map(|member| member.number));
        // The names of other groups are taken before a member that has the name of an earlier one gets a number.
        let mut names: Option<UniqueKeys> = None;
        out.push(b'{');
        for (number, group) in groups.iter().enumerate() {
            if number > 0 {
                out.push(b',');
            }
            let Some(first) = group.first() else { continue };
            write_string(self.part(first, level).0, out);
            out.push(b':');
            let whole = group.iter().filter(|member| self.part(member, level).1.is_none()).count();
            if whole == group.len() {
                out.extend_from_slice(first.value.text(text));
                for other in group.get(1..).unwrap_or_default() {
                    let names = names.get_or_insert_with(|| self.names(&groups, level));
                    let mut name = self.part(other, level).0.to_vec();
                    names.add(&mut name, 0, usize::MAX);
                    out.push(b',');
                    write_string(&name, out);
                    out.push(b':');
                    out.extend_from_slice(other.value.text(text));
                }
                continue;
            }
            if whole > 0 {
                return Err(Problem::BadValue("an object of which no key is the beginning of another"));
            }
            let start = self.members.len();
            for member in group {
                let rest = self.part(member, level).1.unwrap_or(member.key.1);
                self.members.push(Member { key: (rest, member.key.1), ..*member });
            }
            self.object(text, (start, self.members.len()), level + 1, out)?;
            self.members.truncate(start);
        }
        out.push(b'}');
        Ok(())
    }
}

impl Change for Unflatten {
    fn takes_json(&self) -> bool {
        true
    }

    fn change(&mut self, kind: Kind, text: &[u8], out: &mut Vec<u8>) -> Result<Made, Problem> {
        if kind != Kind::Object {
            return Err(Problem::WrongType(kind, "an object"));
        }
        self.keys.clear();
        self.members.clear();
        let mut has_separator = false;
        let Self { keys, members, separator, .. } = self;
        let walked = json::members(text, Value { start: 0, end: text.len(), kind }, |key, value| {
            let start = keys.len();
            json::unescape_lossy(key.string(text).unwrap_or_default(), keys);
            has_separator |= separator.find(keys.get(start..).unwrap_or_default()).is_some();
            members.push(Member { key: (start, keys.len()), value, number: members.len() });
        });
        if walked.is_err() {
            return Err(Problem::BadValue("valid JSON"));
        }
        if !has_separator {
            return Ok(Made::Same);
        }
        self.object(text, (0, self.members.len()), 0, out)?;
        Ok(Made::Json)
    }
}
