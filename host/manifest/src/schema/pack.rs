//! The schema of `pack.toml`.

use serde_json::{Map, Value as Json, json};

use super::{MAY, MUST, NAMES, OptionSchemas, boolean, graph, named, root, set, string, strings, table};
use crate::params::KINDS;
use crate::raw::capabilities::CAPABILITIES;

/// The JSON schema of `pack.toml`.
pub fn pack_schema(options: &OptionSchemas) -> Json {
    let mut definitions = Map::new();
    let mut keys = vec![
        ("pack", MUST, "What the pack is.", head()),
        (
            "input",
            MAY,
            "What the pack takes.",
            table(vec![("description", MAY, "What comes in, in a sentence.", string())]),
        ),
        (
            "params",
            MAY,
            "Parameters by name; `${params.NAME}` in options stands for their values.",
            named(NAMES, param()),
        ),
        ("capabilities", MAY, "What the nodes need beyond the contract.", capabilities()),
    ];
    keys.extend(graph::keys(&options.nodes, &mut definitions));
    root("pack.toml", "The manifest of a pack of Wattle.", table(keys), definitions)
}

fn head() -> Json {
    let name = json!({ "type": "string", "pattern": "^[a-z][a-z0-9-]*$" });
    let version = json!({ "type": "string", "pattern": r"^[0-9]+\.[0-9]+\.[0-9]+" });
    table(vec![
        ("name", MUST, "Name: small letters, digits and `-`.", name),
        ("version", MUST, "Version as semver has it.", version),
        ("contract", MUST, "Needed version of the contract between agent and node, as in `0.1`.", string()),
        ("description", MAY, "What the pack does, in a sentence.", string()),
        ("license", MAY, "Licence, as SPDX writes it.", string()),
        ("authors", MAY, "Who made it.", strings()),
        ("readme", MAY, "The file that people read first; without a word `README.md`.", string()),
    ])
}

fn param() -> Json {
    let kinds = KINDS.iter().map(|(name, _)| *name);
    let mut param = table(vec![
        ("type", MUST, "Type of the value.", json!({ "enum": kinds.collect::<Vec<_>>() })),
        ("default", MAY, "Value where none is given; without one the parameter is required.", json!({})),
        ("allowed", MAY, "The only values that are allowed.", json!({ "type": "array" })),
        ("pattern", MAY, "Regular expression that strings, or each string of a list, must match.", string()),
        ("min", MAY, "The least number.", json!({ "type": "number" })),
        ("max", MAY, "The largest number.", json!({ "type": "number" })),
        ("secret", MAY, "Whether no message may show the value.", boolean()),
        ("description", MAY, "What it is for, in a sentence.", string()),
    ]);
    let when = |kinds: &[&str]| json!({ "properties": { "type": { "enum": kinds } }, "required": ["type"] });
    let without = |keys: &[&str]| json!({ "properties": keys.iter().map(|key| ((*key).to_owned(), json!(false))).collect::<Map<_, _>>() });
    let default = |kind: &str, of: Json| json!({ "if": when(&[kind]), "then": { "properties": { "default": of } } });
    set(
        &mut param,
        "allOf",
        json!([
            { "if": when(&["integer", "number"]), "then": without(&["pattern"]), "else": without(&["min", "max"]) },
            default("string", string()),
            default("list", strings()),
            default("boolean", boolean()),
            default("integer", json!({ "type": ["integer", "string"] })),
            default("number", json!({ "type": ["number", "string"] })),
        ]),
    );
    param
}

fn capabilities() -> Json {
    let reason = table(vec![("reason", MUST, "What the pack needs it for; operators decide by it.", string())]);
    let names = CAPABILITIES.iter().map(|(name, _)| ((*name).to_owned(), reason.clone()));
    json!({ "type": "object", "properties": names.collect::<Map<_, _>>(), "additionalProperties": false })
}
