//! The examples of the README hold.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at what must not be")]

use serde_json::{Value, json};
use wattle_node::testing::{option_errors, run};
use wattle_node_edit::Edit;

const README: &str = include_str!("../README.md");

/// The first block of this language.
fn block(language: &str) -> &'static str {
    README.split_once(&format!("```{language}\n")).unwrap().1.split_once("```").unwrap().0
}

#[test]
fn the_example_gives_what_it_says() {
    let graph: Value = toml::from_str(block("toml")).unwrap();
    let lines: Vec<Value> = block("json").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ran = run::<Edit>(&graph["nodes"]["edit"]["options"], &[json!({"body": "x", "attributes": lines[0]})]).unwrap();
    let attributes = &ran.ports["out"][0]["attributes"];
    assert_eq!(attributes.to_string(), lines[1].to_string());
}

#[test]
fn every_operation_has_an_example_that_is_accepted() {
    let table = README.split_once("## Operations").unwrap().1.split_once("## Parameters").unwrap().0;
    let mut examples = 0;
    for line in table.lines().filter(|line| line.starts_with('|')) {
        let Some((_, example)) = line.rsplit_once("| `{ ") else { continue };
        let example = format!("step = {{ {}", example.trim_end_matches("` |"));
        let step = toml::from_str::<Value>(&example).unwrap_or_else(|error| panic!("{example}: {error}"));
        if cfg!(not(feature = "clock")) && step["step"].get("now").is_some() {
            continue;
        }
        let errors = option_errors::<Edit>(&json!({"steps": [step["step"]]}));
        assert!(errors.is_empty(), "{example}: {errors:?}");
        examples += 1;
    }
    assert_eq!(examples, if cfg!(feature = "clock") { 28 } else { 27 });
    for operation in wattle_node_edit::options::Step::OPERATIONS {
        assert!(table.contains(&format!("`{operation}`")), "{operation} is missing");
    }
}
