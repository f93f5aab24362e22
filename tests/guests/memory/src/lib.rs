//! A guest with memory: it holds rows and makes one event for each key and window.
//!
//! The key of a row is its body up to the first space. A window ends with the first tick that is at
//! least `window_ms` after it began. The event is `{"key":…,"count":…,"window":…}` with the attribute
//! `id`, which ends with the lowest number of a row, because two instances can begin a window at the same
//! time. The number of a row is its last word. With `lists`, a row is `{"k":key,"n":number}`, and the event
//! has `rows` with all numbers.
//! `misbehave` makes it break a limit instead.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use wattle_node::{
    Batch, EventKind, Events, Field, Form, Node, Setup, Sharing, Snapshot, Stateful, Tick, Timed, write_object,
};

/// The options.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Milliseconds between two ticks.
    tick_ms: u64,
    /// Length of a window in milliseconds.
    window_ms: i64,
    /// `worker`, `single` or `key`.
    #[serde(default)]
    sharing: String,
    /// Passes rows on instead of holding them.
    #[serde(default)]
    passes: bool,
    /// Lists the numbers of the rows of each window.
    #[serde(default)]
    lists: bool,
    /// Mebibytes that the node remembers after its first row. The last tick makes events of three times
    /// as many.
    #[serde(default)]
    owes_mib: usize,
    /// A limit to break.
    #[serde(default)]
    misbehave: Misbehave,
}

/// How the node breaks a limit.
#[derive(Clone, Copy, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Misbehave {
    #[default]
    No,
    /// A tick that never ends.
    Spin,
    /// A tick that makes events without end.
    Flood,
    /// A tick that traps.
    Trap,
    /// State that exceeds its limit.
    Grow,
    /// A row with the key `poison` traps.
    Poison,
}

/// A row with `lists`.
#[derive(Deserialize)]
struct Row {
    #[serde(rename = "k")]
    key: String,
    #[serde(rename = "n")]
    number: u64,
}

/// The configured node.
pub struct Memory {
    body: Field,
    window: i64,
    passes: bool,
    lists: bool,
    owes_mib: usize,
    misbehave: Misbehave,
    now: i64,
    state: State,
}

/// What a snapshot contains.
#[derive(Default, Deserialize, Serialize)]
struct State {
    /// When the open window began, in nanoseconds since the epoch; 0 before the first row.
    began: i64,
    counts: BTreeMap<String, u64>,
    /// The lowest number of a row by key.
    #[serde(default)]
    lowest: BTreeMap<String, u64>,
    /// Numbers of the rows by key.
    #[serde(default)]
    rows: BTreeMap<String, Vec<u64>>,
    /// Makes the state large.
    ballast: String,
}

impl Memory {
    fn flush(&mut self, emit: &mut dyn FnMut(Events)) {
        let mut events = Events::new(EventKind::Log);
        let window = self.state.began / 1_000_000;
        let mut rows = std::mem::take(&mut self.state.rows);
        let lowest = std::mem::take(&mut self.state.lowest);
        for (key, count) in std::mem::take(&mut self.state.counts) {
            let mut body = format!(r#"{{"key":"{key}","count":{count},"window":{window}"#);
            let id = format!("{key}-{window}-{}", lowest.get(&key).copied().unwrap_or_default());
            if let Some(rows) = rows.remove(&key) {
                body += &format!(r#","rows":{rows:?}"#);
            }
            body.push('}');
            let mut attributes = Vec::new();
            write_object([("id", id.as_bytes())], &mut attributes);
            events.push(body.as_bytes(), Some(&attributes), Some(self.now));
        }
        self.state.began = 0;
        emit(events);
    }
}

impl Node for Memory {
    const NAME: &'static str = "memory";
    const VERSION: &'static str = "1.0.0";
    const SUMMARY: &'static str = "Counts rows by key and window.";
    const OPTIONS_SCHEMA: &'static str = r#"{"type":"object"}"#;
    type Options = Options;

    fn configure(options: Options, setup: &mut Setup<'_>) -> Option<Self> {
        setup.tick_every(Duration::from_millis(options.tick_ms));
        setup.ports(vec!["out".into(), "summary".into()]);
        setup.share(match options.sharing.as_str() {
            "single" => Sharing::Single,
            "key" => Sharing::Key(vec!["body.key".into()]),
            _ => Sharing::Worker,
        });
        let body = setup.read("", "body")?;
        let Options { passes, lists, owes_mib, misbehave, .. } = options;
        let window = options.window_ms * 1_000_000;
        Some(Self { body, window, passes, lists, owes_mib, misbehave, now: 0, state: State::default() })
    }

    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
        let bodies = batch.read(self.body, Form::Text);
        for row in bodies.rows() {
            let text = String::from_utf8_lossy(row);
            let row = match self.lists {
                true => serde_json::from_str(&text).map_err(|error| format!("`{text:.100}`: {error}"))?,
                false => Row {
                    key: text.split(' ').next().unwrap_or_default().to_owned(),
                    number: text.rsplit(' ').next().and_then(|word| word.parse().ok()).unwrap_or_default(),
                },
            };
            assert!(self.misbehave != Misbehave::Poison || row.key != "poison", "a poisonous row");
            *self.state.counts.entry(row.key.clone()).or_default() += 1;
            let lowest = self.state.lowest.entry(row.key.clone()).or_insert(row.number);
            *lowest = row.number.min(*lowest);
            if self.lists {
                self.state.rows.entry(row.key).or_default().push(row.number);
            }
            if self.state.began == 0 {
                self.state.began = self.now;
            }
        }
        let missing = (self.owes_mib << 20).saturating_sub(self.state.ballast.len());
        self.state.ballast.extend(std::iter::repeat_n('o', missing));
        if self.misbehave == Misbehave::Grow {
            self.state.ballast.extend(std::iter::repeat_n('x', 4 << 20));
        }
        if !self.passes {
            batch.hold(&(0..u32::try_from(batch.len()).unwrap_or(u32::MAX)).collect::<Vec<_>>());
        }
        Ok(())
    }
}

impl Timed for Memory {
    fn tick(&mut self, tick: &mut Tick<'_>) -> Result<(), String> {
        self.now = tick.now();
        match self.misbehave {
            Misbehave::Spin if !self.state.counts.is_empty() => loop {
                std::hint::spin_loop();
            },
            Misbehave::Flood if !self.state.counts.is_empty() => loop {
                let mut events = Events::new(EventKind::Log);
                events.push(&[b'x'; 1 << 16], None, None);
                tick.emit(1, events);
            },
            Misbehave::Trap if !self.state.counts.is_empty() => return Err("a tick that fails".into()),
            _ => {}
        }
        if tick.is_last() || (self.state.began != 0 && self.now - self.state.began >= self.window) {
            self.flush(&mut |events| tick.emit(1, events));
        }
        if tick.is_last() && self.owes_mib > 0 {
            for chunk in self.state.ballast.as_bytes().chunks(1 << 16) {
                let mut events = Events::new(EventKind::Log);
                (0..3).for_each(|_| events.push(chunk, None, None));
                tick.emit(0, events);
            }
        }
        Ok(())
    }
}

impl Stateful for Memory {
    const STATE_VERSION: u32 = 1;

    fn save(&self) -> Vec<u8> {
        serde_json::to_vec(&self.state).unwrap_or_default()
    }

    fn restore(&mut self, snapshots: Vec<Snapshot>) -> Result<(), String> {
        for snapshot in snapshots {
            let other: State = serde_json::from_slice(&snapshot.bytes).map_err(|error| error.to_string())?;
            for (key, count) in other.counts {
                *self.state.counts.entry(key).or_default() += count;
            }
            self.state.ballast += &other.ballast;
            for (key, number) in other.lowest {
                let lowest = self.state.lowest.entry(key).or_insert(number);
                *lowest = number.min(*lowest);
            }
            for (key, rows) in other.rows {
                self.state.rows.entry(key).or_default().extend(rows);
            }
            if self.state.began == 0 || (other.began != 0 && other.began < self.state.began) {
                self.state.began = other.began;
            }
        }
        Ok(())
    }
}

wattle_node::export_timed_node!(Memory);
