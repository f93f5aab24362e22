//! Which messages are delivered, and so which offsets can be committed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A partition of a topic.
pub(super) type Key = (Arc<str>, i32);

/// The offset to commit for a partition: that of the first message which is not delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Commit {
    pub(super) key: Key,
    pub(super) offset: i64,
    /// Epoch of the leader that had the message before; -1 if unknown.
    pub(super) leader_epoch: i32,
    /// Which pass of the partition it belongs to.
    pass: u64,
}

/// The partitions that this member has.
#[derive(Debug, Default)]
pub(super) struct Offsets {
    partitions: HashMap<Key, Partition>,
    assignments: u64,
}

#[derive(Debug)]
struct Partition {
    /// Number of the assignment. A partition can leave and come back while its batches are in flight.
    assignment: u64,
    /// Counts how often reading went back, since offsets then begin again: the topic was deleted and created again, or lost
    /// messages.
    pass: u64,
    /// Every message before this offset is delivered; `None` before the first one is known.
    done_to: Option<i64>,
    /// The offset after the last message that was read.
    read_to: Option<i64>,
    leader_epoch: i32,
    committed: Option<i64>,
    /// Batches that are not part of that yet, by their first offset.
    parts: BTreeMap<i64, Part>,
    /// Another member gets the partition, so nothing more of it is sent.
    is_leaving: bool,
}

#[derive(Debug)]
struct Part {
    pass: u64,
    next: i64,
    leader_epoch: i32,
    is_done: bool,
}

/// A batch of consecutive messages of a partition.
#[derive(Clone, Debug)]
pub(super) struct Range {
    pub(super) key: Key,
    /// Number of the assignment in which it was read.
    pub(super) assignment: u64,
    pass: u64,
    pub(super) first: i64,
}

impl Offsets {
    /// This member got a partition.
    pub(super) fn assign(&mut self, key: Key) {
        self.assignments += 1;
        let partition = Partition {
            assignment: self.assignments,
            pass: 0,
            done_to: None,
            read_to: None,
            leader_epoch: -1,
            committed: None,
            parts: BTreeMap::new(),
            is_leaving: false,
        };
        self.partitions.insert(key, partition);
    }

    /// The partition will move to another member.
    pub(super) fn leave(&mut self, key: &Key) {
        if let Some(partition) = self.partitions.get_mut(key) {
            partition.is_leaving = true;
        }
    }

    /// The partition was revoked.
    pub(super) fn forget(&mut self, key: &Key) {
        self.partitions.remove(key);
    }

    /// All partitions were revoked.
    pub(super) fn forget_all(&mut self) {
        self.partitions.clear();
    }

    /// Where reading a partition begins, unless a batch of it came before.
    pub(super) fn start_at(&mut self, key: &Key, offset: i64) {
        if let Some(partition) = self.partitions.get_mut(key) {
            partition.done_to.get_or_insert(offset);
        }
    }

    /// The partitions for which it is not known where reading begins.
    pub(super) fn without_start(&self) -> Vec<Key> {
        let unknown = self.partitions.iter().filter(|(_, partition)| partition.done_to.is_none());
        unknown.map(|(key, _)| key.clone()).collect()
    }

    /// Begins a batch with the messages from `first` to before `next`. If these offsets were read before, the partition
    /// begins again, with the offset up to which it was read: offsets of an earlier pass name other messages.
    pub(super) fn begin(&mut self, key: Key, first: i64, next: i64, leader_epoch: i32) -> (Range, Option<i64>) {
        if !self.partitions.contains_key(&key) {
            self.assign(key.clone());
        }
        let (mut assignment, mut pass, mut went_back) = (0, 0, None);
        if let Some(partition) = self.partitions.get_mut(&key) {
            went_back = partition.read_to.max(partition.done_to).filter(|read_to| first < *read_to);
            if went_back.is_some() {
                partition.go_back(first);
            }
            partition.done_to.get_or_insert(first);
            partition.read_to = Some(next);
            if !partition.is_leaving {
                partition.parts.insert(first, Part { pass: partition.pass, next, leader_epoch, is_done: false });
            }
            (assignment, pass) = (partition.assignment, partition.pass);
        }
        (Range { key, assignment, pass, first }, went_back)
    }

    /// Whether the batch is still to be delivered by this member. Those of an earlier pass are: no offset leads back to them.
    pub(super) fn is_wanted(&self, range: &Range) -> bool {
        let partition = self.partitions.get(&range.key);
        partition.is_some_and(|partition| partition.assignment == range.assignment && !partition.is_leaving)
    }

    /// The events of a batch are acknowledged.
    pub(super) fn done(&mut self, range: &Range) {
        let Some(partition) = self.partition_of(range) else { return };
        if let Some(part) = partition.parts.get_mut(&range.first).filter(|part| part.pass == range.pass) {
            part.is_done = true;
        }
        while let Some(first) = partition.parts.first_entry().filter(|first| first.get().is_done) {
            let part = first.remove();
            partition.done_to = partition.done_to.max(Some(part.next));
            partition.leader_epoch = part.leader_epoch;
        }
    }

    /// The batch will not be sent, because the partition leaves or the source stops. Nothing after it can be committed.
    pub(super) fn abandon(&mut self, range: &Range) {
        let Some(partition) = self.partition_of(range) else { return };
        if partition.parts.get(&range.first).is_none_or(|part| part.pass != range.pass) {
            return;
        }
        partition.is_leaving = true;
        // The next reader of the partition reads what follows it again.
        partition.parts.retain(|first, _| *first < range.first);
    }

    fn partition_of(&mut self, range: &Range) -> Option<&mut Partition> {
        self.partitions.get_mut(&range.key).filter(|partition| partition.assignment == range.assignment)
    }

    /// Number of batches of these partitions that are not acknowledged.
    pub(super) fn outstanding(&self, keys: &[Key]) -> usize {
        let partitions = keys.iter().filter_map(|key| self.partitions.get(key));
        partitions.map(|partition| partition.parts.values().filter(|part| !part.is_done).count()).sum()
    }

    /// What is delivered and not committed, of one or of all partitions.
    pub(super) fn to_commit(&self, keys: Option<&[Key]>) -> Vec<Commit> {
        let is_meant = |key: &Key| keys.is_none_or(|keys| keys.contains(key));
        let all = self.partitions.iter().filter(|(key, _)| is_meant(key));
        let commit = |(key, partition): (&Key, &Partition)| {
            let offset = partition.done_to.filter(|_| partition.done_to != partition.committed)?;
            Some(Commit { key: key.clone(), offset, leader_epoch: partition.leader_epoch, pass: partition.pass })
        };
        all.filter_map(commit).collect()
    }

    /// The brokers have these offsets.
    pub(super) fn committed(&mut self, commits: &[Commit]) {
        for Commit { key, offset, pass, .. } in commits {
            if let Some(partition) = self.partitions.get_mut(key).filter(|partition| partition.pass == *pass) {
                partition.committed = Some(*offset);
            }
        }
    }

    /// Up to where a partition is delivered.
    pub(super) fn done_to(&self, key: &Key) -> Option<i64> {
        self.partitions.get(key)?.done_to
    }
}

impl Partition {
    /// Begins again with the message at an offset that was read before.
    fn go_back(&mut self, first: i64) {
        self.pass += 1;
        // What was read before it is still to be delivered. The rest does not count any more.
        self.parts.retain(|at, _| *at < first);
        self.parts.values_mut().for_each(|part| part.next = part.next.min(first));
        if self.done_to.is_some_and(|done_to| done_to > first) {
            (self.done_to, self.leader_epoch) = (Some(first), -1);
        }
        self.committed = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(partition: i32) -> Key {
        ("t".into(), partition)
    }

    fn offsets(commits: &[Commit]) -> Vec<(i32, i64)> {
        let mut found: Vec<(i32, i64)> = commits.iter().map(|commit| (commit.key.1, commit.offset)).collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn a_commit_never_passes_a_batch_that_is_not_done() {
        let mut all = Offsets::default();
        all.assign(key(0));
        let ranges: Vec<Range> =
            [(10, 20), (20, 30), (35, 40)].map(|(first, next)| all.begin(key(0), first, next, 7).0).into();
        assert_eq!(offsets(&all.to_commit(None)), [(0, 10)], "where reading began");
        all.done(&ranges[2]);
        all.done(&ranges[1]);
        assert_eq!(offsets(&all.to_commit(None)), [(0, 10)]);
        assert_eq!(all.outstanding(&[key(0)]), 1);
        all.done(&ranges[0]);
        let commits = all.to_commit(None);
        assert_eq!((offsets(&commits), commits[0].leader_epoch), (vec![(0, 40)], 7));
        all.committed(&commits);
        assert!(all.to_commit(None).is_empty());
    }

    #[test]
    fn random_orders_of_acknowledgements_commit_exactly_the_delivered_prefix() {
        let mut random = fastrand::Rng::with_seed(21);
        for _ in 0..200 {
            let mut all = Offsets::default();
            all.assign(key(0));
            let mut at = 0;
            let mut ranges = Vec::new();
            for _ in 0..random.usize(1..12) {
                let first = at + random.i64(0..3);
                at = first + random.i64(1..5);
                ranges.push((all.begin(key(0), first, at, 0).0, at, false));
            }
            let start = ranges[0].0.first;
            let mut order: Vec<usize> = (0..ranges.len()).collect();
            random.shuffle(&mut order);
            for index in order {
                all.done(&ranges[index].0);
                ranges[index].2 = true;
                let prefix = ranges.iter().take_while(|(.., done)| *done).last().map_or(start, |(_, next, _)| *next);
                assert_eq!(all.done_to(&key(0)), Some(prefix));
            }
        }
    }

    #[test]
    fn acknowledgements_of_an_earlier_assignment_count_for_nothing() {
        let mut all = Offsets::default();
        all.assign(key(0));
        let old = all.begin(key(0), 0, 5, 0).0;
        all.leave(&key(0));
        assert!(!all.is_wanted(&old));
        all.forget(&key(0));
        all.assign(key(0));
        let new = all.begin(key(0), 0, 3, 0).0;
        all.done(&old);
        assert_eq!(offsets(&all.to_commit(None)), [(0, 0)]);
        assert!(all.is_wanted(&new) && !all.is_wanted(&old));
    }

    #[test]
    fn nothing_is_committed_by_the_next_consumer_of_partitions_that_it_does_not_have() {
        let mut all = Offsets::default();
        [key(0), key(1)].into_iter().for_each(|key| all.assign(key));
        let old = [all.begin(key(0), 0, 5, 0).0, all.begin(key(1), 0, 5, 0).0];
        all.forget_all();
        all.assign(key(1));
        old.iter().for_each(|range| all.done(range));
        assert!(old.iter().all(|range| !all.is_wanted(range)));
        assert!(all.to_commit(None).is_empty());
    }

    #[test]
    fn nothing_is_committed_after_a_batch_that_was_abandoned() {
        let mut all = Offsets::default();
        all.assign(key(0));
        let ranges: Vec<Range> =
            [(0, 1), (1, 2), (2, 3)].map(|(first, next)| all.begin(key(0), first, next, 0).0).into();
        all.abandon(&ranges[1]);
        all.done(&ranges[2]);
        all.done(&ranges[0]);
        assert_eq!(offsets(&all.to_commit(Some(&[key(0)]))), [(0, 1)]);
        assert_eq!(all.outstanding(&[key(0)]), 0);
        assert!(all.to_commit(Some(&[key(1)])).is_empty());
    }

    #[test]
    fn offsets_begin_again_when_reading_goes_back() {
        let mut all = Offsets::default();
        all.assign(key(0));
        let (old, late) = (all.begin(key(0), 0, 500, 3).0, all.begin(key(0), 500, 1000, 3).0);
        all.done(&old);
        let commits = all.to_commit(None);
        // The topic was deleted and created again while a batch of it was in flight.
        let (new, went_back) = all.begin(key(0), 0, 300, 0);
        assert_eq!(went_back, Some(1000));
        all.committed(&commits);
        assert_eq!(offsets(&all.to_commit(None)), [(0, 0)], "what the earlier pass committed counts for nothing");
        all.done(&late);
        assert!(all.is_wanted(&late), "its messages are not in the topic any more");
        assert_eq!(offsets(&all.to_commit(None)), [(0, 0)]);
        all.done(&new);
        let commits = all.to_commit(None);
        assert_eq!(offsets(&commits), [(0, 300)]);
        all.committed(&commits);
        assert!(all.to_commit(None).is_empty());
    }

    #[test]
    fn a_truncated_log_replaces_what_was_read_and_not_delivered() {
        let mut all = Offsets::default();
        all.assign(key(0));
        let (first, second) = (all.begin(key(0), 0, 100, 0).0, all.begin(key(0), 100, 200, 0).0);
        let (again, went_back) = all.begin(key(0), 100, 150, 1);
        assert_eq!(went_back, Some(200));
        all.done(&again);
        assert_eq!(offsets(&all.to_commit(None)), [(0, 0)], "what was read before is not delivered yet");
        all.done(&first);
        assert_eq!(all.done_to(&key(0)), Some(150));
        let (third, _) = all.begin(key(0), 150, 160, 1);
        let (again, _) = all.begin(key(0), 150, 155, 1);
        all.done(&second);
        all.done(&third);
        assert_eq!(all.done_to(&key(0)), Some(150), "a batch of before does not end the one with the same offset");
        all.done(&again);
        assert_eq!(all.done_to(&key(0)), Some(155));
    }
}
