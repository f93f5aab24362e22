//! A builder for `agent.toml`.

use std::fmt::Display;

use toml::Value;

/// A configuration of the agent, written table by table.
///
/// [`Config::set`] and [`Config::with`] add keys to the table that was begun last. Nodes, outputs,
/// grants and [`Config::file_sinks`] belong to the pipeline that was begun last.
#[derive(Clone, Debug, Default)]
pub struct Config {
    text: String,
    pipeline: String,
}

impl Config {
    /// An empty configuration.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a table.
    #[must_use]
    pub fn table(self, name: &str) -> Self {
        self.with(format_args!("[{name}]"))
    }

    /// Begins the table `[agent]` with these lines; dotted keys reach its other tables.
    #[must_use]
    pub fn agent(self, lines: &str) -> Self {
        self.table("agent").with(lines)
    }

    /// Begins the table `[admin]`, a listener at this address.
    #[must_use]
    pub fn admin(self, address: impl Display) -> Self {
        self.table("admin").set("listen", address.to_string())
    }

    /// Begins a source of this type.
    #[must_use]
    pub fn source(self, name: &str, kind: &str) -> Self {
        self.table(&format!("sources.{name}")).set("type", kind)
    }

    /// Begins a `file` source with one glob.
    #[must_use]
    pub fn file_source(self, name: &str, glob: &str) -> Self {
        self.source(name, "file").set("include", vec![glob])
    }

    /// Begins an `http` source that listens at this address.
    #[must_use]
    pub fn http_source(self, name: &str, address: impl Display) -> Self {
        self.source(name, "http").set("address", address.to_string())
    }

    /// Begins a pipeline.
    #[must_use]
    pub fn pipeline(mut self, name: &str, inputs: &[&str]) -> Self {
        name.clone_into(&mut self.pipeline);
        self.table(&format!("pipelines.{name}")).set("inputs", inputs.to_vec())
    }

    /// Begins a pipeline that runs a pack.
    #[must_use]
    pub fn pack(self, name: &str, inputs: &[&str], pack: &str) -> Self {
        self.pipeline(name, inputs).set("pack", pack)
    }

    /// Begins the table `grants` of the pipeline with these lines.
    #[must_use]
    pub fn grants(self, lines: &str) -> Self {
        self.part("grants").with(lines)
    }

    /// Begins a node of the pipeline.
    #[must_use]
    pub fn node(self, name: &str, artifact: &str, inputs: &[&str]) -> Self {
        self.part(&format!("nodes.{name}")).set("artifact", artifact).set("inputs", inputs.to_vec())
    }

    /// Adds an output to the pipeline.
    #[must_use]
    pub fn output(self, name: &str, inputs: &[&str]) -> Self {
        self.part(&format!("outputs.{name}")).set("inputs", inputs.to_vec())
    }

    /// Adds the outputs `ok` and `fails` with the ports of a node: its only one and `failed`.
    #[must_use]
    pub fn ok_and_fails(self, node: &str) -> Self {
        self.output("ok", &[node]).output("fails", &[&format!("{node}.failed")])
    }

    /// Begins a sink of this type.
    #[must_use]
    pub fn sink(self, name: &str, kind: &str, inputs: &[&str]) -> Self {
        self.table(&format!("sinks.{name}")).set("type", kind).set("inputs", inputs.to_vec())
    }

    /// Begins a `file` sink.
    #[must_use]
    pub fn file_sink(self, name: &str, inputs: &[&str], path: &str) -> Self {
        self.sink(name, "file", inputs).set("path", path)
    }

    /// Begins an `http` sink.
    #[must_use]
    pub fn http_sink(self, name: &str, inputs: &[&str], uri: &str) -> Self {
        self.sink(name, "http", inputs).set("uri", uri)
    }

    /// Begins a `blackhole` sink.
    #[must_use]
    pub fn drop_sink(self, name: &str, inputs: &[&str]) -> Self {
        self.sink(name, "blackhole", inputs)
    }

    /// Adds a `file` sink for each of these outputs of the pipeline. Its name is that of the output,
    /// its path is `OUTPUT.ndjson`, and it never syncs.
    #[must_use]
    pub fn file_sinks(mut self, outputs: &[&str]) -> Self {
        for output in outputs {
            let input = format!("{}.{output}", self.pipeline);
            self = self.file_sink(output, &[&input], &format!("{output}.ndjson")).set("fsync", "never");
        }
        self
    }

    /// Adds a key to the last table. Dots in the key separate tables.
    #[must_use]
    pub fn set(self, key: &str, value: impl Into<Value>) -> Self {
        self.with(format_args!("{key} = {}", value.into()))
    }

    /// Adds lines of TOML.
    #[must_use]
    pub fn with(mut self, lines: impl Display) -> Self {
        self.text += &format!("{lines}\n");
        self
    }

    /// The text of the file.
    pub fn text(self) -> String {
        self.text
    }

    fn part(self, name: &str) -> Self {
        let table = format!("pipelines.{}.{name}", self.pipeline);
        self.table(&table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_belong_to_the_last_table_and_nodes_to_the_last_pipeline() {
        let config = Config::new()
            .agent("workers = 1")
            .admin("127.0.0.1:9000")
            .file_source("lines", "in/*.log")
            .set("follow", false)
            .pipeline("first", &["lines"])
            .output("all", &["input"])
            .pipeline("second", &["first.all"])
            .grants("clock = true")
            .node("hide", "builtin:mask", &["input"])
            .set("limits.host_calls", 3)
            .ok_and_fails("hide")
            .file_sinks(&["ok"])
            .drop_sink("rest", &["second.fails"]);
        let expected = r#"
            agent.workers = 1
            admin.listen = "127.0.0.1:9000"
            sources.lines = { type = "file", include = ["in/*.log"], follow = false }
            pipelines.first = { inputs = ["lines"], outputs.all.inputs = ["input"] }
            sinks.ok = { type = "file", inputs = ["second.ok"], path = "ok.ndjson", fsync = "never" }
            sinks.rest = { type = "blackhole", inputs = ["second.fails"] }
            [pipelines.second]
            inputs = ["first.all"]
            grants.clock = true
            nodes.hide = { artifact = "builtin:mask", inputs = ["input"], limits.host_calls = 3 }
            outputs = { ok.inputs = ["hide"], fails.inputs = ["hide.failed"] }
            "#;
        let parse = |text: &str| toml::from_str::<toml::Table>(text).unwrap();
        assert_eq!(parse(&config.text()), parse(expected));
    }

    #[test]
    fn values_with_quotes_and_backslashes_stay_what_they_are() {
        let path = "a \"b\" \\d+ 'c'\n";
        let text = Config::new().file_sink("out", &["main.all"], path).text();
        let parsed: toml::Table = toml::from_str(&text).unwrap();
        assert_eq!(parsed["sinks"]["out"]["path"].as_str(), Some(path));
    }
}
