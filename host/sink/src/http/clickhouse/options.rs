//! Options of the sink `clickhouse`.

use std::sync::Arc;

use wattle_options::{Flag, OptionErrors};

use super::{RowEncoder, Tables};
use crate::compress::Compression;
use crate::encode::{Encoding, EncodingOptions, Framing, Template};
use crate::http::common::destination_options;
use crate::http::server::{AuthOptions, ServerOptions, Settings};

destination_options! {
    /// Options of the sink `clickhouse`.
    ///
    /// # Repetitions
    ///
    /// A request has `insert_deduplication_token`, a hash of the ids of its events. A table that deduplicates (of the
    /// family `Replicated*MergeTree`, or with `non_replicated_deduplication_window`) ignores a request that is sent
    /// again. Ids are those of the sink `elasticsearch`. A request with other events, such as half of it, or the events
    /// that are read again after a restart, has another token, and its rows are added again.
    ///
    /// # Events that are retried, and events that are rejected
    ///
    /// The code of an error decides, in `X-ClickHouse-Exception-Code` or in the body. If a row cannot be parsed, does
    /// not fit its columns or violates a constraint, the sink sends the request again in halves until the refused rows
    /// are alone. They go to `dead_letter` with the reason of the server, or count as rejected. Errors of credentials,
    /// permissions, settings and the statement are retried and logged as errors, and so is a table that does not exist,
    /// unless the name of the table depends on the event: then the event is rejected. All other errors are retried. The
    /// rest is as in the sink `http`.
    Options {
        /// Address of the server, such as `https://clickhouse.example.com:8443`.
        endpoint: String,
        /// Database, with fields of the event in braces. Default: `default`.
        #[serde(default = "default_database")]
        database: String,
        /// Table, with fields of the event in braces, such as `logs_{{ attributes.team }}`. The tables must exist.
        table: String,
        /// Whether the server ignores members of a row that are not columns (`input_format_skip_unknown_fields`).
        /// Default: as the server is configured.
        skip_unknown_fields: Option<Flag>,
        /// Whether the server reads times in any usual form, such as RFC 3339 (`date_time_input_format = best_effort`).
        /// Default: false.
        date_time_best_effort: Option<Flag>,
        /// Whether a distributed table without a sharding key gets the rows on a random shard
        /// (`insert_distributed_one_random_shard`). Default: false.
        insert_random_shard: Option<Flag>,
        /// Whether requests have `insert_deduplication_token`, which ClickHouse knows since 22.2. Default: true.
        deduplicate: Option<Flag>,
        /// Credentials for the server. Default: none.
        auth: Option<AuthOptions>,
        /// How to write a row. With codec `json`, its columns are the keys of the event, such as `timestamp`, `body`
        /// and `attributes`. With codec `ndjson` or `text`, they are the keys of the body; a body that is no JSON
        /// object is written as the column `message`.
        #[serde(default)]
        encoding: EncodingOptions,
        /// Compression of the requests: `none`, `gzip` or `zstd`. Default: `gzip`.
        #[serde(default = "default_compression")]
        compression: Compression,
    }
    address = endpoint,
    dead_letter = "the row in `event`, or the event if it was never sent"
}

fn default_database() -> String {
    "default".to_owned()
}

const fn default_compression() -> Compression {
    Compression::Gzip
}

/// Validates options.
pub(super) fn check(mut options: Options, errors: &mut OptionErrors) -> Option<(RowEncoder, Settings)> {
    let mut template = |name: &str, text: &str| {
        if text.is_empty() {
            errors.add(name, "must not be empty");
        }
        errors.check(name, Template::parse(text))
    };
    let (database, table) = (template("database", &options.database), template("table", &options.table));
    let are_many = [&database, &table].into_iter().flatten().any(|template| template.literal().is_none());
    let is_on = |flag: Option<Flag>| flag.is_some_and(|flag| flag.0);
    // The response begins when the rows are stored, so that its status is right.
    let mut parameters = vec!["wait_end_of_query=1"];
    parameters.extend(options.skip_unknown_fields.map(|flag| match flag.0 {
        true => "input_format_skip_unknown_fields=1",
        false => "input_format_skip_unknown_fields=0",
    }));
    parameters.extend(is_on(options.date_time_best_effort).then_some("date_time_input_format=best_effort"));
    parameters.extend(is_on(options.insert_random_shard).then_some("insert_distributed_one_random_shard=1"));
    let mut encoding = Encoding::of_values(&options.encoding, errors);
    encoding.framing = Framing::None;
    let deduplicate = options.deduplicate.is_none_or(|flag| flag.0);
    let server = ServerOptions {
        auth: options.auth.take(),
        compression: options.compression,
        ..options.server("application/x-ndjson")
    };
    let mut settings = server.validate(Arc::new(Tables { are_many, deduplicate }), errors)?;
    settings.uri = settings.with_query(&parameters.join("&"));
    Some((RowEncoder { encoding, database: database?, table: table? }, settings))
}
