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
