//! The report of a shadow: how often the candidate differed, and the first events that differ.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use wattle_batch::Batch;

/// Maximum number of differences to keep; the first ones are the most useful.
const KEPT: usize = 20;
/// Bytes of an event that are kept.
const MAX_TEXT: usize = 8 << 10;

/// Comparison of a candidate with the running version since it was configured.
#[derive(Debug)]
pub struct ShadowReport {
    /// The running version and the candidate, as fingerprints.
    pub(crate) about: (String, String),
    /// Outputs whose events were masked in both versions, since the first of them.
    pub(crate) masked_outputs: BTreeSet<String>,
    /// Name and version of the candidate's pack.
    pub candidate: String,
    since: SystemTime,
    batches: AtomicU64,
    skipped: AtomicU64,
    faulted: AtomicU64,
    primary_nanos: AtomicU64,
    candidate_nanos: AtomicU64,
    found: Mutex<Found>,
}

#[derive(Debug, Default)]
struct Found {
    outputs: BTreeMap<String, OutputReport>,
    first: Vec<Difference>,
}

/// Comparison of one output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputReport {
    /// Events of the running version.
    pub primary: u64,
    /// Events of the candidate.
    pub candidate: u64,
    /// Events that only the running version emitted.
    pub missing: u64,
    /// Events that only the candidate emitted.
    pub added: u64,
    /// Events that both emitted at the same place with different content.
    pub changed: u64,
}

/// A difference in one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Name of the output.
    pub output: String,
    /// The event of the running version.
    pub primary: Option<String>,
    /// The event of the candidate.
    pub candidate: Option<String>,
}

/// A report at one moment.
#[derive(Clone, Debug)]
pub struct ShadowSnapshot {
    /// Name and version of the candidate's pack.
    pub candidate: String,
    /// Start of the comparison.
    pub since: SystemTime,
    /// Batches that were compared.
    pub batches: u64,
    /// Batches of its share that were skipped because the shadow was behind.
    pub skipped: u64,
    /// Batches at which a node of the candidate faulted.
    pub faulted: u64,
    /// Processor time of the running version for the compared batches.
    pub primary_time: Duration,
    /// Processor time of the candidate.
    pub candidate_time: Duration,
    /// Outputs whose events were masked in both versions, since the first of them.
    pub masked_outputs: BTreeSet<String>,
    /// Outputs by name.
    pub outputs: BTreeMap<String, OutputReport>,
    /// The first differences.
    pub first: Vec<Difference>,
}

/// Names of outputs, and the events that left on them.
type Emitted<'a> = (&'a [String], &'a [(usize, Batch)]);

impl ShadowReport {
    pub(crate) fn new(about: (String, String), masked_outputs: BTreeSet<String>, candidate: String) -> Self {
        Self {
            about,
            masked_outputs,
            candidate,
            since: SystemTime::now(),
            batches: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            faulted: AtomicU64::new(0),
            primary_nanos: AtomicU64::new(0),
            candidate_nanos: AtomicU64::new(0),
            found: Mutex::default(),
        }
    }

    pub(crate) fn skip(&self) {
        self.skipped.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn times(&self, primary: Duration, candidate: Duration, faulted: bool) {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.primary_nanos.fetch_add(nanos(primary), Ordering::Relaxed);
        self.candidate_nanos.fetch_add(nanos(candidate), Ordering::Relaxed);
        self.faulted.fetch_add(u64::from(faulted), Ordering::Relaxed);
        self.batches.fetch_add(1, Ordering::Relaxed);
    }

    /// Compares the results of both versions for one batch.
    pub(crate) fn compare(&self, primary: Emitted<'_>, candidate: Emitted<'_>) {
        let (mut primary, mut candidate) = (by_output(primary), by_output(candidate));
        let mut names: Vec<&str> = primary.keys().chain(candidate.keys()).copied().collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let (left, right) = (primary.remove(name).unwrap_or_default(), candidate.remove(name).unwrap_or_default());
            let differences = differences(&left, &right);
            let mut found = self.found.lock();
            if !found.outputs.contains_key(name) {
                found.outputs.insert(name.to_owned(), OutputReport::default());
            }
            if let Some(output) = found.outputs.get_mut(name) {
                output.primary += left.len() as u64;
                output.candidate += right.len() as u64;
                for difference in &differences {
                    match difference {
                        (Some(_), Some(_)) => output.changed += 1,
                        (Some(_), None) => output.missing += 1,
                        _ => output.added += 1,
                    }
                }
            }
            let room = KEPT.saturating_sub(found.first.len());
            let kept = differences.into_iter().take(room).map(|(primary, candidate)| Difference {
                output: name.to_owned(),
                primary: primary.map(shown),
                candidate: candidate.map(shown),
            });
            found.first.extend(kept);
        }
    }

    /// The report at this moment.
    pub fn snapshot(&self) -> ShadowSnapshot {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let found = self.found.lock();
        ShadowSnapshot {
            candidate: self.candidate.clone(),
            since: self.since,
            batches: load(&self.batches),
            skipped: load(&self.skipped),
            faulted: load(&self.faulted),
            primary_time: Duration::from_nanos(load(&self.primary_nanos)),
            candidate_time: Duration::from_nanos(load(&self.candidate_nanos)),
            masked_outputs: self.masked_outputs.clone(),
            outputs: found.outputs.clone(),
            first: found.first.clone(),
        }
    }
}

impl ShadowSnapshot {
    /// Number of events that differ. An event that left on another output counts as different.
    pub fn differing(&self) -> u64 {
        let sum = |count: fn(&OutputReport) -> u64| self.outputs.values().map(count).sum::<u64>();
        sum(|o| o.changed) + sum(|o| o.missing).max(sum(|o| o.added))
    }
}

/// The events of each output in order, as text.
fn by_output<'a>((names, emitted): Emitted<'a>) -> HashMap<&'a str, Vec<Vec<u8>>> {
    let mut all: HashMap<&str, Vec<Vec<u8>>> = HashMap::new();
    for (output, batch) in emitted {
        let Some(name) = names.get(*output) else { continue };
        let lines = all.entry(name).or_default();
        for row in 0..batch.rows() {
            let mut line = Vec::new();
            match batch.failure(row) {
                // Version and message may differ, and the contents may be data that a mask did not
                // hide.
                Some(failure) => line.extend_from_slice(format!("failed: {}", failure.code).as_bytes()),
                None => batch.write_json(row, &mut line),
            }
            lines.push(line);
        }
    }
    all
}

type Pair<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

/// Lists the events that differ: place by place if both sides have the same number, otherwise those
/// that only one side has.
fn differences<'a>(left: &'a [Vec<u8>], right: &'a [Vec<u8>]) -> Vec<Pair<'a>> {
    let line = |lines: &'a [Vec<u8>], at: Option<usize>| lines.get(at?).map(Vec::as_slice);
    let pairs = crate::differences::differences(left, right, |_, _| 0);
    pairs.into_iter().map(|(a, b)| (line(left, a), line(right, b))).collect()
}

fn shown(line: &[u8]) -> String {
    String::from_utf8_lossy(line.get(..MAX_TEXT).unwrap_or(line)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<Vec<u8>> {
        text.split_whitespace().map(|word| word.as_bytes().to_vec()).collect()
    }

    #[track_caller]
    fn expect(left: &str, right: &str, expected: &[(&str, &str)]) {
        let (left, right) = (lines(left), lines(right));
        let text = |line: Option<&[u8]>| String::from_utf8(line.unwrap_or(b"-").to_vec()).unwrap();
        let found: Vec<(String, String)> =
            differences(&left, &right).into_iter().map(|(a, b)| (text(a), text(b))).collect();
        let expected: Vec<(String, String)> = expected.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn differences_are_found_at_their_places() {
        expect("a b c", "a b c", &[]);
        expect("a b c", "a x c", &[("b", "x")]);
        expect("a b c", "a c", &[("b", "-")]);
        expect("a c", "a b c", &[("-", "b")]);
        expect("a b c d", "x c b", &[("a", "-"), ("d", "-"), ("-", "x")]);
        expect("", "a", &[("-", "a")]);
        expect("a a", "a", &[("a", "-")]);
    }
}
