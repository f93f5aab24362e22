//! The format `csv`: wrong options, and lines of several streams against a model.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at what must not be")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};
use wattle_node::testing::{check_refusal, run, run_bodies};
use wattle_node_parse::Parse;

#[test]
fn wrong_options_are_reported_all_at_once() {
    let refuse = |options: Value, expected: &[(&str, &str)]| check_refusal::<Parse>(&options, expected).unwrap();
    refuse(
        json!({"format": "csv", "columns": "header", "skip_header": true, "stream": "nowhere", "delimiter": "\"",
               "column_sets": {"by": 0, "sets": {}}}),
        &[
            ("delimiter", "one ASCII character"),
            ("header", "text that header lines begin with"),
            ("skip_header", "remove one of the two"),
            ("column_sets", "remove one of the two"),
            ("stream", "must begin with"),
        ],
    );
    refuse(
        json!({"format": "csv", "header": "id", "stream": "body", "types": {"c": "integer"},
               "column_sets": {"by": 2, "sets": {"x": ["a", "a", "b"], "y": []}}}),
        &[
            ("header", "belongs to `columns = \"header\"`"),
            ("column_sets.sets.x[1]", "named twice"),
            ("column_sets.sets.y", "name of each column"),
            ("types.c", "there is no column `c`"),
            ("column_sets.by", "has no column 2"),
            ("stream", "belongs to"),
        ],
    );
    refuse(json!({"format": "csv", "columns": "headers"}), &[("columns", "expected a list of names, or `header`")]);
    refuse(json!({"format": "csv", "column_sets": {"by": 0, "sets": {}}}), &[("column_sets.sets", "at least one set")]);
    refuse(
        json!({"format": "csv", "column_sets": {"by": "x", "sets": {"a": ["b"]}}}),
        &[("column_sets.by", "must begin")],
    );
    refuse(
        json!({"format": "csv", "stream": "attributes.file",
               "column_sets": {"by": "attributes.kind", "sets": {"a": ["b"]}}}),
        &[("stream", "belongs to `columns = \"header\"`")],
    );
    refuse(
        json!({"format": "csv", "columns": ["a"], "extra_columns": "join"}),
        &[("extra_columns", "belongs to the delimiter `whitespace`")],
    );
    refuse(
        json!({"format": "csv", "delimiter": "whitespace", "escape": "\\", "extra_columns": "join",
               "column_sets": {"by": 0, "sets": {"a": ["b"]}}}),
        &[("escape", "no quotes"), ("extra_columns", "different numbers of columns")],
    );
    refuse(
        json!({"format": "csv", "columns": ["a"], "delimiter": "spaces"}),
        &[("delimiter", "expected one character, or `whitespace`")],
    );
    refuse(json!({"format": "aws_vpc_flow", "columns": "header"}), &[("columns", "count in any case")]);
    refuse(
        json!({"header": "x", "extra_columns": "ignore", "stream": "body", "column_sets": {"by": 0, "sets": {"a": ["b"]}}}),
        &[
            ("header", "belongs to the format `csv`"),
            ("column_sets", "belongs to the format `csv`"),
            ("extra_columns", "belongs to the format `csv`"),
            ("stream", "belongs to"),
        ],
    );
}

#[test]
fn a_header_without_names_has_no_columns_for_the_lines_after_it() {
    let options = json!({"format": "csv", "columns": "header", "header": "#Fields: "});
    let ran = run_bodies::<Parse>(&options, &["#Fields: ", "x,y", "#Fields: a,b", "x,y"]).unwrap();
    assert_eq!(ran.codes(), ["wrong-column-count"]);
    assert_eq!(ran.ports["out"].len(), 1);
}

#[test]
fn names_that_a_header_lacks_or_repeats_differ_from_all_others() {
    let options = json!({"format": "csv", "columns": "header", "header": "#"});
    for (header, keys) in [
        ("#a_3,a,a", ["a_3", "a", "a_3_3"]),
        ("#column_2,,x", ["column_2", "column_2_2", "x"]),
        ("#a,a,", ["a", "a_2", "column_3"]),
    ] {
        let ran = run_bodies::<Parse>(&options, &[header, "1,2,3"]).unwrap();
        let expected: Value =
            keys.iter().zip(1..).map(|(key, number)| (*key, Value::from(number.to_string()))).collect();
        assert_eq!(ran.ports["out"][0]["attributes"], expected, "{header}");
    }
}

#[test]
fn lines_with_malformed_quotes_fail() {
    let csv = json!({"format": "csv", "columns": ["a", "b"]});
    let escaped = json!({"format": "csv", "columns": ["a", "b"], "escape": "\\", "delimiter": ";"});
    let first = json!({"format": "csv", "columns": ["a"], "extra_columns": "ignore"});
    for (options, line, expected) in [
        (&csv, "1,\"abc", Err("`body` has no closing quote in column 2")),
        (&csv, "1,\"", Err("`body` has no closing quote in column 2")),
        (&csv, "\"1,2", Err("`body` has no closing quote in column 1")),
        (&csv, "1,\"abc\"\"", Err("`body` has no closing quote in column 2")),
        (&csv, "\"1\"2,x", Err("`body` has text after the closing quote of column 1")),
        (&csv, "1,\"abc\"d", Err("`body` has text after the closing quote of column 2")),
        (&csv, "1,\"abc\" ", Err("`body` has text after the closing quote of column 2")),
        (&escaped, "1;\"a\\\"", Err("`body` has no closing quote in column 2")),
        (&escaped, "1;\"a\"\"b\"", Err("`body` has text after the closing quote of column 2")),
        (&first, "1,\"abc", Err("`body` has no closing quote in column 2")),
        (&csv, "1,a\"b", Ok(["1", "a\"b"])),
        (&csv, "1, \"b\"c", Ok(["1", " \"b\"c"])),
        (&csv, "\"\",\"a,\"\"b\nc\"\r\n", Ok(["", "a,\"b\nc"])),
        (&escaped, "1;\"a\\\";b\"", Ok(["1", "a\";b"])),
    ] {
        let ran = run_bodies::<Parse>(options, &[line]).unwrap();
        match expected {
            Err(message) => {
                assert_eq!(ran.codes(), ["not-csv"], "{line}");
                assert_eq!(ran.failed[0]["failure"]["message"], message, "{line}");
            }
            Ok([a, b]) => assert_eq!(ran.ports["out"][0]["attributes"], json!({"a": a, "b": b}), "{line}"),
        }
    }
}

/// The example of a header in `README.md`.
#[test]
fn the_example_of_the_header_holds() {
    let page = include_str!("../README.md");
    let line = page.lines().find(|line| line.starts_with("`id,name` and")).unwrap();
    let parts: Vec<&str> = line.split('`').collect();
    let options = json!({"format": "csv", "columns": "header", "header": "id,", "types": {"id": "integer"}});
    let ran = run_bodies::<Parse>(&options, &[parts[1], parts[3]]).unwrap();
    assert_eq!(ran.ports["out"].len(), 1);
    assert_eq!(ran.ports["out"][0]["attributes"], serde_json::from_str::<Value>(parts[5]).unwrap());
}

fn quoted(fields: &[String]) -> String {
    let quoted: Vec<String> = fields.iter().map(|field| format!("\"{}\"", field.replace('"', "\"\""))).collect();
    quoted.join(",")
}

proptest! {
    /// Lines of several files come in any order; each line has the columns of the last header of its file.
    #[test]
    fn each_line_has_the_columns_of_its_file(
        lines in prop::collection::vec((0..4_usize, prop::option::weighted(0.7, prop::collection::vec("[ -~\\né]{0,4}", 1..4)),
            prop::collection::btree_set("[a-h][a-z]{0,2}", 0..3)), 1..40),
    ) {
        let mut headers: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        let (mut events, mut expected, mut failed, mut dropped) = (Vec::new(), Vec::new(), 0, 0);
        for (file, values, names) in &lines {
            let body = match values {
                Some(values) => {
                    match headers.get(file).filter(|names| names.len() == values.len()) {
                        Some(names) => expected.push(json!(names.iter().zip(values).collect::<BTreeMap<_, _>>())),
                        None => failed += 1,
                    }
                    quoted(values)
                }
                None => {
                    let names: Vec<String> = std::iter::once("#id".to_owned()).chain(names.iter().cloned()).collect();
                    let line = names.join(",");
                    dropped += 1;
                    headers.insert(*file, names.into_iter().map(|name| name.trim_start_matches('#').to_owned()).collect());
                    line
                }
            };
            events.push(json!({"body": body, "attributes": {"file": file}}));
        }
        let options = json!({"format": "csv", "columns": "header", "header": "#", "stream": "attributes.file", "into": "attributes.row"});
        let ran = run::<Parse>(&options, &events).map_err(TestCaseError::fail)?;
        let rows: Vec<Value> = ran.ports.get("out").into_iter().flatten().map(|event| event["attributes"]["row"].clone()).collect();
        prop_assert_eq!(rows, expected);
        prop_assert_eq!((ran.failed.len(), ran.dropped.get("header").copied().unwrap_or(0)), (failed, dropped));
    }
}
