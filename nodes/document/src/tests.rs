//! Tests of editing: unit tests, and a comparison with trees.

mod model;

use bytes::Bytes;
use wattle_json::{Kind, Path};

use crate::{Documents, NoPlace, Place};

/// Opens a text, lets `edit` change it, and returns what is written.
fn edited(text: &str, edit: impl FnOnce(&mut Documents, Place)) -> String {
    let mut documents = Documents::default();
    let source = documents.add_source();
    documents.load(source, Bytes::copy_from_slice(text.as_bytes()));
    let kind = Kind::of_first_byte(text.as_bytes()[0]);
    let root = documents.open(source, 0, text.len(), kind);
    edit(&mut documents, root);
    let mut out = Vec::new();
    documents.write(root, &mut out);
    String::from_utf8(out).unwrap()
}

fn put(documents: &mut Documents, root: Place, path: &str, json: &str) -> Result<usize, NoPlace> {
    let route = documents.route(&Path::parse(path).unwrap());
    let content = documents.new_json(json.as_bytes());
    documents.put(root, &route, content)
}

fn all(documents: &mut Documents, root: Place, path: &str) -> Vec<Place> {
    let route = documents.pattern(path).unwrap();
    let mut found = Vec::new();
    documents.all(root, &route, &mut found);
    found
}

fn remove(documents: &mut Documents, root: Place, path: &str) {
    all(documents, root, path).into_iter().for_each(|place| documents.remove(place));
}

#[track_caller]
fn check_put(text: &str, path: &str, expected: Result<&str, NoPlace>) {
    let mut result = Ok(0);
    let written = edited(text, |documents, root| result = put(documents, root, path, "1"));
    match expected {
        Ok(expected) => assert_eq!((written.as_str(), result.is_ok()), (expected, true), "{text} {path}"),
        Err(NoPlace) => assert_eq!((written.as_str(), result), (text, Err(NoPlace)), "{text} {path}"),
    }
}

#[test]
fn a_change_after_a_large_object_was_replaced_is_in_the_new_object() {
    let large = |from: usize| {
        let members: Vec<String> = (from..from + 40).map(|number| format!("\"k{number}\":{number}")).collect();
        format!("{{{}}}", members.join(","))
    };
    let written = edited(&format!("{{\"a\":{},\"b\":{}}}", large(0), large(5)), |documents, root| {
        let (a, b) = (documents.find(root, b"a").unwrap(), documents.find(root, b"b").unwrap());
        // Makes the index of the first value.
        assert!(documents.find(a, b"k5").is_some());
        let other = documents.content(b);
        documents.set(a, other);
        for key in [&b"k5"[..], b"k44"] {
            let content = documents.new_json(b"\"new\"");
            documents.set_member(a, key, content);
        }
    });
    let a = large(5).replace("\"k5\":5", "\"k5\":\"new\"").replace("\"k44\":44", "\"k44\":\"new\"");
    assert_eq!(written, format!("{{\"a\":{a},\"b\":{}}}", large(5)));
}

#[test]
fn a_value_is_replaced_or_added() {
    check_put(r#"{"a": "x", "b":2}"#, "a", Ok(r#"{"a": 1, "b":2}"#));
    check_put(r#"{"a": "x"}"#, "b", Ok(r#"{"a": "x","b":1}"#));
    check_put("{ }", "b", Ok(r#"{"b":1 }"#));
    check_put("{}", "a.b", Ok(r#"{"a":{"b":1}}"#));
    check_put("null", "a.b", Ok(r#"{"a":{"b":1}}"#));
    check_put(r#"{"a":null}"#, "a.b.c", Ok(r#"{"a":{"b":{"c":1}}}"#));
    check_put(r#"{"a":{"c":[1, 2 ]}}"#, "a.c[1]", Ok(r#"{"a":{"c":[1,1 ]}}"#));
    check_put(r#"{"a":{"c":0}}"#, "a.d.e", Ok(r#"{"a":{"c":0,"d":{"e":1}}}"#));
    check_put(r#"{"\u0061\"":2}"#, "\"a\\\"\"", Ok(r#"{"\u0061\"":1}"#));
    check_put("{}", "\"a\\\"\\n\"", Ok(r#"{"a\"\n":1}"#));
    check_put("[3]", "$", Ok("1"));
}

#[test]
fn what_is_no_object_gives_no_place() {
    for (text, path) in
        [(r#"{"a":5}"#, "a.b"), ("[1]", "a"), (r#"{"a":[]}"#, "a[0]"), ("{}", "a[0]"), ("{}", "a.b[0].c")]
    {
        check_put(text, path, Err(NoPlace));
    }
}

#[test]
fn each_sets_every_element_that_has_a_place() {
    check_put(r#"{"a":[{"b":2},{}, {"c":3}]}"#, "a[*].b", Ok(r#"{"a":[{"b":1},{"b":1}, {"c":3,"b":1}]}"#));
    check_put(r#"{"a":[1,2]}"#, "a[*]", Ok(r#"{"a":[1,1]}"#));
    check_put(r#"{"a":7}"#, "a[*].b", Ok(r#"{"a":7}"#));
    check_put("{}", "a[*].b", Ok("{}"));
    let written = edited(r#"[5,{"b":2}]"#, |documents, root| {
        assert_eq!(put(documents, root, "[*].b", "1"), Err(NoPlace));
    });
    assert_eq!(written, r#"[5,{"b":1}]"#, "the other elements are set");
}

#[test]
fn untouched_text_keeps_its_white_space() {
    let pretty = "{\n  \"a\" : [ 1, {\"x\":1 , \"y\": 2} ] ,\n  \"b\": \"\\u0062\",\n  \"c\": 1.50,\n  \"d\": { }\n}";
    assert_eq!(edited(pretty, |documents, root| assert_eq!(all(documents, root, "a[1].x").len(), 1)), pretty);
    let written = edited(pretty, |documents, root| remove(documents, root, "b"));
    assert_eq!(written, "{\n  \"a\" : [ 1, {\"x\":1 , \"y\": 2} ],\n  \"c\": 1.50,\n  \"d\": { }\n}");
    let written = edited(pretty, |documents, root| remove(documents, root, "a[1].x"));
    // White space before a comma stays only between members that did not change.
    assert_eq!(written, pretty.replace("\"x\":1 , ", " ").replace("] ,", "],"));
    let written = edited(pretty, |documents, root| put(documents, root, "b", "2").map(drop).unwrap());
    assert_eq!(written, pretty.replace("\"\\u0062\"", "2").replace("] ,", "],"));
    let written = edited("{\n \"a\": 1\n}", |documents, root| remove(documents, root, "a"));
    assert_eq!(written, "{}");
}

#[test]
fn a_renamed_member_keeps_its_place_and_takes_that_of_another() {
    let rename = |text: &str, from: &str, to: &str| {
        edited(text, |documents, root| {
            for place in all(documents, root, from) {
                documents.rename(place, to.as_bytes());
            }
        })
    };
    assert_eq!(rename(r#"{"a":1,"b":2}"#, "a", "c\""), r#"{"c\"":1,"b":2}"#);
    assert_eq!(rename(r#"{"a":1,"b":2,"c":3}"#, "c", "a"), r#"{"b":2,"a":3}"#);
    assert_eq!(rename(r#"{"a":1}"#, "a", "a"), r#"{"a":1}"#);
    assert_eq!(rename(r#"{"a":1,"a":2,"b":3}"#, "a", "b"), r#"{"b":1}"#);
    assert_eq!(rename(r#"[{"a":1},{"a":{"x": 2}}]"#, "[*].a", "b"), r#"[{"b":1},{"b":{"x": 2}}]"#);
}

#[test]
fn a_changed_member_stands_alone() {
    let text = r#"{"a":{"x":1},"b":2,"\u0061":{"x":3}}"#;
    assert_eq!(edited(text, |documents, root| remove(documents, root, "a")), r#"{"b":2}"#);
    assert_eq!(edited(text, |documents, root| remove(documents, root, "a.x")), r#"{"a":{},"b":2}"#);
    assert_eq!(edited(text, |documents, root| put(documents, root, "a", "1").map(drop).unwrap()), r#"{"a":1,"b":2}"#);
    assert_eq!(edited(text, |documents, root| remove(documents, root, "b")), r#"{"a":{"x":1},"\u0061":{"x":3}}"#);
    let many: String = (0..200).map(|i| format!("\"k{i}\":{i},")).collect();
    let text = format!("{{{many}\"k7\":0}}");
    let written = edited(&text, |documents, root| put(documents, root, "k7", "1").map(drop).unwrap());
    assert_eq!(written, text.replace("\"k7\":7,", "\"k7\":1,").replace(",\"k7\":0}", "}"));
}

#[test]
fn patterns_find_all_members_that_fit() {
    let text = r#"{"debug_a":1,"b":{"debug_a":2,"x":3},"debug_\u0062":4,"l":[{"tmp":1,"y":2}]}"#;
    let written = edited(text, |documents, root| {
        remove(documents, root, "debug_*");
        remove(documents, root, "l[*].t*");
    });
    assert_eq!(written, r#"{"b":{"debug_a":2,"x":3},"l":[{"y":2}]}"#);
    assert_eq!(
        edited(text, |documents, root| remove(documents, root, "*.*")),
        text.replace("\"debug_a\":2,\"x\":3", "")
    );
}

#[test]
fn a_value_moves_with_its_edits_and_stays_independent() {
    let written = edited(r#"{"a":{"x": 1},"b":{}}"#, |documents, root| {
        put(documents, root, "a.y", "2").unwrap();
        let from = all(documents, root, "a")[0];
        let content = documents.content(from);
        let route = documents.route(&Path::parse("b.copy").unwrap());
        documents.put(root, &route, content).unwrap();
        put(documents, root, "a.x", "3").unwrap();
        put(documents, root, "b.copy.y", "4").unwrap();
    });
    assert_eq!(written, r#"{"a":{"x": 3,"y":2},"b":{"copy":{"x": 1,"y":4}}}"#);
}

#[test]
fn text_is_escaped_when_it_is_written() {
    let mut memory = Vec::new();
    let written = edited(r#"{"a":"\u00e9\n","b":1.0}"#, |documents, root| {
        let (a, b) = (all(documents, root, "a")[0], all(documents, root, "b")[0]);
        let content = documents.content(a);
        assert_eq!(documents.text(content, &mut memory), "é\n".as_bytes());
        let content = documents.content(b);
        assert_eq!(documents.text(content, &mut memory), b"1.0");
        let text = documents.new_text(b"\"\xff");
        documents.set(a, text);
        let content = documents.content(a);
        assert_eq!(documents.text(content, &mut memory), b"\"\xff");
    });
    assert_eq!(written, "{\"a\":\"\\\"\u{fffd}\",\"b\":1.0}");
}

#[test]
fn constants_and_texts_outlive_a_clear() {
    let mut documents = Documents::default();
    let constant = documents.constant(b"[1]");
    let source = documents.add_source();
    documents.load(source, Bytes::from_static(b"{\"a\":1}plain"));
    let route = documents.route(&Path::parse("a").unwrap());
    for _ in 0..3 {
        documents.clear();
        let root = documents.open(source, 0, 7, Kind::Object);
        let plain = documents.open_text(source, 7, 12);
        assert!(!documents.is_changed(root));
        documents.new_json(b"\"scratch\"");
        documents.put(root, &route, constant).unwrap();
        let text = documents.content(plain);
        assert_eq!(documents.text(text, &mut Vec::new()), b"plain");
        let mut out = Vec::new();
        documents.write(root, &mut out);
        assert_eq!((out.as_slice(), documents.is_changed(root)), (&b"{\"a\":[1]}"[..], true));
    }
}

#[test]
fn texts_that_are_not_json_do_no_harm() {
    for text in ["{\"a\":1", "{\"a\" 1}", "[1,", "{]", "{\"a\":{\"b\"}}", "[", "{"] {
        edited(text, |documents, root| {
            let _ = put(documents, root, "a.b", "1");
            let _ = put(documents, root, "a", "1");
            remove(documents, root, "*");
            remove(documents, root, "[0]");
        });
    }
}

/// An object with members `f(0)` to `f(count - 1)`, whose values are the numbers.
fn object_of(count: usize, key: impl Fn(usize) -> String) -> String {
    let members: Vec<String> = (0..count).map(|number| format!("\"{}\":{number}", key(number))).collect();
    format!("{{{}}}", members.join(","))
}

/// Renames every member to the same key, each with a number.
fn rename_all(documents: &mut Documents, object: Place) {
    let mut child = documents.first(object);
    let mut number = 0;
    while let Some(member) = child {
        assert_eq!(documents.find(object, b"x"), None);
        documents.rename(member, format!("x_{number}").as_bytes());
        number += 1;
        child = documents.next(member);
    }
}

#[test]
fn many_renames_in_one_object_take_linear_time() {
    // The second has the same first and last bytes in every key, and the third one key twice.
    for key in [
        |number: usize| format!("k{number}"),
        |number: usize| format!("user_{number:06}_name"),
        |number: usize| format!("k{}", number.max(1)),
    ] {
        let written = edited(&object_of(30_000, key), rename_all);
        let removed = usize::from(key(0) == key(1));
        let last = format!("\"x_{}\":29999}}", 29_999 - removed);
        assert!(written.starts_with("{\"x_0\":0,") && written.ends_with(&last), "{}", key(0));
    }
    // Of members with one key, the first one counts, and the others go with its change.
    assert_eq!(edited(&object_of(30_000, |_| "k".to_owned()), rename_all), "{\"x_0\":0}");
    // Each one replaces that before it.
    let written = edited(&object_of(30_000, |number| format!("k{number}")), |documents, object| {
        let mut child = documents.first(object);
        while let Some(member) = child {
            documents.rename(member, b"x");
            child = documents.next(member);
        }
    });
    assert_eq!(written, "{\"x\":29999}");
}
