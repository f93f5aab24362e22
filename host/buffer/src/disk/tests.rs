//! The whole queue: which records stay, which are delivered again, and how it handles damaged
//! files.

mod fake;
mod model;

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::*;

/// A record of a test: the content of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item(pub(super) Vec<u8>);

impl Stored for Item {
    fn events(&self) -> usize {
        1
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(&self.0);
    }
}

fn item(text: &str) -> Item {
    Item(text.into())
}

fn settings(max_size: u64) -> DiskSettings {
    DiskSettings { name: "test".into(), max_size, stats: Arc::default() }
}

fn open_folder(path: &Path, settings: &DiskSettings) -> DiskQueue<Folder> {
    open(Folder::make(path).unwrap(), settings).unwrap()
}

/// Commits each text as a separate group.
fn fill(queue: &mut DiskQueue<impl Storage>, texts: &[&str]) {
    for text in texts {
        assert_eq!(queue.writer.commit(&[item(text)]).unwrap(), 1);
    }
}

fn read_all(queue: &mut DiskQueue<impl Storage>) -> Vec<(u64, String)> {
    let mut all = Vec::new();
    while let Some(delivery) = queue.reader.read().unwrap() {
        all.push((delivery.id, String::from_utf8(delivery.content).unwrap()));
    }
    all
}

fn texts(queue: &mut DiskQueue<impl Storage>) -> Vec<String> {
    read_all(queue).into_iter().map(|(_, text)| text).collect()
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn segment(path: &Path, sequence: u64) -> std::path::PathBuf {
    path.join(format::segment_name(sequence))
}

/// Restores the header to its state before the mark reached the disk, as after a power loss.
fn forget_mark(segment: &Path) {
    let file = fs::OpenOptions::new().write(true).open(segment).unwrap();
    file.write_all_at(&[0; format::Mark::BYTES], format::MARK_OFFSET).unwrap();
}

fn spoil(path: &Path, offset: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[offset] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

/// A limit that no test reaches.
const LARGE: u64 = 1 << 20;

#[test]
fn unacknowledged_records_are_delivered_again_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("buffer/out");
    let mut queue = open_folder(&path, &settings(LARGE));
    fill(&mut queue, &["a", "b", "c", "d"]);
    let read = read_all(&mut queue);
    assert_eq!(read.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    // Only acknowledgements without a gap before them count.
    for index in [0, 2] {
        queue.acknowledger.end(read[index].0, true);
    }
    queue.keeper.tend(false).unwrap();
    drop(queue);
    let settings = settings(LARGE);
    let mut queue = open_folder(&path, &settings);
    assert_eq!(settings.stats.recovered_events.load(Ordering::Relaxed), 3);
    assert_eq!(texts(&mut queue), ["b", "c", "d"]);
}

#[test]
fn returned_records_are_delivered_before_all_others() {
    let folder = tempfile::tempdir().unwrap();
    let mut queue = open_folder(&folder.path().join("out"), &settings(LARGE));
    fill(&mut queue, &["a", "b"]);
    let first = queue.reader.read().unwrap().unwrap();
    queue.acknowledger.end(first.id, false);
    assert!(!queue.acknowledger.is_empty());
    let read = read_all(&mut queue);
    assert_eq!(read, [(first.id, "a".to_owned()), (first.id + 1, "b".to_owned())]);
    read.iter().for_each(|(id, _)| queue.acknowledger.end(*id, true));
    assert!(queue.acknowledger.is_empty());
}

#[test]
fn files_are_private_and_removed_when_all_records_are_acknowledged() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("buffer/out");
    let settings = settings(format::POSITION_BYTES + format::SEGMENT_HEADER + 3 * 25);
    let mut queue = open_folder(&path, &settings);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    fill(&mut queue, &["x"; 3]);
    assert_eq!(mode(&path), 0o700);
    assert_eq!((mode(&segment(&path, 1)), mode(&path.join("position"))), (0o600, 0o600));
    // There is no room for more, so the writer closes the segment, and the keeper can remove it
    // after acknowledgement.
    assert!(matches!(queue.writer.commit(&[item("y")]), Err(CommitError::Full)));
    for (id, _) in read_all(&mut queue) {
        queue.acknowledger.end(id, true);
    }
    queue.keeper.tend(true).unwrap();
    assert_eq!(names(&path), ["position"]);
    assert_eq!(settings.stats.events.load(Ordering::Relaxed), 0);
    assert_eq!(settings.stats.bytes.load(Ordering::Relaxed), format::POSITION_BYTES);
}

#[test]
fn the_limit_counts_bytes_on_disk_and_acknowledging_frees_room() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    let max = 64 << 10;
    let mut queue = open_folder(&path, &settings(max));
    let used = || names(&path).iter().map(|name| fs::metadata(path.join(name)).unwrap().len()).sum::<u64>();
    let big = Item(vec![b'x'; 5000]);
    let mut taken = 0;
    for _ in 0..3 {
        loop {
            match queue.writer.commit(std::slice::from_ref(&big)) {
                Ok(count) => taken += count,
                Err(CommitError::Full) => break,
                Err(error) => panic!("{error}"),
            }
            assert!(used() <= max, "{}", used());
        }
        assert!(used() + 6000 > max, "{} of {max} are used", used());
        for _ in 0..4 {
            let delivery = queue.reader.read().unwrap().unwrap();
            queue.acknowledger.end(delivery.id, true);
        }
        queue.keeper.tend(false).unwrap();
    }
    assert_eq!(taken, 12 + 4 + 4);
}

#[test]
fn a_record_larger_than_the_limit_is_accepted_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut queue = open_folder(&folder.path().join("out"), &settings(16 << 10));
    let huge = Item(vec![b'x'; 100_000]);
    assert_eq!(queue.writer.commit(&[huge.clone(), huge.clone()]).unwrap(), 1);
    assert!(matches!(queue.writer.commit(std::slice::from_ref(&huge)), Err(CommitError::Full)));
    let delivery = queue.reader.read().unwrap().unwrap();
    assert_eq!(delivery.content, huge.0);
    queue.acknowledger.end(delivery.id, true);
    queue.keeper.tend(false).unwrap();
    assert_eq!(queue.writer.commit(&[huge]).unwrap(), 1);
}

#[test]
fn a_torn_tail_is_cut_off_at_any_offset() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    fill(&mut open_folder(&path, &settings(LARGE)), &["first", "second"]);
    forget_mark(&segment(&path, 1));
    let whole = fs::read(segment(&path, 1)).unwrap();
    let second = whole.len() - (24 + 6);
    for end in (second + 1..whole.len()).step_by(5) {
        fs::write(segment(&path, 1), &whole[..end]).unwrap();
        let settings = settings(LARGE);
        let mut queue = open_folder(&path, &settings);
        assert_eq!(texts(&mut queue), ["first"]);
        assert_eq!(settings.stats.torn_bytes.load(Ordering::Relaxed), (end - second) as u64);
        assert_eq!(settings.stats.damaged_bytes.load(Ordering::Relaxed), 0);
        fill(&mut queue, &["third"]);
        assert_eq!(texts(&mut queue), ["third"]);
        drop(queue);
        let settings = self::settings(LARGE);
        assert_eq!(texts(&mut open_folder(&path, &settings)), ["first", "third"]);
        assert_eq!(settings.stats.torn_bytes.load(Ordering::Relaxed), 0, "a torn tail is reported once");
        fs::remove_file(segment(&path, 2)).unwrap();
    }
}

#[test]
fn damage_to_the_last_synced_group_is_not_a_torn_tail() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    fill(&mut open_folder(&path, &settings(LARGE)), &["first", "second"]);
    let whole = fs::read(segment(&path, 1)).unwrap();
    let second = whole.len() - (24 + 6);
    let spoilt = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    for bytes in
        [whole[..whole.len() - 3].to_vec(), whole[..second].to_vec(), spoilt(second + 2), spoilt(whole.len() - 1)]
    {
        fs::write(segment(&path, 1), &bytes).unwrap();
        let settings = settings(LARGE);
        let mut queue = open_folder(&path, &settings);
        let read = read_all(&mut queue);
        assert_eq!(read.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(), ["first"]);
        assert_eq!(settings.stats.damaged_bytes.load(Ordering::Relaxed), 24 + 6, "{} bytes", bytes.len());
        assert_eq!(settings.stats.torn_bytes.load(Ordering::Relaxed), 0);
        read.iter().for_each(|(id, _)| queue.acknowledger.end(*id, true));
        queue.keeper.tend(true).unwrap();
        drop(queue);
        assert_eq!(names(&path), ["00000000000000000001.segment.damaged", "position"], "{} bytes", bytes.len());
        fs::remove_file(path.join("00000000000000000001.segment.damaged")).unwrap();
        fs::remove_file(path.join("position")).unwrap();
    }
}

#[test]
fn a_segment_without_a_header_is_removed_only_if_it_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    fill(&mut open_folder(&path, &settings(LARGE)), &["first"]);
    let whole = fs::read(segment(&path, 1)).unwrap();
    for (bytes, left) in [
        (vec![0; whole.len()], vec!["position"]),
        ([&[0; 56], &whole[56..]].concat(), vec!["00000000000000000001.segment.damaged", "position"]),
    ] {
        fs::write(segment(&path, 1), bytes).unwrap();
        assert_eq!(texts(&mut open_folder(&path, &settings(LARGE))), Vec::<String>::new());
        assert_eq!(names(&path), left);
    }
}

#[test]
fn all_records_around_damage_are_delivered_and_the_file_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    fill(&mut open_folder(&path, &settings(LARGE)), &["first", "second", "third", "fourth"]);
    let whole = fs::read(segment(&path, 1)).unwrap();
    let second = format::SEGMENT_HEADER as usize + 24 + 5;
    let bytes = [0, 5, 9, 13, 17, 21, 24, 29].map(|byte| second + byte);
    for offset in bytes {
        fs::write(segment(&path, 1), &whole).unwrap();
        spoil(&segment(&path, 1), offset);
        let settings = settings(LARGE);
        let mut queue = open_folder(&path, &settings);
        let read = read_all(&mut queue);
        assert_eq!(read.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(), ["first", "third", "fourth"]);
        assert_eq!(settings.stats.damaged_bytes.load(Ordering::Relaxed), 24 + 6);
        assert_eq!(settings.stats.torn_bytes.load(Ordering::Relaxed), 0);
        if offset == second + 29 {
            read.iter().for_each(|(id, _)| queue.acknowledger.end(*id, true));
            queue.keeper.tend(true).unwrap();
            assert_eq!(settings.stats.damaged_segments.load(Ordering::Relaxed), 1);
            assert_eq!(settings.stats.events.load(Ordering::Relaxed), 0);
            drop(queue);
            assert_eq!(names(&path), ["00000000000000000001.segment.damaged", "position"]);
            let mut queue = open_folder(&path, &self::settings(LARGE));
            fill(&mut queue, &["fifth"]);
            assert!(segment(&path, 2).exists(), "the number of a damaged segment is not used again");
        }
    }
}

#[test]
fn damage_in_an_earlier_segment_is_found_by_the_reader() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    for text in ["first", "second", "third"] {
        fill(&mut open_folder(&path, &settings(LARGE)), &[text]);
    }
    // The last byte of a segment: without a successor it would be a torn tail.
    spoil(&segment(&path, 2), format::SEGMENT_HEADER as usize + 24 + 5);
    let settings = settings(LARGE);
    let mut queue = open_folder(&path, &settings);
    assert_eq!(texts(&mut queue), ["first", "third"]);
    assert_eq!(settings.stats.damaged_bytes.load(Ordering::Relaxed), 24 + 6);
}

#[test]
fn unreadable_headers_and_positions_are_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    for text in ["first", "second", "third"] {
        fill(&mut open_folder(&path, &settings(LARGE)), &[text]);
    }
    let mut queue = open_folder(&path, &settings(LARGE));
    let delivery = queue.reader.read().unwrap().unwrap();
    queue.acknowledger.end(delivery.id, true);
    queue.keeper.tend(true).unwrap();
    drop(queue);
    spoil(&segment(&path, 2), 20);
    spoil(&path.join("position"), 4096 + 20);
    spoil(&path.join("position"), 20);
    let mut queue = open_folder(&path, &settings(LARGE));
    assert_eq!(texts(&mut queue), ["third"], "the first is removed, the second is unreadable");
    drop(queue);
    assert_eq!(
        names(&path),
        ["00000000000000000002.segment.damaged", "00000000000000000003.segment", "position", "position.damaged"]
    );
    assert_eq!(texts(&mut open_folder(&path, &settings(LARGE))), ["third"], "the queue opens again");
}

#[test]
fn an_event_that_looks_like_a_record_is_not_read_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    let mut forged = Vec::new();
    for salt in 0..1000 {
        let header =
            format::RecordHeader { length: 4, events: 1, synced: 1000, checksum: format::checksum(salt, b"evil") };
        header.write(salt, &mut forged);
        forged.extend(b"evil");
    }
    let mut queue = open_folder(&path, &settings(LARGE));
    assert_eq!(queue.writer.commit(&[Item(forged)]).unwrap(), 1);
    fill(&mut queue, &["honest"]);
    drop(queue);
    spoil(&segment(&path, 1), format::SEGMENT_HEADER as usize);
    assert_eq!(texts(&mut open_folder(&path, &settings(LARGE))), ["honest"]);
}

#[test]
fn any_bytes_open_without_a_panic() {
    let mut random = fastrand::Rng::with_seed(7);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    for round in 0..40 {
        let _ = fs::remove_dir_all(&path);
        for text in ["first", "second", "third"] {
            fill(&mut open_folder(&path, &settings(LARGE)), &[text, "and more"]);
        }
        for name in names(&path) {
            let mut bytes = fs::read(path.join(&name)).unwrap();
            for _ in 0..random.usize(0..4) {
                let place = random.usize(..bytes.len());
                bytes[place] = random.u8(..);
            }
            bytes.truncate(random.usize(bytes.len() / 2..=bytes.len()));
            fs::write(path.join(&name), bytes).unwrap();
        }
        let mut queue = open_folder(&path, &settings(LARGE));
        let read = texts(&mut queue);
        let possible = ["first", "second", "third", "and more"];
        assert!(read.iter().all(|text| possible.contains(&text.as_str())), "round {round}: {read:?}");
        fill(&mut queue, &["fresh"]);
        assert_eq!(texts(&mut queue), ["fresh"]);
        drop(queue);
        assert_eq!(texts(&mut open_folder(&path, &settings(LARGE))).last().map(String::as_str), Some("fresh"));
    }
}

#[test]
fn a_torn_successor_still_proves_that_the_segment_before_it_was_synced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    // Segments of 1 KiB: three records in the first group, one in the next.
    let mut queue = open_folder(path, &settings(8 << 10));
    let items = ["one", "two", "six"].map(|text| item(&text.repeat(95)));
    assert_eq!(queue.writer.commit(&items).unwrap(), 3);
    fill(&mut queue, &["four".repeat(100).as_str()]);
    drop(queue);
    let segments: Vec<_> = (1..=2).map(|number| path.join(format!("{number:020}.segment"))).collect();
    forget_mark(&segments[1]);
    // The last record is torn, and the first record of the segment before is damaged.
    let mut second = fs::read(&segments[1]).unwrap();
    second.truncate(second.len() - 1);
    fs::write(&segments[1], second).unwrap();
    let mut first = fs::read(&segments[0]).unwrap();
    first[80] ^= 1;
    fs::write(&segments[0], first).unwrap();
    for opening in 0..3 {
        let mut queue = open_folder(path, &settings(8 << 10));
        assert_eq!(texts(&mut queue), ["two".repeat(95), "six".repeat(95)], "opening {opening}");
    }
    let mut queue = open_folder(path, &settings(8 << 10));
    for (id, _) in read_all(&mut queue) {
        queue.acknowledger.end(id, true);
    }
    queue.keeper.tend(true).unwrap();
    assert!(!segments[1].exists(), "its end is not needed any more");
}

#[test]
fn a_torn_group_still_proves_that_the_groups_before_it_were_synced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let mut queue = open_folder(path, &settings(1 << 20));
    let [first, second] = [["one", "two", "six"], ["ten", "few", "all"]].map(|group| group.map(item));
    assert_eq!(queue.writer.commit(&first).unwrap(), 3);
    assert_eq!(queue.writer.commit(&second).unwrap(), 3);
    drop(queue);
    let segment = path.join(format!("{:020}.segment", 1));
    forget_mark(&segment);
    let mut bytes = fs::read(&segment).unwrap();
    // The first record of each group is damaged. In the first group this is damage, because the
    // second group records that it was synced; in the second group it is a torn tail.
    let record = 24 + 3;
    bytes[format::SEGMENT_HEADER as usize + 25] ^= 1;
    bytes[format::SEGMENT_HEADER as usize + 3 * record + 25] ^= 1;
    fs::write(&segment, bytes).unwrap();
    for opening in 0..3 {
        let mut queue = open_folder(path, &settings(1 << 20));
        assert_eq!(texts(&mut queue), ["two", "six"], "opening {opening}");
    }
    let mut queue = open_folder(path, &settings(1 << 20));
    fill(&mut queue, &["new"]);
    assert_eq!(texts(&mut queue), ["two", "six", "new"]);
    drop(queue);
    let mut queue = open_folder(path, &settings(1 << 20));
    assert_eq!(texts(&mut queue), ["two", "six", "new"], "with a successor");
}

#[test]
fn a_removed_segment_frees_its_room_on_a_full_volume() {
    let disk = fake::FakeDisk::default();
    let mut queue = open(disk.clone(), &settings(LARGE)).unwrap();
    fill(&mut queue, &["a", "b"]);
    let read = read_all(&mut queue);
    disk.limit(0);
    // The volume is full, so the writer closes the segment and needs its space for the next one.
    assert!(matches!(queue.writer.commit(&[item("c")]), Err(CommitError::Io(_))));
    read.iter().for_each(|(id, _)| queue.acknowledger.end(*id, true));
    queue.keeper.tend(false).unwrap();
    fill(&mut queue, &["c"]);
    let read: Vec<String> = texts(&mut queue);
    assert_eq!(read, ["c"]);
}
