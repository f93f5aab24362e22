//! Following paths, and walking members and elements.

use wattle_json::Kind;

use crate::bytes::same;
use crate::documents::Documents;
use crate::index::MAX_SCANNED;
use crate::key::{Key, filter_bit, hash};
use crate::node::{DUPLICATES, ESCAPED, EXPANDED, NEW_KEY, NONE, Node, Place, REMOVED};
use crate::route::{Glob, Route, Step};

impl Documents {
    /// The value that a path leads to from a place; none where the path has `[*]` or a pattern.
    #[inline]
    pub fn get(&mut self, from: Place, route: &Route) -> Option<Place> {
        let mut at = from;
        for step in route.steps() {
            at = self.follow(at, step)?;
        }
        Some(at)
    }

    /// The value that one step of a path leads to; none for `[*]` and a pattern.
    #[inline]
    pub fn follow(&mut self, from: Place, step: &Step) -> Option<Place> {
        match step {
            Step::Key(key) => self.member(from, key),
            Step::Index(index) => self.element(from, *index),
            Step::Each | Step::Glob(_) => None,
        }
    }

    /// Appends the places of all values that a path leads to, in their order.
    pub fn all(&mut self, from: Place, route: &Route, found: &mut Vec<Place>) {
        if route.is_single() {
            found.extend(self.get(from, route));
        } else {
            self.all_from(from, route.steps(), found);
        }
    }

    /// Recursion is as deep as the path.
    fn all_from(&mut self, at: Place, steps: &[Step], found: &mut Vec<Place>) {
        let Some((step, rest)) = steps.split_first() else {
            found.push(at);
            return;
        };
        match step {
            Step::Key(key) => {
                let next = self.member(at, key);
                next.into_iter().for_each(|next| self.all_from(next, rest, found));
            }
            Step::Index(index) => {
                let next = self.element(at, *index);
                next.into_iter().for_each(|next| self.all_from(next, rest, found));
            }
            Step::Each | Step::Glob(_) => {
                let wanted = if matches!(step, Step::Each) { Kind::Array } else { Kind::Object };
                if self.kind(at) != wanted {
                    return;
                }
                let mut child = self.first(at);
                if let Step::Glob(glob) = step
                    && let Some((first, mut bits)) = self.known_fits(at, glob)
                {
                    while bits != 0 {
                        let here = first.wrapping_add(bits.trailing_zeros());
                        if self.node(here).is_some_and(|member| !member.has(REMOVED)) {
                            self.all_from(Place(here), rest, found);
                        }
                        bits &= bits - 1;
                    }
                    return;
                }
                while let Some(here) = child {
                    let fits = match step {
                        Step::Glob(glob) => self.fits_glob(here, glob),
                        _ => true,
                    };
                    if fits {
                        self.all_from(here, rest, found);
                    }
                    child = self.next(here);
                }
            }
        }
    }

    /// The member of an object with this key.
    #[inline]
    pub(crate) fn member(&mut self, object: Place, key: &Key) -> Option<Place> {
        let node = self.node(object.0)?;
        if node.kind != Kind::Object || !(node.has(EXPANDED) || self.expand(object)) {
            return None;
        }
        let list = self.list(self.node(object.0)?)?;
        if list.filter & filter_bit(key.hash) == 0 {
            return None;
        }
        let (first, count, shape) = (list.first, list.count, list.shape);
        let guess = key.guess.get();
        if guess < count {
            let number = first.wrapping_add(guess);
            if let Some(member) = self.node(number) {
                if shape != NONE && shape == key.shape.get() && !member.has(REMOVED | NEW_KEY) {
                    return Some(Place(number));
                }
                if !member.has(REMOVED) && self.is_key(member, key.hash, &key.bytes) {
                    if !member.has(NEW_KEY) {
                        key.shape.set(shape);
                    }
                    return Some(Place(number));
                }
            }
        }
        let found = self.search(object, key.hash, &key.bytes)?;
        let ordinal = found.0.wrapping_sub(first);
        if ordinal < count {
            key.guess.set(ordinal);
            let is_new = self.node(found.0).is_none_or(|member| member.has(NEW_KEY));
            key.shape.set(if is_new { NONE } else { shape });
        }
        Some(found)
    }

    /// Whether an object may have a key twice. Without walking it first, the answer is no.
    #[must_use]
    pub fn may_repeat_keys(&self, object: Place) -> bool {
        self.node(object.0).is_some_and(|node| node.has(DUPLICATES))
    }

    /// The member of an object with a key that is known only now.
    pub fn find(&mut self, object: Place, key: &[u8]) -> Option<Place> {
        if self.kind(object) != Kind::Object || !self.expand(object) {
            return None;
        }
        let list = self.list(self.node(object.0)?)?;
        let hash = hash(key);
        if list.filter & filter_bit(hash) == 0 { None } else { self.search(object, hash, key) }
    }

    /// Looks for a key among the members of an object that is expanded.
    fn search(&mut self, object: Place, hash: u32, key: &[u8]) -> Option<Place> {
        let list = self.list(self.node(object.0)?)?;
        if list.total > MAX_SCANNED {
            return self.search_index(object, key);
        }
        let mut number = list.first;
        while let Some(member) = self.node(number) {
            if member.hash == hash && !member.has(REMOVED) && self.is_key(member, hash, key) {
                return Some(Place(number));
            }
            number = member.next;
        }
        None
    }

    #[inline]
    pub(crate) fn is_key(&self, member: &Node, hash: u32, key: &[u8]) -> bool {
        if member.hash != hash {
            return false;
        }
        let inner = self.bytes(member.key, member.key_origin);
        if !member.has(ESCAPED) {
            return same(inner, key);
        }
        let mut plain = Vec::with_capacity(inner.len());
        wattle_json::unescape_lossy(inner, &mut plain);
        plain == key
    }

    pub(crate) fn element(&mut self, array: Place, index: usize) -> Option<Place> {
        if self.kind(array) != Kind::Array {
            return None;
        }
        let mut child = self.first(array);
        for _ in 0..index {
            child = self.next(child?);
        }
        child
    }

    /// The first member of an object, or the first element of an array.
    pub fn first(&mut self, container: Place) -> Option<Place> {
        if !self.expand(container) {
            return None;
        }
        self.living(self.list(self.node(container.0)?)?.first)
    }

    /// The next member or element.
    #[must_use]
    pub fn next(&self, child: Place) -> Option<Place> {
        self.living(self.node(child.0)?.next)
    }

    /// The first of this child and its later siblings that is not removed.
    fn living(&self, mut number: u32) -> Option<Place> {
        while let Some(node) = self.node(number) {
            if !node.has(REMOVED) {
                return Some(Place(number));
            }
            number = node.next;
        }
        None
    }

    /// Whether a step of a path leads to this child, which is number `index` of its siblings.
    pub fn fits(&mut self, child: Place, index: usize, step: &Step) -> bool {
        let Some(parent) = self.parent(child) else { return false };
        match (step, self.kind(parent)) {
            (Step::Key(key), Kind::Object) => {
                self.node(child.0).is_some_and(|member| self.is_key(member, key.hash, &key.bytes))
            }
            (Step::Glob(glob), Kind::Object) => self.fits_glob(child, glob),
            (Step::Index(wanted), Kind::Array) => *wanted == index,
            (Step::Each, Kind::Array) => true,
            _ => false,
        }
    }

    /// The number of the first member, and which members from there on fit, as bits, if the shape of an object says this.
    fn known_fits(&mut self, object: Place, glob: &Glob) -> Option<(u32, u64)> {
        let list = *self.list(self.node(object.0)?)?;
        if list.shape == NONE || list.has_new_keys || list.count > u64::BITS {
            return None;
        }
        let (shape, mut fits) = glob.known.get();
        if shape != list.shape {
            fits = 0;
            for number in 0..list.count {
                fits |= u64::from(self.fits_glob(Place(list.first.wrapping_add(number)), glob)) << number;
            }
            glob.known.set((list.shape, fits));
        }
        Some((list.first, fits))
    }

    fn fits_glob(&mut self, member: Place, glob: &Glob) -> bool {
        match self.node(member.0) {
            Some(node) if !node.has(ESCAPED) => glob.fits(self.bytes(node.key, node.key_origin)),
            _ => self.with_key(member, |key| glob.fits(key)),
        }
    }

    /// The container of a value; none for a document.
    #[must_use]
    pub fn parent(&self, place: Place) -> Option<Place> {
        self.node(place.0).map(|node| node.parent).filter(|parent| *parent != NONE).map(Place)
    }

    /// The unescaped key of a member; empty for an element. `memory` is for keys with escapes.
    pub fn key<'a>(&'a self, member: Place, memory: &'a mut Vec<u8>) -> &'a [u8] {
        let Some(node) = self.node(member.0) else { return &[] };
        let inner = self.bytes(node.key, node.key_origin);
        if !node.has(ESCAPED) {
            return inner;
        }
        memory.clear();
        wattle_json::unescape_lossy(inner, memory);
        memory
    }

    /// Calls back with the unescaped key of a member.
    fn with_key<T>(&mut self, member: Place, then: impl FnOnce(&[u8]) -> T) -> T {
        let mut memory = std::mem::take(&mut self.memory);
        let result = then(self.key(member, &mut memory));
        self.memory = memory;
        result
    }
}
