//! Tests of finding records.

use proptest::prelude::*;
use wattle_node::json;

use super::*;

fn shapes(paths: &[&str], single: Option<&str>) -> Shapes {
    let path = |text: &&str| Path::parse(text).unwrap();
    Shapes {
        paths: paths.iter().map(path).collect(),
        single: single.map(|key| path(&key)),
        rules: Rules::default(),
        salvages: true,
        broken_port: 0,
    }
}

fn found(shapes: &Shapes, text: &[u8]) -> Result<Vec<String>, Fault> {
    let mut all = Vec::new();
    shapes.records(text, |found| match found {
        Found::Record(v) => all.push(String::from_utf8_lossy(v.text(text)).into_owned()),
        other => panic!("{other:?}"),
    })?;
    Ok(all)
}

fn cloudtrail() -> Shapes {
    shapes(&["Records", "$"], Some("eventVersion"))
}

#[track_caller]
fn check(shapes: &Shapes, text: &str, records: &[&str]) {
    assert_eq!(found(shapes, text.as_bytes()).unwrap(), records, "{text}");
}

#[track_caller]
fn refuse(shapes: &Shapes, text: &str, fault: Fault) {
    assert_eq!(found(shapes, text.as_bytes()).unwrap_err(), fault, "{text}");
}

fn not_json(kind: ErrorKind, offset: usize) -> Fault {
    Fault::NotJson(Error { kind, offset })
}

#[test]
fn finds_the_records_of_every_shape_of_a_cloudtrail_document() {
    let all = cloudtrail();
    check(&all, r#"{"Records":[{"a":1},{"a":2}]}"#, &[r#"{"a":1}"#, r#"{"a":2}"#]);
    check(&all, r#"{"x":[0],"Records" : [ 1 , "s" , null ] ,"y":{"z":[]}}"#, &["1", "\"s\"", "null"]);
    check(&all, r#"[{"a":1},[2]]"#, &[r#"{"a":1}"#, "[2]"]);
    check(&all, r#" {"eventVersion":"1.08"} "#, &[r#"{"eventVersion":"1.08"}"#]);
    check(&all, "{\"eventVersion\":1}\n{\"eventVersion\":2}\r\n\n", &["{\"eventVersion\":1}", "{\"eventVersion\":2}"]);
    check(&all, "{\"Records\":[1]}\n[2]{\"eventVersion\":3}", &["1", "2", "{\"eventVersion\":3}"]);
    check(&all, "\u{feff}{\"Records\":[1]}", &["1"]);
    check(&all, r#"{"Records":[]}"#, &[]);
    check(&all, " [ ] ", &[]);
}

#[test]
fn follows_paths_through_objects_and_arrays() {
    check(&shapes(&["a.\"b.c\"[1].d"], None), r#"{"a":{"b.c":[0,{"d":[7],"e":1},{}],"f":0},"g":[]}"#, &["7"]);
    check(&shapes(&["$[0]"], None), "[[1,2],[3]]", &["1", "2"]);
    check(&shapes(&["a", "b"], None), r#"{"b":[1],"a":[2]}"#, &["2"]);
    check(&shapes(&["a"], None), r#"{"a":[1],"a":[2]}"#, &["1"]);
}

#[test]
fn reports_why_there_are_no_records() {
    let all = cloudtrail();
    refuse(&all, r#"{"digestStartTime":"x"}"#, Fault::MissingPath(0));
    refuse(&all, "{\"Records\":[1]}\n {\"x\":1}", Fault::MissingPath(17));
    refuse(&all, "5", Fault::MissingPath(0));
    refuse(&all, r#"{"Records":5}"#, Fault::NotAnArray(0, Kind::Number));
    refuse(&all, r#"{"Records":null,"eventVersion":1}"#, Fault::NotAnArray(0, Kind::Null));
    refuse(&shapes(&["$"], None), r#"{"a":5}"#, Fault::NotAnArray(0, Kind::Object));
    refuse(&shapes(&["a"], None), "[1]", Fault::MissingPath(0));
}

#[test]
fn reports_where_a_text_is_not_json() {
    let all = cloudtrail();
    refuse(&all, "", not_json(ErrorKind::EndOfText, 0));
    refuse(&all, "\u{feff} ", not_json(ErrorKind::EndOfText, 4));
    refuse(&all, "plain text", not_json(ErrorKind::ExpectedValue, 0));
    refuse(&all, r#"{"Records":[1,2"#, not_json(ErrorKind::EndOfText, 15));
    refuse(&all, r#"{"Records":[1,2]"#, not_json(ErrorKind::EndOfText, 16));
    refuse(&all, r#"{"Records":[1 2]}"#, not_json(ErrorKind::ExpectedCommaOrBracket, 14));
    refuse(&all, r#"{"Records":[1]]"#, not_json(ErrorKind::ExpectedCommaOrBrace, 14));
    refuse(&all, r#"{"Records":[1],5:6}"#, not_json(ErrorKind::ExpectedKey, 15));
    refuse(&all, r#"{"Records":[1],"a" 6}"#, not_json(ErrorKind::ExpectedColon, 19));
    refuse(&all, r#"{"Records":[1],"a""#, not_json(ErrorKind::EndOfText, 18));
    refuse(&all, r#"{"Records":[1]} x"#, not_json(ErrorKind::ExpectedValue, 16));
    refuse(&all, r#"{"x":{"y":1}"#, not_json(ErrorKind::EndOfText, 12));
    refuse(&shapes(&["$[0]"], None), "[[1]}", not_json(ErrorKind::ExpectedCommaOrBracket, 4));
}

#[test]
fn deep_nesting_is_safe() {
    let deep = [&b"{\"Records\":["[..], &b"[".repeat(10_000), &b"]".repeat(10_000), &b"]}"[..]].concat();
    assert_eq!(found(&cloudtrail(), &deep).unwrap().len(), 1);
    assert!(found(&cloudtrail(), &b"[".repeat(10_000)).is_err());
}

fn value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::vec(("[a-zR]{0,3}", inner), 0..4)
                .prop_map(|pairs| serde_json::Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn agrees_with_a_parser(documents in prop::collection::vec(prop::collection::vec(value(), 0..5), 1..4),
        more in value(), pretty: bool) {
        let mut text = String::new();
        for records in &documents {
            let document = serde_json::json!({"before": more, "Records": records, "after": [more]});
            text += &if pretty { serde_json::to_string_pretty(&document) } else { serde_json::to_string(&document) }.unwrap();
            text.push('\n');
        }
        let records: Vec<serde_json::Value> =
            found(&cloudtrail(), text.as_bytes()).unwrap().iter().map(|r| serde_json::from_str(r).unwrap()).collect();
        prop_assert_eq!(records, documents.concat());
    }

    #[test]
    fn any_bytes_are_handled(text: Vec<u8>, json in "[\\[\\]{}:,\"a1 ]{0,24}") {
        for text in [text.as_slice(), json.as_bytes()] {
            if let Ok(all) = found(&cloudtrail(), text) {
                prop_assert!(all.iter().all(|record| json::skip(record.as_bytes(), 0).is_ok()));
            }
        }
    }
}
