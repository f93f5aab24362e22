//! Logs failures, each kind once until it is over.

use std::collections::BTreeMap;
use std::time::Instant;

use parking_lot::Mutex;
use wattle_nats::{Failure, FailureKind};

use crate::source::SourceContext;

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Action {
    /// Connecting to a server.
    Connect,
    /// Finding or creating the consumer.
    FindConsumer,
    /// Reading messages.
    Read,
    /// Acknowledging messages.
    Acknowledge,
}

impl Action {
    fn what(self) -> &'static str {
        match self {
            Self::Connect => "cannot connect to NATS",
            Self::FindConsumer => "cannot use the consumer",
            Self::Read => "cannot read from NATS",
            Self::Acknowledge => "cannot acknowledge messages",
        }
    }

    fn works_again(self) -> &'static str {
        match self {
            Self::Connect => "connected to NATS",
            Self::FindConsumer => "the consumer can be used",
            Self::Read => "messages are read again",
            Self::Acknowledge => "messages are acknowledged again",
        }
    }
}

/// Failures that were logged and are not over.
#[derive(Debug, Default)]
pub(super) struct Reports {
    logged: Mutex<BTreeMap<(Action, FailureKind), Instant>>,
}

impl Reports {
    /// Counts a failure; logs it if it is the first one of its kind.
    pub(super) fn failed(&self, context: &SourceContext, action: Action, failure: &Failure) {
        context.stats.fail(format!("{}: {failure}", action.what()));
        let mut logged = self.logged.lock();
        if logged.contains_key(&(action, failure.kind)) {
            return;
        }
        logged.insert((action, failure.kind), Instant::now());
        drop(logged);
        let (source, error, what) = (&context.name, &failure.text, action.what());
        if failure.kind.needs_operator() {
            tracing::error!(%source, error, "{what} until an operator acts; trying again");
        } else {
            tracing::warn!(%source, error, "{what}; trying again");
        }
    }

    /// An action succeeded.
    pub(super) fn worked(&self, context: &SourceContext, action: Action) {
        let mut logged = self.logged.lock();
        if logged.is_empty() {
            return;
        }
        let kinds = (action, FailureKind::FIRST)..=(action, FailureKind::LAST);
        let since = logged.extract_if(kinds, |_, _| true).map(|(_, since)| since).min();
        drop(logged);
        if let Some(since) = since {
            tracing::info!(source = %context.name, failed_for = ?since.elapsed(), "{}", action.works_again());
        }
    }
}
