//! The four tables of the overview.

use std::collections::HashMap;

use serde_json::Value;
use wattle_api::graph::{self, Graph};
use wattle_api::status::{Canary, Node, Pipeline, Queue, Sink, Source, Status};

use super::super::figures::{bytes, count, percent, rate};
use super::super::rates::{Pair, Rates, sent, sum};
use super::{Body, Cell, Column, Keys, Row, Subject, Table, Tone, safe};

/// Fill level of a queue from which the operator should look.
const FULL: f64 = 0.8;

const fn text(title: &'static str, from: u16) -> Column {
    Column { title, is_number: false, from }
}

const fn number(title: &'static str, from: u16) -> Column {
    Column { title, is_number: true, from }
}

/// A figure that is bad news unless it is 0.
fn trouble(text: String, value: Option<f64>, tone: Tone) -> Cell {
    Cell::new(text, if value.unwrap_or_default() > 0.0 { tone } else { Tone::Plain })
}

#[expect(clippy::cast_precision_loss, reason = "a rounded figure for people")]
fn fill(queue: &Queue) -> Cell {
    if queue.max_bytes == 0 {
        return Cell::plain("-");
    }
    let share = queue.bytes as f64 / queue.max_bytes as f64;
    Cell::new(percent(Some(share)), if share >= FULL { Tone::Warn } else { Tone::Plain })
}

fn state(state: &str) -> Cell {
    let tone = match state {
        "running" => Tone::Good,
        "ended" => Tone::Dim,
        "failed" => Tone::Bad,
        _ => Tone::Warn,
    };
    Cell::new(safe(state), tone)
}

pub(super) fn sources(pair: &Pair<'_>) -> Table {
    let columns = vec![
        text("SOURCE", 0),
        text("TYPE", 60),
        text("STATE", 0),
        number("EVENTS/S", 0),
        number("BYTES/S", 50),
        number("QUEUE", 0),
        number("BLOCKED", 50),
        number("FAILURES", 70),
        number("LOST", 100),
        number("EVENTS", 100),
        number("BYTES", 100),
    ];
    let rows = pair.now.sources.iter().map(|source| {
        let rates = pair.source(source);
        let (events, sent_bytes) =
            (rates.rate(|s| s.counts.get("received_events")), rates.rate(|s| s.counts.get("received_bytes")));
        let blocked = rates.rate_of(|s| s.blocked_seconds);
        let (failures, lost) = (source.counts.get("failures"), source.counts.get("lost_events"));
        let failure_rate = rates.rate(|s| s.counts.get("failures"));
        let cells = vec![
            Cell::new(safe(&source.type_name), Tone::Dim),
            source_state(source),
            Cell::plain(rate(events)),
            Cell::plain(rate(sent_bytes)),
            fill(&source.buffer),
            Cell::new(percent(blocked), if blocked.unwrap_or_default() >= FULL { Tone::Warn } else { Tone::Plain }),
            trouble(count(failures), failure_rate, Tone::Warn),
            Cell::new(count(lost), if lost > 0 { Tone::Bad } else { Tone::Plain }),
            Cell::plain(count(source.counts.get("received_events"))),
            Cell::plain(bytes(source.counts.get("received_bytes"))),
        ];
        let keys = keys(events, sent_bytes, failure_rate);
        row(Subject::Source(source.name.clone()), &source.name, 0, cells, keys)
    });
    Table { rows: rows.collect(), columns }
}

fn source_state(source: &Source) -> Cell {
    if source.state == "running" && !source.unmatched.is_empty() {
        return Cell::new("running", Tone::Warn);
    }
    state(&source.state)
}

fn keys(rate: Option<f64>, cost: Option<f64>, trouble: Option<f64>) -> Keys {
    Keys { rate: rate.unwrap_or_default(), cost: cost.unwrap_or_default(), trouble: trouble.unwrap_or_default() }
}

fn row(subject: Subject, name: &str, depth: usize, cells: Vec<Cell>, keys: Keys) -> Row {
    Row { subject, name: safe(name), depth, body: Body::Cells(cells), keys }
}

pub(super) fn pipelines(pair: &Pair<'_>) -> Table {
    let columns = vec![
        text("PIPELINE", 0),
        text("PACK, TYPE", 100),
        number("IN/S", 0),
        number("OUT/S", 0),
        number("DROP/S", 50),
        number("FAIL/S", 0),
        number("BUSY", 0),
        number("NS/EVENT", 60),
        number("MEMORY", 70),
        number("FAULTS", 70),
        number("CALLS/S", 100),
    ];
    let mut rows = Vec::new();
    for pipeline in &pair.now.pipelines {
        rows.push(pipeline_row(pair, pipeline));
        rows.extend(candidates(pair.now, pipeline));
        rows.extend(pipeline.nodes.iter().map(|node| node_row(pair, pipeline, node)));
    }
    Table { rows, columns }
}

fn pipeline_row(pair: &Pair<'_>, pipeline: &Pipeline) -> Row {
    let rates = pair.pipeline(pipeline);
    let of = |key: &'static str| rates.rate(|p| p.counts.get(key));
    let (input, failed) = (of("received_events"), of("failed_events"));
    let cost = rates.rate_of(call_seconds);
    let memory: u64 = pipeline.nodes.iter().map(|node| node.counts.get("memory_bytes")).sum();
    let faults: u64 = pipeline.nodes.iter().flat_map(|node| &node.faults).map(|fault| fault.count).sum();
    let fault_rate = rates.rate(|p| p.nodes.iter().flat_map(|node| &node.faults).map(|fault| fault.count).sum());
    let cells = vec![
        Cell::new(pipeline.pack.as_deref().map_or_else(|| "inline".to_owned(), safe), Tone::Dim),
        Cell::plain(rate(input)),
        Cell::plain(rate(of("delivered_events"))),
        Cell::plain(rate(of("dropped_events"))),
        trouble(rate(failed), failed, Tone::Warn),
        Cell::plain(percent(cost)),
        Cell::plain(per_event(cost, input)),
        Cell::plain(bytes(memory)),
        faults_cell(faults, fault_rate),
        Cell::plain(rate(rates.rate(|p| p.nodes.iter().map(|node| node.calls).sum()))),
    ];
    let keys = keys(input, cost, trouble_of(failed, fault_rate));
    row(Subject::Pipeline(pipeline.name.clone()), &pipeline.name, 0, cells, keys)
}

fn call_seconds(pipeline: &Pipeline) -> f64 {
    pipeline.nodes.iter().map(|node| node.call_seconds).sum()
}

fn node_row(pair: &Pair<'_>, pipeline: &Pipeline, node: &Node) -> Row {
    let rates = pair.node(&pipeline.name, node);
    let input = rates.rate(|n| n.counts.get("received_events"));
    let failed = rates.rate(|n| sum(&n.failures));
    let cost = rates.rate_of(|n| n.call_seconds);
    let faults = faults_of(node);
    let fault_rate = rates.rate(faults_of);
    let cells = vec![
        Cell::new(safe(&node.type_name), Tone::Dim),
        Cell::plain(rate(input)),
        Cell::plain(rate(rates.rate(sent))),
        Cell::plain(rate(rates.rate(|n| sum(&n.drops)))),
        trouble(rate(failed), failed, Tone::Warn),
        Cell::plain(percent(cost)),
        Cell::plain(per_event(cost, input)),
        Cell::plain(bytes(node.counts.get("memory_bytes"))),
        if node.counts.get("circuit_open") > 0 {
            Cell::new("circuit", Tone::Bad)
        } else {
            faults_cell(faults, fault_rate)
        },
        Cell::plain(rate(rates.rate(|n| n.calls))),
    ];
    let keys = keys(input, cost, trouble_of(failed, fault_rate));
    row(Subject::Node(pipeline.name.clone(), node.name.clone()), &node.name, 1, cells, keys)
}

fn faults_of(node: &Node) -> u64 {
    node.faults.iter().map(|fault| fault.count).sum()
}

/// New faults are bad; earlier ones deserve a look.
fn faults_cell(faults: u64, rate: Option<f64>) -> Cell {
    let tone = match faults {
        0 => Tone::Plain,
        _ if rate.unwrap_or_default() > 0.0 => Tone::Bad,
        _ => Tone::Warn,
    };
    Cell::new(count(faults), tone)
}

fn trouble_of(failed: Option<f64>, faults: Option<f64>) -> Option<f64> {
    Some(failed.unwrap_or_default() + faults.unwrap_or_default())
}

/// Nanoseconds in calls for each event.
pub(crate) fn per_event(cost: Option<f64>, events: Option<f64>) -> String {
    match (cost, events) {
        (Some(cost), Some(events)) if events > 0.0 => super::super::figures::short((cost / events * 1e9).round()),
        _ => "-".to_owned(),
    }
}

/// Lines of the canary and of the shadow of a pipeline.
fn candidates<'a>(status: &'a Status, pipeline: &'a Pipeline) -> impl Iterator<Item = Row> {
    let canary = status.canaries.iter().find(|canary| canary.pipeline == pipeline.name);
    let shadow = status.shadows.get(&pipeline.name);
    let note = |what: &'static str, note: Cell| Row {
        subject: Subject::Candidate(pipeline.name.clone(), what),
        name: what.to_owned(),
        depth: 1,
        body: Body::Note(note),
        keys: Keys::default(),
    };
    let canary = canary.map(|canary| note("canary", canary_note(canary)));
    let shadow = shadow.map(|shadow| note("shadow", shadow_note(shadow)));
    canary.into_iter().chain(shadow)
}

fn canary_note(canary: &Canary) -> Cell {
    let Canary { received_events, min_events, failed_events, faulted_batches, .. } = canary;
    let candidate = canary.candidate.as_deref().map_or_else(|| "inline".to_owned(), safe);
    let share = percent(Some(canary.share));
    let [received, wanted, failed, faulted] =
        [*received_events, *min_events, *failed_events, *faulted_batches].map(count);
    let tone = if *faulted_batches > 0 { Tone::Bad } else { Tone::Plain };
    let note =
        format!("{candidate} {share} of batches: {received}/{wanted} events, {failed} failed, {faulted} faulted");
    Cell::new(note, tone)
}

fn shadow_note(shadow: &Value) -> Cell {
    let number = |key: &str| shadow.get(key).and_then(Value::as_u64).unwrap_or_default();
    let candidate = shadow.get("candidate").and_then(Value::as_str).map_or_else(|| "-".to_owned(), safe);
    let [batches, differing, faulted] =
        ["batches", "differing_events", "faulted_batches"].map(|key| count(number(key)));
    let cost =
        shadow.get("cpu_ratio").and_then(Value::as_f64).map_or_else(String::new, |cost| format!(", {cost:.2}x CPU"));
    let tone = if number("faulted_batches") > 0 {
        Tone::Bad
    } else if number("differing_events") > 0 {
        Tone::Warn
    } else {
        Tone::Plain
    };
    Cell::new(format!("{candidate}: {batches} batches, {differing} events differ, {faulted} faulted{cost}"), tone)
}

pub(super) fn outputs(pair: &Pair<'_>, graph: &Graph) -> Table {
    let columns = vec![
        text("OUTPUT", 0),
        number("EVENTS/S", 0),
        number("BYTES/S", 0),
        number("FAIL/S", 50),
        number("SHARE", 0),
        number("EVENTS", 60),
        number("BYTES", 60),
        text("TO", 100),
    ];
    let all_drawn: HashMap<&str, &graph::Pipeline> =
        graph.pipelines.iter().map(|drawn| (drawn.name.as_str(), drawn)).collect();
    let mut rows = Vec::new();
    for pipeline in &pair.now.pipelines {
        let drawn = all_drawn.get(pipeline.name.as_str());
        let input = pair.pipeline(pipeline).rate(|p| p.counts.get("received_bytes"));
        for output in &pipeline.outputs {
            let rates = pair.output(&pipeline.name, output);
            let (events, failed) = (rates.rate(|o| o.events), rates.rate(|o| o.failed_events));
            let left = rates.rate(|o| o.bytes);
            let share = input.zip(left).filter(|(input, _)| *input > 0.0).map(|(input, left)| left / input);
            let drawn = drawn.and_then(|drawn| drawn.outputs.iter().find(|drawn| drawn.name == output.name));
            let to = drawn.map_or_else(String::new, |drawn| {
                if drawn.discard {
                    return "discarded".to_owned();
                }
                let all: Vec<&str> = drawn.sinks.iter().chain(&drawn.pipelines).map(String::as_str).collect();
                safe(&all.join(", "))
            });
            let cells = vec![
                Cell::plain(rate(events)),
                Cell::plain(rate(left)),
                trouble(rate(failed), failed, Tone::Warn),
                Cell::plain(percent(share)),
                Cell::plain(count(output.events)),
                Cell::plain(bytes(output.bytes)),
                Cell::new(to, Tone::Dim),
            ];
            let name = format!("{}.{}", pipeline.name, output.name);
            let subject = Subject::Output(pipeline.name.clone(), output.name.clone());
            rows.push(row(subject, &name, 0, cells, keys(events, left, failed)));
        }
    }
    Table { rows, columns }
}

pub(super) fn sinks(pair: &Pair<'_>) -> Table {
    let columns = vec![
        text("SINK", 0),
        text("TYPE", 60),
        text("STATE", 0),
        number("EVENTS/S", 0),
        number("BYTES/S", 50),
        number("BACKLOG", 0),
        number("RETRIES", 60),
        number("FAILED", 70),
        number("QUEUE", 70),
        number("OLDEST", 100),
        number("EVENTS", 100),
        number("BYTES", 100),
    ];
    let rows = pair.now.sinks.iter().map(|sink| {
        let rates: Rates<'_, Sink> = pair.sink(sink);
        let of = |key: &'static str| rates.rate(|s| s.counts.get(key));
        let (events, sent_bytes) = (of("delivered_events"), of("delivered_bytes"));
        let (retries, failed) = (of("retries"), of("failed_events"));
        let oldest = sink.backlog.oldest_seconds;
        let cells = vec![
            Cell::new(safe(&sink.type_name), Tone::Dim),
            state(&sink.state),
            Cell::plain(rate(events)),
            Cell::plain(rate(sent_bytes)),
            Cell::new(
                count(sink.backlog.events),
                if sink.retrying_seconds.is_some() { Tone::Warn } else { Tone::Plain },
            ),
            trouble(count(sink.counts.get("retries")), retries, Tone::Warn),
            trouble(count(sink.counts.get("failed_events")), failed, Tone::Bad),
            fill(&sink.buffer),
            Cell::plain(oldest.map_or_else(|| "-".to_owned(), crate::commands::status::units::ago)),
            Cell::plain(count(sink.counts.get("delivered_events"))),
            Cell::plain(bytes(sink.counts.get("delivered_bytes"))),
        ];
        let keys = keys(events, sent_bytes, trouble_of(retries, failed));
        row(Subject::Sink(sink.name.clone()), &sink.name, 0, cells, keys)
    });
    Table { rows: rows.collect(), columns }
}
