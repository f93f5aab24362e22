//! The host's data for one running instance: the call, and the use of its limits.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use wasmtime::ResourceLimiter;
use wattle_batch::{Call, Field, FieldPath, InvalidDecision};
use wattle_plan::NodeLimits;

use crate::fault::{Fault, FaultKind};
use capabilities::Held;

/// Maximum length of a panic message, in bytes.
const MAX_PANIC_BYTES: usize = 8 << 10;

/// Data of a store.
pub(crate) struct State {
    pub(crate) limits: NodeLimits,
    /// Time limit of the current call.
    pub(crate) time_limit: Duration,
    /// The fields resolved so far; set during `configure`.
    pub(crate) fields: Option<Vec<Field>>,
    /// State of its capabilities.
    pub(crate) held: Held,
    /// Whether the node exports `state`, so that it may hold rows.
    pub(crate) is_stateful: bool,
    /// Output that every call may return.
    pub(crate) output_floor_bytes: u64,
    /// Set during `process` and `tick`.
    call: Option<Call>,
    /// Whether the current call is that of the timer, which has no batch.
    is_tick: bool,
    input_bytes: usize,
    host_calls: u32,
    log_lines: u32,
    output_bytes: u64,
    max_output_bytes: u64,
    /// The last message that the guest reported before a trap.
    pub(crate) panic: Option<String>,
    /// A fault that the host found; the trap that follows only ends the call.
    pub(crate) noticed: Option<Fault>,
    pub(crate) memory_denied: bool,
    pub(crate) table_denied: bool,
    table_elements: usize,
    /// Linear memory of the instance, in bytes.
    pub(crate) memory_bytes: usize,
}

impl State {
    pub(crate) fn new(limits: NodeLimits) -> Self {
        Self {
            time_limit: limits.time,
            limits,
            fields: None,
            held: Held::default(),
            is_stateful: false,
            output_floor_bytes: NodeLimits::OUTPUT_FLOOR_BYTES,
            call: None,
            is_tick: false,
            input_bytes: 0,
            host_calls: 0,
            log_lines: 0,
            output_bytes: 0,
            max_output_bytes: NodeLimits::OUTPUT_FLOOR_BYTES,
            panic: None,
            noticed: None,
            memory_denied: false,
            table_denied: false,
            table_elements: 0,
            memory_bytes: 0,
        }
    }

    /// Starts a call of `process`. `charged_bytes` is the base of the output limit.
    pub(crate) fn begin(&mut self, call: Call, input_bytes: usize, charged_bytes: usize) {
        self.call = Some(call);
        self.is_tick = false;
        self.input_bytes = input_bytes;
        self.host_calls = 0;
        self.log_lines = 0;
        self.held.begin();
        self.panic = None;
        self.output_bytes = 0;
        let allowed = (charged_bytes as u64).saturating_mul(u64::from(self.limits.output_ratio));
        self.max_output_bytes = allowed.max(self.output_floor_bytes);
    }

    /// Starts a call of the timer.
    pub(crate) fn begin_tick(&mut self, call: Call, is_last: bool) {
        self.begin(call, 0, 0);
        self.is_tick = true;
        if is_last {
            let owed = (self.memory_bytes as u64).saturating_mul(NodeLimits::LAST_TICK_OUTPUT_RATIO);
            self.max_output_bytes = self.max_output_bytes.max(owed);
        }
    }

    /// Whether a request for memory or table elements was denied.
    pub(crate) fn denied(&self) -> bool {
        self.memory_denied || self.table_denied
    }

    /// Output limit of the current call, in bytes.
    pub(crate) fn max_output_bytes(&self) -> u64 {
        self.max_output_bytes
    }

    /// Remaining output of the current call, in bytes.
    pub(crate) fn room(&self) -> u64 {
        self.max_output_bytes.saturating_sub(self.output_bytes)
    }

    /// Bytes of the batch of the current call.
    pub(crate) fn input_bytes(&self) -> usize {
        self.input_bytes
    }

    /// Bytes of these rows; a row that does not exist counts as empty.
    pub(crate) fn body_bytes(&self, rows: &[u32]) -> usize {
        self.call.as_ref().map_or(0, |call| call.body_bytes(rows))
    }

    /// Ends the call.
    pub(crate) fn end(&mut self) -> Option<Call> {
        self.call.take()
    }

    /// Counts a host call of any kind.
    fn count_call(&mut self) -> wasmtime::Result<()> {
        self.host_calls = self.host_calls.saturating_add(1);
        if self.host_calls > self.limits.host_calls {
            let message = format!("made more than {} host calls in one call", self.limits.host_calls);
            return self.notice(Fault::new(FaultKind::HostCallLimit, message));
        }
        Ok(())
    }

    /// Charges bytes that the guest passed, or made the host create.
    fn charge(&mut self, bytes: usize) -> wasmtime::Result<()> {
        self.output_bytes = self.output_bytes.saturating_add(bytes as u64);
        if self.output_bytes > self.max_output_bytes {
            let message = format!("returned more than {} bytes", self.max_output_bytes);
            return self.notice(Fault::new(FaultKind::OutputLimit, message));
        }
        Ok(())
    }

    /// Runs a function of the interface `batch`: counts the call, charges what the guest returned
    /// or made the host repeat, and converts a broken rule to a fault of the guest, and a panic to
    /// one of the host.
    pub(crate) fn in_call<T>(
        &mut self,
        given_bytes: usize,
        run: impl FnOnce(&mut Call) -> Result<T, InvalidDecision>,
    ) -> wasmtime::Result<T> {
        if self.is_tick && self.call.is_some() {
            let message = "called the interface `batch` in `tick`, which has no batch";
            return self.notice(Fault::new(FaultKind::InvalidDecision, message));
        }
        self.in_call_or_tick(given_bytes, run)
    }

    /// Like [`in_call`](Self::in_call), for a function that the timer may also call.
    pub(crate) fn in_call_or_tick<T>(
        &mut self,
        given_bytes: usize,
        run: impl FnOnce(&mut Call) -> Result<T, InvalidDecision>,
    ) -> wasmtime::Result<T> {
        self.count_call()?;
        self.charge(given_bytes)?;
        let Some(call) = &mut self.call else {
            let message = "called the interface `batch` or `events` outside of `process` and `tick`";
            return self.notice(Fault::new(FaultKind::InvalidDecision, message));
        };
        // A panic would end the worker, and with it every pipeline on this thread. After one, the
        // batch of the call is only returned, never read.
        match catch_unwind(AssertUnwindSafe(|| run(call))) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => self.notice(Fault::new(FaultKind::InvalidDecision, error.0)),
            Err(panic) => self.notice(Fault::of_host(&*panic)),
        }
    }

    fn notice<T>(&mut self, fault: Fault) -> wasmtime::Result<T> {
        let error = wasmtime::Error::msg(fault.to_string());
        self.noticed.get_or_insert(fault);
        Err(error)
    }

    /// Resolves a field path; allowed only in `configure`.
    pub(crate) fn resolve(&mut self, path: &str, read: bool, write: bool) -> wasmtime::Result<Result<u32, String>> {
        self.count_call()?;
        let Some(fields) = &mut self.fields else {
            return Ok(Err("fields can be resolved only in `configure`".into()));
        };
        let path = match FieldPath::parse(path) {
            Ok(path) => path,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let field = Field { path, read, write };
        let index = match fields.iter().position(|f| *f == field) {
            Some(index) => index,
            None if fields.len() >= self.limits.fields as usize => {
                let message = format!("resolved more than {} fields", self.limits.fields);
                return self.notice(Fault::new(FaultKind::FieldLimit, message));
            }
            None => {
                fields.push(field);
                fields.len() - 1
            }
        };
        Ok(u32::try_from(index).map_err(|e| e.to_string()))
    }

    /// Records the message of a panic.
    pub(crate) fn panicked(&mut self, mut message: String) -> wasmtime::Result<()> {
        self.count_call()?;
        self.log_lines = self.log_lines.saturating_add(1);
        if self.log_lines > self.limits.log_lines {
            let message = format!("sent more than {} messages in one call", self.limits.log_lines);
            return self.notice(Fault::new(FaultKind::LogLimit, message));
        }
        let mut end = message.len().min(MAX_PANIC_BYTES);
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message.truncate(end);
        self.panic = Some(message);
        Ok(())
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

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.table_elements.saturating_add(desired.saturating_sub(current));
        if total as u64 > self.limits.table_elements {
            self.table_denied = true;
            return Ok(false);
        }
        self.table_elements = total;
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.limits.instances as usize
    }

    fn tables(&self) -> usize {
        self.limits.instances as usize
    }

    fn memories(&self) -> usize {
        self.limits.instances as usize
    }
}

pub(crate) mod capabilities;
#[cfg(test)]
mod tests;
