//! Checks a value against a JSON schema, as far as the schemas of this project need it.
//!
//! Own code, because every library for it enables features of `serde_json`, `regex` and
//! `hashbrown`, and cargo would then enable them in the tested agent as well. An unknown keyword
//! fails the test, so nothing is ignored.

use serde_json::Value;

/// Keywords that are only descriptions.
const SILENT: &[&str] = &["$schema", "$defs", "title", "description", "default", "examples", "format"];

/// Returns all errors of a value, each with its path.
pub(super) fn check(root: &Value, value: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    at(root, root, value, "", &mut wrong);
    wrong
}

fn fits(root: &Value, schema: &Value, value: &Value) -> bool {
    let mut wrong = Vec::new();
    at(root, schema, value, "", &mut wrong);
    wrong.is_empty()
}

fn at(root: &Value, schema: &Value, value: &Value, path: &str, wrong: &mut Vec<String>) {
    let members = match schema {
        Value::Bool(true) => return,
        Value::Bool(false) => return wrong.push(format!("{path} may not be here")),
        Value::Object(members) => members,
        other => panic!("no schema: {other}"),
    };
    for (keyword, says) in members {
        let holds = match keyword.as_str() {
            "type" => list(says).iter().any(|name| is_type(name.as_str().unwrap(), value)),
            "enum" => list(says).contains(value),
            "const" => says == value,
            "required" => {
                value.as_object().is_none_or(|o| list(says).iter().all(|k| o.contains_key(k.as_str().unwrap())))
            }
            "minimum" => value.as_f64().is_none_or(|number| number >= says.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|number| number <= says.as_f64().unwrap()),
            "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= says.as_u64().unwrap()),
            "maxItems" => value.as_array().is_none_or(|items| items.len() as u64 <= says.as_u64().unwrap()),
            "minLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 >= says.as_u64().unwrap()),
            "pattern" => {
                value.as_str().is_none_or(|text| regex::Regex::new(says.as_str().unwrap()).unwrap().is_match(text))
            }
            "anyOf" => list(says).iter().any(|one| fits(root, one, value)),
            "oneOf" => list(says).iter().filter(|one| fits(root, one, value)).count() == 1,
            "not" => !fits(root, says, value),
            "propertyNames" => {
                value.as_object().is_none_or(|o| o.keys().all(|k| fits(root, says, &Value::from(k.as_str()))))
            }
            "allOf" => {
                list(says).iter().for_each(|one| at(root, one, value, path, wrong));
                true
            }
            "$ref" => {
                let target = says.as_str().unwrap().strip_prefix('#').unwrap();
                at(root, root.pointer(target).unwrap_or_else(|| panic!("{target} leads nowhere")), value, path, wrong);
                true
            }
            "if" => {
                let branch = if fits(root, says, value) { "then" } else { "else" };
                members.get(branch).into_iter().for_each(|branch| at(root, branch, value, path, wrong));
                true
            }
            "items" => {
                let items = value
                    .as_array()
                    .into_iter()
                    .flatten()
                    .skip(members.get("prefixItems").map_or(0, |p| list(p).len()));
                items.enumerate().for_each(|(index, item)| at(root, says, item, &format!("{path}[{index}]"), wrong));
                true
            }
            "prefixItems" => {
                let items = value.as_array().into_iter().flatten().zip(list(says));
                items
                    .enumerate()
                    .for_each(|(index, (item, says))| at(root, says, item, &format!("{path}[{index}]"), wrong));
                true
            }
            "properties" | "patternProperties" | "additionalProperties" => {
                // All three together, once.
                let first = ["properties", "patternProperties", "additionalProperties"]
                    .into_iter()
                    .find(|k| members.contains_key(*k));
                if first == Some(keyword) {
                    properties(root, schema, value, path, wrong);
                }
                true
            }
            "then" | "else" => true,
            silent if SILENT.contains(&silent) => true,
            unknown => panic!("`{unknown}` is not known here: {schema}"),
        };
        if !holds {
            wrong.push(format!("{path}: {value} breaks {keyword} {says}"));
        }
    }
}

fn properties(root: &Value, schema: &Value, value: &Value, path: &str, wrong: &mut Vec<String>) {
    for (key, member) in value.as_object().into_iter().flatten() {
        let path = format!("{path}.{key}");
        let mut known = false;
        if let Some(says) = schema["properties"].get(key) {
            known = true;
            at(root, says, member, &path, wrong);
        }
        for (pattern, says) in schema["patternProperties"].as_object().into_iter().flatten() {
            if regex::Regex::new(pattern).unwrap().is_match(key) {
                known = true;
                at(root, says, member, &path, wrong);
            }
        }
        if let Some(says) = schema.get("additionalProperties").filter(|_| !known) {
            at(root, says, member, &path, wrong);
        }
    }
}

/// The elements of a list, or the only one.
fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice)
}

fn is_type(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0),
        other => panic!("there is no type `{other}`"),
    }
}
