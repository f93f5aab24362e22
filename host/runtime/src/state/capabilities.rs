//! What an instance does with capabilities: counted, charged, and only where it is granted and allowed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use wattle_capability::{Capability, Kind, Label, NodeServices};
use wattle_pack::LogLevel;

use super::State;
use crate::fault::{Fault, FaultKind};

/// When a function may be called.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// Whenever the node was given its services: not in `describe`.
    Configured,
    /// While it processes a batch.
    Process,
}

/// What an instance has of its capabilities.
#[derive(Default)]
pub(crate) struct Held {
    /// Missing in `describe`.
    pub(crate) services: Option<NodeServices>,
    /// Lines that the current call wrote.
    lines: u32,
    /// When the current call must have ended.
    deadline: Option<Instant>,
}

impl Held {
    /// Begins a call of `process`.
    pub(super) fn begin(&mut self) {
        self.lines = 0;
    }

    /// Notes when the current call must have ended.
    pub(crate) fn start_clock(&mut self, time: Duration) {
        self.deadline = Instant::now().checked_add(time);
    }
}

impl State {
    /// Runs a function of a capability: counts it, charges what the guest gave, refuses it where it is not granted or not
    /// the time, and turns a broken rule into a fault of the guest, a panic into one of the host.
    pub(crate) fn capability<T>(
        &mut self,
        capability: Capability,
        when: When,
        given_bytes: usize,
        run: impl FnOnce(&NodeServices, &mut Held) -> Result<T, String>,
    ) -> wasmtime::Result<T> {
        self.count_call()?;
        self.charge(given_bytes)?;
        let wrong = |what: &str| {
            let message = format!("called the capability `{}`{what}", capability.name());
            Fault::new(FaultKind::InvalidDecision, message)
        };
        let Some(services) = self.held.services.clone() else {
            return self.notice(wrong(" where it has none, as in `describe`"));
        };
        if !services.grants().has(capability.name()) {
            return self.notice(wrong(", which is not granted"));
        }
        if when == When::Process && self.call.is_none() {
            return self.notice(wrong(" outside of `process`"));
        }
        services.meter(capability).call();
        let held = &mut self.held;
        match catch_unwind(AssertUnwindSafe(|| run(&services, held))) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(message)) => {
                services.meter(capability).error();
                self.notice(Fault::new(FaultKind::InvalidDecision, format!("{}: {message}", capability.name())))
            }
            Err(panic) => self.notice(Fault::of_host(&*panic)),
        }
    }

    /// Writes a line to the log.
    pub(crate) fn log(&mut self, level: LogLevel, message: &str) -> wasmtime::Result<()> {
        self.capability(Capability::Log, When::Configured, message.len(), |services, held| {
            services.log(level, message, held.lines);
            held.lines = held.lines.saturating_add(1);
            Ok(())
        })
    }

    /// The handle of a metric.
    pub(crate) fn series(&mut self, name: &str, labels: Vec<Label>, kind: &Kind) -> wasmtime::Result<(u32,)> {
        let given = name.len() + labels.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        self.capability(Capability::Metrics, When::Configured, given, |services, _| {
            Ok((services.series(name, labels, kind)?,))
        })
    }
}
