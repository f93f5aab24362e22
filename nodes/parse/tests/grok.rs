//! The format `grok`: wrong options, the examples of the page, any bytes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at what must not be")]

use proptest::prelude::*;
use serde_json::{Value, json};
use wattle_node::testing::{check_refusal, run_bodies};
use wattle_node_parse::Parse;

#[track_caller]
fn refuse(options: Value, expected: &[(&str, &str)]) {
    check_refusal::<Parse>(&options, expected).unwrap();
}

#[test]
fn wrong_options_are_reported_all_at_once() {
    refuse(
        json!({
            "format": "grok",
            "patterns": ["%{IPP:client}", "%{IP}", "(%{IP:client}", "%{IP:a:inet}", "%{IP:[a}", "%{OK:a} %{INT:[a][b]}", "%{A:a}", "%{WORD:ok}"],
            "custom_patterns": {"A": "%{B}", "B": "%{A}", "C": "%{A}x", "D": "(?=ab)", "bad name": "x", "E": "%{INT:x:y}", "F": "a)", "OK": "x"},
            "columns": ["a"],
            "types": {"ok": "integer"},
        }),
        &[
            ("columns", "belongs to the format `csv`"),
            ("custom_patterns.A", "`A` refers to itself: A -> B -> A"),
            ("custom_patterns.B", "`B` refers to itself: B -> A -> B"),
            ("custom_patterns.D", "look-around is supported over one character"),
            ("custom_patterns.E", "unknown type `y`; types are `int`, `integer`"),
            ("custom_patterns.F", "not a regular expression: unopened group"),
            ("custom_patterns.bad name", "names of patterns are letters"),
            ("patterns[0]", "there is no pattern `IPP`; did you mean `IP"),
            ("patterns[1]", "has no field"),
            ("patterns[2]", "not a regular expression: unclosed group"),
            ("patterns[3]", "unknown type `inet`"),
            ("patterns[4]", "`[a` is not a field"),
            ("patterns[5]", "both a value and an object"),
        ],
    );
    refuse(json!({"format": "grok"}), &[("pattern", "needs one, such as")]);
    refuse(json!({"format": "grok", "patterns": []}), &[("pattern", "needs one")]);
    refuse(
        json!({"format": "grok", "pattern": "%{INT:a}", "patterns": ["%{INT:b}"]}),
        &[("patterns", "move it into `patterns`")],
    );
    refuse(
        json!({"format": "grok", "pattern": "%{INT:a:int} %{NUMBER:a:float}"}),
        &[("pattern", "has two types, `integer` and `number`")],
    );
    refuse(
        json!({"format": "grok", "pattern": "%{INT:a}", "types": {"b": "integer"}}),
        &[("types.b", "there is no field `b`")],
    );
    refuse(json!({"format": "grok", "pattern": "(?<a>(?:[a-z]x){999}{99})"}), &[("pattern", "too large; repeat less")]);
    refuse(
        json!({"format": "regex", "pattern": "(?<a>a)", "patterns": ["a"], "custom_patterns": {"A": "a"}}),
        &[("patterns", "belongs to the format `grok`"), ("custom_patterns", "belongs to the format `grok`")],
    );
}

/// The example in `FORMATS.md`: a pattern, a body, and its attributes.
#[test]
fn the_example_of_the_formats_holds() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/FORMATS.md")).unwrap();
    let line = page.lines().find(|line| line.starts_with("With the pattern `")).unwrap();
    let parts: Vec<&str> = line.split('`').collect();
    let ran = run_bodies::<Parse>(&json!({"format": "grok", "pattern": parts[1]}), &[parts[3]]).unwrap();
    assert_eq!(ran.ports["out"][0]["attributes"], serde_json::from_str::<Value>(parts[5]).unwrap());
}

const PATTERNS: [&str; 8] = [
    "%{COMBINEDAPACHELOG}",
    "%{SYSLOGLINE}",
    "%{HAPROXYHTTP}",
    "%{GREEDYDATA:a}%{NUMBER:n:float}%{DATA:[b][c]}$",
    "%{QS:q}(?: %{IPV4:ip})*%{GREEDYDATA:rest}",
    "(?:%{IPORHOST:host}|%{QS:host})? ?%{BASE16FLOAT:f:int}",
    "(?<a>(?:(?<![a-c])\\w|é)*)(?<b>.?)(?=\\s|$)",
    "%{IPTABLES}",
];

const LINES: [&str; 5] = [
    r#"10.0.0.1 - ann [28/Nov/2026:10:20:30 +0100] "GET /a?b=c HTTP/1.1" 200 612 "http://x" "a \"b\"""#,
    "Nov 28 10:20:30 web1 sshd[4711]: Failed password for é 1234.5",
    "IN=eth0 OUT= SRC=10.0.0.1 DST=10.0.0.2 LEN=60 TOS=0x00 PREC=0x00 TTL=51 ID=1337 DF PROTO=TCP SPT=1 DPT=22 ",
    r#""a\"b" 10.0.0.1 10.0.0.2 -.5 abc éaé"#,
    "",
];

proptest! {
    #[test]
    fn any_text_parses_to_valid_json_or_fails(
        pattern in 0..PATTERNS.len(),
        line in 0..LINES.len(),
        cut in any::<prop::sample::Index>(),
        insert in prop_oneof![any::<String>(), "[ -~é\\t\\\\\"0-9.]{0,6}"],
    ) {
        let line = LINES[line];
        let cut = cut.index(line.len() + 1);
        let cut = (0..=cut).rev().find(|cut| line.is_char_boundary(*cut)).unwrap_or(0);
        let (before, after) = line.split_at(cut);
        let text = format!("{before}{insert}{after}");
        let ran = run_bodies::<Parse>(&json!({"format": "grok", "pattern": PATTERNS[pattern]}), &[text.as_str()]);
        let ran = ran.map_err(TestCaseError::fail)?;
        let count = ran.ports.values().map(Vec::len).sum::<usize>() + ran.failed.len();
        prop_assert_eq!(count, 1, "{}", text);
    }

    /// A pattern of any text is refused, or can be used.
    #[test]
    fn any_pattern_is_refused_or_works(
        pattern in prop_oneof![any::<String>(), "[a-c(){}\\[\\]?<>!=|*+\\\\%:^$.é0-9,-]{0,24}"],
        text in "[a-cé]{0,6}",
    ) {
        let options = json!({"format": "grok", "pattern": format!("(?<x>{pattern}){{0,1}}")});
        if let Ok(ran) = run_bodies::<Parse>(&options, &[text.as_str()]) {
            let count = ran.ports.values().map(Vec::len).sum::<usize>() + ran.failed.len();
            prop_assert_eq!(count, 1);
        }
    }
}
