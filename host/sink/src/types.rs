//! The table of sink types.

use serde_json::Value;
use wattle_options::{Row, Table, no_files, no_uses};

#[cfg(feature = "aws")]
use crate::aws_s3;
use crate::error::SinkError;
#[cfg(feature = "kafka")]
use crate::kafka;
#[cfg(feature = "nats")]
use crate::nats;
use crate::sink::{Built, Prepared};
use crate::{blackhole, console, file, http, prometheus_exporter, socket, uses};

#[cfg(not(feature = "aws"))]
const WITHOUT_AWS: &str = "this agent was built without the sink `aws_s3`; build it with the default features, as in \
                           `cargo build --release --package wattle`";

#[cfg(not(feature = "kafka"))]
const WITHOUT_KAFKA: &str = "this agent was built without the sink `kafka`; build it with the default features, as in \
                             `cargo build --release --package wattle`";
#[cfg(not(feature = "nats"))]
const WITHOUT_NATS: &str = "this agent was built without the sink `nats`; build it with the default features, as in \
                            `cargo build --release --package wattle`";

/// The types of sinks. Preparing validates options and the files that they name, without the network.
pub const TYPES: &Table<Prepared> = &Table {
    kind: "sink",
    rows: &[
        Row {
            name: "blackhole",
            prepare: blackhole::prepare,
            schema: blackhole::schema,
            files: no_files,
            uses: no_uses,
        },
        Row {
            name: "clickhouse",
            prepare: http::clickhouse::prepare,
            schema: http::clickhouse::schema,
            files: http::files,
            uses: uses::endpoint,
        },
        Row { name: "console", prepare: console::prepare, schema: console::schema, files: no_files, uses: no_uses },
        Row {
            name: "datadog_logs",
            prepare: http::datadog_logs::prepare,
            schema: http::datadog_logs::schema,
            files: http::files,
            uses: uses::endpoint,
        },
        Row {
            name: "elasticsearch",
            prepare: http::elasticsearch::prepare,
            schema: http::elasticsearch::schema,
            files: http::files,
            uses: uses::endpoint,
        },
        Row { name: "file", prepare: file::prepare, schema: file::schema, files: no_files, uses: uses::file },
        Row { name: "http", prepare: http::prepare, schema: http::schema, files: http::files, uses: uses::uri },
        Row {
            name: "loki",
            prepare: http::loki::prepare,
            schema: http::loki::schema,
            files: http::files,
            uses: uses::endpoint,
        },
        Row {
            name: "otlp",
            prepare: http::otlp::prepare,
            schema: http::otlp::schema,
            files: http::files,
            uses: uses::uri,
        },
        Row {
            name: "prometheus",
            prepare: prometheus_exporter::prepare,
            schema: prometheus_exporter::schema,
            // The sink follows the files of `tls` itself.
            files: no_files,
            uses: uses::prometheus,
        },
        Row {
            name: "prometheus_remote_write",
            prepare: http::prometheus_remote_write::prepare,
            schema: http::prometheus_remote_write::schema,
            files: http::files,
            uses: uses::endpoint,
        },
        Row {
            name: "socket",
            prepare: socket::prepare_socket,
            schema: socket::schema_of_socket,
            // The sink follows the files of `tls` itself. As a part of the configuration, a renewed certificate would
            // replace the sink, and so close its connection.
            files: no_files,
            uses: uses::socket,
        },
        Row {
            name: "splunk_hec",
            prepare: http::splunk_hec::prepare,
            schema: http::splunk_hec::schema,
            files: http::files,
            uses: uses::endpoint,
        },
        Row {
            name: "syslog",
            prepare: socket::prepare_syslog,
            schema: socket::schema_of_syslog,
            files: no_files,
            uses: uses::socket,
        },
        #[cfg(feature = "aws")]
        Row {
            name: "aws_s3",
            prepare: aws_s3::prepare,
            schema: aws_s3::schema,
            files: wattle_aws::files,
            uses: uses::rejected,
        },
        // Listed all the same, so that the error does not suggest that the type is misspelt.
        #[cfg(not(feature = "aws"))]
        Row {
            name: "aws_s3",
            prepare: |_| Err(vec![wattle_options::OptionError::new("type", WITHOUT_AWS)]),
            schema: || serde_json::json!({ "type": "object", "description": WITHOUT_AWS }),
            files: no_files,
            uses: no_uses,
        },
        #[cfg(feature = "kafka")]
        Row {
            name: "kafka",
            prepare: kafka::prepare,
            schema: kafka::schema,
            // The client follows the files of `tls` itself.
            files: no_files,
            uses: uses::kafka,
        },
        #[cfg(not(feature = "kafka"))]
        Row {
            name: "kafka",
            prepare: |_| Err(vec![wattle_options::OptionError::new("type", WITHOUT_KAFKA)]),
            schema: || serde_json::json!({ "type": "object", "description": WITHOUT_KAFKA }),
            files: no_files,
            uses: no_uses,
        },
        // Certificates and credentials are read for each connection.
        #[cfg(feature = "nats")]
        Row { name: "nats", prepare: nats::prepare, schema: nats::schema, files: no_files, uses: uses::nats },
        #[cfg(not(feature = "nats"))]
        Row {
            name: "nats",
            prepare: |_| Err(vec![wattle_options::OptionError::new("type", WITHOUT_NATS)]),
            schema: || serde_json::json!({ "type": "object", "description": WITHOUT_NATS }),
            files: no_files,
            uses: no_uses,
        },
    ],
};

/// Builds the sink `name`. Reads the files that its options name, such as certificates, but opens no file for writing.
///
/// # Errors
///
/// The options are not valid, or a file that they name cannot be read.
pub fn build(name: &str, type_name: &str, options: &Value) -> Result<Built, SinkError> {
    let prepared = TYPES.prepare(type_name, options).map_err(SinkError::Options)?;
    prepared(&name.into())
}

#[cfg(test)]
mod tests;
