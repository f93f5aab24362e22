//! Runs the conformance suite on nodes that comply with the contract, and on nodes that do not.

use serde_json::Value;
use wattle_tests::{Folder, built, workspace};

use crate::{good, needs, needs_clang};

#[test]
fn the_rust_examples_behave_as_in_every_language() {
    let folder = Folder::new();
    let component = built("guests/examples.wasm");
    let ended = good(&folder, &["node", "conformance", component.to_str().unwrap(), "--examples", "--json"]);
    let report: Value = serde_json::from_str(ended.text()).unwrap();
    assert_eq!(report["failed"], 0, "{report}");
    assert!(report["passed"].as_u64().unwrap() > 70, "{report}");
}

/// Options of the example node with state and a timer.
const MEMORY: &str = r#"{"node":"memory","face":"columns","key":"body.message","window":100,"sharing":"worker"}"#;

/// Checks that the example node with state and a timer keeps the contract in this component.
fn memory_keeps_it(folder: &Folder, component: &str) {
    let ended = good(folder, &["node", "conformance", component, "--options", MEMORY]);
    for (prefix, count) in [("check state-", 6), ("check timer-", 4)] {
        assert_eq!(ended.text().matches(prefix).count(), count, "{}", ended.text());
    }
}

#[test]
fn a_node_with_state_and_a_timer_keeps_the_contract() {
    memory_keeps_it(&Folder::new(), built("guests/examples.wasm").to_str().unwrap());
}

/// Builds the examples of a language, and checks their behaviour and the contract.
fn the_examples_keep_it(language: &str) {
    let folder = Folder::new();
    let project = format!("examples/{language}");
    for tree in [&project, &format!("sdk/{language}"), "wit"] {
        folder.copy(&workspace().join(tree), tree);
    }
    // Remove leftovers of builds in the workspace.
    for left in ["build", ".venv", "node_modules"] {
        let _ = std::fs::remove_dir_all(folder.path(format!("{project}/{left}")));
    }
    good(&folder, &["node", "build", &project]);
    good(&folder, &["node", "conformance", &format!("{project}/build/examples.wasm"), "--examples"]);
    good(&folder, &["node", "conformance", &project]);
    memory_keeps_it(&folder, &format!("{project}/build/examples.wasm"));
}

#[test]
fn the_c_examples_behave_as_in_every_language() {
    needs_clang();
    the_examples_keep_it("c");
}

#[test]
fn the_javascript_examples_behave_as_in_every_language() {
    needs("npm");
    the_examples_keep_it("js");
}

#[test]
fn the_python_examples_behave_as_in_every_language() {
    needs("python3");
    the_examples_keep_it("python");
}

#[test]
fn the_go_examples_behave_as_in_every_language() {
    needs("python3");
    the_examples_keep_it("go");
}

#[test]
fn every_built_in_node_keeps_the_contract() {
    let folder = Folder::new();
    for (node, options) in [
        ("parse", r#"{"field":"body","format":"json"}"#),
        ("unroll", r#"{"path":["Records","$"],"into":"Record"}"#),
        ("extract", r#"{"fields":[{"from":"body.message","into":"attributes.m"}]}"#),
        ("route", r#"{"paths":[{"name":"infos","when":{"field":"body.level","equals":"info"}}]}"#),
        ("mask", r#"{"rules":[{"json_key":["message"]}]}"#),
        ("timestamp", r#"{"from":"body.time","on_error":"keep"}"#),
        (
            "edit",
            r#"{"steps":[{"set":"body.env","value":"prod"},{"copy":"body.message","to":"attributes.m"}],"on_not_json":"skip"}"#,
        ),
        ("filter", r#"{"drop":{"field":"body.level","equals":"debug"}}"#),
        ("sample", r#"{"rate":2,"key":"body.message"}"#),
        // 100,000 different user agents in one batch.
        ("user-agent", r#"{"field":"body.message"}"#),
        ("serialize", r#"{"format":"logfmt","from":"body","into":"attributes.text"}"#),
        ("pattern", r#"{"field":"body.message","group":"body.level"}"#),
        ("anomaly", r#"{"key":"body.message"}"#),
    ] {
        let component = built(&format!("nodes/{node}.wasm"));
        let ended = folder.run(&["node", "conformance", component.to_str().unwrap(), "--options", options]);
        assert_eq!(ended.code, 0, "{node}: {}{}", ended.text(), ended.log);
    }
}

#[test]
fn a_node_with_lookups_keeps_the_contract_with_the_tables_of_its_project() {
    let folder = Folder::new();
    folder.write("enrich.wasm", std::fs::read(built("nodes/enrich.wasm")).unwrap());
    let project = |mocks: &str| {
        format!(
            "name = \"enrich\"\nartifact = \"enrich.wasm\"\n\
             options = {{ lookups = [{{ table = \"levels\", key = \"body.level\", columns = [\"name\"] }}] }}\n\
             [build]\noutput = \"enrich.wasm\"\nwatch = []\nsteps = []\n{mocks}"
        )
    };
    folder.write(
        "node.toml",
        project("[mocks.lookup]\nlevels = { key = \"id\", rows = [{ id = \"info\", name = \"Information\" }] }\n"),
    );
    good(&folder, &["node", "conformance"]);
    folder.write("node.toml", project(""));
    let ended = folder.run(&["node", "conformance"]);
    assert_eq!(ended.code, 1, "{}{}", ended.text(), ended.log);
    assert!(ended.text().contains("the test has no table `levels`; add it to `mocks.lookup`"), "{}", ended.text());
}

#[test]
fn state_passes_from_one_instance_to_the_next() {
    let folder = Folder::new();
    for guest in ["counter", "counter-2"] {
        let component = built(&format!("guests/{guest}.wasm"));
        let options = r#"{"field":"attributes.n"}"#;
        let ended = folder.run(&["node", "conformance", component.to_str().unwrap(), "--options", options]);
        assert_eq!(ended.text().matches("check state-").count(), 6, "{}", ended.text());
        assert_eq!(ended.code, 0, "{guest}: {}{}", ended.text(), ended.log);
    }
}

#[test]
fn a_node_that_breaks_the_contract_fails_with_the_rule() {
    let folder = Folder::new();
    let faulty = built("guests/faulty.wasm");
    let run = |fault: &str| {
        let options = format!(r#"{{"fault":"{fault}"}}"#);
        folder.run(&["node", "conformance", faulty.to_str().unwrap(), "--options", &options])
    };
    let every_row = run("panic-on-every-row");
    assert_eq!(every_row.code, 1);
    assert!(every_row.text().contains("check empty-batch ... ok"), "{}", every_row.text());
    assert!(every_row.text().contains("check one-row ... FAILED"), "{}", every_row.text());
    assert!(every_row.text().contains("poison in row 0"), "{}", every_row.text());
    let configure = run("panic-on-configure");
    assert!(configure.text().contains("check options-taken ... FAILED"), "{}", configure.text());
    assert!(configure.text().contains("configured to panic"), "{}", configure.text());
    let refused = folder.run(&["node", "conformance", faulty.to_str().unwrap()]);
    assert!(refused.text().contains("set valid options with --options"), "{}", refused.text());
}

#[test]
fn the_first_check_rejects_bytes_that_are_not_a_component_of_the_contract() {
    let folder = Folder::new();
    for (text, part) in [
        ("(module)", "core module"),
        ("(component)", "does not export `wattle:node/node@"),
        (
            r#"(component (import "wasi:cli/environment@0.2.0" (instance (export "get-environment" (func)))))"#,
            "wasi:cli",
        ),
    ] {
        folder.write("it.wasm", wat::parse_str(text).unwrap());
        let ended = folder.run(&["node", "conformance", "it.wasm"]);
        assert_eq!(ended.code, 1);
        assert!(ended.text().contains("check contract ... FAILED") && ended.text().contains(part), "{}", ended.text());
        assert!(ended.text().contains("0 passed, 1 failed"), "{}", ended.text());
    }
}
