//! Settings for the state of a node as written; missing ones come from the node itself.

use std::time::Duration;

use wattle_diagnostics::{Findings, Place, Reader, Table, Text, codes};
use wattle_options::suggest;
use wattle_plan::{Durability, Nodes, Sharing, StateSettings};

/// Shortest and longest time between two snapshots.
const INTERVALS: std::ops::RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_hours(1);
/// Maximum number of instances that share the keys of a node.
const MAX_SHARDS: u64 = 256;

#[derive(Default)]
pub(crate) struct StateManifest {
    sharing: Option<Sharing>,
    /// The fields of the key, with their places.
    key: Vec<Text>,
    shards: Option<u32>,
    durability: Option<Durability>,
    snapshot_interval: Option<Duration>,
}

impl StateManifest {
    pub(crate) fn read(table: &Table, place: Place, name: &str, findings: &mut Findings) -> Self {
        let mut reader = Reader::new(table, place, name);
        let kind = reader.string("sharing", findings);
        let key = reader.strings("key", findings);
        let sharing = match (kind.as_ref().map(|kind| kind.text.as_str()), &key) {
            (None | Some("key"), Some(key)) if key.is_empty() => {
                let message = format!("{name} has a `key` without fields");
                let hint = "list the fields, as in `key = [\"attributes.user\"]`, or set `sharing = \"single\"`";
                findings
                    .report(codes::BAD_VALUE.at(kind.as_ref().map_or(place, |kind| kind.place), message).hint(hint));
                None
            }
            (None | Some("key"), Some(key)) => Some(Sharing::Key(key.iter().map(|field| field.text.clone()).collect())),
            (None, None) => None,
            (Some("worker"), None) => Some(Sharing::Worker),
            (Some("single"), None) => Some(Sharing::Single),
            (Some("key"), None) => {
                let message = format!("{name} shares the state by `key`, but has no `key`");
                let hint = "list the fields, as in `key = [\"attributes.user\"]`";
                findings.report(codes::BAD_VALUE.at(kind.map_or(place, |kind| kind.place), message).hint(hint));
                None
            }
            (Some("worker" | "single"), Some(_)) => {
                let message = format!("{name} has a `key`, but does not share the state by it");
                let hint = "remove `key`, or set `sharing = \"key\"`";
                findings.report(codes::BAD_VALUE.at(kind.map_or(place, |kind| kind.place), message).hint(hint));
                None
            }
            (Some(other), _) => {
                let hint = suggest::closest(other, Sharing::NAMES).map_or_else(
                    || format!("it is {}", suggest::list(Sharing::NAMES)),
                    |name| format!("did you mean `{name}`?"),
                );
                let message = format!("bad `sharing`: `{other}`");
                findings
                    .report(codes::BAD_VALUE.at(kind.as_ref().map_or(place, |kind| kind.place), message).hint(hint));
                None
            }
        };
        let state = Self {
            sharing,
            key: key.unwrap_or_default(),
            shards: reader.number("shards", 1..=MAX_SHARDS, findings).and_then(|number| u32::try_from(number).ok()),
            durability: reader.choice("durability", &Durability::ALL, findings),
            snapshot_interval: reader.duration("snapshot_interval", INTERVALS, findings),
        };
        reader.finish(findings);
        state
    }

    /// Checks the fields of the key.
    pub(crate) fn check_key(&self, nodes: &dyn Nodes, owner: &str, findings: &mut Findings) {
        for Text { text, place } in &self.key {
            if let Err(problem) = nodes.check_field(text) {
                findings.report(codes::BAD_VALUE.at(*place, format!("bad `key` of the state of {owner}: {problem}")));
            }
        }
    }

    pub(crate) fn over(&self, node: &StateSettings) -> StateSettings {
        StateSettings {
            sharing: self.sharing.clone().unwrap_or_else(|| node.sharing.clone()),
            shards: self.shards.unwrap_or(node.shards),
            durability: self.durability.unwrap_or(node.durability),
            snapshot_interval: self.snapshot_interval.unwrap_or(node.snapshot_interval),
        }
    }
}
