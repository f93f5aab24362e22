//! The example nodes: the same six in every language, with exactly checked behaviour.
//!
//! A component of examples takes the option `node` (`add-field`, `drop-if`, `require`, `count`,
//! `memory`, `decisions`) and `face` (`events` or `columns`: which interface of its SDK to use); the other
//! options are those of the node. The files in `examples/` have the cases;
//! `docs/nodes/conformance.md` describes each node.

use std::sync::Arc;

use serde_json::{Map, Value};
use wattle_cases::Case;
use wattle_plan::Artifact;
use wattle_runtime::Runtime;

use crate::subject::Sandboxed;
use crate::suite::{Report, compile};
use wattle_mocks::Provided;

/// The nodes with their interfaces and cases.
const NODES: &[(&str, &[&str], &str)] = &[
    ("add-field", &["events", "columns"], include_str!("../examples/add-field.json")),
    ("drop-if", &["events", "columns"], include_str!("../examples/drop-if.json")),
    ("require", &["events", "columns"], include_str!("../examples/require.json")),
    ("count", &["events", "columns"], include_str!("../examples/count.json")),
    ("memory", &["events", "columns"], include_str!("../examples/memory.json")),
    ("decisions", &["columns"], include_str!("../examples/decisions.json")),
];

/// Checks a component of the example nodes.
pub fn examples(runtime: &Arc<Runtime>, artifact: &Artifact) -> Report {
    let mut report = Report::default();
    let Some(compiled) = compile(&mut report, runtime, artifact) else { return report };
    let mut subject = Sandboxed::new(compiled, Provided::default());
    for (node, faces, cases) in NODES {
        for face in *faces {
            for (name, case) in read(cases) {
                report.check(format!("{node}-{face}-{name}"), || {
                    Case::parse(&with_options(case, node, face).to_string())?.run(&mut subject)
                });
            }
        }
    }
    report
}

fn read(cases: &str) -> Map<String, Value> {
    serde_json::from_str(cases).unwrap_or_default()
}

/// The case with the options that select node and interface.
fn with_options(mut case: Value, node: &str, face: &str) -> Value {
    if let Some(options) = case.get_mut("options").and_then(Value::as_object_mut) {
        options.insert("node".into(), node.into());
        options.insert("face".into(), face.into());
    }
    case
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_can_be_read() {
        for (node, _, cases) in NODES {
            let cases: Map<String, Value> = serde_json::from_str(cases).unwrap();
            assert!(!cases.is_empty(), "{node}");
            for (name, case) in cases {
                assert!(case["options"].is_object(), "{node} {name}");
                Case::parse(&with_options(case, node, "columns").to_string())
                    .unwrap_or_else(|e| panic!("{node} {name}: {e}"));
            }
        }
    }
}
