//! Snapshots of the node.

use wattle_snapshot::{Damaged, Reader, Writer};

use crate::detector::Detector;
use crate::grid::Grid;
use crate::key::{Key, MISSING};

/// Version of the format.
pub(crate) const VERSION: u32 = 1;

/// Writes the time of the last tick and all keys.
pub(crate) fn save(last_tick: Option<i64>, detector: &Detector) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.time(last_tick);
    write_grid(&detector.grid, &mut writer);
    writer.time(detector.next);
    writer.signed(detector.started);
    writer.flag(detector.invalid.is_some());
    if let Some((from, to)) = detector.invalid {
        writer.signed(from);
        writer.signed(to);
    }
    writer.size(detector.quiet.len());
    for (from, to) in &detector.quiet {
        writer.signed(*from);
        writer.signed(*to);
    }
    let next = detector.next.unwrap_or(0);
    let oldest = next.saturating_sub(detector.grid.remembered());
    let mut runs = Runs::default();
    (oldest..next).for_each(|index| runs.push(u64::from(detector.is_valid(index)), &mut writer));
    runs.end(&mut writer);
    writer.size(detector.keys.len());
    for key in &detector.keys {
        writer.bytes(&key.name);
        writer.signed(key.first);
        writer.signed(key.last);
        writer.signed(key.since);
        writer.flag(key.is_new);
        writer.flag(key.is_vanished);
        [key.spike, key.drop, key.vanished].into_iter().for_each(|alarm| writer.time(alarm));
        writer.float(key.shift);
        writer.float(key.silence);
        writer.float(key.silent_periods);
        writer.size(key.open.len());
        key.open.iter().for_each(|count| writer.number(*count));
        let mut runs = Runs::default();
        for index in oldest..next {
            // A missing count is 1 and others are moved, since it would be the longest number.
            let count = match key.count(index) {
                MISSING => 1,
                0 => 0,
                count => u64::from(count) + 1,
            };
            runs.push(count, &mut writer);
        }
        runs.end(&mut writer);
        writer.size(key.samples.len());
        for (index, sample) in &key.samples {
            writer.signed(*index);
            writer.bytes(sample.as_bytes());
        }
    }
    writer.finish()
}

fn write_grid(grid: &Grid, writer: &mut Writer) {
    for part in [grid.interval, grid.slots, grid.periods, grid.neighbours, grid.offset] {
        writer.signed(part);
    }
}

/// Writes equal numbers, such as the zeros of rare keys, as one with their number.
#[derive(Debug, Default)]
struct Runs {
    value: u64,
    length: u64,
}

impl Runs {
    fn push(&mut self, value: u64, writer: &mut Writer) {
        if value != self.value {
            self.end(writer);
            self.value = value;
        }
        self.length += 1;
    }

    fn end(&mut self, writer: &mut Writer) {
        if self.length > 0 {
            writer.number(self.length);
            writer.number(self.value);
        }
        self.length = 0;
    }
}

/// Reads numbers that [`Runs`] wrote, so many in all.
fn read_runs(reader: &mut Reader<'_>, count: i64, mut take: impl FnMut(i64, u64)) -> Result<(), Damaged> {
    let mut done = 0;
    while done < count {
        let length = i64::try_from(reader.number()?).map_err(|_| Damaged)?;
        let value = reader.number()?;
        if length == 0 || length > count - done {
            return Err(Damaged);
        }
        (done..done + length).for_each(|place| take(place, value));
        done += length;
    }
    Ok(())
}

/// A snapshot that was read.
pub(crate) struct Saved {
    pub(crate) last_tick: Option<i64>,
    pub(crate) detector: Detector,
}

/// Reads a snapshot. What another division of time makes useless is left out: then only the times of keys remain.
///
/// # Errors
///
/// The bytes are damaged.
pub(crate) fn read(bytes: &[u8], new: &Detector) -> Result<Saved, Damaged> {
    let mut reader = Reader::new(bytes)?;
    let last_tick = reader.time()?;
    let mut saved_grid = new.grid;
    let [interval, slots, periods, neighbours, offset] = [
        &mut saved_grid.interval,
        &mut saved_grid.slots,
        &mut saved_grid.periods,
        &mut saved_grid.neighbours,
        &mut saved_grid.offset,
    ];
    for part in [interval, slots, periods, neighbours, offset] {
        *part = reader.signed()?;
    }
    // Bounds what follows: no configured node has more.
    let is_sound = saved_grid.interval > 0
        && (1..=1 << 20).contains(&saved_grid.slots)
        && (1..=366).contains(&saved_grid.periods)
        && (0..=10).contains(&saved_grid.neighbours);
    if !is_sound {
        return Err(Damaged);
    }
    let has_counts = saved_grid.interval == new.grid.interval;
    let mut detector = Detector::new(new.grid, new.settings.clone());
    let convert = |index: i64| if has_counts { index } else { new.grid.index(saved_grid.start(index)) };
    let saved_next = reader.time()?;
    detector.next = saved_next.map(convert);
    detector.started = convert(reader.signed()?);
    if reader.flag()? {
        detector.invalid = Some((convert(reader.signed()?), convert(reader.signed()?)));
    }
    for _ in 0..reader.size(2)? {
        let (from, to) = (convert(reader.signed()?), convert(reader.signed()?));
        detector.quiet.push((from, to));
    }
    if !has_counts {
        // The next interval may have another start.
        detector.invalid = detector.next.map(|next| (next, next));
    }
    let count = saved_grid.remembered();
    let oldest = saved_next.unwrap_or(0).saturating_sub(count);
    let least = saved_next.unwrap_or(0).saturating_sub(new.grid.remembered());
    let is_kept = |index: i64| has_counts && index >= least;
    read_runs(&mut reader, count, |place, value| {
        if is_kept(oldest.saturating_add(place)) {
            detector.set_valid(oldest.saturating_add(place), value == 1);
        }
    })?;
    for _ in 0..reader.size(30)? {
        let mut key = Key::new(reader.bytes()?, convert(reader.signed()?), false, &new.grid);
        key.last = convert(reader.signed()?);
        key.since = convert(reader.signed()?);
        key.is_new = reader.flag()?;
        key.is_vanished = reader.flag()?;
        key.spike = reader.time()?.map(convert);
        key.drop = reader.time()?.map(convert);
        key.vanished = reader.time()?.map(convert);
        key.shift = reader.float()?;
        key.silence = reader.float()?;
        key.silent_periods = reader.float()?;
        key.open = (0..reader.size(1)?).map(|_| reader.number()).collect::<Result<_, _>>()?;
        if !has_counts {
            let all = key.open.iter().fold(0, |all: u64, count| all.saturating_add(*count));
            key.open = vec![all];
        }
        read_runs(&mut reader, count, |place, value| {
            let index = oldest.saturating_add(place);
            if is_kept(index) {
                let count = match value {
                    0 => 0,
                    1 => MISSING,
                    more => u32::try_from(more - 1).unwrap_or(MISSING),
                };
                key.remember(index, count);
            }
        })?;
        for _ in 0..reader.size(2)? {
            let index = convert(reader.signed()?);
            key.samples.push((index, reader.text()?.into()));
        }
        detector.insert(key);
    }
    reader.end()?;
    Ok(Saved { last_tick, detector })
}

/// Adds the keys of another instance, which counted other events in the same time.
pub(crate) fn merge(into: &mut Detector, mut other: Detector) {
    // What has ended in one of them has been reported, so it must not end again.
    if other.next > into.next {
        std::mem::swap(into, &mut other);
    }
    let (Some(next), Some(other_next)) = (into.next, other.next) else { return };
    into.started = into.started.min(other.started);
    into.invalid = into.invalid.or(other.invalid);
    other.quiet.iter().for_each(|(from, to)| into.be_quiet(*from, *to));
    for mut key in other.keys {
        // What is open there may have ended here.
        let behind = usize::try_from(next - other_next).unwrap_or(0).min(key.open.len());
        let ended: Vec<u64> = key.open.drain(..behind).collect();
        for (index, count) in (other_next..).zip(ended) {
            key.remember(index, u32::try_from(count).unwrap_or(MISSING - 1));
        }
        let Some(same) = into.find(&key.name) else {
            into.insert(key);
            continue;
        };
        (same.first, same.last) = (same.first.min(key.first), same.last.max(key.last));
        same.since = same.since.min(key.since);
        same.is_new &= key.is_new;
        same.is_vanished &= key.is_vanished;
        (same.spike, same.drop) = (same.spike.max(key.spike), same.drop.max(key.drop));
        same.vanished = same.vanished.max(key.vanished);
        same.silence = same.silence.min(key.silence);
        same.silent_periods = same.silent_periods.min(key.silent_periods);
        for (place, count) in key.open.iter().enumerate() {
            let Ok(place) = i64::try_from(place) else { break };
            same.add(next + place, next, *count);
            same.last = same.last.max(key.last);
        }
        let remembered = other.grid.remembered();
        for index in next - remembered..next {
            let counts = (same.count(index), key.count(index));
            let sum = match counts {
                (MISSING, count) | (count, MISSING) => count,
                (one, other) => one.saturating_add(other).min(MISSING - 1),
            };
            same.remember(index, sum);
        }
    }
}
