//! The interfaces of capabilities: linked for every guest, served if they are granted.

use wasmtime::component::{ComponentType, Lift, Linker, Lower};
use wattle_capability::{Capability, Kind, MetricChange, NodeServices, Staged, Values};
use wattle_plan::LogLevel;

use super::{Contract, Done, GivenColumn, ReadColumn, Store};
use crate::state::State;
use crate::state::capabilities::{CallError, When};

#[derive(Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "constructed only by lifting")]
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

/// A label of a metric or a header of a request; both have the same shape.
#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct Pair {
    name: String,
    value: String,
}

impl Pair {
    fn split(self) -> (String, String) {
        (self.name, self.value)
    }

    fn of((name, value): (String, String)) -> Self {
        Self { name, value }
    }

    fn bytes(all: &[Self]) -> usize {
        all.iter().map(|pair| pair.name.len() + pair.value.len()).sum()
    }
}

#[derive(ComponentType, Lift)]
#[component(record)]
struct Request {
    method: String,
    url: String,
    headers: Vec<Pair>,
    body: Vec<u8>,
}

#[derive(ComponentType, Lower)]
#[component(record)]
struct Response {
    status: u16,
    headers: Vec<Pair>,
    body: Vec<u8>,
}

#[derive(ComponentType, Lower)]
#[component(record)]
struct Failure {
    code: String,
    message: String,
}

/// Adds all of them.
pub(super) fn link(linker: &mut Linker<State>, contract: Contract) -> Done<()> {
    let mut log = linker.instance(&contract.interface("log"))?;
    log.func_wrap("write", |mut store: Store<'_>, (level, message): (GivenLevel, String)| {
        store.data_mut().log(level.into(), &message)
    })?;
    link_metrics(linker, contract)?;
    let mut clock = linker.instance(&contract.interface("clock"))?;
    clock.func_wrap("now", |mut store: Store<'_>, (): ()| {
        store.data_mut().capability(Capability::Clock, When::Configured, 0, |on, _| Ok((on.clock().now(),)))
    })?;
    clock.func_wrap("monotonic", |mut store: Store<'_>, (): ()| {
        store.data_mut().capability(Capability::Clock, When::Configured, 0, |on, _| Ok((on.clock().monotonic(),)))
    })?;
    let mut random = linker.instance(&contract.interface("random"))?;
    random.func_wrap("bytes", |mut store: Store<'_>, (len,): (u32,)| {
        // Charge the bytes before creating them.
        let given = len as usize;
        store
            .data_mut()
            .capability(Capability::Random, When::Configured, given, |on, _| Ok((on.random().bytes(given)?,)))
    })?;
    let mut host = linker.instance(&contract.interface("host"))?;
    host.func_wrap("fact", |mut store: Store<'_>, (name,): (String,)| Ok((store.data_mut().fact(&name)?,)))?;
    link_tables(linker, contract)?;
    link_memory(linker, contract)?;
    link_http(linker, contract)
}

fn link_http(linker: &mut Linker<State>, contract: Contract) -> Done<()> {
    let mut http = linker.instance(&contract.interface("http-client"))?;
    http.func_wrap("send", |mut store: Store<'_>, (requests,): (Vec<Request>,)| {
        let bytes = |r: &Request| r.method.len() + r.url.len() + Pair::bytes(&r.headers) + r.body.len();
        let given = requests.iter().map(bytes).sum();
        let requests = requests.into_iter().map(|r| wattle_capability::Request {
            method: r.method,
            url: r.url,
            headers: r.headers.into_iter().map(Pair::split).collect(),
            body: r.body,
        });
        let requests = requests.collect();
        let (answers, ticks) = store.data_mut().send(given, requests)?;
        store.set_epoch_deadline(ticks);
        let answers = answers.into_iter().map(|answer| match answer {
            Ok(r) => {
                let headers = r.headers.into_iter().map(Pair::of).collect();
                Ok(Response { status: r.status, headers, body: r.body })
            }
            Err(failure) => Err(Failure { code: failure.kind.name().to_owned(), message: failure.message }),
        });
        Ok((answers.collect::<Vec<Result<Response, Failure>>>(),))
    })
}

/// `lookup`.
fn link_tables(linker: &mut Linker<State>, contract: Contract) -> Done<()> {
    let mut lookup = linker.instance(&contract.interface("lookup"))?;
    lookup.func_wrap("open", |mut store: Store<'_>, (table, columns): (String, Vec<String>)| {
        Ok((store.data_mut().open_table(&table, &columns)?,))
    })?;
    lookup.func_wrap("find", |mut store: Store<'_>, (table, keys): (u32, GivenColumn)| {
        let found = store.data_mut().find(keys.byte_len(), table, keys.values())?;
        Ok((found.into_iter().map(ReadColumn::of).collect::<Vec<_>>(),))
    })?;
    Ok(())
}

fn kv_set(
    mut store: Store<'_>,
    keys: GivenColumn,
    values: GivenColumn,
    ttl: Option<u64>,
) -> Done<(Result<(), String>,)> {
    let given = keys.byte_len() + values.byte_len();
    let (keys, values) = (keys.values(), values.values());
    let set =
        |services: &NodeServices, keys: Values, staged: &mut Staged| Ok(services.kv_set(&keys, &values?, ttl, staged));
    Ok((store.data_mut().kv(given, keys, set)?,))
}

/// `kv` and `seen`.
fn link_memory(linker: &mut Linker<State>, contract: Contract) -> Done<()> {
    let mut kv = linker.instance(&contract.interface("kv"))?;
    kv.func_wrap("get", |mut store: Store<'_>, (keys,): (GivenColumn,)| {
        let found = store.data_mut().kv_get(keys.byte_len(), keys.values())?;
        Ok((ReadColumn::of(found),))
    })?;
    match contract {
        Contract::V01 => {
            type Set = (GivenColumn, GivenColumn);
            kv.func_wrap("set", |store: Store<'_>, (keys, values): Set| kv_set(store, keys, values, None))?;
        }
        Contract::V02 => {
            type Set = (GivenColumn, GivenColumn, Option<u64>);
            kv.func_wrap("set", |store: Store<'_>, (keys, values, ttl): Set| kv_set(store, keys, values, ttl))?;
        }
    }
    kv.func_wrap("add", |mut store: Store<'_>, (keys, amounts): (GivenColumn, Vec<i64>)| {
        let given = keys.byte_len() + 8 * amounts.len();
        Ok((store.data_mut().kv(given, keys.values(), |services, keys, staged| {
            if amounts.len() != keys.rows() {
                return Err(CallError::Amounts { keys: keys.rows(), amounts: amounts.len() });
            }
            Ok(services.kv_add(&keys, &amounts, staged))
        })?,))
    })?;
    kv.func_wrap("delete", |mut store: Store<'_>, (keys,): (GivenColumn,)| {
        let deleted = store.data_mut().kv(keys.byte_len(), keys.values(), |services, keys, staged| {
            services.kv_delete(&keys, staged);
            Ok(Ok(()))
        })?;
        deleted.map_err(wasmtime::Error::msg)
    })?;
    if contract == Contract::V01 {
        return Ok(());
    }
    let mut seen = linker.instance(&contract.interface("seen"))?;
    seen.func_wrap("claim", |mut store: Store<'_>, (keys, ttl): (GivenColumn, u64)| {
        Ok((store.data_mut().claim(keys.byte_len(), keys.values(), ttl)?,))
    })
}

fn link_metrics(linker: &mut Linker<State>, contract: Contract) -> Done<()> {
    let mut metrics = linker.instance(&contract.interface("metrics"))?;
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
    metrics.func_wrap("add", move |mut store: Store<'_>, (handle, amount): (u32, u64)| {
        store.data_mut().change_metric(0, MetricChange::Add(handle, amount))
    })?;
    metrics.func_wrap("set", move |mut store: Store<'_>, (handle, value): (u32, f64)| {
        store.data_mut().change_metric(0, MetricChange::Set(handle, value))
    })?;
    metrics.func_wrap("observe", move |mut store: Store<'_>, (handle, values): (u32, Vec<f64>)| {
        store.data_mut().change_metric(8 * values.len(), MetricChange::Observe(handle, values))
    })
}
