//! Counts events by key, and makes a metric of each count at the end of a window: a node with memory and a timer.

use std::time::Duration;

use wattle_node::event::{Action, Event, EventField, EventNode, Fields, StatefulEventNode, TimedEventNode};
use wattle_node::{
    Batch, EventKind, Events as Made, Field, Form, Node, Setup, Sharing, Snapshot, Stateful, Tick, Timed, write_object,
};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    key: String,
    /// In milliseconds.
    window: u32,
    sharing: Share,
}

#[derive(Clone, Copy, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Share {
    Worker,
    Single,
    Key,
}

const NAME: &str = "memory";
const VERSION: &str = "1.0.0";
const SUMMARY: &str = "Counts events by key, and makes a metric of each count at the end of a window.";
const SCHEMA: &str = r#"{"type":"object","required":["key","window","sharing"],"additionalProperties":false,
"properties":{"key":{"type":"string"},"window":{"type":"integer"},"sharing":{"enum":["worker","single","key"]}}}"#;

/// Bounds of the memory; other events leave uncounted.
const MAX_KEYS: usize = 100;
const MAX_KEY: usize = 64;
/// Version of the state: [`Memory`] as JSON.
const STATE_VERSION: u32 = 1;

/// The state.
#[derive(Default, serde::Serialize, serde::Deserialize)]
struct Memory {
    /// Start of the window, before the first tick none.
    start: Option<i64>,
    counts: Vec<(String, u64)>,
}

impl Memory {
    /// Adds to the count of a key, if there is memory for it.
    fn count(&mut self, key: &str, number: u64) -> bool {
        if key.len() > MAX_KEY {
            return false;
        }
        let is_full = self.counts.len() == MAX_KEYS;
        match self.counts.iter_mut().find(|(known, _)| known == key) {
            Some((_, count)) => *count = count.saturating_add(number),
            None if is_full => return false,
            None => self.counts.push((key.to_owned(), number)),
        }
        true
    }

    fn tick(&mut self, tick: &mut Tick<'_>, window: Duration) {
        let (now, start) = (tick.now(), *self.start.get_or_insert(tick.now()));
        let passed = u128::try_from(now.saturating_sub(start)).unwrap_or(0);
        if passed < window.as_nanos() && !tick.is_last() {
            return;
        }
        let mut events = Made::new(EventKind::Metric);
        for (key, count) in &self.counts {
            let body = format!(r#"{{"name":"events","type":"sum","temporality":"delta","value":{count}}}"#);
            // The same window has the same id, even if the agent repeats it after a crash.
            let (id, mut attributes) = (format!("{start}-{key}"), Vec::new());
            write_object([("id", id.as_bytes()), ("key", key.as_bytes())], &mut attributes);
            events.push(body.as_bytes(), Some(&attributes), Some(now));
        }
        tick.count("reported", self.counts.len() as u64);
        tick.emit(0, events);
        *self = Self { start: Some(now), counts: Vec::new() };
    }

    fn save(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Adds all counts; the window began with the first of them.
    fn restore(&mut self, snapshots: Vec<Snapshot>) -> Result<(), String> {
        for Snapshot { version, bytes } in snapshots {
            if version != STATE_VERSION {
                return Err(format!("state of version {version} is not of version {STATE_VERSION}"));
            }
            let saved: Self =
                serde_json::from_slice(&bytes).map_err(|error| format!("the state is invalid: {error}"))?;
            self.start = self.start.into_iter().chain(saved.start).min();
            if !saved.counts.iter().all(|(key, count)| self.count(key, *count)) {
                return Err("the states have too many or too long keys".into());
            }
        }
        Ok(())
    }
}

fn request(options: &Options, setup: &mut Setup<'_>) -> Duration {
    let window = Duration::from_millis(options.window.into());
    setup.tick_every(window);
    setup.share(match options.sharing {
        Share::Worker => Sharing::Worker,
        Share::Single => Sharing::Single,
        Share::Key => Sharing::Key(vec![options.key.clone()]),
    });
    window
}

/// One event at a time.
pub(crate) struct Events {
    key: EventField,
    window: Duration,
    memory: Memory,
}

impl EventNode for Events {
    const NAME: &'static str = NAME;
    const VERSION: &'static str = VERSION;
    const SUMMARY: &'static str = SUMMARY;
    const OPTIONS_SCHEMA: &'static str = SCHEMA;
    type Options = Options;

    fn configure(options: Options, setup: &mut Setup<'_>, fields: &mut Fields) -> Option<Self> {
        let window = request(&options, setup);
        Some(Self { key: fields.read(setup, "key", &options.key)?, window, memory: Memory::default() })
    }

    fn event(&mut self, event: &mut Event<'_>) -> Action {
        let is_counted = event.get(self.key).is_some_and(|key| self.memory.count(&key, 1));
        if is_counted { Action::Hold } else { Action::Keep }
    }
}

impl StatefulEventNode for Events {
    const STATE_VERSION: u32 = STATE_VERSION;

    fn save(&self) -> Vec<u8> {
        self.memory.save()
    }

    fn restore(&mut self, snapshots: Vec<Snapshot>) -> Result<(), String> {
        self.memory.restore(snapshots)
    }
}

impl TimedEventNode for Events {
    fn tick(&mut self, tick: &mut Tick<'_>) -> Result<(), String> {
        self.memory.tick(tick, self.window);
        Ok(())
    }
}

/// Columns.
pub(crate) struct Columns {
    key: Field,
    window: Duration,
    memory: Memory,
}

impl Node for Columns {
    const NAME: &'static str = NAME;
    const VERSION: &'static str = VERSION;
    const SUMMARY: &'static str = SUMMARY;
    const OPTIONS_SCHEMA: &'static str = SCHEMA;
    type Options = Options;

    fn configure(options: Options, setup: &mut Setup<'_>) -> Option<Self> {
        let window = request(&options, setup);
        Some(Self { key: setup.read("key", &options.key)?, window, memory: Memory::default() })
    }

    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
        let keys = batch.read(self.key, Form::Text);
        let mut held = Vec::new();
        for row in 0..keys.len() {
            let key = keys.get(row).map(String::from_utf8_lossy);
            if key.is_some_and(|key| self.memory.count(&key, 1)) {
                held.push(u32::try_from(row).unwrap_or(u32::MAX));
            }
        }
        batch.hold(&held);
        Ok(())
    }
}

impl Stateful for Columns {
    const STATE_VERSION: u32 = STATE_VERSION;

    fn save(&self) -> Vec<u8> {
        self.memory.save()
    }

    fn restore(&mut self, snapshots: Vec<Snapshot>) -> Result<(), String> {
        self.memory.restore(snapshots)
    }
}

impl Timed for Columns {
    fn tick(&mut self, tick: &mut Tick<'_>) -> Result<(), String> {
        self.memory.tick(tick, self.window);
        Ok(())
    }
}
