//! Nodes, outputs, limits and circuits: what packs and pipelines have in common.

use serde_json::{Map, Value as Json, json};

use super::embed::embed;
use super::{Key, MAY, MUST, NAMES, duration, named, number, one_of, set, size, string, strings, table};
use crate::limits::{OnFault, OnStateMismatch};

/// The keys `nodes` and `outputs`.
pub(super) fn keys(nodes: &[(String, Json)], definitions: &mut Map<String, Json>) -> Vec<Key> {
    vec![
        ("nodes", MAY, "Nodes by name.", named(NAMES, node(nodes, definitions))),
        ("outputs", MAY, "Ways out by name.", named(NAMES, output())),
    ]
}

fn node(nodes: &[(String, Json)], definitions: &mut Map<String, Json>) -> Json {
    let inputs =
        "What the node takes: `input`, a node, or a port as in `node.port`; `*` stands for any part of a name.";
    let artifact =
        "`builtin:NAME`, a file of the pack, or a file of another pack as in `pack:name@^1/nodes/node.wasm`.";
    let mut node = table(vec![
        ("inputs", MUST, inputs, strings()),
        ("artifact", MAY, artifact, string()),
        ("digest", MAY, "Digest that the artifact must have; `wattle pack build` writes it.", digest()),
        ("options", MAY, "Options of the node, which its artifact checks.", json!({ "type": "object" })),
        ("limits", MAY, "What an instance of the node may use.", limits()),
        ("circuit", MAY, "When a node that faults is not called any more.", circuit()),
        ("on_fault", MAY, "What becomes of its events then.", one_of(OnFault::ALL.into_iter().map(|(name, _)| name))),
        (
            "on_state_mismatch",
            MAY,
            "What happens if it does not understand the state of the version before.",
            one_of(OnStateMismatch::ALL.into_iter().map(|(name, _)| name)),
        ),
        ("pack", MAY, "A pack that is the node, as in `name@^1`; its outputs are the node's ports.", string()),
        ("params", MAY, "Parameters of that pack.", json!({ "type": "object" })),
    ]);
    let mut rules = vec![json!({
        "if": { "required": ["pack"] },
        "then": { "propertyNames": { "enum": ["inputs", "pack", "params"] } },
        "else": { "required": ["artifact"], "not": { "required": ["params"] } },
    })];
    for (name, options) in nodes {
        let options = embed(name, options.clone(), definitions);
        let artifact =
            json!({ "properties": { "artifact": { "const": format!("builtin:{name}") } }, "required": ["artifact"] });
        rules.push(json!({ "if": artifact, "then": { "properties": { "options": options } } }));
    }
    set(&mut node, "allOf", json!(rules));
    node
}

fn output() -> Json {
    table(vec![
        ("inputs", MUST, "What leaves here: nodes, or ports as in `node.port`.", strings()),
        ("title", MAY, "Name for people.", string()),
        ("description", MAY, "What leaves here, in a sentence.", string()),
    ])
}

pub(super) fn digest() -> Json {
    json!({ "type": "string", "pattern": "^sha256:[0-9a-f]{64}$" })
}

pub(super) fn limits() -> Json {
    table(vec![
        ("memory", MAY, "Linear memory of one instance.", size()),
        ("time", MAY, "Time of a call, whatever its input.", duration()),
        ("time_per_kib", MAY, "Time added for each KiB of input.", duration()),
        ("output_ratio", MAY, "Bytes of output for each byte of input.", number(1, 1_000_000)),
        ("host_calls", MAY, "Calls of the host in one call.", number(1, 1_000_000_000)),
        ("log_lines", MAY, "Messages in one call.", number(0, 1_000_000)),
        ("fields", MAY, "Fields that a node may resolve.", number(0, 1_000_000)),
        ("table_elements", MAY, "Elements of all tables together.", number(0, 10_000_000)),
        ("instances", MAY, "Core instances of one component.", number(1, 10_000)),
        ("state", MAY, "State that a node may hand over.", size()),
        ("retry_calls", MAY, "Calls made to find the poisonous rows of a batch.", number(1, 1_000_000)),
        ("retry_time", MAY, "Time that those calls may take together.", duration()),
    ])
}

pub(super) fn circuit() -> Json {
    table(vec![
        ("fault_percent", MAY, "Share of batches that may fault.", number(1, 100)),
        ("window", MAY, "How many batches are looked at.", number(1, 10_000)),
        ("min_batches", MAY, "How many there must be first.", number(1, 10_000)),
        ("cool_down", MAY, "How long the node is not called.", duration()),
        ("max_cool_down", MAY, "The longest that this grows to.", duration()),
    ])
}
