//! Options of the sink `http`: as written, and validated.

use std::path::PathBuf;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use wattle_options::{OptionError, OptionErrors};
use wattle_tls::TlsOptions;

use super::common::destination_options;
pub(super) use super::server::Settings;
use super::server::{AuthOptions, ServerOptions};
use crate::compress::Compression;
use crate::encode::{Encoding, EncodingOptions, Framing, schema_without_parquet};

destination_options! {
    /// Options of the sink `http`.
    ///
    /// # Requests that are retried
    ///
    /// A response with status 2xx acknowledges the events of the request. The sink retries until it succeeds, or until
    /// `request.retry_attempts` are used up, if there is no response (the server cannot be reached, the connection
    /// breaks, or `request.timeout` passes), and for the statuses 408, 425, 429 and 5xx. It also retries 3xx (except
    /// 307 and 308 within the same server, which it follows) and all 4xx other than those below (401, 403, 404, 405,
    /// 415 and so on); these are logged as errors, because an operator must fix the server or the options. A
    /// `Retry-After` of up to 15 minutes is respected. A request that is too large (413) is sent again in halves.
    ///
    /// # Requests that are rejected
    ///
    /// With 400, 409 and 422 the server rejects some or all events for good; with 207 it accepted a part. The sink
    /// sends the request again in halves until the rejected events are alone. They go to `dead_letter` if it is set,
    /// and count as rejected. If the server accepted a part, it receives some of those events twice. The search sends
    /// at most 1,000 requests for one request; after that, all events still in doubt are rejected.
    ///
    /// # Responses with a status for each event
    ///
    /// With `format = "bulk"` the sink reads the body of a 2xx response, which has a status for each event, with the
    /// meanings above. Accepted events are acknowledged, rejected ones go to `dead_letter` with their own reasons, and
    /// the others are sent again. A response that cannot be read acknowledges nothing, and the request is sent again.
    HttpOptions {
        /// Address of the server, such as `https://example.com/ingest`. Set user and password with `auth`.
        pub(super) uri: String,
        /// Method of the requests. Default: `POST`.
        #[serde(default = "default_method")]
        pub(super) method: String,
        /// Credentials for the server. Default: none.
        pub(super) auth: Option<AuthOptions>,
        /// How to write an event. This sink has `format` instead of `framing`; `minify` is on by default.
        #[serde(default)]
        pub(super) encoding: EncodingOptions,
        /// Format of a request. Default: `ndjson`.
        #[serde(default)]
        pub(super) format: Format,
        /// Compression of the bodies, with the header `content-encoding`: `none`, `gzip` or `zstd`. Default: `none`.
        #[serde(default)]
        pub(super) compression: Compression,
    }
    address = uri,
    dead_letter = "the event as it was sent in `event`, or as base64 in `event_base64` if it is not UTF-8"
}

pub(super) fn default_method() -> String {
    "POST".to_owned()
}

/// Format of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// One line for each event.
    #[default]
    Ndjson,
    /// A JSON array of events; with codec `text`, bodies are written as by the codec `ndjson`.
    Array,
    /// The `_bulk` API of Elasticsearch and OpenSearch, with a line `{"create":{}}` before each event; `uri` has the
    /// index or data stream.
    Bulk,
}

/// The JSON schema of the options.
pub(crate) fn schema() -> Value {
    schema_without_parquet::<HttpOptions>()
}

/// The files that options name and the sink reads.
pub(crate) fn files(options: &Value) -> Vec<PathBuf> {
    let tls = options.get("tls").and_then(|tls| TlsOptions::deserialize(tls).ok());
    tls.iter().flat_map(TlsOptions::files).collect()
}

/// Reads and validates options.
///
/// # Errors
///
/// Every error that was found.
pub(crate) fn read(options: &Value) -> Result<(Encoding, Settings), Vec<OptionError>> {
    wattle_options::read(options, validate)
}

pub(super) fn validate(mut options: HttpOptions, errors: &mut OptionErrors) -> Option<(Encoding, Settings)> {
    let format = options.format;
    if options.encoding.framing.is_some() {
        errors.add("encoding.framing", "is not an option of this sink; use `format`");
    }
    let server = ServerOptions {
        method: std::mem::take(&mut options.method),
        auth: options.auth.take(),
        compression: options.compression,
        ..options.server(if format == Format::Array { "application/json" } else { "application/x-ndjson" })
    };
    let settings = server.validate(Arc::new(format), errors);
    let mut encoding = Encoding::new(&options.encoding, errors);
    encoding.framing = if format == Format::Array { Framing::None } else { Framing::Newline };
    encoding.minify = options.encoding.minify.is_none_or(|minify| minify.0);
    encoding.values = format != Format::Ndjson;
    encoding.ends = true;
    Some((encoding, settings?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use serde_json::json;

    #[test]
    fn secrets_are_never_printed() {
        for auth in [
            json!({"strategy": "basic", "user": "me", "password": "geheim"}),
            json!({"strategy": "bearer", "token": "geheim"}),
        ] {
            let options = json!({"uri": "http://h/", "auth": auth, "headers": {"x-api-key": "geheim"}});
            let raw = wattle_options::read(&options, |raw: HttpOptions, _| Some(raw)).unwrap();
            let (_, settings) = read(&options).unwrap();
            let shown = format!("{raw:?} {settings:?}");
            assert!(!shown.contains("geheim"), "{shown}");
            assert!(!shown.contains(&base64::engine::general_purpose::STANDARD.encode("me:geheim")), "{shown}");
            assert!(settings.headers.get("authorization").is_some());
        }
        for (auth, part) in [
            (json!({"strategy": "bearer", "token": "4711\n"}), "auth.token"),
            (json!({"strategy": "bearer", "token": 4711}), "must be a string"),
            (json!({"strategy": "basic", "user": "u", "password": 4711}), "must be a string"),
        ] {
            let error = format!("{:?}", read(&json!({"uri": "http://h/", "auth": auth})).unwrap_err());
            assert!(error.contains(part) && !error.contains("4711"), "{error}");
        }
    }

    #[test]
    fn headers_of_the_options_replace_those_of_the_sink() {
        let (_, settings) = read(&json!({"uri": "http://h/", "headers": {"Content-Type": "text/plain"}})).unwrap();
        assert_eq!(settings.headers.get_all("content-type").iter().collect::<Vec<_>>(), ["text/plain"]);
    }
}
