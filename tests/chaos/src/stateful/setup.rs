//! The agent under test: a pipeline for each node with memory and each sharing of the state of the guest
//! `memory`, with several versions of a pack each.

use wattle_tests::{Config, Folder, built};

use crate::server::Server;

/// Versions of each pack that work. They differ in how often the timer is called.
pub(super) const GOOD: usize = 3;
/// The version that faults on poison.
pub(super) const SICK: usize = GOOD;

/// Length of a window in milliseconds.
const WINDOW_MS: u64 = 60;

/// A pipeline: its node, and where its output goes.
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) node: Node,
    /// How workers share the state, in the even and in the odd versions.
    sharing: [&'static str; 2],
    /// Whether its windows go to an `http` sink instead of a `file` sink.
    pub(super) is_http: bool,
    /// Whether it sometimes has a canary.
    has_canary: bool,
}

/// A node with memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// The guest `memory`.
    Memory,
    Aggregate,
    Pattern,
    ToMetric,
    Dedup,
}

const fn kind(name: &'static str, node: Node, sharing: [&'static str; 2], is_http: bool) -> Kind {
    Kind { name, node, sharing, is_http, has_canary: false }
}

const BY_WORKER: &str = r#"sharing = "worker", "#;
const SINGLE: &str = r#"sharing = "single", "#;
const BY_KEY: &str = r#"key = ["body.k"], shards = 3, "#;

/// All pipelines. All have the same source.
pub(super) const KINDS: [Kind; 9] = [
    kind("worker", Node::Memory, [BY_WORKER; 2], false),
    kind("single", Node::Memory, [SINGLE; 2], true),
    kind("key", Node::Memory, [BY_KEY; 2], false),
    kind("moving", Node::Memory, [BY_WORKER, SINGLE], true),
    Kind { has_canary: true, ..kind("canary", Node::Memory, [BY_WORKER; 2], false) },
    kind("aggregate", Node::Aggregate, [""; 2], true),
    kind("pattern", Node::Pattern, [""; 2], false),
    kind("to-metric", Node::ToMetric, [""; 2], true),
    kind("dedup", Node::Dedup, [""; 2], false),
];

impl Kind {
    /// Whether the state of several instances can end in one. Windows of these instances become one
    /// window, so a kill can change ids.
    pub(super) fn merges(&self) -> bool {
        self.has_canary || self.sharing[0] != self.sharing[1]
    }

    fn artifact(&self) -> &'static str {
        match self.node {
            Node::Memory => "guests/memory.wasm",
            Node::Aggregate => "nodes/aggregate.wasm",
            Node::Pattern => "nodes/pattern.wasm",
            Node::ToMetric => "nodes/to-metric.wasm",
            Node::Dedup => "nodes/dedup.wasm",
        }
    }

    fn pack(&self, version: usize) -> String {
        let (name, state, tick) = (self.name, self.sharing[version % 2], 7 + 4 * version);
        let poison = if version == SICK { r#", misbehave = "poison""# } else { "" };
        let (options, port) = match self.node {
            Node::Memory => (format!("tick_ms = {tick}, window_ms = {WINDOW_MS}, lists = true{poison}"), "summary"),
            Node::Aggregate => {
                let rows = r#"compute.rows = { list = "body.n", limit = 1000 }"#;
                (format!(r#"by = "body.k", window = "100ms", {rows}"#), "windows")
            }
            Node::Pattern => (r#"field = "body.k", interval = "1s""#.to_owned(), "reports"),
            Node::ToMetric => {
                // A series for each line says which lines a data point has; the series by key are compared with it.
                let each = r#"{ name = "each", type = "counter", dimensions = "body.n", max_series = 100000 }"#;
                let by_key = r#"{ name = "by-key", type = "counter", dimensions = "body.k" }"#;
                (format!(r#"interval = "100ms", max_state = "8MiB", metrics = [{each}, {by_key}]"#), "metrics")
            }
            Node::Dedup => (r#"key = "body.d", window = "1h""#.to_owned(), "out"),
        };
        let state = match self.node {
            Node::Dedup => String::new(),
            _ => format!(r#"state = {{ {state}durability = "disk", snapshot_interval = "50ms" }}"#),
        };
        // What passes a pattern is checked line by line, so it goes to the same output.
        let (windows, out) = match self.node {
            Node::Pattern => (r#""count.reports", "count.out""#.to_owned(), ""),
            Node::Dedup => (r#""count.out""#.to_owned(), ""),
            _ => (format!("\"count.{port}\""), r#"outputs.out.inputs = ["count.out"]"#),
        };
        let capabilities = match self.node {
            Node::Dedup => "capabilities = { clock.reason = \"knows the window\", seen.reason = \"finds duplicates\" }",
            Node::Aggregate => r#"capabilities.clock.reason = "knows the window""#,
            _ => "",
        };
        format!(
            r#"
            {capabilities}
            {out}
            outputs.windows.inputs = [{windows}]
            outputs.fails.inputs = ["count.failed"]
            [pack]
            name = "{name}"
            version = "1.{version}.0"
            contract = "0.2"
            description = "Counts lines."
            [nodes.count]
            artifact = "node.wasm"
            inputs = ["input"]
            options = {{ {options} }}
            limits = {{ time = "{}s" }}
            {state}
            "#,
            version + 1
        )
    }
}

/// Writes all packs to a folder.
pub(super) fn write_packs(folder: &Folder) {
    for kind in &KINDS {
        let artifact = std::fs::read(built(kind.artifact())).unwrap();
        for version in 0..=SICK {
            let pack = format!("{}-{version}", kind.name);
            folder.write(format!("{pack}/pack.toml"), kind.pack(version));
            folder.write(format!("{pack}/node.wasm"), &artifact);
        }
    }
}

/// Which versions run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Versions {
    /// By pipeline.
    pub(super) running: [usize; KINDS.len()],
    pub(super) is_canary_on: bool,
}

impl Versions {
    pub(super) fn has_sick(&self) -> bool {
        self.running.contains(&SICK)
    }

    /// Replaces versions that fault by good ones.
    pub(super) fn heal(&mut self) {
        self.running.iter_mut().for_each(|version| *version %= SICK);
    }

    /// Changes the version of at least one pipeline.
    pub(super) fn change(&mut self, random: &mut fastrand::Rng) {
        let first = random.usize(..KINDS.len());
        for (at, version) in self.running.iter_mut().enumerate() {
            if at == first || random.u8(..3) == 0 {
                *version = (*version + random.usize(1..GOOD)) % GOOD;
            }
        }
        if random.u8(..3) == 0 {
            self.is_canary_on = !self.is_canary_on;
        }
    }
}

/// The configuration that runs these versions.
pub(super) fn config(versions: Versions, server: &Server) -> String {
    let mut config = Config::new()
        .agent("workers = 2\nbatch.max_events = 40\nrollback = { min_batches = 5, max_fault_rate = 0.01 }")
        .file_source("lines", "in/*.log")
        .set("glob_interval", "20ms");
    for (kind, version) in KINDS.iter().zip(versions.running) {
        let name = kind.name;
        config = config.pack(name, &["lines"], &format!("./{name}-{version}"));
        if kind.has_canary && versions.is_canary_on {
            let canary = (version + 1) % GOOD;
            config =
                config.with(format_args!("canary = {{ pack = \"./{name}-{canary}\", share = 0.5, for = \"1h\" }}"));
        }
        config = match kind.node {
            Node::Dedup => {
                config.grants("clock = true\nseen = { max_keys = 1_000_000, max_age = \"1h\", durable = true }")
            }
            Node::Aggregate => config.grants("clock = true"),
            _ => config,
        };
        config = if kind.is_http {
            config
                .http_sink(name, &[&format!("{name}.windows")], &format!("http://{}/{name}", server.address))
                .set("batch.timeout", "5ms")
        } else {
            config.file_sink(name, &[&format!("{name}.windows")], &format!("out/{name}")).set("fsync_interval", "20ms")
        };
        config = config
            .file_sink(&format!("{name}-fails"), &[&format!("{name}.fails")], &format!("out/{name}-fails"))
            .set("encoding.codec", "text")
            .set("fsync_interval", "20ms");
        if matches!(kind.node, Node::Memory | Node::Aggregate | Node::ToMetric) {
            config = config.drop_sink(&format!("{name}-out"), &[&format!("{name}.out")]);
        }
    }
    config.text()
}
