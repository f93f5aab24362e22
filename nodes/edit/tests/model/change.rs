//! Changes of single values, on trees.

use serde_json::{Map, Number, Value, json};
use wattle_node::json::Segment;

use crate::tree::{Done, get, list, parse, places, put, remove, shown, text};

pub(crate) fn apply(root: &mut Value, step: &Value) -> Done {
    let operations = [
        "lower",
        "upper",
        "trim",
        "replace",
        "split",
        "join",
        "slice",
        "convert",
        "math",
        "flatten",
        "unflatten",
        "encode",
        "decode",
    ];
    let operation = operations.into_iter().find(|operation| step.get(operation).is_some()).unwrap();
    for path in list(&step[operation]) {
        let found = places(root, &parse(path));
        if found.is_empty() && step["on_missing"] == "fail" {
            return Err("missing-field");
        }
        // Removal of an element must not move those that follow.
        let mut removed = Vec::new();
        for place in found {
            match one(root, &place, operation, step) {
                Ok(()) => {}
                Err("remove") => removed.push(place),
                Err(code) => return Err(code),
            }
        }
        removed.iter().rev().for_each(|place| remove(root, place));
    }
    Ok(())
}

fn one(root: &mut Value, place: &[Segment], operation: &str, step: &Value) -> Done {
    let value = get(root, place).unwrap().clone();
    if value.is_null() {
        return if step["on_missing"] == "fail" { Err("missing-field") } else { Ok(()) };
    }
    let into = step.get("into").map(|into| parse(text(into)));
    let target = into.as_deref().unwrap_or(place);
    match (changed(&value, operation, step), text(&step["on_error"])) {
        (Ok(new), on_error) => match put(root, target, &new) {
            Err(code) if on_error == "fail" => Err(code),
            _ => Ok(()),
        },
        (Err(code), "fail") => Err(code),
        (Err(_), "null") => {
            let _ = put(root, target, &Value::Null);
            Ok(())
        }
        (Err(_), "remove") if into.is_none() => Err("remove"),
        (Err(_), "remove") => {
            remove(root, target);
            Ok(())
        }
        _ => Ok(()),
    }
}

fn number(value: &Value) -> Result<f64, &'static str> {
    match value {
        Value::Number(number) => Ok(number.as_f64().unwrap()),
        Value::String(text) if text.trim().is_empty() => Err("bad-value"),
        Value::String(text) => text.trim().parse().map_err(|_| "bad-value"),
        _ => Err("wrong-type"),
    }
}

fn from_f64(number: f64) -> Value {
    if number.fract() == 0.0 { json!(number as i64) } else { Number::from_f64(number).unwrap().into() }
}

fn changed(value: &Value, operation: &str, step: &Value) -> Result<Value, &'static str> {
    let string = || value.as_str().ok_or("wrong-type");
    Ok(match operation {
        "lower" => json!(string()?.to_lowercase()),
        "upper" => json!(string()?.to_uppercase()),
        "trim" => match step.get("characters") {
            Some(characters) => json!(string()?.trim_matches(|char| text(characters).contains(char))),
            None => json!(string()?.trim()),
        },
        "replace" => json!(string()?.replace(['a', 'b'], &text(&step["with"]).replace("$$", "$"))),
        "split" => json!(string()?.splitn(step["limit"].as_u64().unwrap() as usize, ',').collect::<Vec<_>>()),
        "join" => {
            let array = value.as_array().ok_or("wrong-type")?;
            if array.iter().any(|element| element.is_array() || element.is_object()) {
                return Err("bad-value");
            }
            let parts: Vec<String> = array.iter().filter(|element| !element.is_null()).map(shown).collect();
            json!(parts.join(text(&step["separator"])))
        }
        "slice" => {
            let range = |count: usize| {
                let place = |key: &str| {
                    let number = step[key].as_i64().unwrap();
                    (if number < 0 { count as i64 + number } else { number }).clamp(0, count as i64) as usize
                };
                place("start")..place("end").max(place("start"))
            };
            match value {
                Value::String(text) => {
                    let chars: Vec<char> = text.chars().collect();
                    json!(chars[range(chars.len())].iter().collect::<String>())
                }
                Value::Array(array) => json!(array[range(array.len())]),
                _ => return Err("wrong-type"),
            }
        }
        "convert" => convert(value, text(&step["to"]))?,
        "math" => {
            let number = number(value)?;
            from_f64(match step.get("add") {
                Some(by) => number + by.as_f64().unwrap(),
                None => number * step["multiply"].as_f64().unwrap(),
            })
        }
        "flatten" => {
            let mut flat = Map::new();
            flatten(value.as_object().ok_or("wrong-type")?, "", step["depth"].as_u64().unwrap(), &mut flat);
            Value::Object(flat)
        }
        "unflatten" => {
            let members = value.as_object().ok_or("wrong-type")?.iter();
            let members = members.map(|(key, value)| (key.as_str(), value)).collect();
            unflatten(members, step["depth"].as_u64().unwrap())?
        }
        "encode" => json!(value.to_string()),
        "decode" => serde_json::from_str(string()?).map_err(|_| "bad-value")?,
        _ => panic!("no model of {operation}"),
    })
}

fn convert(value: &Value, to: &str) -> Result<Value, &'static str> {
    if to == "string" {
        return Ok(json!(shown(value)));
    }
    if value.is_array() || value.is_object() {
        return Err("wrong-type");
    }
    let shown = shown(value);
    let text = shown.trim();
    match (to, value) {
        ("bool", _) if ["true", "yes", "1"].contains(&&*text.to_lowercase()) => Ok(json!(true)),
        ("bool", _) if ["false", "no", "0"].contains(&&*text.to_lowercase()) => Ok(json!(false)),
        ("int" | "float", Value::Bool(is_true)) => Ok(json!(i64::from(*is_true))),
        // The digits of a number stay as they are.
        ("float", _) => serde_json::from_str::<Number>(text).map(Value::from).map_err(|_| "bad-value"),
        ("int", _) if !text.is_empty() => match text.parse::<f64>() {
            Ok(number) if number.fract() == 0.0 => Ok(json!(number as i64)),
            _ => Err("bad-value"),
        },
        _ => Err("bad-value"),
    }
}

fn flatten(object: &Map<String, Value>, before: &str, depth: u64, out: &mut Map<String, Value>) {
    for (key, value) in object {
        let key = format!("{before}{key}");
        match value {
            Value::Object(inner) if depth > 0 && !inner.is_empty() => {
                flatten(inner, &format!("{key}."), depth - 1, out);
            }
            _ => {
                let numbered = (2..).map(|number| format!("{key}_{number}"));
                let key = std::iter::once(key.clone()).chain(numbered).find(|key| !out.contains_key(key)).unwrap();
                out.insert(key, value.clone());
            }
        }
    }
}

fn unflatten(members: Vec<(&str, &Value)>, depth: u64) -> Result<Value, &'static str> {
    type Group<'a> = Vec<(Option<&'a str>, &'a Value)>;
    let mut groups: Vec<(&str, Group<'_>)> = Vec::new();
    for (key, value) in members {
        let (part, rest) = match key.split_once('.') {
            Some((part, rest)) if depth > 0 => (part, Some(rest)),
            _ => (key, None),
        };
        match groups.iter_mut().find(|(known, _)| *known == part) {
            Some((_, group)) => group.push((rest, value)),
            None => groups.push((part, vec![(rest, value)])),
        }
    }
    let mut out = Map::new();
    for (part, group) in groups {
        let value = match group[..] {
            [(None, value)] => value.clone(),
            _ if group.iter().all(|(rest, _)| rest.is_some()) => {
                unflatten(group.into_iter().map(|(rest, value)| (rest.unwrap(), value)).collect(), depth - 1)?
            }
            _ => return Err("bad-value"),
        };
        out.insert(part.to_owned(), value);
    }
    Ok(Value::Object(out))
}
