//! What can go wrong in a call of a guest, and whose fault it is.

use wasmtime::{Trap, WasmBacktrace};

use crate::state::State;

/// Bytes of a message that are kept: a node may answer with an error of any length.
const MAX_MESSAGE_BYTES: usize = 16 << 10;

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
    /// It needs more table elements than its limit.
    TableLimit,
    /// It called the host more often than its limit.
    HostCallLimit,
    /// It sent more messages than its limit.
    LogLimit,
    /// It resolved more fields than its limit.
    FieldLimit,
    /// A decision broke the contract.
    InvalidDecision,
    /// It answered with an error for the whole batch.
    NodeError,
    /// A fresh instance could not be made or configured.
    Instantiate,
    /// The host went wrong while it worked for the guest.
    HostError,
}

impl FaultKind {
    /// All kinds; each stands at the place of its number.
    pub const ALL: [Self; 13] = [
        Self::Trap,
        Self::StackOverflow,
        Self::TimeLimit,
        Self::MemoryLimit,
        Self::OutputLimit,
        Self::TableLimit,
        Self::HostCallLimit,
        Self::LogLimit,
        Self::FieldLimit,
        Self::InvalidDecision,
        Self::NodeError,
        Self::Instantiate,
        Self::HostError,
    ];

    /// Name in kebab-case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::StackOverflow => "stack-overflow",
            Self::TimeLimit => "time-limit",
            Self::MemoryLimit => "memory-limit",
            Self::OutputLimit => "output-limit",
            Self::TableLimit => "table-limit",
            Self::HostCallLimit => "host-call-limit",
            Self::LogLimit => "log-limit",
            Self::FieldLimit => "field-limit",
            Self::InvalidDecision => "invalid-decision",
            Self::NodeError => "node-error",
            Self::Instantiate => "instantiate",
            Self::HostError => "host-error",
        }
    }
}

/// Who has to mend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The author of the node: it trapped, exceeded a limit, or broke the contract.
    Guest,
    /// The authors of the agent, or the machine that it runs on.
    Host,
}

impl Blame {
    /// Name in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Guest => "guest",
            Self::Host => "host",
        }
    }
}

/// A fault of a guest call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which kind.
    pub kind: FaultKind,
    /// Who has to mend it.
    pub blame: Blame,
    /// What happened, for people; may hold several lines (a backtrace) after the first.
    pub message: String,
}

impl Fault {
    pub(crate) fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        let blame = if kind == FaultKind::HostError { Blame::Host } else { Blame::Guest };
        let mut message = message.into();
        message.truncate(message.floor_char_boundary(MAX_MESSAGE_BYTES));
        Self { kind, blame, message }
    }

    /// A fault of the host itself, from what a panic of its code said.
    pub(crate) fn of_host(panic: &(dyn std::any::Any + Send)) -> Self {
        let said = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
        let said = said.unwrap_or("no message").lines().next().unwrap_or_default();
        Self::new(
            FaultKind::HostError,
            format!("the agent went wrong on behalf of the node: {said}; please report this"),
        )
    }

    /// The same fault, met while an instance was made.
    pub(crate) fn while_instantiating(self) -> Self {
        Self { kind: FaultKind::Instantiate, message: self.to_string(), ..self }
    }

    /// The first line of the message.
    pub fn summary(&self) -> &str {
        self.message.lines().next().unwrap_or_default()
    }

    /// The fault of a guest that reported a panic, and then came back instead of trapping.
    pub(crate) fn of_panic(state: &mut State) -> Self {
        let said = state.panic.take().unwrap_or_default();
        // An exception because there was no memory is about the limit.
        let kind = if state.memory_denied { FaultKind::MemoryLimit } else { FaultKind::Trap };
        Self::new(kind, told(&said))
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
            _ if state.table_denied => FaultKind::TableLimit,
            Some(Trap::Interrupt) => FaultKind::TimeLimit,
            Some(Trap::StackOverflow) => FaultKind::StackOverflow,
            Some(_) => FaultKind::Trap,
            None if is_too_much(error) => FaultKind::OutputLimit,
            // Without a trap, what crossed the border was wrong: a list that lies outside of memory, text that is none.
            None => FaultKind::InvalidDecision,
        };
        let message = match (kind, panic) {
            (FaultKind::TimeLimit, _) => format!("ran longer than {} ms", state.time_limit.as_millis()),
            (FaultKind::MemoryLimit, _) => {
                format!("needed more than {} MiB of memory", state.limits.memory_bytes >> 20)
            }
            (FaultKind::TableLimit, _) => {
                format!("needed more than {} table elements", state.limits.table_elements)
            }
            (FaultKind::OutputLimit, _) => format!("answered with more than {} bytes", state.max_output_bytes()),
            (_, Some(panic)) => format!("{}\n{}", told(&panic), guest_side(error)),
            (_, None) => match error.downcast_ref::<Trap>() {
                Some(trap) => format!("{trap}\n{}", guest_side(error)),
                // The root says what, the context around it only where.
                None => format!("{}\n{}", error.root_cause(), guest_side(error)),
            },
        };
        Self::new(kind, message)
    }
}

/// What a guest said of its panic, with a first line that says it all: Rust gives the place there, and the message on the
/// next. Other languages begin with the message; where it was comes after it.
fn told(panic: &str) -> String {
    let mut lines = panic.lines().map(str::trim_end);
    let mut first = lines.next().unwrap_or_default().to_owned();
    if first.ends_with(':') {
        first = format!("{first} {}", lines.next().unwrap_or_default().trim());
    }
    std::iter::once(first.as_str()).chain(lines).collect::<Vec<_>>().join("\n")
}

/// The guest's backtrace of an error, if it has one. Not the `Debug` form of the error: that resolves the symbols of a
/// backtrace of the host, which allocates, and an error may be about memory.
fn guest_side(error: &wasmtime::Error) -> String {
    error.downcast_ref::<WasmBacktrace>().map(ToString::to_string).unwrap_or_default()
}

/// Whether wasmtime refused to copy what a guest gave, because it is more than the host takes in one call. Its error has
/// no public type, so its text must do; a test notices should it change.
fn is_too_much(error: &wasmtime::Error) -> bool {
    error.root_cause().to_string().starts_with("too much data is being copied")
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.kind.name(), self.summary())
    }
}
