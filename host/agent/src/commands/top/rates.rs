//! Rates: the difference of two documents divided by the time between them.

use std::collections::{BTreeMap, HashMap};

use wattle_api::status::{Node, Output, Pipeline, Sink, Source, Status};

/// Two documents of one process, or one document alone.
pub(crate) struct Pair<'a> {
    pub(crate) now: &'a Status,
    /// The earlier document, and the seconds between the two.
    before: Option<(&'a Status, f64)>,
    /// Its pipelines by name: an agent can have thousands.
    pipelines: HashMap<&'a str, &'a Pipeline>,
}

impl<'a> Pair<'a> {
    /// Rates need two documents of one process: after a restart of the agent, all counts begin at 0.
    pub(crate) fn new(before: Option<&'a Status>, now: &'a Status) -> Self {
        let before = before
            .filter(|before| before.pid == now.pid && before.started_at == now.started_at)
            .map(|before| (before, now.uptime_seconds - before.uptime_seconds))
            .filter(|(_, seconds)| *seconds > 0.0);
        let pipelines = before.into_iter().flat_map(|(before, _)| &before.pipelines);
        let pipelines = pipelines.map(|pipeline| (pipeline.name.as_str(), pipeline)).collect();
        Self { now, before, pipelines }
    }

    /// The rates of the whole agent.
    pub(crate) fn agent(&self) -> Rates<'a, Status> {
        Rates { now: self.now, before: self.before }
    }

    pub(crate) fn source(&self, now: &'a Source) -> Rates<'a, Source> {
        self.of(now, |status| status.sources.iter().find(|before| before.name == now.name))
    }

    pub(crate) fn pipeline(&self, now: &'a Pipeline) -> Rates<'a, Pipeline> {
        self.of(now, |_| self.pipelines.get(now.name.as_str()).copied())
    }

    pub(crate) fn node(&self, of: &str, now: &'a Node) -> Rates<'a, Node> {
        self.of(now, |_| self.pipelines.get(of)?.nodes.iter().find(|before| before.name == now.name))
    }

    pub(crate) fn output(&self, of: &str, now: &'a Output) -> Rates<'a, Output> {
        self.of(now, |_| self.pipelines.get(of)?.outputs.iter().find(|before| before.name == now.name))
    }

    pub(crate) fn sink(&self, now: &'a Sink) -> Rates<'a, Sink> {
        self.of(now, |status| status.sinks.iter().find(|before| before.name == now.name))
    }

    fn of<T>(&self, now: &'a T, find: impl Fn(&'a Status) -> Option<&'a T>) -> Rates<'a, T> {
        let before = self.before.and_then(|(before, seconds)| Some((find(before)?, seconds)));
        Rates { now, before }
    }
}

/// One subject in both documents.
pub(crate) struct Rates<'a, T> {
    pub(crate) now: &'a T,
    before: Option<(&'a T, f64)>,
}

impl<T> Rates<'_, T> {
    /// The rate of a count a second; none without an earlier document, or if the count began again.
    #[expect(clippy::cast_precision_loss, reason = "a rounded figure for people")]
    pub(crate) fn rate(&self, count: impl Fn(&T) -> u64) -> Option<f64> {
        let (before, seconds) = self.before?;
        let added = count(self.now).checked_sub(count(before))?;
        Some(added as f64 / seconds)
    }

    /// The same of a count that is not whole, such as seconds.
    pub(crate) fn rate_of(&self, count: impl Fn(&T) -> f64) -> Option<f64> {
        let (before, seconds) = self.before?;
        Some((count(self.now) - count(before)) / seconds).filter(|rate| *rate >= 0.0)
    }
}

/// The sum of counts by name.
pub(crate) fn sum(counts: &BTreeMap<String, u64>) -> u64 {
    counts.values().fold(0, |sum, count| sum.saturating_add(*count))
}

/// Events that left a node and had not failed there.
pub(crate) fn sent(node: &Node) -> u64 {
    sum(&node.ports).saturating_sub(node.ports.get("failed").copied().unwrap_or_default())
}

/// Sum over all pipelines.
pub(crate) fn total(status: &Status, key: &str) -> u64 {
    status.pipelines.iter().fold(0, |sum, pipeline| sum.saturating_add(pipeline.counts.get(key)))
}
