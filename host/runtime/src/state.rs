//! What the host keeps for one instance while it runs: the call, and how much of its limits it has used.

use std::time::Duration;

use wasmtime::ResourceLimiter;
use wattle_batch::{Call, Field, FieldPath, InvalidDecision};
use wattle_pack::NodeLimits;

use crate::fault::{Fault, FaultKind};

/// Host calls that one call of a guest may make. No node needs a number that grows with its rows.
const MAX_HOST_CALLS: u32 = 10_000;
/// Elements of all tables of an instance; a guest's tables hold its functions.
const MAX_TABLE_ELEMENTS: usize = 1 << 20;
/// Fields that a node may resolve.
const MAX_FIELDS: usize = 4096;
/// Bytes of a panic message that are kept.
const MAX_PANIC_BYTES: usize = 8 << 10;

/// Data of a store.
pub(crate) struct State {
    pub(crate) limits: NodeLimits,
    /// Time that the current call may take.
    pub(crate) time_limit: Duration,
    /// Set while `configure` runs; the fields resolved so far.
    pub(crate) fields: Option<Vec<Field>>,
    /// Set while `process` runs.
    call: Option<Call>,
    host_calls: u32,
    output_bytes: u64,
    max_output_bytes: u64,
    /// The last message that the guest reported before a trap.
    pub(crate) panic: Option<String>,
    /// A fault that the host noticed; the trap that follows only ends the call.
    pub(crate) noticed: Option<Fault>,
    pub(crate) memory_denied: bool,
    /// Linear memory of the instance, in bytes.
    pub(crate) memory_bytes: usize,
}

impl State {
    pub(crate) fn new(limits: NodeLimits) -> Self {
        Self {
            time_limit: limits.time,
            limits,
            fields: None,
            call: None,
            host_calls: 0,
            output_bytes: 0,
            max_output_bytes: 0,
            panic: None,
            noticed: None,
            memory_denied: false,
            memory_bytes: 0,
        }
    }

    /// Begins a call of `process`.
    pub(crate) fn begin(&mut self, call: Call, input_bytes: usize) {
        self.call = Some(call);
        self.host_calls = 0;
        self.output_bytes = 0;
        let allowed = (input_bytes as u64).saturating_mul(u64::from(self.limits.output_ratio));
        self.max_output_bytes = allowed.max(NodeLimits::OUTPUT_FLOOR_BYTES);
    }

    /// Ends the call.
    pub(crate) fn end(&mut self) -> Option<Call> {
        self.call.take()
    }

    /// Runs a function of the interface `batch`: counts it, charges what the guest gave, and turns a broken rule into a
    /// fault.
    pub(crate) fn in_call<T>(
        &mut self,
        given_bytes: usize,
        run: impl FnOnce(&mut Call) -> Result<T, InvalidDecision>,
    ) -> wasmtime::Result<T> {
        self.host_calls += 1;
        self.output_bytes = self.output_bytes.saturating_add(given_bytes as u64);
        if self.host_calls > MAX_HOST_CALLS {
            let message = format!("made more than {MAX_HOST_CALLS} host calls in one call");
            return self.notice(Fault::new(FaultKind::HostCallLimit, message));
        }
        if self.output_bytes > self.max_output_bytes {
            let message = format!("answered with more than {} bytes", self.max_output_bytes);
            return self.notice(Fault::new(FaultKind::OutputLimit, message));
        }
        let Some(call) = &mut self.call else {
            let message = "called the interface `batch` outside of `process`";
            return self.notice(Fault::new(FaultKind::InvalidDecision, message));
        };
        match run(call) {
            Ok(value) => Ok(value),
            Err(error) => self.notice(Fault::new(FaultKind::InvalidDecision, error.0)),
        }
    }

    fn notice<T>(&mut self, fault: Fault) -> wasmtime::Result<T> {
        let error = wasmtime::Error::msg(fault.to_string());
        self.noticed.get_or_insert(fault);
        Err(error)
    }

    /// Resolves a field path, while the node is configured.
    pub(crate) fn resolve(&mut self, path: &str, read: bool, write: bool) -> Result<u32, String> {
        let Some(fields) = &mut self.fields else { return Err("fields are resolved in `configure` only".into()) };
        let path = FieldPath::parse(path).map_err(|e| e.to_string())?;
        let field = Field { path, read, write };
        let index = match fields.iter().position(|f| *f == field) {
            Some(index) => index,
            None if fields.len() >= MAX_FIELDS => return Err(format!("more than {MAX_FIELDS} fields")),
            None => {
                fields.push(field);
                fields.len() - 1
            }
        };
        u32::try_from(index).map_err(|e| e.to_string())
    }

    /// Keeps the message of a panic.
    pub(crate) fn panicked(&mut self, mut message: String) {
        let mut end = message.len().min(MAX_PANIC_BYTES);
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message.truncate(end);
        self.panic = Some(message);
    }
}

impl ResourceLimiter for State {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.memory_bytes + desired.saturating_sub(current);
        if total as u64 > self.limits.memory_bytes {
            self.memory_denied = true;
            return Ok(false);
        }
        self.memory_bytes = total;
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= MAX_TABLE_ELEMENTS)
    }
}
