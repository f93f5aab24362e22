//! A guest that uses capabilities as its options say, correctly or not.
//!
//! Rows pass in any case; the guest puts the answers into the attribute `answer` of each row.

use std::time::Duration;

use wattle_node::capabilities::{clock, host, http, kv, log, lookup, metrics, random, seen};
use wattle_node::{Batch, Column, ColumnWriter, Field, Form, Node, Setup, export_node};

/// What the guest does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Writes each row to the log, `times` times.
    Log,
    /// Counts each row under its text, and creates `times` additional series.
    Metrics,
    /// Counts rows, their sizes, and their number in the batch.
    Count,
    /// Requests a metric with an invalid name.
    BadMetric,
    /// Answers with the time.
    Clock,
    /// Answers with random bytes, `times` of them, as hexadecimal digits.
    Random,
    /// Answers with the fact whose name the row is.
    Host,
    /// Finds each row in the table `table`, and answers with its column `column`.
    Lookup,
    /// Sets each row as a key to `times` bytes.
    KvSet,
    /// Adds one to the number of each row.
    KvAdd,
    /// Answers with the value of each row.
    KvGet,
    /// Claims each row, and answers whether it is `new` or `old`.
    Claim,
    /// Uses keys and values while it is configured.
    KvOnConfigure,
    /// Requests `url`, `times` times, and answers with status or code.
    Http,
    /// Sets the field `a` of the JSON in each body, `times` times.
    Sets,
}

/// Options of the guest.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    mode: Mode,
    #[serde(default = "once")]
    times: usize,
    #[serde(default)]
    table: String,
    #[serde(default)]
    column: String,
    #[serde(default)]
    url: String,
    /// Panics at the end of a call whose batch has a row with this text.
    #[serde(default)]
    poison: String,
}

fn once() -> usize {
    1
}

/// The guest.
pub struct Capable {
    options: Options,
    body: Field,
    answer: Field,
    a: Option<Field>,
    table: Option<lookup::Table>,
}

impl Node for Capable {
    const NAME: &'static str = "capable";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Uses capabilities as its options say.";
    const OPTIONS_SCHEMA: &'static str = r#"{"type":"object"}"#;
    type Options = Options;

    fn configure(options: Options, setup: &mut Setup<'_>) -> Option<Self> {
        let mut table = None;
        if options.mode == Mode::Lookup {
            match lookup::open(&options.table, &[&options.column]) {
                Ok(opened) => table = Some(opened),
                Err(message) => {
                    setup.error("table", message);
                    return None;
                }
            }
        }
        if options.mode == Mode::KvOnConfigure {
            kv::get(ColumnWriter::of(b"too early"));
        }
        let a = if options.mode == Mode::Sets { Some(setup.write("", "body.a")?) } else { None };
        Some(Self { options, body: setup.read("", "body")?, answer: setup.write("", "attributes.answer")?, a, table })
    }

    #[expect(clippy::panic, reason = "a poisonous row faults on purpose")]
    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
        let body = batch.read(self.body, Form::Text);
        let times = self.options.times;
        let mut answers = ColumnWriter::default();
        match self.options.mode {
            Mode::Log => {
                for row in body.rows() {
                    (0..times).for_each(|_| log::info(&String::from_utf8_lossy(row)));
                }
            }
            Mode::Metrics => {
                for row in body.rows() {
                    metrics::add(metrics::counter("rows", &[("text", &String::from_utf8_lossy(row))]), 1);
                }
                for i in 0..times {
                    metrics::add(metrics::counter("flood", &[("series", &i.to_string())]), 1);
                }
            }
            Mode::Count => {
                metrics::add(metrics::counter("rows", &[("kind", "any")]), body.len() as u64);
                metrics::set(metrics::gauge("last_batch", &[]), body.len() as f64);
                let sizes: Vec<f64> = body.rows().map(|row| row.len() as f64).collect();
                metrics::observe(metrics::histogram("size", &[], &[10.0, 100.0]), &sizes);
            }
            Mode::BadMetric => {
                metrics::counter("no name", &[]);
            }
            Mode::Clock => {
                let (before, now, after) = (clock::monotonic(), clock::now(), clock::monotonic());
                let text = if after >= before { now.to_string() } else { "backwards".to_owned() };
                body.rows().for_each(|_| answers.push(text.as_bytes()));
            }
            Mode::Random => {
                for _ in body.rows() {
                    let bytes = random::bytes(u32::try_from(times).unwrap_or(u32::MAX));
                    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                    answers.push(text.as_bytes());
                }
            }
            Mode::Host => {
                for row in body.rows() {
                    match host::fact(&String::from_utf8_lossy(row)) {
                        Some(fact) => answers.push(fact.as_bytes()),
                        None => answers.push_none(),
                    }
                }
            }
            Mode::Lookup => {
                let table = self.table.ok_or("no table")?;
                answers = lookup::find(table, keys(&body)).first().map(keys).ok_or("no column")?;
            }
            Mode::KvSet => {
                let mut values = ColumnWriter::default();
                (0..body.len()).for_each(|_| values.push(&vec![b'v'; times]));
                let answer = kv::set(keys(&body), values, None).map_or_else(|error| error, |()| "set".to_owned());
                body.rows().for_each(|_| answers.push(answer.as_bytes()));
            }
            Mode::KvAdd => {
                for sum in kv::add(keys(&body), &vec![1; body.len()])? {
                    answers.push(sum.to_string().as_bytes());
                }
            }
            Mode::KvGet => answers = keys(&kv::get(keys(&body))),
            Mode::Claim => {
                for is_new in seen::claim(keys(&body), Duration::from_secs(600)) {
                    answers.push(if is_new { b"new" } else { b"old" });
                }
            }
            Mode::KvOnConfigure => {}
            Mode::Sets => {
                let a = self.a.ok_or("no field")?;
                for i in 0..times {
                    let mut values = ColumnWriter::default();
                    body.rows().for_each(|_| values.push(i.to_string().as_bytes()));
                    batch.set(a, Form::Json, values);
                }
            }
            Mode::Http => {
                let requests = vec![http::Request::get(&*self.options.url); times];
                let said: Vec<String> = http::send(requests)
                    .into_iter()
                    .map(|answer| match answer {
                        Ok(response) => {
                            format!("{} {}", response.status, String::from_utf8_lossy(&response.body))
                        }
                        Err(failure) => failure.code,
                    })
                    .collect();
                body.rows().for_each(|_| answers.push(said.join(",").as_bytes()));
            }
        }
        let poison = self.options.poison.as_bytes();
        if !poison.is_empty() && body.rows().any(|row| row == poison) {
            panic!("poison");
        }
        if !answers.is_empty() {
            batch.set(self.answer, Form::Text, answers);
        }
        Ok(())
    }
}

/// The read column in the form to pass back; a row without a value stays without.
fn keys(column: &Column) -> ColumnWriter {
    let mut keys = ColumnWriter::with_capacity(column.bytes.len(), column.len());
    for row in 0..column.len() {
        match column.get(row) {
            Some(value) => keys.push(value),
            None => keys.push_none(),
        }
    }
    keys
}

export_node!(Capable);
