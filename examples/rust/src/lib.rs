//! The example nodes in Rust. Each file is a node, in both faces: one event at a time, and columns.
//!
//! Here they are put together to one component, which takes the option `node` to say which one it is, and `face`, because
//! the conformance suite checks all of them. Your component has one node and ends with `export_node!`, or with
//! `export_stateful_node!` if it keeps state, or `export_timed_node!` if it also has a timer.

mod add_field;
mod count;
mod decisions;
mod drop_if;
mod memory;
mod require;

use serde_json::{Map, Value};
use wattle_node::event::PerEvent;
use wattle_node::{Batch, Node, Setup, Snapshot, Stateful, Tick, Timed, export_timed_node};

/// The node that was chosen.
pub struct Examples(Box<dyn Chosen>);

/// A node whose type is not known before it is configured. One without state saves nothing, and takes nothing else.
trait Chosen {
    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String>;

    fn tick(&mut self, _: &mut Tick<'_>) -> Result<(), String> {
        Ok(())
    }

    fn save(&self) -> Vec<u8> {
        Vec::new()
    }

    fn restore(&mut self, snapshots: Vec<Snapshot>) -> Result<(), String> {
        let foreign = snapshots.iter().any(|snapshot| snapshot.version != 1 || !snapshot.bytes.is_empty());
        if foreign { Err("this node keeps no state".to_owned()) } else { Ok(()) }
    }
}

struct Stateless<N>(N);

impl<N: Node> Chosen for Stateless<N> {
    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
        self.0.process(batch)
    }
}

struct WithState<N>(N);

impl<N: Stateful> Chosen for WithState<N> {
    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
        self.0.process(batch)
    }

    fn save(&self) -> Vec<u8> {
        self.0.save()
    }

    fn restore(&mut self, snapshots: Vec<Snapshot>) -> Result<(), String> {
        self.0.restore(snapshots)
    }
}

struct WithTimer<N>(N);

impl<N: Stateful + Timed> Chosen for WithTimer<N> {
    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
        self.0.process(batch)
    }

    fn tick(&mut self, tick: &mut Tick<'_>) -> Result<(), String> {
        self.0.tick(tick)
    }

    fn save(&self) -> Vec<u8> {
        self.0.save()
    }

    fn restore(&mut self, snapshots: Vec<Snapshot>) -> Result<(), String> {
        self.0.restore(snapshots)
    }
}

impl Node for Examples {
    const NAME: &'static str = "examples";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "The example nodes.";
    const OPTIONS_SCHEMA: &'static str = r#"{"type":"object","properties":{"node":{},"face":{}}}"#;
    type Options = Map<String, Value>;

    fn configure(mut options: Self::Options, setup: &mut Setup<'_>) -> Option<Self> {
        let mut take = |key: &str| match options.remove(key) {
            Some(Value::String(text)) => text,
            _ => String::new(),
        };
        let (node, face) = (take("node"), take("face"));
        let options = Value::Object(options);
        let chosen = match (node.as_str(), face.as_str()) {
            ("add-field", "events") => make::<PerEvent<add_field::Events>>(options, setup),
            ("add-field", "columns") => make::<add_field::Columns>(options, setup),
            ("drop-if", "events") => make::<PerEvent<drop_if::Events>>(options, setup),
            ("drop-if", "columns") => make::<drop_if::Columns>(options, setup),
            ("require", "events") => make::<PerEvent<require::Events>>(options, setup),
            ("require", "columns") => make::<require::Columns>(options, setup),
            ("count", "events") => make_stateful::<PerEvent<count::Events>>(options, setup),
            ("count", "columns") => make_stateful::<count::Columns>(options, setup),
            ("memory", "events") => make_timed::<PerEvent<memory::Events>>(options, setup),
            ("memory", "columns") => make_timed::<memory::Columns>(options, setup),
            ("decisions", "columns") => make::<decisions::Columns>(options, setup),
            _ => {
                setup.error("node", format!("there is no node `{node}` with the face `{face}`"));
                None
            }
        };
        chosen.map(Self)
    }

    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
        self.0.process(batch)
    }
}

impl Stateful for Examples {
    const STATE_VERSION: u32 = 1;

    fn save(&self) -> Vec<u8> {
        self.0.save()
    }

    fn restore(&mut self, snapshots: Vec<Snapshot>) -> Result<(), String> {
        self.0.restore(snapshots)
    }
}

impl Timed for Examples {
    fn tick(&mut self, tick: &mut Tick<'_>) -> Result<(), String> {
        self.0.tick(tick)
    }
}

fn make<N: Node + 'static>(options: Value, setup: &mut Setup<'_>) -> Option<Box<dyn Chosen>> {
    configure::<N>(options, setup).map(|node| Box::new(Stateless(node)) as Box<dyn Chosen>)
}

fn make_stateful<N: Stateful + 'static>(options: Value, setup: &mut Setup<'_>) -> Option<Box<dyn Chosen>> {
    configure::<N>(options, setup).map(|node| Box::new(WithState(node)) as Box<dyn Chosen>)
}

fn make_timed<N: Stateful + Timed + 'static>(options: Value, setup: &mut Setup<'_>) -> Option<Box<dyn Chosen>> {
    configure::<N>(options, setup).map(|node| Box::new(WithTimer(node)) as Box<dyn Chosen>)
}

fn configure<N: Node>(options: Value, setup: &mut Setup<'_>) -> Option<N> {
    match serde_path_to_error::deserialize::<_, N::Options>(options) {
        Ok(options) => N::configure(options, setup),
        Err(error) => {
            let path = error.path().to_string();
            setup.error(if path == "." { String::new() } else { path }, error.inner().to_string());
            None
        }
    }
}

export_timed_node!(Examples);
