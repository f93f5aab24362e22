//! The node `throttle`: lets a number of events or bytes of each key pass in a window of time.

mod options;
mod window;

use wattle_condition::OneOrMany;
use wattle_keyed::{KeyHash, Keys, Owed, When, memory_time, size, tick_interval};
use wattle_node::{Batch, Field, Form, Node, Setup, Sharing, Snapshot, Stateful, Tick, Timed, export_timed_node};
use wattle_snapshot::{Reader, Window, Writer, hash};

pub use crate::options::{Excess, Options, Summary};
use crate::window::{Limit, Saved, Usages, load, summary};

/// Reason of dropped events, and the count of the others.
const THROTTLED: &str = "throttled";

/// The configured node.
pub struct Throttle {
    keys: Keys,
    when: When,
    /// Read only if bytes are limited.
    body: Option<Field>,
    limit: Limit,
    length: i64,
    excess: Excess,
    has_summaries: bool,
    /// Ports of events beyond a limit and of summaries.
    ports: (u8, u8),
    /// A hash of the options that give the counts their meaning.
    fingerprint: u64,
    window: Option<Window>,
    usages: Usages,
    owed: Owed,
}

impl Throttle {
    /// Writes the summaries of a window that has ended, or that is still open at the end of the run.
    fn end(&mut self, window: Window, fingerprint: u64, (usages, other): Saved, is_partial: bool) {
        for (key, usage) in
            usages.into_iter().chain(other).filter(|(_, usage)| self.has_summaries && usage.throttled > 0)
        {
            let (body, attributes) = summary(window, key, &usage, fingerprint, self.body.is_some(), is_partial);
            self.owed.push(body, attributes, window.end);
        }
    }

    /// Decides which rows of a batch pass. Also returns the number of rows whose key was one too many.
    fn passing(&mut self, batch: &mut Batch<'_>) -> (Vec<bool>, u64) {
        let sizes = self.body.map(|body| batch.read(body, Form::Text)).unwrap_or_default();
        self.keys.read(batch);
        let Self { keys, usages, limit, when, .. } = self;
        let mut others = 0;
        let mut passes = |row: usize| {
            // Events without a key share a limit: they are a flood as any other.
            let key = keys.hash(row).unwrap_or(KeyHash::MAX);
            let (usage, is_other) = usages.of(key, || {
                let mut shown = Vec::new();
                keys.write(row, &mut shown);
                shown
            });
            others += u64::from(is_other);
            usage.passes(sizes.row(row).len() as u64, *limit)
        };
        let rows = when.rows(batch).iter().enumerate();
        let passing = rows.map(|(row, is_counted)| !is_counted || passes(row)).collect();
        self.keys.clear();
        (passing, others)
    }
}

impl Node for Throttle {
    const NAME: &'static str = "throttle";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str =
        "Limits the events or bytes of each key in a window of time, and reports what it dropped.";
    const OPTIONS_SCHEMA: &'static str = include_str!("../options.schema.json");
    type Options = Options;

    fn configure(options: Options, setup: &mut Setup<'_>) -> Option<Self> {
        let names = options.key.as_ref().map_or(&[][..], OneOrMany::as_slice);
        if options.key.is_some() && names.is_empty() {
            setup.error("key", "at least one field is needed; remove the option for one limit of all events");
        }
        let keys = Keys::new("key", names, setup);
        let bytes = match &options.bytes {
            Some(text) => size("bytes", text, setup).map(|bytes| Some(bytes as u64)),
            None => Some(None),
        };
        if options.events.is_none() && options.bytes.is_none() {
            setup.error("", "needs `events` or `bytes`, the limit of a key in a window");
        }
        if options.events == Some(0) {
            setup.error("events", "must be at least 1; use the node `filter` to drop all events");
        }
        if options.max_keys == 0 {
            setup.error("max_keys", "must be at least 1");
        }
        let length = memory_time("window", &options.window, setup);
        let when = When::new(options.when.as_ref(), setup);
        let body = match &options.bytes {
            Some(_) => setup.read("bytes", "body").map(Some),
            None => Some(None),
        };
        let mut ports = vec!["out".to_owned()];
        let mut port = |is_used: bool, name: &str| {
            if is_used {
                ports.push(name.to_owned());
                u8::try_from(ports.len() - 1).unwrap_or_default()
            } else {
                0
            }
        };
        let ports_of =
            (port(options.excess == Excess::Route, THROTTLED), port(options.summary == Summary::Port, "summary"));
        setup.ports(ports);
        setup.share(if names.is_empty() { Sharing::Single } else { Sharing::Key(names.to_vec()) });
        let length = i64::try_from(length?.as_nanos()).unwrap_or(i64::MAX);
        setup.tick_every(tick_interval(length));
        let limit = Limit { events: options.events.unwrap_or(u64::MAX), bytes: bytes?.unwrap_or(u64::MAX) };
        Some(Self {
            keys: keys?,
            when: when?,
            body: body?,
            limit,
            length,
            excess: options.excess,
            has_summaries: options.summary != Summary::None,
            ports: ports_of,
            fingerprint: hash(0, format!("{names:?} {length}").as_bytes()),
            window: None,
            usages: Usages::new(options.max_keys),
            owed: Owed::default(),
        })
    }

    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
        let (passing, others) = self.passing(batch);
        let beyond: Vec<u32> = (0..).zip(&passing).filter(|(_, passes)| !**passes).map(|(row, _)| row).collect();
        match self.excess {
            Excess::Drop => batch.drop_rows(&beyond, THROTTLED),
            Excess::Route if !beyond.is_empty() => {
                let ports: Vec<u8> = passing.iter().map(|passes| if *passes { 0 } else { self.ports.0 }).collect();
                batch.route(&ports);
                batch.count(THROTTLED, beyond.len() as u64);
            }
            Excess::Route => {}
        }
        batch.count("other-keys", others);
        Ok(())
    }
}

impl Timed for Throttle {
    fn tick(&mut self, tick: &mut Tick<'_>) -> Result<(), String> {
        let now = Window::at(tick.now(), self.length);
        match self.window {
            Some(window) if window.start != now.start => {
                let usages = self.usages.take();
                self.end(window, self.fingerprint, usages, false);
            }
            // The next run may continue with the state, and a limit is for the whole window.
            Some(window) if tick.is_last() => self.end(window, self.fingerprint, self.usages.so_far(), true),
            _ => {}
        }
        self.window = Some(now);
        tick.emit(self.ports.1, self.owed.take(tick.is_last()));
        Ok(())
    }
}

impl Stateful for Throttle {
    const STATE_VERSION: u32 = 1;

    fn save(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.word(self.fingerprint);
        writer.signed(self.length);
        writer.time(self.window.map(|window| window.start));
        self.usages.save(&mut writer);
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
            let (fingerprint, length, start) = (reader.word()?, reader.signed()?, reader.time()?);
            let usages = load(&mut reader)?;
            self.owed.load(&mut reader)?;
            reader.end()?;
            let window = start.map(|start| Window { start, end: start.saturating_add(length) });
            all.push((fingerprint, window, usages));
        }
        // The latest window goes on; others have ended.
        let own = self.fingerprint;
        let is_own = |fingerprint: u64| fingerprint == own;
        let latest = all.iter().filter(|saved| is_own(saved.0)).filter_map(|saved| saved.1).max_by_key(|w| w.start);
        self.window = latest;
        for (fingerprint, window, usages) in all {
            match window {
                Some(window) if is_own(fingerprint) && Some(window) == latest => {
                    self.usages.add(usages);
                }
                Some(window) => self.end(window, fingerprint, usages, false),
                None => {}
            }
        }
        Ok(())
    }
}

export_timed_node!(Throttle);
