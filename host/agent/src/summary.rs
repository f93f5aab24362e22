//! The summary of a run: how many events came in and where they went.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wattle_printable::Line;
use wattle_supervisor::counts::{self, Count};
use wattle_topology::Observer;

/// Renders the summary.
pub(crate) fn render(observer: &Observer, elapsed: Duration) -> String {
    let pipelines = observer.counts().pipelines();
    let mut out = String::new();
    let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let bytes: u64 = pipelines.values().map(|p| load(&p.received_bytes)).sum();
    let seconds = elapsed.as_secs_f64();
    // Writing to a string does not fail.
    let _ = writeln!(out, "{} in {seconds:.2} s, {:.1} MB/s", megabytes(bytes), rate(bytes, seconds));
    for (name, pipeline) in pipelines {
        let s = pipeline.snapshot();
        let _ = writeln!(out, "pipeline {name}");
        let mut parts = format!("{} received", s.received);
        match s.split {
            0 => {}
            added @ 1.. => _ = write!(parts, " + {added} by splitting"),
            removed => _ = write!(parts, " - {} by combining", removed.unsigned_abs()),
        }
        if s.copied > 0 {
            let _ = write!(parts, " + {} copied", s.copied);
        }
        if s.made > 0 {
            let _ = write!(parts, " + {} made", s.made);
        }
        let _ = writeln!(out, "  in   {:>10} = {parts}", s.events_in());
        let verdict = if s.is_conserved() { "" } else { "  <-- NOT EQUAL to in: please report this" };
        let held = if s.held > 0 { format!(" + {} held", s.held) } else { String::new() };
        let returned = if s.returned > 0 { format!(" + {} returned to the source", s.returned) } else { String::new() };
        let _ = writeln!(
            out,
            "  out  {:>10} = {} delivered + {} failed + {} dropped{held}{returned}{verdict}",
            s.events_out(),
            s.delivered,
            s.failed,
            s.dropped
        );
        for (count, note) in notes(counts::PIPELINES, &pipeline) {
            let _ = writeln!(out, "    {count} {note}");
        }
        for (output, counted) in pipeline.outputs() {
            let events = load(&counted.events);
            let _ =
                writeln!(out, "    {:<24} {events:>10} events {:>12}", Line(output), megabytes(load(&counted.bytes)));
        }
        for (node, counted) in pipeline.nodes() {
            let what = if counted.masks.load(Ordering::Relaxed) { "masked" } else { "counted" };
            for (name, count) in counted.counted.counts() {
                let _ = writeln!(out, "    {what} at {node}: {count} {name}");
            }
            for (what, codes) in [("failed", counted.failed.counts()), ("dropped", counted.dropped.counts())] {
                for (code, count) in codes {
                    let _ = writeln!(out, "    {what} at {node}: {count} {}", Line(code));
                }
            }
            for (count, note) in notes(counts::NODES, &counted) {
                let _ = writeln!(out, "    {node}: {count} {note}");
            }
            for (kind, blame, count) in counted.stats.faults.list() {
                let _ = writeln!(out, "    faults of {node}: {count} {} ({})", kind.name(), blame.name());
            }
            let opened = load(&counted.circuit_opened);
            if opened > 0 {
                let open = if counted.circuit_open.load(Ordering::Relaxed) { ", open now" } else { "" };
                let passed = load(&counted.passed);
                let _ = writeln!(out, "    circuit of {node}: opened {opened} times{open}, {passed} events passed on");
            }
        }
    }
    for sink in observer.sinks() {
        let (name, stats) = (sink.name, sink.stats);
        let _ = write!(out, "sink {name}: {} events delivered", load(&stats.delivered_events));
        for (count, note) in notes(counts::SINKS, &stats) {
            let _ = write!(out, ", {count} {note}");
        }
        if let Some(buffer) = observer.buffer(&name) {
            for (count, what) in [
                (load(&buffer.events), "wait in the disk buffer"),
                (load(&buffer.dropped_events), "dropped by the full buffer"),
                (load(&buffer.damaged_bytes), "bytes of the disk buffer unreadable"),
                (load(&buffer.missing_segments), "segments of the disk buffer missing"),
            ] {
                if count > 0 {
                    let _ = write!(out, ", {count} {what}");
                }
            }
        }
        out.push('\n');
    }
    for source in observer.sources() {
        let (name, stats) = (source.name, source.stats);
        for (count, note) in notes(counts::SOURCES, &stats) {
            let _ = writeln!(out, "source {name}: {count} {note}");
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// The counts of a table that are not zero and have a note for the summary.
fn notes<S>(table: &[Count<S>], subject: &S) -> Vec<(u64, &'static str)> {
    let note = |count: &Count<S>| Some((count.total(subject), count.summary_note()?));
    table.iter().filter_map(note).filter(|(count, _)| *count > 0).collect()
}

/// What a drain waits for, and the remaining time.
pub(crate) fn render_left(observer: &Observer, left: Duration) -> String {
    let sinks = observer.sinks().into_iter().map(|sink| (sink.name, sink.stats.backlog().events));
    let sinks = sinks.filter(|(_, events)| *events > 0);
    let mut what: Vec<String> = sinks.map(|(name, events)| format!("sink `{name}` has {events} events left")).collect();
    if what.is_empty() {
        what.push("events are in progress".into());
    }
    format!("{}; exits in {} s at the latest, a second signal exits at once", what.join(", "), left.as_secs())
}

/// How many events a terminal showed, at most `most` of each output, and how to get all.
pub(crate) fn render_preview(observer: &Observer, most: u64) -> String {
    let outputs = observer.counts().pipelines().into_values().flat_map(|pipeline| pipeline.outputs().into_values());
    let events: Vec<u64> = outputs.map(|output| output.events.load(Ordering::Relaxed)).collect();
    let (all, shown): (u64, u64) = (events.iter().sum(), events.iter().map(|&events| events.min(most)).sum());
    format!("{shown} of {all} events shown, each cut to one line; `--out DIR` writes all of them to files")
}

#[expect(clippy::cast_precision_loss, reason = "a rounded figure for people")]
fn rate(bytes: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { bytes as f64 / 1e6 / seconds } else { 0.0 }
}

#[expect(clippy::cast_precision_loss, reason = "a rounded figure for people")]
fn megabytes(bytes: u64) -> String {
    if bytes < 100_000 { format!("{:.1} kB", bytes as f64 / 1e3) } else { format!("{:.1} MB", bytes as f64 / 1e6) }
}
