//! What nodes and their artifacts may use, and when a node that faults is not called any more: the one table of
//! defaults. `docs/LIMITS.md` shows it to operators; a test keeps the two the same.

use std::time::Duration;

/// What one instance of a node may use.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NodeLimits {
    /// Linear memory in bytes, all memories of the instance together.
    pub memory_bytes: u64,
    /// Time of a call, whatever its input.
    pub time: Duration,
    /// Time added for each KiB of input.
    pub time_per_kib: Duration,
    /// Bytes of output for each byte of input, with [`NodeLimits::OUTPUT_FLOOR_BYTES`] as the least.
    pub output_ratio: u32,
    /// Calls of the host in one call. No node needs a number that grows with its rows.
    pub host_calls: u32,
    /// Messages of the interface `diagnostics` in one call.
    pub log_lines: u32,
    /// Field handles that a node may resolve.
    pub fields: u32,
    /// Elements of all tables together; a guest's tables hold its functions.
    pub table_elements: u64,
    /// Core instances, and as many memories and tables, of one component.
    pub instances: u32,
    /// Bytes of state that a stateful node may save.
    pub state_bytes: u64,
    /// Calls made to find the poisonous rows of one batch; what is not found by then fails with them.
    pub retry_calls: u32,
    /// Time that those calls may take together.
    pub retry_time: Duration,
}

impl NodeLimits {
    /// Output that any call may give, so that the ratio does not starve small inputs.
    pub const OUTPUT_FLOOR_BYTES: u64 = 1 << 20;
    /// `configure` may take this many times the time of a call: compiling large patterns takes its time, once.
    pub const CONFIGURE_TIMES: u32 = 10;
}

impl Default for NodeLimits {
    fn default() -> Self {
        Self {
            memory_bytes: 1 << 30,
            time: Duration::from_secs(1),
            time_per_kib: Duration::from_millis(1),
            output_ratio: 64,
            host_calls: 10_000,
            log_lines: 100,
            fields: 4096,
            table_elements: 1 << 20,
            instances: 256,
            state_bytes: 16 << 20,
            retry_calls: 1000,
            retry_time: Duration::from_secs(30),
        }
    }
}

/// What an artifact may be, before it is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactLimits {
    /// Bytes of the file.
    pub max_bytes: u64,
    /// Functions of all its modules.
    pub max_functions: u32,
    /// Time that compiling it may take.
    pub max_compile_time: Duration,
    /// Memory in bytes that compiling it may take.
    pub max_compile_bytes: u64,
    /// Whether a running agent may start it on code that is compiled fast, before it is optimized.
    pub baseline: bool,
}

impl Default for ArtifactLimits {
    fn default() -> Self {
        // Python's artifact has 18 MB and about 30,000 functions, and compiles in 10 s on two cores.
        Self {
            max_bytes: 64 << 20,
            max_functions: 200_000,
            max_compile_time: Duration::from_mins(2),
            max_compile_bytes: 2 << 30,
            baseline: true,
        }
    }
}

/// What becomes of events while the circuit of their node is open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnFault {
    /// They leave on the port `failed`.
    #[default]
    Fail,
    /// They go on unchanged.
    Pass,
    /// They stay with their source: the pipeline stops until its configuration is loaded again.
    Stop,
}

impl OnFault {
    /// All, with the names they have in the configuration.
    pub const ALL: [(&'static str, Self); 3] = [("fail", Self::Fail), ("pass", Self::Pass), ("stop", Self::Stop)];

    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Pass => "pass",
            Self::Stop => "stop",
        }
    }
}

/// What becomes of state that a changed node cannot take over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnStateMismatch {
    /// The change is refused; what ran before goes on.
    #[default]
    Refuse,
    /// The node begins with nothing.
    Empty,
}

impl OnStateMismatch {
    /// All, with the names they have in the configuration.
    pub const ALL: [(&'static str, Self); 2] = [("refuse", Self::Refuse), ("empty", Self::Empty)];
}

/// When a node that faults is not called any more, and when it is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CircuitSettings {
    /// The circuit opens when more than this share of the last batches faulted. With 100 it never opens.
    pub fault_percent: u32,
    /// How many of the last batches count.
    pub window: u32,
    /// Batches that must have been seen first; more than `window` is as many as `window`.
    pub min_batches: u32,
    /// Time until the node is tried again. It doubles with each probe that faults.
    pub cool_down: Duration,
    /// Longest time between two probes.
    pub max_cool_down: Duration,
}

impl Default for CircuitSettings {
    fn default() -> Self {
        Self {
            fault_percent: 50,
            window: 100,
            min_batches: 20,
            cool_down: Duration::from_secs(1),
            max_cool_down: Duration::from_mins(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::QuarantineSettings;
    use wattle_diagnostics::{parse_duration, parse_size};

    /// The rows `| option | default | ...` below the heading of a table.
    fn documented(table: &str) -> Vec<(String, String)> {
        let text = include_str!("../../../docs/LIMITS.md");
        let (_, rest) = text.split_once(&format!("`{table}`")).unwrap();
        let rows = rest.lines().skip_while(|l| !l.starts_with("| `")).take_while(|l| l.starts_with("| `"));
        let cell = |row: &str, n: usize| row.split('|').nth(n).unwrap().trim().trim_matches('`').to_owned();
        rows.map(|row| (cell(row, 1), cell(row, 2))).collect()
    }

    enum Is {
        Number(u64),
        Size(u64),
        Time(Duration),
        Flag(bool),
    }

    #[track_caller]
    fn assert_same(table: &str, code: &[(&str, Is)]) {
        let documented = documented(table);
        assert_eq!(documented.len(), code.len(), "{table}: {documented:?}");
        for ((name, text), (expected, value)) in documented.iter().zip(code) {
            assert_eq!(name, expected, "{table}");
            let same = match value {
                Is::Number(number) => text.replace(',', "").parse() == Ok(*number),
                Is::Size(bytes) => parse_size(text) == Ok(*bytes),
                Is::Time(time) => parse_duration(text) == Ok(*time),
                Is::Flag(flag) => text.parse() == Ok(*flag),
            };
            assert!(same, "{table}: `{name}` is documented as {text}");
        }
    }

    #[test]
    fn the_documented_defaults_are_those_of_the_code() {
        let n = NodeLimits::default();
        let limits = [
            ("memory", Is::Size(n.memory_bytes)),
            ("time", Is::Time(n.time)),
            ("time_per_kib", Is::Time(n.time_per_kib)),
            ("output_ratio", Is::Number(n.output_ratio.into())),
            ("host_calls", Is::Number(n.host_calls.into())),
            ("log_lines", Is::Number(n.log_lines.into())),
            ("fields", Is::Number(n.fields.into())),
            ("table_elements", Is::Number(n.table_elements)),
            ("instances", Is::Number(n.instances.into())),
            ("state", Is::Size(n.state_bytes)),
            ("retry_calls", Is::Number(n.retry_calls.into())),
            ("retry_time", Is::Time(n.retry_time)),
        ];
        assert_same("[agent.limits]", &limits);
        let c = CircuitSettings::default();
        let circuit = [
            ("fault_percent", Is::Number(c.fault_percent.into())),
            ("window", Is::Number(c.window.into())),
            ("min_batches", Is::Number(c.min_batches.into())),
            ("cool_down", Is::Time(c.cool_down)),
            ("max_cool_down", Is::Time(c.max_cool_down)),
        ];
        assert_same("[agent.circuit]", &circuit);
        let a = ArtifactLimits::default();
        let artifacts = [
            ("max_size", Is::Size(a.max_bytes)),
            ("max_functions", Is::Number(a.max_functions.into())),
            ("max_compile_time", Is::Time(a.max_compile_time)),
            ("max_compile_memory", Is::Size(a.max_compile_bytes)),
            ("baseline", Is::Flag(a.baseline)),
        ];
        assert_same("[agent.artifacts]", &artifacts);
        assert_same("[agent.quarantine]", &[("max_size", Is::Size(QuarantineSettings::default().max_bytes))]);
    }
}
