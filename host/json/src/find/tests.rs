//! Values at paths: one, several, all.

use super::*;
use crate::{Kind, find_many};

const RECORD: &str = r#" { "Records" : [ {"eventName":"GetObject", "user":{"name":"a\"b","roles":["x","y",["z"]]}, "n":-1.5e3},
    {"eventName":null,"x.y":{"":true},"caf\u00e9":[[]], "eventName":"second", "d\\":"\\"} ], "Tail" : { } } "#;

fn shown(text: &str, value: Value) -> &str {
    std::str::from_utf8(value.text(text.as_bytes())).unwrap()
}

/// Finds `path` alone and together with others, and compares the text of the value.
#[track_caller]
fn check(text: &str, path: &str, expected: Option<&str>) {
    let path = Path::parse(path).unwrap();
    let found = find(text.as_bytes(), &path).unwrap();
    assert_eq!(found.map(|value| shown(text, value)), expected, "`{path}`");
    assert_eq!(found.map(|value| value.start), locate(text.as_bytes(), &path).unwrap());
    if let Some(value) = found {
        assert_eq!(value.kind, Kind::of_first_byte(text.as_bytes()[value.start]));
    }
    let others =
        ["Records[0].user.name", "$", "Records", "missing.x", "Records[1]"].map(|path| Path::parse(path).unwrap());
    let others: Vec<&Path> = others.iter().chain([&path, &path]).collect();
    let mut out = vec![found; others.len()];
    find_many(text.as_bytes(), &others, &mut out).unwrap();
    for (other, out) in others.iter().zip(out) {
        assert_eq!(out, find(text.as_bytes(), other).unwrap(), "`{other}` beside `{path}`");
    }
    let mut alone = [None];
    find_many(text.as_bytes(), &[&path], &mut alone).unwrap();
    assert_eq!(alone, [found], "`{path}`");
}

#[test]
fn finds_values_by_path() {
    check(RECORD, "$", Some(RECORD.trim()));
    check(RECORD, "Records[0].eventName", Some("\"GetObject\""));
    check(RECORD, "Records[0].user.name", Some("\"a\\\"b\""));
    check(RECORD, "Records[0].user.roles[1]", Some("\"y\""));
    check(RECORD, "Records[0].user.roles[2][0]", Some("\"z\""));
    check(RECORD, "Records[0].n", Some("-1.5e3"));
    check(RECORD, "Records[1].\"x.y\".\"\"", Some("true"));
    check(RECORD, "Tail", Some("{ }"));
    check("7", "$", Some("7"));
    check("[1,[2,3]]", "[1][0]", Some("2"));
}

#[test]
fn keys_are_compared_after_unescaping() {
    check(RECORD, "Records[1].café", Some("[[]]"));
    check(RECORD, "Records[1].\"d\\\\\"", Some("\"\\\\\""));
    check("{\"\\u0061\\ud83d\\ude00\":1}", "a😀", Some("1"));
    check("{\"a\\n\":1}", "\"a\\\\n\"", None);
    check("{\"a\\n\":1}", "\"a\\n\"", Some("1"));
    check("{\"ab\\n\":1,\"\\x\":2,\"a\":3}", "a", Some("3"));
    let long = "k".repeat(80);
    check(&format!("{{\"{long}1\":1,\"{long}2\":2}}"), &format!("{long}2"), Some("2"));
}

#[test]
fn the_first_of_repeated_keys_counts() {
    check(RECORD, "Records[1].eventName", Some("null"));
    check("{\"a\":{},\"a\":{\"b\":1}}", "a.b", None);
}

#[test]
fn a_path_that_does_not_exist_has_no_value() {
    for path in ["nothing", "Records.x", "Tail[0]", "Records[2]", "Records[0].n.x", "Records[0].eventName[0]", "Tail.x"]
    {
        check(RECORD, path, None);
    }
    check("[]", "[0]", None);
    check("{}", "a", None);
    check("null", "a.b", None);
}

#[test]
fn does_not_read_after_the_last_value() {
    let text = b"{\"a\":{\"b\":1,\"c\":2},%%%";
    let [b, c, d] = ["a.b", "a.c", "d"].map(|path| Path::parse(path).unwrap());
    let mut out = [None; 2];
    assert!(find(text, &c).unwrap().is_some());
    find_many(text, &[&c, &b], &mut out).unwrap();
    assert!(out.iter().all(Option::is_some));
    // `a.x` is known to be missing at the end of `a`, so the pass may stop after `e`.
    let [missing, e] = ["a.x", "e"].map(|path| Path::parse(path).unwrap());
    find_many(b"{\"a\":{\"b\":1},\"e\":2,%%%", &[&missing, &e], &mut out).unwrap();
    assert!(out[0].is_none() && out[1].is_some());
    let fault = Error { kind: ErrorKind::ExpectedKey, offset: 19 };
    assert_eq!(find(text, &d), Err(fault));
    assert_eq!(find_many(text, &[&c, &d], &mut out), Err(fault));
    assert!(out[0].is_some() && out[1].is_none());
}

#[test]
fn finds_more_paths_than_a_mask_has_bits() {
    let text: Vec<String> = (0..150).map(|number| format!("\"k{number}\":{number}")).collect();
    let text = format!("{{{}}}", text.join(","));
    let paths: Vec<Path> = (0..200).rev().map(|number| Path::parse(&format!("k{number}")).unwrap()).collect();
    let paths: Vec<&Path> = paths.iter().collect();
    let mut out = vec![None; 200];
    find_many(text.as_bytes(), &paths, &mut out).unwrap();
    for (path, value) in paths.iter().zip(&out) {
        let number: usize = path.to_string().trim_start_matches('k').parse().unwrap();
        let expected = (number < 150).then(|| number.to_string());
        assert_eq!(value.map(|value| shown(&text, value).to_owned()), expected);
    }
    let mut short = vec![None; 3];
    find_many(text.as_bytes(), &paths, &mut short).unwrap();
    assert_eq!(short, [None; 3]);
    find_many(b"", &[], &mut []).unwrap();
}

#[track_caller]
fn all(text: &str, path: &str, expected: &[&str]) {
    let mut found = Vec::new();
    let count = each(text.as_bytes(), &Path::parse(path).unwrap(), |value| found.push(shown(text, value)));
    assert_eq!(found, expected, "`{path}`");
    assert_eq!(count, Ok(expected.len()));
}

#[test]
fn finds_all_values_at_a_path_with_each() {
    all(RECORD, "Records[*].eventName", &["\"GetObject\"", "null"]);
    all(RECORD, "Records[*].user.roles[0]", &["\"x\""]);
    all(RECORD, "Records[0].user.roles[*]", &["\"x\"", "\"y\"", "[\"z\"]"]);
    all(RECORD, "Tail[*]", &[]);
    all(RECORD, "nothing[*].x", &[]);
    all(RECORD, "Tail", &["{ }"]);
    all(RECORD, "nothing", &[]);
    all("[ ]", "[*]", &[]);
    all("[[1],[2,3],4]", "[*][0]", &["1", "2"]);
}

#[test]
fn errors_before_the_value_are_reported() {
    let path = |text| Path::parse(text).unwrap();
    let many = Err(Error { kind: ErrorKind::ManyPlaces, offset: 0 });
    assert_eq!(find(b"[1]", &path("[*]")), many);
    assert_eq!(find_many(b"[1]", &[&path("$"), &path("[*]")], &mut [None; 2]).map(|()| None), many);
    for text in ["", " ", "{", "{\"b\":1", "{\"b\" 1}", "{\"b\":1,}", "{b}", "{\"b\":x,\"a\":1}", "%", "]"] {
        assert!(find(text.as_bytes(), &path("a")).is_err(), "`{text}`");
        assert!(find_many(text.as_bytes(), &[&path("a"), &path("c")], &mut [None; 2]).is_err(), "`{text}`");
    }
    assert!(find(b"%", &path("$")).is_err());
    let mut found = 0;
    assert!(each(b"[{\"a\":1},{\"a\" 1}]", &path("[*].a"), |_| found += 1).is_err());
    assert_eq!(found, 1);
}

#[test]
fn the_longest_path_is_followed() {
    let path = Path::parse(&vec!["a"; crate::MAX_SEGMENTS].join(".")).unwrap();
    let text = format!("{}1{}", "{\"a\":".repeat(100), "}".repeat(100));
    let found = find(text.as_bytes(), &path).unwrap();
    assert_eq!(found.unwrap().start, crate::MAX_SEGMENTS * 5);
    let mut out = [None];
    find_many(text.as_bytes(), &[&path], &mut out).unwrap();
    assert_eq!(out, [found]);
}
