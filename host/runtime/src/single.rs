//! One instance of a node for tests and measurements: every call returns its own outcome or fault,
//! without retries and without splitting.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wattle_batch::{Batch, NodeInfo, Outcome};
use wattle_capability::NodeServices;
use wattle_plan::{NodeLimits, Sharing};

use crate::artifact::Compiled;
use crate::bindings::{GuestOptionError, Snapshot};
use crate::fault::Fault;
use crate::instance::{ConfigureError, Instance, Options, Processed, Requested, not_granted};
use crate::snapshot::Saved;

/// Why a node was not configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It refused its options.
    Options(Vec<GuestOptionError>),
    /// It faulted.
    Fault(Fault),
}

/// An instance under test.
pub struct SingleInstance {
    compiled: Arc<Compiled>,
    name: Arc<str>,
    options: String,
    limits: NodeLimits,
    services: Option<NodeServices>,
    instance: Option<Instance>,
    info: Arc<NodeInfo>,
    requested: Requested,
    started_in: Duration,
    memory_bytes: usize,
    replaced: u64,
    fuel: Option<u64>,
}

impl SingleInstance {
    /// Creates an instance and configures it.
    ///
    /// # Errors
    ///
    /// The node refuses its options, or faults.
    pub fn new(
        compiled: Arc<Compiled>,
        name: &str,
        options: &str,
        limits: &NodeLimits,
        services: Option<NodeServices>,
    ) -> Result<Self, Refused> {
        let name: Arc<str> = name.into();
        let since = Instant::now();
        let (instance, info, requested) = make(&compiled, &name, options, limits, services.as_ref())?;
        Ok(Self {
            started_in: since.elapsed(),
            memory_bytes: instance.memory_bytes(),
            compiled,
            name,
            options: options.to_owned(),
            limits: limits.clone(),
            services,
            instance: Some(instance),
            info: Arc::new(info),
            requested,
            replaced: 0,
            fuel: None,
        })
    }

    /// The node's ports and fields.
    pub fn info(&self) -> &Arc<NodeInfo> {
        &self.info
    }

    /// Time between two ticks that the node asked for; `None` without a timer.
    pub fn tick_interval(&self) -> Option<Duration> {
        self.requested.tick
    }

    /// How workers share the state of the node, as it asked for.
    pub fn sharing(&self) -> &Sharing {
        &self.requested.sharing
    }

    /// Time to instantiate and configure.
    pub fn started_in(&self) -> Duration {
        self.started_in
    }

    /// Linear memory after the last call, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// How often the instance was replaced because it faulted or outgrew its memory.
    pub fn replaced(&self) -> u64 {
        self.replaced
    }

    /// Fuel of the last call, on a [`metered`](crate::Runtime::metered) runtime.
    pub fn fuel(&self) -> Option<u64> {
        self.fuel
    }

    /// Takes a snapshot of its state, if the node keeps any.
    ///
    /// # Errors
    ///
    /// The call faulted.
    pub fn save(&mut self) -> Result<Option<Snapshot>, Fault> {
        match self.instance.as_mut().map_or(Ok(None), Instance::save)? {
            Some(Saved::Snapshot(snapshot)) => Ok(Some(snapshot)),
            Some(Saved::TooLarge(fault)) => Err(fault),
            None => Ok(None),
        }
    }

    /// Restores state.
    ///
    /// # Errors
    ///
    /// The instance cannot restore it and must not be used then.
    pub fn restore(&mut self, snapshots: &[Snapshot]) -> Result<(), String> {
        self.instance.as_mut().map_or_else(|| Err("it has no instance".into()), |i| i.restore(snapshots))
    }

    /// Continues on a fresh instance with the state of the current one.
    ///
    /// # Errors
    ///
    /// The node is stateless, or cannot restore its own state.
    pub fn restart(&mut self) -> Result<(), String> {
        let saved = self.save().map_err(|fault| format!("cannot save its state: {fault}"))?;
        let snapshot = saved.ok_or("the node is stateless, so another instance cannot continue for it")?;
        self.instance = Some(self.fresh().map_err(|fault| fault.to_string())?);
        self.restore(&[snapshot]).map_err(|error| format!("cannot restore its state: {error}"))
    }

    fn fresh(&self) -> Result<Instance, Fault> {
        let made = make(&self.compiled, &self.name, &self.options, &self.limits, self.services.as_ref());
        made.map(|(instance, ..)| instance).map_err(|refused| match refused {
            Refused::Fault(fault) => fault.while_instantiating(),
            Refused::Options(_) => Fault::new(crate::FaultKind::Instantiate, "refused options that it accepted before"),
        })
    }

    /// Calls the node for a batch.
    ///
    /// # Errors
    ///
    /// The call faulted, or no fresh instance could be created after a fault.
    pub fn process(&mut self, batch: Batch) -> Result<Outcome, Fault> {
        let instance = self.take()?;
        let Processed { done, memory_bytes, instance, fuel } = instance.process(batch, &self.info, &mut None);
        (self.memory_bytes, self.instance, self.fuel) = (memory_bytes, instance, fuel);
        done.map_err(|failed| failed.1)
    }

    fn take(&mut self) -> Result<Instance, Fault> {
        match self.instance.take() {
            Some(instance) => Ok(instance),
            None => {
                self.replaced += 1;
                self.fresh()
            }
        }
    }

    /// Calls the timer of the node; `now` is in nanoseconds since the epoch.
    ///
    /// # Errors
    ///
    /// The node has no timer, the call faulted, or no fresh instance could be created after a fault.
    pub fn tick(&mut self, now: i64, is_last: bool) -> Result<Outcome, Fault> {
        if !self.compiled.description.has_timer {
            return Err(Fault::new(crate::FaultKind::NodeError, "the node has no timer"));
        }
        let instance = self.take()?;
        let Processed { done, memory_bytes, instance, fuel } = instance.tick(now, is_last, &self.info);
        (self.memory_bytes, self.instance, self.fuel) = (memory_bytes, instance, fuel);
        done
    }
}

fn make(
    compiled: &Compiled,
    name: &Arc<str>,
    options: &str,
    limits: &NodeLimits,
    services: Option<&NodeServices>,
) -> Result<(Instance, NodeInfo, Requested), Refused> {
    Instance::new(compiled, name, Options::One(options), limits, services).map_err(|error| match error {
        ConfigureError::Options(errors) => Refused::Options(errors),
        ConfigureError::Capability(capability) => Refused::Fault(not_granted(capability)),
        ConfigureError::Fault(fault) => Refused::Fault(fault),
    })
}
