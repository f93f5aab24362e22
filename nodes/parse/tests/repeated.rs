//! Repeated keys, words that look like years, and invalid escapes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at what must not be")]

use serde_json::{Value, json};
use wattle_node::testing::{run, run_bodies};
use wattle_node_parse::Parse;

/// The attributes of the event that a format makes of a text.
#[track_caller]
fn parsed(options: &Value, body: &str) -> Value {
    let ran = run_bodies::<Parse>(options, &[body]).unwrap();
    assert_eq!(ran.codes(), [""; 0], "{body}");
    ran.ports["out"][0]["attributes"].clone()
}

#[test]
fn structured_data_keeps_repeated_parameters_and_elements() {
    let body =
        r#"<13>1 - - - - - [origin ip="192.0.2.1" x="\]" ip="192.0.2.129"][o a="1"][origin ip="::1"][o a="2"][o] m"#;
    let attributes = parsed(&json!({"format": "syslog"}), body);
    let expected = json!({
        "origin": [{"ip": ["192.0.2.1", "192.0.2.129"], "x": "]"}, {"ip": "::1"}],
        "o": [{"a": "1"}, {"a": "2"}, {}],
    });
    assert_eq!(attributes["structured_data"], expected);
}

#[test]
fn extensions_keep_repeated_keys() {
    let cef = json!({"format": "cef"});
    let attributes = parsed(&cef, r"CEF:0|a|b|c|d|e|5|k=1 x=y k=2\=3 k=");
    assert_eq!(attributes["extension"], json!({"k": ["1", "2=3", ""], "x": "y"}));
    let leef = json!({"format": "leef"});
    let attributes = parsed(&leef, "LEEF:1.0|a|b|c|d|k=1\tx=y\tk=2");
    assert_eq!(attributes["attributes"], json!({"k": ["1", "2"], "x": "y"}));
}

#[test]
fn labels_name_repeated_values_but_are_not_repeated_themselves() {
    let cef = json!({"format": "cef", "labels": true});
    let attributes = parsed(&cef, "CEF:0|a|b|c|d|e|5|cs1Label=Policy cs1=p cs1=q cs2Label=A cs2=r cs2Label=B");
    let expected = json!({"Policy": ["p", "q"], "cs2Label": ["A", "B"], "cs2": "r"});
    assert_eq!(attributes["extension"], expected);
}

#[test]
fn a_flow_log_numbers_repeated_fields() {
    let options = json!({"format": "aws_vpc_flow"});
    let lines = ["srcaddr action srcaddr ecs-a-b ecs-a_b", "10.0.0.1 ACCEPT 10.0.0.2 x y"];
    let events = lines.map(|line| json!({"body": line, "resource": {"source": "f"}}));
    let ran = run::<Parse>(&options, &events).unwrap();
    let expected =
        json!({"srcaddr": "10.0.0.1", "action": "ACCEPT", "srcaddr_3": "10.0.0.2", "ecs_a_b": "x", "ecs_a_b_5": "y"});
    assert_eq!(ran.ports["out"][0]["attributes"], expected);
}

#[test]
fn an_address_after_the_time_is_a_host_and_not_a_year() {
    let syslog = json!({"format": "syslog"});
    for (head, time, host) in [
        ("Nov 28 10:20:30 2001:db8::1", "Nov 28 10:20:30", "2001:db8::1"),
        ("Nov 28 10:20:30 2001::", "Nov 28 10:20:30", "2001::"),
        ("Nov 28 10:20:30 2025 web1", "Nov 28 10:20:30 2025", "web1"),
        ("Nov 28 2025 10:20:30 2001:db8::1", "Nov 28 2025 10:20:30", "2001:db8::1"),
    ] {
        let attributes = parsed(&syslog, &format!("<13>{head} a[1]: m"));
        let found = ["timestamp", "hostname", "appname", "message"].map(|key| attributes[key].clone());
        assert_eq!(found, [time, host, "a", "m"].map(Value::from), "{head}");
    }
}

#[test]
fn half_a_surrogate_pair_stays_as_it_is_written() {
    for format in ["key_value", "logfmt"] {
        let attributes = parsed(&json!({"format": format}), r#"a="\ud83d" b="\ude00\n" c="\ud83d\ude00""#);
        assert_eq!(attributes, json!({"a": r"\ud83d", "b": "\\ude00\n", "c": "😀"}), "{format}");
    }
}
