//! Embeds the schema of an endpoint's or node's options into the schema of a file.

use serde_json::{Map, Value as Json, json};

use super::{REFERENCE, set};

/// Keywords whose value holds further schemas, by name or as a list.
const BY_NAME: &[&str] = &["properties", "patternProperties", "$defs"];
const AS_LIST: &[&str] = &["anyOf", "oneOf", "allOf", "prefixItems"];
const ALONE: &[&str] = &["items", "additionalProperties", "not", "if", "then", "else"];

/// Embeds a schema of options: moves its definitions to those of the file under a prefixed name,
/// and allows a reference such as `${params.x}` wherever a type other than string is expected.
pub(super) fn embed(name: &str, mut schema: Json, definitions: &mut Map<String, Json>) -> Json {
    rename(&mut schema, name);
    if let Json::Object(members) = &mut schema {
        members.remove("$schema");
        members.remove("title");
        if let Some(Json::Object(own)) = members.remove("$defs") {
            let own = own.into_iter().map(|(key, of)| (format!("{name}.{key}"), allow_references(of, false)));
            definitions.extend(own);
        }
    }
    allow_references(schema, false)
}

/// Adds keys that the file itself reads to the table of options.
pub(super) fn with_keys(mut schema: Json, keys: &Json) -> Json {
    if let (Some(Json::Object(own)), Json::Object(keys)) = (schema.get_mut("properties"), keys) {
        own.extend(keys.clone());
        return schema;
    }
    // These options have no keys of their own.
    set(&mut schema, "properties", keys.clone());
    schema
}

/// Renames references to the definitions that moved.
fn rename(schema: &mut Json, name: &str) {
    match schema {
        Json::Object(members) => {
            for (key, member) in members {
                match (key.as_str(), &member) {
                    ("$ref", Json::String(to)) => {
                        let to = to.strip_prefix("#/$defs/").unwrap_or(to);
                        *member = json!(format!("#/$defs/{name}.{to}"));
                    }
                    _ => rename(member, name),
                }
            }
        }
        Json::Array(items) => items.iter_mut().for_each(|item| rename(item, name)),
        _ => {}
    }
}

/// Allows a reference for every value that is not a string, a table or an unrestricted list;
/// `inside` is false for the root.
fn allow_references(schema: Json, inside: bool) -> Json {
    let Json::Object(members) = schema else { return schema };
    let mut allowed = Map::new();
    for (key, member) in members {
        let member = match (key.as_str(), member) {
            (key, Json::Object(named)) if BY_NAME.contains(&key) => {
                Json::Object(named.into_iter().map(|(name, of)| (name, allow_references(of, true))).collect())
            }
            (key, Json::Array(list)) if AS_LIST.contains(&key) => {
                Json::Array(list.into_iter().map(|of| allow_references(of, false)).collect())
            }
            (key, member) if ALONE.contains(&key) => allow_references(member, true),
            (_, member) => member,
        };
        allowed.insert(key, member);
    }
    let schema = Json::Object(allowed);
    if !inside || takes_text(&schema) {
        return schema;
    }
    let description = schema.get("description").cloned();
    let mut either = json!({ "anyOf": [schema, { "type": "string", "pattern": REFERENCE }] });
    if let Some(description) = description {
        set(&mut either, "description", description);
    }
    either
}

/// Whether the schema already accepts any string.
fn takes_text(schema: &Json) -> bool {
    let narrowed = ["enum", "const", "pattern", "oneOf", "anyOf", "$ref"].iter().any(|key| schema.get(key).is_some());
    let text = match schema.get("type") {
        Some(Json::String(one)) => one == "string",
        Some(Json::Array(several)) => several.iter().any(|one| one == "string"),
        _ => !narrowed,
    };
    text && !(narrowed && schema.get("pattern").is_none())
}
