use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::super::log::{Found, RECORD_BYTES};
use super::*;
use crate::ambient::Clock;
use crate::flusher::{Durable as _, Flusher};

const HEADER_BYTES: usize = 16;

fn durable() -> SeenGrant {
    SeenGrant { durable: true, ..SeenGrant::default() }
}

/// A process: its store with a log, and the thread that writes it.
struct Process {
    store: Arc<SeenStore>,
    flusher: Flusher,
    forgotten: u64,
}

impl Process {
    fn start(path: &Path, grant: &SeenGrant) -> Self {
        let (store, flusher) = (Arc::<SeenStore>::default(), Flusher::default());
        let forgotten = store.keep_in(path.to_owned(), grant, flusher.keep(&store));
        Self { store, flusher, forgotten }
    }

    fn claim(&self, grant: &SeenGrant, rows: &[&str], claims: &mut Claims) -> Vec<u8> {
        self.store.claim(grant, &keys(rows), HOUR, Clock::Machine.steady(), claims).is_new
    }

    fn call(&self, rows: &[&str], is_delivered: bool) -> Vec<u8> {
        let mut claims = Claims::default();
        let is_new = self.claim(&durable(), rows, &mut claims);
        claims.end(is_delivered);
        is_new
    }

    /// Ends without a last write.
    fn kill(self) {
        self.flusher.kill();
    }
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("seen/main/outer.dedup");
    (dir, path)
}

fn wait_for(what: &str, is_true: impl Fn() -> bool) {
    let since = Instant::now();
    while !is_true() {
        assert!(since.elapsed() < Duration::from_secs(20), "timeout: {what}");
        std::thread::yield_now();
    }
}

fn read(path: &Path) -> (Vec<Firm>, Found) {
    let mut claims = Vec::new();
    let found = Log::new(path.to_owned()).read(|claim| claims.push(claim)).unwrap();
    (claims, found)
}

#[test]
fn firm_claims_survive_a_restart_and_provisional_ones_do_not() {
    let (_dir, path) = folder();
    let process = Process::start(&path, &durable());
    assert_eq!(process.call(&["delivered", "other"], true), [1, 1]);
    assert_eq!(process.call(&["returned"], false), [1]);
    let mut going = Claims::default();
    assert_eq!(process.claim(&durable(), &["going"], &mut going), [1]);
    process.flusher.flush();
    drop(process);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    let next = Process::start(&path, &durable());
    assert_eq!(next.call(&["delivered", "returned", "going", "other"], true), [0, 1, 1, 0]);
    drop(next);
    let last = Process::start(&path, &durable());
    assert_eq!(last.call(&["delivered", "returned", "going", "other"], true), [0; 4]);
    assert_eq!(last.store.usage().log_bytes as usize, 4 * RECORD_BYTES);
    // The end of a batch of the first process has nothing to do with the later ones.
    going.end(true);
}

#[test]
fn a_kill_forgets_only_what_was_not_written_yet() {
    let (_dir, path) = folder();
    let process = Process::start(&path, &durable());
    assert_eq!(process.call(&["a"], true), [1]);
    wait_for("the thread writes the first group", || read(&path).0.len() == 1);
    assert_eq!(process.call(&["b"], true), [1]);
    wait_for("the thread writes the second group", || read(&path).0.len() == 2);
    let mut going = Claims::default();
    assert_eq!(process.claim(&durable(), &["c"], &mut going), [1]);
    process.kill();
    let next = Process::start(&path, &durable());
    assert_eq!(next.call(&["a", "b", "c"], true), [0, 0, 1]);
}

#[test]
fn the_last_write_is_at_the_end_of_the_process() {
    let (_dir, path) = folder();
    let process = Process::start(&path, &durable());
    assert_eq!(process.call(&["a"], true), [1]);
    drop(process);
    assert_eq!(read(&path).0.len(), 1);
}

#[test]
fn claims_of_a_grant_that_is_not_durable_are_not_written() {
    let (_dir, path) = folder();
    let process = Process::start(&path, &durable());
    let mut claims = Claims::default();
    assert_eq!(process.claim(&SeenGrant::default(), &["a"], &mut claims), [1]);
    claims.end(true);
    process.flusher.flush();
    assert!(!path.exists());
}

#[test]
fn a_log_is_written_again_when_most_of_it_has_expired() {
    let (_dir, path) = folder();
    let small = SeenGrant { max_keys: 100, ..durable() };
    let process = Process::start(&path, &small);
    let mut largest = 0;
    for round in 0..200 {
        let rows: Vec<String> = (0..50).map(|n| format!("{round} {n}")).collect();
        let mut claims = Claims::default();
        process.claim(&small, &rows.iter().map(String::as_str).collect::<Vec<_>>(), &mut claims);
        claims.end(true);
        process.flusher.flush();
        largest = largest.max(process.store.usage().log_bytes);
    }
    assert!(largest as usize <= (2 * 100 + 4096) * RECORD_BYTES, "{largest} bytes");
    assert!((read(&path).0.len()) < 4096, "10000 claims were written");
    let folder: Vec<_> =
        fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(folder, ["outer.dedup"]);
    drop(process);
    let next = Process::start(&path, &small);
    let mut claims = Claims::default();
    let is_new = next.claim(&small, &["199 0", "199 49", "198 0", "100 0"], &mut claims);
    assert_eq!(is_new, [0, 0, 0, 1]);
    assert!(next.forgotten > 0, "the log had more claims than are granted");
}

/// A log with these keys, and its bytes.
fn written(path: &Path, count: usize) -> (Vec<String>, Vec<u8>) {
    let rows: Vec<String> = (0..count).map(|n| format!("key {n}")).collect();
    let process = Process::start(path, &durable());
    process.call(&rows.iter().map(String::as_str).collect::<Vec<_>>(), true);
    drop(process);
    let bytes = fs::read(path).unwrap();
    assert_eq!(bytes.len(), HEADER_BYTES + count * RECORD_BYTES);
    (rows, bytes)
}

#[test]
fn a_truncated_log_has_all_whole_records_and_can_be_continued() {
    let (_dir, path) = folder();
    let (rows, bytes) = written(&path, 5);
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    for length in 0..bytes.len() {
        fs::write(&path, &bytes[..length]).unwrap();
        let whole = length.saturating_sub(HEADER_BYTES) / RECORD_BYTES;
        let process = Process::start(&path, &durable());
        let is_new: Vec<u8> = (0..5).map(|row| u8::from(row >= whole)).collect();
        assert_eq!(process.call(&rows, true), is_new, "{length} bytes");
        drop(process);
        let (claims, found) = read(&path);
        assert_eq!((claims.len(), found), (5, Found { records: 5, damaged: 0 }), "{length} bytes");
        let aside = path.with_file_name("outer.dedup~damaged");
        assert_eq!(aside.exists(), (1..HEADER_BYTES).contains(&length), "{length} bytes");
        let _ = fs::remove_file(aside);
    }
}

#[test]
fn a_flipped_bit_forgets_one_claim_and_makes_none() {
    let (_dir, path) = folder();
    let (_, bytes) = written(&path, 4);
    let (all, _) = read(&path);
    for place in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1 << bit;
            fs::write(&path, &damaged).unwrap();
            let (claims, found) = read(&path);
            match place.checked_sub(HEADER_BYTES) {
                None => {
                    assert_eq!((claims.len(), found), (0, Found::default()));
                    assert_eq!(fs::read(path.with_file_name("outer.dedup~damaged")).unwrap(), damaged);
                }
                Some(place) => {
                    assert_eq!(found, Found { records: 3, damaged: 1 });
                    let mut expected = all.clone();
                    expected.remove(place / RECORD_BYTES);
                    assert_eq!(claims, expected);
                }
            }
        }
    }
}

#[test]
fn a_damaged_log_is_replaced_by_a_whole_one() {
    let (_dir, path) = folder();
    let (_, mut bytes) = written(&path, 4);
    bytes[HEADER_BYTES] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let process = Process::start(&path, &durable());
    assert_eq!(process.call(&["key 0", "key 1"], true), [1, 0]);
    drop(process);
    assert_eq!(read(&path).1, Found { records: 4, damaged: 0 });
}

#[test]
fn a_write_that_fails_is_repeated_with_all_claims() {
    let (_dir, path) = folder();
    let process = Process::start(&path, &durable());
    assert_eq!(process.call(&["a"], true), [1]);
    process.flusher.flush();
    // Nothing can be written or renamed over a folder.
    let folder = path.parent().unwrap();
    fs::rename(folder, folder.with_file_name("moved")).unwrap();
    fs::write(folder, "a file").unwrap();
    process.store.log.lock().as_mut().unwrap().writes.must_rewrite = true;
    assert_eq!(process.call(&["b"], true), [1]);
    process.flusher.flush();
    assert!(process.store.usage().log_errors > 0);
    assert_eq!(process.call(&["c"], true), [1]);
    fs::remove_file(folder).unwrap();
    fs::rename(folder.with_file_name("moved"), folder).unwrap();
    // The thread repeats it by itself.
    wait_for("the thread repeats the write", || read(&path).0.len() == 3);
    process.kill();
    let next = Process::start(&path, &durable());
    assert_eq!(next.call(&["a", "b", "c"], true), [0, 0, 0]);
}

#[test]
fn a_full_queue_is_replaced_by_the_whole_log() {
    let (_dir, path) = folder();
    let store: Arc<SeenStore> = Arc::default();
    let waker = Arc::default();
    // Without the thread, nothing is written in between.
    store.keep_in(path.clone(), &durable(), &waker);
    let count = MAX_WAITING + 10;
    let all: Vec<[u8; 4]> = (0..u32::try_from(count).unwrap()).map(u32::to_le_bytes).collect();
    for rows in all.chunks(1000) {
        let mut claims = Claims::default();
        store.claim(&durable(), &keys(rows), HOUR, Clock::Machine.steady(), &mut claims);
        claims.end(true);
    }
    assert!(store.claimed.lock().waiting.len() < 1000);
    store.flush(false);
    assert_eq!(read(&path).0.len(), count);
}

#[test]
fn a_clock_that_was_ahead_does_not_make_claims_last_longer_than_the_grant() {
    let (_dir, path) = folder();
    let store: Arc<SeenStore> = Arc::default();
    store.keep_in(path.clone(), &durable(), &Arc::default());
    let mut claims = Claims::default();
    let (now, day) = (Clock::Machine.steady(), 24 * HOUR);
    store.claim(&durable(), &keys(&["ahead"]), HOUR, now + day, &mut claims);
    store.claim(&durable(), &keys(&["behind"]), HOUR, now - day, &mut claims);
    claims.end(true);
    store.flush(true);
    let next = Process::start(&path, &durable());
    let later = |hours: u64| {
        let rows = keys(&["ahead", "behind"]);
        let mut claims = Claims::default();
        next.store.claim(&durable(), &rows, HOUR, Clock::Machine.steady() + hours * HOUR, &mut claims).is_new
    };
    assert_eq!(later(0), [0, 1]);
    assert_eq!(later(1), [1, 1]);
}

/// What the next process knows about a key that was delivered.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kept {
    /// It is only in memory.
    Waiting,
    Written,
    /// It waited at a kill.
    Unknown,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// A key that was not delivered is always new, and a key whose claim was written never.
    #[test]
    fn kills_never_make_a_duplicate_of_an_event_that_was_not_delivered(
        steps in prop::collection::vec((0..6_u8, 0..8_u8), 1..60),
    ) {
        let (_dir, path) = folder();
        let mut process = Process::start(&path, &durable());
        let mut delivered: HashMap<u8, Kept> = HashMap::new();
        for (step, key) in steps {
            let mut writes = |from: Kept, to: Kept| {
                delivered.values_mut().filter(|kept| **kept == from).for_each(|kept| *kept = to);
            };
            match step {
                0..3 => {
                    let is_delivered = step > 0;
                    let is_new = process.call(&[&key.to_string()], is_delivered) == [1];
                    match delivered.get(&key) {
                        None => prop_assert!(is_new, "an event would be lost"),
                        Some(Kept::Waiting | Kept::Written) => prop_assert!(!is_new, "a claim is lost"),
                        Some(Kept::Unknown) => {}
                    }
                    match (is_new, is_delivered) {
                        (true, true) => _ = delivered.insert(key, Kept::Waiting),
                        (true, false) => _ = delivered.remove(&key),
                        (false, _) => _ = delivered.entry(key).and_modify(|kept| {
                            if *kept == Kept::Unknown {
                                *kept = Kept::Written;
                            }
                        }),
                    }
                }
                3 => {
                    process.flusher.flush();
                    writes(Kept::Waiting, Kept::Written);
                }
                4 => {
                    process.kill();
                    writes(Kept::Waiting, Kept::Unknown);
                    process = Process::start(&path, &durable());
                }
                _ => {
                    drop(process);
                    writes(Kept::Waiting, Kept::Written);
                    process = Process::start(&path, &durable());
                }
            }
        }
    }
}
