//! The open windows.
//!
//! Time is cut into panes as long as a slide; a window is `length / slide` of them. An event is in one pane and so in all
//! windows that contain it. A window is made once when it closes. It can also be made early, in parts: a part has the
//! events that are in no earlier part, so the sum of its parts is the window, and nothing is lost however often that
//! happens. Therefore a pane remembers up to which end of a window it is in events already.

use std::borrow::Cow;
use std::collections::BTreeMap;

use hashbrown::HashTable;
use wattle_snapshot::{Damaged, Reader, Writer, align, hash};

use crate::definition::Definition;
use crate::event::{Made, write};
use crate::function::{Missed, State};
use crate::options::OnFull;
use crate::pane::{Group, MAX_KEY_BYTES, Pane, lowest, merge_states, new_bytes};

/// Bytes of events after which a call makes no further window. The next call goes on.
const CHUNK: usize = 2 << 20;

/// What bounds the windows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) max_keys: usize,
    pub(crate) max_bytes: usize,
    pub(crate) on_full: OnFull,
}

/// Where an event belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// All of its windows are closed.
    Late,
    /// Some of its windows are closed.
    LateInPart,
    Open,
}

/// The open windows of a definition.
#[derive(Debug)]
pub(crate) struct Windows {
    pub(crate) definition: Definition,
    limits: Limits,
    /// By start, and by the end of the last window that has been made of the pane; `i64::MIN` for none.
    panes: BTreeMap<(i64, i64), Pane>,
    /// How many parts of the window with this end have been made early.
    parts: BTreeMap<i64, u32>,
    /// The time of the newest event.
    newest: i64,
    /// Windows with this end or an earlier one are closed.
    watermark: i64,
    groups: usize,
    bytes: usize,
    pub(crate) missed: Missed,
    /// How often all windows were made early because they were too large.
    pub(crate) early: u64,
}

impl Windows {
    pub(crate) const fn new(definition: Definition, limits: Limits) -> Self {
        Self {
            definition,
            limits,
            panes: BTreeMap::new(),
            parts: BTreeMap::new(),
            newest: i64::MIN,
            watermark: i64::MIN,
            groups: 0,
            bytes: 0,
            missed: Missed { not_a_number: 0, too_long: 0, list_full: 0 },
            early: 0,
        }
    }

    pub(crate) const fn watermark(&self) -> i64 {
        self.watermark
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.panes.is_empty()
    }

    /// Where an event of this time belongs.
    pub(crate) fn fate(&self, time: i64) -> Fate {
        let start = align(time, self.definition.slide);
        if start.saturating_add(self.definition.length) <= self.watermark {
            Fate::Late
        } else if start.saturating_add(self.definition.slide) <= self.watermark {
            Fate::LateInPart
        } else {
            Fate::Open
        }
    }

    /// Adds an event of an open window; `add` updates the values of its group and returns by how many bytes they grew.
    /// Returns whether the event was counted for the key `other`.
    pub(crate) fn update(
        &mut self,
        time: i64,
        (key, other): (&[u8], &[u8]),
        made: &mut Made,
        add: impl FnOnce(&mut [State], &mut Missed) -> usize,
    ) -> bool {
        self.newest = self.newest.max(time);
        let start = align(time, self.definition.slide);
        // A closed window must not get a further part.
        let closed = align(self.watermark, self.definition.slide);
        let at = (start, if closed > start { closed } else { i64::MIN });
        let own = hash(0, key);
        let mut is_other = key.len() > MAX_KEY_BYTES;
        let (mut key, mut key_hash) = if is_other { (other, hash(0, other)) } else { (key, own) };
        let known = self.panes.get(&at).and_then(|pane| pane.find(key_hash, key));
        let place = match known {
            Some(place) => place,
            None => {
                let is_full = self.groups >= self.limits.max_keys
                    || self.bytes + new_bytes(&self.definition, key) > self.limits.max_bytes;
                if is_full && self.limits.on_full == OnFull::Flush {
                    self.flush(made);
                    self.early += 1;
                } else if is_full && key != other {
                    (key, key_hash, is_other) = (other, hash(0, other), true);
                }
                let pane = self.panes.entry(at).or_default();
                pane.find(key_hash, key).unwrap_or_else(|| {
                    let before = pane.bytes;
                    let place = pane.insert(key_hash, key, &self.definition);
                    self.groups += 1;
                    self.bytes += pane.bytes - before;
                    place
                })
            }
        };
        if let Some(pane) = self.panes.get_mut(&at)
            && let Some(group) = pane.groups.get_mut(place)
        {
            if is_other {
                group.stands_for = lowest(group.stands_for, Some(own));
            }
            let grown = add(&mut group.states, &mut self.missed);
            if !self.definition.is_sliding() {
                pane.bytes += grown;
                self.bytes += grown;
                if grown > 0 && self.bytes > self.limits.max_bytes {
                    self.flush(made);
                    self.early += 1;
                }
            }
        }
        is_other
    }

    /// Closes the windows that end at `watermark` or before, and makes their events.
    pub(crate) fn close(&mut self, watermark: i64, made: &mut Made) {
        self.watermark = self.watermark.max(watermark);
        if self.make(self.watermark, Some(CHUNK), made) {
            self.parts = self.parts.split_off(&self.watermark.saturating_add(1));
        }
    }

    /// Closes the windows that end this long before the newest event.
    pub(crate) fn close_behind_newest(&mut self, lateness: i64, made: &mut Made) {
        self.close(self.newest.saturating_sub(lateness), made);
    }

    /// Makes a part of all windows that end at `until` or before.
    pub(crate) fn make_until(&mut self, until: i64, made: &mut Made) {
        self.make(until, Some(CHUNK), made);
    }

    /// Makes a part of all windows.
    pub(crate) fn flush(&mut self, made: &mut Made) {
        self.make(i64::MAX, None, made);
    }

    /// Makes the windows that end at `until` or before, the earliest first, until the events have more than `max` bytes.
    /// Returns whether no such window is left.
    fn make(&mut self, until: i64, max: Option<usize>, made: &mut Made) -> bool {
        let begin = made.bytes;
        loop {
            let ends = self.panes.keys().map(|(start, done)| self.next_end(*start, *done));
            let Some(end) = ends.min().filter(|end| *end <= until) else { return true };
            if max.is_some_and(|max| made.bytes - begin > max) {
                return false;
            }
            self.make_window(end, made);
        }
    }

    /// The end of the first window of a pane that has not been made of it.
    fn next_end(&self, start: i64, done: i64) -> i64 {
        start.max(done).saturating_add(self.definition.slide)
    }

    fn make_window(&mut self, end: i64, made: &mut Made) {
        let start = end.saturating_sub(self.definition.length);
        let keys: Vec<_> = self.panes.range((start, i64::MIN)..(end, i64::MIN)).map(|(key, _)| *key).collect();
        let taken = keys.into_iter().filter(|(_, done)| *done < end);
        let mut panes: Vec<_> = taken.filter_map(|key| Some((key, self.panes.remove(&key)?))).collect();
        // In the order of time: of two panes with one start, that which is in an event already has the older events.
        panes.sort_by_key(|((start, done), _)| (*start, std::cmp::Reverse(*done)));
        let part = self.parts.get(&end).map_or(1, |parts| parts.saturating_add(1));
        if end > self.watermark {
            self.parts.insert(end, part);
        }
        for (group, states, stands_for) in merged(&panes, &self.definition, &mut self.missed) {
            let id = self.definition.id(start, &group.key, part, stands_for);
            write(&self.definition, (&group.key, &states), (start, end), (&id, part), made);
        }
        for ((start, _), pane) in panes {
            self.groups -= pane.groups.len();
            self.bytes -= pane.bytes;
            if end < start.saturating_add(self.definition.length) {
                self.put(start, end, pane);
            }
        }
    }

    /// Adds a pane.
    fn put(&mut self, start: i64, done: i64, pane: Pane) {
        let known = self.panes.entry((start, done)).or_default();
        self.groups -= known.groups.len();
        self.bytes -= known.bytes;
        known.merge(pane, &self.definition, &mut self.missed);
        self.groups += known.groups.len();
        self.bytes += known.bytes;
    }
}

/// A group of one or several panes, with all of its values.
type Merged<'a> = (&'a Group, Cow<'a, [State]>, Option<u64>);

/// The groups of several panes, in the order of their keys.
fn merged<'a>(panes: &'a [((i64, i64), Pane)], definition: &Definition, missed: &mut Missed) -> Vec<Merged<'a>> {
    let mut all: Vec<Merged<'_>> = Vec::new();
    let mut places: HashTable<usize> = HashTable::new();
    for group in panes.iter().flat_map(|(_, pane)| &pane.groups) {
        let is_it = |place: &usize| all.get(*place).is_some_and(|(known, ..)| known.key == group.key);
        let known = if panes.len() > 1 { places.find(group.hash(), is_it).copied() } else { None };
        match known.and_then(|place| all.get_mut(place)) {
            Some((_, states, stands_for)) => {
                merge_states(definition, states.to_mut(), &group.states, missed);
                *stands_for = lowest(*stands_for, group.stands_for);
            }
            None => {
                if panes.len() > 1 {
                    let hash_of = |place: &usize| all.get(*place).map_or(0, |(group, ..)| group.hash());
                    places.insert_unique(group.hash(), all.len(), hash_of);
                }
                all.push((group, Cow::Borrowed(&group.states), group.stands_for));
            }
        }
    }
    all.sort_unstable_by_key(|(group, ..)| &*group.key);
    all
}

/// Snapshots.
impl Windows {
    /// Appends the windows to a snapshot.
    pub(crate) fn save(&self, to: &mut Writer) {
        to.bytes(&self.definition.bytes);
        to.signed(self.newest);
        to.signed(self.watermark);
        to.size(self.parts.len());
        for (end, parts) in &self.parts {
            to.signed(*end);
            to.number((*parts).into());
        }
        to.size(self.panes.len());
        for ((start, done), pane) in &self.panes {
            to.signed(*start);
            to.signed(*done);
            pane.save(to);
        }
    }

    /// Takes windows from a snapshot.
    pub(crate) fn restore(limits: Limits, from: &mut Reader<'_>) -> Result<Self, Damaged> {
        let mut windows = Self::new(Definition::restore(from.bytes()?)?, limits);
        windows.newest = from.signed()?;
        windows.watermark = from.signed()?;
        for _ in 0..from.size(2)? {
            let end = from.signed()?;
            windows.parts.insert(end, u32::try_from(from.number()?).map_err(|_| Damaged)?);
        }
        let slide = windows.definition.slide;
        for _ in 0..from.size(3)? {
            let (start, done) = (from.signed()?, from.signed()?);
            let is_done = start.checked_add(windows.definition.length).is_none_or(|end| done >= end);
            if is_done || align(start, slide) != start || (done != i64::MIN && align(done, slide) != done) {
                return Err(Damaged);
            }
            let pane = Pane::restore(&windows.definition, from)?;
            windows.put(start, done, pane);
        }
        Ok(windows)
    }

    /// Adds the windows of another instance with the same definition.
    pub(crate) fn merge(&mut self, other: Self) {
        self.newest = self.newest.max(other.newest);
        self.watermark = self.watermark.max(other.watermark);
        for (end, parts) in other.parts {
            let known = self.parts.entry(end).or_default();
            *known = parts.max(*known);
        }
        for ((start, done), pane) in other.panes {
            self.put(start, done, pane);
        }
    }
}
