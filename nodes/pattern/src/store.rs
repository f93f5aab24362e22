//! The patterns of all groups: found by their text or id, bounded, the one unused for longest first to leave.

mod groups;
mod lru;

use crate::tree::{FastMap, NodeId, Shape, Trees};
use crate::words::{self, WILD, Words};

pub(crate) use groups::{Counts, Group, GroupId, Groups};
use lru::Lru;

/// How many earlier ids of a pattern a report has.
const MAX_FORMER: usize = 16;
/// Number of texts that [`Store::find`] remembers; a power of two.
const RECENT: usize = 4096;
/// Maximum number of patterns of a leaf, since a text is compared with all of them.
const MAX_LEAF: usize = 256;

/// A pattern: its template, and what was seen of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pattern {
    pub(crate) group: GroupId,
    /// Rises from pattern to pattern.
    pub(crate) number: u64,
    /// When it was used last, as a number that rises with each use of any pattern.
    pub(crate) used: u64,
    /// Where the tree has it; `None` for one from a template of the user, which is not in the tree.
    pub(crate) leaf: Option<NodeId>,
    /// The template.
    pub(crate) text: Box<str>,
    /// The hash of each word of the template.
    pub(crate) words: Box<[u64]>,
    /// The hash of the template.
    pub(crate) id: u64,
    /// Whether it existed before this interval.
    pub(crate) is_known: bool,
    /// Time of its first event.
    pub(crate) known_since: Option<i64>,
    pub(crate) seen: Seen,
}

impl Pattern {
    /// Adds what was seen of another pattern with the same template.
    fn merge(&mut self, other: Self) {
        self.is_known |= other.is_known;
        self.known_since = self.known_since.into_iter().chain(other.known_since).min();
        self.seen.merge(other.seen);
    }
}

/// What was seen of a pattern in this interval.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Seen {
    pub(crate) count: u64,
    pub(crate) first: Option<i64>,
    pub(crate) last: Option<i64>,
    /// Earlier ids, the latest last.
    pub(crate) former: Vec<u64>,
    /// The first masked text.
    pub(crate) sample: Box<str>,
}

impl Seen {
    /// Counts an event.
    pub(crate) fn add(&mut self, time: i64) {
        self.count += 1;
        self.first = Some(self.first.map_or(time, |first| first.min(time)));
        self.last = Some(self.last.map_or(time, |last| last.max(time)));
    }

    fn former(&mut self, id: u64) {
        self.former.retain(|known| *known != id);
        if self.former.len() >= MAX_FORMER {
            self.former.remove(0);
        }
        self.former.push(id);
    }

    /// Adds what was seen of the same pattern elsewhere.
    fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.first = self.first.into_iter().chain(other.first).min();
        self.last = self.last.max(other.last);
        other.former.into_iter().for_each(|id| self.former(id));
        if self.sample.is_empty() {
            self.sample = other.sample;
        }
    }
}

/// Settings of the store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) shape: Shape,
    pub(crate) similarity: f64,
    pub(crate) max_patterns: usize,
    pub(crate) max_groups: usize,
}

/// The patterns of all groups.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    limits: Limits,
    pub(crate) groups: Groups,
    slots: Vec<Option<Pattern>>,
    lru: Lru,
    by_id: FastMap<(GroupId, u64), u32>,
    trees: Trees,
    next_number: u64,
    last_use: u64,
    /// Hash of group and masked text, slot, and version, of texts whose search had this result.
    recent: Vec<(u64, u32, u64)>,
    /// Rises with each change of a template or a tree, which makes `recent` invalid.
    version: u64,
    /// Patterns and their events of this interval that left for want of room.
    pub(crate) evicted: Evicted,
}

/// What left for want of room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Evicted {
    pub(crate) patterns: u64,
    pub(crate) events: u64,
}

impl Store {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            groups: Groups::default(),
            slots: Vec::new(),
            lru: Lru::default(),
            by_id: FastMap::default(),
            trees: Trees::new(limits.shape),
            next_number: 0,
            last_use: 0,
            recent: vec![(0, 0, 0); RECENT],
            version: 1,
            evicted: Evicted::default(),
        }
    }

    /// The group of this name, which is made if it is missing.
    pub(crate) fn group(&mut self, name: &[u8]) -> GroupId {
        if let Some(id) = self.groups.find(name) {
            return id;
        }
        if self.groups.len() >= self.limits.max_groups
            && let Some(oldest) = self.groups.oldest()
        {
            self.remove_group(oldest);
        }
        let root = self.trees.add_root();
        self.groups.add(name, root)
    }

    fn remove_group(&mut self, group: GroupId) {
        let slots = self.slots.iter().enumerate();
        let of_group = slots.filter(|(_, slot)| slot.as_ref().is_some_and(|pattern| pattern.group == group));
        let slots: Vec<u32> = of_group.filter_map(|(slot, _)| u32::try_from(slot).ok()).collect();
        for slot in slots {
            self.evict(slot);
        }
        self.drop_group(group);
    }

    fn drop_group(&mut self, group: GroupId) {
        if let Some(root) = self.groups.remove(group) {
            self.trees.remove_root(root);
        }
    }

    /// Begins to count from zero, without the groups that have no patterns, such as those of which no event had a text.
    pub(crate) fn begin_interval(&mut self) {
        self.groups.clear_counts();
        for group in self.groups.empty() {
            self.drop_group(group);
        }
    }

    /// The pattern in a slot.
    pub(crate) fn get(&self, slot: u32) -> Option<&Pattern> {
        self.slots.get(slot as usize)?.as_ref()
    }

    /// The pattern in a slot, whose template must not change.
    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut Pattern> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    /// The patterns, the one unused for longest first.
    pub(crate) fn by_use(&self) -> impl Iterator<Item = &Pattern> {
        self.lru.iter().filter_map(|slot| self.get(slot))
    }

    /// The slots of all patterns in the order in which they were found.
    pub(crate) fn by_age(&self) -> Vec<u32> {
        let mut slots: Vec<u32> = self.lru.iter().collect();
        slots.sort_unstable_by_key(|slot| self.get(*slot).map(|pattern| pattern.number));
        slots
    }

    /// Number of patterns.
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// The result of the last search for this text, if nothing has changed since.
    pub(crate) fn remembered(&mut self, key: u64) -> Option<u32> {
        let (known, slot, version) = *self.recent.get(place(key))?;
        (known == key && version == self.version).then_some(slot)
    }

    /// Remembers that a search for this text had this result.
    pub(crate) fn remember(&mut self, key: u64, slot: u32) {
        if let Some(recent) = self.recent.get_mut(place(key)) {
            *recent = (key, slot, self.version);
        }
    }

    /// Marks a pattern as used.
    pub(crate) fn touch(&mut self, slot: u32) {
        self.lru.touch(slot);
        self.last_use += 1;
        let now = self.last_use;
        if let Some(pattern) = self.get_mut(slot) {
            pattern.used = now;
        }
    }

    /// The pattern of a template of the user in a group, which is made if it is missing.
    pub(crate) fn seeded(&mut self, group: GroupId, text: &str, id: u64) -> Option<u32> {
        if let Some(slot) = self.by_id.get(&(group, id)) {
            return Some(*slot);
        }
        self.add(group, text, None)
    }

    /// Finds the pattern of a text, and changes its template to fit the text; or makes one of it. The words must not be
    /// empty.
    pub(crate) fn learn(&mut self, group: GroupId, words: &mut Words) -> Option<u32> {
        let root = self.groups.get(group)?.root;
        let count = words.hashes().len();
        let (mut best, mut best_score) = (None, (0, 0, std::cmp::Reverse(u64::MAX)));
        for slot in self.trees.find(root, count, words::branches(words.text())) {
            let Some(pattern) = self.get(*slot) else { continue };
            let (mut same, mut wild) = (0_usize, 0_usize);
            for (template, word) in pattern.words.iter().zip(words.known_hashes()) {
                wild += usize::from(*template == WILD);
                same += usize::from(*template == *word && *template != WILD);
            }
            // As in Drain: of equally similar templates, the one with more wildcards; of these, the oldest.
            let score = (same, wild, std::cmp::Reverse(pattern.number));
            if best.is_none() || score > best_score {
                (best, best_score) = (Some(*slot), score);
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "numbers of words of a text")]
        let is_similar = best_score.0 as f64 / count as f64 >= self.limits.similarity;
        match best.filter(|_| is_similar) {
            Some(slot) => Some(self.generalize(slot, words)),
            None => {
                let text = String::from_utf8_lossy(words.text()).into_owned();
                self.add(group, &text, Some(&[]))
            }
        }
    }

    /// Turns the words of a template that differ from those of a text into wildcards. Returns the slot of the pattern,
    /// which is another one if its template then is the same.
    fn generalize(&mut self, slot: u32, words: &mut Words) -> u32 {
        let Some(pattern) = self.slots.get_mut(slot as usize).and_then(Option::as_mut) else { return slot };
        let hashes = words.known_hashes();
        if pattern.words.iter().zip(hashes).all(|(template, word)| *template == WILD || template == word) {
            return slot;
        }
        self.version += 1;
        let parts = pattern.text.split(' ').zip(pattern.words.iter().zip(hashes));
        let parts: Vec<&str> =
            parts.map(|(text, (template, word))| if template == word { text } else { words::WILDCARD }).collect();
        pattern.text = parts.join(" ").into();
        pattern.words = words::hashes(pattern.text.as_bytes()).collect();
        let (group, old) = (pattern.group, pattern.id);
        pattern.id = words::id(&pattern.text);
        pattern.seen.former(old);
        let new = pattern.id;
        self.by_id.remove(&(group, old));
        match self.by_id.get(&(group, new)).copied() {
            Some(other) => {
                self.absorb(other, slot);
                other
            }
            None => {
                self.by_id.insert((group, new), slot);
                slot
            }
        }
    }

    /// Moves what was seen of a pattern to another one with the same template. The entry in `by_id` is that of `into`.
    fn absorb(&mut self, into: u32, from: u32) {
        let Some(gone) = self.take(from) else { return };
        if let Some(pattern) = self.get_mut(into) {
            pattern.merge(gone);
        }
    }

    /// Adds a pattern with this template. `path` is where the tree has it: `None` for nowhere, empty for where the words
    /// lead.
    fn add(&mut self, group: GroupId, text: &str, path: Option<&[u64]>) -> Option<u32> {
        let (id, number) = (words::id(text), self.next_number);
        if let Some(known) = self.by_id.get(&(group, id)) {
            return Some(*known);
        }
        self.make_room();
        self.next_number += 1;
        let words = words::hashes(text.as_bytes()).collect();
        self.place(Pattern { group, number, text: text.into(), words, id, ..Pattern::default() }, path)
    }

    /// Puts a pattern in a slot, as the one used last.
    fn place(&mut self, mut pattern: Pattern, path: Option<&[u64]>) -> Option<u32> {
        let free = self.lru.add()?;
        let group = self.groups.get_mut(pattern.group)?;
        group.patterns += 1;
        let root = group.root;
        self.version += 1;
        self.by_id.insert((pattern.group, pattern.id), free);
        pattern.leaf = path.map(|path| match path {
            [] => {
                let branches = words::branches(pattern.text.as_bytes());
                self.trees.insert(root, pattern.words.len(), branches, free)
            }
            path => self.trees.insert_at(root, path, free),
        });
        self.last_use += 1;
        pattern.used = self.last_use;
        let (slot, leaf) = (free as usize, pattern.leaf);
        if self.slots.len() <= slot {
            self.slots.resize(slot + 1, None);
        }
        *self.slots.get_mut(slot)? = Some(pattern);
        let crowd = leaf.map_or(&[][..], |leaf| self.trees.patterns(leaf));
        if crowd.len() > MAX_LEAF {
            let oldest = crowd.iter().copied().min_by_key(|slot| self.get(*slot).map(|pattern| pattern.used));
            oldest.into_iter().for_each(|slot| self.evict(slot));
        }
        Some(free)
    }

    fn evict(&mut self, slot: u32) {
        let Some(gone) = self.take(slot) else { return };
        self.by_id.remove(&(gone.group, gone.id));
        self.evicted.patterns += 1;
        self.evicted.events += gone.seen.count;
        if let Some(group) = self.groups.get_mut(gone.group) {
            group.counts.evicted += gone.seen.count;
        }
    }

    /// Removes a pattern, but not its entry in `by_id`.
    fn take(&mut self, slot: u32) -> Option<Pattern> {
        let gone = self.slots.get_mut(slot as usize)?.take()?;
        self.version += 1;
        self.lru.remove(slot);
        if let Some(leaf) = gone.leaf {
            self.trees.remove(leaf, slot);
        }
        if let Some(group) = self.groups.get_mut(gone.group) {
            group.patterns -= 1;
        }
        Some(gone)
    }

    /// The keys from the root of its group to the leaf of a pattern; `None` for one that the tree does not have.
    pub(crate) fn path(&self, pattern: &Pattern) -> Option<Vec<u64>> {
        pattern.leaf.map(|leaf| self.trees.path(leaf))
    }

    /// The number of the next pattern.
    pub(crate) const fn next_number(&self) -> u64 {
        self.next_number
    }

    /// Adds what a snapshot has of a group, if there is room.
    pub(crate) fn restore_group(&mut self, saved: &Group) -> Option<GroupId> {
        let is_full = self.groups.len() >= self.limits.max_groups;
        if is_full && self.groups.find(&saved.name).is_none() {
            return None;
        }
        let id = self.group(&saved.name);
        let group = self.groups.get_mut(id)?;
        group.learned = group.learned.saturating_add(saved.learned);
        group.counts.merge(&saved.counts);
        Some(id)
    }

    /// Adds a pattern of a snapshot, as the one used last. `path` is from [`path`](Self::path), or empty if the trees had
    /// another shape. Without a group it counts as evicted.
    pub(crate) fn restore(&mut self, mut pattern: Pattern, group: Option<GroupId>, path: Option<&[u64]>) {
        let Some(group) = group else {
            self.evicted.patterns += 1;
            self.evicted.events += pattern.seen.count;
            return;
        };
        pattern.group = group;
        pattern.id = words::id(&pattern.text);
        pattern.words = words::hashes(pattern.text.as_bytes()).collect();
        if let Some(known) = self.by_id.get(&(group, pattern.id)).copied() {
            self.touch(known);
            if let Some(same) = self.get_mut(known) {
                same.merge(pattern);
            }
            return;
        }
        self.make_room();
        self.next_number = self.next_number.max(pattern.number.saturating_add(1));
        self.place(pattern, path);
    }

    /// Evicts patterns until one more fits.
    fn make_room(&mut self) {
        while self.len() >= self.limits.max_patterns
            && let Some(oldest) = self.lru.oldest()
        {
            self.evict(oldest);
        }
    }
}

fn place(key: u64) -> usize {
    usize::try_from(key % RECENT as u64).unwrap_or(0)
}
