//! The guest `capable`, which uses every capability, and a configuration for it.

/// Every capability that the guest imports, without tables or hosts.
pub const ALL_GRANTS: &str = "log = true\nmetrics = true\nclock = true\nrandom = true\nkv = true\n\
                              lookup = { tables = {} }\nhttp-client = { hosts = [] }\n";

/// A configuration in which lines of the files `in*.log` go through the guest, as the node `cap` of
/// the pipeline `main`, to `all.ndjson` and `fails.ndjson`. The first two arguments are further
/// keys of `[agent]` and of the source.
pub fn capable_config(agent: &str, source: &str, grants: &str, options: &str) -> String {
    format!(
        r#"
        [agent]
        {agent}
        [sources.lines]
        type = "file"
        include = ["in*.log"]
        {source}
        [pipelines.main]
        inputs = ["lines"]
        [pipelines.main.grants]
        {grants}
        [pipelines.main.nodes.cap]
        artifact = "capable.wasm"
        inputs = ["input"]
        options = {{ {options} }}
        [pipelines.main.outputs.all]
        inputs = ["cap"]
        [pipelines.main.outputs.fails]
        inputs = ["cap.failed"]
        [sinks.all]
        type = "file"
        inputs = ["main.all"]
        path = "all.ndjson"
        fsync = "never"
        [sinks.fails]
        type = "file"
        inputs = ["main.fails"]
        path = "fails.ndjson"
        fsync = "never"
        "#
    )
}
