//! Random documents and edits, compared with the same edits of trees.

use proptest::prelude::*;
use serde_json::{Map, Value};
use wattle_json::{Path, Segment};

use super::{Documents, Place, all, edited};

#[derive(Clone, Debug)]
enum Edit {
    Put(String, Value),
    Remove(String),
    Rename(String, String),
    Move(String, String),
}

/// Follows a path in a tree.
fn get<'v>(value: &'v mut Value, path: &[Segment]) -> Option<&'v mut Value> {
    path.iter().try_fold(value, |at, segment| match segment {
        Segment::Key(key) => at.as_object_mut()?.get_mut(&**key),
        Segment::Index(index) => at.as_array_mut()?.get_mut(*index),
        Segment::Each => None,
    })
}

/// Sets a value in a tree; returns whether there is a place for it.
fn put(at: &mut Value, path: &[Segment], value: &Value) -> bool {
    let Some((segment, rest)) = path.split_first() else {
        *at = value.clone();
        return true;
    };
    match segment {
        Segment::Key(key) => {
            if at.is_null() && rest.iter().all(|segment| matches!(segment, Segment::Key(_))) {
                *at = Value::Object(Map::new());
            }
            let Some(object) = at.as_object_mut() else { return false };
            match object.get_mut(&**key) {
                Some(member) => put(member, rest, value),
                None if rest.iter().all(|segment| matches!(segment, Segment::Key(_))) => {
                    put(object.entry(&**key).or_insert(Value::Null), rest, value)
                }
                None => false,
            }
        }
        Segment::Index(index) => {
            at.as_array_mut().and_then(|array| array.get_mut(*index)).is_some_and(|at| put(at, rest, value))
        }
        Segment::Each => false,
    }
}

fn remove(root: &mut Value, path: &[Segment]) -> Option<Value> {
    let (last, before) = path.split_last()?;
    match (last, get(root, before)?) {
        (Segment::Key(key), Value::Object(object)) => object.shift_remove(&**key),
        (Segment::Index(index), Value::Array(array)) if *index < array.len() => Some(array.remove(*index)),
        _ => None,
    }
}

fn rename(root: &mut Value, path: &[Segment], to: &str) {
    let Some((Segment::Key(from), before)) = path.split_last() else { return };
    let Some(Value::Object(object)) = get(root, before) else { return };
    if **from == *to || !object.contains_key(&**from) {
        return;
    }
    let members = std::mem::take(object).into_iter().filter(|(key, _)| key != to);
    *object = members.map(|(key, value)| if key == **from { (to.to_owned(), value) } else { (key, value) }).collect();
}

fn apply_to_tree(root: &mut Value, edit: &Edit) {
    let parse = |path: &str| Path::parse(path).unwrap();
    match edit {
        Edit::Put(path, value) => {
            put(root, parse(path).segments(), value);
        }
        Edit::Remove(path) => {
            remove(root, parse(path).segments());
        }
        Edit::Rename(path, to) => rename(root, parse(path).segments(), to),
        Edit::Move(from, to) => {
            let before = root.clone();
            if let Some(value) = remove(root, parse(from).segments())
                && !put(root, parse(to).segments(), &value)
            {
                *root = before;
            }
        }
    }
}

fn apply(documents: &mut Documents, root: Place, edit: &Edit) -> bool {
    match edit {
        Edit::Put(path, value) => {
            let _ = super::put(documents, root, path, &value.to_string());
        }
        Edit::Remove(path) => super::remove(documents, root, path),
        Edit::Rename(path, to) => {
            for place in all(documents, root, path) {
                documents.rename(place, to.as_bytes());
            }
        }
        Edit::Move(from, to) => {
            if let [place] = all(documents, root, from)[..]
                && documents.parent(place).is_some()
            {
                let content = documents.content(place);
                documents.remove(place);
                let route = documents.route(&Path::parse(to).unwrap());
                return documents.put(root, &route, content).is_ok();
            }
        }
    }
    true
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-c\"\\\\\n é]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-d]|[a\"\n]{2}", inner), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn paths() -> impl Strategy<Value = String> {
    prop::collection::vec(prop_oneof![4 => "\\.[a-d]", 1 => Just(".\"a\\\"\"".to_owned()), 1 => "\\[[0-2]\\]"], 1..4)
        .prop_map(|steps| format!("${}", steps.concat()))
}

fn edits() -> impl Strategy<Value = Edit> {
    prop_oneof![
        (paths(), values()).prop_map(|(path, value)| Edit::Put(path, value)),
        paths().prop_map(Edit::Remove),
        (paths(), "[a-d]|[a\"\n]{2}").prop_map(|(path, to)| Edit::Rename(path, to)),
        (paths(), paths()).prop_map(|(from, to)| Edit::Move(from, to)),
    ]
}

proptest! {
    #[test]
    fn agrees_with_trees(value in values(), edits in prop::collection::vec(edits(), 0..8), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let mut tree = value;
        let mut given_up = false;
        let written = edited(&text, |documents, root| {
            for edit in &edits {
                if !apply(documents, root, edit) {
                    // A move without a place left its document in part; the caller gives such a
                    // document up.
                    given_up = true;
                    return;
                }
                apply_to_tree(&mut tree, edit);
            }
        });
        if given_up {
            return Ok(());
        }
        if !pretty {
            prop_assert_eq!(&written, &serde_json::to_string(&tree).unwrap());
        }
        prop_assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), tree);
    }

    /// Documents with the same keys, other keys and the same keys in another order, one after the other in one arena.
    #[test]
    fn documents_of_one_shape_do_not_disturb_each_other(
        values in prop::collection::vec(values(), 1..3),
        order in prop::collection::vec((0..3_usize, any::<bool>()), 1..12),
        edits in prop::collection::vec(edits(), 0..6),
        patterns in prop::collection::vec("\\$\\.([a-d]|\\*)(\\.([a-d]|[a-b]?\\*))?", 0..3),
    ) {
        let mut documents = Documents::default();
        let source = documents.add_source();
        let routes: Vec<_> = patterns.iter().map(|pattern| documents.pattern(pattern).unwrap()).collect();
        let mut found = Vec::new();
        for (number, pretty) in order {
            let value = &values[number % values.len()];
            let text = if pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) }.unwrap();
            let alone = edited(&text, |documents, root| {
                for pattern in &patterns {
                    all(documents, root, pattern).into_iter().for_each(|place| documents.remove(place));
                }
                edits.iter().for_each(|edit| { apply(documents, root, edit); });
            });
            documents.clear();
            documents.load(source, bytes::Bytes::from(text.clone()));
            let root = documents.open(source, 0, text.len(), wattle_json::Kind::of_first_byte(text.as_bytes()[0]));
            for route in &routes {
                found.clear();
                documents.all(root, route, &mut found);
                found.iter().for_each(|place| documents.remove(*place));
            }
            edits.iter().for_each(|edit| { apply(&mut documents, root, edit); });
            let mut out = Vec::new();
            documents.write(root, &mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), alone);
        }
    }

    #[test]
    fn large_objects_agree_with_trees(
        count in 30..80_usize,
        edits in prop::collection::vec((0..90_usize, 0..90_usize, 0..3_u8), 1..120),
    ) {
        let key = |number: usize| format!("k{number}");
        let mut tree: Value = (0..count).map(|number| (key(number), Value::from(number))).collect::<Map<_, _>>().into();
        let written = edited(&tree.to_string(), |documents, root| {
            for (from, to, kind) in edits {
                let edit = match kind {
                    0 => Edit::Rename(key(from), key(to)),
                    1 => Edit::Remove(key(from)),
                    _ => Edit::Put(key(from), Value::from(to)),
                };
                apply(documents, root, &edit);
                apply_to_tree(&mut tree, &edit);
            }
        });
        prop_assert_eq!(written, tree.to_string());
    }

    #[test]
    fn large_objects_with_repeated_keys_agree_with_lists(
        keys in prop::collection::vec(0..60_usize, 33..120),
        edits in prop::collection::vec((0..70_usize, 0..70_usize, 0..3_u8), 1..60),
    ) {
        let key = |number: usize| format!("k{number}");
        let mut list: Vec<(usize, usize)> = keys.into_iter().enumerate().map(|(value, key)| (key, value)).collect();
        let text = |list: &[(usize, usize)]| {
            let members: Vec<String> = list.iter().map(|(name, value)| format!("\"{}\":{value}", key(*name))).collect();
            format!("{{{}}}", members.join(","))
        };
        let written = edited(&text(&list), |documents, root| {
            for (from, to, kind) in edits {
                // The first member with the key is changed, and all others with the old and the new key go.
                let change = |list: &mut Vec<(usize, usize)>, at: usize, name: usize, value: usize| {
                    let old = list[at].0;
                    list[at] = (usize::MAX, value);
                    list.retain(|(key, _)| *key != old && *key != name);
                    list.iter_mut().filter(|(key, _)| *key == usize::MAX).for_each(|(key, _)| *key = name);
                };
                let first = list.iter().position(|(key, _)| *key == from);
                match (kind, first) {
                    (0, Some(at)) if from != to => {
                        let value = list[at].1;
                        change(&mut list, at, to, value);
                    },
                    (1, _) => list.retain(|(key, _)| *key != from),
                    (2, Some(at)) => change(&mut list, at, from, to),
                    (2, None) => list.push((from, to)),
                    _ => {}
                }
                let edit = match kind {
                    0 => Edit::Rename(key(from), key(to)),
                    1 => Edit::Remove(key(from)),
                    _ => Edit::Put(key(from), Value::from(to)),
                };
                apply(documents, root, &edit);
            }
        });
        prop_assert_eq!(written, text(&list));
    }

    #[test]
    fn any_text_does_no_harm(text in "[\\[{][\\[\\]{}:,\"ab1\\\\u ]{0,24}", edits in prop::collection::vec(edits(), 0..6)) {
        edited(&text, |documents, root| edits.iter().for_each(|edit| {
            apply(documents, root, edit);
        }));
    }
}
