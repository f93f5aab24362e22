//! Recovery of a disk buffer: for any content of its folder, opening works, deliveries are complete
//! and in order, missing events are accounted for, and the queue continues.

mod damage;
mod format;
mod memory;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arbitrary::Unstructured;
use wattle_buffer::disk::{BufferStats, DiskQueue, DiskSettings, Stored, open};

use self::format::{Found, header, records};
use self::memory::Memory;

/// Size limit of the queue that is damaged: a segment is an eighth of it and holds several records.
const SMALL: u64 = 8 << 10;
/// Size limit of the queue that is opened afterwards: it is never full.
const LARGE: u64 = 64 << 20;

/// A record: its number, and its number of additional bytes.
struct Item(u64, usize);

impl Stored for Item {
    fn events(&self) -> usize {
        1 + self.1 % 3
    }

    fn encoded_len(&self) -> usize {
        8 + self.1
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.0.to_le_bytes());
        // The content of events sometimes looks like records.
        out.extend(b"WREC".iter().cycle().take(self.1));
    }
}

fn settings(max_size: u64) -> DiskSettings {
    DiskSettings { name: "fuzz".into(), max_size, stats: Arc::default() }
}

fn load(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

/// Reads everything: the number of each delivery, and its content.
fn read_all(queue: &mut DiskQueue<Memory>) -> Vec<(u64, (u32, Vec<u8>))> {
    let mut all = Vec::new();
    while let Some(delivery) = queue.reader.read().expect("a folder in memory can be read") {
        all.push((delivery.id, (u32::try_from(delivery.events).unwrap(), delivery.content)));
    }
    all
}

/// A step in the life of an undamaged queue.
#[derive(Debug)]
enum Step {
    /// Commits a group of records of these sizes.
    Commit(Vec<usize>),
    /// Reads and acknowledges this many records.
    Acknowledge(u8),
    /// Writes the position, and syncs it or not.
    Tend(bool),
    /// Ends the process and starts it again.
    Reopen,
}

impl Step {
    fn read(from: &mut Unstructured<'_>) -> arbitrary::Result<Self> {
        Ok(match from.arbitrary::<u8>()? % 8 {
            0..4 => {
                let mut sizes = Vec::new();
                for _ in 0..from.arbitrary::<u8>()? % 4 {
                    let size: u8 = from.arbitrary()?;
                    // Some are larger than a segment.
                    sizes.push(usize::from(size) * if size > 250 { 8 } else { 1 });
                }
                Self::Commit(sizes)
            }
            4 | 5 => Self::Acknowledge(from.arbitrary()?),
            6 => Self::Tend(from.arbitrary()?),
            _ => Self::Reopen,
        })
    }
}

/// A queue before the damage: its files, and the numbers of the acknowledged records.
fn build(source: &mut Unstructured<'_>) -> (BTreeMap<String, Vec<u8>>, BTreeSet<u64>) {
    let memory = Memory::default();
    let mut queue = open(memory.clone(), &settings(SMALL)).unwrap();
    let (mut next, mut acknowledged) = (0, BTreeSet::new());
    for _ in 0..source.arbitrary::<u8>().unwrap_or(0) % 24 {
        match Step::read(source) {
            Ok(Step::Commit(sizes)) => {
                let items: Vec<Item> = sizes.into_iter().zip(next..).map(|(size, number)| Item(number, size)).collect();
                next += queue.writer.commit(&items).unwrap_or(0) as u64;
            }
            Ok(Step::Acknowledge(count)) => {
                for _ in 0..count % 8 {
                    let Some(delivery) = queue.reader.read().unwrap() else { break };
                    queue.acknowledger.end(delivery.id, true);
                    acknowledged.insert(number_of(&delivery.content));
                }
            }
            Ok(Step::Tend(sync)) => queue.keeper.tend(sync).unwrap(),
            Ok(Step::Reopen) => queue = open(memory.clone(), &settings(SMALL)).unwrap(),
            Err(_) => break,
        }
    }
    (memory.files(), acknowledged)
}

fn number_of(content: &[u8]) -> u64 {
    u64::from_le_bytes(content[..8].try_into().unwrap())
}

/// Whether the buffer reported something as skipped.
fn is_reported(stats: &BufferStats) -> bool {
    [&stats.torn_bytes, &stats.damaged_bytes, &stats.damaged_segments, &stats.missing_segments]
        .iter()
        .any(|count| load(count) > 0)
}

/// The first bytes build the queue, the rest damages its files.
pub fn buffer(bytes: &[u8]) {
    // Salts are random; make them the same each time.
    fastrand::seed(7);
    let mut source = Unstructured::new(bytes);
    let (mut files, acknowledged) = build(&mut source);
    let written = records(&files);
    let before = files.clone();
    for damage in damage::read(&mut source) {
        damage.strike(&mut files);
    }
    let whole = records(&files);
    let memory = Memory::of(&files);
    let first = settings(LARGE);
    let mut queue = open(memory.clone(), &first).expect("damaged contents are no error");
    let came = read_all(&mut queue);

    let known: BTreeSet<(u32, &[u8])> = whole.iter().map(|found| (found.events, found.content.as_slice())).collect();
    for (_, (events, content)) in &came {
        assert!(known.contains(&(*events, content)), "a record that no file holds: {content:?}");
    }
    // If every intact record was written there, all promises can be checked.
    if whole.iter().all(|found| written.binary_search(found).is_ok()) && !is_forged(&before, &files) {
        check(&files, &written, &whole, &acknowledged, &came, &first.stats);
    }

    // Opening damages nothing: unacknowledged records come again, in the same order.
    let second = settings(LARGE);
    let mut queue = open(memory.clone(), &second).unwrap();
    let again = read_all(&mut queue);
    assert!(again.iter().map(|(_, what)| what).eq(came.iter().map(|(_, what)| what)), "another opening, other records");

    // The queue continues: new records come last, and after all acknowledgements nothing is left.
    let items = [Item(u64::MAX, 3), Item(u64::MAX, 0)];
    assert_eq!(queue.writer.commit(&items).unwrap(), items.len(), "new records are taken");
    let new = read_all(&mut queue);
    assert_eq!(new.len(), items.len());
    assert!(new.iter().all(|(_, (_, content))| number_of(content) == u64::MAX));
    again.iter().chain(&new).for_each(|(id, _)| queue.acknowledger.end(*id, true));
    assert!(queue.acknowledger.is_empty());
    let DiskQueue { writer, mut keeper, .. } = queue;
    writer.finish();
    keeper.tend(true).unwrap();
    assert_eq!(load(&second.stats.events), 0);
    let left: Vec<String> = memory.files().into_keys().filter(|name| format::sequence_of(name).is_some()).collect();
    assert!(left.is_empty(), "segments that are not needed: {left:?}");
    let third = settings(LARGE);
    let mut queue = open(memory, &third).unwrap();
    assert!(read_all(&mut queue).is_empty(), "what was acknowledged comes again");
}

/// Whether there is an intact segment or slot that was never written in this form.
fn is_forged(before: &BTreeMap<String, Vec<u8>>, after: &BTreeMap<String, Vec<u8>>) -> bool {
    let slots = |files: &BTreeMap<String, Vec<u8>>| {
        let bytes = files.get("position").cloned().unwrap_or_default();
        [0, 4096].map(|at| bytes.get(at..at + 40).map(<[u8]>::to_vec)).into_iter().flatten().collect::<Vec<_>>()
    };
    let is_slot = |slot: &[u8]| slot.ends_with(&crc32c::crc32c(&slot[..36]).to_le_bytes());
    let known = slots(before);
    slots(after).iter().any(|slot| is_slot(slot) && !known.contains(slot))
        || after.iter().any(|(name, bytes)| {
            let is_known = before.get(name).is_some_and(|old| old.get(..44) == bytes.get(..44));
            header(name, bytes).is_some() && !is_known
        })
}

/// Checks the deliveries from files without forged content.
fn check(
    files: &BTreeMap<String, Vec<u8>>,
    written: &[Found],
    whole: &[Found],
    acknowledged: &BTreeSet<u64>,
    came: &[(u64, (u32, Vec<u8>))],
    stats: &BufferStats,
) {
    let numbers: Vec<u64> = came.iter().map(|(_, (_, content))| number_of(content)).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "out of order, or twice: {numbers:?}");
    let headers: BTreeMap<u64, _> = files
        .iter()
        .filter_map(|(name, bytes)| header(name, bytes))
        .map(|(header, _)| (header.sequence, header))
        .collect();
    let is_whole = |found: &Found| whole.binary_search(found).is_ok();
    // The end of the newest file: data cut off after it leaves no trace.
    let last = headers.keys().next_back().map(|last| (*last, files[&format::name_of(*last)].len()));
    for found in written {
        let number = number_of(&found.content);
        if acknowledged.contains(&number) || numbers.binary_search(&number).is_ok() {
            continue;
        }
        if is_whole(found) {
            // The end of a segment without a successor can be torn in its last group.
            let next = headers.range(found.segment + 1..).next();
            let is_end_known = next.is_some_and(|(_, next)| next.previous == found.segment);
            let group = written.iter().filter(|other| other.segment == found.segment && other.synced == found.synced);
            let is_torn =
                !is_end_known && group.filter(|other| other.start < found.start).any(|other| !is_whole(other));
            let is_cut = next.is_some_and(|(_, next)| is_end_known && next.previous_end < found.end as u64);
            assert!(is_torn || is_cut, "{number} is whole and did not come; came {numbers:?}");
        }
        let is_behind = last.is_none_or(|last| (found.segment, found.start) >= last);
        assert!(is_reported(stats) || is_behind, "{number} is gone, and nothing was reported");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_implementation_agrees_about_the_format() {
        let memory = Memory::default();
        let mut queue = open(memory.clone(), &settings(SMALL)).unwrap();
        assert_eq!(queue.writer.commit(&[Item(1, 5), Item(2, 0)]).unwrap(), 2);
        assert_eq!(queue.writer.commit(&[Item(3, 1000)]).unwrap(), 1);
        let found = records(&memory.files());
        let numbers: Vec<(u64, u64)> = found.iter().map(|found| (found.segment, number_of(&found.content))).collect();
        assert_eq!(numbers, [(1, 1), (1, 2), (2, 3)]);
        assert_eq!(found.iter().map(|found| found.synced).collect::<Vec<_>>(), [0, 0, 0]);
    }
}
