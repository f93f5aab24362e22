//! Random documents and lists of steps, compared with the same steps on trees of serde_json.
//!
//! `PROPTEST_CASES=1000000 PROPTEST_MAX_LOCAL_REJECTS=1000000 cargo test --release -p wattle-node-edit --test model` compares a
//! million.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may stop at what must not be")]

#[path = "model/change.rs"]
mod change;
#[path = "model/generate.rs"]
mod generate;
#[path = "model/tree.rs"]
mod tree;

use proptest::prelude::*;
use serde_json::{Value, json};
use wattle_node::testing::run_bodies;
use wattle_node_edit::Edit;

/// Compares one document, as compact text.
fn compare(document: &Value, steps: &[Value]) -> Result<(), TestCaseError> {
    let body = document.to_string();
    let ran = run_bodies::<Edit>(&json!({ "steps": steps }), &[&body]).map_err(TestCaseError::fail)?;
    let mut tree = document.clone();
    match tree::apply_all(&mut tree, steps) {
        Ok(()) => {
            prop_assert_eq!(ran.codes(), Vec::<String>::new(), "{} {:?}", body, steps);
            prop_assert_eq!(ran.bodies("out"), [tree.to_string()], "{} {:?}", body, steps);
        }
        Err(code) => {
            prop_assert_eq!(ran.codes(), [code], "{} {:?}", body, steps);
            prop_assert_eq!(ran.failed[0]["body"].to_string(), json!(body).to_string());
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn agrees_with_trees(document in generate::documents(), steps in prop::collection::vec(generate::steps(), 1..6)) {
        compare(&document, &steps)?;
    }
}
