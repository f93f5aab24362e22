//! Capabilities of an instance: counts and charges their calls, and refuses those that are not
//! granted or not allowed at the time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use wattle_batch::{Ack, Disposition};
use wattle_capability::{
    Budget, Capability, Claims, Failure, FindError, Kind, KvError, Label, MetricChange, MetricError, NodeServices,
    OpenTable, RandomError, Request, Response, Staged, TooLarge, UnknownFact, Values,
};
use wattle_plan::LogLevel;

use super::State;
use crate::bindings::BadColumn;
use crate::fault::{Fault, FaultKind};
use crate::runtime::ticks;

/// When a function may be called.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// Whenever the node has its services: not in `describe`.
    Configured,
    /// During `process` and `tick`.
    Call,
    /// During `process`.
    Process,
}

/// The capabilities of an instance.
#[derive(Default)]
pub(crate) struct Held {
    /// `None` in `describe`.
    pub(crate) services: Option<NodeServices>,
    /// Tables by handle.
    tables: Vec<OpenTable>,
    /// Log lines of the current call.
    lines: u32,
    /// Remaining budget for requests of the current batch, set by the first request. The runner
    /// passes it from call to call, so all calls that search for a poisonous row share it.
    pub(crate) requested: Option<Budget>,
    /// Visible effects of the current call.
    pub(crate) effects: Effects,
    /// Deadline of the current call.
    deadline: Option<Instant>,
    /// Capabilities that were called.
    pub(crate) used: Vec<Capability>,
    /// The capability of the last call that was refused because it is not granted.
    pub(crate) refused: Option<Capability>,
}

impl Held {
    /// Begins a call of `process` or `tick`.
    pub(super) fn begin(&mut self) {
        self.lines = 0;
        self.effects = Effects::default();
    }

    /// Deadline of the current call.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Sets the deadline of the current call.
    pub(crate) fn start_clock(&mut self, time: Duration) {
        self.deadline = Instant::now().checked_add(time);
    }
}

/// Effects of a call on keys and values, claims and metrics. They take effect only if the call
/// succeeds: dropping them discards them.
#[derive(Default)]
pub(crate) struct Effects {
    kept: Staged,
    claims: Claims,
    metrics: Vec<MetricChange>,
}

impl Effects {
    /// Applies the effects. `ack` is a share of the batch of the call, or `Ack::none()` for a tick:
    /// when it ends, the claims of the call become firm or are removed.
    pub(crate) fn commit(self, services: Option<&NodeServices>, ack: &Ack) {
        let Some(services) = services else { return };
        if !self.kept.is_empty() {
            // Durable values must be on disk before the source learns that the batch is delivered.
            let share = ack.share();
            services.kv_commit(self.kept, move || share.deliver());
        }
        if !self.claims.is_empty() {
            let claims = self.claims;
            // Events that a sink gave up are lost unless their client sends them again.
            ack.watch(move |end| claims.end(matches!(end, Disposition::Delivered | Disposition::Rejected)));
        }
        for change in self.metrics {
            // The change was validated when it was created.
            if let Err(error) = services.metrics().apply(change) {
                tracing::debug!(%error, "dropped a change of a node's metric");
            }
        }
    }
}

/// Maximum number of tables that an instance can open.
const MAX_TABLES: usize = 256;

/// Why a call of a capability is a fault.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error(transparent)]
    Column(#[from] BadColumn),
    #[error(transparent)]
    Metric(#[from] MetricError),
    #[error(transparent)]
    Random(#[from] RandomError),
    #[error(transparent)]
    Fact(#[from] UnknownFact),
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    #[error(transparent)]
    Find(#[from] FindError),
    #[error("opened more than {max} tables", max = MAX_TABLES)]
    TooManyTables,
    #[error("no table has the handle {0}")]
    UnknownTable(u32),
    #[error("{amounts} amounts for {keys} keys")]
    Amounts { keys: usize, amounts: usize },
    #[error("{keys} keys for a batch of {rows} rows")]
    Keys { keys: usize, rows: usize },
}

/// Responses to requests, and the ticks that are left for the call after them.
type Sent = (Vec<Result<Response, Failure>>, u64);

impl State {
    /// Runs a function of a capability: counts the call, charges what the guest returned, refuses
    /// it if it is not granted or not allowed at this time, and converts a broken rule to a fault
    /// of the guest, and a panic to one of the host.
    pub(crate) fn capability<T>(
        &mut self,
        capability: Capability,
        when: When,
        given_bytes: usize,
        run: impl FnOnce(&NodeServices, &mut Held) -> Result<T, CallError>,
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
            self.held.refused = Some(capability);
            return self.notice(wrong(", which is not granted"));
        }
        match when {
            When::Process if self.call.is_none() || self.is_tick => {
                return self.notice(wrong(" outside of `process`"));
            }
            When::Call if self.call.is_none() => return self.notice(wrong(" outside of `process` and `tick`")),
            When::Configured | When::Call | When::Process => {}
        }
        services.meter(capability).call();
        let held = &mut self.held;
        if !held.used.contains(&capability) {
            held.used.push(capability);
        }
        match catch_unwind(AssertUnwindSafe(|| run(&services, held))) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                services.meter(capability).error();
                self.notice(Fault::new(FaultKind::InvalidDecision, format!("{}: {error}", capability.name())))
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

    /// Returns the handle of a metric.
    pub(crate) fn series(&mut self, name: &str, labels: Vec<Label>, kind: &Kind) -> wasmtime::Result<(u32,)> {
        let given = name.len() + labels.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        self.capability(Capability::Metrics, When::Configured, given, |services, _| {
            Ok((services.series(name, labels, kind)?,))
        })
    }

    /// Changes a metric; during `process` the change waits for a successful end of the call.
    pub(crate) fn change_metric(&mut self, given: usize, change: MetricChange) -> wasmtime::Result<()> {
        let is_called = self.call.is_some();
        self.capability(Capability::Metrics, When::Configured, given, |services, held| {
            let pending = is_called.then_some(&mut held.effects.metrics);
            Ok(services.metrics().change(change, pending)?)
        })
    }

    /// A fact about the machine or the agent.
    pub(crate) fn fact(&mut self, name: &str) -> wasmtime::Result<Option<String>> {
        let fact = self.capability(Capability::Host, When::Configured, name.len(), |services, _| {
            Ok(services.fact(name)?.map(str::to_owned))
        })?;
        self.charge(fact.as_ref().map_or(0, String::len))?;
        Ok(fact)
    }

    /// Opens columns of a table; allowed only in `configure`.
    pub(crate) fn open_table(&mut self, table: &str, columns: &[String]) -> wasmtime::Result<Result<u32, String>> {
        if self.fields.is_none() {
            return Ok(Err("tables can be opened only in `configure`".into()));
        }
        let given = table.len() + columns.iter().map(String::len).sum::<usize>();
        self.capability(Capability::Lookup, When::Configured, given, |services, held| {
            if held.tables.len() >= MAX_TABLES {
                return Err(CallError::TooManyTables);
            }
            // The guest gets the error as text.
            Ok(services.open(table, columns).map_err(|error| error.to_string()).map(|opened| {
                held.tables.push(opened);
                u32::try_from(held.tables.len() - 1).unwrap_or(u32::MAX)
            }))
        })
    }

    /// Finds rows of a table.
    pub(crate) fn find(
        &mut self,
        given: usize,
        table: u32,
        keys: Result<Values, BadColumn>,
    ) -> wasmtime::Result<Vec<Values>> {
        let room = usize::try_from(self.room()).unwrap_or(usize::MAX);
        let found = self.capability(Capability::Lookup, When::Process, given, |_, held| {
            let opened = held.tables.get(table as usize);
            Ok(opened.ok_or(CallError::UnknownTable(table))?.find(&keys?, room)?)
        })?;
        self.charge(found.iter().map(|column| column.byte_len()).sum())?;
        Ok(found)
    }

    /// Runs a function of `kv` that can return an error.
    pub(crate) fn kv<T>(
        &mut self,
        given: usize,
        keys: Result<Values, BadColumn>,
        run: impl FnOnce(&NodeServices, Values, &mut Staged) -> Result<Result<T, KvError>, CallError>,
    ) -> wasmtime::Result<Result<T, String>> {
        self.capability(Capability::Kv, When::Call, given, |services, held| {
            let answer = run(services, keys?, &mut held.effects.kept)?;
            if answer.is_err() {
                services.meter(Capability::Kv).error();
            }
            // The guest gets the error as text.
            Ok(answer.map_err(|error| error.to_string()))
        })
    }

    /// The values of keys.
    pub(crate) fn kv_get(&mut self, given: usize, keys: Result<Values, BadColumn>) -> wasmtime::Result<Values> {
        let room = usize::try_from(self.room()).unwrap_or(usize::MAX);
        let found = self.capability(Capability::Kv, When::Call, given, |services, held| {
            Ok(services.kv_get(&keys?, room, &held.effects.kept)?)
        })?;
        self.charge(found.byte_len())?;
        Ok(found)
    }

    /// Claims keys, one per row of the batch. Returns 1 for each row whose key is new.
    pub(crate) fn claim(
        &mut self,
        given: usize,
        keys: Result<Values, BadColumn>,
        ttl: u64,
    ) -> wasmtime::Result<Vec<u8>> {
        let rows = self.call.as_ref().map_or(0, wattle_batch::Call::rows);
        let is_new = self.capability(Capability::Seen, When::Process, given, |services, held| {
            let keys = keys?;
            if keys.rows() != rows {
                return Err(CallError::Keys { keys: keys.rows(), rows });
            }
            Ok(services.seen_claim(&keys, ttl, &mut held.effects.claims))
        })?;
        self.charge(is_new.len())?;
        Ok(is_new)
    }

    /// Sends requests; extends the deadline of the call by their duration.
    pub(crate) fn send(&mut self, given: usize, requests: Vec<Request>) -> wasmtime::Result<Sent> {
        let since = Instant::now();
        let answers = self.capability(Capability::HttpClient, When::Process, given, |services, held| {
            let answers = services.send(&requests, &mut held.requested);
            let meter = services.meter(Capability::HttpClient);
            answers.iter().filter(|answer| answer.is_err()).for_each(|_| meter.error());
            Ok(answers)
        })?;
        let bytes = |answer: &Result<Response, Failure>| answer.as_ref().map_or(0, |response| response.body.len());
        self.charge(answers.iter().map(bytes).sum())?;
        let took = since.elapsed();
        let deadline = self.held.deadline.and_then(|deadline| deadline.checked_add(took));
        self.held.deadline = deadline;
        let left = deadline.map_or(self.time_limit, |deadline| deadline.saturating_duration_since(Instant::now()));
        Ok((answers, ticks(left)))
    }
}
