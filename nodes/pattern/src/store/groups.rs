//! The groups, each with the root of its tree and its counts.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use crate::tree::{Fold, NodeId};

/// Number of a group.
pub(crate) type GroupId = u32;

/// A group.
#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    pub(crate) name: Box<[u8]>,
    pub(crate) root: NodeId,
    /// Number of its patterns.
    pub(crate) patterns: usize,
    /// Events from which its patterns were learned, as long as it warms up.
    pub(crate) learned: u64,
    pub(crate) counts: Counts,
    /// When it was used, as a number that rises with each use of any group.
    pub(crate) used: u64,
}

/// Events of a group in this interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) events: u64,
    /// Without a text.
    pub(crate) no_text: u64,
    /// Of no template of the user, where the node does not learn.
    pub(crate) unmatched: u64,
    /// From which the node only learned.
    pub(crate) warm_up: u64,
    /// Of patterns that left for want of room.
    pub(crate) evicted: u64,
}

impl Counts {
    /// Events that no pattern covers.
    pub(crate) const fn uncovered(&self) -> u64 {
        self.no_text + self.unmatched + self.warm_up + self.evicted
    }

    /// Adds the counts of another part of the same interval.
    pub(crate) const fn merge(&mut self, other: &Self) {
        self.events += other.events;
        self.no_text += other.no_text;
        self.unmatched += other.unmatched;
        self.warm_up += other.warm_up;
        self.evicted += other.evicted;
    }
}

/// The groups by number and name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Groups {
    groups: Vec<Option<Group>>,
    free: Vec<GroupId>,
    by_name: HashMap<Box<[u8]>, GroupId, BuildHasherDefault<Fold>>,
    last_use: u64,
}

impl Groups {
    /// Number of groups.
    pub(crate) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(crate) fn get(&self, id: GroupId) -> Option<&Group> {
        self.groups.get(id as usize)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, id: GroupId) -> Option<&mut Group> {
        self.groups.get_mut(id as usize)?.as_mut()
    }

    /// The group of this name; counts as a use.
    pub(crate) fn find(&mut self, name: &[u8]) -> Option<GroupId> {
        let id = *self.by_name.get(name)?;
        self.last_use += 1;
        let now = self.last_use;
        if let Some(group) = self.get_mut(id) {
            group.used = now;
        }
        Some(id)
    }

    /// Adds a group, whose name must be new.
    pub(crate) fn add(&mut self, name: &[u8], root: NodeId) -> GroupId {
        self.last_use += 1;
        let group = Group { name: name.into(), root, used: self.last_use, ..Group::default() };
        let id = self.free.pop().unwrap_or_else(|| {
            self.groups.push(None);
            u32::try_from(self.groups.len() - 1).unwrap_or(u32::MAX)
        });
        self.by_name.insert(name.into(), id);
        if let Some(slot) = self.groups.get_mut(id as usize) {
            *slot = Some(group);
        }
        id
    }

    /// Removes a group. Returns the root of its tree.
    pub(crate) fn remove(&mut self, id: GroupId) -> Option<NodeId> {
        let group = self.groups.get_mut(id as usize)?.take()?;
        self.by_name.remove(&group.name);
        self.free.push(id);
        Some(group.root)
    }

    /// Sets the counts of all groups to zero.
    pub(crate) fn clear_counts(&mut self) {
        self.groups.iter_mut().flatten().for_each(|group| group.counts = Counts::default());
    }

    /// The group unused for longest.
    pub(crate) fn oldest(&self) -> Option<GroupId> {
        self.by_name.values().copied().min_by_key(|id| self.get(*id).map(|group| group.used))
    }

    /// The groups without patterns.
    pub(crate) fn empty(&self) -> Vec<GroupId> {
        self.by_use().into_iter().filter(|id| self.get(*id).is_some_and(|group| group.patterns == 0)).collect()
    }

    /// The groups, the one unused for longest first.
    pub(crate) fn by_use(&self) -> Vec<GroupId> {
        let mut ids: Vec<GroupId> = self.by_name.values().copied().collect();
        ids.sort_unstable_by_key(|id| self.get(*id).map(|group| group.used));
        ids
    }

    /// The groups by name.
    pub(crate) fn by_name(&self) -> Vec<GroupId> {
        let mut ids: Vec<GroupId> = self.by_name.values().copied().collect();
        ids.sort_unstable_by(|a, b| self.get(*a).map(|group| &group.name).cmp(&self.get(*b).map(|group| &group.name)));
        ids
    }
}
