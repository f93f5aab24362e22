//! One live instance of a node: configured, called batch by batch, discarded at the first fault.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use wasmtime::Store;
use wasmtime::component::{Component, ComponentExportIndex, TypedFunc};
use wattle_batch::{Batch, Call, NodeInfo, Outcome, Refusal};
use wattle_capability::{Budget, Capability, NodeServices};
use wattle_plan::NodeLimits;

use crate::artifact::Compiled;
use crate::bindings::{Configured, GuestOptionError, NODE, Snapshot};
use crate::fault::{Blame, Fault, FaultKind};
use crate::memory;
use crate::runtime::ticks;
use crate::snapshot::{StateExports, StateFunctions};
use crate::state::State;
use crate::tier::Kind;

/// An instance whose memory exceeds this is replaced after the call: linear memory never shrinks,
/// and one huge document must not occupy memory forever.
const RECYCLE_BYTES: usize = 16 << 20;

/// Where to find the functions of a node in its component.
pub(crate) struct Exports {
    pub(crate) describe: ComponentExportIndex,
    configure: ComponentExportIndex,
    process: ComponentExportIndex,
    pub(crate) state: Option<StateExports>,
}

impl Exports {
    pub(crate) fn find(component: &Component) -> Option<Self> {
        let node = component.get_export_index(None, NODE)?;
        let find = |name| component.get_export_index(Some(&node), name);
        let state = StateExports::find(component);
        Some(Self { describe: find("describe")?, configure: find("configure")?, process: find("process")?, state })
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
    /// The node called a capability that is not granted.
    Capability(Capability),
    Fault(Fault),
}

/// The fault of a node that needs a capability which is not granted.
pub(crate) fn not_granted(capability: Capability) -> Fault {
    let message = format!("the node needs the capability `{}`, which is not granted", capability.name());
    Fault::new(FaultKind::Instantiate, message)
}

pub(crate) struct Instance {
    store: Store<State>,
    kind: Kind,
    /// Whether fuel is counted. Reading fuel without metering would create an error, possibly with
    /// a backtrace, in each call.
    metered: bool,
    process: TypedFunc<(), (Result<(), String>,)>,
    state: Option<StateFunctions>,
}

impl Instance {
    /// Creates an instance and configures it.
    pub(crate) fn new(
        compiled: &Compiled,
        name: &Arc<str>,
        options: &str,
        limits: &NodeLimits,
        services: Option<&NodeServices>,
    ) -> Result<(Self, NodeInfo), ConfigureError> {
        let fault = |error: wasmtime::Error, store: &mut Store<State>| {
            ConfigureError::Fault(Fault::of(&error, store.data_mut()))
        };
        let granted = |capability: &Capability| services.is_some_and(|s| s.grants().has(capability.name()));
        if let Some(missing) = compiled.capabilities.iter().find(|capability| !granted(capability)) {
            return Err(ConfigureError::Fault(not_granted(*missing)));
        }
        let code = compiled.code();
        let mut store = code.store(limits.clone(), compiled.runtime.metered);
        store.data_mut().held.services = services.cloned();
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
        type Answer = (Result<Configured, Vec<GuestOptionError>>,);
        let configure = instance
            .get_typed_func::<(&str,), Answer>(&mut store, &code.exports.configure)
            .map_err(|e| fault(e, &mut store))?;
        let process = instance
            .get_typed_func::<(), (Result<(), String>,)>(&mut store, &code.exports.process)
            .map_err(|e| fault(e, &mut store))?;
        let state = match &code.exports.state {
            Some(exports) => {
                Some(StateFunctions::of(exports, &instance, &mut store).map_err(|e| fault(e, &mut store))?)
            }
            None => None,
        };
        let (answer,) = configure.call(&mut store, (options,)).map_err(|e| match store.data().held.refused {
            Some(capability) => ConfigureError::Capability(capability),
            None => fault(e, &mut store),
        })?;
        if store.data().panic.is_some() {
            return Err(ConfigureError::Fault(Fault::of_panic(store.data_mut())));
        }
        let configured = answer.map_err(ConfigureError::Options)?;
        check_ports(&configured.ports)
            .map_err(|message| ConfigureError::Fault(Fault::new(FaultKind::InvalidDecision, message)))?;
        let description = &compiled.description;
        let info = NodeInfo {
            name: name.clone(),
            version: format!("{}@{}", description.name, description.version).into(),
            ports: configured.ports,
            fields: store.data_mut().fields.take().unwrap_or_default(),
        };
        Ok((Self { store, kind: code.kind, metered: compiled.runtime.metered, process, state }, info))
    }

    /// Capabilities that it used so far.
    pub(crate) fn used_capabilities(&self) -> &[Capability] {
        &self.store.data().held.used
    }

    /// Takes a snapshot of its state, if it has any.
    pub(crate) fn save(&mut self) -> Result<Option<Snapshot>, Fault> {
        self.state.as_ref().map(|state| state.save(&mut self.store)).transpose()
    }

    /// Restores state. After an error the instance must not be used.
    pub(crate) fn restore(&mut self, snapshots: &[Snapshot]) -> Result<(), String> {
        match &self.state {
            Some(state) => state.restore(&mut self.store, snapshots),
            None => Err("the node is stateless".into()),
        }
    }

    /// Whether its memory grew so much that it must be replaced.
    pub(crate) fn is_outgrown(&self) -> bool {
        self.memory_bytes() > RECYCLE_BYTES
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
    pub(crate) fn process(mut self, batch: Batch, info: &Arc<NodeInfo>, requests: &mut Option<Budget>) -> Processed {
        let input_bytes = batch.byte_len();
        let limits = &self.store.data().limits;
        let kib = u32::try_from(input_bytes >> 10).unwrap_or(u32::MAX);
        let time = limits.time.saturating_add(limits.time_per_kib.saturating_mul(kib));
        start_clock(&mut self.store, time);
        let charged_bytes = batch.charged_bytes();
        // Replaces the batch if the call is missing afterwards, so a bug of the host loses no
        // events.
        let spare = batch.share();
        self.store.data_mut().begin(Call::new(batch, info.clone()), input_bytes, charged_bytes);
        self.store.data_mut().held.requested = requests.take();
        allow_output(&mut self.store);
        let fuel = self.fuel();
        let answer = self.process.call(&mut self.store, ());
        let fuel = fuel.zip(self.fuel()).map(|(before, after)| before.saturating_sub(after));
        let state = self.store.data_mut();
        let memory_bytes = state.memory_bytes;
        *requests = state.held.requested.take();
        let effects = std::mem::take(&mut state.held.effects);
        let services = state.held.services.clone();
        let deadline = state.held.deadline();
        let (room, max_output) = (state.room(), state.max_output_bytes());
        let time_limit = state.time_limit;
        let Some(call) = state.end() else {
            effects.roll_back(services.as_ref());
            let fault = Fault::new(FaultKind::HostError, "the call is missing; please report this");
            return Processed { done: Err(Box::new((spare, fault))), memory_bytes, instance: None, fuel };
        };
        let failed = match answer {
            // A language that cannot trap on an exception returns anyway; it has reported the
            // exception.
            Ok(_) if state.panic.is_some() => Some(Fault::of_panic(state)),
            Ok((Ok(()),)) => None,
            Ok((Err(message),)) => Some(Fault::new(FaultKind::NodeError, message)),
            Err(error) => Some(Fault::of(&error, state)),
        };
        if let Some(fault) = failed {
            effects.roll_back(services.as_ref());
            spare.into_ack().deliver();
            return Processed { done: Err(Box::new((call.abort(), fault))), memory_bytes, instance: None, fuel };
        }
        let instance = (memory_bytes <= RECYCLE_BYTES || self.state.is_some()).then_some(self);
        let done = match catch_unwind(AssertUnwindSafe(|| call.finish_within(deadline, room))) {
            Ok(Ok(outcome)) => {
                effects.commit(services.as_ref());
                spare.into_ack().deliver();
                return Processed { done: Ok(outcome), memory_bytes, instance, fuel };
            }
            Ok(Err(refused)) => {
                spare.into_ack().deliver();
                effects.roll_back(services.as_ref());
                let (batch, refusal) = *refused;
                let fault = match refusal {
                    Refusal::Invalid(error) => Fault::new(FaultKind::InvalidDecision, error.to_string()),
                    Refusal::TooMuch(carried) => {
                        let message = format!(
                            "returned more than {max_output} bytes, since its rows carry {carried} bytes of attributes, \
                             resource and reasons; split events before their fields are parsed"
                        );
                        Fault::new(FaultKind::OutputLimit, message)
                    }
                    Refusal::TooLong => {
                        let ms = time_limit.as_millis();
                        let message = format!("ran longer than {ms} ms, including the time to apply its decisions");
                        Fault::new(FaultKind::TimeLimit, message)
                    }
                };
                (batch, fault)
            }
            // The panic dropped the shares of the batch, so its source sends it again as well.
            Err(panic) => {
                effects.roll_back(services.as_ref());
                (spare, Fault::of_host(&*panic))
            }
        };
        Processed { done: Err(Box::new(done)), memory_bytes, instance: None, fuel }
    }
}

/// Result of a call.
pub(crate) struct Processed {
    /// The outcome; or the unchanged batch and the fault.
    pub(crate) done: Result<Outcome, Box<(Batch, Fault)>>,
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

fn check_ports(ports: &[String]) -> Result<(), String> {
    if ports.is_empty() || ports.len() > 255 {
        return Err(format!("`configure` returned {} ports; 1 to 255 are possible", ports.len()));
    }
    for (index, port) in ports.iter().enumerate() {
        if port == "failed" || ports.iter().take(index).any(|p| p == port) {
            return Err(format!("`configure` returned the port `{port}`, which is reserved or a duplicate"));
        }
    }
    Ok(())
}
