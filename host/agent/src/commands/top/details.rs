//! Everything about one source, pipeline, node, output or sink, on a page.

use std::collections::BTreeMap;

use serde_json::Value;
use wattle_api::graph::{self, Graph};
use wattle_api::status::{Node, Pipeline, Queue, Sink, Source};

use super::figures::{bytes, exact, percent, rate};
use super::model::{Cell, Subject, Tone, balance, per_event, safe};
use super::rates::{Pair, Rates, sent, sum};
use crate::commands::status::units::ago;

/// Counts of a node that its page has in another place.
const SHOWN: [&str; 7] = [
    "received events",
    "sent events",
    "dropped events",
    "failed events",
    "memory bytes",
    "peak memory bytes",
    "circuit open",
];

/// A page of lines.
#[derive(Clone, Debug, Default)]
pub(crate) struct Details {
    pub(crate) title: String,
    pub(crate) lines: Vec<Line>,
}

/// A line of a page.
#[derive(Clone, Debug)]
pub(crate) enum Line {
    Heading(&'static str),
    /// A name and a text, which may need several lines.
    Fact(&'static str, Cell),
    /// A name, a total and a rate a second.
    Count(String, String, String, Tone),
}

impl Details {
    fn new(what: &str, name: &str) -> Self {
        Self { title: format!("{what} {}", safe(name)), lines: Vec::new() }
    }

    fn fact(&mut self, name: &'static str, text: impl Into<String>) {
        self.lines.push(Line::Fact(name, Cell::plain(text)));
    }

    fn alarm(&mut self, name: &'static str, text: Option<String>, tone: Tone) {
        self.lines.extend(text.map(|text| Line::Fact(name, Cell::new(safe(&text), tone))));
    }

    fn queue(&mut self, queue: &Queue) {
        let Queue { events, bytes: held, max_bytes } = queue;
        let [held, max] = [*held, *max_bytes].map(|size| bytes(u64::try_from(size).unwrap_or(u64::MAX)));
        self.fact("queue", format!("{events} events, {held} of {max}"));
    }

    /// A section of counts by name, the largest first.
    fn counts(&mut self, heading: &'static str, tone: Tone, counts: Vec<(String, u64, Option<f64>)>) {
        if counts.is_empty() {
            return;
        }
        self.lines.push(Line::Heading(heading));
        let mut counts = counts;
        counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        self.lines.extend(counts.into_iter().map(|(name, total, per_second)| {
            let tone = if per_second.unwrap_or_default() > 0.0 { tone } else { Tone::Plain };
            Line::Count(safe(&name), exact(total), format!("{}/s", rate(per_second)), tone)
        }));
    }
}

/// The page of a subject; none if the running configuration does not have it.
pub(crate) fn details(pair: &Pair<'_>, graph: &Graph, subject: &Subject) -> Option<Details> {
    let pipeline = |name: &str| pair.now.pipelines.iter().find(|pipeline| pipeline.name == *name);
    let drawn = |name: &str| graph.pipelines.iter().find(|pipeline| pipeline.name == *name);
    match subject {
        Subject::Source(name) => Some(source(pair, pair.now.sources.iter().find(|source| source.name == *name)?)),
        Subject::Pipeline(name) | Subject::Candidate(name, _) => Some(of_pipeline(pair, drawn(name), pipeline(name)?)),
        Subject::Node(of, name) => {
            let node = pipeline(of)?.nodes.iter().find(|node| node.name == *name)?;
            Some(of_node(pair, drawn(of), of, node))
        }
        Subject::Output(of, name) => {
            let output = pipeline(of)?.outputs.iter().find(|output| output.name == *name)?;
            let rates = pair.output(of, output);
            let mut page = Details::new("output", &format!("{of}.{name}"));
            let drawn = drawn(of).and_then(|drawn| drawn.outputs.iter().find(|drawn| drawn.name == *name));
            if let Some(drawn) = drawn {
                describe_output(&mut page, drawn);
            }
            page.counts(
                "COUNTS",
                Tone::Plain,
                vec![
                    ("events".to_owned(), output.events, rates.rate(|o| o.events)),
                    ("failed events".to_owned(), output.failed_events, rates.rate(|o| o.failed_events)),
                    ("bytes".to_owned(), output.bytes, rates.rate(|o| o.bytes)),
                ],
            );
            Some(page)
        }
        Subject::Sink(name) => Some(sink(pair, pair.now.sinks.iter().find(|sink| sink.name == *name)?)),
    }
}

fn describe_output(page: &mut Details, drawn: &graph::Output) {
    let text = [&drawn.title, &drawn.description].map(|text| safe(text));
    page.fact("title", text.iter().filter(|text| !text.is_empty()).cloned().collect::<Vec<_>>().join(": "));
    let list = |names: &[String]| safe(&names.join(", "));
    if drawn.discard {
        page.fact("to", "discarded");
    } else {
        page.fact("to sinks", list(&drawn.sinks));
        page.fact("to pipelines", list(&drawn.pipelines));
    }
    page.fact("masked", yes(drawn.masked));
}

fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

/// All counts of a subject by their key.
fn counted<T>(rates: &Rates<'_, T>, read: impl Fn(&T) -> BTreeMap<String, u64>) -> Vec<(String, u64, Option<f64>)> {
    let counts = read(rates.now);
    let rated = |name: &String| rates.rate(|subject| read(subject).get(name).copied().unwrap_or_default());
    counts.iter().map(|(name, count)| (name.replace('_', " "), *count, rated(name))).collect()
}

/// The counts of the table of a subject that are not 0.
fn table(counts: &wattle_api::status::Counted) -> BTreeMap<String, u64> {
    let all = serde_json::to_value(counts).unwrap_or_default();
    let all = all.as_object().into_iter().flatten();
    all.filter_map(|(key, count)| Some((key.clone(), count.as_u64().filter(|count| *count > 0)?))).collect()
}

fn source(pair: &Pair<'_>, source: &Source) -> Details {
    let rates = pair.source(source);
    let mut page = Details::new("source", &source.name);
    page.fact("type", safe(&source.type_name));
    page.fact("state", safe(&source.state));
    page.alarm("error", source.error.clone(), Tone::Bad);
    let last = source.last_failure.as_ref();
    page.alarm("last failure", last.map(|last| format!("{}: {}", last.at, last.reason)), Tone::Warn);
    source.unmatched.iter().for_each(|unmatched| page.alarm("no file", Some(unmatched.clone()), Tone::Warn));
    page.queue(&source.buffer);
    let blocked = percent(rates.rate_of(|s| s.blocked_seconds));
    page.fact("blocked", format!("{} in all, {blocked} of the time now", ago(source.blocked_seconds)));
    page.counts("COUNTS", Tone::Plain, counted(&rates, |s| table(&s.counts)));
    page
}

fn sink(pair: &Pair<'_>, sink: &Sink) -> Details {
    let rates = pair.sink(sink);
    let mut page = Details::new("sink", &sink.name);
    page.fact("type", safe(&sink.type_name));
    page.fact("state", safe(&sink.state));
    page.alarm("error", sink.error.clone(), Tone::Bad);
    page.alarm("retrying", sink.retrying_seconds.map(|seconds| format!("for {}", ago(seconds))), Tone::Warn);
    let oldest = sink.backlog.oldest_seconds.map_or_else(String::new, |age| format!(", the oldest for {}", ago(age)));
    page.fact("backlog", format!("{} events, {}{oldest}", exact(sink.backlog.events), bytes(sink.backlog.bytes)));
    page.queue(&sink.buffer);
    page.counts("COUNTS", Tone::Plain, counted(&rates, |s| table(&s.counts)));
    page
}

fn of_pipeline(pair: &Pair<'_>, drawn: Option<&graph::Pipeline>, pipeline: &Pipeline) -> Details {
    let rates = pair.pipeline(pipeline);
    let mut page = Details::new("pipeline", &pipeline.name);
    page.fact("pack", pipeline.pack.as_deref().map_or_else(|| "inline".to_owned(), safe));
    if let Some(drawn) = drawn {
        page.fact("inputs", safe(&drawn.inputs.join(", ")));
    }
    page.lines.push(Line::Fact("balance", balance([&pipeline.balance].into_iter(), "")));
    if let Some(canary) = pair.now.canaries.iter().find(|canary| canary.pipeline == pipeline.name) {
        page.lines.push(Line::Heading("CANARY"));
        page.fact("version", canary.candidate.as_deref().map_or_else(|| "inline".to_owned(), safe));
        page.fact("share", percent(Some(canary.share)));
        page.fact("received", format!("{} of {} events", exact(canary.received_events), exact(canary.min_events)));
        page.fact("promoted", format!("after {} at the earliest", ago(canary.promoted_after_seconds)));
        page.fact("failed", format!("{} events", exact(canary.failed_events)));
        page.fact("faulted", format!("{} batches", exact(canary.faulted_batches)));
    }
    if let Some(shadow) = pair.now.shadows.get(&pipeline.name).and_then(Value::as_object) {
        page.lines.push(Line::Heading("SHADOW"));
        let texts = shadow.iter().filter_map(|(key, value)| {
            Some((key, value.as_str().map(safe).or_else(|| value.is_number().then(|| value.to_string()))?))
        });
        let lines =
            texts.map(|(key, text)| Line::Count(safe(&key.replace('_', " ")), text, String::new(), Tone::Plain));
        page.lines.extend(lines);
    }
    page.counts("COUNTS", Tone::Plain, counted(&rates, |p| table(&p.counts)));
    page
}

fn of_node(pair: &Pair<'_>, drawn: Option<&graph::Pipeline>, pipeline: &str, node: &Node) -> Details {
    let rates = pair.node(pipeline, node);
    let described = drawn.and_then(|drawn| drawn.nodes.iter().find(|drawn| drawn.name == node.name));
    let mut page = Details::new("node", &format!("{pipeline}/{}", node.name));
    page.fact("type", safe(&node.type_name));
    if let Some(described) = described {
        page.fact("does", safe(&described.description));
        page.fact("masks", yes(described.masks));
        page.fact("stateful", yes(described.stateful));
        let all = if described.capabilities.is_empty() { "none" } else { &described.capabilities.join(", ") };
        page.fact("capabilities", safe(all));
    }
    let (cost, input) = (rates.rate_of(|n| n.call_seconds), rates.rate(|n| n.counts.get("received_events")));
    page.fact("busy", format!("{} of one worker, {} ns per event", percent(cost), per_event(cost, input)));
    let calls = rates.rate(|n| n.calls);
    let batch = input.zip(calls).filter(|(_, calls)| *calls > 0.0).map(|(input, calls)| input / calls);
    page.fact("calls", format!("{} in all, {}/s of {} events", exact(node.calls), rate(calls), rate(batch)));
    let [memory, peak] = ["memory_bytes", "peak_memory_bytes"].map(|key| bytes(node.counts.get(key)));
    let most = described.map_or_else(String::new, |d| format!(" of at most {}", bytes(d.max_memory_bytes)));
    page.fact("memory", format!("{memory}, peak of one instance {peak}{most}"));
    if node.counts.get("circuit_open") > 0 {
        page.alarm("circuit", Some("open: the node is not called".to_owned()), Tone::Bad);
    }
    page.counts(
        "EVENTS",
        Tone::Plain,
        vec![
            ("received".to_owned(), node.counts.get("received_events"), input),
            ("sent".to_owned(), sent(node), rates.rate(sent)),
            ("dropped".to_owned(), sum(&node.drops), rates.rate(|n| sum(&n.drops))),
            ("failed".to_owned(), sum(&node.failures), rates.rate(|n| sum(&n.failures))),
        ],
    );
    page.counts("PORTS", Tone::Plain, ports(&rates, drawn, &node.name));
    page.counts("FAILURES BY CODE", Tone::Warn, counted_raw(&rates, |n| n.failures.clone()));
    page.counts("DROPS BY REASON", Tone::Plain, counted_raw(&rates, |n| n.drops.clone()));
    page.counts("FAULTS", Tone::Bad, counted_raw(&rates, faults));
    page.counts("MASKED VALUES BY RULE", Tone::Plain, counted_raw(&rates, |n| n.masked_values.clone()));
    page.counts("COUNTS OF THE NODE", Tone::Plain, counted_raw(&rates, |n| n.counts_by_name.clone()));
    let mut others = counted(&rates, |n| table(&n.counts));
    others.retain(|(name, ..)| !SHOWN.contains(&name.as_str()));
    page.counts("OTHER COUNTS", Tone::Plain, others);
    page
}

/// Faults by their kind and whom they are blamed on.
fn faults(node: &Node) -> BTreeMap<String, u64> {
    node.faults.iter().map(|fault| (format!("{} ({})", fault.kind, fault.blame), fault.count)).collect()
}

/// As [`counted`], with the names as they are.
fn counted_raw(
    rates: &Rates<'_, Node>,
    read: impl Fn(&Node) -> BTreeMap<String, u64>,
) -> Vec<(String, u64, Option<f64>)> {
    let counts = read(rates.now);
    let rated = |name: &String| rates.rate(|node| read(node).get(name).copied().unwrap_or_default());
    counts.iter().map(|(name, count)| (name.clone(), *count, rated(name))).collect()
}

/// Events by port, with the nodes and outputs behind it.
fn ports(rates: &Rates<'_, Node>, drawn: Option<&graph::Pipeline>, node: &str) -> Vec<(String, u64, Option<f64>)> {
    let counts = counted_raw(rates, |n| n.ports.clone());
    let to = |port: &str| {
        let edges = drawn.into_iter().flat_map(|drawn| &drawn.edges);
        let edges = edges.filter(|edge| edge.from.as_deref() == Some(node) && edge.port == port);
        let all: Vec<&str> = edges.map(|edge| edge.to.as_str()).collect();
        if all.is_empty() { String::new() } else { format!(" → {}", all.join(", ")) }
    };
    counts.into_iter().map(|(port, count, rate)| (format!("{port}{}", to(&port)), count, rate)).collect()
}

/// The point at which `tap` shows the events of a subject, the first one that may be shown.
pub(crate) fn point(graph: &Graph, subject: &Subject) -> Option<String> {
    match subject {
        Subject::Output(pipeline, output) => Some(format!("{pipeline}.{output}")),
        Subject::Pipeline(pipeline) | Subject::Candidate(pipeline, _) => Some(pipeline.clone()),
        Subject::Node(of, node) => {
            let drawn = graph.pipelines.iter().find(|drawn| drawn.name == *of)?;
            let mut edges = drawn.edges.iter().filter(|edge| edge.from.as_ref() == Some(node));
            let first = edges.clone().next()?;
            Some(edges.find(|edge| edge.masked && !edge.failed).unwrap_or(first).point.clone())
        }
        // The events that a sink writes are those of its outputs.
        Subject::Source(_) | Subject::Sink(_) => None,
    }
}
