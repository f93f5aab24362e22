//! What the source `kafka` does, and how it reports failures.

use wattle_kafka::{Failure, FailureKind};

use crate::reports::{self, Failed};

/// Failures that were logged and are not over.
pub(super) type Reports = reports::Reports<Action, FailureKind>;

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

impl reports::Action for Action {
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

impl Failed for Failure {
    type Kind = FailureKind;

    fn kind(&self) -> FailureKind {
        self.kind
    }

    fn text(&self) -> &str {
        &self.text
    }

    fn needs_operator(&self) -> bool {
        self.kind.needs_operator()
    }
}
