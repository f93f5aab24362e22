//! Logs failures, each kind once until it is over.

use std::collections::BTreeMap;
use std::time::Instant;

use wattle_kafka::{Failure, FailureKind};

use crate::source::SourceContext;

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Action {
    /// Connecting to the brokers.
    Connect,
    /// Reading messages.
    Read,
    /// Finding a topic.
    FindTopics,
    /// Committing offsets.
    Commit,
}

impl Action {
    fn what(self) -> &'static str {
        match self {
            Self::Connect => "cannot connect to Kafka",
            Self::Read => "cannot read from Kafka",
            Self::FindTopics => "cannot read all topics",
            Self::Commit => "cannot commit offsets",
        }
    }

    fn works_again(self) -> &'static str {
        match self {
            Self::Connect => "connected to Kafka",
            Self::Read => "messages are read again",
            Self::FindTopics => "all topics are there",
            Self::Commit => "offsets are committed again",
        }
    }
}

/// Failures that were logged and are not over.
#[derive(Debug, Default)]
pub(super) struct Reports {
    logged: BTreeMap<(Action, FailureKind), Instant>,
}

impl Reports {
    /// Counts a failure; logs it if it is the first one of its kind.
    pub(super) fn failed(&mut self, context: &SourceContext, action: Action, failure: &Failure) {
        context.stats.fail(format!("{}: {failure}", action.what()));
        if self.logged.contains_key(&(action, failure.kind)) {
            return;
        }
        self.logged.insert((action, failure.kind), Instant::now());
        let (source, error, what) = (&context.name, &failure.text, action.what());
        if failure.kind.needs_operator() {
            tracing::error!(%source, error, "{what} until an operator acts; trying again");
        } else {
            tracing::warn!(%source, error, "{what}; trying again");
        }
    }

    /// An action succeeded.
    pub(super) fn worked(&mut self, context: &SourceContext, action: Action) {
        let of_action =
            self.logged.extract_if((action, FailureKind::Connection)..=(action, FailureKind::Invalid), |_, _| true);
        if let Some(since) = of_action.map(|(_, since)| since).min() {
            tracing::info!(source = %context.name, failed_for = ?since.elapsed(), "{}", action.works_again());
        }
    }

    /// Whether an action fails.
    pub(super) fn is_failing(&self, action: Action) -> bool {
        self.logged.keys().any(|(of, _)| *of == action)
    }
}
