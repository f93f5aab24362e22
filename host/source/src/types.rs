//! The table of source types.

use serde::de::DeserializeOwned;
use serde_json::Value;
use wattle_options::{OptionError, Row, Table, Use, Used, no_files, no_uses, read, schema_of, uses};

#[cfg(feature = "aws")]
use crate::aws_s3;
use crate::error::SourceError;
#[cfg(feature = "kafka")]
use crate::kafka;
#[cfg(feature = "nats")]
use crate::nats;
use crate::source::Source;
use crate::{demo, docker_logs, file, http, http_client, journald, kubernetes_logs, socket, stdin};
use wattle_listen::Listeners;

type Prepared = Box<dyn Source>;

#[cfg(not(feature = "aws"))]
const WITHOUT_AWS: &str = "this agent was built without the source `aws_s3`; build it with the default features, as in \
                           `cargo build --release --package wattle`";

#[cfg(not(feature = "kafka"))]
const WITHOUT_KAFKA: &str = "this agent was built without the source `kafka`; build it with the default features, as in \
                             `cargo build --release --package wattle`";
#[cfg(not(feature = "nats"))]
const WITHOUT_NATS: &str = "this agent was built without the source `nats`; build it with the default features, as in \
                            `cargo build --release --package wattle`";

/// The types of sources. Preparing creates a source and has no effect outside of the process.
pub const TYPES: &Table<Prepared> = &Table {
    kind: "source",
    rows: &[
        Row {
            name: "stdin",
            prepare: |options| prepare(options, stdin::Stdin::new),
            schema: schema_of::<stdin::Options>,
            files: no_files,
            uses: no_uses,
        },
        Row {
            name: "file",
            prepare: |options| prepare(options, file::FileSource::new),
            schema: schema_of::<file::Options>,
            files: no_files,
            uses: file::uses,
        },
        Row {
            name: "kubernetes_logs",
            prepare: |options| {
                read(options, |options, errors| {
                    kubernetes_logs::KubernetesLogs::new(options, errors).map(|source| Box::new(source) as Prepared)
                })
            },
            schema: schema_of::<kubernetes_logs::Options>,
            // The source reads the files of the service account itself, since they change.
            files: no_files,
            uses: no_uses,
        },
        Row {
            name: "docker_logs",
            prepare: |options| {
                read(options, |options, errors| {
                    docker_logs::DockerLogs::new(options, errors).map(|source| Box::new(source) as Prepared)
                })
            },
            schema: schema_of::<docker_logs::Options>,
            files: no_files,
            uses: no_uses,
        },
        Row {
            name: "http",
            prepare: |options| {
                read(options, |options: http::Options, errors| {
                    Some(Box::new(http::HttpSource::new(options.check(errors))) as Prepared)
                })
            },
            schema: schema_of::<http::Options>,
            // The source follows the files of `tls` itself. As a part of the configuration, a renewed certificate would
            // replace the source, and so close its connections. The same holds for the next ones.
            files: no_files,
            uses: http::Options::uses,
        },
        Row {
            name: "aws_firehose",
            prepare: |options| {
                read(options, |options: http::firehose::Options, errors| {
                    Some(Box::new(http::HttpSource::new(options.check(errors))) as Prepared)
                })
            },
            schema: schema_of::<http::firehose::Options>,
            files: no_files,
            uses: http::firehose::Options::uses,
        },
        Row {
            name: "otlp",
            prepare: |options| {
                read(options, |options: http::otlp::Options, errors| {
                    Some(Box::new(http::HttpSource::new(options.check(errors))) as Prepared)
                })
            },
            schema: schema_of::<http::otlp::Options>,
            files: no_files,
            uses: http::otlp::Options::uses,
        },
        Row {
            name: "splunk_hec",
            prepare: |options| {
                read(options, |options: http::hec::Options, errors| {
                    Some(Box::new(http::HttpSource::new(options.check(errors))) as Prepared)
                })
            },
            schema: schema_of::<http::hec::Options>,
            files: no_files,
            uses: http::hec::Options::uses,
        },
        Row {
            name: "elasticsearch_bulk",
            prepare: |options| {
                read(options, |options: http::bulk::Options, errors| {
                    Some(Box::new(http::HttpSource::new(options.check(errors))) as Prepared)
                })
            },
            schema: schema_of::<http::bulk::Options>,
            files: no_files,
            uses: http::bulk::Options::uses,
        },
        Row {
            name: "http_client",
            prepare: |options| {
                read(options, |options, errors| {
                    http_client::HttpClientSource::new(options, errors).map(|source| Box::new(source) as Prepared)
                })
            },
            schema: schema_of::<http_client::Options>,
            // The client follows the files of `tls` itself.
            files: no_files,
            uses: no_uses,
        },
        Row {
            name: "socket",
            prepare: |options| {
                read(options, |options: socket::SocketOptions, errors| {
                    let settings = options.check(socket::StreamFraming::Lines, errors)?;
                    Some(Box::new(socket::SocketSource::new("socket", settings)) as Prepared)
                })
            },
            schema: schema_of::<socket::SocketOptions>,
            files: no_files,
            uses: socket_uses,
        },
        Row {
            name: "syslog",
            prepare: |options| {
                read(options, |options: socket::SocketOptions, errors| {
                    let settings = options.check(socket::StreamFraming::Auto, errors)?;
                    Some(Box::new(socket::SocketSource::new("syslog", settings)) as Prepared)
                })
            },
            schema: schema_of::<socket::SocketOptions>,
            files: no_files,
            uses: socket_uses,
        },
        Row {
            name: "journald",
            prepare: |options| {
                read(options, |options, errors| {
                    journald::JournaldSource::new(options, errors).map(|source| Box::new(source) as Prepared)
                })
            },
            schema: schema_of::<journald::Options>,
            files: no_files,
            uses: no_uses,
        },
        #[cfg(feature = "aws")]
        Row {
            name: "aws_s3",
            prepare: |options| {
                read(options, |options, errors| {
                    aws_s3::S3Source::new(options, errors).map(|source| Box::new(source) as Prepared)
                })
            },
            schema: schema_of::<aws_s3::Options>,
            files: aws_s3::files,
            uses: no_uses,
        },
        // Listed all the same, so that the error does not suggest that the type is misspelt.
        #[cfg(not(feature = "aws"))]
        Row {
            name: "aws_s3",
            prepare: |_| Err(vec![OptionError::new("type", WITHOUT_AWS)]),
            schema: || serde_json::json!({ "type": "object", "description": WITHOUT_AWS }),
            files: no_files,
            uses: no_uses,
        },
        #[cfg(feature = "kafka")]
        Row {
            name: "kafka",
            prepare: |options| {
                read(options, |options, errors| {
                    kafka::KafkaSource::new(options, errors).map(|source| Box::new(source) as Prepared)
                })
            },
            schema: schema_of::<kafka::Options>,
            // The client follows the files of `tls` itself.
            files: no_files,
            uses: kafka::uses,
        },
        #[cfg(not(feature = "kafka"))]
        Row {
            name: "kafka",
            prepare: |_| Err(vec![OptionError::new("type", WITHOUT_KAFKA)]),
            schema: || serde_json::json!({ "type": "object", "description": WITHOUT_KAFKA }),
            files: no_files,
            uses: no_uses,
        },
        #[cfg(feature = "nats")]
        Row {
            name: "nats",
            prepare: |options| {
                read(options, |options, errors| {
                    nats::NatsSource::new(options, errors).map(|source| Box::new(source) as Prepared)
                })
            },
            schema: schema_of::<nats::Options>,
            // Certificates and credentials are read for each connection.
            files: no_files,
            uses: nats::uses,
        },
        #[cfg(not(feature = "nats"))]
        Row {
            name: "nats",
            prepare: |_| Err(vec![OptionError::new("type", WITHOUT_NATS)]),
            schema: || serde_json::json!({ "type": "object", "description": WITHOUT_NATS }),
            files: no_files,
            uses: no_uses,
        },
        Row {
            name: "demo",
            prepare: |options| prepare(options, demo::Demo::new),
            schema: schema_of::<demo::Options>,
            files: no_files,
            uses: no_uses,
        },
    ],
};

fn socket_uses(options: &Value) -> Vec<Use> {
    uses::socket(options, Used::Listens).into_iter().collect()
}

fn prepare<O: DeserializeOwned, S: Source + 'static>(
    options: &Value,
    new: fn(O) -> Result<S, Vec<OptionError>>,
) -> Result<Prepared, Vec<OptionError>> {
    read(options, |options, errors| errors.accept(new(options)).map(|source| Box::new(source) as Prepared))
}

/// Builds a source from its options, an object without the key `type`. A source that listens takes its socket from
/// `listeners`.
///
/// # Errors
///
/// The options are not valid, or the source cannot listen on its address.
pub fn build(type_name: &str, options: &Value, listeners: &Listeners) -> Result<Box<dyn Source>, SourceError> {
    let wrong = |errors| SourceError::Options { type_name: type_name.to_owned(), errors };
    let mut source = TYPES.prepare(type_name, options).map_err(wrong)?;
    source.listen(listeners)?;
    Ok(source)
}

#[cfg(test)]
mod tests;
