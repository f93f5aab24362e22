//! What steps do, on trees: as simple as possible, without regard to speed.

use serde_json::{Map, Number, Value, json};
use wattle_node::json::{Path, Segment};

type Done = Result<(), &'static str>;

pub(crate) fn apply_all(root: &mut Value, steps: &[Value]) -> Done {
    steps.iter().try_for_each(|step| {
        let is_on = step.get("if").is_none_or(|condition| {
            let exists = read(root, text(&condition["field"])).is_some_and(|value| !value.is_null());
            exists == condition["exists"]
        });
        if is_on { apply(root, step) } else { Ok(()) }
    })
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// The segments of a path below the body; the flag of a key says that it is a pattern.
fn parse(path: &str) -> Vec<Segment> {
    Path::parse(path).unwrap().segments()[1..].to_vec()
}

fn fits(pattern: &str, key: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == key,
        Some((start, end)) => key.len() >= pattern.len() - 1 && key.starts_with(start) && key.ends_with(end),
    }
}

fn get<'v>(root: &'v mut Value, place: &[Segment]) -> Option<&'v mut Value> {
    place.iter().try_fold(root, |at, segment| match segment {
        Segment::Key(key) => at.as_object_mut()?.get_mut(&**key),
        Segment::Index(index) => at.as_array_mut()?.get_mut(*index),
        Segment::Each => None,
    })
}

fn read(root: &mut Value, path: &str) -> Option<Value> {
    get(root, &parse(path)).cloned()
}

/// The places that a path leads to.
fn places(value: &Value, path: &[Segment]) -> Vec<Vec<Segment>> {
    let Some((first, rest)) = path.split_first() else { return vec![Vec::new()] };
    let mut found = Vec::new();
    let mut follow = |segment: Segment, child: &Value| {
        found.extend(places(child, rest).into_iter().map(|rest| [vec![segment.clone()], rest].concat()));
    };
    match (first, value) {
        (Segment::Key(pattern), Value::Object(object)) => {
            for (key, child) in object.iter().filter(|(key, _)| fits(pattern, key)) {
                follow(Segment::Key(key.as_str().into()), child);
            }
        }
        (Segment::Index(index), Value::Array(array)) => {
            array.get(*index).into_iter().for_each(|child| follow(first.clone(), child));
        }
        (Segment::Each, Value::Array(array)) => {
            array.iter().enumerate().for_each(|(index, child)| follow(Segment::Index(index), child));
        }
        _ => {}
    }
    found
}

fn remove(root: &mut Value, place: &[Segment]) {
    let (last, before) = place.split_last().unwrap();
    match (last, get(root, before)) {
        (Segment::Key(key), Some(Value::Object(object))) => {
            object.shift_remove(&**key);
        }
        (Segment::Index(index), Some(Value::Array(array))) if *index < array.len() => {
            array.remove(*index);
        }
        _ => {}
    }
}

fn put(at: &mut Value, path: &[Segment], value: &Value) -> Done {
    let Some((segment, rest)) = path.split_first() else {
        *at = value.clone();
        return Ok(());
    };
    let are_keys = |path: &[Segment]| path.iter().all(|segment| matches!(segment, Segment::Key(_)));
    match (segment, &mut *at) {
        (Segment::Each, Value::Array(array)) => {
            let all: Vec<Done> = array.iter_mut().map(|element| put(element, rest, value)).collect();
            all.into_iter().collect()
        }
        (Segment::Each, _) => Ok(()),
        (Segment::Index(index), Value::Array(array)) => {
            array.get_mut(*index).map_or(Err("no-place"), |element| put(element, rest, value))
        }
        (Segment::Key(_), Value::Null) if path.contains(&Segment::Each) => Ok(()),
        (Segment::Key(_), Value::Null) if are_keys(path) => {
            *at = json!({});
            put(at, path, value)
        }
        (Segment::Key(key), Value::Object(object)) => match object.get_mut(&**key) {
            Some(member) => put(member, rest, value),
            None if rest.contains(&Segment::Each) => Ok(()),
            None if are_keys(rest) => put(object.entry(&**key).or_insert(Value::Null), rest, value),
            None => Err("no-place"),
        },
        _ => Err("no-place"),
    }
}

fn list(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(all) => all.iter().map(text).collect(),
        one => vec![text(one)],
    }
}

fn apply(root: &mut Value, step: &Value) -> Done {
    let object = step.as_object().unwrap();
    let has = |key: &str| object.contains_key(key);
    let forgiving = |done: Done| if step["on_error"] == "fail" { done } else { Ok(()) };
    if has("set") {
        let target = text(&step["set"]);
        if step["overwrite"] == false && read(root, target).is_some_and(|value| !value.is_null()) {
            return Ok(());
        }
        let value = source(root, step).or_else(|| object.get("default").cloned());
        return match value {
            Some(value) => forgiving(put(root, &parse(target), &value)),
            None if step["on_missing"] == "fail" => Err("missing-field"),
            None => Ok(()),
        };
    }
    for operation in ["copy", "move"] {
        if has(operation) {
            let (from, to) = (text(&step[operation]), text(&step["to"]));
            let Some(value) = read(root, from) else { return Ok(()) };
            if step["overwrite"] == false && read(root, to).is_some_and(|value| !value.is_null()) {
                return Ok(());
            }
            let before = root.clone();
            if operation == "move" {
                remove(root, &parse(from));
            }
            let done = put(root, &parse(to), &value);
            if done.is_err() {
                *root = before;
            }
            return forgiving(done);
        }
    }
    if has("rename") {
        rename(root, step);
    } else if has("remove") {
        for path in list(&step["remove"]) {
            let found = places(root, &parse(path));
            // From the last to the first, so that numbers of elements stay right.
            found.iter().rev().for_each(|place| remove(root, place));
        }
    } else if has("keep") {
        let paths: Vec<Vec<Segment>> = list(&step["keep"]).into_iter().map(parse).collect();
        keep(root, &paths.iter().map(Vec::as_slice).collect::<Vec<_>>());
    } else if has("remove_empty") {
        for path in list(&step["remove_empty"]) {
            for place in places(root, &parse(path)) {
                get(root, &place).into_iter().for_each(|value| remove_empty(value, step));
            }
        }
    } else {
        return change::apply(root, step);
    }
    Ok(())
}

fn source(root: &mut Value, step: &Value) -> Option<Value> {
    if let Some(value) = step.get("value") {
        return Some(value.clone());
    }
    let mut field = |path: &str| read(root, path).filter(|value| !value.is_null());
    if let Some(template) = step.get("template") {
        let mut out = String::new();
        let mut rest = text(template);
        while let Some((before, after)) = rest.split_once("{{") {
            let (path, after) = after.split_once("}}").unwrap();
            out += before;
            out += &shown(&field(path.trim())?);
            rest = after;
        }
        return Some(json!(out + rest));
    }
    let fields = step.get("from").map_or_else(|| list(&step["first_of"]), list);
    fields.into_iter().find_map(field)
}

/// A value in text form.
fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Gives one member another key, which the member keeps its place with.
fn rename_member(object: &mut Map<String, Value>, from: &str, to: &str, overwrite: bool) {
    if from == to || !object.contains_key(from) || (!overwrite && object.contains_key(to)) {
        return;
    }
    let members = std::mem::take(object).into_iter().filter(|(key, _)| key != to);
    *object = members.map(|(key, value)| if key == from { (to.to_owned(), value) } else { (key, value) }).collect();
}

fn rename(root: &mut Value, step: &Value) {
    let path = parse(text(&step["rename"]));
    let overwrite = step["overwrite"] != false;
    for place in places(root, &path) {
        if step.get("case").is_none() && step.get("pattern").is_none() {
            let to = parse(text(&step["to"]));
            let (Some(Segment::Key(to)), Some((Segment::Key(from), before))) = (to.last(), place.split_last()) else {
                continue;
            };
            if let Some(Value::Object(object)) = get(root, before) {
                rename_member(object, from, to, overwrite);
            }
        } else if let Some(value) = get(root, &place) {
            rename_keys(value, step);
        }
    }
}

fn rename_keys(value: &mut Value, step: &Value) {
    let recursive = step["recursive"] == true;
    match value {
        Value::Array(array) if recursive => array.iter_mut().for_each(|element| rename_keys(element, step)),
        Value::Object(object) => {
            let keys: Vec<String> = object.keys().cloned().collect();
            for key in keys {
                let Some(member) = object.get_mut(&key) else { continue };
                if recursive {
                    rename_keys(member, step);
                }
                let new = match step.get("case") {
                    Some(_) => key.to_uppercase(),
                    None if key.starts_with(['a', 'b']) => format!("c{key}"),
                    None => key.clone(),
                };
                rename_member(object, &key, &new, step["overwrite"] != false);
            }
        }
        _ => {}
    }
}

fn keep(value: &mut Value, paths: &[&[Segment]]) -> bool {
    let keep_child = |index: usize, key: Option<&str>, child: &mut Value| {
        let mut rests = Vec::new();
        for path in paths {
            let leads = match (&path[0], key) {
                (Segment::Key(pattern), Some(key)) => fits(pattern, key),
                (Segment::Index(wanted), None) => *wanted == index,
                (Segment::Each, None) => true,
                _ => false,
            };
            if leads {
                rests.push(&path[1..]);
            }
        }
        rests.iter().any(|rest| rest.is_empty()) || (!rests.is_empty() && keep(child, &rests))
    };
    match value {
        Value::Object(object) => {
            let members = std::mem::take(object).into_iter().enumerate();
            *object = members
                .filter_map(|(index, (key, mut child))| {
                    keep_child(index, Some(&key), &mut child).then_some((key, child))
                })
                .collect();
            !object.is_empty()
        }
        Value::Array(array) => {
            let elements = std::mem::take(array).into_iter().enumerate();
            *array = elements
                .filter_map(|(index, mut child)| keep_child(index, None, &mut child).then_some(child))
                .collect();
            !array.is_empty()
        }
        _ => false,
    }
}

fn remove_empty(value: &mut Value, step: &Value) {
    let is_empty = |child: &mut Value| {
        if step["recursive"] == true {
            remove_empty(child, step);
        }
        let kind = match child {
            Value::Null => "null",
            Value::String(text) if text.is_empty() => "string",
            Value::String(text) if text == "-" => "dash",
            Value::Array(array) if array.is_empty() => "array",
            Value::Object(object) if object.is_empty() => "object",
            _ => return false,
        };
        step["empty"].as_array().unwrap().contains(&json!(kind))
    };
    match value {
        Value::Array(array) => array.retain_mut(|element| !is_empty(element)),
        Value::Object(object) => object.retain(|_, member| !is_empty(member)),
        _ => {}
    }
}

/// Changes of single values.
mod change {
    use super::*;

    pub(super) fn apply(root: &mut Value, step: &Value) -> Done {
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
}
