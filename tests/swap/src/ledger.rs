//! The records of the model: the input events, and where and how often each came out.

use std::sync::Mutex;
use std::time::Instant;

use crate::load::{Place, Template, numbers};

/// The errors found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wrong {
    /// Events that did not come out of a sink.
    pub lost: u64,
    /// Events that came out of a sink more than once.
    pub doubled: u64,
    /// Events that came after one of the same stream with a higher number.
    pub misordered: u64,
    /// Events in an output that neither version uses for them, or documents that both versions
    /// processed in part.
    pub misplaced: u64,
}

/// A stream of numbered events.
#[derive(Default)]
struct Stream {
    /// Where each event must come out, and the document that it is in.
    expected: Vec<(Place, u32)>,
    /// How often each came out of each output.
    seen: Vec<[u8; 2]>,
    /// The highest number in each output.
    last: [Option<usize>; 2],
    documents: u32,
    /// Events that have come out at least once.
    arrived: usize,
}

/// The records of one sink.
pub(crate) struct Ledger {
    streams: Vec<Mutex<Stream>>,
    misordered: Mutex<u64>,
    /// When an event that shows the version was last seen in each output.
    first_since: Mutex<[Option<Instant>; 2]>,
}

impl Ledger {
    pub(crate) fn new(streams: usize) -> Self {
        Self {
            streams: (0..streams).map(|_| Mutex::default()).collect(),
            misordered: Mutex::new(0),
            first_since: Mutex::default(),
        }
    }

    /// Records a document before it goes in.
    pub(crate) fn send(&self, stream: usize, template: &Template) {
        let mut stream = self.streams[stream].lock().unwrap();
        let document = stream.documents;
        stream.documents += 1;
        stream.expected.extend(template.places.iter().map(|place| (*place, document)));
        let length = stream.expected.len();
        stream.seen.resize(length, [0; 2]);
    }

    /// Records output lines.
    pub(crate) fn receive(&self, output: usize, lines: &[u8]) {
        let now = Instant::now();
        for (stream, number) in numbers(lines) {
            let mut stream = self.streams[stream].lock().unwrap();
            stream.arrived += usize::from(stream.seen[number] == [0; 2]);
            let count = &mut stream.seen[number][output];
            *count = count.saturating_add(1);
            if stream.last[output].is_some_and(|last| last > number) {
                *self.misordered.lock().unwrap() += 1;
            }
            stream.last[output] = stream.last[output].max(Some(number));
            if stream.expected[number].0 == Place::ByVersion {
                self.first_since.lock().unwrap()[output].get_or_insert(now);
            }
        }
    }

    /// Forgets which version was seen.
    pub(crate) fn watch_version(&self) {
        *self.first_since.lock().unwrap() = [None; 2];
    }

    /// Time of the first event since then that only the version with this output puts there.
    pub(crate) fn seen_in(&self, output: usize) -> Option<Instant> {
        self.first_since.lock().unwrap()[output]
    }

    /// Events that went in and have not come out.
    pub(crate) fn open(&self, stream: usize) -> usize {
        let stream = self.streams[stream].lock().unwrap();
        stream.expected.len() - stream.arrived
    }

    pub(crate) fn events(&self) -> u64 {
        self.streams.iter().map(|stream| stream.lock().unwrap().expected.len() as u64).sum()
    }

    /// The errors after everything has come out.
    pub(crate) fn audit(&self) -> Wrong {
        let mut wrong = Wrong { misordered: *self.misordered.lock().unwrap(), ..Wrong::default() };
        for stream in &self.streams {
            let stream = stream.lock().unwrap();
            // The output by which an event of the document showed its version.
            let mut version: Option<(u32, usize)> = None;
            for ((place, document), counts) in stream.expected.iter().zip(&stream.seen) {
                let times = u64::from(counts[0]) + u64::from(counts[1]);
                wrong.lost += u64::from(times == 0);
                wrong.doubled += times.saturating_sub(1);
                let output = usize::from(counts[0] == 0);
                match *place {
                    Place::Always(expected) => wrong.misplaced += u64::from(times > 0 && output != expected),
                    Place::ByVersion => {
                        let same = version.is_none_or(|(of, seen)| of != *document || seen == output);
                        wrong.misplaced += u64::from(times > 0 && !same);
                        version = Some((*document, output));
                    }
                }
            }
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::templates;

    #[test]
    fn every_kind_of_error_is_found() {
        let all = templates(1, 6, 40);
        let template = all.iter().find(|t| t.places.iter().filter(|p| **p == Place::ByVersion).count() >= 2).unwrap();
        let out = |number: usize, version: usize| match template.places[number] {
            Place::Always(output) => output,
            Place::ByVersion => 1 - version,
        };
        let line = |number| format!("{{\"eventID\":\"0000-{number:031}\"}}\n").into_bytes();
        let ledger = |numbers: &[(usize, usize)]| {
            let ledger = Ledger::new(1);
            ledger.send(0, template);
            numbers.iter().for_each(|&(number, version)| ledger.receive(out(number, version), &line(number)));
            ledger.audit()
        };
        let whole: Vec<(usize, usize)> = (0..6).map(|n| (n, 1)).collect();
        assert_eq!(ledger(&whole), Wrong::default());
        assert_eq!(ledger(&whole[1..]), Wrong { lost: 1, ..Wrong::default() });
        assert_eq!(ledger(&[&whole[..], &whole[5..]].concat()), Wrong { doubled: 1, ..Wrong::default() });
        let mixed: Vec<(usize, usize)> = (0..6).map(|n| (n, usize::from(n < 3))).collect();
        let late = template.places.iter().rposition(|p| *p == Place::ByVersion).unwrap();
        let torn: Vec<(usize, usize)> = (0..6).map(|n| (n, usize::from(n != late))).collect();
        assert!(ledger(&torn).misplaced > 0, "{mixed:?}");
        let all_in_one = templates(1, 6, 1);
        let ledger = Ledger::new(1);
        ledger.send(0, &all_in_one[0]);
        for number in [1, 0, 2, 3, 4, 5] {
            ledger.receive(0, &line(number));
        }
        assert_eq!(ledger.audit().misordered, 1);
    }
}
