//! Limits and circuits as written; missing settings come from `[agent]`, and those from the
//! defaults.

use std::time::Duration;

use wattle_diagnostics::{Findings, Place, Reader, Table, codes};
use wattle_options::suggest;
use wattle_plan::{ArtifactLimits, CircuitSettings, NodeLimits, OnFault};

/// Maximum duration of a limit.
const MAX_TIME: Duration = Duration::from_hours(1);
const MILLISECOND: Duration = Duration::from_millis(1);

#[derive(Default)]
pub(crate) struct LimitsManifest {
    memory: Option<u64>,
    time: Option<Duration>,
    time_per_kib: Option<Duration>,
    output_ratio: Option<u32>,
    host_calls: Option<u32>,
    log_lines: Option<u32>,
    fields: Option<u32>,
    table_elements: Option<u64>,
    instances: Option<u32>,
    state: Option<u64>,
    retry_calls: Option<u32>,
    retry_time: Option<Duration>,
}

impl LimitsManifest {
    pub(crate) fn read(table: &Table, place: Place, name: &str, findings: &mut Findings) -> Self {
        let mut reader = Reader::new(table, place, name);
        let limits = Self {
            // A component addresses its memory with 32 bits, and has it in pages of 64 KiB.
            memory: reader.size("memory", 64 << 10..=4 << 30, findings),
            time: reader.duration("time", MILLISECOND..=MAX_TIME, findings),
            time_per_kib: reader.duration("time_per_kib", Duration::ZERO..=MAX_TIME, findings),
            output_ratio: count(&mut reader, "output_ratio", 1..=1_000_000, findings),
            host_calls: count(&mut reader, "host_calls", 1..=1_000_000_000, findings),
            log_lines: count(&mut reader, "log_lines", 0..=1_000_000, findings),
            fields: count(&mut reader, "fields", 0..=1_000_000, findings),
            table_elements: reader.number("table_elements", 0..=10_000_000, findings),
            instances: count(&mut reader, "instances", 1..=10_000, findings),
            state: reader.size("state", 0..=1 << 30, findings),
            retry_calls: count(&mut reader, "retry_calls", 1..=1_000_000, findings),
            retry_time: reader.duration("retry_time", MILLISECOND..=MAX_TIME, findings),
        };
        reader.finish(findings);
        limits
    }

    pub(crate) fn over(&self, defaults: &NodeLimits) -> NodeLimits {
        NodeLimits {
            memory_bytes: self.memory.unwrap_or(defaults.memory_bytes),
            time: self.time.unwrap_or(defaults.time),
            time_per_kib: self.time_per_kib.unwrap_or(defaults.time_per_kib),
            output_ratio: self.output_ratio.unwrap_or(defaults.output_ratio),
            host_calls: self.host_calls.unwrap_or(defaults.host_calls),
            log_lines: self.log_lines.unwrap_or(defaults.log_lines),
            fields: self.fields.unwrap_or(defaults.fields),
            table_elements: self.table_elements.unwrap_or(defaults.table_elements),
            instances: self.instances.unwrap_or(defaults.instances),
            state_bytes: self.state.unwrap_or(defaults.state_bytes),
            retry_calls: self.retry_calls.unwrap_or(defaults.retry_calls),
            retry_time: self.retry_time.unwrap_or(defaults.retry_time),
        }
    }
}

fn count(
    reader: &mut Reader<'_>,
    key: &'static str,
    range: std::ops::RangeInclusive<u64>,
    findings: &mut Findings,
) -> Option<u32> {
    reader.number(key, range, findings).and_then(|number| u32::try_from(number).ok())
}

#[derive(Default)]
pub(crate) struct CircuitManifest {
    fault_percent: Option<u32>,
    window: Option<u32>,
    min_batches: Option<u32>,
    cool_down: Option<Duration>,
    max_cool_down: Option<Duration>,
}

impl CircuitManifest {
    pub(crate) fn read(table: &Table, place: Place, name: &str, findings: &mut Findings) -> Self {
        let mut reader = Reader::new(table, place, name);
        let circuit = Self {
            fault_percent: count(&mut reader, "fault_percent", 1..=100, findings),
            window: count(&mut reader, "window", 1..=10_000, findings),
            min_batches: count(&mut reader, "min_batches", 1..=10_000, findings),
            cool_down: reader.duration("cool_down", MILLISECOND..=MAX_TIME, findings),
            max_cool_down: reader.duration("max_cool_down", MILLISECOND..=MAX_TIME, findings),
        };
        reader.finish(findings);
        circuit
    }

    pub(crate) fn over(&self, defaults: &CircuitSettings) -> CircuitSettings {
        CircuitSettings {
            fault_percent: self.fault_percent.unwrap_or(defaults.fault_percent),
            window: self.window.unwrap_or(defaults.window),
            min_batches: self.min_batches.unwrap_or(defaults.min_batches),
            cool_down: self.cool_down.unwrap_or(defaults.cool_down),
            max_cool_down: self.max_cool_down.unwrap_or(defaults.max_cool_down),
        }
    }
}

/// Reads the key `on_fault` of a node and the place of its value.
pub(crate) fn read_on_fault(reader: &mut Reader<'_>, findings: &mut Findings) -> Option<(OnFault, Place)> {
    let text = reader.string("on_fault", findings)?;
    let known = OnFault::ALL.into_iter().find(|(name, _)| *name == text.text);
    if known.is_none() {
        let names = || OnFault::ALL.into_iter().map(|(name, _)| name);
        let hint = suggest::closest(&text.text, names())
            .map_or_else(|| format!("it is {}", suggest::list(names())), |name| format!("did you mean `{name}`?"));
        let message = format!("bad `on_fault`: `{}`", text.text);
        findings.report(codes::BAD_VALUE.at(text.place, message).hint(hint));
    }
    known.map(|(_, policy)| (policy, text.place))
}

/// Reads the table `[agent.artifacts]`.
pub(crate) fn read_artifacts(table: &Table, place: Place, findings: &mut Findings) -> ArtifactLimits {
    let default = ArtifactLimits::default();
    let mut reader = Reader::new(table, place, "`[agent.artifacts]`");
    let limits = ArtifactLimits {
        max_bytes: reader.size("max_size", 1..=4 << 30, findings).unwrap_or(default.max_bytes),
        max_functions: count(&mut reader, "max_functions", 1..=1_000_000, findings).unwrap_or(default.max_functions),
        max_compile_time: reader
            .duration("max_compile_time", MILLISECOND..=MAX_TIME, findings)
            .unwrap_or(default.max_compile_time),
        max_compile_bytes: reader
            .size("max_compile_memory", 64 << 20..=1 << 40, findings)
            .unwrap_or(default.max_compile_bytes),
        baseline: reader.boolean("baseline", findings).unwrap_or(default.baseline),
    };
    reader.finish(findings);
    limits
}
