//! The interfaces beyond the batch: linked for every guest, served where they are granted.

use wasmtime::component::{ComponentType, Lift, Linker};
use wattle_capability::{Capability, Kind};
use wattle_pack::LogLevel;

use super::{Done, Store};
use crate::state::State;
use crate::state::capabilities::When;

#[derive(Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "made by lifting only")]
enum GivenLevel {
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
}

impl From<GivenLevel> for LogLevel {
    fn from(level: GivenLevel) -> Self {
        match level {
            GivenLevel::Debug => Self::Debug,
            GivenLevel::Info => Self::Info,
            GivenLevel::Warn => Self::Warn,
            GivenLevel::Error => Self::Error,
        }
    }
}

/// A label of a metric.
#[derive(ComponentType, Lift)]
#[component(record)]
struct Pair {
    name: String,
    value: String,
}

impl Pair {
    fn split(self) -> (String, String) {
        (self.name, self.value)
    }
}

/// Adds all of them.
pub(super) fn link(linker: &mut Linker<State>) -> Done<()> {
    let mut log = linker.instance("wattle:node/log@0.1.0")?;
    log.func_wrap("write", |mut store: Store<'_>, (level, message): (GivenLevel, String)| {
        store.data_mut().log(level.into(), &message)
    })?;
    link_metrics(linker)?;
    let mut clock = linker.instance("wattle:node/clock@0.1.0")?;
    clock.func_wrap("now", |mut store: Store<'_>, (): ()| {
        store.data_mut().capability(Capability::Clock, When::Configured, 0, |on, _| Ok((on.clock().now(),)))
    })?;
    clock.func_wrap("monotonic", |mut store: Store<'_>, (): ()| {
        store.data_mut().capability(Capability::Clock, When::Configured, 0, |on, _| Ok((on.clock().monotonic(),)))
    })?;
    let mut random = linker.instance("wattle:node/random@0.1.0")?;
    random.func_wrap("bytes", |mut store: Store<'_>, (len,): (u32,)| {
        // Charged before they are made.
        let given = len as usize;
        store
            .data_mut()
            .capability(Capability::Random, When::Configured, given, |on, _| Ok((on.random().bytes(given)?,)))
    })?;
    Ok(())
}

fn link_metrics(linker: &mut Linker<State>) -> Done<()> {
    let mut metrics = linker.instance("wattle:node/metrics@0.1.0")?;
    for (function, kind) in [("counter", Kind::Counter), ("gauge", Kind::Gauge)] {
        metrics.func_wrap(function, move |mut store: Store<'_>, (name, labels): (String, Vec<Pair>)| {
            store.data_mut().series(&name, labels.into_iter().map(Pair::split).collect(), &kind)
        })?;
    }
    type Histogram = (String, Vec<Pair>, Vec<f64>);
    metrics.func_wrap("histogram", |mut store: Store<'_>, (name, labels, bounds): Histogram| {
        let kind = Kind::Histogram(bounds);
        store.data_mut().series(&name, labels.into_iter().map(Pair::split).collect(), &kind)
    })?;
    let (metric, any) = (Capability::Metrics, When::Configured);
    metrics.func_wrap("add", move |mut store: Store<'_>, (handle, amount): (u32, u64)| {
        store.data_mut().capability(metric, any, 0, |on, _| on.metrics().add(handle, amount))
    })?;
    metrics.func_wrap("set", move |mut store: Store<'_>, (handle, value): (u32, f64)| {
        store.data_mut().capability(metric, any, 0, |on, _| on.metrics().set(handle, value))
    })?;
    metrics.func_wrap("observe", move |mut store: Store<'_>, (handle, values): (u32, Vec<f64>)| {
        store.data_mut().capability(metric, any, 8 * values.len(), |on, _| on.metrics().observe(handle, &values))
    })
}
