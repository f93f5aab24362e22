//! The single-threaded model: which lines were written, and what windows may contain.
//!
//! A line belongs to one window, once. It may be in another one, or again in the same one, only if a kill
//! or a fault made the source send it again: once more for each kill at which it was not acknowledged. A
//! window may arrive again with the same id. A receiver that keeps only the first window of an id must
//! have every line, and so must one that keeps only the last.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use super::setup::Node;

/// Kills after which a line that was acknowledged can still be in an open window on disk.
const RECENT: u64 = 3;

/// A line of the input.
struct Line {
    /// The line that it repeats for `dedup`, or itself.
    original: usize,
    file: u64,
    /// Position after the line in its file.
    end: u64,
    /// How often the source may have sent it again.
    sent_again: usize,
    /// How often its window may have been restored as another one, in a pipeline that merges windows.
    merged_again: usize,
    /// Whether a fault may have made the source send it again any number of times, or may have sent it
    /// to `fails`.
    is_loose: bool,
}

/// All lines.
#[derive(Default)]
pub(super) struct Lines {
    lines: Vec<Line>,
    unacked: BTreeSet<usize>,
    /// Lines that were acknowledged at one of the last kills, with the number of that kill.
    recent: Vec<(usize, u64)>,
    kills: u64,
    /// Files that were written when a kill came.
    killed: BTreeSet<u64>,
}

impl Lines {
    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// The line that the next one repeats: every fifth one repeats another one.
    pub(super) fn original(&self, random: &mut fastrand::Rng) -> usize {
        let next = self.len();
        if next % 5 < 4 {
            return next;
        }
        self.lines[next - random.usize(1..next.min(60))].original
    }

    /// Notes a written line.
    pub(super) fn add(&mut self, original: usize, file: u64, end: u64) {
        self.unacked.insert(self.lines.len());
        self.lines.push(Line { original, file, end, sent_again: 0, merged_again: 0, is_loose: false });
    }

    /// The copies of each original.
    fn originals(&self) -> BTreeMap<usize, Vec<usize>> {
        let mut originals: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (at, line) in self.lines.iter().enumerate() {
            originals.entry(line.original).or_default().push(at);
        }
        originals
    }

    /// Notes how far each file is acknowledged.
    pub(super) fn acknowledge(&mut self, positions: &HashMap<u64, u64>) {
        let (lines, recent, kills) = (&self.lines, &mut self.recent, self.kills);
        self.unacked.retain(|at| {
            let line = &lines[*at];
            let is_acked = positions.get(&line.file).is_some_and(|position| line.end <= *position);
            recent.extend(is_acked.then_some((*at, kills)));
            !is_acked
        });
    }

    /// After a kill, all lines that are not acknowledged may be sent again once. `file` is the one that
    /// was written.
    pub(super) fn send_again(&mut self, file: u64) {
        self.kills += 1;
        self.killed.insert(file);
        for at in &self.unacked {
            self.lines[*at].sent_again += 1;
        }
        self.recent.retain(|(_, kill)| self.kills - kill <= RECENT);
        for at in self.unacked.iter().chain(self.recent.iter().map(|(at, _)| at)) {
            self.lines[*at].merged_again += 1;
        }
    }

    /// All lines that are not acknowledged may be sent again any number of times, because a node faults.
    pub(super) fn loosen(&mut self) {
        for at in &self.unacked {
            self.lines[*at].is_loose = true;
        }
    }
}

/// An event of the output.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// A window with its lines. An event that passed is a window of one line.
    Window { id: String, rows: Vec<usize> },
    /// A number of lines.
    Count { id: String, lines: u64 },
    /// Not of interest.
    Other,
}

impl Event {
    /// Reads an event of a sink; `None` if the line is not complete.
    pub(super) fn read(line: &str, node: Node) -> Option<Self> {
        let event: Value = serde_json::from_str(line).ok()?;
        let body: Value = serde_json::from_str(event["body"].as_str()?).ok()?;
        if node == Node::ToMetric {
            return Self::of_data_point(&body, &event["attributes"]);
        }
        let number = |value: &Value| usize::try_from(value.as_u64()?).ok();
        let id = || event["attributes"]["id"].as_str().map(str::to_owned);
        if let Some(rows) = body["rows"].as_array() {
            return Some(Self::Window { id: id()?, rows: rows.iter().map(number).collect::<Option<_>>()? });
        }
        match body["report"].as_str() {
            Some("coverage") => Some(Self::Count { id: id()?, lines: body["events"].as_u64()? }),
            Some(_) => Some(Self::Other),
            None => {
                let row = number(&body["n"])?;
                let id = if node == Node::Dedup { number(&body["d"])? } else { row };
                Some(Self::Window { id: id.to_string(), rows: vec![row] })
            }
        }
    }

    /// Reads a data point: of the series of a line, or of the series of a key.
    fn of_data_point(body: &Value, attributes: &Value) -> Option<Self> {
        let (id, lines) = (body["id"].as_str()?.to_owned(), body["value"].as_u64()?);
        if body["name"] == "by-key" {
            return Some(Self::Count { id, lines });
        }
        let row = attributes["n"].as_str()?.parse().ok()?;
        Some(Self::Window { id, rows: vec![row; usize::try_from(lines).ok()?] })
    }
}

/// What arrived from one pipeline.
#[derive(Default)]
pub(super) struct Arrived {
    /// The windows of each id, in the order of their arrival.
    windows: BTreeMap<String, Vec<Vec<usize>>>,
    /// Lines that failed.
    failed: BTreeSet<usize>,
    /// Lines in any window.
    found: BTreeSet<usize>,
    /// The first and the last count of each id.
    counts: BTreeMap<String, [u64; 2]>,
}

/// The comparison of the output of `dedup` with the lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct DedupTally {
    /// Originals of which no copy arrived.
    pub(super) lost: u64,
    /// Copies that arrived after another one without a reason.
    pub(super) doubled: u64,
    /// Copies that arrived after another one.
    pub(super) repeated: u64,
}

/// The comparison of what arrived with the lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Lines that no window contains.
    pub(super) lost: u64,
    /// Windows whose repetition contains lines that no other id has, or lacks lines that no other id has:
    /// a receiver that keeps one of the two misses these lines.
    pub(super) missing: u64,
    /// Windows that arrived again with their id.
    pub(super) same_id: u64,
    /// Windows with a line that was in a window before, without a reason.
    pub(super) other_id: u64,
    /// Lines that windows have again for a reason.
    pub(super) repeated: u64,
    /// Windows with a line that was never written.
    pub(super) wrong: u64,
}

impl Tally {
    pub(super) fn add(&mut self, other: Self) {
        self.lost += other.lost;
        self.missing += other.missing;
        self.same_id += other.same_id;
        self.other_id += other.other_id;
        self.repeated += other.repeated;
        self.wrong += other.wrong;
    }

    pub(super) fn is_good(self) -> bool {
        self.lost + self.missing + self.other_id + self.wrong == 0
    }
}

impl Arrived {
    pub(super) fn take(&mut self, events: Vec<Event>) {
        for event in events {
            match event {
                Event::Window { id, rows } => {
                    self.found.extend(&rows);
                    self.windows.entry(id).or_default().push(rows);
                }
                Event::Count { id, lines } => {
                    let [_, last] = self.counts.entry(id).or_insert([lines; 2]);
                    *last = lines;
                }
                Event::Other => {}
            }
        }
    }

    pub(super) fn take_failed(&mut self, lines: impl IntoIterator<Item = usize>) {
        self.failed.extend(lines);
    }

    /// Whether all lines arrived.
    pub(super) fn has_all(&self, lines: &Lines, node: Node) -> bool {
        match node {
            Node::Memory | Node::Aggregate => {
                self.found.len() + self.failed.difference(&self.found).count() == lines.len()
            }
            Node::Pattern | Node::ToMetric => self.found.len() == lines.len() && self.counted() >= lines.len() as u64,
            Node::Dedup => self.windows.len() == lines.originals().len(),
        }
    }

    /// The lines in counts, for the receiver that has fewer: the one that keeps the first count of an id, or the one
    /// that keeps the last.
    fn counted(&self) -> u64 {
        let sum = |at: usize| self.counts.values().map(|counts| counts[at]).sum::<u64>();
        sum(0).min(sum(1))
    }

    /// Compares the output of `dedup`: the number of originals without any arrival, of those that arrived
    /// again without a reason, and of those that arrived again.
    pub(super) fn tally_dedup(&self, lines: &Lines) -> DedupTally {
        let mut tally = DedupTally::default();
        for (original, copies) in lines.originals() {
            let arrived = self.windows.get(&original.to_string()).map_or(0, Vec::len) as u64;
            tally.lost += u64::from(arrived == 0);
            // A kill forgets the claims of what was on its way, and those of the last moment.
            let is_excused = copies.iter().any(|copy| {
                let line = &lines.lines[*copy];
                line.sent_again > 0 || line.is_loose || lines.killed.contains(&line.file)
            });
            tally.repeated += arrived.saturating_sub(1);
            tally.doubled += if is_excused { 0 } else { arrived.saturating_sub(1) };
        }
        tally
    }

    /// Compares. `merges` says that a kill may change ids.
    pub(super) fn tally(&self, lines: &Lines, merges: bool) -> Tally {
        let mut tally = Tally::default();
        let mut ids: HashMap<usize, Vec<&str>> = HashMap::new();
        for (id, windows) in &self.windows {
            tally.same_id += windows.len() as u64 - 1;
            let unknown = |rows: &Vec<usize>| rows.iter().any(|row| *row >= lines.len());
            tally.wrong += u64::from(windows.iter().any(unknown));
            for (row, times) in most(windows) {
                ids.entry(row).or_default().extend(std::iter::repeat_n(id.as_str(), times));
            }
        }
        let mut doubled: BTreeSet<&str> = BTreeSet::new();
        for (at, line) in lines.lines.iter().enumerate() {
            let of = ids.get(&at).map(Vec::as_slice).unwrap_or_default();
            let is_failed = self.failed.contains(&at);
            if of.is_empty() && !(is_failed && line.is_loose) {
                tally.lost += 1;
            }
            let again = (of.len() + usize::from(is_failed)).saturating_sub(1);
            tally.repeated += again as u64;
            let allowed = match merges {
                _ if line.is_loose => again,
                true => line.sent_again + line.merged_again,
                false => line.sent_again,
            };
            doubled.extend(of.iter().skip(allowed + 1));
        }
        tally.other_id = doubled.len() as u64;
        tally.missing = self.missing(&ids);
        if !self.counts.is_empty() {
            tally.missing += (lines.len() as u64).saturating_sub(self.counted());
        }
        tally
    }

    /// Windows of which a receiver that keeps only the first or only the last one of an id misses lines.
    fn missing(&self, ids: &HashMap<usize, Vec<&str>>) -> u64 {
        let keeps = |pick: fn(&[Vec<usize>]) -> Option<&Vec<usize>>| -> BTreeSet<usize> {
            self.windows.values().filter_map(|windows| pick(windows)).flatten().copied().collect()
        };
        let mut missing = BTreeSet::new();
        for kept in [keeps(|windows| windows.first()), keeps(|windows| windows.last())] {
            for row in self.found.difference(&kept).filter(|row| !self.failed.contains(row)) {
                missing.extend(ids.get(row).into_iter().flatten().copied());
            }
        }
        missing.len() as u64
    }
}

/// The lines of the windows of one id, and how often each is in the same window at most.
fn most(windows: &[Vec<usize>]) -> HashMap<usize, usize> {
    let mut most = HashMap::new();
    for rows in windows {
        let mut counts: HashMap<usize, usize> = HashMap::new();
        rows.iter().for_each(|row| *counts.entry(*row).or_default() += 1);
        for (row, count) in counts {
            let most = most.entry(row).or_default();
            *most = count.max(*most);
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(id: &str, rows: &[usize]) -> Event {
        Event::Window { id: id.to_owned(), rows: rows.to_vec() }
    }

    fn lines(count: u64) -> Lines {
        let mut lines = Lines::default();
        (0..count).for_each(|at| lines.add(usize::try_from(at).unwrap(), 0, (at + 1) * 10));
        lines
    }

    fn tally(lines: &Lines, windows: &[Event]) -> Tally {
        let mut arrived = Arrived::default();
        arrived.take(windows.to_vec());
        arrived.tally(lines, false)
    }

    #[test]
    fn a_line_without_a_window_is_lost() {
        let found = tally(&lines(3), &[window("a", &[0, 2])]);
        assert_eq!(found, Tally { lost: 1, ..Tally::default() });
    }

    #[test]
    fn a_line_in_two_windows_needs_a_kill_that_sent_it_again() {
        let mut lines = lines(4);
        let windows = [window("a", &[0, 1]), window("b", &[1, 2, 3])];
        assert_eq!(tally(&lines, &windows), Tally { other_id: 1, repeated: 1, ..Tally::default() });
        lines.acknowledge(&HashMap::from([(0, 10)]));
        lines.send_again(0);
        assert_eq!(tally(&lines, &windows), Tally { repeated: 1, ..Tally::default() });
        let more = [windows.as_slice(), &[window("c", &[0])]].concat();
        assert_eq!(tally(&lines, &more), Tally { other_id: 1, repeated: 2, ..Tally::default() });
    }

    #[test]
    fn a_repeated_window_must_not_hide_lines() {
        let good = [window("a", &[0, 1]), window("a", &[0]), window("b", &[1, 2])];
        let mut lines = lines(3);
        lines.send_again(0);
        assert_eq!(tally(&lines, &good), Tally { same_id: 1, repeated: 1, ..Tally::default() });
        let bad = [window("a", &[0]), window("a", &[0, 1]), window("b", &[2])];
        assert_eq!(tally(&lines, &bad), Tally { same_id: 1, missing: 1, ..Tally::default() });
    }

    #[test]
    fn a_line_twice_in_a_window_and_a_line_that_was_never_written_are_found() {
        assert_eq!(tally(&lines(2), &[window("a", &[0, 0, 1])]).other_id, 1);
        assert_eq!(tally(&lines(2), &[window("a", &[0, 1, 2])]).wrong, 1);
    }

    #[test]
    fn a_kill_excuses_a_merged_window_only_for_a_while() {
        let mut lines = lines(2);
        lines.acknowledge(&HashMap::from([(0, 10)]));
        let mut arrived = Arrived::default();
        arrived.take(vec![window("a", &[0, 1]), window("b", &[0])]);
        assert_eq!(arrived.tally(&lines, true).other_id, 1);
        lines.send_again(0);
        assert_eq!((arrived.tally(&lines, true).other_id, arrived.tally(&lines, false).other_id), (0, 1));
        (0..10).for_each(|_| lines.send_again(0));
        assert_eq!(lines.lines[0].merged_again, 3);
    }

    #[test]
    fn data_points_are_windows_of_a_line_and_counts_of_a_key() {
        let read = |name: &str, value: u64, attributes: &str| {
            let body = format!(r#"{{\"name\":\"{name}\",\"value\":{value},\"id\":\"a\"}}"#);
            Event::read(&format!(r#"{{"body":"{body}","attributes":{attributes}}}"#), Node::ToMetric).unwrap()
        };
        let mut arrived = Arrived::default();
        arrived.take(vec![read("each", 2, r#"{"n":"0"}"#), read("by-key", 2, r#"{"k":"k0"}"#)]);
        assert!(!arrived.has_all(&lines(2), Node::ToMetric));
        assert_eq!(arrived.tally(&lines(1), false), Tally { other_id: 1, repeated: 1, ..Tally::default() });
        arrived.take(vec![read("by-key", 0, r#"{"k":"k0"}"#)]);
        assert_eq!(arrived.tally(&lines(1), false).missing, 1, "a receiver that keeps the last count misses a line");
    }

    #[test]
    fn one_copy_must_arrive_and_a_second_one_needs_a_kill() {
        let mut lines = Lines::default();
        for (original, file) in [(0, 0), (1, 0), (0, 0), (3, 1), (1, 1)] {
            lines.add(original, file, 10);
        }
        let mut arrived = Arrived::default();
        arrived.take(vec![window("0", &[0]), window("0", &[2]), window("1", &[4]), window("1", &[1])]);
        assert!(!arrived.has_all(&lines, Node::Dedup));
        assert_eq!(arrived.tally_dedup(&lines), DedupTally { lost: 1, doubled: 2, repeated: 2 });
        lines.killed.insert(1);
        assert_eq!(arrived.tally_dedup(&lines), DedupTally { lost: 1, doubled: 1, repeated: 2 });
    }
}
