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
    /// Where the settings are, or the setting that decides about the sharing.
    place: Option<Place>,
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
                findings
                    .report(codes::BAD_VALUE.at(kind.as_ref().map_or(place, |kind| kind.place), message).hint(hint));
                None
            }
            (Some("worker" | "single"), Some(_)) => {
                let message = format!("{name} has a `key`, but does not share the state by it");
                let hint = "remove `key`, or set `sharing = \"key\"`";
                findings
                    .report(codes::BAD_VALUE.at(kind.as_ref().map_or(place, |kind| kind.place), message).hint(hint));
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
        let shards = reader.number("shards", 1..=MAX_SHARDS, findings).and_then(|number| u32::try_from(number).ok());
        if let Some(kind) = kind.as_ref().filter(|kind| kind.text != "key" && shards.is_some()) {
            let message = format!("{name} has `shards`, but does not share the state by a key");
            findings.report(codes::BAD_VALUE.at(kind.place, message).hint("remove `shards`, or set `key`"));
        }
        let decides = kind.as_ref().or_else(|| key.as_ref()?.first());
        let state = Self {
            sharing,
            place: Some(decides.map_or(place, |text| text.place)),
            key: key.unwrap_or_default(),
            shards,
            durability: reader.choice("durability", &Durability::ALL, findings),
            snapshot_interval: reader.duration("snapshot_interval", INTERVALS, findings),
        };
        reader.finish(findings);
        state
    }

    /// Checks the fields of the key, and that the node can share its state as the settings say.
    pub(crate) fn check(&self, nodes: &dyn Nodes, node: &StateSettings, owner: &str, findings: &mut Findings) {
        for Text { text, place } in &self.key {
            if let Err(problem) = nodes.check_field(text) {
                findings.report(codes::BAD_VALUE.at(*place, format!("bad `key` of the state of {owner}: {problem}")));
            }
        }
        let Some(place) = self.place else { return };
        let list = |fields: &[String]| suggest::list(fields.iter().map(String::as_str));
        let rows_of = |fields: &[String]| format!("needs all rows with the same {} in one instance", list(fields));
        // A node that needs all rows of a key in one instance would count some of them apart, and make
        // events with the same id from different rows.
        let needs = match (&node.sharing, &self.sharing) {
            (Sharing::Single, Some(Sharing::Worker)) => "needs one state for all workers".to_owned(),
            (Sharing::Key(fields), Some(Sharing::Worker)) => rows_of(fields),
            (Sharing::Key(fields), Some(Sharing::Key(own))) if !own.iter().all(|own| fields.contains(own)) => {
                rows_of(fields)
            }
            _ => return,
        };
        let hint = match &node.sharing {
            Sharing::Key(fields) => {
                format!("use only fields of {} as `key`, or set `sharing = \"single\"`", list(fields))
            }
            _ => "remove `sharing`".to_owned(),
        };
        findings.report(codes::BAD_VALUE.at(place, format!("{owner} {needs}")).hint(hint));
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
