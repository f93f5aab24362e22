//! Limits of nodes and artifacts, settings of circuits, and the only table of their defaults.
//! `docs/LIMITS.md` documents it; a test compares the two.

use std::time::Duration;

/// Limits of one instance of a node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NodeLimits {
    /// Linear memory of all memories of the instance, in bytes.
    pub memory_bytes: u64,
    /// Base time of a call.
    pub time: Duration,
    /// Time added for each KiB of input.
    pub time_per_kib: Duration,
    /// Bytes of output for each byte of input; every call may return
    /// [`NodeLimits::OUTPUT_FLOOR_BYTES`].
    pub output_ratio: u32,
    /// Host calls in one call. No node needs a number of host calls that grows with its rows.
    pub host_calls: u32,
    /// Messages through the interface `diagnostics` in one call.
    pub log_lines: u32,
    /// Field handles that a node may resolve.
    pub fields: u32,
    /// Elements of all tables; a guest's tables hold its functions.
    pub table_elements: u64,
    /// Core instances of one component, and likewise its memories and its tables.
    pub instances: u32,
    /// Bytes of state that a stateful node may save.
    pub state_bytes: u64,
    /// Maximum calls to find the rows of one batch that cause a fault; rows that are not cleared by
    /// then fail with them.
    pub retry_calls: u32,
    /// Maximum total time of those calls.
    pub retry_time: Duration,
}

impl NodeLimits {
    /// Output that every call may return, so that the ratio does not starve small inputs.
    pub const OUTPUT_FLOOR_BYTES: u64 = 1 << 20;
    /// Output of one call of a timer, and of one call of a node that has a timer: what is due does not
    /// depend on the size of the input.
    pub const TICK_OUTPUT_BYTES: u64 = 16 << 20;
    /// Output of the last call of a timer, for each byte of the instance's memory, if this is more: it makes
    /// all that the node still owes, which was in that memory.
    pub const LAST_TICK_OUTPUT_RATIO: u64 = 4;
    /// A timer may take this many times the time of a call, because it acts on all that the node
    /// remembers.
    pub const TICK_TIMES: u32 = 5;
    /// `configure` may take this many times the time of a call, since compiling large patterns is
    /// slow but happens once.
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

/// Limits of an artifact before it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactLimits {
    /// Maximum file size in bytes.
    pub max_bytes: u64,
    /// Maximum number of functions of all its modules.
    pub max_functions: u32,
    /// Maximum time to compile it.
    pub max_compile_time: Duration,
    /// Maximum memory to compile it, in bytes.
    pub max_compile_bytes: u64,
    /// Whether a running agent may start it on baseline code before it is optimized.
    pub baseline: bool,
}

impl Default for ArtifactLimits {
    fn default() -> Self {
        // An artifact in Python has 18 MB and about 30,000 functions, and compiles in 10 s on two
        // cores.
        Self {
            max_bytes: 64 << 20,
            max_functions: 200_000,
            max_compile_time: Duration::from_mins(2),
            max_compile_bytes: 2 << 30,
            baseline: true,
        }
    }
}

/// What happens to events while the circuit of their node is open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnFault {
    /// They leave on the port `failed`.
    #[default]
    Fail,
    /// They pass unchanged.
    Pass,
    /// They stay with their source: the pipeline stops until the configuration is reloaded.
    Stop,
}

impl OnFault {
    /// All values with their names in the configuration.
    pub const ALL: [(&'static str, Self); 3] = [("fail", Self::Fail), ("pass", Self::Pass), ("stop", Self::Stop)];

    /// Name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Pass => "pass",
            Self::Stop => "stop",
        }
    }
}

/// What a reload does if a changed node cannot read the state of its predecessor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnStateMismatch {
    /// The reload is refused, and the old version continues.
    #[default]
    Refuse,
    /// The node starts without state.
    Empty,
}

impl OnStateMismatch {
    /// All values with their names in the configuration.
    pub const ALL: [(&'static str, Self); 2] = [("refuse", Self::Refuse), ("empty", Self::Empty)];
}

/// When the agent stops calling a node that faults, and when it probes the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CircuitSettings {
    /// The circuit opens when more than this percentage of the last batches faulted. With 100 it
    /// never opens.
    pub fault_percent: u32,
    /// Number of the last batches that count.
    pub window: u32,
    /// Minimum number of batches before the circuit can open; capped at `window`.
    pub min_batches: u32,
    /// Time before the node is probed. It doubles with each probe that faults.
    pub cool_down: Duration,
    /// Maximum time between two probes.
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
    use wattle_options::{Period, Size};

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
                Is::Size(bytes) => text.parse() == Ok(Size(*bytes)),
                Is::Time(time) => text.parse() == Ok(Period(*time)),
                Is::Flag(flag) => text.parse() == Ok(*flag),
            };
            assert!(same, "{table}: `{name}` is documented as {text}");
        }
    }

    #[test]
    fn the_documented_defaults_match_the_code() {
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
