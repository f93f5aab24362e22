//! What steps do, on trees: as simple as possible, without regard to speed.

use serde_json::{Map, Value, json};
use wattle_node::json::{Path, Segment};

pub(crate) type Done = Result<(), &'static str>;

pub(crate) fn apply_all(root: &mut Value, steps: &[Value]) -> Done {
    steps.iter().try_for_each(|step| {
        let is_on = step.get("if").is_none_or(|condition| {
            let exists = read(root, text(&condition["field"])).is_some_and(|value| !value.is_null());
            exists == condition["exists"]
        });
        if is_on { apply(root, step) } else { Ok(()) }
    })
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// The segments of a path below the body; the flag of a key says that it is a pattern.
pub(crate) fn parse(path: &str) -> Vec<Segment> {
    Path::parse(path).unwrap().segments()[1..].to_vec()
}

fn fits(pattern: &str, key: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == key,
        Some((start, end)) => key.len() >= pattern.len() - 1 && key.starts_with(start) && key.ends_with(end),
    }
}

pub(crate) fn get<'v>(root: &'v mut Value, place: &[Segment]) -> Option<&'v mut Value> {
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
pub(crate) fn places(value: &Value, path: &[Segment]) -> Vec<Vec<Segment>> {
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

pub(crate) fn remove(root: &mut Value, place: &[Segment]) {
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

pub(crate) fn put(at: &mut Value, path: &[Segment], value: &Value) -> Done {
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

pub(crate) fn list(value: &Value) -> Vec<&str> {
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
        let mut value = source(root, step);
        if let Some((found, map)) = value.as_ref().zip(step.get("map")) {
            value = map.get(shown(found)).cloned();
            if value.is_none() && step.get("default").is_none() && step["on_missing"] == "fail" {
                return Err("bad-value");
            }
        }
        let value = value.or_else(|| object.get("default").cloned());
        return match value {
            Some(value) => forgiving(put(root, &parse(target), &value)),
            None if step["on_missing"] == "fail" => Err("missing-field"),
            None => Ok(()),
        };
    }
    if has("append") || has("merge") {
        return combine(root, step, forgiving);
    }
    for operation in ["copy", "move"] {
        if has(operation) {
            let (from, to) = (text(&step[operation]), text(&step["to"]));
            let Some(value) = read(root, from).filter(|value| !value.is_null()) else {
                return if step["on_missing"] == "fail" { Err("missing-field") } else { Ok(()) };
            };
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
        return rename(root, step);
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
        return crate::change::apply(root, step);
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

/// `append` and `merge`.
fn combine(root: &mut Value, step: &Value, forgiving: impl Fn(Done) -> Done) -> Done {
    let is_append = step.get("append").is_some();
    let target = text(if is_append { &step["append"] } else { &step["merge"] });
    let added = match step.get("from") {
        None => step["value"].clone(),
        Some(from) => match read(root, text(from)) {
            None | Some(Value::Null) if step["on_missing"] == "fail" => return Err("missing-field"),
            None | Some(Value::Null) => return Ok(()),
            Some(value) => value,
        },
    };
    let present = read(root, target).unwrap_or_default();
    let new = if is_append {
        let mut array = match present {
            Value::Null => Vec::new(),
            Value::Array(array) => array,
            _ => return forgiving(Err("wrong-type")),
        };
        match added {
            Value::Array(more) => array.extend(more),
            other => array.push(other),
        }
        Value::Array(array)
    } else {
        let Value::Object(added) = added else { return forgiving(Err("wrong-type")) };
        let mut object = match present {
            Value::Null => Map::new(),
            Value::Object(object) => object,
            _ => return forgiving(Err("wrong-type")),
        };
        merge(&mut object, &added, step["deep"] == true, step["overwrite"] == true);
        Value::Object(object)
    };
    forgiving(put(root, &parse(target), &new))
}

fn merge(object: &mut Map<String, Value>, added: &Map<String, Value>, is_deep: bool, overwrite: bool) {
    for (key, value) in added {
        match (object.get_mut(key), value) {
            (Some(Value::Object(inner)), Value::Object(more)) if is_deep => merge(inner, more, is_deep, overwrite),
            // Null never replaces a value.
            (Some(present), _) if !present.is_null() && (!overwrite || value.is_null()) => {}
            _ => _ = object.insert(key.clone(), value.clone()),
        }
    }
}

/// A value in text form.
pub(crate) fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Gives one member another key, which the member keeps its place with.
fn rename_member(object: &mut Map<String, Value>, from: &str, to: &str, overwrite: bool) {
    let is_null = |key: &str| object.get(key).is_none_or(Value::is_null);
    if from == to || !object.contains_key(from) || !is_null(to) && (!overwrite || is_null(from)) {
        return;
    }
    let members = std::mem::take(object).into_iter().filter(|(key, _)| key != to);
    *object = members.map(|(key, value)| if key == from { (to.to_owned(), value) } else { (key, value) }).collect();
}

fn rename(root: &mut Value, step: &Value) -> Done {
    let path = parse(text(&step["rename"]));
    let overwrite = step["overwrite"] != false;
    let found = places(root, &path);
    let mut is_null = |place: &Vec<Segment>| get(root, place).is_some_and(|value| value.is_null());
    let nulls: Vec<bool> = found.iter().map(&mut is_null).collect();
    if (found.is_empty() || nulls.contains(&true)) && step["on_missing"] == "fail" {
        return Err("missing-field");
    }
    for (place, _) in found.into_iter().zip(nulls).filter(|(_, is_null)| !is_null) {
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
    Ok(())
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
