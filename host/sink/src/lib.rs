//! Sinks: they deliver events to a destination outside the agent.
//!
//! A sink has two halves. Its [`Encoder`] runs on a worker and encodes a batch into [`Payload`]s. Its [`Sink`] runs as a
//! task, takes payloads from a queue bounded in bytes, and sends them. A payload is acknowledged as delivered only after
//! the destination has accepted it.
//!
//! | type | destination | options |
//! | --- | --- | --- |
//! | `aws_s3` | objects of S3, with the cargo feature `aws` | `S3Options` |
//! | `blackhole` | none; events are counted and discarded | none |
//! | `clickhouse` | ClickHouse | `clickhouse::Options` |
//! | `console` | standard output or standard error | `ConsoleOptions` |
//! | `datadog_logs` | logs of Datadog | `datadog_logs::Options` |
//! | `elasticsearch` | Elasticsearch, OpenSearch, Quickwit | `elasticsearch::Options` |
//! | `file` | files, at one path or at paths made from the events | `FileOptions` |
//! | `http` | a server that accepts NDJSON or JSON arrays | `HttpOptions` |
//! | `kafka` | topics of Kafka, with the cargo feature `kafka` | `KafkaOptions` |
//! | `loki` | Loki | `loki::Options` |
//! | `nats` | subjects of NATS, with the cargo feature `nats` | `NatsOptions` |
//! | `otlp` | a server of OTLP | `otlp::Options` |
//! | `prometheus` | clients that scrape, such as Prometheus | `prometheus_exporter::Options` |
//! | `prometheus_remote_write` | a server of Prometheus' remote write | `prometheus_remote_write::Options` |
//! | `socket` | a server over TCP, UDP or a Unix socket | `SocketOptions` |
//! | `splunk_hec` | HTTP Event Collector of Splunk | `splunk_hec::Options` |
//! | `syslog` | the same with messages of syslog | `SyslogOptions` |
//!
//! [`TYPES`] lists all types and validates options without I/O; [`build`] creates both halves.
//!
//! A new destination over HTTP implements `http::Destination`. Another sink that sends requests uses [`batcher`] (which events go into one request), [`dead_letter`] (events that the
//! destination rejected) and [`retry`] (backoff, and log lines of a long outage).
//!
//! # Invariants
//!
//! - If the future of a sink is dropped, events that were not delivered stay unacknowledged.
//! - Beyond its queue, a sink holds a bounded number of bytes in memory.
//! - Secrets appear neither in logs nor in `Debug` output.

mod append;
#[cfg(feature = "aws")]
mod aws_s3;
mod backlog;
mod batcher;
mod blackhole;
mod compress;
mod console;
mod dead_letter;
mod encode;
mod error;
mod event_id;
mod file;
mod http;
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "nats")]
mod nats;
mod output;
mod path_template;
mod preview;
mod prometheus;
mod prometheus_exporter;
mod refusal;
mod retry;
mod sink;
mod socket;
mod sorting;
mod stored;
#[cfg(test)]
mod testing;
mod types;
mod uses;

pub use append::needs_operator;
pub use backlog::Backlog;
pub use encode::pretty_event;
pub use error::SinkError;
pub use sink::{Built, Encoder, FlushSignal, Payload, Prepared, Sink, SinkContext, SinkStats};
pub use types::{TYPES, build};
