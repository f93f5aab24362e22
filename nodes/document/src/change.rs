//! Changing documents.

use wattle_json::Kind;

use crate::content::{Content, Span};
use crate::documents::{Documents, SCRATCH};
use crate::index::MAX_SCANNED;
use crate::key::{Key, filter_bit, hash};
use crate::node::{DIRTY, DUPLICATES, ESCAPED, EXPANDED, NEW_KEY, NEW_VALUE, NONE, Node, Place, RAW, REMOVED};
use crate::route::{Route, Step};

/// A value could not be put where the path says: something on the way is neither an object, nor
/// null, nor missing, or an array does not have the element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoPlace;

impl Documents {
    /// Replaces the value at a place.
    pub fn set(&mut self, place: Place, content: Content) {
        // The members of the value before are no longer reachable.
        if self.index.belongs_to(place) {
            self.index.clear();
        }
        if let Some(node) = self.node_mut(place.0) {
            node.value = content.span;
            node.origin = content.origin;
            node.kind = content.kind;
            node.list = NONE;
            node.flags &= !(EXPANDED | DIRTY | RAW | DUPLICATES);
            node.flags |= NEW_VALUE | if content.is_raw { RAW } else { 0 };
        }
        self.touch(place);
    }

    /// Removes a member or an element; a document stays.
    pub fn remove(&mut self, place: Place) {
        if self.parent(place).is_none() {
            return;
        }
        // Duplicates of the key go with it.
        self.touch(place);
        self.mark_removed(place);
    }

    /// Undoes [`remove`](Self::remove).
    pub fn restore(&mut self, place: Place) {
        if self.parent(place).is_some_and(|parent| self.index.belongs_to(parent)) {
            self.index.clear();
        }
        self.node_mut(place.0).into_iter().for_each(|node| node.flags &= !REMOVED);
    }

    /// Gives a member another key. A member that has this key already is removed. The member keeps
    /// its place.
    pub fn rename(&mut self, member: Place, key: &[u8]) {
        let Some(object) = self.parent(member) else { return };
        let hash = hash(key);
        if self.node(member.0).is_some_and(|node| self.is_key(node, hash, key)) {
            return;
        }
        // Before the change of the key, because duplicates of the old key go with it.
        self.touch(member);
        while let Some(other) = self.find(object, key) {
            self.mark_removed(other);
        }
        let (span, is_escaped) = self.write_key(key);
        self.note_key(object, hash);
        self.unindex_member(member);
        self.index_member(object, member.0, key);
        if let Some(node) = self.node_mut(member.0) {
            node.key = span;
            node.key_origin = SCRATCH;
            node.hash = hash;
            node.flags &= !ESCAPED;
            node.flags |= NEW_KEY | if is_escaped { ESCAPED } else { 0 };
        }
    }

    /// Sets the values that a path leads to; members and the objects that lead to them are made
    /// where they are missing or null. Returns how many values were set: more or less than one only
    /// with `[*]`, which passes over everything that is not an array.
    ///
    /// # Errors
    ///
    /// There is no place for a value, see [`NoPlace`]. With `[*]` all other values are set
    /// nevertheless.
    pub fn put(&mut self, from: Place, route: &Route, content: Content) -> Result<usize, NoPlace> {
        self.put_from(from, route.steps(), content)
    }

    /// Recursion is as deep as the number of `[*]`.
    fn put_from(&mut self, mut at: Place, mut steps: &[Step], content: Content) -> Result<usize, NoPlace> {
        while let Some((step, rest)) = steps.split_first() {
            at = match (step, self.kind(at)) {
                (Step::Each, Kind::Array) => return self.put_each(at, rest, content),
                (Step::Each, _) => return Ok(0),
                (Step::Key(_), Kind::Missing | Kind::Null) => return self.make(at, steps, content),
                (Step::Key(key), Kind::Object) => match self.member(at, key) {
                    Some(member) => member,
                    None if rest.iter().any(|step| matches!(step, Step::Each)) => return Ok(0),
                    None if rest.iter().all(|step| matches!(step, Step::Key(_))) => self.add(at, key),
                    None => return Err(NoPlace),
                },
                (Step::Index(index), Kind::Array) => self.element(at, *index).ok_or(NoPlace)?,
                _ => return Err(NoPlace),
            };
            steps = rest;
        }
        self.set(at, content);
        Ok(1)
    }

    fn put_each(&mut self, array: Place, rest: &[Step], content: Content) -> Result<usize, NoPlace> {
        let mut result = Ok(0);
        let mut child = self.first(array);
        while let Some(here) = child {
            match (self.put_from(here, rest, content), &mut result) {
                (Ok(count), Ok(sum)) => *sum += count,
                (Ok(_), Err(NoPlace)) => {}
                (Err(NoPlace), _) => result = Err(NoPlace),
            }
            child = self.next(here);
        }
        result
    }

    /// Replaces a value that is missing or null by the objects that lead to a new value.
    fn make(&mut self, mut at: Place, steps: &[Step], content: Content) -> Result<usize, NoPlace> {
        if steps.iter().any(|step| matches!(step, Step::Each)) {
            return Ok(0);
        }
        if !steps.iter().all(|step| matches!(step, Step::Key(_))) {
            return Err(NoPlace);
        }
        for step in steps {
            let Step::Key(key) = step else { return Err(NoPlace) };
            self.set(at, self.empty_object);
            at = self.add(at, key);
        }
        self.set(at, content);
        Ok(1)
    }

    /// Adds a member without a value, which the caller sets, to the end of an object.
    fn add(&mut self, object: Place, key: &Key) -> Place {
        let is_escaped = key.written.end - key.written.start != u32::try_from(key.bytes.len()).unwrap_or(u32::MAX);
        self.append_member(object, &key.bytes, key.written, is_escaped)
    }

    /// Sets the member of an object that has this key, which is known only now; adds it if it is
    /// missing. Returns its place, or none if the value is not an object.
    pub fn set_member(&mut self, object: Place, key: &[u8], content: Content) -> Option<Place> {
        if self.kind(object) != Kind::Object {
            return None;
        }
        let member = match self.find(object, key) {
            Some(member) => member,
            None => {
                let (span, is_escaped) = self.write_key(key);
                self.append_member(object, key, span, is_escaped)
            }
        };
        self.set(member, content);
        Some(member)
    }

    /// Adds a member with a key that the object does not have; `written` is the escaped key in the scratch text.
    fn append_member(&mut self, object: Place, key: &[u8], written: Span, is_escaped: bool) -> Place {
        let hash = hash(key);
        if !self.node(object.0).is_some_and(|object| object.has(EXPANDED)) {
            self.expand(object);
        }
        let mut member = Node::new(Content::MISSING, object.0);
        member.key = written;
        member.hash = hash;
        member.flags |= NEW_KEY | NEW_VALUE | if is_escaped { ESCAPED } else { 0 };
        let number = self.push(member);
        let Some(list) = self.node(object.0).map(|node| node.list as usize) else { return Place(number) };
        let Some(list) = self.lists.get_mut(list) else { return Place(number) };
        list.filter |= filter_bit(hash);
        list.has_new_keys = true;
        list.total += 1;
        let last = std::mem::replace(&mut list.last, number);
        if last == NONE {
            list.first = number;
        }
        self.node_mut(last).into_iter().for_each(|last| last.next = number);
        self.index_member(object, number, key);
        Place(number)
    }

    fn note_key(&mut self, object: Place, hash: u32) {
        let list = self.node(object.0).map_or(NONE, |node| node.list);
        if let Some(list) = self.lists.get_mut(list as usize) {
            list.filter |= filter_bit(hash);
            list.has_new_keys = true;
        }
    }

    /// Writes a key with quotes and a colon, as every new key is kept. Returns the span between the quotes, and whether the
    /// key has escapes.
    pub(crate) fn write_key(&mut self, key: &[u8]) -> (Span, bool) {
        self.scratch.push(b'"');
        let start = self.scratch.len();
        wattle_json::escape(key, &mut self.scratch);
        let span = Span::new(start, self.scratch.len());
        self.scratch.extend_from_slice(b"\":");
        let is_escaped = self.scratch.get(start..span.end as usize) != Some(key);
        (span, is_escaped)
    }

    /// Marks what contains a value as changed, and removes other members with the keys on the way:
    /// readers differ in which of several equal keys counts.
    fn touch(&mut self, place: Place) {
        let mut child = place.0;
        while let Some(parent) = self.node(child).map(|node| node.parent).filter(|parent| *parent != NONE) {
            let Some(node) = self.node_mut(parent) else { return };
            let was_dirty = node.has(DIRTY);
            node.flags |= DIRTY;
            if node.has(DUPLICATES) {
                self.remove_others(Place(parent), child);
            }
            if was_dirty {
                return;
            }
            child = parent;
        }
    }

    fn remove_others(&mut self, object: Place, member: u32) {
        let list = self.node(object.0).and_then(|node| self.list(node));
        if list.is_some_and(|list| list.total > MAX_SCANNED) {
            for other in self.unindex_others(object, member) {
                self.node_mut(other).into_iter().for_each(|node| node.flags |= REMOVED);
            }
            return;
        }
        let mut memory = Vec::new();
        let key = self.key(Place(member), &mut memory).to_vec();
        let hash = hash(&key);
        let mut child = self.first(object);
        while let Some(other) = child {
            if other.0 != member && self.node(other.0).is_some_and(|node| self.is_key(node, hash, &key)) {
                self.mark_removed(other);
            }
            child = self.next(other);
        }
    }

    fn mark_removed(&mut self, place: Place) {
        self.unindex_member(place);
        self.node_mut(place.0).into_iter().for_each(|node| node.flags |= REMOVED);
    }
}
