//! The node `join`: makes one event of lines or records that belong together.
//!
//! Each row of a batch is a step of the joined event that is open for its key ([`step`]). Rows that complete an event within
//! the batch are combined, so that they keep their acknowledgement and their place. What is open at the end of the batch is
//! held ([`group`]), and becomes an event that the node makes ([`made`]).

mod cri;
mod form;
mod group;
mod lines;
mod machine;
mod made;
mod options;
mod prepare;
mod presets;
mod rows;
mod state;
mod step;
mod tail;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use wattle_condition::Spare;
use wattle_keyed::KeyHash;
use wattle_node::json::Kind;
use wattle_node::{Batch, Column, Events, Node, Setup, Snapshot, Stateful, Tick, Timed, export_timed_node};

use crate::group::{Ended, Group, Groups};
use crate::made::Maker;
pub use crate::options::{As, AtLimit, Options, Preset, Rule, Test};
use crate::prepare::Plan;
use crate::rows::Rows;
use crate::tail::{Seen, Tail};

/// The configured node.
pub struct Join {
    plan: Plan,
    groups: Groups,
    /// Groups that have ended, but whose events are not made yet.
    owed: VecDeque<Ended>,
    columns: Vec<Column>,
    rows: Rows,
    spare: Spare,
    tail: Tail,
    /// Keys of restored groups that got no row since.
    restored: BTreeSet<KeyHash>,
    /// Time of the first tick after that.
    restored_at: Option<i64>,
}

/// Bytes of the events that a call makes beyond those of its batch; the rest waits for the next call. The host allows 1 MiB
/// whatever the batch has.
const CALL_BYTES: usize = 512 << 10;

/// Time after a restart for which the node compares first rows: a source sends what it has to repeat as soon as it starts.
const REPEAT_TIME: i64 = 60_000_000_000;

impl Join {
    /// Makes the owed events up to this many bytes, but at least one, and counts them.
    fn make(&mut self, max_bytes: usize, counts: &mut Counts) -> Events {
        let mut events = Maker::events();
        let mut made = 0;
        while let Some(Ended { group, is_whole }) =
            self.owed.pop_front_if(|next| made == 0 || made + next.group.size() <= max_bytes)
        {
            made += group.size();
            counts.joined += u64::from(group.events > 1);
            let is_placed = self.plan.maker.add(group, is_whole, &self.plan.form, &mut events);
            counts.no_place += u64::from(!is_placed);
        }
        events
    }

    /// Ends the restored groups of keys whose first rows are older than they are: the source sends rows again that came
    /// before the snapshot.
    fn end_repeated(&mut self, text: &Column, counts: &mut Counts) {
        self.restored.retain(|key| self.groups.contains(*key));
        let mut first: BTreeMap<KeyHash, Vec<Seen>> = BTreeMap::new();
        for (row, bytes) in text.rows().enumerate().filter(|(row, _)| text.kind(*row) > Kind::Null) {
            if let Some((key, _)) = self.plan.key(row, bytes).filter(|(key, _)| self.restored.contains(key)) {
                first.entry(key).or_default().push(Seen::new(key, bytes));
            }
        }
        for (key, rows) in first {
            self.restored.remove(&key);
            let events = self.groups.get_mut(key).map_or(0, |group| group.events);
            if self.tail.is_repeated_by(&rows, events)
                && let Some(group) = self.groups.remove(key)
            {
                counts.repeated += 1;
                self.owed.push_back(Ended { group, is_whole: false });
            }
        }
    }
}

/// What a call counts.
#[derive(Debug, Default)]
struct Counts {
    /// Events of several rows.
    joined: u64,
    /// Events that reached a limit of their own.
    split: u64,
    /// Events that ended because the memory of the node was full.
    evicted: u64,
    /// Events that waited long enough.
    timed_out: u64,
    /// Events that ended because their source sent rows from before them again.
    repeated: u64,
    /// Made events of which a field could not be set.
    no_place: u64,
}

impl Counts {
    fn each(&self) -> [(&'static str, u64); 6] {
        [
            ("joined", self.joined),
            ("split", self.split),
            ("evicted", self.evicted),
            ("timed-out", self.timed_out),
            ("repeated", self.repeated),
            ("no-place", self.no_place),
        ]
    }
}

impl Node for Join {
    const NAME: &'static str = "join";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Makes one event of lines or records that belong together.";
    const OPTIONS_SCHEMA: &'static str = include_str!("../options.schema.json");
    type Options = Options;

    fn configure(options: Options, setup: &mut Setup<'_>) -> Option<Self> {
        let plan = prepare::plan(&options, setup)?;
        Some(Self {
            plan,
            groups: Groups::default(),
            owed: VecDeque::new(),
            columns: Vec::new(),
            rows: Rows::default(),
            spare: Spare::default(),
            tail: Tail::default(),
            restored: BTreeSet::new(),
            restored_at: None,
        })
    }

    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
        self.plan.fields.read(batch, &mut self.columns);
        self.plan.keys.read(batch);
        if let prepare::Engine::Lines(lines) = &mut self.plan.engine {
            lines.prepare(&self.columns, batch.len(), &mut self.spare);
        }
        let mut counts = Counts::default();
        let text = self.columns.get(self.plan.text).cloned().unwrap_or_default();
        if !self.restored.is_empty() {
            self.end_repeated(&text, &mut counts);
        }
        self.rows.begin(batch.len());
        for row in 0..batch.len() {
            self.rows.decide(row, &text, &mut self.plan, &mut self.groups, &mut counts, &mut self.tail);
        }
        // The columns are spans of the host's buffers; drop them before the batch ends.
        self.columns.clear();
        self.plan.keys.clear();
        let ended = self.rows.apply(&text, batch, &mut self.plan, &mut self.groups, &mut counts);
        let limits = self.plan.limits;
        let evicted = self.groups.remove_beyond(limits.max_open, limits.max_memory);
        counts.evicted += evicted.len() as u64;
        self.owed.extend(ended);
        self.owed.extend(evicted.into_iter().map(|group| Ended { group, is_whole: false }));
        let events = self.make(CALL_BYTES + text.bytes.len(), &mut counts);
        batch.emit(0, events);
        counts.each().into_iter().for_each(|(name, value)| batch.count(name, value));
        Ok(())
    }
}

impl Timed for Join {
    fn tick(&mut self, tick: &mut Tick<'_>) -> Result<(), String> {
        let (now, timeout, is_last) = (tick.now(), self.plan.limits.timeout, tick.is_last());
        let is_late = |group: &Group| group.touched.is_some_and(|touched| now.saturating_sub(touched) >= timeout);
        let late = self.groups.remove_if(|group| is_last || is_late(group));
        self.groups.touch(now);
        if now.saturating_sub(*self.restored_at.get_or_insert(now)) >= REPEAT_TIME {
            self.restored.clear();
        }
        let mut counts = Counts { timed_out: late.len() as u64, ..Counts::default() };
        self.owed.extend(late.into_iter().map(|group| Ended { group, is_whole: false }));
        let events = self.make(if is_last { usize::MAX } else { CALL_BYTES }, &mut counts);
        tick.emit(0, events);
        counts.each().into_iter().filter(|(_, value)| *value > 0).for_each(|(name, value)| tick.count(name, value));
        Ok(())
    }
}

impl Stateful for Join {
    const STATE_VERSION: u32 = state::VERSION;

    fn save(&self) -> Vec<u8> {
        state::save(self.plan.fingerprint, self.groups.number, &self.groups.sorted(), &self.owed, &self.tail)
    }

    fn restore(&mut self, snapshots: Vec<Snapshot>) -> Result<(), String> {
        let all: Vec<_> = snapshots.iter().map(state::load).collect::<Result<_, _>>()?;
        for saved in all {
            let is_same = saved.fingerprint == self.plan.fingerprint;
            self.groups.number = self.groups.number.max(saved.number);
            self.owed.extend(saved.owed);
            if is_same {
                self.tail.append(saved.tail);
            }
            for group in saved.open {
                // A group of other options, or a second one of the same key, cannot continue.
                if is_same && self.plan.engine.has(group.state) && !self.groups.contains(group.key) {
                    self.restored.insert(group.key);
                    self.groups.insert(group);
                } else {
                    self.owed.push_back(Ended { group, is_whole: false });
                }
            }
        }
        Ok(())
    }
}

export_timed_node!(Join);
