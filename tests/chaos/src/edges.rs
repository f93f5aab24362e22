//! Agents between Kafka, NATS, OTLP, syslog and a search index, while agents are killed, stopped, reloaded, added and
//! removed, and servers restart: no event is lost, and where the events have ids, none is there twice.
//!
//! Each scenario is a chain with a known input and one place where the events arrive. Only one thing happens at a time, but
//! the load goes on meanwhile.

mod agents;
mod chains;
mod clients;
mod servers;

use std::collections::HashMap;

use crate::report::{Outcome, Report};

/// Numbers of a run.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Faults of each scenario.
    pub faults: usize,
}

impl Size {
    /// The size that the project has targets for.
    pub const fn full() -> Self {
        Self { faults: 30 }
    }

    /// A quarter of it.
    pub const fn quick() -> Self {
        Self { faults: 8 }
    }
}

/// What happened in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Agents that were killed with `kill -9`.
    pub(crate) kills: u64,
    /// Agents that were stopped in order.
    pub(crate) stops: u64,
    /// Reloads that agents applied.
    pub(crate) reloads: u64,
    /// Restarts of brokers and servers, and times in which servers refused requests.
    pub(crate) restarts: u64,
    /// Times that a group gave partitions to an agent.
    pub(crate) rebalances: u64,
    pub(crate) events: u64,
    pub(crate) lost: u64,
    /// Events that arrived again, where that is permitted.
    pub(crate) repeated: u64,
    /// Events that are there twice although they have ids.
    pub(crate) doubled: u64,
}

/// A scenario: its name, and what it runs.
type Scenario = (&'static str, fn(u64, Size, &mut Figures) -> Outcome);

/// Every scenario.
pub const SCENARIOS: &[Scenario] = &[
    ("kafka to nats to documents", chains::ids),
    ("kafka to kafka", chains::topics),
    ("otlp to otlp", chains::otlp),
    ("syslog over tcp", chains::syslog),
];

/// Runs every scenario, and records the figures.
pub fn section(report: &mut Report, seed: u64, size: Size) {
    report.section(&format!("Edges: agents between servers, {} faults each", size.faults));
    for (name, scenario) in SCENARIOS {
        let mut figures = Figures::default();
        let outcome = report.run(name, || scenario(seed, size, &mut figures));
        report.count_lost(outcome.as_ref());
        let Figures { kills, stops, reloads, restarts, rebalances, events, lost, repeated, doubled } = figures;
        for (key, figure) in [
            ("edges_kills", kills),
            ("edges_stops", stops),
            ("edges_reloads", reloads),
            ("edges_restarts", restarts),
            ("edges_rebalances", rebalances),
            ("edges_events", events),
            ("edges_lost", lost),
            ("edges_repeated", repeated),
            ("edges_doubled", doubled),
        ] {
            report.add(key, figure);
            if outcome.is_none() {
                report.unknown(key);
            }
        }
    }
}

/// How often each event arrived.
#[derive(Clone, Debug, Default)]
struct Arrived(HashMap<String, u64>);

impl Arrived {
    fn add(&mut self, events: impl IntoIterator<Item = String>) {
        for event in events {
            *self.0.entry(event).or_default() += 1;
        }
    }

    fn has_all(&self, sent: &HashMap<String, u64>) -> bool {
        sent.keys().all(|event| self.0.contains_key(event))
    }

    /// Compares with what was sent, and how often: a client can send an event again itself. Returns the lost events, those
    /// that arrived more often than they were sent, and those that were never sent.
    fn compare(&self, sent: &HashMap<String, u64>) -> (u64, u64, u64) {
        let lost = sent.keys().filter(|event| !self.0.contains_key(*event)).count() as u64;
        let again = |(event, times): (&String, &u64)| sent.get(event).map_or(0, |sent| times.saturating_sub(*sent));
        let unknown = self.0.keys().filter(|event| !sent.contains_key(*event)).count() as u64;
        (lost, self.0.iter().map(again).sum(), unknown)
    }
}

/// The outcome of a scenario with these figures. `unknown` events were never sent.
fn outcome(figures: &Figures, unknown: u64, note: &str) -> Outcome {
    let Figures { kills, stops, reloads, restarts, rebalances, events, lost, repeated, doubled } = *figures;
    let note = format!(
        "{events} events, {kills} kills, {stops} stops, {reloads} reloads, {restarts} restarts of servers, {rebalances} \
         assignments, {repeated} repeated{note}"
    );
    let broken = (unknown > 0).then(|| format!("{unknown} events that were never sent"));
    Outcome { lost, duplicated: doubled, broken, ..Outcome::new(note) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_twice_may_arrive_twice() {
        let text = str::to_owned;
        let mut arrived = Arrived::default();
        arrived.add(["a", "b", "b", "c", "c", "c", "x"].map(text));
        let sent = HashMap::from([(text("a"), 1), (text("b"), 2), (text("c"), 1), (text("d"), 1)]);
        assert_eq!((arrived.compare(&sent), arrived.has_all(&sent)), ((1, 2, 1), false));
    }
}
