//! Limits that an artifact or its instance reaches, not a call.

use wattle_tests::Config;
use wattle_tests::evil::{LINES, folder, pipeline};

use crate::faults;

#[track_caller]
fn assert_refused(agent: &str, limits: &str, messages: &[&str]) {
    let folder = folder(1, &[]);
    // Otherwise the compiled code would come from the cache.
    std::fs::remove_file(folder.path("data/cache")).unwrap();
    folder.write("agent.toml", format!("{agent}\n{LINES}{}", pipeline("panic", limits, "")));
    let ended = folder.run(&["validate", "agent.toml"]);
    assert_eq!(ended.code, 78, "{}{}", ended.text(), ended.log);
    for message in messages.iter().chain(&["E0206", "agent.toml:"]) {
        assert!(ended.text().contains(message), "`{message}` is not in {}", ended.text());
    }
}

#[test]
fn an_instance_beyond_its_limits_is_a_diagnostic() {
    assert_refused("", "instances = 1", &["count too high"]);
    assert_refused("", "table_elements = 0", &["table-limit", "more than 0 table elements"]);
    assert_refused("", "memory = \"64KiB\"", &["memory-limit"]);
    assert_refused("", "fields = 1", &["field-limit", "more than 1 fields"]);
}

#[test]
fn an_artifact_beyond_its_limits_is_a_diagnostic() {
    assert_refused("[agent.artifacts]\nmax_size = \"1KiB\"", "", &["at most 1024 are allowed", "raise `max_size`"]);
    assert_refused("[agent.artifacts]\nmax_functions = 2", "", &["at most 2 are allowed", "raise `max_functions`"]);
    assert_refused(
        "[agent.artifacts]\nmax_compile_time = \"1ms\"",
        "",
        &["longer than 1ms", "raise `max_compile_time`"],
    );
}

#[test]
fn limits_of_the_agent_apply_to_nodes_without_their_own() {
    let folder = folder(3, &[]);
    // One call resolves its field; reading and replacing are two.
    let agent = "[agent.limits]\nhost_calls = 1\n".to_owned();
    let node = |name: &str, limits: &str| {
        Config::new()
            .pipeline(name, &["lines"])
            .node("hide", "builtin:mask", &["input"])
            .with("options = { fields = [\"body\"], rules = [{ pattern = \"healthy\" }] }")
            .with(format_args!("limits = {{ {limits} }}"))
            .output("all", &["hide", "hide.failed"])
            .drop_sink(name, &[&format!("{name}.all")])
            .text()
    };
    let config = agent + LINES + &node("tight", "") + &node("free", "host_calls = 100");
    let summary = folder.once(&config).summary();
    assert_eq!((summary.pipelines["tight"].failed, summary.pipelines["free"].failed), (3, 0));
    assert!(faults(&summary, "tight", "host-call-limit (guest)") > 0);
}
