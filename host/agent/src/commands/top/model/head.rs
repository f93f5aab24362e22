//! The lines above the tables: the agent, its load, its balance, and what the operator should know.

use wattle_api::status::{Balance, Status};

use super::super::figures::{bytes, count, exact, percent, rate};
use super::super::rates::{Pair, total};
use super::{Cell, Tone, safe};
use crate::commands::status::units::ago;

/// The lines, each as texts in their order. The draw leaves out the last ones that do not fit.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) agent: Vec<Cell>,
    pub(crate) load: Vec<Cell>,
    pub(crate) balance: Cell,
}

pub(crate) fn head(pair: &Pair<'_>) -> Head {
    let status = pair.now;
    let (word, tone) = match (status.ready, status.phase.as_str()) {
        (true, _) => ("ready".to_owned(), Tone::Good),
        (false, "running") => ("not ready".to_owned(), Tone::Bad),
        (false, phase) => (safe(phase), Tone::Warn),
    };
    let agent = vec![
        Cell::plain(format!("wattle {}", safe(&status.version))),
        Cell::new(format!("● {word}"), tone),
        Cell::plain(format!("up {}", ago(status.uptime_seconds))),
        Cell::plain(format!("generation {}", status.generation)),
        Cell::new(format!("{} workers", status.workers), Tone::Dim),
        Cell::new(format!("pid {}", status.pid), Tone::Dim),
        Cell::new(safe(&status.config), Tone::Dim),
    ];
    let rates = pair.agent();
    let of = |key: &'static str| rates.rate(|status| total(status, key));
    let failed = of("failed_events");
    let load = vec![
        Cell::plain(format!("CPU {}", percent(rates.rate_of(|status| status.cpu_seconds)))),
        Cell::plain(format!("memory {}", bytes(status.resident_memory_bytes))),
        Cell::plain(format!("in {}/s", rate(of("received_events")))),
        Cell::plain(format!("{}B/s", rate(of("received_bytes")))),
        Cell::plain(format!("out {}/s", rate(of("delivered_events")))),
        Cell::plain(format!("dropped {}/s", rate(of("dropped_events")))),
        Cell::new(
            format!("failed {}/s", rate(failed)),
            if failed.unwrap_or_default() > 0.0 { Tone::Warn } else { Tone::Plain },
        ),
    ];
    Head { agent, load, balance: balance(status.pipelines.iter().map(|pipeline| &pipeline.balance), "balance") }
}

/// The balance of pipelines: what entered and what left. The terms that are 0 are left out, except for the first ones.
pub(crate) fn balance<'a>(balances: impl Iterator<Item = &'a Balance>, title: &str) -> Cell {
    let mut sum = Balance::default();
    for balance in balances {
        sum.received = sum.received.saturating_add(balance.received);
        sum.split = sum.split.saturating_add(balance.split);
        sum.copied = sum.copied.saturating_add(balance.copied);
        sum.made = sum.made.saturating_add(balance.made);
        sum.delivered = sum.delivered.saturating_add(balance.delivered);
        sum.failed = sum.failed.saturating_add(balance.failed);
        sum.dropped = sum.dropped.saturating_add(balance.dropped);
        sum.held = sum.held.saturating_add(balance.held);
        sum.returned = sum.returned.saturating_add(balance.returned);
        sum.in_progress = sum.in_progress.saturating_add(balance.in_progress);
        sum.unbalanced = sum.unbalanced.saturating_add(balance.unbalanced);
    }
    let mut text = format!("{title} {} in", count(sum.received)).trim_start().to_owned();
    if sum.split != 0 {
        let sign = if sum.split < 0 { '-' } else { '+' };
        text.push_str(&format!(" {sign} {} split", count(sum.split.unsigned_abs())));
    }
    let term = |text: &mut String, sign: &str, value: u64, name: &str| {
        if value > 0 {
            text.push_str(&format!(" {sign} {} {name}", count(value)));
        }
    };
    term(&mut text, "+", sum.copied, "copied");
    term(&mut text, "+", sum.made, "made");
    text.push_str(&format!(" = {} out", count(sum.delivered)));
    term(&mut text, "+", sum.failed, "failed");
    term(&mut text, "+", sum.dropped, "dropped");
    term(&mut text, "+", sum.held, "held");
    term(&mut text, "+", sum.returned, "returned");
    // A worker counts while the agent reads, so a small negative number is possible.
    if let Some(progress) = u64::try_from(sum.in_progress).ok().filter(|progress| *progress > 0) {
        text.push_str(&format!(" + {} in work", count(progress)));
    }
    match sum.unbalanced {
        0 => Cell::new(text, Tone::Plain),
        events => Cell::new(format!("UNBALANCED by {} events: {text}", exact(events)), Tone::Bad),
    }
}

/// What the operator should know, the worst first.
pub(super) fn alerts(status: &Status) -> Vec<Cell> {
    let mut bad = Vec::new();
    let mut warn = Vec::new();
    if let Some(reason) = &status.reason {
        let list = if status.phase == "running" { &mut bad } else { &mut warn };
        list.push(format!("not ready: {}", safe(reason)));
    }
    for pipeline in &status.pipelines {
        let name = safe(&pipeline.name);
        if pipeline.balance.unbalanced > 0 {
            bad.push(format!(
                "pipeline {name} is unbalanced by {} events: a bug of the agent",
                exact(pipeline.balance.unbalanced)
            ));
        }
        for node in pipeline.nodes.iter().filter(|node| node.counts.get("circuit_open") > 0) {
            bad.push(format!("node {name}/{}: its circuit is open after too many faults", safe(&node.name)));
        }
    }
    for sink in &status.sinks {
        let name = safe(&sink.name);
        bad.extend(sink.error.as_ref().map(|error| format!("sink {name}: {}", safe(error))));
        warn.extend(sink.retrying_seconds.map(|seconds| format!("sink {name}: retrying for {}", ago(seconds))));
    }
    if let Some(last) = &status.reloads.last
        && let Some(error) = &last.error
    {
        warn.push(format!("reload {} at {}: {}", safe(&last.outcome), safe(&last.at), safe(error)));
    }
    for registry in &status.registries {
        warn.extend(
            registry.error.as_ref().map(|error| format!("registry {}: {}", safe(&registry.reference), safe(error))),
        );
    }
    for kept in &status.quarantines {
        let held = bytes(kept.bytes);
        warn.push(format!("pipeline {}: {held} in quarantine; see `wattle quarantine list`", safe(&kept.pipeline)));
    }
    for source in &status.sources {
        let name = safe(&source.name);
        bad.extend(source.error.as_ref().map(|error| format!("source {name}: {}", safe(error))));
        warn.extend(source.unmatched.iter().map(|unmatched| format!("source {name}: {}", safe(unmatched))));
        warn.extend(
            source
                .last_failure
                .as_ref()
                .map(|last| format!("source {name}: last failure at {}: {}", safe(&last.at), safe(&last.reason))),
        );
    }
    let cells = |texts: Vec<String>, tone| texts.into_iter().map(move |text| Cell::new(text, tone));
    cells(bad, Tone::Bad).chain(cells(warn, Tone::Warn)).collect()
}
