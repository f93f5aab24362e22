//! What can go wrong in a call of a guest.

use wasmtime::Trap;

use crate::state::State;

/// The kinds of faults: a closed set, used as metric label and as failure code of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The guest trapped: a panic, an access out of bounds, a division by zero.
    Trap,
    /// It recursed deeper than its stack.
    StackOverflow,
    /// It ran longer than its time limit.
    TimeLimit,
    /// It asked for more memory than its limit.
    MemoryLimit,
    /// It answered with more bytes than its limit.
    OutputLimit,
    /// It called the host more often than its limit.
    HostCallLimit,
    /// A decision broke the contract.
    InvalidDecision,
    /// It answered with an error for the whole batch.
    NodeError,
    /// A fresh instance could not be made or configured.
    Instantiate,
}

/// Who is to blame for a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The node: the same call faults again on any machine.
    Guest,
    /// The agent or its machine.
    Host,
}

impl Blame {
    /// Name, used as metric label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Guest => "guest",
            Self::Host => "host",
        }
    }
}

impl FaultKind {
    /// Who is to blame for a fault of this kind. A node that was configured once and has neither clock nor randomness
    /// is configured again, so where that fails the machine lacks something.
    pub fn blame(self) -> Blame {
        match self {
            Self::Instantiate => Blame::Host,
            Self::Trap
            | Self::StackOverflow
            | Self::TimeLimit
            | Self::MemoryLimit
            | Self::OutputLimit
            | Self::HostCallLimit
            | Self::InvalidDecision
            | Self::NodeError => Blame::Guest,
        }
    }

    /// Name in kebab-case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::StackOverflow => "stack-overflow",
            Self::TimeLimit => "time-limit",
            Self::MemoryLimit => "memory-limit",
            Self::OutputLimit => "output-limit",
            Self::HostCallLimit => "host-call-limit",
            Self::InvalidDecision => "invalid-decision",
            Self::NodeError => "node-error",
            Self::Instantiate => "instantiate",
        }
    }
}

/// A fault of a guest call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which kind.
    pub kind: FaultKind,
    /// What happened, for people; may hold several lines (a backtrace) after the first.
    pub message: String,
}

impl Fault {
    pub(crate) fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// The first line of the message.
    pub fn summary(&self) -> &str {
        self.message.lines().next().unwrap_or_default()
    }

    /// Finds out what an error of a call was, from the error and from what the host noticed during the call.
    pub(crate) fn of(error: &wasmtime::Error, state: &mut State) -> Self {
        if let Some(noticed) = state.noticed.take() {
            return noticed;
        }
        let panic = state.panic.take();
        let kind = match error.downcast_ref::<Trap>() {
            // An allocator whose growth was denied aborts; the denial is the cause.
            _ if state.memory_denied => FaultKind::MemoryLimit,
            Some(Trap::Interrupt) => FaultKind::TimeLimit,
            Some(Trap::StackOverflow) => FaultKind::StackOverflow,
            _ => FaultKind::Trap,
        };
        let message = match (kind, panic) {
            (FaultKind::TimeLimit, _) => format!("ran longer than {} ms", state.time_limit.as_millis()),
            (FaultKind::MemoryLimit, _) => {
                format!("needed more than {} MiB of memory", state.limits.memory_bytes >> 20)
            }
            (_, Some(panic)) => {
                // The place comes on the first line and the message after it; the summary must hold both.
                let panic: Vec<&str> = panic.lines().map(str::trim).collect();
                format!("{}\n{error:?}", panic.join(" "))
            }
            (_, None) => {
                error.downcast_ref::<Trap>().map_or_else(|| format!("{error:?}"), |t| format!("{t}\n{error:?}"))
            }
        };
        Self { kind, message }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.kind.name(), self.summary())
    }
}
