//! The functions on top of the interfaces of the agent. Only those that the node calls become
//! imports of the artifact.

use super::http::{Failure, Request, Response};
use super::log::Level;
use crate::column::{Column, ColumnWriter};

#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
mod generated {
    wit_bindgen::generate!({
        inline: "package wattle:sdk; world capabilities {
            import wattle:node/log@0.2.0;
            import wattle:node/metrics@0.2.0;
            import wattle:node/clock@0.2.0;
            import wattle:node/random@0.2.0;
            import wattle:node/host@0.2.0;
            import wattle:node/lookup@0.2.0;
            import wattle:node/kv@0.2.0;
            import wattle:node/seen@0.2.0;
            import wattle:node/http-client@0.2.0;
        }",
        path: "../../wit",
        runtime_path: "wit_bindgen::rt",
        generate_all,
    });
}

use generated::wattle::node;
use node::types;

fn given(column: ColumnWriter) -> types::Column {
    types::Column { bytes: column.bytes, offsets: column.offsets, kinds: column.kinds }
}

fn column(column: types::Column) -> Column {
    Column { bytes: column.bytes.into(), offsets: column.offsets, kinds: column.kinds }
}

fn labels(labels: &[(&str, &str)]) -> Vec<node::metrics::Label> {
    let label = |(name, value): &(&str, &str)| node::metrics::Label { name: (*name).into(), value: (*value).into() };
    labels.iter().map(label).collect()
}

pub(super) fn log(level: Level, message: &str) {
    let level = match level {
        Level::Debug => node::log::Level::Debug,
        Level::Info => node::log::Level::Info,
        Level::Warn => node::log::Level::Warn,
        Level::Error => node::log::Level::Error,
    };
    node::log::write(level, message);
}

pub(super) fn counter(name: &str, with: &[(&str, &str)]) -> u32 {
    node::metrics::counter(name, &labels(with))
}

pub(super) fn gauge(name: &str, with: &[(&str, &str)]) -> u32 {
    node::metrics::gauge(name, &labels(with))
}

pub(super) fn histogram(name: &str, with: &[(&str, &str)], bounds: &[f64]) -> u32 {
    node::metrics::histogram(name, &labels(with), bounds)
}

pub(super) fn add(metric: u32, amount: u64) {
    node::metrics::add(metric, amount);
}

pub(super) fn set(metric: u32, value: f64) {
    node::metrics::set(metric, value);
}

pub(super) fn observe(metric: u32, values: &[f64]) {
    node::metrics::observe(metric, values);
}

pub(super) fn now() -> i64 {
    node::clock::now()
}

pub(super) fn monotonic() -> u64 {
    node::clock::monotonic()
}

pub(super) fn random(len: u32) -> Vec<u8> {
    node::random::bytes(len)
}

pub(super) fn fact(name: &str) -> Option<String> {
    node::host::fact(name)
}

pub(super) fn open(table: &str, columns: &[&str]) -> Result<u32, String> {
    let columns: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
    node::lookup::open(table, &columns)
}

pub(super) fn find(table: u32, keys: ColumnWriter) -> Vec<Column> {
    node::lookup::find(table, &given(keys)).into_iter().map(column).collect()
}

pub(super) fn get(keys: ColumnWriter) -> Column {
    column(node::kv::get(&given(keys)))
}

pub(super) fn set_values(keys: ColumnWriter, values: ColumnWriter, ttl: Option<u64>) -> Result<(), String> {
    node::kv::set(&given(keys), &given(values), ttl)
}

pub(super) fn claim(keys: ColumnWriter, ttl: u64) -> Vec<bool> {
    node::seen::claim(&given(keys), ttl).into_iter().map(|new| new != 0).collect()
}

pub(super) fn add_amounts(keys: ColumnWriter, amounts: &[i64]) -> Result<Vec<i64>, String> {
    node::kv::add(&given(keys), amounts)
}

pub(super) fn delete(keys: ColumnWriter) {
    node::kv::delete(&given(keys));
}

pub(super) fn send(requests: Vec<Request>) -> Vec<Result<Response, Failure>> {
    use node::http_client::{Header, Request as Given, send};
    let header = |(name, value)| Header { name, value };
    let requests: Vec<Given> = requests
        .into_iter()
        .map(|request| Given {
            method: request.method,
            url: request.url,
            headers: request.headers.into_iter().map(header).collect(),
            body: request.body,
        })
        .collect();
    let answers = send(&requests).into_iter().map(|answer| match answer {
        Ok(response) => Ok(Response {
            status: response.status,
            headers: response.headers.into_iter().map(|header| (header.name, header.value)).collect(),
            body: response.body,
        }),
        Err(failure) => Err(Failure { code: failure.code, message: failure.message }),
    });
    answers.collect()
}
