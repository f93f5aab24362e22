//! One live instance of a node: configured, called batch by batch, discarded at the first fault.

mod configure;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::Store;
use wasmtime::component::{Component, ComponentExportIndex, TypedFunc};
use wattle_batch::{Ack, Batch, Call, NodeInfo, Outcome, Refusal};
use wattle_capability::{Budget, Capability, NodeServices};
use wattle_plan::NodeLimits;

pub(crate) use self::configure::{Options, Requested};
use self::configure::{check_ports, configure, requested};
use crate::artifact::Compiled;
use crate::bindings::{Contract, GuestOptionError, Snapshot};
use crate::fault::{Blame, Fault, FaultKind};
use crate::memory;
use crate::runtime::ticks;
use crate::snapshot::{Saved, StateExports, StateFunctions};
use crate::state::State;
use crate::state::capabilities::Effects;
use crate::tier::Kind;

/// An instance whose memory exceeds this is replaced after the call: linear memory never shrinks,
/// and one huge document must not occupy memory forever.
const RECYCLE_BYTES: usize = 16 << 20;

/// Where to find the functions of a node in its component.
pub(crate) struct Exports {
    pub(crate) describe: ComponentExportIndex,
    configure: ComponentExportIndex,
    process: ComponentExportIndex,
    tick: Option<ComponentExportIndex>,
    fuse: Option<ComponentExportIndex>,
    pub(crate) state: Option<StateExports>,
    pub(crate) contract: Contract,
}

impl Exports {
    pub(crate) fn find(component: &Component) -> Option<Self> {
        Contract::ALL.into_iter().find_map(|contract| Self::find_in(component, contract))
    }

    fn find_in(component: &Component, contract: Contract) -> Option<Self> {
        let node = component.get_export_index(None, contract.interface("node"))?;
        let find = |name| component.get_export_index(Some(&node), name);
        let timer = component.get_export_index(None, contract.interface("timer"));
        let fusion = component.get_export_index(None, contract.interface("fusion"));
        Some(Self {
            describe: find("describe")?,
            configure: find("configure")?,
            process: find("process")?,
            tick: timer.and_then(|timer| component.get_export_index(Some(&timer), "tick")),
            fuse: fusion.and_then(|fusion| component.get_export_index(Some(&fusion), "configure")),
            state: StateExports::find(component, contract),
            contract,
        })
    }

    /// Whether one instance may be able to do the work of several nodes.
    pub(crate) fn is_fusible(&self) -> bool {
        self.fuse.is_some() && self.state.is_none() && self.tick.is_none()
    }

    /// Whether the node acts on the time.
    pub(crate) fn has_timer(&self) -> bool {
        self.tick.is_some()
    }
}

/// Sets the limits of a store and starts the clock.
pub(crate) fn arm(store: &mut Store<State>, time: Duration) {
    store.limiter(|state| state);
    start_clock(store, time);
    allow_output(store);
}

pub(crate) fn start_clock(store: &mut Store<State>, time: Duration) {
    store.data_mut().time_limit = time;
    store.data_mut().held.start_clock(time);
    store.set_epoch_deadline(ticks(time));
}

/// Limits how much the guest can make the host copy in one host call, before the host reads any of
/// it.
fn allow_output(store: &mut Store<State>) {
    // `State::in_call` counts the output exactly; the host's own form of it is somewhat larger.
    let fuel = usize::try_from(store.data().max_output_bytes()).unwrap_or(usize::MAX).saturating_mul(2);
    store.set_hostcall_fuel(fuel);
}

/// Why `configure` failed.
pub(crate) enum ConfigureError {
    Options(Vec<GuestOptionError>),
    /// The node called or imports a capability that is not granted.
    Capability(Capability),
    Fault(Fault),
}

/// The fault of a node that needs a capability which is not granted.
pub(crate) fn not_granted(capability: Capability) -> Fault {
    let message = format!("the node needs the capability `{}`, which is not granted", capability.name());
    Fault::new(FaultKind::Instantiate, message)
}

/// What `process` and `tick` return.
type Done = (Result<(), String>,);

pub(crate) struct Instance {
    store: Store<State>,
    kind: Kind,
    /// Whether it does the work of several nodes in a row.
    is_fused: bool,
    /// Whether fuel is counted. Reading fuel without metering would create an error, possibly with
    /// a backtrace, in each call.
    metered: bool,
    process: TypedFunc<(), Done>,
    tick: Option<TypedFunc<(i64, bool), Done>>,
    state: Option<StateFunctions>,
    /// Linear memory above which the instance is replaced.
    max_memory_bytes: usize,
}

impl Instance {
    /// Creates an instance and configures it.
    pub(crate) fn new(
        compiled: &Compiled,
        name: &Arc<str>,
        options: Options<'_>,
        limits: &NodeLimits,
        services: Option<&NodeServices>,
    ) -> Result<(Self, NodeInfo, Requested), ConfigureError> {
        let fault = |error: wasmtime::Error, store: &mut Store<State>| {
            ConfigureError::Fault(Fault::of(&error, store.data_mut()))
        };
        let granted = |capability: &Capability| services.is_some_and(|s| s.grants().has(capability.name()));
        if let Some(missing) = compiled.capabilities.iter().find(|capability| !granted(capability)) {
            return Err(ConfigureError::Capability(*missing));
        }
        let code = compiled.code();
        let mut store = code.store(limits.clone(), compiled.runtime.metered);
        store.data_mut().held.services = services.cloned();
        store.data_mut().is_stateful = code.exports.state.is_some();
        if code.exports.has_timer() {
            store.data_mut().output_floor_bytes = NodeLimits::TICK_OUTPUT_BYTES;
        }
        let time = store.data().limits.time;
        arm(&mut store, time.saturating_mul(NodeLimits::CONFIGURE_TIMES));
        store.data_mut().fields = Some(Vec::new());
        let instance = code.pre.instantiate(&mut store).map_err(|e| {
            // Neither a trap of its start function nor a limit: the machine has no room for it, or
            // the host has a bug.
            let host = !e.is::<wasmtime::Trap>() && !store.data().denied() && !is_count_limit(&e);
            match fault(e, &mut store) {
                ConfigureError::Fault(mut fault) if host => {
                    if let Some(cure) = memory::explain(&fault.message) {
                        fault.kind = FaultKind::Instantiate;
                        fault.message = format!("no memory for an instance: {cure}\n{}", fault.message);
                    }
                    ConfigureError::Fault(Fault { blame: Blame::Host, ..fault })
                }
                other => other,
            }
        })?;
        let process = instance
            .get_typed_func::<(), (Result<(), String>,)>(&mut store, &code.exports.process)
            .map_err(|e| fault(e, &mut store))?;
        let tick = match &code.exports.tick {
            Some(tick) => Some(
                instance
                    .get_typed_func::<(i64, bool), (Result<(), String>,)>(&mut store, tick)
                    .map_err(|e| fault(e, &mut store))?,
            ),
            None => None,
        };
        let state = match &code.exports.state {
            Some(exports) => {
                Some(StateFunctions::of(exports, &instance, &mut store).map_err(|e| fault(e, &mut store))?)
            }
            None => None,
        };
        let answer =
            configure(&mut store, &instance, &code.exports, options).map_err(|e| match store.data().held.refused {
                Some(capability) => ConfigureError::Capability(capability),
                None => fault(e, &mut store),
            })?;
        if store.data().panic.is_some() {
            return Err(ConfigureError::Fault(Fault::of_panic(store.data_mut())));
        }
        let configured = answer.map_err(ConfigureError::Options)?;
        let broken = |message| ConfigureError::Fault(Fault::new(FaultKind::InvalidDecision, message));
        let requested = requested(&configured, &code.exports).map_err(broken)?;
        check_ports(&configured.ports)
            .map_err(|message| ConfigureError::Fault(Fault::new(FaultKind::InvalidDecision, message)))?;
        let description = &compiled.description;
        let info = NodeInfo {
            name: name.clone(),
            version: format!("{}@{}", description.name, description.version).into(),
            ports: configured.ports,
            fields: store.data_mut().fields.take().unwrap_or_default(),
        };
        let metered = compiled.runtime.metered;
        let max_memory_bytes = RECYCLE_BYTES;
        let is_fused = matches!(options, Options::Several(_));
        let made = Self { store, kind: code.kind, is_fused, metered, process, tick, state, max_memory_bytes };
        Ok((made, info, requested))
    }

    /// Calls the timer.
    ///
    /// Returns the instance unless it must not be used again.
    pub(crate) fn tick(mut self, now: i64, is_last: bool, info: &Arc<NodeInfo>) -> Processed<Fault> {
        let Some(tick) = self.tick else {
            let outcome = Outcome::default();
            return Processed {
                done: Ok(outcome),
                memory_bytes: self.memory_bytes(),
                instance: Some(self),
                fuel: None,
            };
        };
        let time = self.store.data().limits.time.saturating_mul(NodeLimits::TICK_TIMES);
        start_clock(&mut self.store, time);
        self.store.data_mut().begin_tick(Call::of_timer(info.clone(), now), is_last);
        let ended = self.call(|store| tick.call(store, (now, is_last)));
        let (memory_bytes, fuel) = (ended.memory_bytes, ended.fuel);
        let done = ended.finish(&Ack::none()).map_err(|failed| failed.1);
        let instance = done.is_ok().then_some(self);
        Processed { done, memory_bytes, instance, fuel }
    }

    /// Calls a function of the guest in a call that has begun, and ends the call.
    fn call(&mut self, run: impl FnOnce(&mut Store<State>) -> wasmtime::Result<Done>) -> Ended {
        allow_output(&mut self.store);
        let fuel = self.fuel();
        let answer = run(&mut self.store);
        let fuel = fuel.zip(self.fuel()).map(|(before, after)| before.saturating_sub(after));
        let state = self.store.data_mut();
        let fault = match answer {
            // A language that cannot trap on an exception returns anyway; it has reported the
            // exception.
            Ok(_) if state.panic.is_some() => Some(Fault::of_panic(state)),
            Ok((Ok(()),)) => None,
            Ok((Err(message),)) => Some(Fault::new(FaultKind::NodeError, message)),
            Err(error) => Some(Fault::of(&error, state)),
        };
        Ended {
            fault,
            fuel,
            memory_bytes: state.memory_bytes,
            effects: std::mem::take(&mut state.held.effects),
            services: state.held.services.clone(),
            deadline: state.held.deadline(),
            room: state.room(),
            max_output_bytes: state.max_output_bytes(),
            time_limit: state.time_limit,
            call: state.end(),
        }
    }

    /// Capabilities that it used so far.
    pub(crate) fn used_capabilities(&self) -> &[Capability] {
        &self.store.data().held.used
    }

    /// Takes a snapshot of its state, if it has any.
    pub(crate) fn save(&mut self) -> Result<Option<Saved>, Fault> {
        self.state.as_ref().map(|state| state.save(&mut self.store)).transpose()
    }

    /// Restores state. After an error the instance must not be used.
    pub(crate) fn restore(&mut self, snapshots: &[Snapshot]) -> Result<(), String> {
        match &self.state {
            Some(state) => {
                state.restore(&mut self.store, snapshots)?;
                // An instance that needs more than that for its state alone would be replaced after
                // every call.
                self.max_memory_bytes = RECYCLE_BYTES.max(2 * self.memory_bytes());
                Ok(())
            }
            None => Err("the node is stateless".into()),
        }
    }

    /// Whether its memory grew so much that it must be replaced.
    pub(crate) fn is_outgrown(&self) -> bool {
        self.memory_bytes() > self.max_memory_bytes
    }

    /// Whether faster code than its own is ready.
    pub(crate) fn is_superseded(&self, compiled: &Compiled) -> bool {
        self.kind == Kind::Baseline && compiled.code().kind != self.kind
    }

    /// Linear memory in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.store.data().memory_bytes
    }

    fn fuel(&self) -> Option<u64> {
        if self.metered { self.store.get_fuel().ok() } else { None }
    }

    /// Calls the node for a batch.
    ///
    /// Returns the instance unless it must not be used again, because it faulted or outgrew its
    /// memory. Such an instance is freed before the decisions take effect, because these may need
    /// as much memory again. An instance with state is not freed: the caller saves the state first.
    ///
    /// `requests` is the remaining budget for HTTP requests of the batch that the source sent,
    /// which may take several calls.
    pub(crate) fn process(
        mut self,
        batch: Batch,
        info: &Arc<NodeInfo>,
        requests: &mut Option<Budget>,
    ) -> Processed<Box<(Batch, Fault)>> {
        let input_bytes = batch.byte_len();
        let limits = &self.store.data().limits;
        let kib = u32::try_from(input_bytes >> 10).unwrap_or(u32::MAX);
        let time = limits.time.saturating_add(limits.time_per_kib.saturating_mul(kib));
        start_clock(&mut self.store, time);
        let charged_bytes = batch.charged_bytes();
        // Replaces the batch if the call is missing afterwards, so a bug of the host loses no
        // events.
        let spare = batch.share();
        let call = match self.is_fused {
            true => Call::of_several(batch, info.clone()),
            false => Call::new(batch, info.clone()),
        };
        self.store.data_mut().begin(call, input_bytes, charged_bytes);
        self.store.data_mut().held.requested = requests.take();
        let process = self.process;
        let ended = self.call(|store| process.call(store, ()));
        *requests = self.store.data_mut().held.requested.take();
        let (memory_bytes, fuel) = (ended.memory_bytes, ended.fuel);
        let is_kept = ended.fault.is_none() && (memory_bytes <= RECYCLE_BYTES || self.state.is_some());
        let instance = is_kept.then_some(self);
        let done = match ended.finish(spare.ack()) {
            Ok(outcome) => Ok(outcome),
            Err(failed) => match *failed {
                (Some(batch), fault) => Err(Box::new((batch, fault))),
                // If the host panicked, the shares of the batch were dropped, so its source sends it
                // again as well.
                (None, fault) => {
                    return Processed { done: Err(Box::new((spare, fault))), memory_bytes, instance: None, fuel };
                }
            },
        };
        spare.into_ack().deliver();
        let instance = instance.filter(|_| done.is_ok());
        Processed { done, memory_bytes, instance, fuel }
    }
}

/// A call after the guest has returned.
struct Ended {
    /// Why its decisions must not take effect.
    fault: Option<Fault>,
    fuel: Option<u64>,
    memory_bytes: usize,
    effects: Effects,
    services: Option<NodeServices>,
    deadline: Option<Instant>,
    room: u64,
    max_output_bytes: u64,
    time_limit: Duration,
    call: Option<Call>,
}

impl Ended {
    /// Makes the decisions of the call take effect. `ack` is a share of its batch.
    ///
    /// # Errors
    ///
    /// The fault, and the unchanged batch unless the host has a bug.
    fn finish(self, ack: &Ack) -> Result<Outcome, Box<(Option<Batch>, Fault)>> {
        let Some(call) = self.call else {
            let fault = Fault::new(FaultKind::HostError, "the call is missing; please report this");
            return Err(Box::new((None, fault)));
        };
        if let Some(fault) = self.fault {
            return Err(Box::new((Some(call.abort()), fault)));
        }
        let refused = match catch_unwind(AssertUnwindSafe(|| call.finish_within(self.deadline, self.room))) {
            Ok(Ok(outcome)) => {
                self.effects.commit(self.services.as_ref(), ack);
                return Ok(outcome);
            }
            Ok(Err(refused)) => refused,
            Err(panic) => return Err(Box::new((None, Fault::of_host(&*panic)))),
        };
        let (batch, refusal) = *refused;
        let fault = match refusal {
            Refusal::Invalid(error) => Fault::new(FaultKind::InvalidDecision, error.to_string()),
            Refusal::TooMuch(carried) => {
                let message = format!(
                    "returned more than {} bytes, since its rows carry {carried} bytes of attributes, resource and reasons; \
                     split events before their fields are parsed",
                    self.max_output_bytes
                );
                Fault::new(FaultKind::OutputLimit, message)
            }
            Refusal::TooLong => {
                let ms = self.time_limit.as_millis();
                let message = format!("ran longer than {ms} ms, including the time to apply its decisions");
                Fault::new(FaultKind::TimeLimit, message)
            }
        };
        Err(Box::new((Some(batch), fault)))
    }
}

/// Result of a call.
pub(crate) struct Processed<E> {
    /// The outcome; or for a batch, the unchanged batch and the fault.
    pub(crate) done: Result<Outcome, E>,
    /// Linear memory after the call, in bytes.
    pub(crate) memory_bytes: usize,
    /// The instance, if it can be used again.
    pub(crate) instance: Option<Instance>,
    /// Fuel that the call used, if metered.
    pub(crate) fuel: Option<u64>,
}

/// Whether a component exceeds its limit of instances, memories or tables; wasmtime's error has no
/// public type.
fn is_count_limit(error: &wasmtime::Error) -> bool {
    error.root_cause().to_string().starts_with("resource limit exceeded")
}
