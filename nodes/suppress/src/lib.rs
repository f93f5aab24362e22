//! The node `suppress`: lets the first event of each key pass, and counts its repeats for a time.
//!
//! The host decides what is a repeat (capability `seen`): a memory of the node would suppress an event that the source offers
//! again, because its delivery failed. The node only counts.

mod options;
mod repeats;

use std::time::Duration;

use wattle_condition::OneOrMany;
use wattle_keyed::{KeyHash, Keys, Owed, When, memory_time, tick_interval};
use wattle_node::capabilities::seen;
use wattle_node::{
    Batch, ColumnWriter, Field, Form, Node, Setup, Sharing, Snapshot, Stateful, Tick, Timed, export_timed_node,
};
use wattle_snapshot::{Reader, Writer, hash};

pub use crate::options::{Options, Repeats, Summary};
use crate::repeats::{Repeated, Windows, load, summary};

/// Reason of dropped repeats, and the count of the others.
const SUPPRESSED: &str = "suppressed";
/// Largest `allow`: it is the number of claims for one event at most.
const MAX_ALLOW: usize = 100;

/// The configured node.
pub struct Suppress {
    keys: Keys,
    when: When,
    timestamp: Field,
    allow: u8,
    window: Duration,
    /// The same in nanoseconds.
    length: i64,
    /// Time between two ticks in nanoseconds.
    interval: i64,
    repeats: Repeats,
    has_summaries: bool,
    /// Ports of repeats and of summaries.
    ports: (u8, u8),
    /// A hash of the options that give the counts their meaning.
    fingerprint: u64,
    now: i64,
    windows: Windows,
    owed: Owed,
}

/// What happens to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It passes without a window.
    Passes,
    /// It passes and begins a window.
    Begins,
    /// It is a repeat.
    Repeats,
}

impl Suppress {
    /// Asks the host which rows are repeats. `keys` has the key of each row that is looked at.
    fn claim(&self, keys: &[Option<KeyHash>]) -> Vec<Fate> {
        let mut fates: Vec<Fate> =
            keys.iter().map(|key| if key.is_some() { Fate::Repeats } else { Fate::Passes }).collect();
        // Each event that may pass within a window is a claim of its own.
        for number in 0..self.allow {
            if !fates.contains(&Fate::Repeats) {
                break;
            }
            let mut claims = ColumnWriter::with_capacity(17 * keys.len(), keys.len());
            for (key, fate) in keys.iter().zip(&fates) {
                match key {
                    Some(key) if *fate == Fate::Repeats => {
                        claims.bytes.push(number);
                        claims.bytes.extend_from_slice(&key.to_le_bytes());
                        claims.end_row();
                    }
                    _ => claims.push_none(),
                }
            }
            let is_new = seen::claim(claims, self.window);
            for (fate, _) in fates.iter_mut().zip(is_new).filter(|(fate, is_new)| *is_new && **fate == Fate::Repeats) {
                *fate = if number == 0 { Fate::Begins } else { Fate::Passes };
            }
        }
        fates
    }

    /// Counts the repeats of a batch. Returns the number of those whose key was one too many.
    fn count(&mut self, keys: &[Option<KeyHash>], fates: &[Fate], batch: &mut Batch<'_>) -> u64 {
        let times = batch.read(self.timestamp, Form::Text);
        let mut others = 0;
        for (row, (key, fate)) in keys.iter().zip(fates).enumerate() {
            let Some(key) = *key else { continue };
            let fields = &self.keys;
            let shown = || {
                let mut shown = Vec::new();
                fields.write(row, &mut shown);
                shown
            };
            let (now, time) = (self.now, times.row(row));
            match fate {
                Fate::Passes => {}
                Fate::Begins => {
                    // The claim ended a little before the next tick, or the first event was offered again.
                    if let Some((key, ended)) = self.windows.begin(key, now, time, shown) {
                        self.owe(key, &ended, self.fingerprint, self.length, false);
                    }
                }
                Fate::Repeats => others += u64::from(self.windows.repeat(key, now, time, shown)),
            }
        }
        others
    }

    /// Writes the summary of a window that has ended, or that is still open at the end of the run.
    fn owe(&mut self, key: KeyHash, window: &Repeated, fingerprint: u64, length: i64, is_partial: bool) {
        if self.has_summaries {
            let (body, attributes) = summary(key, window, fingerprint, is_partial);
            self.owed.push(body, attributes, window.start.saturating_add(length));
        }
    }
}

impl Node for Suppress {
    const NAME: &'static str = "suppress";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Lets the first event of each key pass, and reports the number of its repeats.";
    const OPTIONS_SCHEMA: &'static str = include_str!("../options.schema.json");
    type Options = Options;

    fn configure(options: Options, setup: &mut Setup<'_>) -> Option<Self> {
        let names = OneOrMany::as_slice(&options.key);
        if names.is_empty() {
            setup.error("key", "at least one field is needed; remove the option for the whole body");
        }
        let keys = Keys::new("key", names, setup);
        if !(1..=MAX_ALLOW).contains(&options.allow) {
            setup.error("allow", format!("must be 1 to {MAX_ALLOW}; the node `throttle` has higher limits"));
        }
        if options.max_keys == 0 {
            setup.error("max_keys", "must be at least 1");
        }
        let window = memory_time("window", &options.window, setup);
        let when = When::new(options.when.as_ref(), setup);
        let timestamp = setup.read("key", "timestamp");
        let mut ports = vec!["out".to_owned()];
        let mut port = |is_used: bool, name: &str| {
            if is_used {
                ports.push(name.to_owned());
                u8::try_from(ports.len() - 1).unwrap_or_default()
            } else {
                0
            }
        };
        let used =
            (port(options.repeats == Repeats::Route, SUPPRESSED), port(options.summary == Summary::Port, "summary"));
        setup.ports(ports);
        setup.share(Sharing::Key(names.to_vec()));
        let window = window?;
        let length = i64::try_from(window.as_nanos()).unwrap_or(i64::MAX);
        let interval = tick_interval(length);
        setup.tick_every(interval);
        Some(Self {
            keys: keys?,
            when: when?,
            timestamp: timestamp?,
            allow: u8::try_from(options.allow).unwrap_or(u8::MAX),
            window,
            length,
            interval: i64::try_from(interval.as_nanos()).unwrap_or(i64::MAX),
            repeats: options.repeats,
            has_summaries: options.summary != Summary::None,
            ports: used,
            fingerprint: hash(0, format!("{names:?} {length}").as_bytes()),
            now: 0,
            windows: Windows::new(options.max_keys),
            owed: Owed::default(),
        })
    }

    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
        self.keys.read(batch);
        let fields = &mut self.keys;
        let rows = self.when.rows(batch).iter().enumerate();
        let keys: Vec<Option<KeyHash>> =
            rows.map(|(row, is_open)| if *is_open { fields.hash(row) } else { None }).collect();
        let fates = self.claim(&keys);
        let others = if keys.iter().any(Option::is_some) { self.count(&keys, &fates, batch) } else { 0 };
        self.keys.clear();
        let is_repeat = |fate: &Fate| *fate == Fate::Repeats;
        let repeats: Vec<u32> = (0..).zip(&fates).filter(|(_, fate)| is_repeat(fate)).map(|(row, _)| row).collect();
        match self.repeats {
            Repeats::Drop => batch.drop_rows(&repeats, SUPPRESSED),
            Repeats::Route if !repeats.is_empty() => {
                let ports: Vec<u8> = fates.iter().map(|fate| if is_repeat(fate) { self.ports.0 } else { 0 }).collect();
                batch.route(&ports);
                batch.count(SUPPRESSED, repeats.len() as u64);
            }
            Repeats::Route => {}
        }
        batch.count("other-keys", others);
        Ok(())
    }
}

impl Timed for Suppress {
    fn tick(&mut self, tick: &mut Tick<'_>) -> Result<(), String> {
        self.now = tick.now();
        // One tick later than the window ends: it began after the tick that the node knows, so the host may still refuse
        // events of it, which would begin a window of their own here.
        let end = self.length.saturating_add(self.interval);
        for (key, window) in self.windows.end(self.now.saturating_sub(end)) {
            self.owe(key, &window, self.fingerprint, self.length, false);
        }
        if tick.is_last() {
            // The next run may continue with the state: the host remembers the event that passed.
            for (key, window) in self.windows.so_far() {
                self.owe(key, &window, self.fingerprint, self.length, true);
            }
        }
        tick.emit(self.ports.1, self.owed.take(tick.is_last()));
        Ok(())
    }
}

impl Stateful for Suppress {
    const STATE_VERSION: u32 = 1;

    fn save(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.word(self.fingerprint);
        writer.signed(self.length);
        writer.signed(self.now);
        self.windows.save(&mut writer);
        self.owed.save(&mut writer);
        writer.finish()
    }

    fn restore(&mut self, snapshots: Vec<Snapshot>) -> Result<(), String> {
        let mut all = Vec::new();
        for Snapshot { version, bytes } in &snapshots {
            if *version != Self::STATE_VERSION {
                return Err(format!("the state has version {version}, and this node reads {}", Self::STATE_VERSION));
            }
            let mut reader = Reader::new(bytes)?;
            let (fingerprint, length, now) = (reader.word()?, reader.signed()?, reader.signed()?);
            let saved = load(&mut reader)?;
            self.owed.load(&mut reader)?;
            reader.end()?;
            self.now = self.now.max(now);
            all.push((fingerprint, length, saved));
        }
        for (fingerprint, length, (windows, other)) in all {
            if fingerprint == self.fingerprint {
                self.windows.add((windows, other));
            } else {
                // Windows of other options have ended.
                let ended = windows.into_iter().chain(other).filter(|(_, window)| window.count > 0);
                ended.for_each(|(key, window)| self.owe(key, &window, fingerprint, length, false));
            }
        }
        Ok(())
    }
}

export_timed_node!(Suppress);
