//! JSON schemas of `agent.toml`, `pack.toml` and `node.toml`, for completion and checks in editors.
//!
//! Schemas of options come from the endpoints and nodes that read them. Words that have a table
//! (types of parameters, capabilities, policies) come from that table. The keys of the files
//! themselves are written here with their descriptions; a test compares them with the keys that the
//! readers accept.
//!
//! A schema is a little more lenient than the reader: it does not follow links, and it accepts a
//! variable or parameter reference in place of any value.

mod agent;
mod embed;
mod graph;
mod node;
mod pack;

use serde_json::{Map, Value as Json, json};
use wattle_options::{Period, Size, schema_of_value};

pub use agent::agent_schema;
pub use node::node_schema;
pub use pack::pack_schema;

/// Matches a variable or parameter reference in a string.
const REFERENCE: &str = r"\$\{";

/// Schemas of the options of sources, sinks and nodes, each with its type name.
#[derive(Debug, Clone, Default)]
pub struct OptionSchemas {
    /// Types of sources.
    pub sources: Vec<(String, Json)>,
    /// Types of sinks.
    pub sinks: Vec<(String, Json)>,
    /// Built-in nodes.
    pub nodes: Vec<(String, Json)>,
}

/// A key of a table: name, whether it is required, description, and schema.
type Key = (&'static str, bool, &'static str, Json);

const MUST: bool = true;
const MAY: bool = false;

/// A table with exactly these keys.
fn table(keys: Vec<Key>) -> Json {
    let required: Vec<&str> = keys.iter().filter(|(_, must, ..)| *must).map(|(name, ..)| *name).collect();
    let properties: Map<String, Json> =
        keys.into_iter().map(|(name, _, purpose, schema)| (name.to_owned(), described(schema, purpose))).collect();
    let mut table = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        set(&mut table, "required", json!(required));
    }
    table
}

fn described(mut schema: Json, purpose: &str) -> Json {
    if !purpose.is_empty() {
        set(&mut schema, "description", json!(purpose));
    }
    schema
}

/// A table whose keys are names that the user chooses.
fn named(names: &str, of: Json) -> Json {
    json!({ "type": "object", "patternProperties": { (names): of }, "additionalProperties": false })
}

fn set(schema: &mut Json, key: &str, value: Json) {
    if let Json::Object(members) = schema {
        members.insert(key.to_owned(), value);
    }
}

fn string() -> Json {
    json!({ "type": "string" })
}

fn strings() -> Json {
    json!({ "type": "array", "items": { "type": "string" } })
}

/// One of several words, or a variable reference.
fn one_of<'a>(words: impl IntoIterator<Item = &'a str>) -> Json {
    let words: Vec<&str> = words.into_iter().collect();
    json!({ "anyOf": [{ "enum": words }, { "type": "string", "pattern": REFERENCE }] })
}

fn boolean() -> Json {
    json!({ "type": ["boolean", "string"], "pattern": format!(r"{REFERENCE}|^(true|false)$") })
}

fn number(low: u64, high: u64) -> Json {
    let pattern = format!(r"{REFERENCE}|^\s*[0-9]+\s*$");
    json!({ "type": ["integer", "string"], "minimum": low, "maximum": high, "pattern": pattern })
}

fn fraction(low: f64, high: f64) -> Json {
    let pattern = format!(r"{REFERENCE}|^\s*[0-9.]+\s*$");
    json!({ "type": ["number", "string"], "minimum": low, "maximum": high, "pattern": pattern })
}

fn size() -> Json {
    schema_of_value::<Size>()
}

fn duration() -> Json {
    schema_of_value::<Period>()
}

/// Pattern for names of nodes, outputs, parameters, sources, sinks and pipelines.
const NAMES: &str = "^[A-Za-z][A-Za-z0-9_-]*$";

/// The root schema of a file.
fn root(title: &str, description: &str, mut schema: Json, definitions: Map<String, Json>) -> Json {
    set(&mut schema, "$schema", json!("https://json-schema.org/draft/2020-12/schema"));
    set(&mut schema, "title", json!(title));
    set(&mut schema, "description", json!(description));
    set(&mut schema, "$defs", Json::Object(definitions));
    schema
}
