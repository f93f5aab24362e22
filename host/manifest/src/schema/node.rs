//! The schema of `node.toml`, the manifest of a node project.

use serde_json::{Map, Value as Json, json};

use super::agent::{ANY, grants};
use super::{MAY, MUST, named, one_of, root, string, strings, table};

/// Pattern of a request: method and URL.
const REQUESTS: &str = "^[A-Z]+ https?://.+$";

/// The JSON schema of `node.toml`.
pub fn node_schema() -> Json {
    let name = json!({ "type": "string", "pattern": "^[a-z][a-z0-9-]*$" });
    let options = json!({ "type": "object" });
    let keys = vec![
        ("name", MUST, "Name of the node: small letters, digits and `-`.", name),
        ("artifact", MUST, "Path of the component that is built.", string()),
        (
            "options",
            MAY,
            "Options that `wattle node bench`, `conformance` and `dev` run the node with. Default: none.",
            options,
        ),
        (
            "grants",
            MAY,
            "Capabilities that the commands give to the node, as in `[pipelines.NAME.grants]`. Default: all of them.",
            grants(),
        ),
        ("mocks", MAY, "What capabilities answer in place of the agent. A case can replace each of them.", mocks()),
        ("build", MUST, "How the node is built.", build()),
    ];
    root("node.toml", "The project of a node of Wattle.", table(keys), Map::new())
}

fn mocks() -> Json {
    let rows = json!({ "type": "array", "items": { "type": "object" } });
    let lookup = table(vec![
        ("key", MUST, "Name of the column that holds the keys.", string()),
        ("kind", MAY, "How keys are compared. Default: `exact`.", one_of(["exact", "cidr", "mmdb"])),
        ("rows", MUST, "Rows of the table.", rows),
    ]);
    let answer = table(vec![
        (
            "status",
            MAY,
            "Status of the response. Default: 200.",
            json!({ "type": "integer", "minimum": 100, "maximum": 999 }),
        ),
        ("headers", MAY, "Headers of the response. Default: none.", named(ANY, string())),
        (
            "body",
            MAY,
            "Body of the response; a value that is not a string is written as JSON. Default: empty.",
            json!({}),
        ),
        ("failure", MAY, "No response, but this failure, as in `timeout`.", string()),
    ]);
    table(vec![
        (
            "clock",
            MAY,
            "The time, which stands still. Default: 1970-01-01T00:00:00Z.",
            json!({ "type": ["string", "integer"] }),
        ),
        ("random", MAY, "Seed of the random bytes. Default: 0.", json!({ "type": "integer", "minimum": 0 })),
        ("host", MAY, "Facts about the machine by name, in place of constant ones.", named(ANY, string())),
        ("lookup", MAY, "Tables by name, in place of the files that `grants` names.", named(ANY, lookup)),
        (
            "kv",
            MAY,
            "Keys that are set at the start, with text or a whole number.",
            named(ANY, json!({ "type": ["string", "integer"] })),
        ),
        ("seen", MAY, "Keys that were delivered before.", strings()),
        ("http-client", MAY, "Answers by request, as in `\"GET https://api.example.com/a\"`.", named(REQUESTS, answer)),
    ])
}

fn build() -> Json {
    let need = table(vec![
        ("name", MUST, "What messages call it; `{name}` in a command stands for the program that was found.", string()),
        (
            "any",
            MAY,
            "Programs, of which the first that is found is used; `rust:` looks in the toolchain of Rust.",
            strings(),
        ),
        ("check", MAY, "A command that must print the line `says`.", strings()),
        ("says", MAY, "A line that `check` must print.", string()),
        ("install", MUST, "How to install it.", string()),
    ]);
    let step = table(vec![
        ("run", MUST, "Program and arguments.", strings()),
        ("unless", MAY, "The step is skipped if this file exists and is not older than `newer_than`.", string()),
        ("newer_than", MAY, "See `unless`.", string()),
    ]);
    table(vec![
        ("output", MUST, "What the last step makes: a core module, or a component.", string()),
        ("watch", MUST, "Files and folders whose change starts another build in `wattle node dev`.", strings()),
        ("needs", MAY, "What must be installed. Default: nothing.", json!({ "type": "array", "items": need })),
        ("steps", MUST, "Commands, in order.", json!({ "type": "array", "items": step })),
    ])
}
