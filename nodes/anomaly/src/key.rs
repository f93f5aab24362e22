//! What the node remembers of a key.

use crate::grid::Grid;
use crate::options::Kind;
use crate::statistics::Sample;

/// A count that is not known, or that must not be compared.
pub(crate) const MISSING: u32 = u32::MAX;

/// Longest sample in bytes.
pub(crate) const MAX_SAMPLE: usize = 256;

/// A key.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Key {
    /// Its values, separated by bytes that are not UTF-8.
    pub(crate) name: Box<[u8]>,
    /// First interval with an event since it was new.
    pub(crate) first: i64,
    /// Last interval with an event.
    pub(crate) last: i64,
    /// Intervals until this one are not compared: the first event came in the middle, or a change was announced.
    pub(crate) since: i64,
    /// Whether it is to be reported as new when the interval `first` ends.
    pub(crate) is_new: bool,
    /// Whether it has vanished.
    pub(crate) is_vanished: bool,
    /// Last interval of a spike, of a drop, and without events after it vanished, that was reported or accepted.
    pub(crate) spike: Option<i64>,
    pub(crate) drop: Option<i64>,
    pub(crate) vanished: Option<i64>,
    /// How unlikely the silence until now is: by intervals, and by periods.
    pub(crate) silence: f64,
    pub(crate) silent_periods: f64,
    /// Average over about a period of 1 for intervals that are too high, and of -1 for those that are too low.
    pub(crate) shift: f64,
    /// Counts of the intervals that have not ended, the oldest first.
    pub(crate) open: Vec<u64>,
    /// Counts of earlier intervals; interval i is at i modulo the length.
    counts: Box<[u32]>,
    /// Samples with their intervals: those that have not ended, and the last one before with an event.
    pub(crate) samples: Vec<(i64, Box<str>)>,
}

impl Key {
    /// A key whose first event is in this interval.
    pub(crate) fn new(name: &[u8], first: i64, is_new: bool, grid: &Grid) -> Self {
        let length = usize::try_from(grid.remembered()).unwrap_or(0);
        Self {
            name: name.into(),
            first,
            last: first,
            since: first,
            is_new,
            silence: 1.0,
            silent_periods: 1.0,
            counts: vec![0; length].into(),
            ..Self::default()
        }
    }

    /// Begins again, as if there had been no event before this interval.
    pub(crate) fn restart(&mut self, first: i64, grid: &Grid) {
        let open = std::mem::take(&mut self.open);
        let name = std::mem::take(&mut self.name);
        *self = Self { open, ..Self::new(&name, first, true, grid) };
    }

    fn place(&self, index: i64) -> Option<usize> {
        usize::try_from(index.checked_rem_euclid(i64::try_from(self.counts.len()).ok()?)?).ok()
    }

    /// The count of an earlier interval, if it was remembered.
    pub(crate) fn count(&self, index: i64) -> u32 {
        self.place(index).and_then(|place| self.counts.get(place)).copied().unwrap_or(MISSING)
    }

    /// Remembers the count of an interval that has ended.
    pub(crate) fn remember(&mut self, index: i64, count: u32) {
        if let Some(known) = self.place(index).and_then(|place| self.counts.get_mut(place)) {
            *known = count;
        }
    }

    /// Adds to the count of an interval that has not ended.
    pub(crate) fn add(&mut self, index: i64, next: i64, count: u64) {
        let place = usize::try_from(index - next).unwrap_or(0);
        if self.open.len() <= place {
            self.open.resize(place + 1, 0);
        }
        if let Some(open) = self.open.get_mut(place) {
            *open = open.saturating_add(count);
        }
        self.last = self.last.max(index);
    }

    /// Keeps a sample, if there are fewer in this interval.
    pub(crate) fn sample(&mut self, index: i64, most: usize, text: &[u8]) {
        if self.samples.iter().filter(|(of, _)| *of == index).count() < most {
            let short = text.get(..MAX_SAMPLE).unwrap_or(text);
            // A cut may be inside a character.
            let chunk = short.utf8_chunks().next();
            let whole = chunk.map_or("", |chunk| chunk.valid());
            let sample = if short.len() - whole.len() < 4 && short.len() < text.len() {
                whole.into()
            } else {
                String::from_utf8_lossy(short).into()
            };
            self.samples.push((index, sample));
        }
    }

    /// The samples of an interval that has ended, or of the last one before with an event.
    pub(crate) fn samples_until(&self, index: i64) -> impl Iterator<Item = &str> {
        self.samples.iter().filter(move |(of, _)| *of <= index).map(|(_, sample)| &**sample)
    }

    /// Takes the count of the oldest interval that has not ended.
    pub(crate) fn end_interval(&mut self, index: i64) -> u64 {
        if self.samples.iter().any(|(of, _)| *of == index) {
            self.samples.retain(|(of, _)| *of >= index);
        }
        if self.open.is_empty() { 0 } else { self.open.remove(0) }
    }

    /// When a kind of finding was last reported or accepted.
    pub(crate) const fn alarm(&mut self, kind: Kind) -> Option<&mut Option<i64>> {
        match kind {
            Kind::Spike => Some(&mut self.spike),
            Kind::Drop => Some(&mut self.drop),
            Kind::Vanished => Some(&mut self.vanished),
            Kind::New => None,
        }
    }
}

/// Collects the counts with which an interval of a key is compared. `is_valid` says whether the node saw an interval.
/// `since` is the interval after which they begin.
pub(crate) fn collect(
    key: &Key,
    index: i64,
    since: i64,
    grid: &Grid,
    is_valid: impl Fn(i64) -> bool,
    sample: &mut Sample,
) {
    sample.clear();
    let mut last_period = 0;
    for other in grid.compared(index).filter(|other| *other > since && is_valid(*other)) {
        let count = key.count(other);
        if count != MISSING {
            let period = (index - other + grid.slots / 2).div_euclid(grid.slots);
            sample.push(count, period != last_period);
            last_period = period;
        }
    }
}
