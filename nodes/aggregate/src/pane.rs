//! The groups of a span of time.

use hashbrown::HashTable;
use wattle_node::json;
use wattle_snapshot::{Damaged, Reader, Writer, hash};

use crate::definition::Definition;
use crate::function::{Function, Missed, State};

/// Bytes of the values of a key at most.
pub(crate) const MAX_KEY_BYTES: usize = 1024;

/// Ends a value in a key. It is not a byte of UTF-8.
pub(crate) const END: u8 = 0xff;

/// Bytes that a group takes without its key and its values: in memory, or as an event with its id.
const GROUP_BYTES: usize = 160;

/// A key and its values.
#[derive(Debug)]
pub(crate) struct Group {
    hash: u64,
    /// The JSON of each value of the key, each with [`END`] after it.
    pub(crate) key: Box<[u8]>,
    pub(crate) states: Box<[State]>,
    /// For the key `_other`: the lowest hash of the keys that are counted for it. Instances that share the keys of a node
    /// have different ones, so their events of one window have different ids.
    pub(crate) stands_for: Option<u64>,
}

impl Group {
    pub(crate) const fn hash(&self) -> u64 {
        self.hash
    }
}

/// The groups of a span of time, found by their keys.
#[derive(Debug, Default)]
pub(crate) struct Pane {
    places: HashTable<u32>,
    pub(crate) groups: Vec<Group>,
    /// Bytes of all groups.
    pub(crate) bytes: usize,
}

/// Bytes of a new group. In sliding windows it is the most that it can ever take, since they cannot be made early to have
/// place for what grows.
pub(crate) fn new_bytes(definition: &Definition, key: &[u8]) -> usize {
    let names = definition.by.iter().chain(definition.values.iter().map(|(name, _)| name));
    let names: usize = names.map(|name| name.len() + 4).sum();
    let bytes = if definition.is_sliding() { Function::max_bytes } else { Function::start_bytes };
    GROUP_BYTES + names + key.len() + definition.values.iter().map(|(_, function)| bytes(function)).sum::<usize>()
}

impl Pane {
    /// The place of the group with this key.
    pub(crate) fn find(&self, hash: u64, key: &[u8]) -> Option<usize> {
        let is_it = |place: &u32| self.groups.get(*place as usize).is_some_and(|group| *group.key == *key);
        self.places.find(hash, is_it).map(|place| *place as usize)
    }

    /// Adds a group that is not there yet. Returns its place.
    pub(crate) fn insert(&mut self, hash: u64, key: &[u8], definition: &Definition) -> usize {
        let states = definition.values.iter().map(|(_, function)| function.start()).collect();
        self.push(Group { hash, key: key.into(), states, stands_for: None }, new_bytes(definition, key))
    }

    fn push(&mut self, group: Group, bytes: usize) -> usize {
        let place = self.groups.len();
        let groups = &self.groups;
        let number = u32::try_from(place).unwrap_or(u32::MAX);
        self.places.insert_unique(group.hash, number, |known| {
            groups.get(*known as usize).map_or(group.hash, |group| group.hash)
        });
        self.groups.push(group);
        self.bytes += bytes;
        place
    }

    /// Adds the groups of a pane whose values are later.
    pub(crate) fn merge(&mut self, other: Self, definition: &Definition, missed: &mut Missed) {
        for group in other.groups {
            match self.find(group.hash, &group.key).and_then(|place| self.groups.get_mut(place)) {
                Some(known) => {
                    known.stands_for = lowest(known.stands_for, group.stands_for);
                    let grown = merge_states(definition, &mut known.states, &group.states, missed);
                    self.bytes += if definition.is_sliding() { 0 } else { grown };
                }
                None => {
                    let bytes = bytes_of(definition, &group);
                    self.push(group, bytes);
                }
            }
        }
    }

    /// Appends the groups to a snapshot.
    pub(crate) fn save(&self, to: &mut Writer) {
        to.size(self.groups.len());
        for group in &self.groups {
            to.bytes(&group.key);
            to.flag(group.stands_for.is_some());
            group.stands_for.iter().for_each(|hash| to.word(*hash));
            group.states.iter().for_each(|state| Function::save_state(state, to));
        }
    }

    /// Takes groups from a snapshot.
    pub(crate) fn restore(definition: &Definition, from: &mut Reader<'_>) -> Result<Self, Damaged> {
        let mut pane = Self::default();
        for _ in 0..from.size(1)? {
            let key = from.bytes()?;
            let hash = hash(0, key);
            if !is_key(definition, key) || pane.find(hash, key).is_some() {
                return Err(Damaged);
            }
            let stands_for = if from.flag()? { Some(from.word()?) } else { None };
            let states = definition.values.iter().map(|(_, function)| function.restore_state(from));
            let group = Group { hash, key: key.into(), states: states.collect::<Result<_, _>>()?, stands_for };
            let bytes = bytes_of(definition, &group);
            pane.push(group, bytes);
        }
        Ok(pane)
    }
}

/// Whether these are as many JSON values as the key has fields.
fn is_key(definition: &Definition, key: &[u8]) -> bool {
    let Some((&END, values)) = key.split_last() else { return key.is_empty() && definition.by.is_empty() };
    let mut count = 0;
    let are_json = values.split(|byte| *byte == END).all(|value| {
        count += 1;
        json::check(value, 512).is_ok()
    });
    are_json && count == definition.by.len()
}

fn bytes_of(definition: &Definition, group: &Group) -> usize {
    let grown: usize = group.states.iter().map(Function::grown_bytes).sum();
    new_bytes(definition, &group.key) + if definition.is_sliding() { 0 } else { grown }
}

/// The lower one of two hashes.
pub(crate) fn lowest(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    a.into_iter().chain(b).min()
}

/// Adds later values. Returns by how many bytes the states grew.
pub(crate) fn merge_states(
    definition: &Definition,
    states: &mut [State],
    others: &[State],
    missed: &mut Missed,
) -> usize {
    let pairs = definition.values.iter().zip(states).zip(others);
    pairs.map(|(((_, function), state), other)| function.merge(state, other, missed)).sum()
}
