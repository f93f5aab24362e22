//! Renders the status as text: a head as in `systemctl status`, then tables.

use std::fmt::Write as _;

use serde_json::Value;
use wattle_printable::{Line, line};

use super::table::Align::{self, Left, Right};
use super::table::table;
use super::units::{ago, size};
use wattle_api::status::{Backlog, Counted, Queue, Registry, Status};
use wattle_supervisor::counts::{self, Count};

/// Renders a status.
pub(crate) fn render(status: &Status, color: bool) -> String {
    let mut out = head(status, color);
    let blank = |out: &mut String| out.push_str("\n\n");
    if !status.sources.is_empty() {
        blank(&mut out);
        out.push_str(&sources(status));
    }
    if !status.pipelines.is_empty() {
        blank(&mut out);
        out.push_str(&pipelines(status));
    }
    if let Some(masked) = masked(status) {
        blank(&mut out);
        out.push_str(&masked);
    }
    if !status.sinks.is_empty() {
        blank(&mut out);
        out.push_str(&sinks(status));
    }
    if !status.canaries.is_empty() {
        blank(&mut out);
        out.push_str(&canaries(status));
    }
    if !status.shadows.is_empty() {
        blank(&mut out);
        out.push_str(&shadows(status));
    }
    for registry in &status.registries {
        blank(&mut out);
        out.push_str(&self::registry(registry));
    }
    if let Some(faults) = faults(status) {
        blank(&mut out);
        out.push_str(&faults);
    }
    for trouble in troubles(status) {
        blank(&mut out);
        out.push_str(&trouble);
    }
    out
}

fn head(status: &Status, color: bool) -> String {
    let (code, word) = match (status.ready, status.phase.as_str()) {
        (true, _) => ("32", "ready"),
        (false, "running") => ("31", "not ready"),
        (false, phase) => ("33", phase),
    };
    let paint = |text: &str| if color { format!("\u{1b}[1;{code}m{text}\u{1b}[0m") } else { text.to_owned() };
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(out, "{} wattle {}: {}", paint("●"), Line(&status.version), paint(&line(word)));
    if let Some(reason) = &status.reason {
        let _ = writeln!(out, "     Reason: {}", Line(reason));
    }
    let uptime = ago(status.uptime_seconds);
    let _ = writeln!(out, "     Uptime: {uptime}, since {}", Line(&status.started_at));
    let cpu = ago(status.cpu_seconds);
    let memory = size(status.resident_memory_bytes);
    let _ = writeln!(out, "    Process: {}, {memory} memory, {cpu} CPU, {} workers", status.pid, status.workers);
    let _ = writeln!(out, "     Config: {}", Line(&status.config));
    let _ = write!(out, " Generation: {}, loaded {}", status.generation, Line(&status.loaded_at));
    if let Some(last) = status.reloads.last.as_ref().filter(|last| last.error.is_some()) {
        let error = last.error.as_deref().unwrap_or_default();
        let _ = write!(out, "\n     Reload: {} at {}: {}", Line(&last.outcome), Line(&last.at), Line(error));
    }
    out
}

/// The columns of a table of counts for these subjects.
struct Columns<'a, S: 'static>(Vec<(&'static str, &'a Count<S>)>);

impl<'a, S> Columns<'a, S> {
    fn new<'c>(table: &'a [Count<S>], subjects: impl Iterator<Item = &'c Counted> + Clone) -> Self {
        Self(table.iter().filter_map(|count| Some((count.title(subjects.clone())?, count))).collect())
    }

    fn titles(&self) -> impl Iterator<Item = (&'static str, Align)> {
        self.0.iter().map(|(title, _)| (*title, Right))
    }

    fn cells(&self, counted: &Counted) -> impl Iterator<Item = String> {
        self.0.iter().map(|(_, count)| {
            let number = counted.get(count.key());
            if count.is_bytes() { size(number) } else { number.to_string() }
        })
    }
}

fn sources(status: &Status) -> String {
    let mut columns = vec![("SOURCE", Left), ("TYPE", Left), ("STATE", Left)];
    let counts = Columns::new(counts::SOURCES, status.sources.iter().map(|s| &s.counts));
    columns.extend(counts.titles());
    columns.extend([("QUEUE", Right), ("BLOCKED", Right)]);
    let rows = status.sources.iter().map(|s| {
        let mut row = vec![s.name.clone(), s.type_name.clone(), s.state.clone()];
        row.extend(counts.cells(&s.counts));
        row.extend([fill(&s.buffer), ago(s.blocked_seconds)]);
        row
    });
    table(&columns, &rows.collect::<Vec<_>>())
}

fn pipelines(status: &Status) -> String {
    let mut columns = vec![("PIPELINE", Left), ("PACK", Left)];
    let counts = Columns::new(counts::PIPELINES, status.pipelines.iter().map(|p| &p.counts));
    columns.extend(counts.titles());
    columns.extend([("IN/S", Right), ("MB/S", Right)]);
    let rows = status.pipelines.iter().map(|p| {
        let mut row = vec![p.name.clone(), p.pack.clone().unwrap_or_else(|| "-".into())];
        row.extend(counts.cells(&p.counts));
        row.extend([format!("{:.0}", p.events_per_second), format!("{:.1}", p.bytes_per_second / 1e6)]);
        row
    });
    table(&columns, &rows.collect::<Vec<_>>())
}

/// Masked values by rule, if there are any.
fn masked(status: &Status) -> Option<String> {
    let columns = [("MASK", Left), ("RULE", Left), ("VALUES", Right)];
    let mut rows = Vec::new();
    for pipeline in &status.pipelines {
        for node in &pipeline.nodes {
            for (rule, values) in &node.masked_values {
                rows.push(vec![format!("{}.{}", pipeline.name, node.name), rule.clone(), values.to_string()]);
            }
        }
    }
    (!rows.is_empty()).then(|| table(&columns, &rows))
}

fn sinks(status: &Status) -> String {
    let mut columns = vec![("SINK", Left), ("TYPE", Left), ("STATE", Left)];
    let counts = Columns::new(counts::SINKS, status.sinks.iter().map(|s| &s.counts));
    columns.extend(counts.titles());
    columns.push(("QUEUE", Right));
    let rows = status.sinks.iter().map(|s| {
        let mut row = vec![s.name.clone(), s.type_name.clone(), s.state.clone()];
        row.extend(counts.cells(&s.counts));
        row.push(fill(&s.buffer));
        row
    });
    table(&columns, &rows.collect::<Vec<_>>())
}

fn canaries(status: &Status) -> String {
    let columns = [
        ("CANARY OF", Left),
        ("CANDIDATE", Left),
        ("SHARE", Right),
        ("EVENTS", Right),
        ("NEEDED", Right),
        ("FAILED", Right),
        ("FAULTED", Right),
    ];
    let rows = status.canaries.iter().map(|canary| {
        vec![
            canary.pipeline.clone(),
            canary.candidate.clone().unwrap_or_else(|| "-".into()),
            format!("{:.0}%", canary.share * 100.0),
            canary.received_events.to_string(),
            canary.min_events.to_string(),
            canary.failed_events.to_string(),
            canary.faulted_batches.to_string(),
        ]
    });
    table(&columns, &rows.collect::<Vec<_>>())
}

/// Shadows; `wattle shadow` shows the differences.
fn shadows(status: &Status) -> String {
    let columns = [
        ("SHADOW OF", Left),
        ("CANDIDATE", Left),
        ("BATCHES", Right),
        ("SKIPPED", Right),
        ("FAULTED", Right),
        ("DIFFERING", Right),
        ("CPU", Right),
    ];
    let rows = status.shadows.iter().map(|(pipeline, shadow)| {
        let count = |key: &str| shadow.get(key).and_then(Value::as_u64).unwrap_or_default().to_string();
        let cost = shadow.get("cpu_ratio").and_then(Value::as_f64);
        vec![
            pipeline.clone(),
            shadow.get("candidate").and_then(Value::as_str).unwrap_or("-").to_owned(),
            count("batches"),
            count("skipped_batches"),
            count("faulted_batches"),
            count("differing_events"),
            cost.map_or_else(|| "-".into(), |ratio| format!("{ratio:.2}x")),
        ]
    });
    table(&columns, &rows.collect::<Vec<_>>())
}

/// A pack of a registry, in lines: references and digests are too long for a table.
fn registry(registry: &Registry) -> String {
    let Registry { reference, unchanged_polls, changed_polls, failed_polls, .. } = registry;
    let mut out = format!("{}\n", Line(reference));
    for (name, text) in [
        ("Runs", &registry.digest),
        ("Refused", &registry.refused),
        ("Answered", &registry.answered_at),
        ("Error", &registry.error),
    ] {
        if let Some(text) = text {
            let _ = writeln!(out, "{name:>11}: {}", Line(text));
        }
    }
    let _ = write!(out, "      Polls: {unchanged_polls} unchanged, {changed_polls} changed, {failed_polls} failed");
    out
}

/// Nodes whose calls faulted, if there are any.
fn faults(status: &Status) -> Option<String> {
    let columns = [("NODE", Left), ("TYPE", Left), ("FAULT", Left), ("BLAME", Left), ("COUNT", Right)];
    let mut rows = Vec::new();
    for pipeline in &status.pipelines {
        for node in &pipeline.nodes {
            for fault in &node.faults {
                rows.push(vec![
                    format!("{}.{}", pipeline.name, node.name),
                    node.type_name.clone(),
                    fault.kind.clone(),
                    fault.blame.clone(),
                    fault.count.to_string(),
                ]);
            }
        }
    }
    (!rows.is_empty()).then(|| table(&columns, &rows))
}

/// Problems for an operator, each with the place to read more.
fn troubles(status: &Status) -> Vec<String> {
    let mut all = Vec::new();
    for source in &status.sources {
        all.extend(notes(counts::SOURCES, "source", &source.name, &source.counts));
        if let Some(last) = &source.last_failure {
            all.push(format!(
                "source `{}`: last failure at {}:\n  {}",
                Line(&source.name),
                Line(&last.at),
                Line(&last.reason)
            ));
        }
        all.extend(source.unmatched.iter().map(|what| format!("source `{}`: {what}", source.name)));
    }
    for pipeline in &status.pipelines {
        all.extend(notes(counts::PIPELINES, "pipeline", &pipeline.name, &pipeline.counts));
        for node in &pipeline.nodes {
            let name = format!("{}.{}", pipeline.name, node.name);
            all.extend(notes(counts::NODES, "node", &name, &node.counts));
        }
    }
    for sink in &status.sinks {
        all.extend(notes(counts::SINKS, "sink", &sink.name, &sink.counts));
    }
    for sink in &status.sinks {
        if let Some(seconds) = sink.retrying_seconds {
            let Backlog { events, bytes, oldest_seconds } = &sink.backlog;
            let oldest = oldest_seconds.map_or_else(String::new, |age| format!(", the oldest for {}", ago(age)));
            let (time, bytes) = (ago(seconds), size(*bytes));
            all.push(format!("sink `{}`: retrying for {time}; {events} events ({bytes}) wait{oldest}", sink.name));
        }
    }
    for kept in &status.quarantines {
        let (pipeline, bytes) = (Line(&kept.pipeline), size(kept.bytes));
        all.push(format!("pipeline `{pipeline}`: {bytes} in quarantine; see `wattle quarantine list`"));
    }
    all
}

/// A line for each count that has a note and is not zero.
fn notes<S>(table: &[Count<S>], subject: &str, name: &str, counted: &Counted) -> Vec<String> {
    let note = |count: &Count<S>| {
        let number = Some(counted.get(count.key())).filter(|number| *number > 0)?;
        Some(format!("{subject} `{}`: {number} {}", Line(name), count.status_note()?))
    };
    table.iter().filter_map(note).collect()
}

/// The fill level of a queue; it can exceed 100% by one item.
fn fill(queue: &Queue) -> String {
    let percent = (queue.bytes.saturating_mul(100)).checked_div(queue.max_bytes).unwrap_or(0);
    format!("{percent}%")
}

#[cfg(test)]
mod tests;
