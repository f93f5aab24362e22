//! The node `dedup`: drops events that were delivered before.
//!
//! The host remembers the keys (capability `seen`): a key that the node would remember when an event passes would drop the
//! event when its delivery fails and the source offers it again.

mod first;
mod key;
mod options;

use std::time::Duration;

use wattle_keyed::When;
use wattle_node::capabilities::seen;
use wattle_node::{Batch, ColumnWriter, Field, Form, Node, Setup, Snapshot, Stateful, export_stateful_node};

use crate::first::WarmUp;
use crate::key::Key;
pub use crate::options::{Duplicates, Options};

/// Reason of dropped duplicates, and the count of the others.
const DUPLICATE: &str = "duplicate";
/// Reason of first events that are dropped during the warm-up.
const WARM_UP: &str = "warm-up";
/// Number of the port for duplicates, or for copies of first events.
const PORT: u8 = 1;
/// The field of marked duplicates without a configured one.
const MARK_FIELD: &str = "attributes.duplicate";

/// The configured node.
pub struct Dedup {
    key: Key,
    window: Duration,
    when: When,
    action: Action,
    warm_up: WarmUp,
}

/// What happens to duplicates.
enum Action {
    Drop,
    Mark(Field),
    Route,
    /// They pass, and first events are copied.
    Pass,
}

impl Node for Dedup {
    const NAME: &'static str = "dedup";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Drops, marks or routes events that were delivered before, or copies first ones.";
    const OPTIONS_SCHEMA: &'static str = include_str!("../options.schema.json");
    type Options = Options;

    fn configure(options: Options, setup: &mut Setup<'_>) -> Option<Self> {
        let key = Key::new(&options.key.named("key"), &options.ignore, setup);
        let window = wattle_keyed::memory_time("window", &options.window, setup);
        let when = When::new(options.when.as_ref(), setup);
        let mark = options.mark_field.as_deref();
        let warm_up = WarmUp::new(options.warm_up.as_deref(), setup);
        if options.warm_up.is_some() && !matches!(options.duplicates, Duplicates::Drop | Duplicates::Pass) {
            setup.error("warm_up", "has an effect only with `duplicates = \"drop\"` or `\"pass\"`");
        }
        let action = match (options.duplicates, mark) {
            (Duplicates::Mark, field) => setup.write_value("mark_field", field.unwrap_or(MARK_FIELD)).map(Action::Mark),
            (_, Some(_)) => {
                setup.error("mark_field", "has an effect only with `duplicates = \"mark\"`");
                None
            }
            (Duplicates::Drop, None) => Some(Action::Drop),
            (Duplicates::Route, None) => {
                setup.ports(vec!["out".to_owned(), "duplicates".to_owned()]);
                Some(Action::Route)
            }
            (Duplicates::Pass, None) => {
                setup.ports(vec!["out".to_owned(), "first".to_owned()]);
                Some(Action::Pass)
            }
        };
        Some(Self { key: key?, window: window?, when: when?, action: action?, warm_up: warm_up? })
    }

    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
        let rows = batch.len();
        self.key.read(batch);
        let mut keys = ColumnWriter::with_capacity(rows * 48, rows);
        let mut without_key = 0;
        // A row without a key is new, but not the first one of a key.
        let mut keyed = Vec::with_capacity(rows);
        for (row, is_open) in self.when.rows(batch).iter().enumerate() {
            let is_keyed = *is_open && self.key.write(row, &mut keys);
            if !is_open {
                keys.push_none();
            } else if !is_keyed {
                without_key += 1;
            }
            keyed.push(is_keyed);
        }
        self.key.clear();
        let is_new = seen::claim(keys, self.window);
        let is_pass = matches!(self.action, Action::Pass);
        if is_pass || self.warm_up.is_set() {
            let first = (0..).zip(keyed.iter().zip(&is_new)).filter(|(_, (is_keyed, is_new))| **is_keyed && **is_new);
            let (early, first) = self.warm_up.divide(first.map(|(row, _)| row).collect(), batch);
            if is_pass {
                batch.count("first", first.len() as u64);
                batch.copy_to(PORT, &first);
            } else {
                batch.drop_rows(&early, WARM_UP);
            }
        }
        let duplicates: Vec<u32> = (0..).zip(&is_new).filter(|(_, is_new)| !**is_new).map(|(row, _)| row).collect();
        if !duplicates.is_empty() {
            self.act(&duplicates, &is_new, batch);
        }
        batch.count("without-key", without_key);
        Ok(())
    }
}

impl Dedup {
    #[cold]
    fn act(&self, duplicates: &[u32], is_new: &[bool], batch: &mut Batch<'_>) {
        match self.action {
            // The host counts dropped rows by their reason.
            Action::Drop => return batch.drop_rows(duplicates, DUPLICATE),
            Action::Mark(field) => {
                let mut marks = ColumnWriter::with_capacity(4 * duplicates.len(), is_new.len());
                for is_new in is_new {
                    if *is_new { marks.push_none() } else { marks.push(b"true") }
                }
                batch.set(field, Form::Json, marks);
            }
            Action::Route => {
                let ports: Vec<u8> = is_new.iter().map(|is_new| if *is_new { 0 } else { PORT }).collect();
                batch.route(&ports);
            }
            Action::Pass => {}
        }
        batch.count(DUPLICATE, duplicates.len() as u64);
    }
}

impl Stateful for Dedup {
    const STATE_VERSION: u32 = 1;

    fn save(&self) -> Vec<u8> {
        self.warm_up.save()
    }

    fn restore(&mut self, snapshots: Vec<Snapshot>) -> Result<(), String> {
        for Snapshot { version, bytes } in &snapshots {
            if *version != Self::STATE_VERSION {
                return Err(format!("the state has version {version}, and this node reads {}", Self::STATE_VERSION));
            }
            self.warm_up.add(&WarmUp::load(bytes)?);
        }
        Ok(())
    }
}

export_stateful_node!(Dedup);
