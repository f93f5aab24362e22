//! The guest `capable`, which uses every capability, and a configuration for it.

use crate::Config;

/// Every capability that the guest imports, without tables or hosts.
pub const ALL_GRANTS: &str = "log = true\nmetrics = true\nclock = true\nrandom = true\nhost = true\nkv = true\n\
                              lookup = { tables = {} }\nhttp-client = { hosts = [] }\nseen = true\n";

/// A configuration in which lines of the files `in*.log` go through the guest, as the node `cap` of
/// the pipeline `main`, to `all.ndjson` and `fails.ndjson`. The first two arguments are further
/// keys of `[agent]` and of the source.
pub fn capable_config(agent: &str, source: &str, grants: &str, options: &str) -> String {
    Config::new()
        .agent(agent)
        .file_source("lines", "in*.log")
        .with(source)
        .pipeline("main", &["lines"])
        .grants(grants)
        .node("cap", "capable.wasm", &["input"])
        .with(format_args!("options = {{ {options} }}"))
        .output("all", &["cap"])
        .output("fails", &["cap.failed"])
        .file_sinks(&["all", "fails"])
        .text()
}
