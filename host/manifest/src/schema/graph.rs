//! Nodes, outputs, limits and circuits, which packs and pipelines share.

use serde_json::{Map, Value as Json, json};

use super::embed::embed;
use super::{Key, MAY, MUST, NAMES, duration, named, number, one_of, set, size, string, strings, table};
use wattle_plan::{Durability, OnFault, OnStateMismatch, Sharing};

/// The keys `nodes` and `outputs`.
pub(super) fn keys(nodes: &[(String, Json)], definitions: &mut Map<String, Json>) -> Vec<Key> {
    vec![
        ("nodes", MAY, "Nodes by name. Default: none.", named(NAMES, node(nodes, definitions))),
        ("outputs", MAY, "Outputs by name. Default: none.", named(NAMES, output())),
    ]
}

fn node(nodes: &[(String, Json)], definitions: &mut Map<String, Json>) -> Json {
    let inputs =
        "What the node takes: `input`, a node, or a port as in `node.port`; `*` stands for any part of a name.";
    let artifact = "`builtin:NAME`, a file of the pack, or a file of another pack as in `pack:name@^1/nodes/node.wasm`. Default: none; then `pack` names the node.";
    let mut node = table(vec![
        ("inputs", MUST, inputs, strings()),
        ("artifact", MAY, artifact, string()),
        ("digest", MAY, "Digest that the artifact must have; `wattle pack build` writes it. Default: none.", digest()),
        (
            "options",
            MAY,
            "Options of the node; its artifact validates them. Default: none.",
            json!({ "type": "object" }),
        ),
        ("limits", MAY, "Limits of one instance of the node.", limits()),
        ("circuit", MAY, "When the agent stops calling a node that faults.", circuit()),
        (
            "on_fault",
            MAY,
            "What happens to events while the circuit of the node is open. Default: `fail`.",
            one_of(OnFault::ALL.into_iter().map(|(name, _)| name)),
        ),
        (
            "on_state_mismatch",
            MAY,
            "What a swap does if the node cannot read the state of its predecessor. Default: `refuse`.",
            one_of(OnStateMismatch::ALL.into_iter().map(|(name, _)| name)),
        ),
        ("state", MAY, "How the state of the node is shared and kept. Default: as the node says.", state()),
        (
            "pack",
            MAY,
            "A pack as the node, as in `name@^1`; its outputs are the ports of the node. Default: none.",
            string(),
        ),
        ("params", MAY, "Parameters of that pack. Default: those of the pack.", json!({ "type": "object" })),
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
        ("inputs", MUST, "Nodes, or ports as in `node.port`, whose events leave here.", strings()),
        ("title", MAY, "Title for people. Default: the name.", string()),
        ("description", MAY, "What leaves here, in a sentence. Default: none.", string()),
    ])
}

pub(super) fn digest() -> Json {
    json!({ "type": "string", "pattern": "^sha256:[0-9a-f]{64}$" })
}

pub(super) fn limits() -> Json {
    table(vec![
        ("memory", MAY, "Linear memory of one instance. Default: `1GiB`.", size()),
        ("time", MAY, "Time of one call, whatever its input. Default: `1s`.", duration()),
        ("time_per_kib", MAY, "Time added for each KiB of input. Default: `1ms`.", duration()),
        ("output_ratio", MAY, "Bytes of output for each byte of input. Default: 64.", number(1, 1_000_000)),
        ("host_calls", MAY, "Calls of the host in one call. Default: 10000.", number(1, 1_000_000_000)),
        ("log_lines", MAY, "Diagnostic messages in one call. Default: 100.", number(0, 1_000_000)),
        ("fields", MAY, "Fields that a node may resolve. Default: 4096.", number(0, 1_000_000)),
        ("table_elements", MAY, "Elements of all function tables together. Default: 1048576.", number(0, 10_000_000)),
        ("instances", MAY, "Core instances of one component. Default: 256.", number(1, 10_000)),
        ("state", MAY, "Bytes of state that a node may save. Default: `16MiB`.", size()),
        (
            "retry_calls",
            MAY,
            "Calls that the agent makes to find the rows of a batch that fault. Default: 1000.",
            number(1, 1_000_000),
        ),
        ("retry_time", MAY, "Time that those calls may take together. Default: `30s`.", duration()),
    ])
}

fn state() -> Json {
    table(vec![
        (
            "sharing",
            MAY,
            "Whether each worker has state of its own, all workers share one, or each instance has some of the keys. \
             Default: as the node says.",
            one_of(Sharing::NAMES),
        ),
        (
            "key",
            MAY,
            "Fields whose texts are the key, for `sharing = \"key\"`. Default: as the node says.",
            json!({ "type": "array", "items": string(), "minItems": 1 }),
        ),
        ("shards", MAY, "Number of instances that share the keys. Default: 8.", number(1, 256)),
        (
            "durability",
            MAY,
            "Whether the state survives a crash (`disk`), or only a reload and a drain (`memory`). Default: `disk` for a \
             node that holds events or makes some, else `memory`.",
            one_of(Durability::ALL.into_iter().map(|(name, _)| name)),
        ),
        ("snapshot_interval", MAY, "Time between two snapshots on disk. Default: `1s`.", duration()),
    ])
}

pub(super) fn circuit() -> Json {
    table(vec![
        (
            "fault_percent",
            MAY,
            "Percentage of batches that may fault before the circuit opens. Default: 50.",
            number(1, 100),
        ),
        ("window", MAY, "How many of the last batches count. Default: 100.", number(1, 10_000)),
        ("min_batches", MAY, "Batches that the node must have processed first. Default: 20.", number(1, 10_000)),
        ("cool_down", MAY, "How long the agent does not call the node. Default: `1s`.", duration()),
        (
            "max_cool_down",
            MAY,
            "The longest cool-down; it doubles while the node keeps faulting. Default: `1m`.",
            duration(),
        ),
    ])
}
