//! Cases against a subject with known behaviour.

use std::sync::Arc;

use serde_json::json;
use wattle_batch::{Batch, Call, NodeInfo, Outcome};

use super::*;

/// Drops the first row of each batch; faults on a batch of three rows; refuses the option `bad`.
struct DropsFirst;

impl Subject for DropsFirst {
    fn configure(&mut self, options: &str) -> Result<Vec<String>, Refusal> {
        match options.contains("bad") {
            true => Err(Refusal::Options(vec![("bad".into(), "must not be there".into())])),
            false => Ok(vec!["out".into()]),
        }
    }

    fn process(&mut self, batch: Batch) -> Result<Outcome, CaseFault> {
        if batch.rows() == 3 {
            return Err(CaseFault { kind: "trap".into(), message: "three are too many".into() });
        }
        let node = NodeInfo { name: "n".into(), version: "n@1".into(), ports: vec!["out".into()], fields: Vec::new() };
        let mut call = Call::new(batch, Arc::new(node));
        call.drop_rows(&[0], "first".into()).unwrap();
        Ok(call.finish().ok().unwrap())
    }
}

fn run(case: &serde_json::Value) -> Result<(), String> {
    Case::parse(&case.to_string())?.run(&mut DropsFirst)
}

#[test]
fn output_is_compared_by_port() {
    let input = json!([{"body": "a"}, {"body": {"n": 1}}]);
    let case = |out: serde_json::Value| json!({"input": input, "expected": {"out": out, "dropped": {"first": 1}}});
    run(&case(json!([{"body": {"n": 1}}]))).unwrap();
    assert!(
        run(&case(json!([{"body": {"n": 2}}])))
            .unwrap_err()
            .contains("port `out`, event 1, `body`: expected {\"n\":2}")
    );
    assert!(run(&case(json!([]))).unwrap_err().contains("port `out`, event 1: expected nothing, got {"));
    let missing = json!({"input": input, "expected": {"out": [{}]}});
    assert!(run(&missing).unwrap_err().contains("dropped"));
}

#[test]
fn an_input_can_be_split_into_batches() {
    let input = json!([{"body": "a"}, {"body": "b"}, {"body": "c"}, {"body": "d"}]);
    let expected = json!({"out": [{"body": "b"}, {"body": "d"}], "dropped": {"first": 2}});
    run(&json!({"input": input, "rows_per_batch": 2, "expected": expected})).unwrap();
}

#[test]
fn faults_and_refusals_can_be_expected() {
    let three = json!([{"body": "a"}, {"body": "b"}, {"body": "c"}]);
    run(&json!({"input": three, "fault": {"kind": "trap", "message": "three"}})).unwrap();
    assert!(run(&json!({"input": three, "fault": {"kind": "time-limit"}})).is_err());
    assert!(run(&json!({"input": [{}], "fault": {"kind": "trap"}})).unwrap_err().contains("the call succeeded"));
    run(&json!({"options": {"bad": 1}, "options_errors": ["bad: must not"]})).unwrap();
    assert!(run(&json!({"options": {}, "options_errors": ["bad: must not"]})).unwrap_err().contains("accepted"));
}

#[test]
fn a_misspelt_key_is_reported() {
    assert!(run(&json!({"inputs": [], "expected": {}})).unwrap_err().contains("unknown key `inputs`"));
    assert!(run(&json!({"input": []})).unwrap_err().contains("one of `expected`"));
    let mistaken = json!({"input": [], "expected": {}, "restarts": "yes"});
    assert!(run(&mistaken).unwrap_err().contains("`restarts` must be `true` or `false`"));
}

#[test]
fn steps_are_batches_ticks_and_restarts() {
    /// Holds events, and makes one of them at a tick.
    #[derive(Default)]
    struct Holder(Vec<String>);
    impl Subject for Holder {
        fn configure(&mut self, _: &str) -> Result<Vec<String>, Refusal> {
            Ok(vec!["out".into()])
        }

        fn restart(&mut self) -> Result<(), String> {
            self.0.push("restarted".into());
            Ok(())
        }

        fn process(&mut self, batch: Batch) -> Result<Outcome, CaseFault> {
            let prefix = if batch.is_redelivered() { "again " } else { "" };
            let rows = batch.body().iter().map(|row| format!("{prefix}{}", String::from_utf8_lossy(row)));
            self.0.extend(rows);
            Ok(Outcome { held: batch.rows(), ..Outcome::default() })
        }

        fn tick(&mut self, now: i64, is_last: bool) -> Result<Outcome, CaseFault> {
            let event = json!({"body": format!("{now} {is_last} {}", self.0.drain(..).collect::<Vec<_>>().join(","))});
            Ok(Outcome { made: vec![(0, batch(&[event]).unwrap())], ..Outcome::default() })
        }
    }
    let mut case = json!({
        "steps": [
            {"events": [{"body": "a"}, {"body": "b"}]},
            {"restart": true},
            {"tick": "1970-01-01T00:00:01Z"},
            {"events": [{"body": "c"}], "redelivered": true},
            {"tick": "1970-01-01T00:00:02Z", "last": true},
        ],
        "expected": {
            "out": [{"body": "1000000000 false a,b,restarted"}, {"body": "2000000000 true again c"}],
            "held": 3,
        },
    });
    let run = |case: &serde_json::Value| Case::parse(&case.to_string())?.run(&mut Holder::default());
    run(&case).unwrap();
    case["expected"]["held"] = json!(2);
    assert_eq!(run(&case).unwrap_err(), "held: expected 2, got 3");
    for (steps, part) in [
        (json!([{}]), "steps[0]: a step is an object with one of"),
        (json!([{"tick": "soon"}]), "`tick` must be a time"),
        (json!([{"events": [], "last": true}]), "unknown key `last`"),
        (json!([{"restart": true, "tick": "1970-01-01T00:00:01Z"}]), "unknown key `restart`"),
    ] {
        let error = run(&json!({"steps": steps, "expected": {}})).unwrap_err();
        assert!(error.contains(part), "`{error}` lacks `{part}`");
    }
    let both = run(&json!({"steps": [], "input": [], "expected": {}})).unwrap_err();
    assert!(both.contains("cannot have `input`"), "{both}");
}

#[test]
fn requests_are_compared() {
    struct Asks(Option<Requests>);
    impl Subject for Asks {
        fn configure(&mut self, _: &str) -> Result<Vec<String>, Refusal> {
            Ok(vec!["out".into()])
        }

        fn requests(&self) -> Option<Requests> {
            self.0.clone()
        }

        fn process(&mut self, _: Batch) -> Result<Outcome, CaseFault> {
            Ok(Outcome::default())
        }
    }
    let run = |subject: Option<Requests>, requests: serde_json::Value| {
        let case = json!({"steps": [], "expected": {}, "requests": requests});
        Case::parse(&case.to_string())?.run(&mut Asks(subject))
    };
    let asks = |tick_milliseconds, sharing| Some(Requests { tick_milliseconds, sharing });
    run(asks(None, Sharing::Worker), json!({})).unwrap();
    run(asks(Some(10), Sharing::Single), json!({"tick_milliseconds": 10, "sharing": "single"})).unwrap();
    let by_key = asks(None, Sharing::Key(vec!["body.k".into()]));
    run(by_key.clone(), json!({"sharing": {"key": ["body.k"]}})).unwrap();
    for (subject, requests, part) in [
        (by_key, json!({"sharing": {"key": ["body.l"]}}), "got Requests"),
        (asks(Some(10), Sharing::Worker), json!({}), "got Requests"),
        (None, json!({}), "does not report them"),
        (None, json!({"sharing": "all"}), "must be \"worker\""),
        (None, json!({"tick": 10}), "unknown key `requests.tick`"),
        (None, json!({"tick_milliseconds": -1}), "must be a whole number"),
    ] {
        let error = run(subject, requests).unwrap_err();
        assert!(error.contains(part), "`{error}` lacks `{part}`");
    }
}
