//! Options of the sink `loki`.

use std::collections::BTreeMap;
use std::sync::Arc;

use wattle_options::{Number, OptionErrors};

use super::Push;
use super::encoder::{StreamEncoder, Streams};
use crate::compress::Compression;
use crate::encode::{Encoding, EncodingOptions, Template};
use crate::http::common::destination_options;
use crate::http::server::{AuthOptions, ServerOptions, Settings};
use crate::http::writing::Members;

destination_options! {
    /// Options of the sink `loki`.
    ///
    /// # Order and repetitions
    ///
    /// A request has the entries of a stream in the order of their times, and one request runs at a time unless
    /// `request.concurrency` says otherwise. Loki ignores an entry with the time and the line of an earlier one in its
    /// stream, so a request that is sent again adds nothing; two events that are equal in these become one entry as
    /// well.
    ///
    /// # Events that are retried, and events that are rejected
    ///
    /// 429 (rate limits) and 5xx are retried. With 400, Loki refuses some entries of a request, such as those that are
    /// too old ("entry too far behind") or too long, and accepts the others. The sink sends the request again in halves
    /// until the refused entries are alone. They go to `dead_letter` with the reason of the server, or count as
    /// rejected. The rest is as in the sink `http`.
    Options {
        /// Address of the server, such as `https://loki.example.com:3100`.
        endpoint: String,
        /// Path of the push API below the address. Default: `/loki/api/v1/push`.
        #[serde(default = "default_path")]
        path: String,
        /// Labels of the streams by their names, with fields of the event in braces, such as
        /// `{ job = "wattle", level = "{{ severity.text }}" }`. An empty value is no label. Use fields with few values.
        labels: BTreeMap<String, String>,
        /// Structured metadata of an entry, likewise, which Loki 3 stores beside the line. Default: none.
        #[serde(default)]
        structured_metadata: BTreeMap<String, String>,
        /// Tenant, with fields of the event in braces. Without a value, requests have none. Default: none.
        tenant_id: Option<String>,
        /// Maximum number of streams in an hour. The events of further streams go to a stream with the labels that have
        /// no fields, and `overflow = "true"`; the agent logs an error. Default: 1000.
        max_streams: Option<Number<usize>>,
        /// Credentials for the server. Default: none.
        auth: Option<AuthOptions>,
        /// How to write the line of an event. Bytes that are not UTF-8 become `{"body_base64":"..."}`.
        #[serde(default)]
        encoding: EncodingOptions,
        /// Compression of the requests: `none`, `gzip` or `zstd`. Loki accepts `gzip`. Default: `none`.
        #[serde(default)]
        compression: Compression,
    }
    address = endpoint,
    dead_letter = "in `event` a stream with the entry"
}

fn default_path() -> String {
    "/loki/api/v1/push".to_owned()
}

/// Streams without an option. Loki allows 5,000 of a tenant by default.
const DEFAULT_STREAMS: usize = 1000;

/// Whether a text is the name of a label. Names that begin with two underscores belong to Loki.
fn is_label(name: &str) -> bool {
    let is_start = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_';
    name.as_bytes().first().is_some_and(is_start)
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.starts_with("__")
}

fn templates(option: &str, texts: BTreeMap<String, String>, errors: &mut OptionErrors) -> Members {
    let mut templates = Vec::new();
    for (name, text) in texts {
        let path = format!("{option}.{name}");
        if !is_label(&name) {
            errors.add(&path, "is not a name of Loki; use letters, digits and `_`, and begin with a letter");
        }
        templates.extend(errors.check(&path, Template::parse(&text)).map(|template| (name, template)));
    }
    Members(templates)
}

/// Validates options.
pub(super) fn check(mut options: Options, errors: &mut OptionErrors) -> Option<(StreamEncoder, Settings)> {
    let common = options.server("application/json");
    if options.labels.is_empty() {
        errors.add("labels", "names no label, and every stream needs one; write `labels = { job = \"wattle\" }`");
    }
    if !options.path.starts_with('/') {
        errors.add("path", "must begin with `/`");
    }
    let max_streams = options.max_streams.map_or(DEFAULT_STREAMS, |number| number.0);
    errors.at_least_one("max_streams", max_streams as u64);
    let labels = templates("labels", options.labels, errors);
    let structured_metadata = templates("structured_metadata", options.structured_metadata, errors);
    let tenant = options.tenant_id.as_ref().and_then(|text| errors.check("tenant_id", Template::parse(text)));
    let mut encoding = Encoding::of_values(&options.encoding, errors);
    // The line of a body is its text as it is, not a JSON value.
    (encoding.values, encoding.minify) = (false, options.encoding.minify.is_some_and(|flag| flag.0));
    let server = ServerOptions {
        path: options.path.into(),
        auth: options.auth.take(),
        compression: options.compression,
        // Requests at the same time would mix the entries of a stream.
        concurrency: Some(1),
        ..common
    };
    let settings = server.validate(Arc::new(Push { has_tenants: tenant.is_some() }), errors)?;
    let (sink, streams) = (Arc::from(""), Streams::new(max_streams));
    Some((StreamEncoder { sink, encoding, labels, structured_metadata, tenant, streams }, settings))
}
