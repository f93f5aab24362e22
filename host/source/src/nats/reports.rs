//! What the source `nats` does, and how it reports failures.

use wattle_nats::{Failure, FailureKind};

use crate::reports::{self, Failed};

/// Failures that were logged and are not over.
pub(super) type Reports = reports::Reports<Action, FailureKind>;

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

impl reports::Action for Action {
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
