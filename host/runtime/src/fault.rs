//! Faults of guest calls, and who caused them.

use wasmtime::{Trap, WasmBacktrace};

use crate::state::State;

/// Maximum length of a message in bytes: a node can return an error of any length.
const MAX_MESSAGE_BYTES: usize = 16 << 10;

/// The kinds of faults: a closed set, used as metric label and as failure code of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The guest trapped: a panic, an access out of bounds, a division by zero.
    Trap,
    /// It recursed deeper than its stack.
    StackOverflow,
    /// It exceeded its time limit.
    TimeLimit,
    /// It exceeded its memory limit.
    MemoryLimit,
    /// It exceeded its output limit.
    OutputLimit,
    /// It exceeded its limit of table elements.
    TableLimit,
    /// It exceeded its limit of host calls.
    HostCallLimit,
    /// It exceeded its limit of messages.
    LogLimit,
    /// It exceeded its limit of fields.
    FieldLimit,
    /// A decision broke the contract.
    InvalidDecision,
    /// It returned an error for the whole batch.
    NodeError,
    /// A new instance could not be created or configured.
    Instantiate,
    /// The host failed while it worked for the guest.
    HostError,
}

impl FaultKind {
    /// All kinds, each at the index of its number.
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

/// Who must fix the cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The author of the node: it trapped, exceeded a limit, or broke the contract.
    Guest,
    /// The authors of the agent, or its machine.
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
    /// The kind of the fault.
    pub kind: FaultKind,
    /// Who must fix the cause.
    pub blame: Blame,
    /// A message for the operator; the lines after the first contain a backtrace.
    pub message: String,
}

impl Fault {
    pub(crate) fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        let blame = if kind == FaultKind::HostError { Blame::Host } else { Blame::Guest };
        let mut message = message.into();
        message.truncate(message.floor_char_boundary(MAX_MESSAGE_BYTES));
        Self { kind, blame, message }
    }

    /// Creates a fault of the host from the message of a panic in its code.
    pub(crate) fn of_host(panic: &(dyn std::any::Any + Send)) -> Self {
        let said = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
        let said = said.unwrap_or("no message").lines().next().unwrap_or_default();
        Self::new(
            FaultKind::HostError,
            format!("the agent failed while it worked for the node: {said}; please report this"),
        )
    }

    /// The same fault, in the creation of an instance.
    pub(crate) fn while_instantiating(self) -> Self {
        Self { kind: FaultKind::Instantiate, message: self.to_string(), ..self }
    }

    /// The first line of the message.
    pub fn summary(&self) -> &str {
        self.message.lines().next().unwrap_or_default()
    }

    /// The fault of a guest that reported a panic and then returned instead of trapping.
    pub(crate) fn of_panic(state: &mut State) -> Self {
        let said = state.panic.take().unwrap_or_default();
        // An exception after a denied allocation is caused by the limit.
        let kind = if state.memory_denied { FaultKind::MemoryLimit } else { FaultKind::Trap };
        Self::new(kind, reason_first(&said))
    }

    /// Classifies an error of a call, from the error and from what the host recorded during the
    /// call.
    pub(crate) fn of(error: &wasmtime::Error, state: &mut State) -> Self {
        if let Some(noticed) = state.noticed.take() {
            return noticed;
        }
        let panic = state.panic.take();
        let kind = match error.downcast_ref::<Trap>() {
            // An allocator aborts when its growth is denied, so the denial is the cause.
            _ if state.memory_denied => FaultKind::MemoryLimit,
            _ if state.table_denied => FaultKind::TableLimit,
            Some(Trap::Interrupt) => FaultKind::TimeLimit,
            Some(Trap::StackOverflow) => FaultKind::StackOverflow,
            Some(_) => FaultKind::Trap,
            None if is_too_much(error) => FaultKind::OutputLimit,
            // Without a trap, a value at the boundary was invalid: a list outside of memory, or
            // text that is not UTF-8.
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
            (FaultKind::OutputLimit, _) => format!("returned more than {} bytes", state.max_output_bytes()),
            (_, Some(panic)) => format!("{}\n{}", reason_first(&panic), guest_side(error)),
            (_, None) => match error.downcast_ref::<Trap>() {
                Some(trap) => format!("{trap}\n{}", guest_side(error)),
                // The root cause is the reason; the context around it only gives the location.
                None => format!("{}\n{}", error.root_cause(), guest_side(error)),
            },
        };
        Self::new(kind, message)
    }
}

/// Puts the reason of a guest's panic on the first line: Rust gives the location there, and the
/// message on the next line. Other languages begin with the message.
fn reason_first(panic: &str) -> String {
    let mut lines = panic.lines().map(str::trim_end);
    let mut first = lines.next().unwrap_or_default().to_owned();
    if first.ends_with(':') {
        first = format!("{first} {}", lines.next().unwrap_or_default().trim());
    }
    std::iter::once(first.as_str()).chain(lines).collect::<Vec<_>>().join("\n")
}

/// The guest's backtrace of an error, if it has one. The `Debug` form of the error is not used: it
/// resolves the symbols of a host backtrace, which allocates, and an error may be about memory.
fn guest_side(error: &wasmtime::Error) -> String {
    error.downcast_ref::<WasmBacktrace>().map(ToString::to_string).unwrap_or_default()
}

/// Whether wasmtime refused to copy the guest's data because it exceeds the limit of one call. Its
/// error has no public type, so the text must do; a test notices if it changes.
fn is_too_much(error: &wasmtime::Error) -> bool {
    error.root_cause().to_string().starts_with("too much data is being copied")
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.kind.name(), self.summary())
    }
}
