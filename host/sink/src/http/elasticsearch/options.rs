//! Options of the sink `elasticsearch`.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use wattle_batch::Batch;
use wattle_options::{Flag, OptionErrors, Secret};

use super::document::Documents;
use super::{Bulk, BulkEncoder, MAX_INDEX_BYTES, path_template};
use crate::compress::Compression;
use crate::encode::{Codec, Encoding, EncodingOptions, Template};
use crate::http::common::destination_options;
use crate::http::server::{self, ServerOptions, Settings};

destination_options! {
    /// Options of the sink `elasticsearch`.
    ///
    /// # Ids and repetitions
    ///
    /// Every document has an `_id`, so a request that is sent again overwrites its documents, or finds them (409), and
    /// adds none. The id is the field `id_key`; for an event without it, the agent makes one. That of an event from a
    /// source `aws_s3` is the same after a restart. For other sources it is the same in all requests of one run; to
    /// find events again that were read twice, set `id_key`.
    ///
    /// # Events that are retried, and events that are rejected
    ///
    /// The response has a status for each event. Accepted events are acknowledged, those with 429 or 5xx are sent again
    /// alone, and those with 400, such as values that do not fit the mapping, go to `dead_letter` with the reason of
    /// the server, or count as rejected. 401, 403 and 404 are retried and logged as errors. A request that is too large
    /// (413) is sent again in halves. The rest is as in the sink `http`.
    Options {
        /// Address of the server, such as `https://elastic.example.com:9200`, without `/_bulk`. For Quickwit, end it
        /// with `/api/v1/_elastic`.
        endpoint: String,
        /// Whether documents go to an index or to a data stream. Default: `bulk`.
        #[serde(default)]
        mode: Mode,
        /// The index, in mode `bulk`.
        #[serde(default)]
        bulk: BulkOptions,
        /// The data stream, in mode `data_stream`. Its name is `<type>-<dataset>-<namespace>`.
        #[serde(default)]
        data_stream: DataStreamOptions,
        /// Field with the `_id` of the document, such as `attributes.event_id`. Default: the agent makes ids.
        id_key: Option<String>,
        /// Whether documents of events without an id get one from the agent. Without ids, an index is faster, and a
        /// request that is sent again adds its documents again. Default: true.
        generate_ids: Option<Flag>,
        /// Ingest pipeline of the documents, with fields in braces. Default: that of the index.
        pipeline: Option<String>,
        /// Credentials for the server. Default: none.
        auth: Option<AuthOptions>,
        /// How to write a document. With codec `json`, it is the event with `@timestamp` instead of `timestamp`. With
        /// codec `ndjson` or `text`, it is the body; a body that is no JSON object is written as `message`, and
        /// `@timestamp` is added where it is missing.
        #[serde(default)]
        encoding: EncodingOptions,
        /// Compression of the requests: `none`, `gzip` or `zstd`. Elasticsearch accepts `gzip`. Default: `none`.
        #[serde(default)]
        compression: Compression,
    }
    address = endpoint,
    dead_letter = "in `event` the document"
}

/// Whether documents go to an index or to a data stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Mode {
    /// An index.
    #[default]
    Bulk,
    /// A data stream, which only creates documents.
    DataStream,
}

/// The index.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct BulkOptions {
    /// Name of the index or alias, with fields in braces and directives of strftime for the time of the event in UTC,
    /// such as `logs-{{ attributes.team }}-%Y.%m.%d`. Upper case becomes lower case, and characters that a name cannot
    /// have become `_`. Default: `wattle-%Y.%m.%d`.
    index: String,
    /// What to do with a document: `index` overwrites one with the same id, `create` keeps it. Default: `index`.
    action: Action,
}

impl Default for BulkOptions {
    fn default() -> Self {
        Self { index: "wattle-%Y.%m.%d".to_owned(), action: Action::Index }
    }
}

/// What to do with a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Action {
    /// Add it, or overwrite the one with the same id.
    Index,
    /// Add it, or keep the one with the same id.
    Create,
}

impl Action {
    /// The beginning of the line before a document.
    pub(super) const fn start(self) -> &'static [u8] {
        match self {
            Self::Index => b"{\"index\":{",
            Self::Create => b"{\"create\":{",
        }
    }
}

/// The parts of the name of a data stream.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct DataStreamOptions {
    /// Type of the data, with fields in braces. Default: `logs`.
    #[serde(rename = "type")]
    kind: String,
    /// Where the data comes from, with fields in braces, such as `{{ resource.service.name }}`. Default: `generic`.
    dataset: String,
    /// Environment or tenant, with fields in braces. Default: `default`.
    namespace: String,
}

impl Default for DataStreamOptions {
    fn default() -> Self {
        Self { kind: "logs".to_owned(), dataset: "generic".to_owned(), namespace: "default".to_owned() }
    }
}

/// Credentials for the server.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "strategy", rename_all = "snake_case", deny_unknown_fields)]
enum AuthOptions {
    /// User and password.
    Basic {
        /// Name of the user.
        user: String,
        /// Password of the user. Use a variable, such as `${PASSWORD}`.
        password: Secret,
    },
    /// A token.
    Bearer {
        /// The token. Use a variable, such as `${TOKEN}`.
        token: Secret,
    },
    /// An API key.
    ApiKey {
        /// The key as Elasticsearch returns it in `encoded`. Use a variable, such as `${API_KEY}`.
        key: Secret,
    },
}

/// The name of the index of an event.
pub(super) struct Index {
    /// The parts, which a hyphen joins.
    parts: Vec<path_template::Template>,
}

/// The names of the indices of the events of a batch.
pub(super) struct Names<'a>(Vec<path_template::Rendering<'a>>);

impl Index {
    #[cfg(test)]
    pub(super) fn of(template: &str) -> Self {
        Self { parts: vec![path_template::Template::parse_prefix(template).unwrap()] }
    }

    pub(super) fn bind<'a>(&'a self, batch: &'a Batch) -> Names<'a> {
        Names(self.parts.iter().map(|part| part.bind(batch)).collect())
    }
}

impl Names<'_> {
    /// Replaces `out` by the name of the index of a row.
    pub(super) fn write(&mut self, row: usize, out: &mut String) {
        let parts = self.0.len();
        out.clear();
        let mut part = String::new();
        for (index, rendering) in self.0.iter_mut().enumerate() {
            rendering.write(row, &mut part);
            // The type and the dataset of a data stream end at a hyphen.
            let ends_at_hyphen = index + 1 < parts;
            let replaced = |char| !char_is_valid(char) || (char == '-' && ends_at_hyphen);
            out.extend((index > 0).then_some('-'));
            out.extend(part.chars().map(|char| if replaced(char) { '_' } else { char.to_ascii_lowercase() }));
        }
        let start = out.len() - out.trim_start_matches(['-', '_', '+', '.']).len();
        out.drain(..start);
        out.truncate(out.floor_char_boundary(MAX_INDEX_BYTES));
        if out.is_empty() {
            out.push_str("wattle");
        }
    }
}

/// Whether the name of an index may have a character.
fn char_is_valid(char: char) -> bool {
    !(char.is_whitespace() || char.is_uppercase() && !char.is_ascii() || "\\/*?\"<>|,#:".contains(char))
}

/// Validates options.
pub(super) fn check(mut options: Options, errors: &mut OptionErrors) -> Option<(BulkEncoder, Settings)> {
    let common = options.server("application/x-ndjson");
    let DataStreamOptions { kind, dataset, namespace } = options.data_stream;
    let (parts, action) = match options.mode {
        Mode::Bulk => (vec![("bulk.index", options.bulk.index)], options.bulk.action),
        Mode::DataStream => (
            vec![("data_stream.type", kind), ("data_stream.dataset", dataset), ("data_stream.namespace", namespace)],
            Action::Create,
        ),
    };
    let mut templates = Vec::new();
    for (path, text) in parts {
        if text.is_empty() {
            errors.add(path, "must not be empty");
        }
        templates.extend(errors.check(path, path_template::Template::parse_prefix(&text)));
    }
    let id = options.id_key.as_ref().and_then(|key| errors.check("id_key", Template::field(key)));
    let pipeline = options.pipeline.as_ref().and_then(|text| errors.check("pipeline", Template::parse(text)));
    let (auth, key) = match options.auth {
        Some(AuthOptions::Basic { user, password }) => (Some(server::AuthOptions::Basic { user, password }), None),
        Some(AuthOptions::Bearer { token }) => (Some(server::AuthOptions::Bearer { token }), None),
        Some(AuthOptions::ApiKey { key }) => (None, Some(key)),
        None => (None, None),
    };
    let server = ServerOptions { path: "/_bulk".into(), auth, compression: options.compression, ..common };
    let mut settings = server.validate(Arc::new(Bulk), errors);
    if let (Some(settings), Some(key)) = (&mut settings, key) {
        settings.authorize("auth.key", &format!("ApiKey {}", key.reveal()), errors);
    }
    let encoding = Encoding::of_values(&options.encoding, errors);
    let settings = settings?;
    let encoder = BulkEncoder {
        documents: Documents::new(encoding.codec == Codec::Json),
        encoding,
        action,
        index: Index { parts: templates },
        pipeline,
        id,
        with_ids: options.generate_ids.is_none_or(|flag| flag.0),
    };
    Some((encoder, settings))
}
