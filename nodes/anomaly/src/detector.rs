//! Counts keys, and compares each interval that ends with earlier ones.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use twox_hash::XxHash64;

use crate::grid::Grid;
use crate::key::{Key, MISSING, collect};
use crate::options::Kind;
use crate::statistics::{Expected, Sample, transform};

/// How unlikely the silence of a key must be over intervals, of which a day has many, and over periods.
const UNLIKELY: f64 = 1e6;
const UNLIKELY_PERIODS: f64 = 100.0;
/// Maximum number of remembered quiet times.
const MAX_QUIET: usize = 16;

/// Settings of the detector; durations in intervals.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) kinds: Vec<Kind>,
    pub(crate) threshold: f64,
    pub(crate) min_ratio: f64,
    pub(crate) min_difference: f64,
    pub(crate) min_periods: usize,
    pub(crate) warm_up: i64,
    pub(crate) new_after: i64,
    pub(crate) cooldown: i64,
    pub(crate) max_keys: usize,
    pub(crate) max_findings: usize,
    pub(crate) max_samples: usize,
}

/// Something that is not as before.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) kind: Kind,
    /// Place of its key; `None` for all keys.
    pub(crate) key: Option<usize>,
    pub(crate) score: f64,
    pub(crate) observed: u64,
    /// The lowest, the typical and the highest count that is usual.
    pub(crate) expected: Option<[f64; 3]>,
    /// Number of earlier periods.
    pub(crate) periods: usize,
    /// Number of keys that it is about.
    pub(crate) keys: usize,
}

/// What happened in addition to findings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) late: u64,
    pub(crate) evicted: u64,
    /// Findings in quiet times, and beyond the limit.
    pub(crate) quiet: u64,
    pub(crate) limited: u64,
}

/// The keys and their counts.
#[derive(Clone, Debug)]
pub(crate) struct Detector {
    pub(crate) grid: Grid,
    pub(crate) settings: Settings,
    pub(crate) keys: Vec<Key>,
    by_name: HashMap<Box<[u8]>, usize, BuildHasherDefault<XxHash64>>,
    /// The interval that ends next; `None` before the first time.
    pub(crate) next: Option<i64>,
    /// The first interval of all.
    pub(crate) started: i64,
    /// Whether the node saw the whole of each earlier interval; interval i is at i modulo the length.
    valid: Vec<bool>,
    /// First and last interval of a time that the node did not see as a whole.
    pub(crate) invalid: Option<(i64, i64)>,
    /// First and last interval of times without findings.
    pub(crate) quiet: Vec<(i64, i64)>,
    pub(crate) counts: Counts,
    sample: Sample,
}

impl Detector {
    pub(crate) fn new(grid: Grid, settings: Settings) -> Self {
        Self {
            grid,
            settings,
            keys: Vec::new(),
            by_name: HashMap::default(),
            next: None,
            started: 0,
            valid: vec![false; usize::try_from(grid.remembered()).unwrap_or(0)],
            invalid: None,
            quiet: Vec::new(),
            counts: Counts::default(),
            sample: Sample::default(),
        }
    }

    /// Begins at a time. The first interval is partial.
    pub(crate) fn start(&mut self, index: i64) -> i64 {
        *self.next.get_or_insert_with(|| {
            (self.started, self.invalid) = (index, Some((index, index)));
            index
        })
    }

    /// Counts an event. `now` is the interval of the time of the agent. Returns the place of the key and the interval in
    /// which the event counts; `None` for one that ended before.
    pub(crate) fn add(&mut self, name: &[u8], index: i64, now: i64, count: u64) -> Option<(usize, i64)> {
        let next = self.start(now);
        // A clock that is ahead must not create intervals without end.
        let index = if index > now + 1 { now } else { index };
        if index < next {
            self.counts.late += 1;
            return None;
        }
        let place = match self.by_name.get(name) {
            Some(place) => *place,
            None => self.insert(Key::new(name, index, true, &self.grid)),
        };
        let key = self.keys.get_mut(place)?;
        if index - key.last > self.settings.new_after {
            // It counts from the beginning again: what was before says nothing about now.
            key.restart(index, &self.grid);
        }
        key.add(index, next, count);
        Some((place, index))
    }

    /// Adds a key, in place of the one without an event for longest if there is no room.
    pub(crate) fn insert(&mut self, key: Key) -> usize {
        let place = if self.keys.len() < self.settings.max_keys {
            self.keys.push(key.clone());
            self.keys.len() - 1
        } else {
            self.counts.evicted += 1;
            let oldest = self.keys.iter().enumerate().min_by_key(|(_, key)| key.last);
            let oldest = oldest.map_or(0, |(place, _)| place);
            if let Some(slot) = self.keys.get_mut(oldest) {
                let gone = std::mem::replace(slot, key.clone());
                self.by_name.remove(&gone.name);
            }
            oldest
        };
        self.by_name.insert(key.name, place);
        place
    }

    /// The key of this name.
    pub(crate) fn find(&mut self, name: &[u8]) -> Option<&mut Key> {
        let place = *self.by_name.get(name)?;
        self.keys.get_mut(place)
    }

    /// Makes no findings from one interval to another.
    pub(crate) fn be_quiet(&mut self, from: i64, to: i64) {
        match self.quiet.last_mut() {
            Some(last) if from <= last.1 + 1 && from >= last.0 => last.1 = last.1.max(to),
            _ => {
                if self.quiet.len() >= MAX_QUIET {
                    self.quiet.remove(0);
                }
                self.quiet.push((from, to));
            }
        }
    }

    /// Marks intervals as not seen as a whole. Those between the first and the last one end at once, if they are more than
    /// any key remembers.
    pub(crate) fn skip(&mut self, from: i64, to: i64) {
        let Some(next) = self.next else { return };
        let known = self.invalid.filter(|(_, to)| *to >= next);
        self.invalid = Some(known.map_or((from, to), |known| (known.0.min(from), known.1.max(to))));
        if to - next > self.grid.remembered() {
            self.valid.fill(false);
            self.keys.iter_mut().for_each(|key| key.open.clear());
            self.next = Some(to);
        }
    }

    fn place(&self, index: i64) -> usize {
        let length = i64::try_from(self.valid.len()).unwrap_or(1).max(1);
        usize::try_from(index.rem_euclid(length)).unwrap_or(0)
    }

    /// Whether the node saw the whole of an earlier interval.
    pub(crate) fn is_valid(&self, index: i64) -> bool {
        self.valid.get(self.place(index)).copied().unwrap_or(false)
    }

    /// Remembers whether the node saw the whole of an interval.
    pub(crate) fn set_valid(&mut self, index: i64, is_valid: bool) {
        let place = self.place(index);
        if let Some(valid) = self.valid.get_mut(place) {
            *valid = is_valid;
        }
    }

    /// Ends the next interval. Returns its number and findings, those with the highest scores first.
    pub(crate) fn end_interval(&mut self) -> Option<(i64, Vec<Found>)> {
        let index = self.next?;
        let is_valid = !self.invalid.is_some_and(|(from, to)| (from..=to).contains(&index));
        let is_warm = index - self.started >= self.settings.warm_up;
        let is_quiet = self.quiet.iter().any(|(from, to)| (*from..=*to).contains(&index));
        self.quiet.retain(|(_, to)| *to > index);
        let mut found = Vec::new();
        let mut total = 0_u64;
        let mut sample = std::mem::take(&mut self.sample);
        let mut keys = std::mem::take(&mut self.keys);
        for (place, key) in keys.iter_mut().enumerate() {
            let observed = key.end_interval(index);
            total = total.saturating_add(observed);
            if key.is_new && key.first <= index {
                key.is_new = false;
                let score = transform(observed) - transform(0);
                found.push(Found {
                    kind: Kind::New,
                    key: Some(place),
                    score,
                    observed,
                    expected: Some([0.0; 3]),
                    periods: 0,
                    keys: 1,
                });
            }
            if is_valid && key.first < index {
                collect(key, index, key.since, &self.grid, |index| self.is_valid(index), &mut sample);
                let compared = self.compare(key, index, observed, &mut sample);
                if is_quiet && compared.is_some() {
                    // What changed is the new normal.
                    key.since = index;
                }
                found.extend(compared.map(|found| Found { key: Some(place), ..found }));
            }
            let count = u32::try_from(observed).unwrap_or(MISSING - 1).min(MISSING - 1);
            key.remember(index, if key.is_vanished { MISSING } else { count });
        }
        (self.keys, self.sample) = (keys, sample);
        self.set_valid(index, is_valid);
        self.next = Some(index + 1);
        found.retain(|found| self.settings.kinds.contains(&found.kind));
        if !is_warm {
            found.clear();
        }
        if is_quiet {
            self.counts.quiet += found.len() as u64;
            found.clear();
        }
        if total == 0 {
            join_silence(&mut found);
        }
        found.sort_by(|a, b| b.score.abs().total_cmp(&a.score.abs()));
        self.counts.limited += found.len().saturating_sub(self.settings.max_findings) as u64;
        found.truncate(self.settings.max_findings);
        if self.grid.ends_period(index) {
            self.forget(index);
        }
        Some((index, found))
    }

    /// Compares an interval of a key with earlier ones.
    fn compare(&self, key: &mut Key, index: i64, observed: u64, sample: &mut Sample) -> Option<Found> {
        let periods = sample.periods();
        let expected = if periods >= self.settings.min_periods { sample.expected() } else { None };
        let score = expected.map_or(0.0, |expected| expected.score(observed));
        let deviates = expected.is_some_and(|expected| self.deviates(&expected, observed, score));
        let made = |kind, score| Found {
            kind,
            key: None,
            score,
            observed,
            expected: expected.map(|expected| [expected.low, expected.count, expected.high]),
            periods,
            keys: 1,
        };
        if observed > 0 {
            (key.silence, key.silent_periods, key.is_vanished) = (1.0, 1.0, false);
        } else if key.is_vanished {
            key.vanished = Some(index);
            return None;
        } else if key.last < index {
            if key.since > key.first {
                // What was before a change says what is normal no more, but a key that had events should still have some.
                collect(key, index, key.first, &self.grid, |index| self.is_valid(index), sample);
            }
            let unlikely = self.silence(key, index, sample);
            if deviates || unlikely.is_some() {
                key.is_vanished = true;
                let score = if deviates { score } else { -unlikely.unwrap_or(0.0) };
                return self.alarm(key, index, Kind::Vanished).then(|| made(Kind::Vanished, score));
            }
        }
        if expected.is_some() {
            self.follow(key, index, score);
        }
        let kind = if score > 0.0 { Kind::Spike } else { Kind::Drop };
        if deviates {
            return self.alarm(key, index, kind).then(|| made(kind, score));
        }
        // Half of the threshold continues what has begun, so that it does not end and begin with each fluctuation.
        if score.abs() >= self.settings.threshold / 2.0
            && let Some(alarm) = key.alarm(kind)
            && *alarm == Some(index - 1)
        {
            *alarm = Some(index);
        }
        None
    }

    /// Notices that the level of a key has changed: most intervals of about a period were too high, or too low. From then
    /// on the key is compared with the new level only.
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    fn follow(&self, key: &mut Key, index: i64, score: f64) {
        let is_off = score.abs() >= self.settings.threshold / 2.0;
        let side = if is_off { score.signum() } else { 0.0 };
        key.shift += (side - key.shift) / self.grid.slots as f64;
        if key.shift.abs() >= 0.5 {
            (key.since, key.shift) = (index, 0.0);
        }
    }

    fn deviates(&self, expected: &Expected, observed: u64, score: f64) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "a count above 2^53 needs no more digits")]
        let observed = observed as f64;
        let usual = if score > 0.0 { expected.high } else { expected.low };
        let (low, high) = (observed.min(usual), observed.max(usual));
        score.abs() >= self.settings.threshold
            && high - low >= self.settings.min_difference
            && high >= low * self.settings.min_ratio
    }

    /// Whether a kind of finding is to be reported: it neither continues nor ended a short time ago.
    fn alarm(&self, key: &mut Key, index: i64, kind: Kind) -> bool {
        let last = key.alarm(kind).and_then(|alarm| alarm.replace(index));
        last.is_none_or(|last| index - last > self.settings.cooldown.max(1))
    }

    /// Adds the silence of an interval. Returns the binary exponent of how unlikely it is, if it is unlikely enough.
    fn silence(&self, key: &mut Key, index: i64, sample: &Sample) -> Option<f64> {
        if sample.periods() >= self.settings.min_periods {
            key.silence = (key.silence * sample.surprise()).min(1e300);
        }
        let is_unlikely = key.silence >= UNLIKELY && {
            let (all, silent) = self.periods_of(key, index);
            all >= self.settings.min_periods && silent == 0
        };
        if is_unlikely {
            return Some(exponent(key.silence));
        }
        let period = self.grid.period(index);
        if self.grid.ends_period(index) && self.grid.period(key.last) < period {
            let (all, silent) = self.periods_of(key, index);
            if all >= self.settings.min_periods {
                #[expect(clippy::cast_precision_loss, reason = "small numbers")]
                let surprise = (all + 1) as f64 / (silent + 1) as f64;
                key.silent_periods = (key.silent_periods * surprise).min(1e300);
            }
        }
        (key.silent_periods >= UNLIKELY_PERIODS).then(|| exponent(key.silent_periods))
    }

    /// How many earlier periods of the same kind of days the node saw as a whole since the first event of a key, and how
    /// many of these had no event. Periods since its last event do not count.
    fn periods_of(&self, key: &Key, index: i64) -> (usize, usize) {
        let class = self.grid.class(index);
        let oldest = (index - self.grid.slots * self.grid.periods).max(key.first + 1);
        let (mut all, mut silent) = (0, 0);
        let mut other = index;
        // To the end of the period of the last event.
        while other >= oldest && (self.grid.period(other) >= self.grid.period(index) || other > key.last) {
            other -= 1;
        }
        while other - self.grid.slots + 1 >= oldest {
            if !self.grid.ends_period(other) {
                other -= 1;
                continue;
            }
            let days = other - self.grid.slots + 1..=other;
            if self.grid.class(other) == class && days.clone().all(|index| self.is_valid(index)) {
                let (mut is_known, mut is_silent) = (true, true);
                for count in days.map(|index| key.count(index)) {
                    is_known &= count != MISSING;
                    is_silent &= count == 0;
                }
                all += usize::from(is_known);
                silent += usize::from(is_known && is_silent);
            }
            other -= self.grid.slots;
        }
        (all, silent)
    }

    /// Removes the keys of which nothing is remembered.
    fn forget(&mut self, index: i64) {
        let oldest = index - self.grid.remembered().max(self.settings.new_after);
        if self.keys.iter().all(|key| key.last >= oldest) {
            return;
        }
        self.keys.retain(|key| key.last >= oldest);
        self.by_name = self.keys.iter().enumerate().map(|(place, key)| (key.name.clone(), place)).collect();
    }
}

/// The binary exponent of a number of at least 1.
fn exponent(number: f64) -> f64 {
    let exponent = i32::try_from(number.to_bits() >> 52).unwrap_or(0) - 1023;
    f64::from(exponent)
}

/// If no key has an event, the silence of all of them is one finding.
fn join_silence(found: &mut Vec<Found>) {
    let is_silence = |found: &&Found| found.kind == Kind::Vanished;
    let keys = found.iter().filter(is_silence).count();
    if keys < 2 {
        return;
    }
    let score = found.iter().filter(is_silence).map(|found| found.score).min_by(f64::total_cmp).unwrap_or(0.0);
    let periods = found.iter().filter(is_silence).map(|found| found.periods).max().unwrap_or(0);
    let all = found.iter().filter(is_silence).filter_map(|found| found.expected);
    let expected = all.fold([0.0; 3], |[a, b, c], [low, count, high]| [a + low, b + count, c + high]);
    found.retain(|found| found.kind != Kind::Vanished);
    found.push(Found { kind: Kind::Vanished, key: None, score, observed: 0, expected: Some(expected), periods, keys });
}
